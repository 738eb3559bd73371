//! Memory for what a compressed batch unpacks to: taken before it is known how much that is.

use std::sync::Arc;

use crate::base::Error;
use crate::base::budget::{Budget, Debit};
use crate::broker::errors::throttled;

/// Part of the budget that one batch may unpack to: one that needs more would have to wait for ever.
const UNPACKED_PART: u64 = 2;

/// Memory that one batch may unpack into.
#[derive(Debug)]
pub struct Unpacking {
    debit: Debit,
    bytes_max: u64,
}

impl Unpacking {
    /// Takes what is there, up to `bytes_max` and to a part of the budget.
    pub fn begin(budget: &Arc<Budget>, bytes_max: usize) -> Self {
        let bytes_max = (bytes_max as u64).min(budget.limit_bytes() / UNPACKED_PART);
        Self { debit: budget.debit_up_to(bytes_max), bytes_max }
    }

    /// Most bytes that may come out.
    pub fn bytes_max(&self) -> usize {
        usize::try_from(self.debit.bytes()).unwrap_or(usize::MAX)
    }

    /// THROTTLED where more would come out than fits, but it would fit when there is less to do.
    ///
    /// Errors: that one.
    pub fn refused(&self) -> Result<(), Error> {
        if self.debit.bytes() < self.bytes_max { Err(throttled()) } else { Ok(()) }
    }

    /// The memory of what came out.
    pub fn end(mut self, unpacked_bytes: usize) -> Debit {
        self.debit.shrink_to(unpacked_bytes as u64);
        self.debit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;

    #[test]
    fn what_is_there_is_taken_and_what_is_not_used_goes_back() {
        let budget = Budget::new(100);
        let unpacking = Unpacking::begin(&budget, 1_000);
        assert_eq!((unpacking.bytes_max(), budget.used_bytes()), (50, 50), "half of the budget at most");
        assert!(unpacking.refused().is_ok(), "it would never fit");
        let unpacked = unpacking.end(20);
        assert_eq!(budget.used_bytes(), 20);
        let other = budget.try_debit(60).expect("there");
        let unpacking = Unpacking::begin(&budget, 40);
        assert_eq!(unpacking.bytes_max(), 20);
        assert_eq!(unpacking.refused().expect_err("it would fit later").kind, ErrorKind::Throttled);
        drop((unpacking, unpacked, other));
        assert_eq!(budget.used_bytes(), 0);
    }
}

//! What a connection may send before it is read, taken out of the memory budget when it is accepted.

use std::sync::Arc;

use crate::base::budget::{Budget, Debit};
use crate::base::limits::{HTTP2_CONNECTION_WINDOW_BYTES, HTTP2_FRAME_BYTES, HTTP2_STREAM_WINDOW_BYTES};

/// Flow-control windows and the largest frame of a connection, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Windows {
    /// Window of one call.
    pub stream_bytes: u32,
    /// Window of the connection: what all its calls together may leave unread here.
    pub connection_bytes: u32,
    /// The largest frame. One that is not whole lies outside the windows.
    pub frame_bytes: u32,
}

/// For full speed.
pub const WIDE: Windows = Windows {
    stream_bytes: HTTP2_STREAM_WINDOW_BYTES,
    connection_bytes: HTTP2_CONNECTION_WINDOW_BYTES,
    frame_bytes: HTTP2_FRAME_BYTES,
};

/// What HTTP/2 begins with: the least that every client can do with.
pub const NARROW: Windows = Windows { stream_bytes: 65_535, connection_bytes: 65_535, frame_bytes: 16 << 10 };

/// Part of the budget that wide windows may take: the rest is for narrow ones and for requests.
const WIDE_PART: u64 = 2;

impl Windows {
    /// The memory that a client can make us hold with them.
    pub fn memory_bytes(self) -> u64 {
        u64::from(self.connection_bytes) + u64::from(self.frame_bytes)
    }
}

/// Says which windows the next connection gets.
pub struct WindowGate {
    budget: Arc<Budget>,
    wide: Arc<Budget>,
}

/// The windows of one connection; their memory goes back on drop.
#[derive(Debug)]
pub struct Admission {
    /// The windows.
    pub windows: Windows,
    debits: (Debit, Option<Debit>),
}

impl Admission {
    /// Gives back what is above narrow windows.
    pub fn narrow(&mut self) {
        self.windows = NARROW;
        self.debits.0.shrink_to(NARROW.memory_bytes());
        self.debits.1 = None;
    }
}

impl WindowGate {
    /// A gate for connections that take their memory from `budget`.
    pub fn new(budget: Arc<Budget>) -> Self {
        let wide = Budget::new(budget.limit_bytes() / WIDE_PART);
        Self { budget, wide }
    }

    /// Wide windows while all of them are within their part of the budget, else narrow ones; `None` when the budget is
    /// used up.
    pub fn admit(&self) -> Option<Admission> {
        self.admit_wide().or_else(|| {
            let debit = self.budget.try_debit(NARROW.memory_bytes())?;
            Some(Admission { windows: NARROW, debits: (debit, None) })
        })
    }

    fn admit_wide(&self) -> Option<Admission> {
        let part = self.wide.try_debit(WIDE.memory_bytes())?;
        let debit = self.budget.try_debit(WIDE.memory_bytes())?;
        Some(Admission { windows: WIDE, debits: (debit, Some(part)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_wide_in_half_of_the_budget_then_narrow_then_none() {
        let budget = Budget::new(4 * WIDE.memory_bytes() + 2 * NARROW.memory_bytes());
        let gate = WindowGate::new(budget.clone());
        let mut admitted: Vec<_> = (0..3).filter_map(|_| gate.admit()).collect();
        let windows: Vec<_> = admitted.iter().map(|admission| admission.windows).collect();
        assert_eq!(windows, [WIDE, WIDE, NARROW]);
        let requests = budget.try_debit(2 * WIDE.memory_bytes()).expect("there");
        admitted.extend(gate.admit());
        assert_eq!((admitted.len(), gate.admit().is_none()), (4, true), "nothing is left");
        admitted.remove(0);
        assert_eq!(gate.admit().map(|admission| admission.windows), Some(WIDE));
        drop((admitted, requests));
        assert_eq!(budget.used_bytes(), 0);
    }
}

//! The one memory budget of a broker: whoever holds client bytes debits it first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A bounded number of bytes, shared by everything that keeps client data in memory.
#[derive(Debug)]
pub struct Budget {
    limit_bytes: u64,
    used_bytes: AtomicU64,
}

impl Budget {
    /// A budget of `limit_bytes`.
    pub fn new(limit_bytes: u64) -> Arc<Self> {
        Arc::new(Self { limit_bytes, used_bytes: AtomicU64::new(0) })
    }

    /// Takes `bytes` out of the budget, or `None` when they are not there. They go back when the debit drops.
    pub fn try_debit(self: &Arc<Self>, bytes: u64) -> Option<Debit> {
        let take = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit_bytes);
        self.used_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .ok()
            .map(|_| Debit { budget: self.clone(), bytes })
    }

    /// Takes as much of `bytes` as is there, which may be nothing.
    pub fn debit_up_to(self: &Arc<Self>, bytes: u64) -> Debit {
        let mut taken = 0;
        let take = |used: u64| {
            taken = bytes.min(self.limit_bytes.saturating_sub(used));
            Some(used + taken)
        };
        let _ = self.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        Debit { budget: self.clone(), bytes: taken }
    }

    /// Bytes taken at this moment.
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// The bound.
    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }
}

/// Bytes taken from a [`Budget`], given back on drop.
#[derive(Debug)]
pub struct Debit {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Debit {
    /// How many.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes in another debit of the same budget.
    pub fn join(&mut self, mut other: Self) {
        debug_assert!(Arc::ptr_eq(&self.budget, &other.budget), "debits of two budgets");
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Takes what is missing to `bytes`, or gives back what is above; `None`, and nothing changes, when it is not there.
    pub fn try_resize(&mut self, bytes: u64) -> Option<()> {
        let missing = self.budget.try_debit(bytes.saturating_sub(self.bytes))?;
        self.join(missing);
        self.shrink_to(bytes);
        Some(())
    }

    /// Gives back what is above `bytes`: less was needed than was taken.
    pub fn shrink_to(&mut self, bytes: u64) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        self.budget.used_bytes.fetch_sub(less, Ordering::Relaxed);
    }
}

impl Drop for Debit {
    fn drop(&mut self) {
        self.budget.used_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debits_never_pass_the_limit_and_come_back() {
        let budget = Budget::new(10);
        let first = budget.try_debit(7).expect("fits");
        assert!(budget.try_debit(4).is_none());
        assert!(budget.try_debit(u64::MAX).is_none());
        let mut second = budget.try_debit(1).expect("fits");
        second.join(first);
        assert_eq!(budget.used_bytes(), 8);
        drop(second);
        assert_eq!(budget.used_bytes(), 0);
        let (some, rest) = (budget.debit_up_to(7), budget.debit_up_to(7));
        assert_eq!((some.bytes(), rest.bytes(), budget.debit_up_to(1).bytes()), (7, 3, 0));
        drop((some, rest));
        let mut all = budget.try_debit(10).expect("fits");
        all.shrink_to(20);
        assert_eq!(budget.used_bytes(), 10);
        all.shrink_to(4);
        assert_eq!(budget.used_bytes(), 4);
        assert!(all.try_resize(11).is_none());
        assert_eq!(budget.used_bytes(), 4);
        for bytes in [10, 3] {
            all.try_resize(bytes).expect("fits");
            assert_eq!((all.bytes(), budget.used_bytes()), (bytes, bytes));
        }
        drop(all);
        assert_eq!(budget.used_bytes(), 0);
    }
}

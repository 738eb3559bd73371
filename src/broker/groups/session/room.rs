//! How much of what a member sent may wait for its answer: bounded in number and in bytes, and taken from the memory budget.

use std::sync::Arc;

use crate::base::budget::{Budget, Debit};

/// Commits that are not answered; beyond, the stream is not read. They are carried out and answered without the client's help, but for
/// its reading.
const COMMITS_MAX: usize = 1_024;

/// Their bytes.
const COMMIT_BYTES_MAX: u64 = 8 << 20;

/// What waits, and its memory.
pub(super) struct Room {
    budget: Arc<Budget>,
    count: usize,
    bytes: u64,
    /// Of these bytes, as many as the budget has.
    debit: Debit,
}

impl Room {
    /// Nothing waits.
    pub(super) fn new(budget: &Arc<Budget>) -> Self {
        Self { budget: budget.clone(), count: 0, bytes: 0, debit: budget.debit_up_to(0) }
    }

    /// Whether more may come: also without any memory, one at a time.
    pub(super) fn is_left(&self) -> bool {
        let is_within = self.count < COMMITS_MAX && self.bytes < COMMIT_BYTES_MAX;
        self.count == 0 || (is_within && self.debit.bytes() >= self.bytes)
    }

    /// One more waits.
    pub(super) fn take(&mut self, bytes: u64) {
        (self.count, self.bytes) = (self.count + 1, self.bytes + bytes);
        self.debit.join(self.budget.debit_up_to(self.bytes - self.debit.bytes()));
    }

    /// One is answered.
    pub(super) fn give_back(&mut self, bytes: u64) {
        (self.count, self.bytes) = (self.count - 1, self.bytes - bytes);
        self.debit.shrink_to(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_by_number_by_bytes_and_by_the_budget_and_comes_back() {
        let budget = Budget::new(10 << 20);
        let mut room = Room::new(&budget);
        for _ in 0..COMMITS_MAX {
            assert!(room.is_left());
            room.take(100);
        }
        assert!(!room.is_left() && budget.used_bytes() == 102_400);
        room.give_back(100);
        assert!(room.is_left());
        for _ in 1..COMMITS_MAX {
            room.give_back(100);
        }
        assert_eq!(budget.used_bytes(), 0);

        room.take(COMMIT_BYTES_MAX);
        assert!(!room.is_left());
        room.give_back(COMMIT_BYTES_MAX);

        let others = budget.debit_up_to(budget.limit_bytes() - 50);
        assert!(room.is_left());
        room.take(40);
        assert!(room.is_left());
        room.take(40);
        assert!(!room.is_left() && budget.used_bytes() == budget.limit_bytes());
        room.give_back(40);
        assert!(room.is_left());
        room.give_back(40);
        room.take(80);
        assert!(!room.is_left(), "the first is taken whatever there is, and nothing beside it");
        drop(others);
        room.give_back(80);
        assert!(room.is_left() && budget.used_bytes() == 0);
    }
}

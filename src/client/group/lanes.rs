//! Records side by side, those of one key one after the other. Pure.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// What is worked on, and what waits for its key.
#[derive(Debug)]
pub(super) struct Lanes<K, T> {
    /// Of each key that is worked on, what waits behind it.
    busy: HashMap<K, VecDeque<T>>,
    /// Free to be worked on, in the order in which they became so.
    ready: VecDeque<(K, T)>,
    running: usize,
    running_max: usize,
    waiting: usize,
}

impl<K: Hash + Eq + Clone, T> Lanes<K, T> {
    /// At most `running_max` at a time.
    pub(super) fn new(running_max: usize) -> Self {
        let running_max = running_max.max(1);
        Self { busy: HashMap::new(), ready: VecDeque::new(), running: 0, running_max, waiting: 0 }
    }

    /// One more; it waits for those of its key before it.
    pub(super) fn push(&mut self, key: K, one: T) {
        self.waiting += 1;
        match self.busy.get_mut(&key) {
            Some(behind) => behind.push_back(one),
            None => {
                self.busy.insert(key.clone(), VecDeque::new());
                self.ready.push_back((key, one));
            }
        }
    }

    /// The next one to be worked on, if there is one and room for it.
    pub(super) fn begin(&mut self) -> Option<(K, T)> {
        if self.running == self.running_max {
            return None;
        }
        let next = self.ready.pop_front()?;
        self.running += 1;
        self.waiting -= 1;
        Some(next)
    }

    /// One that was begun is over: the next of its key is free.
    pub(super) fn end(&mut self, key: K) {
        self.running -= 1;
        let next = self.busy.get_mut(&key).and_then(VecDeque::pop_front);
        match next {
            Some(next) => self.ready.push_back((key, next)),
            None => drop(self.busy.remove(&key)),
        }
    }

    /// Those that were not begun.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_each_key_at_a_time_and_in_order() {
        let mut lanes = Lanes::new(2);
        for (key, number) in [("a", 1), ("a", 2), ("b", 3), ("c", 4)] {
            lanes.push(key, number);
        }
        assert_eq!((lanes.begin(), lanes.begin()), (Some(("a", 1)), Some(("b", 3))));
        assert_eq!((lanes.begin(), lanes.waiting()), (None, 2), "both places are taken");
        lanes.end("b");
        assert_eq!(lanes.begin(), Some(("c", 4)), "the second of a waits for the first");
        lanes.end("a");
        assert_eq!(lanes.begin(), Some(("a", 2)));
        lanes.end("a");
        lanes.end("c");
        assert!(lanes.running == 0 && lanes.busy.is_empty() && lanes.waiting() == 0);
    }
}

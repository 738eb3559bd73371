//! Which reader has which partition, and which of them moved when a reader came or went. Pure.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// Who reads each partition of one topic.
#[derive(Debug)]
pub(super) struct Owners {
    /// The reader of each partition; `None` before the first.
    owners: Vec<Option<usize>>,
    /// Partitions that had a reader when the change began.
    had_reader: BTreeSet<usize>,
    /// Those of them that moved since.
    moved_now: BTreeSet<usize>,
    tally: Tally,
}

/// Partitions that moved to another reader and that stayed where they were, over all changes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Tally {
    pub(super) moved: usize,
    pub(super) stayed: usize,
}

impl Owners {
    /// Of so many partitions, none of which has a reader.
    pub(super) fn new(partitions: i32) -> Self {
        let partitions = usize::try_from(partitions).expect("nothing has less than no partitions");
        Self {
            owners: vec![None; partitions],
            had_reader: BTreeSet::new(),
            moved_now: BTreeSet::new(),
            tally: Tally::default(),
        }
    }

    /// A partition came to a reader. One that comes back to its reader has moved as well: it stood still meanwhile.
    pub(super) fn assign(&mut self, partition: i32, reader: usize) {
        let partition = usize::try_from(partition).expect("the broker counts partitions from 0");
        self.owners[partition] = Some(reader);
        if self.had_reader.contains(&partition) {
            self.moved_now.insert(partition);
        }
    }

    /// Whether these readers have all partitions, each as many as any other or one more.
    pub(super) fn is_settled(&self, readers: &[usize]) -> bool {
        let counts =
            readers.iter().map(|reader| self.owners.iter().filter(|owner| **owner == Some(*reader)).count());
        let counts: Vec<usize> = counts.collect();
        let (least, most) = (counts.iter().min(), counts.iter().max());
        let is_level = least.zip(most).is_some_and(|(least, most)| most - least <= 1);
        is_level && counts.iter().sum::<usize>() == self.owners.len()
    }

    /// Of the partitions that had a reader at the last call, how many moved since, and how many stayed.
    pub(super) fn end_change(&mut self) -> Tally {
        let moved = std::mem::take(&mut self.moved_now).len();
        let change = Tally { moved, stayed: self.had_reader.len() - moved };
        let owned = self.owners.iter().enumerate().filter(|(_, owner)| owner.is_some());
        self.had_reader = owned.map(|(partition, _)| partition).collect();
        self.tally.moved += change.moved;
        self.tally.stayed += change.stayed;
        change
    }

    /// All changes together.
    pub(super) fn tally(&self) -> Tally {
        self.tally
    }
}

impl Tally {
    /// A part of a document.
    pub(super) fn document(self) -> Value {
        json!({ "moved": self.moved, "stayed": self.stayed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newcomer_takes_has_moved_and_the_rest_stayed() {
        let mut owners = Owners::new(3);
        assert!(!owners.is_settled(&[1]));
        (0..3).for_each(|partition| owners.assign(partition, 1));
        assert!(owners.is_settled(&[1]));
        assert_eq!(owners.end_change(), Tally { moved: 0, stayed: 0 });

        assert!(!owners.is_settled(&[1, 2]), "the newcomer has nothing");
        owners.assign(2, 2);
        assert!(owners.is_settled(&[1, 2]));
        assert_eq!(owners.end_change(), Tally { moved: 1, stayed: 2 });

        assert!(!owners.is_settled(&[2]), "two are with a reader that is gone");
        owners.assign(0, 2);
        owners.assign(1, 2);
        assert!(owners.is_settled(&[2]));
        owners.end_change();
        assert_eq!(owners.tally(), Tally { moved: 3, stayed: 3 });
    }

    #[test]
    fn one_without_a_reader_before_the_change_has_not_moved() {
        let mut owners = Owners::new(2);
        for _ in 0..2 {
            (0..2).for_each(|partition| owners.assign(partition, 1));
        }
        assert_eq!(owners.end_change(), Tally { moved: 0, stayed: 0 });
        owners.assign(1, 2);
        assert_eq!(owners.end_change(), Tally { moved: 1, stayed: 1 });
    }

    #[test]
    fn one_that_goes_there_and_back_has_moved() {
        let mut owners = Owners::new(2);
        owners.assign(0, 1);
        owners.assign(1, 2);
        owners.end_change();
        owners.assign(0, 2);
        owners.assign(0, 1);
        assert_eq!(owners.end_change(), Tally { moved: 1, stayed: 1 });
    }
}

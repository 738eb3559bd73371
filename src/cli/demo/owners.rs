//! Which reader has which partition, and which of them moved when a reader came or went. Pure.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// Who reads each partition of one topic.
#[derive(Debug)]
pub(super) struct Owners {
    /// The reader of each partition; `None` before the first.
    owners: Vec<Option<usize>>,
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
        Self { owners: vec![None; partitions], moved_now: BTreeSet::new(), tally: Tally::default() }
    }

    /// A partition came to a reader. One that comes back to its reader has moved as well: it stood still meanwhile.
    pub(super) fn assign(&mut self, partition: i32, reader: usize) {
        let partition = usize::try_from(partition).expect("the broker counts partitions from 0");
        if self.owners[partition].replace(reader).is_some() {
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

    /// How many moved since the last change, and how many stayed; `before` is how many had a reader before it.
    pub(super) fn end_change(&mut self, before: usize) -> Tally {
        let moved = std::mem::take(&mut self.moved_now).len();
        let change = Tally { moved, stayed: before - moved };
        self.tally.moved += change.moved;
        self.tally.stayed += change.stayed;
        change
    }

    /// How many partitions have a reader.
    pub(super) fn owned(&self) -> usize {
        self.owners.iter().flatten().count()
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
        assert_eq!(owners.end_change(0), Tally { moved: 0, stayed: 0 });

        assert!(!owners.is_settled(&[1, 2]), "the newcomer has nothing");
        owners.assign(2, 2);
        assert!(owners.is_settled(&[1, 2]));
        assert_eq!(owners.end_change(3), Tally { moved: 1, stayed: 2 });

        assert!(!owners.is_settled(&[2]), "two are with a reader that is gone");
        owners.assign(0, 2);
        owners.assign(1, 2);
        assert!(owners.is_settled(&[2]));
        owners.end_change(3);
        assert_eq!(owners.tally(), Tally { moved: 3, stayed: 3 });
    }

    #[test]
    fn one_that_goes_there_and_back_has_moved() {
        let mut owners = Owners::new(2);
        owners.assign(0, 1);
        owners.assign(1, 2);
        owners.end_change(0);
        owners.assign(0, 2);
        owners.assign(0, 1);
        assert_eq!(owners.end_change(2), Tally { moved: 1, stayed: 1 });
    }
}

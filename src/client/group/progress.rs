//! How far the application got in one partition, and so what may be committed. Pure.

use std::collections::BTreeMap;

use crate::base::{LeaderEpoch, Offset};

/// A place in a partition: everything below the offset is done. The epoch is that of the record before it, where that is known.
pub(super) type Place = (Offset, Option<LeaderEpoch>);

/// Records that were given out, and what became of them. What may be committed is the lowest record that is not finished: whoever
/// reads on from there misses nothing.
#[derive(Debug)]
pub(super) struct Progress {
    /// Behind the last record that was given out.
    given: Place,
    /// Given out and not finished.
    open: BTreeMap<Offset, Open>,
    /// Where giving out began.
    first: Offset,
}

#[derive(Debug)]
struct Open {
    /// Epoch of the record before it.
    epoch_before: Option<LeaderEpoch>,
    /// Whether somebody works on it.
    is_started: bool,
}

impl Progress {
    /// Nothing was given out yet; the first record comes at or behind `offset`.
    pub(super) fn new(offset: Offset) -> Self {
        Self { given: (offset, None), open: BTreeMap::new(), first: offset }
    }

    /// A record is given out, and in work at once where `is_started`.
    pub(super) fn give(&mut self, offset: Offset, epoch: LeaderEpoch, is_started: bool) {
        self.open.insert(offset, Open { epoch_before: self.given.1, is_started });
        self.given = (offset + 1, Some(epoch));
    }

    /// Work on a record begins. False when it is not to be worked on any more.
    pub(super) fn start(&mut self, offset: Offset) -> bool {
        self.open.get_mut(&offset).map(|open| open.is_started = true).is_some()
    }

    /// A record is finished; one that is not open changes nothing.
    pub(super) fn finish(&mut self, offset: Offset) {
        self.open.remove(&offset);
    }

    /// Offsets up to `offset` hold no records for a reader.
    pub(super) fn skip_to(&mut self, offset: Offset, epoch: Option<LeaderEpoch>) {
        if offset > self.given.0 {
            self.given = (offset, epoch.or(self.given.1));
        }
    }

    /// Reading goes on elsewhere: what was given out before counts no more.
    pub(super) fn seek(&mut self, offset: Offset, epoch: Option<LeaderEpoch>) {
        self.open.clear();
        self.given = (offset, epoch);
        self.first = self.first.min(offset);
    }

    /// What may be committed.
    pub(super) fn done(&self) -> Place {
        match self.open.first_key_value() {
            Some((offset, open)) => (*offset, open.epoch_before),
            None => self.given,
        }
    }

    /// Behind everything that was given out, finished or not.
    pub(super) fn given(&self) -> Place {
        self.given
    }

    /// Whether the record at `offset` was given out.
    pub(super) fn has_given(&self, offset: Offset) -> bool {
        (self.first..self.given.0).contains(&offset)
    }

    /// The first record that is being worked on.
    pub(super) fn first_in_work(&self) -> Option<Offset> {
        self.open.iter().find(|(_, open)| open.is_started).map(|(offset, _)| *offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_unfinished_record_holds_the_commit() {
        let mut progress = Progress::new(10);
        assert_eq!(progress.done(), (10, None));
        for (offset, epoch) in [(10, 1), (12, 1), (13, 2)] {
            progress.give(offset, epoch, true);
        }
        progress.finish(12);
        assert_eq!(progress.done(), (10, None), "the first is not finished");
        progress.finish(10);
        assert_eq!(progress.done(), (13, Some(1)));
        progress.finish(13);
        assert_eq!(progress.done(), (14, Some(2)));
        progress.skip_to(20, None);
        assert_eq!(progress.done(), (20, Some(2)), "nothing is between");
    }

    #[test]
    fn what_nobody_began_is_not_in_work_but_holds_the_commit() {
        let mut progress = Progress::new(0);
        progress.give(0, 0, false);
        progress.give(1, 0, false);
        assert!(progress.start(0) && !progress.start(7));
        assert_eq!(progress.first_in_work(), Some(0));
        progress.finish(0);
        assert_eq!((progress.first_in_work(), progress.done().0), (None, 1));
    }

    #[test]
    fn a_seek_forgets_what_was_open() {
        let mut progress = Progress::new(5);
        progress.give(5, 0, true);
        progress.seek(2, None);
        progress.finish(5);
        assert_eq!(progress.done(), (2, None));
        assert!(!progress.has_given(2));
        progress.give(2, 0, true);
        assert!(progress.has_given(2) && !progress.has_given(5));
    }
}

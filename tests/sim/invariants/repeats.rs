//! A member begins at the last committed offset: what is worked on again lies behind it, and nothing before it.
//!
//! Source: Kafka's consumer position; G5.

use std::collections::{BTreeMap, BTreeSet};

use weir::base::{Offset, TopicPartition};

use super::{Checked, Invariant, ensure};
use crate::event::{Event, GroupPlace};

#[derive(Default)]
pub(super) struct Repeats {
    committed: BTreeMap<GroupPlace, Offset>,
    /// How far members have read since they began.
    reads: BTreeMap<GroupPlace, Offset>,
    /// Of topics that are gone nothing is committed any more.
    gone: BTreeSet<TopicPartition>,
}

impl Invariant for Repeats {
    fn see(&mut self, event: &Event) -> Checked {
        match event {
            Event::Committed { place, offset, .. } => drop(self.committed.insert(place.clone(), *offset)),
            Event::Forgotten { place } => drop(self.committed.remove(place)),
            Event::Gone { place } => {
                self.gone.insert(*place);
            }
            Event::Begun { place, offset, committed, .. } => {
                let last = self.committed.get(place).copied().filter(|_| !self.gone.contains(&place.1));
                ensure!(*committed == last, "{place:?} begins at {committed:?}, {last:?} is committed");
                let from = last.unwrap_or(0);
                ensure!(*offset >= from, "{place:?} begins at {offset}, {from} is committed");
                self.reads.insert(place.clone(), *offset);
            }
            Event::Skipped { place, to } => drop(self.reads.insert(place.clone(), *to)),
            Event::Processed { place, offset, .. } => {
                let at = self.reads.get(place).copied().unwrap_or(0);
                ensure!(*offset == at, "{place:?}: {offset} is worked on where {at} is due");
                self.reads.insert(place.clone(), offset + 1);
            }
            _ => {}
        }
        Ok(())
    }
}

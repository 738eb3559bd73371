//! The first time, a group works on the records of a partition in their order and leaves none out: at least once, in order
//! for each key.
//!
//! Source: Jepsen's Kafka workload, "poll-skip" and "nonmonotonic-poll"; G9.

use std::collections::BTreeMap;

use weir::base::Offset;

use super::{Checked, Invariant, ensure};
use crate::event::{Event, GroupPlace};

#[derive(Default)]
pub(super) struct Order {
    /// Offset that nobody in the group has worked on yet.
    next: BTreeMap<GroupPlace, Offset>,
}

impl Invariant for Order {
    fn see(&mut self, event: &Event) -> Checked {
        match event {
            // Where a group begins, the first time.
            Event::Committed { place, offset, commit: None } => {
                self.next.entry(place.clone()).or_insert(*offset);
            }
            Event::Skipped { place, to } => {
                let next = self.next.entry(place.clone()).or_default();
                *next = (*next).max(*to);
            }
            Event::Processed { place, offset, .. } => {
                let next = self.next.entry(place.clone()).or_default();
                ensure!(offset <= next, "{place:?}: {offset} is worked on, {next} was not");
                *next = (*next).max(offset + 1);
            }
            _ => {}
        }
        Ok(())
    }
}

//! A commit that was accepted is in the durable log of the coordinator (G4): no restart takes it back.
//!
//! Source: Kafka's `CoordinatorRuntime`, replies behind the high watermark.

use std::collections::BTreeSet;

use super::{Checked, Invariant, ensure};
use crate::event::Event;

#[derive(Default)]
pub(super) struct DurableCommits {
    stored: BTreeSet<u64>,
}

impl Invariant for DurableCommits {
    fn see(&mut self, event: &Event) -> Checked {
        match event {
            Event::Committed { commit: Some(commit), .. } => drop(self.stored.insert(*commit)),
            Event::CommitAccepted { commit } => {
                ensure!(self.stored.contains(commit), "commit {commit} was accepted and is not in the log");
            }
            _ => {}
        }
        Ok(())
    }
}

//! A partition of a group has one owner at a time and in each epoch, and epochs rise from owner to owner (G1).
//!
//! Source: KIP-848, "assignment epoch"; Kafka's `ConsumerGroup.addPartitionEpochs`.

use std::collections::BTreeMap;

use super::{Checked, Invariant, ensure};
use crate::event::{Event, GroupPlace, Owner};

#[derive(Default)]
pub(super) struct Owners {
    last: BTreeMap<GroupPlace, Owner>,
    now: BTreeMap<GroupPlace, Owner>,
}

impl Invariant for Owners {
    fn see(&mut self, event: &Event) -> Checked {
        if let Event::Ended { group } = event {
            // A group of that name that comes later begins at epoch 1 again.
            self.last.retain(|place, _| place.0 != *group);
        }
        let Event::Owned { place, owner } = event else { return Ok(()) };
        let Some(owner) = owner else {
            self.now.remove(place);
            return Ok(());
        };
        let before = self.now.insert(place.clone(), owner.clone());
        ensure!(
            before.as_ref().is_none_or(|before| before.0 == owner.0),
            "{place:?} goes from {before:?} to {owner:?}, and nobody let go"
        );
        let last = self.last.insert(place.clone(), owner.clone());
        let rises = last.as_ref().is_none_or(|last| last == owner || last.1 < owner.1);
        ensure!(rises, "{place:?} goes to {owner:?} after {last:?}");
        Ok(())
    }
}

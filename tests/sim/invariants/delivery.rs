//! Records go to the owner of their partition only, and only in the epoch in which it owns it.
//!
//! Source: KIP-848; Jepsen's Kafka workload calls the opposite a delivery to a zombie.

use std::collections::BTreeMap;

use super::{Checked, Invariant, ensure};
use crate::event::{Event, GroupPlace, Owner};

#[derive(Default)]
pub(super) struct Delivery {
    owners: BTreeMap<GroupPlace, Owner>,
}

impl Invariant for Delivery {
    fn see(&mut self, event: &Event) -> Checked {
        match event {
            Event::Owned { place, owner: Some(owner) } => {
                drop(self.owners.insert(place.clone(), owner.clone()))
            }
            Event::Owned { place, owner: None } => drop(self.owners.remove(place)),
            Event::Begun { place, owner, .. } | Event::Processed { place, owner, .. } => {
                let current = self.owners.get(place);
                ensure!(current == Some(owner), "{owner:?} reads {place:?}, which {current:?} owns");
            }
            _ => {}
        }
        Ok(())
    }
}

//! A committed offset changes only by a commit of the partition's owner, and never moves back (G2, G3).
//!
//! Source: KIP-848 and KIP-447, fencing of commits; `docs/explanation/groups.md`.

use std::collections::BTreeMap;

use weir::base::Offset;

use super::{Checked, Invariant, ensure};
use crate::event::{Event, GroupPlace, OUTSIDER, Owner};

#[derive(Default)]
pub(super) struct Commits {
    owners: BTreeMap<GroupPlace, Owner>,
    asked: BTreeMap<(u64, GroupPlace), (Owner, Offset)>,
    committed: BTreeMap<GroupPlace, Offset>,
}

impl Invariant for Commits {
    fn see(&mut self, event: &Event) -> Checked {
        match event {
            Event::Owned { place, owner: Some(owner) } => {
                drop(self.owners.insert(place.clone(), owner.clone()))
            }
            Event::Owned { place, owner: None } => drop(self.owners.remove(place)),
            Event::Commits { commit, place, owner, offset } => {
                self.asked.insert((*commit, place.clone()), (owner.clone(), *offset));
            }
            Event::Committed { place, offset, commit } => return self.commit(place, *offset, *commit),
            Event::Forgotten { place } => drop(self.committed.remove(place)),
            _ => {}
        }
        Ok(())
    }
}

impl Commits {
    fn commit(&mut self, place: &GroupPlace, offset: Offset, commit: Option<u64>) -> Checked {
        let before = self.committed.insert(place.clone(), offset);
        let Some(commit) = commit else {
            ensure!(before.is_none(), "{place:?} begins at {offset} though {before:?} was committed");
            return Ok(());
        };
        let Some((owner, asked)) = self.asked.get(&(commit, place.clone())) else {
            return Err(format!("{place:?}: nobody asked for commit {commit} of {offset}"));
        };
        ensure!(*asked == offset, "{place:?}: commit {commit} is of {asked}, {offset} is stored");
        if owner.0.as_str() == OUTSIDER {
            let member = self.owners.iter().find(|(owned, _)| owned.0 == place.0);
            ensure!(member.is_none(), "{place:?} is set to {offset} from outside, and {member:?} is there");
            return Ok(());
        }
        let current = self.owners.get(place);
        ensure!(current == Some(owner), "{place:?}: commit {commit} of {owner:?}, but {current:?} owns it");
        ensure!(
            before.is_none_or(|before| before <= offset),
            "{place:?} goes back from {before:?} to {offset}"
        );
        Ok(())
    }
}

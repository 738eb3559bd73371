//! No acknowledged record is lost, changed or stored twice, and none that was called `not written` is stored.
//!
//! Source: `docs/GUARANTEES.md`; KIP-98 for idempotent producers.

use std::collections::{BTreeMap, BTreeSet};

use weir::base::{Offset, TopicPartition};

use super::{Checked, Invariant, ensure};
use crate::event::Event;

#[derive(Default)]
pub(super) struct Records {
    acknowledged: BTreeMap<TopicPartition, BTreeMap<Offset, u64>>,
    not_written: BTreeSet<u64>,
    removed: BTreeMap<TopicPartition, Offset>,
    stored: BTreeMap<TopicPartition, BTreeMap<Offset, u64>>,
    compacted: BTreeSet<TopicPartition>,
}

impl Invariant for Records {
    fn see(&mut self, event: &Event) -> Checked {
        match event {
            Event::Acknowledged { place, offset, value, .. } => {
                let before = self.acknowledged.entry(*place).or_default().insert(*offset, *value);
                ensure!(
                    before.is_none_or(|before| before == *value),
                    "{place} offset {offset} was given to {before:?} and {value}"
                );
            }
            Event::NotWritten { value, .. } => drop(self.not_written.insert(*value)),
            Event::Removed { place, below } => {
                let removed = self.removed.entry(*place).or_default();
                *removed = (*removed).max(*below);
            }
            Event::Gone { place } => drop(self.acknowledged.remove(place)),
            Event::Stored { place, offset, value, is_compacted, .. } => {
                if *is_compacted {
                    self.compacted.insert(*place);
                } else if let Some(value) = value {
                    return self.store(*place, *offset, *value);
                }
            }
            Event::End => return self.end(),
            _ => {}
        }
        Ok(())
    }
}

impl Records {
    fn store(&mut self, place: TopicPartition, offset: Offset, value: u64) -> Checked {
        ensure!(
            !self.not_written.contains(&value),
            "{place} offset {offset}: {value} was called not written"
        );
        let stored = self.stored.entry(place).or_default();
        ensure!(
            !stored.values().any(|other| *other == value),
            "{place} offset {offset}: {value} a second time"
        );
        stored.insert(offset, value);
        Ok(())
    }

    fn end(&self) -> Checked {
        for (place, acknowledged) in
            self.acknowledged.iter().filter(|(place, _)| !self.compacted.contains(place))
        {
            let from = self.removed.get(place).copied().unwrap_or(0);
            for (offset, value) in acknowledged.range(from..) {
                let stored = self.stored.get(place).and_then(|stored| stored.get(offset));
                ensure!(
                    stored == Some(value),
                    "{place} offset {offset}: {value} was acknowledged, {stored:?} is there"
                );
            }
        }
        Ok(())
    }
}

//! A compacted partition ends with the newest acknowledged value of each key, or one that was sent after it.
//!
//! Source: `docs/explanation`, KIP-71; the offsets log itself is held to [`replay`](super::replay).

use std::collections::BTreeMap;

use weir::base::{Offset, TopicPartition};

use super::{Checked, Invariant, ensure};
use crate::event::Event;

#[derive(Default)]
pub(super) struct Compaction {
    /// The newest acknowledged record of each key.
    newest: BTreeMap<(TopicPartition, u32), (Offset, u64)>,
    /// The newest tombstone that was sent for each key: what became of it may be unknown.
    tombstones: BTreeMap<(TopicPartition, u32), u64>,
    stored: BTreeMap<(TopicPartition, u32), (Offset, Option<u64>)>,
}

impl Invariant for Compaction {
    fn see(&mut self, event: &Event) -> Checked {
        match event {
            Event::Sent { place, key, value } if is_tombstone(*value) => {
                self.tombstones.insert((*place, *key), *value);
            }
            Event::Acknowledged { place, offset, key, value } => {
                let newest = self.newest.entry((*place, *key)).or_insert((*offset, *value));
                *newest = (*newest).max((*offset, *value));
            }
            Event::Stored { place, offset, key, value, is_compacted: true } => {
                self.stored.insert((*place, *key), (*offset, *value));
            }
            Event::End => return self.end(),
            _ => {}
        }
        Ok(())
    }
}

impl Compaction {
    fn end(&self) -> Checked {
        let places: Vec<TopicPartition> = self.stored.keys().map(|(place, _)| *place).collect();
        for ((place, key), (offset, value)) in
            self.newest.iter().filter(|((place, _), _)| places.contains(place))
        {
            // A tombstone may have taken itself away as well.
            let may_be_gone =
                self.tombstones.get(&(*place, *key)).is_some_and(|tombstone| tombstone >= value);
            let stored = self.stored.get(&(*place, *key));
            let expected = if is_tombstone(*value) { None } else { Some(*value) };
            let holds = match stored {
                None => may_be_gone,
                Some((at, _)) if at > offset => true,
                Some((at, stored)) => at == offset && *stored == expected,
            };
            ensure!(
                holds,
                "{place} key {key}: {value} was acknowledged at {offset} last, {stored:?} is there"
            );
        }
        Ok(())
    }
}

/// Whether a record of a compacted topic is sent without its value: one of four.
pub(crate) fn is_tombstone(value: u64) -> bool {
    value % 4 == 3
}

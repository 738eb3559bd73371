//! Which leader epoch begins at which offset.
//!
//! Checkpoint file `leader-epochs` (see [`super::flush::checkpoint`], magic `WEIREPOC`); its body is, big-endian, behind the log's id, for each epoch 4
//! bytes epoch and 8 bytes first offset, both rising. It can be rebuilt from the batches. Source: KIP-101; Kafka `LeaderEpochFileCache`.

use crate::base::offset::NO_EPOCH;
use crate::base::{LeaderEpoch, Offset};

/// The epochs of one log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EpochCache {
    entries: Vec<(LeaderEpoch, Offset)>,
}

impl EpochCache {
    /// Notes that `epoch` begins at `offset`. Returns whether anything changed; an epoch at or below the last one changes nothing. Epochs
    /// that begin at or after `offset` hold no record and go.
    pub fn begin(&mut self, epoch: LeaderEpoch, offset: Offset) -> bool {
        if self.last_epoch() >= epoch {
            return false;
        }
        self.entries.retain(|(_, start)| *start < offset);
        self.entries.push((epoch, offset));
        true
    }

    /// Notes that what begins at `offset` was written under `epoch`, whatever was noted for that and what follows.
    pub fn replace_from(&mut self, epoch: LeaderEpoch, offset: Offset) {
        self.entries.retain(|(before, start)| *start < offset && *before < epoch);
        self.entries.push((epoch, offset));
    }

    /// The newest epoch, −1 when there is none.
    pub fn last_epoch(&self) -> LeaderEpoch {
        self.entries.last().map_or(NO_EPOCH, |entry| entry.0)
    }

    /// The epoch of the record at `offset`; `None` where the log remembers none.
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        let behind = self.entries.partition_point(|(_, start)| *start <= offset);
        Some(self.entries[behind.checked_sub(1)?].0)
    }

    /// The largest epoch not above `asked`, and the offset at which it ends; (−1, log start) when all are above.
    pub fn end_of(&self, asked: LeaderEpoch, log_start: Offset, log_end: Offset) -> (LeaderEpoch, Offset) {
        let next = self.entries.partition_point(|(epoch, _)| *epoch <= asked);
        let end = self.entries.get(next).map_or(log_end, |entry| entry.1);
        match next.checked_sub(1) {
            Some(found) => (self.entries[found].0, end),
            None => (NO_EPOCH, if self.entries.is_empty() { log_start } else { end }),
        }
    }

    /// Forgets epochs that begin beyond the log end, after the log was cut there.
    pub fn cut(&mut self, log_end: Offset) {
        self.entries.retain(|(_, start)| *start < log_end || (*start == 0 && log_end == 0));
    }

    /// The body of the checkpoint.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.len() * 12);
        for (epoch, offset) in &self.entries {
            out.extend_from_slice(&epoch.to_be_bytes());
            out.extend_from_slice(&offset.to_be_bytes());
        }
        out
    }

    /// Reads the body of the checkpoint; `None` when it is not one.
    pub fn decode(body: &[u8]) -> Option<Self> {
        if !body.len().is_multiple_of(12) {
            return None;
        }
        let mut entries: Vec<(LeaderEpoch, Offset)> = Vec::new();
        for entry in body.chunks_exact(12) {
            let epoch = i32::from_be_bytes(entry[..4].try_into().ok()?);
            let offset = i64::from_be_bytes(entry[4..].try_into().ok()?);
            if entries.last().is_some_and(|last| epoch <= last.0 || offset < last.1) {
                return None;
            }
            entries.push((epoch, offset));
        }
        Some(Self { entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        let mut cache = EpochCache::default();
        assert_eq!(cache.end_of(3, 0, 9), (NO_EPOCH, 0));
        assert!(cache.begin(2, 0) && cache.begin(5, 10) && !cache.begin(5, 20) && !cache.begin(4, 20));
        assert_eq!(cache.end_of(2, 0, 30), (2, 10));
        assert_eq!(cache.end_of(4, 0, 30), (2, 10));
        assert_eq!(cache.end_of(5, 0, 30), (5, 30));
        assert_eq!(cache.end_of(1, 0, 30), (NO_EPOCH, 0));
        assert_eq!([9, 10, 11].map(|offset| cache.epoch_of(offset)), [Some(2), Some(5), Some(5)]);
        assert_eq!(EpochCache::decode(&cache.encode()), Some(cache.clone()));
        assert!(cache.begin(6, 10), "an epoch without records gives way");
        assert_eq!(cache.end_of(5, 0, 30), (2, 10));
    }

    #[test]
    fn cutting_forgets_epochs_beyond_the_end() {
        let mut cache = EpochCache::default();
        cache.begin(1, 0);
        cache.begin(2, 10);
        cache.cut(10);
        assert_eq!(cache.last_epoch(), 1);
        assert_eq!(EpochCache::decode(&[0; 13]), None);
    }
}

//! A partition: one log and the role of this replica. The one append and the one read of the system.
//!
//! There is one replica so far, which leads.

use std::sync::Arc;

use crate::base::budget::Debit;
use crate::base::{
    LeaderEpoch, Offset, Timestamp, TopicId, TopicPartition,
    offset::{NO_EPOCH, NO_OFFSET},
};
use crate::config::TopicConfig;
use crate::log::{
    FoundOffset, LogOffsets, LogSize, LogSlice, MarkWait, PartitionLog, ReadError, SegmentFacts, Ticket, Wait,
};
use crate::metrics::TopicCounters;
use crate::record::ValidBatch;

/// The reader's place names records that are not in the log: what it read there is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Diverged {
    /// The largest epoch up to the asked one that has records.
    pub epoch: LeaderEpoch,
    /// Where that epoch ends: what was read below is still there.
    pub end: Offset,
}

/// The partition has another topic id than the one that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WrongTopicId {
    /// The id of the living topic.
    pub current: TopicId,
}

/// One partition that this broker leads. Cheap to share; no method but those that say so blocks.
pub struct Partition {
    topic: Arc<str>,
    log: Arc<PartitionLog>,
    counters: Arc<TopicCounters>,
}

impl Partition {
    /// A partition of the named topic, which counts into `counters`.
    pub fn new(topic: Arc<str>, log: Arc<PartitionLog>, counters: Arc<TopicCounters>) -> Arc<Self> {
        Arc::new(Self { topic, log, counters })
    }

    /// Name of the topic.
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// What was written to its topic and read from it.
    pub fn counters(&self) -> &TopicCounters {
        &self.counters
    }

    /// Bytes that are written and not yet synced.
    pub fn unsynced_bytes(&self) -> u64 {
        self.log.unsynced_bytes()
    }

    /// Its identity.
    pub fn id(&self) -> TopicPartition {
        self.log.id()
    }

    /// Its settings at this moment.
    pub fn config(&self) -> Arc<TopicConfig> {
        self.log.config()
    }

    /// Changes its settings.
    pub fn set_config(&self, config: TopicConfig) {
        self.log.set_config(config);
    }

    /// Appends a validated batch. The ticket gives its offsets once it is written, which is not yet committed:
    /// see [`Self::committed`]. `debit` is the memory that the batch takes, held until it is answered.
    pub fn append(&self, batch: ValidBatch, debit: Option<Arc<Debit>>) -> Ticket {
        self.log.append_debited(batch, debit)
    }

    /// Resolves when the record at `last_offset` is committed: on every in-sync replica, as durable as the topic asks.
    pub fn committed(&self, last_offset: Offset) -> MarkWait {
        self.log.wait_high_watermark(last_offset.saturating_add(1))
    }

    /// Resolves when the high watermark is at least `at_least`: when there is more to read.
    pub fn readable(&self, at_least: Offset) -> MarkWait {
        self.log.wait_high_watermark(at_least)
    }

    /// Reads whole committed batches from `from` on: at least one if there is one, else at most `max_bytes`. Blocks only
    /// with [`Wait::Allowed`].
    pub fn read(&self, from: Offset, max_bytes: usize, wait: Wait) -> Result<LogSlice, ReadError> {
        self.log.read(from, self.log.offsets().high_watermark, max_bytes, wait)
    }

    /// The first committed record with a timestamp of at least `at`. May block.
    pub fn offset_for_timestamp(&self, at: Timestamp) -> Result<Option<FoundOffset>, ReadError> {
        self.log.offset_for_timestamp(at)
    }

    /// The first record with the greatest timestamp. May block.
    pub fn offset_of_max_timestamp(&self) -> Result<Option<FoundOffset>, ReadError> {
        self.log.offset_of_max_timestamp()
    }

    /// Its marks.
    pub fn offsets(&self) -> LogOffsets {
        self.log.offsets()
    }

    /// Its leader epoch.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.log.leader_epoch()
    }

    /// Segments and bytes on disk.
    pub fn size(&self) -> LogSize {
        self.log.size()
    }

    /// Facts of at most `max` segments, from the first one that begins at or after `from`. May block.
    pub fn segment_facts(&self, from: Offset, max: usize) -> Result<Vec<SegmentFacts>, ReadError> {
        self.log.segment_facts(from, max)
    }

    /// Why it takes no appends any more, if so.
    pub fn offline_reason(&self) -> Option<String> {
        self.log.offline_reason()
    }

    /// Removes records below `to`, after the trim command is durable, and gives the new log start. May block.
    pub fn trim(&self, to: Offset) -> Result<Offset, ReadError> {
        self.log.trim(to)
    }

    /// Whether this is the topic that the caller means; without an id, it is.
    pub fn check_id(&self, asked: Option<TopicId>) -> Result<(), WrongTopicId> {
        let current = self.id().topic_id;
        match asked {
            Some(id) if id != current => Err(WrongTopicId { current }),
            _ => Ok(()),
        }
    }

    /// Whether what a reader saw below `offset`, last under `epoch`, is still what the log holds; without an epoch
    /// (or with −1) nothing can be said against it.
    pub fn check_cursor(&self, offset: Offset, epoch: Option<LeaderEpoch>) -> Result<(), Diverged> {
        match epoch {
            None | Some(NO_EPOCH) => Ok(()),
            Some(asked) => judge_cursor(offset, asked, self.leader_epoch(), self.log.end_of_epoch(asked)),
        }
    }
}

/// `known` is the largest epoch up to `asked` that has records, and its end; −1 where the log remembers none.
fn judge_cursor(
    offset: Offset,
    asked: LeaderEpoch,
    current: LeaderEpoch,
    known: (LeaderEpoch, Offset),
) -> Result<(), Diverged> {
    let (epoch, end) = known;
    // WHY: an epoch above the current one was given out by a log that held more than this one does, such as one
    // that was restored from a copy since.
    let is_known = end != NO_OFFSET;
    if asked > current || (is_known && offset > end) { Err(Diverged { epoch, end }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_judged_by_the_end_of_their_epoch() {
        let diverged = |epoch, end| Err(Diverged { epoch, end });
        assert_eq!(judge_cursor(10, 3, 3, (3, 10)), Ok(()), "at the end");
        assert_eq!(judge_cursor(12, 2, 3, (2, 10)), diverged(2, 10), "read what was lost");
        assert_eq!(judge_cursor(10, 2, 3, (1, 10)), Ok(()), "epoch 2 wrote nothing");
        assert_eq!(judge_cursor(5, 1, 3, (-1, NO_OFFSET)), Ok(()), "all of epoch 1 was trimmed away");
        assert_eq!(judge_cursor(5, 9, 3, (3, 10)), diverged(3, 10), "an epoch that never was");
    }
}

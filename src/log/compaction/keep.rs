//! What stays of each batch.
//!
//! The newest record of each key stays, a tombstone until its delete horizon. What is transactional or a control batch stays as it
//! is: only who knows how a transaction ended can say more. The last batch of each producer stays, without records if need be, so that
//! its sequences can be told from the log. Source: Kafka `Cleaner`, KIP-534.

use std::collections::HashMap;

use super::offset_map::OffsetMap;
use crate::base::{Offset, Timestamp};
use crate::record::{BatchError, BatchHeader, RecordBatch, RecordView, Retained, retain};

/// The rules of one stretch of a pass.
pub(super) struct Keeper<'a> {
    /// The newest offsets of the keys below `until`.
    pub(super) newest: &'a OffsetMap,
    /// Records from here on stay.
    pub(super) until: Offset,
    /// The broker's time.
    pub(super) now_ms: Timestamp,
    /// When tombstones that are met for the first time may go.
    pub(super) horizon_ms: Timestamp,
    /// Where the last batch of each producer ends; `None`: not known.
    pub(super) producers: &'a HashMap<i64, Option<Offset>>,
}

/// What was decided of a batch.
pub(super) struct Verdict {
    /// What stays of its records.
    pub(super) retained: Retained,
    /// How many go.
    pub(super) removed: u64,
    /// When the first of its tombstones may go, if it has any.
    pub(super) horizon_ms: Option<Timestamp>,
}

impl Keeper<'_> {
    /// Decides; without `may_grow` nothing gets a horizon. Cost: unpacks the batch. Errors: it can't be read.
    pub(super) fn judge(&self, batch: &RecordBatch, may_grow: bool) -> Result<Verdict, BatchError> {
        let header = batch.header();
        if header.is_control() || header.is_transactional() || header.base_offset >= self.until {
            return Ok(Verdict { retained: Retained::Whole, removed: 0, horizon_ms: None });
        }
        let stamp = (may_grow && header.last_offset() < self.until).then_some(self.horizon_ms);
        let (mut removed, mut tombstones) = (0, 0);
        let retained = retain(batch, stamp, &mut |record| {
            let stays = self.keeps(header, record);
            removed += u64::from(!stays);
            tombstones += u64::from(stays && record.is_tombstone());
            stays
        })?;
        let horizon_ms = (tombstones > 0).then(|| horizon_of(header, &retained));
        Ok(Verdict { retained, removed, horizon_ms })
    }

    fn keeps(&self, header: &BatchHeader, record: &RecordView<'_>) -> bool {
        if record.offset >= self.until {
            return true;
        }
        let Some(key) = record.key else { return false };
        let is_newest = self.newest.get(key).is_none_or(|newest| newest <= record.offset);
        let is_gone = record.is_tombstone() && header.delete_horizon().is_some_and(|at| at <= self.now_ms);
        is_newest && !is_gone
    }

    /// Whether this batch tells the last sequence of its producer.
    pub(super) fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        let Some(last) = self.producers.get(&header.producer_id) else { return false };
        header.has_producer() && last.is_none_or(|last| header.last_offset() >= last)
    }
}

/// The horizon of what stays; one that got none is asked again by the next pass only.
fn horizon_of(header: &BatchHeader, retained: &Retained) -> Timestamp {
    let after = match retained {
        Retained::Rewritten(bytes) => BatchHeader::read(bytes).and_then(|after| after.delete_horizon()),
        _ => header.delete_horizon(),
    };
    after.unwrap_or(Timestamp::MAX)
}

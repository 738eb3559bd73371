//! Takes records out of a stored batch, as compaction does. Everything else of the batch stays: offsets, producer, sequences, codec.
//!
//! A delete horizon says when the tombstones of a batch may go. It takes the place of the base timestamp, so the timestamp deltas
//! of the records are written anew. Source: Kafka `MemoryRecords.filterTo`, KIP-534.

use std::ops::Range;

use super::batch::{BatchError, RecordBatch, codec_of};
use super::builder::seal;
use super::header::{BatchHeader, CODEC_MASK, DELETE_HORIZON_BIT, HEADER_BYTES};
use super::iter::{RecordFault, RecordView};
use crate::base::Timestamp;
use crate::base::limits::{BATCH_BYTES_MAX, DECOMPRESSED_BYTES_MAX};
use crate::base::time::NO_TIMESTAMP;
use crate::base::varint::{read_varint, read_varlong, varlong_bytes, write_varlong};

/// What is left of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Retained {
    /// All of it, as it is stored.
    Whole,
    /// Other bytes.
    Rewritten(Vec<u8>),
    /// No record.
    Nothing,
}

/// The records that stay, and what is true of them.
struct Kept {
    /// Their bytes among those of all records; neighbours are one range.
    ranges: Vec<Range<usize>>,
    count: i32,
    max_timestamp: Timestamp,
    has_tombstone: bool,
}

/// Keeps the records for which `keep` says so. Where a tombstone stays in a batch without a delete horizon, the batch gets `horizon_ms`,
/// unless that would make it longer than a batch may be.
///
/// Cost: unpacks the records; copies and packs them when something changes.
/// Errors: the records can't be unpacked or read.
pub fn retain(
    batch: &RecordBatch,
    horizon_ms: Option<Timestamp>,
    keep: &mut dyn FnMut(&RecordView<'_>) -> bool,
) -> Result<Retained, BatchError> {
    let (header, records) = (*batch.header(), batch.records(DECOMPRESSED_BYTES_MAX)?);
    let plain = records.bytes();
    let mut kept = Kept { ranges: Vec::new(), count: 0, max_timestamp: NO_TIMESTAMP, has_tombstone: false };
    let mut records = records.iter();
    loop {
        let from = plain.len() - records.left_bytes();
        let Some(record) = records.next() else { break };
        let record = record?;
        if keep(&record) {
            kept.add(from..plain.len() - records.left_bytes(), &record);
        }
    }
    let stamp = horizon_ms.filter(|_| kept.has_tombstone && header.delete_horizon().is_none());
    if let Some(horizon_ms) = stamp {
        let stamped = kept.stamped(&header, plain, horizon_ms)?;
        if stamped.len() <= BATCH_BYTES_MAX.max(batch.bytes().len()) {
            return Ok(Retained::Rewritten(stamped));
        }
    }
    Ok(match kept.count {
        0 => Retained::Nothing,
        count if count == header.record_count => Retained::Whole,
        _ => {
            let parts: Vec<&[u8]> = kept.ranges.iter().map(|range| &plain[range.clone()]).collect();
            Retained::Rewritten(kept.packed(header, &parts.concat())?)
        }
    })
}

impl Kept {
    fn add(&mut self, range: Range<usize>, record: &RecordView<'_>) {
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.ranges.push(range),
        }
        self.count += 1;
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        self.has_tombstone |= record.is_tombstone();
    }

    fn stamped(
        &self,
        header: &BatchHeader,
        plain: &[u8],
        horizon_ms: Timestamp,
    ) -> Result<Vec<u8>, BatchError> {
        let shift = header.base_timestamp.checked_sub(horizon_ms);
        let mut out = Vec::with_capacity(plain.len() + 8 * self.count as usize);
        for range in &self.ranges {
            let mut rest = &plain[range.clone()];
            while !rest.is_empty() {
                let moved = shift.and_then(|shift| move_time(&mut rest, shift, &mut out));
                let fault = RecordFault::TimestampDelta { delta: shift.unwrap_or(i64::MIN) };
                moved.ok_or(BatchError::Record { index: 0, fault })?;
            }
        }
        let attributes = header.attributes | DELETE_HORIZON_BIT;
        self.packed(BatchHeader { base_timestamp: horizon_ms, attributes, ..*header }, &out)
    }

    /// The batch of these records.
    fn packed(&self, header: BatchHeader, plain: &[u8]) -> Result<Vec<u8>, BatchError> {
        let body = codec_of(&header)?.compress(plain);
        let max_timestamp = if header.is_append_time() { header.max_timestamp } else { self.max_timestamp };
        let header = BatchHeader { record_count: self.count, max_timestamp, ..header };
        let header = seal(header, &body).ok_or(BatchError::Length { length: i32::MAX })?;
        Ok([&header.write()[..], &body].concat())
    }
}

/// Copies the record at the front of `rest` with another timestamp delta; `None` when that is out of range.
fn move_time(rest: &mut &[u8], shift: i64, out: &mut Vec<u8>) -> Option<()> {
    let length = usize::try_from(read_varint(rest)?).ok()?;
    let (mut fields, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    let (attributes, after) = fields.split_first()?;
    fields = after;
    let delta = read_varlong(&mut fields)?.checked_add(shift)?;
    write_varlong(out, (1 + varlong_bytes(delta) + fields.len()) as i64);
    out.push(*attributes);
    write_varlong(out, delta);
    out.extend_from_slice(fields);
    Some(())
}

/// What stands for a batch whose records are all gone: its offsets, its producer and its sequences, and no record. Its timestamps are
/// those of no record.
pub fn emptied(header: &BatchHeader) -> [u8; HEADER_BYTES] {
    let emptied = BatchHeader {
        attributes: header.attributes & !(CODEC_MASK | DELETE_HORIZON_BIT),
        base_timestamp: NO_TIMESTAMP,
        max_timestamp: NO_TIMESTAMP,
        record_count: 0,
        ..*header
    };
    seal(emptied, &[]).expect("a header fits its length field").write()
}

#[cfg(test)]
mod tests;

//! The running facts of the segment that is written to: what its index entries and, in the end, its footer are made of.

use super::footer::Footer;
use super::offset_index::{DAMAGED_CRC, IndexEntry, OffsetIndex};
use super::time_index::TimeIndex;
use crate::base::limits::INDEX_INTERVAL_BYTES;
use crate::base::offset::NO_EPOCH;
use crate::base::time::NO_TIMESTAMP;
use crate::base::{BytePosition, LeaderEpoch, Offset, Timestamp};
use crate::record::BatchHeader;

/// Facts of a segment so far.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Bytes of the log file.
    pub position: BytePosition,
    /// One past the last record.
    pub end_offset: Offset,
    /// When its first batch was appended (or when it was begun).
    pub first_append_ms: Timestamp,
    /// When its last batch was appended.
    pub last_append_ms: Timestamp,
    /// Greatest record timestamp; −1 when there is none.
    pub max_timestamp: Timestamp,
    /// First offset with it.
    pub max_timestamp_offset: Offset,
    /// Greatest append time of a batch that was noted; −1 when there is none.
    pub append_time: Timestamp,
    /// Leader epoch of the last batch; −1 when there is none.
    pub last_epoch: LeaderEpoch,
    interval_start: BytePosition,
    interval: crc32fast::Hasher,
}

impl Tally {
    /// The facts of an empty segment behind a batch of `last_epoch`.
    pub fn empty(base_offset: Offset, created_ms: Timestamp, last_epoch: LeaderEpoch) -> Self {
        Self {
            position: 0,
            end_offset: base_offset,
            first_append_ms: created_ms,
            last_append_ms: created_ms,
            max_timestamp: NO_TIMESTAMP,
            max_timestamp_offset: base_offset,
            append_time: NO_TIMESTAMP,
            last_epoch,
            interval_start: 0,
            interval: crc32fast::Hasher::new(),
        }
    }

    /// Facts up to an index entry, from where a walk goes on.
    pub fn at_entry(entry: &IndexEntry, created_ms: Timestamp, before: (Timestamp, Offset)) -> Self {
        let mut tally = Self::empty(entry.offset, created_ms, NO_EPOCH);
        tally.position = entry.position;
        tally.interval_start = entry.position;
        (tally.max_timestamp, tally.max_timestamp_offset) = before;
        tally
    }

    /// CRC-32 of the bytes behind the last index entry.
    pub fn open_interval_crc(&self) -> u32 {
        self.interval.clone().finalize()
    }

    /// Notes a batch that lies at the end, given by its bytes in one or two parts; adds index entries when one is due.
    pub fn add(&mut self, index: &OffsetIndex, time: &TimeIndex, header: &BatchHeader, parts: [&[u8]; 2]) {
        if self.position - self.interval_start >= INDEX_INTERVAL_BYTES {
            self.add_entry(index, header.base_offset);
            time.append(self.max_timestamp, header.base_offset);
        }
        for part in parts {
            self.interval.update(part);
            self.position += part.len() as u64;
        }
        self.end_offset = header.last_offset() + 1;
        self.last_epoch = header.leader_epoch;
        if header.is_append_time() {
            self.append_time = self.append_time.max(header.max_timestamp);
        }
        if header.max_timestamp > self.max_timestamp {
            self.max_timestamp = header.max_timestamp;
            self.max_timestamp_offset = header.base_offset;
        }
    }

    /// Notes bytes that are no batch but belong to the file: the interval that holds them is marked by [`DAMAGED_CRC`], so that
    /// every reader is told.
    pub fn add_damage(
        &mut self,
        index: &OffsetIndex,
        time: &TimeIndex,
        end: BytePosition,
        end_offset: Offset,
    ) {
        // What is sound before it gets an interval of its own.
        if self.position > self.interval_start {
            self.add_entry(index, self.end_offset);
            time.append(self.max_timestamp, self.end_offset);
        }
        self.position = end;
        self.end_offset = end_offset;
        self.close_interval(index, end_offset, DAMAGED_CRC);
        time.append(self.max_timestamp, end_offset);
    }

    /// Adds the closing entry and gives the footer.
    pub fn close(&mut self, index: &OffsetIndex, time: &TimeIndex) -> Footer {
        self.add_entry(index, self.end_offset);
        time.append(self.max_timestamp, self.end_offset);
        self.footer(index)
    }

    fn footer(&self, index: &OffsetIndex) -> Footer {
        Footer {
            log_bytes: self.position,
            entry_count: u32::try_from(index.entry_count()).expect("positions have 32 bits, so entries do"),
            crc_chain: index.crc_chain(),
            end_offset: self.end_offset,
            first_append_ms: self.first_append_ms,
            last_append_ms: self.last_append_ms,
            max_timestamp: self.max_timestamp,
            max_timestamp_offset: self.max_timestamp_offset,
            last_epoch: self.last_epoch,
            cleaned: None,
        }
    }

    fn add_entry(&mut self, index: &OffsetIndex, offset: Offset) {
        let crc = self.open_interval_crc();
        self.close_interval(index, offset, crc);
    }

    fn close_interval(&mut self, index: &OffsetIndex, offset: Offset, interval_crc: u32) {
        index.append(IndexEntry { offset, position: self.position, interval_crc });
        self.interval_start = self.position;
        self.interval = crc32fast::Hasher::new();
    }
}

//! The sparse time index `<base>.timeindex`: the running maximum of record timestamps.
//!
//! Side file with magic `WEIRTIX1`; see [`super::side_file`]. The body of an entry, big-endian:
//!
//! | at | bytes | field |
//! |---:|---:|---|
//! | 0 | 8 | greatest timestamp of all records of the segment below the offset, ms |
//! | 8 | 4 | the offset, minus the segment's base offset |
//!
//! The first column never falls and the second rises; there is an entry for each entry of the offset index but its first, so that a
//! lost tail is seen. So the first record with a timestamp ≥ T lies at or after the offset of the last entry whose timestamp is
//! below T, in whatever order the timestamps came. Source: Kafka `TimeIndex`.

use parking_lot::RwLock;

use super::side_file::{ENTRY_BODY_BYTES, SegmentId, SideFile, SideHeader};
use crate::base::{Offset, Timestamp};
use crate::env::disk::DiskResult;
use crate::env::files::CachedFile;

const MAGIC: [u8; 8] = *b"WEIRTIX1";

/// The time index of one segment. Its entries are kept in memory once it is used: 16 bytes for 4 KiB of log.
#[derive(Debug)]
pub struct TimeIndex {
    side: SideFile,
    base_offset: Offset,
    entries: RwLock<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    list: Vec<(Timestamp, Offset)>,
    written: usize,
}

impl TimeIndex {
    /// An empty index in a new or to-be-emptied file.
    pub fn create(
        file: CachedFile,
        segment: SegmentId,
        created_ms: Timestamp,
        rebuilt: bool,
    ) -> DiskResult<Self> {
        let header = SideHeader { magic: MAGIC, segment, created_ms, rebuilt };
        let side = SideFile::new(file, header);
        side.reset(created_ms, rebuilt)?;
        Ok(Self { side, base_offset: segment.base_offset, entries: RwLock::default() })
    }

    /// Opens an index, keeping its valid entries below `end_offset`; `None` when the file is not the time index of this segment.
    pub fn open(file: CachedFile, segment: SegmentId, end_offset: Offset) -> DiskResult<Option<Self>> {
        let Some(side) = SideFile::open(file, MAGIC, segment)? else { return Ok(None) };
        let mut list: Vec<(Timestamp, Offset)> = Vec::new();
        for body in side.read_all()? {
            let (timestamp, offset) = decode(&body, segment.base_offset);
            let follows = list.last().is_none_or(|last| timestamp >= last.0 && offset > last.1);
            if !follows || offset > end_offset {
                break;
            }
            list.push((timestamp, offset));
        }
        let written = list.len();
        let entries = RwLock::new(Entries { list, written });
        Ok(Some(Self { side, base_offset: segment.base_offset, entries }))
    }

    /// The file, for syncing.
    pub fn file(&self) -> &CachedFile {
        self.side.file()
    }

    /// Notes that all records below `offset` have timestamps up to `max_timestamp`. Adds nothing twice for one offset.
    pub fn append(&self, max_timestamp: Timestamp, offset: Offset) {
        let mut entries = self.entries.write();
        if entries.list.last().is_none_or(|last| max_timestamp >= last.0 && offset > last.1) {
            entries.list.push((max_timestamp, offset));
        }
    }

    /// Drops entries at or beyond `end_offset`, after the log was cut there.
    pub fn cut(&self, end_offset: Offset) -> DiskResult<()> {
        let mut entries = self.entries.write();
        entries.list.retain(|(_, offset)| *offset <= end_offset);
        entries.written = entries.written.min(entries.list.len());
        let len = super::side_file::HEADER_BYTES + entries.written as u64 * super::side_file::ENTRY_BYTES;
        drop(entries);
        self.side.file().write(|file| file.set_len(len))
    }

    /// Writes entries that are only in memory, not synced.
    pub fn persist(&self) -> DiskResult<()> {
        let (first, bodies) = {
            let entries = self.entries.read();
            let fresh = &entries.list[entries.written..];
            (entries.written, fresh.iter().map(|entry| encode(*entry, self.base_offset)).collect::<Vec<_>>())
        };
        if bodies.is_empty() {
            return Ok(());
        }
        self.side.write_entries(&bodies, first as u64)?;
        let mut entries = self.entries.write();
        entries.written = entries.written.max(first + bodies.len());
        Ok(())
    }

    /// The last entry: the greatest timestamp of all records below an offset.
    pub fn last(&self) -> Option<(Timestamp, Offset)> {
        self.entries.read().list.last().copied()
    }

    /// An offset at or before the first record whose timestamp is at least `at`.
    pub fn offset_before(&self, at: Timestamp) -> Offset {
        let entries = self.entries.read();
        let below = entries.list.partition_point(|(timestamp, _)| *timestamp < at);
        below.checked_sub(1).map_or(self.base_offset, |last| entries.list[last].1)
    }
}

fn encode((timestamp, offset): (Timestamp, Offset), base_offset: Offset) -> [u8; ENTRY_BODY_BYTES] {
    let relative =
        u32::try_from(offset - base_offset).expect("a segment rolls before its offsets leave 31 bits");
    let mut body = [0u8; ENTRY_BODY_BYTES];
    body[0..8].copy_from_slice(&timestamp.to_be_bytes());
    body[8..12].copy_from_slice(&relative.to_be_bytes());
    body
}

fn decode(body: &[u8; ENTRY_BODY_BYTES], base_offset: Offset) -> (Timestamp, Offset) {
    let mut timestamp = [0u8; 8];
    timestamp.copy_from_slice(&body[..8]);
    let relative = u32::from_be_bytes([body[8], body[9], body[10], body[11]]);
    (i64::from_be_bytes(timestamp), base_offset + i64::from(relative))
}

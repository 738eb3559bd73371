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
//!
//! The entries of the segment that is written to are kept in memory (16 bytes for 4 KiB of log); those of sealed segments are
//! read when needed. One of those that fails its check ends the index: what is found is then further in front, never behind.

use parking_lot::RwLock;

use super::side_file::{ENTRY_BODY_BYTES, ENTRY_BYTES, HEADER_BYTES, SegmentId, SideFile, SideHeader};
use crate::base::{Offset, Timestamp};
use crate::env::disk::{DiskResult, Wait};
use crate::env::files::CachedFile;

const MAGIC: [u8; 8] = *b"WEIRTIX1";

/// The time index of one segment.
#[derive(Debug)]
pub struct TimeIndex {
    side: SideFile,
    base_offset: Offset,
    entries: RwLock<Entries>,
}

#[derive(Debug)]
struct Entries {
    /// The entries, while the segment is written to.
    memory: Option<Vec<(Timestamp, Offset)>>,
    /// How many are in the file.
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
        let entries = RwLock::new(Entries { memory: Some(Vec::new()), written: 0 });
        Ok(Self { side, base_offset: segment.base_offset, entries })
    }

    /// Opens the index of a segment that is to be written to, keeping its valid entries up to `end_offset`; `None` when the file is
    /// not the time index of this segment.
    pub fn open_active(file: CachedFile, segment: SegmentId, end_offset: Offset) -> DiskResult<Option<Self>> {
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
        let entries = RwLock::new(Entries { memory: Some(list), written });
        Ok(Some(Self { side, base_offset: segment.base_offset, entries }))
    }

    /// Opens the index of a sealed segment; `None` when the file is not the time index of this segment.
    pub fn open_sealed(file: CachedFile, segment: SegmentId) -> DiskResult<Option<Self>> {
        let Some(side) = SideFile::open(file, MAGIC, segment)? else { return Ok(None) };
        let written = (side.file().get()?.len()?.saturating_sub(HEADER_BYTES) / ENTRY_BYTES) as usize;
        let entries = RwLock::new(Entries { memory: None, written });
        Ok(Some(Self { side, base_offset: segment.base_offset, entries }))
    }

    /// Number of entries.
    pub fn entry_count(&self) -> u64 {
        self.entries.read().written as u64
    }

    /// The file, for syncing.
    pub fn file(&self) -> &CachedFile {
        self.side.file()
    }

    /// Notes that all records below `offset` have timestamps up to `max_timestamp`. Adds nothing twice for one offset.
    ///
    /// Panics: on a sealed segment.
    pub fn append(&self, max_timestamp: Timestamp, offset: Offset) {
        let mut entries = self.entries.write();
        let memory = entries.memory.as_mut().expect("only a segment that is written to grows");
        if memory.last().is_none_or(|last| max_timestamp >= last.0 && offset > last.1) {
            memory.push((max_timestamp, offset));
        }
    }

    /// Drops entries at or beyond `end_offset`, after the log was cut there.
    pub fn cut(&self, end_offset: Offset) -> DiskResult<()> {
        let mut entries = self.entries.write();
        let Entries { memory: Some(memory), written } = &mut *entries else {
            panic!("only a segment that is written to is cut");
        };
        memory.retain(|(_, offset)| *offset <= end_offset);
        *written = (*written).min(memory.len());
        let len = HEADER_BYTES + *written as u64 * ENTRY_BYTES;
        drop(entries);
        self.side.file().write(|file| file.set_len(len))
    }

    /// Writes entries that are only in memory, not synced.
    pub fn persist(&self) -> DiskResult<()> {
        let (first, bodies) = {
            let entries = self.entries.read();
            let Some(memory) = &entries.memory else { return Ok(()) };
            let fresh = &memory[entries.written..];
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

    /// Lets go of the memory of a segment that is written to no longer, once its entries are persisted.
    pub fn seal(&self) {
        let mut entries = self.entries.write();
        let is_persisted = entries.memory.as_ref().is_none_or(|memory| memory.len() == entries.written);
        assert!(is_persisted, "the entries were persisted");
        entries.memory = None;
    }

    /// The last entry: the greatest timestamp of all records below an offset. May block on a sealed segment.
    pub fn last(&self) -> DiskResult<Option<(Timestamp, Offset)>> {
        let count = {
            let entries = self.entries.read();
            if let Some(memory) = &entries.memory {
                return Ok(memory.last().copied());
            }
            entries.written
        };
        count.checked_sub(1).map_or(Ok(None), |last| self.stored(last))
    }

    /// An offset at or before the first record whose timestamp is at least `at`. May block on a sealed segment.
    pub fn offset_before(&self, at: Timestamp) -> DiskResult<Offset> {
        let count = {
            let entries = self.entries.read();
            if let Some(memory) = &entries.memory {
                let below = memory.partition_point(|(timestamp, _)| *timestamp < at);
                return Ok(below.checked_sub(1).map_or(self.base_offset, |last| memory[last].1));
            }
            entries.written
        };
        let (mut low, mut high, mut found) = (0, count, self.base_offset);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.stored(middle)? {
                Some((timestamp, offset)) if timestamp < at => (low, found) = (middle + 1, offset),
                _ => high = middle,
            }
        }
        Ok(found)
    }

    /// An entry in the file; `None` when it fails its check.
    fn stored(&self, number: usize) -> DiskResult<Option<(Timestamp, Offset)>> {
        let bodies = self.side.read_entries(number as u64, 1, Wait::Allowed)?;
        let body = bodies.as_ref().and_then(|bodies| bodies.first());
        Ok(body.map(|body| decode(body, self.base_offset)))
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::base::{TopicId, TopicPartition};
    use crate::env::Disk;
    use crate::env::disk::OpenMode;
    use crate::env::files::FileCache;
    use crate::env::sim_disk::{SimDisk, SimOptions};

    const SEGMENT: SegmentId =
        SegmentId { log: TopicPartition { topic_id: TopicId([1; 16]), partition: 0 }, base_offset: 100 };
    const ENTRIES: i64 = 40;

    fn file(disk: &SimDisk) -> CachedFile {
        FileCache::new(Arc::new(disk.clone()), 4).file("t", OpenMode::Write)
    }

    /// Entry n stands at time 1000 + 10n and offset 101 + 3n.
    fn index() -> (TimeIndex, SimDisk) {
        let disk = SimDisk::new(SimOptions::default());
        disk.open(Path::new("t"), OpenMode::CreateNew).expect("makes a file");
        let index = TimeIndex::create(file(&disk), SEGMENT, 0, false).expect("makes an index");
        (0..ENTRIES).for_each(|n| index.append(1_000 + 10 * n, 101 + 3 * n));
        index.persist().expect("writes");
        (index, disk)
    }

    fn answers(index: &TimeIndex) -> Vec<Offset> {
        (990..1_010 + 10 * ENTRIES).map(|at| index.offset_before(at).expect("reads")).collect()
    }

    #[test]
    fn a_sealed_index_answers_as_it_did_while_it_was_written_to_and_keeps_nothing_in_memory() {
        let (index, disk) = index();
        let (memory, last) = (answers(&index), index.last().expect("reads"));
        index.seal();
        assert!(index.entries.read().memory.is_none());
        let opened = TimeIndex::open_sealed(file(&disk), SEGMENT).expect("reads").expect("is one");
        for sealed in [&index, &opened] {
            assert_eq!(answers(sealed), memory);
            assert_eq!(sealed.last().expect("reads"), last);
        }
    }

    #[test]
    fn an_entry_that_fails_its_check_makes_no_answer_too_high() {
        let (index, _) = index();
        let memory = answers(&index);
        for entry in 0..ENTRIES as u64 {
            let (index, disk) = self::index();
            index.seal();
            disk.flip_bit(Path::new("t"), HEADER_BYTES + entry * ENTRY_BYTES + 3, 1).expect("flips");
            assert!(answers(&index).iter().zip(&memory).all(|(found, right)| found <= right));
        }
    }
}

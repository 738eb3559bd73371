//! The sparse offset index `<base>.index`: from an offset to a byte position, with a CRC of the log bytes between entries.
//!
//! Side file with magic `WEIRIDX1`; see [`super::side_file`]. The body of an entry, big-endian:
//!
//! | at | bytes | field |
//! |---:|---:|---|
//! | 0 | 4 | offset of the batch that begins at the position, minus the segment's base offset |
//! | 4 | 4 | position of that batch in the log file |
//! | 8 | 4 | CRC-32 of the log bytes from the position of the entry before up to this one; 0 in the first entry |
//!
//! The first entry is always (0, 0). An interval is what lies between two entries: about
//! [`crate::base::limits::INDEX_INTERVAL_BYTES`], more when a batch is longer. Sealing adds a closing entry at the end of the log and a
//! [`super::Footer`]. The CRCs are computed from the bytes as appended, so they also cover the first 21 bytes of a batch, which its own
//! CRC does not.
//!
//! The entries of the segment that is written to are kept in memory (16 bytes for 4 KiB of log); those of sealed segments are
//! read when needed. Source: Kafka `OffsetIndex`; the CRCs are Weir's.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::footer::{FOOTER_BYTES, Footer};
use super::side_file::{ENTRY_BODY_BYTES, ENTRY_BYTES, HEADER_BYTES, SegmentId, SideFile, SideHeader};
use crate::base::limits::INDEX_INTERVAL_BYTES;
use crate::base::{BytePosition, Offset, Timestamp};
use crate::env::DiskError;
use crate::env::disk::{DiskResult, Wait, read_full_at};
use crate::env::files::CachedFile;

const MAGIC: [u8; 8] = *b"WEIRIDX1";

/// In place of the CRC of an interval that was found damaged, or that lacks its bytes.
pub const DAMAGED_CRC: u32 = u32::MAX;

/// One entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexEntry {
    /// Offset of the batch at the position (for the closing entry: the end offset).
    pub offset: Offset,
    /// Position of the batch.
    pub position: BytePosition,
    /// CRC-32 of the log bytes since the entry before.
    pub interval_crc: u32,
}

/// An interval of the log: from one entry up to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval {
    /// Its number, from 0.
    pub number: u64,
    /// Its first offset.
    pub first_offset: Offset,
    /// Its first byte.
    pub start: BytePosition,
    /// One past its last offset and byte, with the CRC; `None` for the interval that is still being written.
    pub end: Option<IndexEntry>,
}

/// Why intervals can't be told.
#[derive(Debug)]
pub enum LookupError {
    /// The entries are not in memory and waiting was not allowed.
    WouldBlock,
    /// An entry fails its check: the index must be rebuilt.
    Broken,
    /// The disk failed.
    Disk(DiskError),
}

impl From<DiskError> for LookupError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

/// The index of one segment.
#[derive(Debug)]
pub struct OffsetIndex {
    side: SideFile,
    base_offset: Offset,
    entries: RwLock<Entries>,
    /// Number of the entry where a reader of a sealed segment goes on, if it is the one who read last.
    read_next: AtomicU64,
}

#[derive(Debug)]
struct Entries {
    /// The entries, while the segment is written to.
    memory: Option<Vec<IndexEntry>>,
    /// How many of them are in the file.
    written: u64,
    /// How many there are.
    count: u64,
}

fn encode(entry: &IndexEntry, base_offset: Offset) -> [u8; ENTRY_BODY_BYTES] {
    let relative =
        u32::try_from(entry.offset - base_offset).expect("a segment rolls before its offsets leave 31 bits");
    let position = u32::try_from(entry.position).expect("a segment rolls before its positions leave 32 bits");
    let mut body = [0u8; ENTRY_BODY_BYTES];
    body[0..4].copy_from_slice(&relative.to_be_bytes());
    body[4..8].copy_from_slice(&position.to_be_bytes());
    body[8..12].copy_from_slice(&entry.interval_crc.to_be_bytes());
    body
}

fn decode(body: &[u8; ENTRY_BODY_BYTES], base_offset: Offset) -> IndexEntry {
    let word = |at: usize| u32::from_be_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
    IndexEntry {
        offset: base_offset.saturating_add(i64::from(word(0))),
        position: u64::from(word(4)),
        interval_crc: word(8),
    }
}

fn first_entry(base_offset: Offset) -> IndexEntry {
    IndexEntry { offset: base_offset, position: 0, interval_crc: 0 }
}

impl OffsetIndex {
    /// An empty index in a new or to-be-emptied file, with its header and first entry written, not synced.
    pub fn create(
        file: CachedFile,
        segment: SegmentId,
        created_ms: Timestamp,
        rebuilt: bool,
    ) -> DiskResult<Self> {
        let header = SideHeader { magic: MAGIC, segment, created_ms, rebuilt };
        let side = SideFile::new(file, header);
        side.reset(created_ms, rebuilt)?;
        let memory = Some(vec![first_entry(segment.base_offset)]);
        let entries = RwLock::new(Entries { memory, written: 0, count: 1 });
        let index = Self { side, base_offset: segment.base_offset, entries, read_next: AtomicU64::new(0) };
        index.persist()?;
        Ok(index)
    }

    /// Opens the index of a segment that is to be written to, keeping the valid entries up to `position`; `None` when the file
    /// is not the index of this segment.
    pub fn open_active(
        file: CachedFile,
        segment: SegmentId,
        position: BytePosition,
    ) -> DiskResult<Option<Self>> {
        let Some(side) = SideFile::open(file, MAGIC, segment)? else { return Ok(None) };
        let bodies = side.read_all()?;
        let mut memory: Vec<IndexEntry> = Vec::with_capacity(bodies.len());
        for entry in bodies.iter().map(|body| decode(body, segment.base_offset)) {
            let follows = memory.last().map_or(entry == first_entry(segment.base_offset), |last| {
                entry.offset > last.offset && entry.position > last.position
            });
            if !follows || entry.position > position {
                break;
            }
            memory.push(entry);
        }
        if memory.is_empty() {
            return Ok(None);
        }
        let count = memory.len() as u64;
        let entries = RwLock::new(Entries { memory: Some(memory), written: count, count });
        Ok(Some(Self { side, base_offset: segment.base_offset, entries, read_next: AtomicU64::new(0) }))
    }

    /// Opens the index of a sealed segment whose log file has `log_bytes`; `None` when it has no true footer.
    pub fn open_sealed(
        file: CachedFile,
        segment: SegmentId,
        log_bytes: u64,
    ) -> DiskResult<Option<(Self, Footer)>> {
        let Some(side) = SideFile::open(file, MAGIC, segment)? else { return Ok(None) };
        let Some(footer) = read_footer(side.file())? else { return Ok(None) };
        let count = u64::from(footer.entry_count);
        let at_end = side.file().get()?.len()? == HEADER_BYTES + count * ENTRY_BYTES + FOOTER_BYTES as u64;
        if !at_end || footer.log_bytes != log_bytes || count < 2 {
            return Ok(None);
        }
        let entries = RwLock::new(Entries { memory: None, written: count, count });
        Ok(Some((
            Self { side, base_offset: segment.base_offset, entries, read_next: AtomicU64::new(0) },
            footer,
        )))
    }

    /// The footer of the index in this file, whether or not the rest of it is true; `None` when it has none, or is another segment's.
    pub fn stored_footer(file: CachedFile, segment: SegmentId) -> DiskResult<Option<Footer>> {
        match SideFile::open(file, MAGIC, segment)? {
            Some(side) => read_footer(side.file()),
            None => Ok(None),
        }
    }

    /// When the segment was begun.
    pub fn created_ms(&self) -> Timestamp {
        self.side.header().created_ms
    }

    /// Whether it was rebuilt from the log.
    pub fn is_rebuilt(&self) -> bool {
        self.side.header().rebuilt
    }

    /// The file, for syncing.
    pub fn file(&self) -> &CachedFile {
        self.side.file()
    }

    /// Number of entries.
    pub fn entry_count(&self) -> u64 {
        self.entries.read().count
    }

    /// The last entry of a segment that is written to.
    ///
    /// Panics: on a sealed segment.
    pub fn last_entry(&self) -> IndexEntry {
        let entries = self.entries.read();
        let memory = entries.memory.as_ref().expect("only a segment that is written to is asked");
        *memory.last().expect("the first entry is always there")
    }

    /// Adds an entry, in memory; [`OffsetIndex::persist`] writes it.
    pub fn append(&self, entry: IndexEntry) {
        let mut entries = self.entries.write();
        let memory = entries.memory.as_mut().expect("only a segment that is written to grows");
        let last = memory.last().expect("the first entry is always there");
        assert!(entry.offset >= last.offset && entry.position >= last.position, "index entries rise");
        memory.push(entry);
        entries.count += 1;
    }

    /// Drops entries with offsets beyond `offset` from memory; [`OffsetIndex::cut`] drops them from the file.
    pub fn cut_to_offset(&self, offset: Offset) {
        let mut entries = self.entries.write();
        let Entries { memory: Some(memory), written, count } = &mut *entries else {
            panic!("only a segment that is written to is cut");
        };
        memory.retain(|entry| entry.offset <= offset);
        *count = memory.len() as u64;
        *written = (*written).min(*count);
    }

    /// Drops entries beyond `position`, after the log was cut there.
    pub fn cut(&self, position: BytePosition) -> DiskResult<()> {
        let mut entries = self.entries.write();
        let Entries { memory: Some(memory), written, count } = &mut *entries else {
            panic!("only a segment that is written to is cut");
        };
        memory.retain(|entry| entry.position <= position);
        *count = memory.len() as u64;
        *written = (*written).min(*count);
        let len = HEADER_BYTES + *written * ENTRY_BYTES;
        drop(entries);
        self.side.file().write(|file| file.set_len(len))
    }

    /// Writes entries that are only in memory, not synced. Cost: at most one write.
    pub fn persist(&self) -> DiskResult<()> {
        let (first, bodies) = {
            let entries = self.entries.read();
            let Some(memory) = &entries.memory else { return Ok(()) };
            let fresh = &memory[entries.written as usize..];
            (entries.written, fresh.iter().map(|entry| encode(entry, self.base_offset)).collect::<Vec<_>>())
        };
        if bodies.is_empty() {
            return Ok(());
        }
        if first == 0 {
            self.side.write_header()?;
        }
        self.side.write_entries(&bodies, first)?;
        let mut entries = self.entries.write();
        entries.written = entries.written.max(first + bodies.len() as u64);
        Ok(())
    }

    /// CRC-32 of all interval CRCs in order.
    pub fn crc_chain(&self) -> u32 {
        let entries = self.entries.read();
        let memory = entries.memory.as_ref().expect("only a segment that is written to is sealed");
        let mut hasher = crc32fast::Hasher::new();
        memory[1..].iter().for_each(|entry| hasher.update(&entry.interval_crc.to_be_bytes()));
        hasher.finalize()
    }

    /// Writes the footer behind the entries, which must be durable already, and lets go of the memory.
    pub fn seal(&self, footer: &Footer) -> DiskResult<()> {
        let count = self.entry_count();
        assert_eq!(count, u64::from(footer.entry_count), "the closing entry was added");
        self.side.write_after_entries(&footer.write(), count)?;
        self.side.file().sync()?;
        self.entries.write().memory = None;
        Ok(())
    }

    /// The intervals from the one that holds `offset` on, until they are `bytes` long or more; at least one.
    ///
    /// Cost on a sealed segment: one read for a reader who goes on where the last one ended, else a binary search before it.
    pub fn intervals_of(&self, offset: Offset, bytes: u64, wait: Wait) -> Result<Vec<Interval>, LookupError> {
        let holds = |entry: &IndexEntry| entry.offset <= offset;
        let stored = match &*self.entries.read() {
            Entries { memory: Some(memory), .. } => {
                let first = memory.partition_point(holds).saturating_sub(1);
                return Ok(intervals(&memory[first..], first as u64, bytes));
            }
            Entries { count, .. } => self.stored(*count, wait),
        };
        let mut first = self.read_next.load(Ordering::Relaxed);
        let mut entries = stored.read(first, entries_of(bytes))?;
        match entries.partition_point(holds) {
            1 => {}
            2 => {
                entries.remove(0);
                first += 1;
            }
            _ => {
                first = stored.search(holds)?;
                entries = stored.read(first, entries_of(bytes))?;
            }
        }
        let mut list = intervals(&entries, first, bytes);
        if list.len() > 1 {
            drop_unknown(&mut list);
        }
        self.read_next.store(first + list.len() as u64 - 1, Ordering::Relaxed);
        Ok(list)
    }

    /// The intervals from the one with this number on, until they are `bytes` long or more; none behind the last. Cost: one read.
    pub fn intervals_from(&self, first: u64, bytes: u64, wait: Wait) -> Result<Vec<Interval>, LookupError> {
        let stored = match &*self.entries.read() {
            Entries { count, .. } if first >= *count => return Ok(Vec::new()),
            Entries { memory: Some(memory), .. } => {
                return Ok(intervals(&memory[first as usize..], first, bytes));
            }
            Entries { count, .. } => self.stored(*count, wait),
        };
        let mut list = intervals(&stored.read(first, entries_of(bytes))?, first, bytes);
        drop_unknown(&mut list);
        Ok(list)
    }

    fn stored(&self, count: u64, wait: Wait) -> Stored<'_> {
        Stored { side: &self.side, base_offset: self.base_offset, count, wait }
    }
}

/// Entries to read for so many bytes of log: most are an interval apart or more.
fn entries_of(bytes: u64) -> u64 {
    bytes / INDEX_INTERVAL_BYTES + 3
}

/// Drops the interval behind the last entry that was read of a sealed segment: it is not known, or that was the closing one.
fn drop_unknown(list: &mut Vec<Interval>) {
    if list.last().is_some_and(|last| last.end.is_none()) {
        list.pop();
    }
}

/// The entries of a sealed segment, in its index file.
struct Stored<'a> {
    side: &'a SideFile,
    base_offset: Offset,
    count: u64,
    wait: Wait,
}

impl Stored<'_> {
    /// Number of the last entry that satisfies `holds`, which the first one does.
    fn search(&self, holds: impl Fn(&IndexEntry) -> bool) -> Result<u64, LookupError> {
        let (mut low, mut high) = (0, self.count);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if holds(&self.read(middle, 1)?[0]) {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Entries from number `first` on, at most `most`; at least one.
    fn read(&self, first: u64, most: u64) -> Result<Vec<IndexEntry>, LookupError> {
        let count = most.min(self.count - first);
        let bodies = self.side.read_entries(first, count, self.wait)?.ok_or(LookupError::WouldBlock)?;
        if (bodies.len() as u64) < count {
            return Err(LookupError::Broken);
        }
        let entries: Vec<_> = bodies.iter().map(|body| decode(body, self.base_offset)).collect();
        let rises =
            |pair: &[IndexEntry]| pair[0].offset <= pair[1].offset && pair[0].position <= pair[1].position;
        if entries.windows(2).all(rises) { Ok(entries) } else { Err(LookupError::Broken) }
    }
}

/// The intervals between entries, of which the first has number `first`, until they are `bytes` long or more. Behind the last
/// entry there is one that is open.
fn intervals(entries: &[IndexEntry], first: u64, bytes: u64) -> Vec<Interval> {
    let start = entries[0].position;
    let ends = entries[1..].iter().copied().map(Some).chain([None]);
    let mut list = Vec::new();
    for ((entry, end), number) in entries.iter().zip(ends).zip(first..) {
        list.push(Interval { number, first_offset: entry.offset, start: entry.position, end });
        if end.is_some_and(|end| end.position - start >= bytes) {
            break;
        }
    }
    list
}

/// Reads the footer at the end of an index file, if there is one.
fn read_footer(file: &CachedFile) -> DiskResult<Option<Footer>> {
    let file = file.get()?;
    let Some(at) = file.len()?.checked_sub(FOOTER_BYTES as u64) else { return Ok(None) };
    let mut bytes = [0u8; FOOTER_BYTES];
    let count = read_full_at(&*file, &mut bytes, at)?;
    Ok(Footer::read(&bytes[..count]))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::base::{TopicId, TopicPartition};
    use crate::env::disk::OpenMode;
    use crate::env::files::FileCache;
    use crate::env::sim_disk::{SimDisk, SimOptions};
    use crate::env::{Disk, Rng};

    const SEGMENT: SegmentId =
        SegmentId { log: TopicPartition { topic_id: TopicId([1; 16]), partition: 0 }, base_offset: 100 };
    const ENTRIES: u64 = 40;

    /// Entry n stands at offset 100 + 3n and position 4100n.
    fn index() -> (OffsetIndex, SimDisk) {
        let disk = SimDisk::new(SimOptions::default());
        disk.open(Path::new("i"), OpenMode::CreateNew).expect("makes a file");
        let file = FileCache::new(Arc::new(disk.clone()), 4).file("i", OpenMode::Write);
        let index = OffsetIndex::create(file, SEGMENT, 0, false).expect("makes an index");
        for n in 1..ENTRIES {
            let (offset, position) = (100 + 3 * n as i64, 4_100 * n);
            index.append(IndexEntry { offset, position, interval_crc: n as u32 });
        }
        (index, disk)
    }

    fn seal(index: &OffsetIndex) {
        index.persist().expect("writes");
        index.entries.write().memory = None;
    }

    fn found(index: &OffsetIndex, offset: Offset, bytes: u64) -> Vec<Interval> {
        index.intervals_of(offset, bytes, Wait::Allowed).expect("finds")
    }

    #[test]
    fn a_sealed_index_answers_as_it_did_while_it_was_written_to_wherever_readers_go_on() {
        let (index, _) = index();
        let last = ENTRIES - 1;
        let asked: Vec<_> =
            (100..100 + 3 * last as i64).map(|offset| (offset, offset as u64 * 97 % 50_000)).collect();
        let closed =
            |list: Vec<Interval>| list.into_iter().filter(|one| one.end.is_some()).collect::<Vec<_>>();
        let memory: Vec<_> =
            asked.iter().map(|(offset, bytes)| closed(found(&index, *offset, *bytes))).collect();
        seal(&index);
        for ((offset, bytes), memory) in asked.iter().zip(&memory) {
            assert_eq!(&found(&index, *offset, *bytes), memory, "offset {offset}, {bytes} bytes, in order");
        }
        let rng = Rng::seeded(3);
        for _ in 0..1_000 {
            let at = rng.below(asked.len() as u64) as usize;
            assert_eq!(found(&index, asked[at].0, asked[at].1), memory[at], "asked {at}, any order");
        }
    }

    #[test]
    fn the_intervals_found_hold_the_offset_and_as_many_bytes_as_asked() {
        let (index, _) = index();
        seal(&index);
        let list = found(&index, 107, 10_000);
        assert_eq!((list[0].number, list[0].first_offset, list[0].start), (2, 106, 8_200));
        assert_eq!(list.last().and_then(|last| last.end).map(|end| end.position), Some(5 * 4_100));
        let at_end = found(&index, 100 + 3 * (ENTRIES as i64 - 1), 10_000);
        assert_eq!((at_end.len(), at_end[0].end), (1, None), "nothing lies behind the closing entry");
    }

    #[test]
    fn going_on_by_number_meets_every_interval_once_also_one_without_bytes() {
        let (index, _) = index();
        let position = index.last_entry().position;
        // What recovery closes so lacks its bytes.
        index.append(IndexEntry { offset: 500, position, interval_crc: DAMAGED_CRC });
        for is_sealed in [false, true] {
            if is_sealed {
                seal(&index);
            }
            for bytes in [0, 4_100, 5_000, 1 << 20] {
                let (mut next, mut met) = (0, Vec::new());
                loop {
                    let list = index.intervals_from(next, bytes, Wait::Allowed).expect("finds");
                    let Some(last) = list.last() else { break };
                    next = last.number + 1;
                    met.extend(list.into_iter().filter(|one| one.end.is_some()).map(|one| one.number));
                }
                assert_eq!(met, (0..ENTRIES).collect::<Vec<_>>(), "{bytes} bytes at once");
            }
        }
    }

    #[test]
    fn an_entry_that_fails_its_check_is_never_used() {
        let (index, disk) = index();
        seal(&index);
        disk.flip_bit(Path::new("i"), HEADER_BYTES + 5 * ENTRY_BYTES + 2, 1).expect("flips");
        assert!(matches!(index.intervals_of(112, 1, Wait::Allowed), Err(LookupError::Broken)));
        assert!(index.intervals_of(190, 1, Wait::Allowed).is_ok(), "the others are");
    }
}

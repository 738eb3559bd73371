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

use parking_lot::RwLock;

use super::footer::{FOOTER_BYTES, Footer};
use super::side_file::{ENTRY_BODY_BYTES, ENTRY_BYTES, HEADER_BYTES, SegmentId, SideFile, SideHeader};
use crate::base::{BytePosition, Offset, Timestamp};
use crate::env::disk::{DiskResult, read_full_at};
use crate::env::files::CachedFile;

const MAGIC: [u8; 8] = *b"WEIRIDX1";

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

/// The index of one segment.
#[derive(Debug)]
pub struct OffsetIndex {
    side: SideFile,
    base_offset: Offset,
    entries: RwLock<Entries>,
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
        offset: base_offset + i64::from(word(0)),
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
        let index = Self { side, base_offset: segment.base_offset, entries };
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
        let bodies = side.read_entries(u64::MAX)?;
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
        Ok(Some(Self { side, base_offset: segment.base_offset, entries }))
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
        Ok(Some((Self { side, base_offset: segment.base_offset, entries }, footer)))
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

    /// The interval that holds `offset`. Errors inside the file give `Ok(None)`: the index must be rebuilt.
    pub fn interval_of(&self, offset: Offset) -> DiskResult<Option<Interval>> {
        self.find(|entry| entry.offset <= offset)
    }

    /// The interval that holds the byte at `position`.
    pub fn interval_at(&self, position: BytePosition) -> DiskResult<Option<Interval>> {
        self.find(|entry| entry.position <= position)
    }

    /// The interval of that number; `Ok(None)` beyond the last or when an entry fails its check.
    pub fn interval(&self, number: u64) -> DiskResult<Option<Interval>> {
        let Some(start) = self.entry(number)? else { return Ok(None) };
        let end = if number + 1 < self.entry_count() {
            match self.entry(number + 1)? {
                Some(entry) => Some(entry),
                None => return Ok(None),
            }
        } else {
            None
        };
        Ok(Some(Interval { number, first_offset: start.offset, start: start.position, end }))
    }

    fn entry(&self, number: u64) -> DiskResult<Option<IndexEntry>> {
        {
            let entries = self.entries.read();
            if let Some(memory) = &entries.memory {
                return Ok(memory.get(number as usize).copied());
            }
            if number >= entries.count {
                return Ok(None);
            }
        }
        Ok(self.side.read_entry(number)?.map(|body| decode(&body, self.base_offset)))
    }

    /// The last interval whose first entry satisfies `holds`, by binary search.
    fn find(&self, holds: impl Fn(&IndexEntry) -> bool) -> DiskResult<Option<Interval>> {
        let (mut low, mut high) = (0, self.entry_count());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let Some(entry) = self.entry(middle)? else { return Ok(None) };
            if holds(&entry) {
                low = middle;
            } else {
                high = middle;
            }
        }
        self.interval(low)
    }
}

/// Reads the footer at the end of an index file, if there is one.
fn read_footer(file: &CachedFile) -> DiskResult<Option<Footer>> {
    let file = file.get()?;
    let Some(at) = file.len()?.checked_sub(FOOTER_BYTES as u64) else { return Ok(None) };
    let mut bytes = [0u8; FOOTER_BYTES];
    let count = read_full_at(&*file, &mut bytes, at)?;
    Ok(Footer::read(&bytes[..count]))
}

//! What the side files of a segment share: a header of 64 bytes, then entries of 16 bytes that each carry a check.
//!
//! Header, big-endian:
//!
//! | at | bytes | field |
//! |---:|---:|---|
//! | 0 | 8 | magic: which kind of side file |
//! | 8 | 2 | version, 1 |
//! | 10 | 2 | flags; bit 0: rebuilt from the log |
//! | 12 | 4 | partition |
//! | 16 | 16 | topic id |
//! | 32 | 8 | base offset of the segment |
//! | 40 | 8 | when the segment was begun, ms since 1970 |
//! | 48 | 12 | zero |
//! | 60 | 4 | CRC-32 of bytes 0 to 59 |
//!
//! An entry is 12 bytes of its own and a CRC-32 of them, begun with the header's CRC: an entry of another file is
//! no entry here. A file that does not open so, or an entry that fails its check, is rebuilt from the log and never called
//! damage.

use parking_lot::Mutex;

use crate::base::{Offset, Timestamp, TopicPartition};
use crate::env::disk::{DiskResult, Wait, read_full, read_full_at, write_full_at};
use crate::env::files::CachedFile;

/// Bytes of the header.
pub const HEADER_BYTES: u64 = 64;
/// Bytes of an entry.
pub const ENTRY_BYTES: u64 = 16;
/// Bytes of an entry without its check.
pub const ENTRY_BODY_BYTES: usize = 12;

const VERSION: u16 = 1;
const REBUILT_BIT: u16 = 1;

/// Which segment of which log a side file belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentId {
    /// The log.
    pub log: TopicPartition,
    /// Base offset of the segment.
    pub base_offset: Offset,
}

/// A decoded header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SideHeader {
    /// Which kind of side file.
    pub magic: [u8; 8],
    /// Which segment.
    pub segment: SegmentId,
    /// When the segment was begun.
    pub created_ms: Timestamp,
    /// Whether it was rebuilt from the log.
    pub rebuilt: bool,
}

impl SideHeader {
    fn write(&self) -> [u8; HEADER_BYTES as usize] {
        let mut bytes = [0u8; HEADER_BYTES as usize];
        bytes[0..8].copy_from_slice(&self.magic);
        bytes[8..10].copy_from_slice(&VERSION.to_be_bytes());
        bytes[10..12].copy_from_slice(&(if self.rebuilt { REBUILT_BIT } else { 0 }).to_be_bytes());
        bytes[12..16].copy_from_slice(&self.segment.log.partition.to_be_bytes());
        bytes[16..32].copy_from_slice(&self.segment.log.topic_id.0);
        bytes[32..40].copy_from_slice(&self.segment.base_offset.to_be_bytes());
        bytes[40..48].copy_from_slice(&self.created_ms.to_be_bytes());
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// Reads a header that must be that of `magic` and `segment`.
    fn read(bytes: &[u8], magic: [u8; 8], segment: SegmentId) -> Option<Self> {
        let created_ms = i64::from_be_bytes(bytes.get(40..48)?.try_into().ok()?);
        let rebuilt = bytes.get(11)? & REBUILT_BIT as u8 != 0;
        let header = Self { magic, segment, created_ms, rebuilt };
        (header.write()[..] == *bytes).then_some(header)
    }

    fn crc(&self) -> u32 {
        crc32fast::hash(&self.write()[..60])
    }
}

/// A side file: where entries are read and appended.
#[derive(Debug)]
pub struct SideFile {
    file: CachedFile,
    header: Mutex<SideHeader>,
}

impl SideFile {
    /// A side file whose header is not on disk yet; [`SideFile::write_header`] makes it so.
    pub fn new(file: CachedFile, header: SideHeader) -> Self {
        Self { file, header: Mutex::new(header) }
    }

    /// Opens a side file; `None` when its header is not the one that belongs here.
    pub fn open(file: CachedFile, magic: [u8; 8], segment: SegmentId) -> DiskResult<Option<Self>> {
        let mut bytes = [0u8; HEADER_BYTES as usize];
        let count = read_full_at(&*file.get()?, &mut bytes, 0)?;
        let header = SideHeader::read(&bytes[..count], magic, segment);
        Ok(header.map(|header| Self::new(file, header)))
    }

    /// The file.
    pub fn file(&self) -> &CachedFile {
        &self.file
    }

    /// The header.
    pub fn header(&self) -> SideHeader {
        *self.header.lock()
    }

    /// Writes the header, not synced.
    pub fn write_header(&self) -> DiskResult<()> {
        self.write_at(&self.header().write(), 0)
    }

    /// Empties the file and gives it a new header that says whether it is being rebuilt.
    pub fn reset(&self, created_ms: Timestamp, rebuilt: bool) -> DiskResult<()> {
        {
            let mut header = self.header.lock();
            header.created_ms = created_ms;
            header.rebuilt = rebuilt;
        }
        self.file.write(|file| file.set_len(0))?;
        self.write_header()
    }

    /// Writes entries from entry number `first` on, not synced.
    pub fn write_entries(&self, bodies: &[[u8; ENTRY_BODY_BYTES]], first: u64) -> DiskResult<()> {
        let seed = self.header().crc();
        let mut bytes = Vec::with_capacity(bodies.len() * ENTRY_BYTES as usize);
        for body in bodies {
            bytes.extend_from_slice(body);
            bytes.extend_from_slice(&entry_check(seed, body).to_be_bytes());
        }
        self.write_at(&bytes, HEADER_BYTES + first * ENTRY_BYTES)
    }

    /// Writes bytes behind `entry_count` entries, not synced.
    pub fn write_after_entries(&self, bytes: &[u8], entry_count: u64) -> DiskResult<()> {
        self.write_at(bytes, HEADER_BYTES + entry_count * ENTRY_BYTES)
    }

    /// Reads all entries up to the first that fails its check.
    pub fn read_all(&self) -> DiskResult<Vec<[u8; ENTRY_BODY_BYTES]>> {
        let there = self.file.get()?.len()?.saturating_sub(HEADER_BYTES) / ENTRY_BYTES;
        let entries = self.read_entries(0, there, Wait::Allowed)?;
        Ok(entries.expect("the read may wait"))
    }

    /// Reads `count` entries from number `first` on, fewer when one fails its check; `None` when that would have to wait and may
    /// not. Cost: one read.
    pub fn read_entries(
        &self,
        first: u64,
        count: u64,
        wait: Wait,
    ) -> DiskResult<Option<Vec<[u8; ENTRY_BODY_BYTES]>>> {
        let mut bytes = vec![0u8; (count * ENTRY_BYTES) as usize];
        let at = HEADER_BYTES + first * ENTRY_BYTES;
        let Some(got) = read_full(&*self.file.get()?, &mut bytes, at, wait)? else { return Ok(None) };
        let entries = bytes[..got].chunks_exact(ENTRY_BYTES as usize);
        let seed = self.header().crc();
        Ok(Some(entries.map_while(|entry| check(seed, entry)).collect()))
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> DiskResult<()> {
        self.file.write(|file| write_full_at(file, bytes, position))
    }
}

fn check(seed: u32, entry: &[u8]) -> Option<[u8; ENTRY_BODY_BYTES]> {
    let body: [u8; ENTRY_BODY_BYTES] = entry.get(..ENTRY_BODY_BYTES)?.try_into().ok()?;
    (entry[ENTRY_BODY_BYTES..] == entry_check(seed, &body).to_be_bytes()).then_some(body)
}

fn entry_check(seed: u32, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(body);
    hasher.finalize()
}

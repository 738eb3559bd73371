//! Small checksummed files that are replaced as a whole: temporary file, sync, rename, sync of the folder.
//!
//! | at | bytes | field |
//! |---:|---:|---|
//! | 0 | 8 | magic: which kind of file |
//! | 8 | 2 | version of its body, big-endian |
//! | 10 | 4 | length of the body |
//! | 14 | … | body |
//! | end − 4 | 4 | CRC-32 (IEEE) of everything before |
//!
//! After a crash the file is the old one or the new one, whole; anything else is damage and is said so.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::TopicPartition;
use crate::env::disk::{DiskErrorKind, DiskResult, OpenMode, read_full_at, remove_if_there, write_full_at};
use crate::env::rule::Rule;
use crate::env::{Disk, DiskError, File};

const FIXED_BYTES: usize = 18;

/// Largest body that is read: a guard against a damaged length, far above anything written.
const BODY_BYTES_MAX: u64 = 1 << 30;

/// What kind of file, and the newest version of its body that is understood.
#[derive(Clone, Copy, Debug)]
pub struct FileKind {
    /// First eight bytes.
    pub magic: [u8; 8],
    /// Version written, and the newest one read.
    pub version: u16,
}

/// Why a checkpoint could not be read.
#[derive(Debug, Clone)]
pub enum CheckpointError {
    /// There is none.
    Missing,
    /// Its bytes are not those that were written.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It was written by a newer Weir.
    Newer {
        /// The file.
        path: PathBuf,
        /// Version found.
        found: u16,
        /// Newest version understood.
        known: u16,
    },
    /// The disk failed.
    Disk(DiskError),
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "file is missing"),
            Self::Damaged { path, what } => write!(f, "{} is damaged: {what}", path.display()),
            Self::Newer { path, found, known } => {
                write!(f, "{} has format version {found}, this Weir knows up to {known}", path.display())
            }
            Self::Disk(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CheckpointError {}

/// Replaces the file at `path`; durable when this returns.
///
/// Cost: two syncs. Errors: the old file stays as it was, or the new one is there whole.
pub fn write(disk: &dyn Disk, path: &Path, kind: FileKind, body: &[u8]) -> DiskResult<()> {
    let folder = path.parent().expect("a checkpoint lies in a folder");
    write_aside(disk, path, kind, body)?.sync_data()?;
    disk.rename(&path.with_extension("tmp"), path)?;
    disk.sync_dir(folder)
}

/// Replaces a file that can be made again from something else: a power cut may leave the old one, none, or a damaged one.
///
/// Cost: no sync.
pub fn write_unsynced(disk: &dyn Disk, path: &Path, kind: FileKind, body: &[u8]) -> DiskResult<()> {
    write_aside(disk, path, kind, body)?;
    disk.rename(&path.with_extension("tmp"), path)
}

fn write_aside(disk: &dyn Disk, path: &Path, kind: FileKind, body: &[u8]) -> DiskResult<Arc<dyn File>> {
    let temporary = path.with_extension("tmp");
    remove_if_there(disk, &temporary)?;
    let file = disk.open(&temporary, OpenMode::CreateNew)?;
    write_full_at(&*file, &encode(kind, body), 0)?;
    Ok(file)
}

/// Reads the body of the file at `path`.
pub fn read(disk: &dyn Disk, path: &Path, kind: FileKind) -> Result<Vec<u8>, CheckpointError> {
    let file = match disk.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind == DiskErrorKind::NotFound => return Err(CheckpointError::Missing),
        Err(error) => return Err(CheckpointError::Disk(error)),
    };
    let len = file.len().map_err(CheckpointError::Disk)?;
    let damaged = |what| CheckpointError::Damaged { path: path.to_owned(), what };
    if len > BODY_BYTES_MAX {
        return Err(damaged("it is far too long"));
    }
    let mut bytes = vec![0u8; len as usize];
    let count = read_full_at(&*file, &mut bytes, 0).map_err(CheckpointError::Disk)?;
    bytes.truncate(count);
    decode(kind, bytes, path)
}

/// The body of a file that belongs to one log, such as a snapshot of its producers: 16 bytes topic id and 4 partition before the rest.
/// WHY: one that was copied from another log is true by its checksum.
pub fn of_log(id: TopicPartition, rest: &[u8]) -> Vec<u8> {
    [&id.topic_id.0, &id.partition.to_be_bytes()[..], rest].concat()
}

/// Reads a file that was written with [`of_log`], and gives the rest of its body.
///
/// Errors: those of [`read`]; `Damaged` when it belongs to another log.
pub fn read_of_log(
    disk: &dyn Disk,
    path: &Path,
    kind: FileKind,
    id: TopicPartition,
) -> Result<Vec<u8>, CheckpointError> {
    let mut body = read(disk, path, kind)?;
    let owner = of_log(id, &[]);
    if !body.starts_with(&owner) {
        let what = "it belongs to another partition, or was written by an older Weir";
        return Err(CheckpointError::Damaged { path: path.to_owned(), what });
    }
    body.drain(..owner.len());
    Ok(body)
}

fn encode(kind: FileKind, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + FIXED_BYTES);
    bytes.extend_from_slice(&kind.magic);
    bytes.extend_from_slice(&kind.version.to_be_bytes());
    let length = u32::try_from(body.len()).expect("checkpoints are small");
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(body);
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes
}

fn decode(kind: FileKind, mut bytes: Vec<u8>, path: &Path) -> Result<Vec<u8>, CheckpointError> {
    let damaged = |what| Err(CheckpointError::Damaged { path: path.to_owned(), what });
    if bytes.len() < FIXED_BYTES {
        return damaged("it is too short");
    }
    if bytes[..8] != kind.magic {
        return damaged("it does not begin with its magic bytes");
    }
    let (rest, crc) = bytes.split_at(bytes.len() - 4);
    if crc32fast::hash(rest).to_be_bytes() != crc && Rule::CheckFile.holds() {
        return damaged("its checksum does not fit");
    }
    let found = u16::from_be_bytes([bytes[8], bytes[9]]);
    if found > kind.version {
        return Err(CheckpointError::Newer { path: path.to_owned(), found, known: kind.version });
    }
    let length = u32::from_be_bytes([bytes[10], bytes[11], bytes[12], bytes[13]]) as usize;
    if length != bytes.len() - FIXED_BYTES {
        return damaged("its length field does not fit");
    }
    bytes.truncate(bytes.len() - 4);
    bytes.drain(..FIXED_BYTES - 4);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::TopicId;
    use crate::env::SimDisk;

    #[test]
    fn a_file_of_another_log_is_not_believed() {
        let (disk, path) = (SimDisk::default(), Path::new("f"));
        let kind = FileKind { magic: *b"WEIRTEST", version: 1 };
        let id = |partition| TopicPartition { topic_id: TopicId([7; 16]), partition };
        write_unsynced(&disk, path, kind, &of_log(id(3), b"rest")).unwrap();
        assert_eq!(read_of_log(&disk, path, kind, id(3)).unwrap(), b"rest");
        for other in [id(4), TopicPartition { topic_id: TopicId([8; 16]), partition: 3 }] {
            let refused = read_of_log(&disk, path, kind, other).expect_err("it is not its own");
            assert!(refused.to_string().contains("another partition"), "{refused}");
        }
    }
}

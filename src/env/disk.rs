//! The disk as a parameter: traits [`Disk`] and [`File`].
//!
//! What the log may rely on is only what is said here; [`super::sim_disk`] breaks everything that is not. In short:
//! written bytes survive the process, synced bytes survive a power cut, and a new, renamed or removed name
//! survives a power cut only after [`Disk::sync_dir`] of its folder. After a failed sync nothing is known of the bytes
//! that it was to cover, and a later sync that succeeds proves nothing about them.

use std::fmt;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenMode {
    /// It must exist; reading only.
    Read,
    /// It must exist; reading and writing.
    Write,
    /// It must not exist; made empty, reading and writing.
    CreateNew,
}

/// One name in a folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirEntry {
    /// The name without its folder.
    pub name: String,
    /// What it names.
    pub kind: EntryKind,
    /// Length in bytes, 0 for folders.
    pub len: u64,
    /// Time of the last change in ms since 1970.
    pub modified_ms: i64,
}

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// Anything else: links, pipes, sockets.
    Other,
}

/// Size and free space of a file system in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// Whole size.
    pub total_bytes: u64,
    /// Free for this process.
    pub free_bytes: u64,
}

/// What kind of failure a disk operation met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskErrorKind {
    /// The name does not exist.
    NotFound,
    /// The name exists already.
    Exists,
    /// No space (ENOSPC, EDQUOT).
    Full,
    /// Too many open files (EMFILE, ENFILE).
    TooManyFiles,
    /// This process may not (EACCES, EPERM), or nobody may (EROFS).
    Denied,
    /// A folder, a pipe or the like where a regular file belongs, or a file where a folder does.
    WrongKind,
    /// Everything else, EIO first of all.
    Io,
}

/// What was asked of a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpKind {
    /// Opening a file or folder.
    Open,
    /// Making a file.
    Create,
    /// Reading, with or without waiting.
    Read,
    /// Writing.
    Write,
    /// Cutting or extending a file.
    SetLen,
    /// Making a file's bytes durable.
    SyncData,
    /// Making a folder's names durable.
    SyncDir,
    /// Making everything durable.
    SyncFileSystem,
    /// Making a folder.
    CreateDir,
    /// Listing a folder, or asking what stands under a path.
    Look,
    /// Giving another name.
    Rename,
    /// Removing a file's name.
    RemoveFile,
    /// Removing a folder.
    RemoveDir,
    /// Asking for size and free space.
    Space,
    /// Locking a file.
    Lock,
}

impl OpKind {
    /// Whether it makes something durable.
    pub fn is_sync(self) -> bool {
        matches!(self, Self::SyncData | Self::SyncDir | Self::SyncFileSystem)
    }
}

impl fmt::Display for OpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Create => "create",
            Self::Read => "read",
            Self::Write => "write",
            Self::SetLen => "set length of",
            Self::SyncData => "sync",
            Self::SyncDir => "sync folder",
            Self::SyncFileSystem => "sync file system of",
            Self::CreateDir => "create folder",
            Self::Look => "look at",
            Self::Rename => "rename",
            Self::RemoveFile => "remove",
            Self::RemoveDir => "remove folder",
            Self::Space => "ask space of",
            Self::Lock => "lock",
        })
    }
}

/// A failed disk operation: what was tried, on what, and why it failed.
#[derive(Debug, Clone)]
pub struct DiskError {
    /// What kind of failure.
    pub kind: DiskErrorKind,
    /// What was tried.
    pub operation: OpKind,
    /// The file or folder.
    pub path: PathBuf,
    /// The system's words.
    pub detail: String,
}

impl DiskError {
    /// Wraps what the system said.
    pub fn from_io(operation: OpKind, path: &Path, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => DiskErrorKind::NotFound,
            io::ErrorKind::AlreadyExists => DiskErrorKind::Exists,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskErrorKind::Full,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => DiskErrorKind::Denied,
            io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => DiskErrorKind::WrongKind,
            _ if matches!(error.raw_os_error(), Some(23 | 24)) => DiskErrorKind::TooManyFiles,
            _ => DiskErrorKind::Io,
        };
        Self { kind, operation, path: path.to_owned(), detail: error.to_string() }
    }

    /// What a person does about it.
    pub fn advice(&self) -> &'static str {
        match self.kind {
            DiskErrorKind::NotFound if self.operation == OpKind::CreateDir => {
                "choose another place: no folder can be made there"
            }
            DiskErrorKind::Full => "free space there",
            DiskErrorKind::TooManyFiles => "raise the limit of open files (ulimit -n, LimitNOFILE=)",
            DiskErrorKind::Denied => {
                "let the user of this process read and write it, on a file system mounted for writing"
            }
            DiskErrorKind::WrongKind => "move it away, and restore what belongs there from a copy",
            DiskErrorKind::NotFound | DiskErrorKind::Exists => "see who else changes that folder",
            DiskErrorKind::Io => "check the disk",
        }
    }

    /// Whether the same may succeed when it is tried again, with nothing lost by trying: no sync was begun, and what it was asked of is
    /// where it was.
    pub fn may_pass(&self) -> bool {
        let is_there =
            matches!(self.kind, DiskErrorKind::TooManyFiles | DiskErrorKind::Full | DiskErrorKind::Io);
        is_there && !self.is_failed_sync()
    }

    /// Whether it was a sync that failed: what it was to cover may be gone, and a later one that succeeds proves nothing.
    pub fn is_failed_sync(&self) -> bool {
        self.operation.is_sync()
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.operation, self.path.display(), self.detail)
    }
}

impl std::error::Error for DiskError {}

/// Result of a disk operation.
pub type DiskResult<T> = Result<T, DiskError>;

/// A file system as far as Weir uses one. All calls block; paths are absolute or relative to the process.
pub trait Disk: Send + Sync + 'static {
    /// Opens a regular file. Errors: `NotFound`, `Exists`, `TooManyFiles`, `Full`, `Denied`, `Io`; `WrongKind` for everything else
    /// that can stand under a name, such as a pipe, without waiting for its other end.
    fn open(&self, path: &Path, mode: OpenMode) -> DiskResult<Arc<dyn File>>;

    /// Makes a folder whose parent exists. Errors: `Exists` when the name is taken.
    fn create_dir(&self, path: &Path) -> DiskResult<()>;

    /// Whether `operation` could make something under this name, as far as the system tells without a try; what is not known is fine.
    fn may_make(&self, operation: OpKind, path: &Path) -> DiskResult<()> {
        let _ = (operation, path);
        Ok(())
    }

    /// The names in a folder, sorted.
    fn list(&self, path: &Path) -> DiskResult<Vec<DirEntry>>;

    /// What stands under a path, or `None`.
    fn stat(&self, path: &Path) -> DiskResult<Option<DirEntry>>;

    /// Gives a file or folder another name; an existing file there is replaced in one step.
    fn rename(&self, from: &Path, to: &Path) -> DiskResult<()>;

    /// Removes a file's name; bytes that are still open stay readable.
    fn remove_file(&self, path: &Path) -> DiskResult<()>;

    /// Removes an empty folder.
    fn remove_dir(&self, path: &Path) -> DiskResult<()>;

    /// Makes names made, renamed or removed in a folder durable.
    fn sync_dir(&self, path: &Path) -> DiskResult<()>;

    /// Makes everything written to the file system of `path` durable. It may miss to report a failure of a single
    /// file, so after an error each file is synced by itself.
    fn sync_file_system(&self, path: &Path) -> DiskResult<()>;

    /// Size and free space of the file system of `path`.
    fn space(&self, path: &Path) -> DiskResult<Space>;

    /// Takes an exclusive lock on a folder, held until the returned value drops; `None` when somebody holds it already. A file
    /// system that can't lock folders gives a value that keeps nobody out.
    fn lock_dir(&self, path: &Path) -> DiskResult<Option<Box<dyn Send + Sync>>>;

    /// Whether a process holds the lock on the file or folder `path`, asked without taking it, so that nobody who takes it meanwhile
    /// is refused. False as well where the system does not tell, such as for processes in another PID namespace.
    fn is_locked(&self, path: &Path) -> DiskResult<bool>;

    /// Takes an exclusive lock on the file `path`, made when missing, and writes `owner` into it. The lock is held until
    /// the returned value drops. `Err(Ok(text))` is who holds it already.
    fn lock(&self, path: &Path, owner: &str) -> Result<Box<dyn Send + Sync>, Result<String, DiskError>>;
}

/// An open file. Positions are explicit; there is no cursor.
#[allow(clippy::len_without_is_empty)]
pub trait File: Send + Sync {
    /// Writes from `position` on and returns how many bytes were taken, possibly fewer than given (never 0 of some).
    fn write_vectored_at(&self, slices: &[IoSlice<'_>], position: u64) -> DiskResult<usize>;

    /// Reads from `position` on and returns how many bytes came; 0 only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> DiskResult<usize>;

    /// The same without waiting for the device: `None` when it would have to.
    fn read_at_nowait(&self, buffer: &mut [u8], position: u64) -> DiskResult<Option<usize>>;

    /// Length in bytes.
    fn len(&self) -> DiskResult<u64>;

    /// Cuts or extends with zeros.
    fn set_len(&self, len: u64) -> DiskResult<()>;

    /// Makes all bytes written so far, and the length, durable. Not the name: see [`Disk::sync_dir`].
    fn sync_data(&self) -> DiskResult<()>;

    /// Asks the kernel to begin writing a range out; a hint without promise.
    fn start_writeback(&self, position: u64, len: u64);

    /// Asks the kernel to forget its copy of a range that is synced, so that a read sees what the device holds; a hint.
    fn drop_cache(&self, position: u64, len: u64);
}

/// Fills `buffer` from `position` on. Returns how many bytes came: fewer only at the end of the file.
pub fn read_full_at(file: &dyn File, buffer: &mut [u8], position: u64) -> DiskResult<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], position + done as u64)? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}

/// Whether a read may wait for the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// No: the caller is on a shard, and asks again off it.
    Never,
    /// Yes: the caller is off the shard.
    Allowed,
}

/// Fills `buffer` like [`read_full_at`]; `None` when that would have to wait for the device and may not.
pub fn read_full(file: &dyn File, buffer: &mut [u8], position: u64, wait: Wait) -> DiskResult<Option<usize>> {
    if wait == Wait::Allowed {
        return read_full_at(file, buffer, position).map(Some);
    }
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at_nowait(&mut buffer[done..], position + done as u64)? {
            None => return Ok(None),
            Some(0) => break,
            Some(count) => done += count,
        }
    }
    Ok(Some(done))
}

/// Writes all of `bytes` at `position`, however short the single writes are.
pub fn write_full_at(file: &dyn File, bytes: &[u8], position: u64) -> DiskResult<()> {
    let mut done = 0;
    while done < bytes.len() {
        done += file.write_vectored_at(&[IoSlice::new(&bytes[done..])], position + done as u64)?;
    }
    Ok(())
}

/// Removes a file when it is there.
pub fn remove_if_there(disk: &dyn Disk, path: &Path) -> DiskResult<()> {
    match disk.remove_file(path) {
        Err(error) if error.kind != DiskErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

//! The machine's disk: [`Disk`] over Linux system calls.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Metadata, OpenOptions, TryLockError};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use parking_lot::Mutex;
use rustix::fs::{
    Access, Advice, FsWord, OFlags, PROC_SUPER_MAGIC, access, fadvise, fstatvfs, statfs, syncfs,
};
use rustix::io::{Errno, ReadWriteFlags, preadv2, pwritev, retry_on_intr};

use super::disk::{DirEntry, Disk, DiskError, DiskResult, EntryKind, File, OpKind, OpenMode, Space};
use super::process;
use crate::base::time::as_ms;

/// Rights of new folders: the owner's alone.
const DIR_MODE: u32 = 0o700;
/// Rights of new files: the owner's alone.
const FILE_MODE: u32 = 0o600;
/// How the kernel marks the file system that shows its devices.
const SYSFS_MAGIC: FsWord = 0x6265_6572;
/// Most slices that one `pwritev` takes (`UIO_MAXIOV`).
const SLICES_MAX: usize = 1024;

/// The machine's disk. Every descriptor is closed on exec. A call that a signal interrupts is made again, but for
/// syncs: one that was interrupted may have used up the report of an error, so a second one proves nothing.
#[derive(Debug, Default)]
pub struct RealDisk {
    /// Folders whose file system is asked or synced, held open. WHY: a failed write-back is told once to each descriptor that was
    /// open then; one that is opened for each sync misses what another one was told.
    roots: Mutex<BTreeMap<PathBuf, Arc<fs::File>>>,
}

impl RealDisk {
    /// The machine's disk.
    pub fn new() -> Self {
        Self::default()
    }

    fn root(&self, path: &Path) -> DiskResult<Arc<fs::File>> {
        let mut roots = self.roots.lock();
        if let Some(root) = roots.get(path) {
            return Ok(root.clone());
        }
        let root = Arc::new(fs::File::open(path).map_err(wrap(OpKind::Open, path))?);
        roots.insert(path.to_owned(), root.clone());
        Ok(root)
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> DiskResult<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read).create_new(mode == OpenMode::CreateNew);
        let file = open_regular(&mut options, path).map_err(wrap(OpKind::Open, path))?;
        Ok(Arc::new(RealFile { file, path: path.to_owned() }))
    }

    fn create_dir(&self, path: &Path) -> DiskResult<()> {
        DirBuilder::new().mode(DIR_MODE).create(path).map_err(wrap(OpKind::CreateDir, path))
    }

    fn may_make(&self, operation: OpKind, path: &Path) -> DiskResult<()> {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let wrapped = wrap_errno(operation, path);
        access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(&wrapped)?;
        match statfs(folder).map_err(&wrapped)?.f_type {
            // What the kernel shows there takes no names of others, and says so to nobody who only asks.
            PROC_SUPER_MAGIC | SYSFS_MAGIC => Err(wrapped(Errno::NOENT)),
            _ => Ok(()),
        }
    }

    fn list(&self, path: &Path) -> DiskResult<Vec<DirEntry>> {
        let wrapped = wrap(OpKind::Look, path);
        let mut entries = Vec::new();
        for found in fs::read_dir(path).map_err(&wrapped)? {
            let found = found.map_err(&wrapped)?;
            match found.metadata() {
                Ok(metadata) => entries.push(entry(&found.file_name(), &metadata)),
                // Somebody removed it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(wrapped(error)),
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn stat(&self, path: &Path) -> DiskResult<Option<DirEntry>> {
        match fs::symlink_metadata(path) {
            Ok(metadata) => Ok(Some(entry(path.file_name().unwrap_or_default(), &metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(wrap(OpKind::Look, path)(error)),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> DiskResult<()> {
        fs::rename(from, to).map_err(wrap(OpKind::Rename, from))
    }

    fn remove_file(&self, path: &Path) -> DiskResult<()> {
        fs::remove_file(path).map_err(wrap(OpKind::RemoveFile, path))
    }

    fn remove_dir(&self, path: &Path) -> DiskResult<()> {
        fs::remove_dir(path).map_err(wrap(OpKind::RemoveDir, path))
    }

    fn sync_dir(&self, path: &Path) -> DiskResult<()> {
        let dir = fs::File::open(path).map_err(wrap(OpKind::Open, path))?;
        rustix::fs::fsync(&dir).map_err(wrap_errno(OpKind::SyncDir, path))
    }

    fn sync_file_system(&self, path: &Path) -> DiskResult<()> {
        syncfs(&*self.root(path)?).map_err(wrap_errno(OpKind::SyncFileSystem, path))
    }

    fn space(&self, path: &Path) -> DiskResult<Space> {
        let root = self.root(path)?;
        let answer = retry_on_intr(|| fstatvfs(&*root)).map_err(wrap_errno(OpKind::Space, path))?;
        let bytes = |blocks: u64| blocks.saturating_mul(answer.f_frsize);
        Ok(Space { total_bytes: bytes(answer.f_blocks), free_bytes: bytes(answer.f_bavail) })
    }

    fn lock_dir(&self, path: &Path) -> DiskResult<Option<Box<dyn Send + Sync>>> {
        let dir = fs::File::open(path).map_err(wrap(OpKind::Lock, path))?;
        match dir.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            // WHY not refused: network file systems lock only files that are open for writing.
            Err(TryLockError::Error(error)) => {
                tracing::debug!(path = %path.display(), %error, "folders can't be locked here");
            }
        }
        Ok(Some(Box::new(dir)))
    }

    fn is_locked(&self, path: &Path) -> DiskResult<bool> {
        match fs::metadata(path) {
            Ok(there) => Ok(process::is_locked(there.dev(), there.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(wrap(OpKind::Look, path)(error)),
        }
    }

    fn lock(&self, path: &Path, owner: &str) -> Result<Box<dyn Send + Sync>, Result<String, DiskError>> {
        let failed = |error| Err(wrap(OpKind::Lock, path)(error));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = open_regular(&mut options, path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).map_err(failed)?;
                return Err(Ok(holder.trim().to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).and_then(|()| file.write_all(owner.as_bytes())).map_err(failed)?;
        Ok(Box::new(file))
    }
}

/// Opens what is a regular file, and nothing else. WHY: to open or read a pipe waits for its other end.
fn open_regular(options: &mut OpenOptions, path: &Path) -> io::Result<fs::File> {
    let not_waiting = OFlags::NONBLOCK.bits() as i32;
    let file = options.mode(FILE_MODE).custom_flags(not_waiting).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    // The kind of error decides; the words are for people.
    let what = if kind.is_dir() { "is a folder" } else { "is a pipe or a device" };
    Err(io::Error::new(io::ErrorKind::IsADirectory, format!("{what}, not a regular file")))
}

/// An open file of the machine.
struct RealFile {
    file: fs::File,
    path: PathBuf,
}

impl RealFile {
    fn read_once(&self, buffer: &mut [u8], position: u64) -> DiskResult<usize> {
        loop {
            match self.file.read_at(buffer, position) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                answer => return answer.map_err(wrap(OpKind::Read, &self.path)),
            }
        }
    }

    /// Whether there is something to read after all, though a read gave nothing.
    fn goes_on(&self, buffer: &[u8], position: u64) -> DiskResult<bool> {
        Ok(!buffer.is_empty() && position < self.len()?)
    }
}

impl File for RealFile {
    fn write_vectored_at(&self, slices: &[IoSlice<'_>], position: u64) -> DiskResult<usize> {
        let taken = &slices[..slices.len().min(SLICES_MAX)];
        let count = retry_on_intr(|| pwritev(&self.file, taken, position))
            .map_err(wrap_errno(OpKind::Write, &self.path))?;
        if count == 0 && taken.iter().any(|slice| !slice.is_empty()) {
            return Err(wrap(OpKind::Write, &self.path)(io::ErrorKind::WriteZero.into()));
        }
        Ok(count)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> DiskResult<usize> {
        match self.read_once(buffer, position)? {
            0 if self.goes_on(buffer, position)? => {}
            count => return Ok(count),
        }
        // WHY an error then: who is told that the file ends here takes what should follow for damaged.
        match self.read_once(buffer, position)? {
            0 => Err(wrap(OpKind::Read, &self.path)(io::ErrorKind::UnexpectedEof.into())),
            count => Ok(count),
        }
    }

    fn read_at_nowait(&self, buffer: &mut [u8], position: u64) -> DiskResult<Option<usize>> {
        let answer = retry_on_intr(|| {
            preadv2(&self.file, &mut [IoSliceMut::new(buffer)], position, ReadWriteFlags::NOWAIT)
        });
        match answer {
            Ok(0) if self.goes_on(buffer, position)? => Ok(None),
            Ok(count) => Ok(Some(count)),
            Err(Errno::AGAIN) => Ok(None),
            // This file system can't tell: answer as if it were in memory.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.read_at(buffer, position).map(Some),
            Err(error) => Err(wrap_errno(OpKind::Read, &self.path)(error)),
        }
    }

    fn len(&self) -> DiskResult<u64> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(wrap(OpKind::Look, &self.path))
    }

    fn set_len(&self, len: u64) -> DiskResult<()> {
        self.file.set_len(len).map_err(wrap(OpKind::SetLen, &self.path))
    }

    fn sync_data(&self) -> DiskResult<()> {
        rustix::fs::fdatasync(&self.file).map_err(wrap_errno(OpKind::SyncData, &self.path))
    }

    fn start_writeback(&self, position: u64, len: u64) {
        // WHY: no safe crate offers `sync_file_range`. This advice begins the same write-back, and then drops the
        // pages that are clean; of a range that was just written none is. Measured on ext4: 8 MiB take 160 µs, all of
        // it stays readable without waiting, and a sync of 64 MiB after it takes 0.7 ms instead of 18 ms.
        self.drop_cache(position, len);
    }

    fn drop_cache(&self, position: u64, len: u64) {
        if let Some(len) = NonZeroU64::new(len) {
            let bounded = (len.get() <= i64::MAX as u64).then_some(len);
            // A hint: nothing depends on whether the kernel takes it.
            let _ = fadvise(&self.file, position, bounded, Advice::DontNeed);
        }
    }
}

fn entry(name: &std::ffi::OsStr, metadata: &Metadata) -> DirEntry {
    let kind = match metadata.file_type() {
        // WHY: Weir makes no names outside UTF-8, and could not open one by what is returned here.
        _ if name.to_str().is_none() => EntryKind::Other,
        kind if kind.is_file() => EntryKind::File,
        kind if kind.is_dir() => EntryKind::Dir,
        _ => EntryKind::Other,
    };
    let since_1970 = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    DirEntry {
        name: name.to_string_lossy().into_owned(),
        kind,
        len: if kind == EntryKind::Dir { 0 } else { metadata.len() },
        modified_ms: since_1970.map_or(0, as_ms),
    }
}

fn wrap(operation: OpKind, path: &Path) -> impl Fn(io::Error) -> DiskError {
    move |error| DiskError::from_io(operation, path, &error)
}

fn wrap_errno(operation: OpKind, path: &Path) -> impl Fn(Errno) -> DiskError {
    move |error| DiskError::from_io(operation, path, &error.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::super::disk::{DiskErrorKind, read_full_at, write_full_at};
    use super::*;

    fn folder() -> (tempfile::TempDir, RealDisk) {
        (tempfile::tempdir().expect("a folder for the test"), RealDisk::new())
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn bytes_come_back_from_where_they_were_written() {
        let (dir, disk) = folder();
        let path = dir.path().join("f");
        let file = disk.open(&path, OpenMode::CreateNew).unwrap();
        let slices = [IoSlice::new(b"hello "), IoSlice::new(b""), IoSlice::new(b"world")];
        assert_eq!(file.write_vectored_at(&slices, 3).unwrap(), 11);
        assert_eq!(file.write_vectored_at(&[], 3).unwrap(), 0);
        assert_eq!(file.len().unwrap(), 14);
        let mut buffer = [0; 20];
        assert_eq!(read_full_at(&*file, &mut buffer, 0).unwrap(), 14);
        assert_eq!(&buffer[..14], b"\0\0\0hello world");
        assert_eq!(file.read_at_nowait(&mut buffer, 9).unwrap(), Some(5));
        assert_eq!(file.read_at(&mut buffer, 14).unwrap(), 0);
        file.set_len(2).unwrap();
        file.sync_data().unwrap();
        assert_eq!(file.len().unwrap(), 2);
        assert_eq!(mode(&path), FILE_MODE);
    }

    #[test]
    fn more_slices_than_one_call_takes_are_a_short_write() {
        let (dir, disk) = folder();
        let file = disk.open(&dir.path().join("f"), OpenMode::CreateNew).unwrap();
        let slices = vec![IoSlice::new(b"x"); SLICES_MAX + 5];
        assert_eq!(file.write_vectored_at(&slices, 0).unwrap(), SLICES_MAX);
    }

    #[test]
    fn hints_and_syncs_lose_nothing() {
        let (dir, disk) = folder();
        let file = disk.open(&dir.path().join("f"), OpenMode::CreateNew).unwrap();
        let bytes = vec![5u8; 100_000];
        write_full_at(&*file, &bytes, 0).unwrap();
        file.start_writeback(0, 100_000);
        disk.sync_file_system(dir.path()).unwrap();
        disk.sync_dir(dir.path()).unwrap();
        file.drop_cache(0, u64::MAX);
        file.drop_cache(0, 0);
        let mut back = vec![0; 100_000];
        file.read_at_nowait(&mut back, 0).unwrap();
        assert_eq!(read_full_at(&*file, &mut back, 0).unwrap(), 100_000);
        assert_eq!(back, bytes);
    }

    #[test]
    fn open_modes_and_missing_names_give_their_kinds() {
        let (dir, disk) = folder();
        let path = dir.path().join("f");
        let kind = |path: &Path, mode| disk.open(path, mode).map(drop).unwrap_err().kind;
        assert_eq!(kind(&path, OpenMode::Read), DiskErrorKind::NotFound);
        assert_eq!(kind(&path, OpenMode::Write), DiskErrorKind::NotFound);
        disk.open(&path, OpenMode::CreateNew).unwrap();
        assert_eq!(kind(&path, OpenMode::CreateNew), DiskErrorKind::Exists);
        let reader = disk.open(&path, OpenMode::Read).unwrap();
        assert_eq!(write_full_at(&*reader, b"x", 0).unwrap_err().kind, DiskErrorKind::Io);
        assert_eq!(disk.remove_file(&dir.path().join("no")).unwrap_err().kind, DiskErrorKind::NotFound);
        assert_eq!(disk.create_dir(dir.path()).unwrap_err().kind, DiskErrorKind::Exists);
        assert_eq!(disk.stat(&dir.path().join("no")).unwrap(), None);
    }

    #[test]
    fn a_listing_is_sorted_and_does_not_follow_links() {
        let (dir, disk) = folder();
        disk.create_dir(&dir.path().join("c")).unwrap();
        assert_eq!(mode(&dir.path().join("c")), DIR_MODE);
        let file = disk.open(&dir.path().join("b"), OpenMode::CreateNew).unwrap();
        write_full_at(&*file, b"123", 0).unwrap();
        symlink(dir.path(), dir.path().join("a")).unwrap();
        let list = disk.list(dir.path()).unwrap();
        let short: Vec<_> = list.iter().map(|entry| (entry.name.as_str(), entry.kind)).collect();
        assert_eq!(short, [("a", EntryKind::Other), ("b", EntryKind::File), ("c", EntryKind::Dir)]);
        assert_eq!((list[1].len, list[2].len), (3, 0));
        assert!(list[1].modified_ms > 0);
        assert_eq!(disk.stat(&dir.path().join("b")).unwrap().as_ref(), Some(&list[1]));
    }

    #[test]
    fn names_change_and_go() {
        let (dir, disk) = folder();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let file = disk.open(&a, OpenMode::CreateNew).unwrap();
        write_full_at(&*file, b"1", 0).unwrap();
        disk.open(&b, OpenMode::CreateNew).unwrap();
        disk.rename(&a, &b).unwrap();
        assert_eq!(disk.list(dir.path()).unwrap().len(), 1);
        disk.remove_file(&b).unwrap();
        let mut buffer = [0];
        assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 1);
        disk.create_dir(&a).unwrap();
        disk.remove_dir(&a).unwrap();
        assert_eq!(disk.list(dir.path()).unwrap(), []);
    }

    #[test]
    fn a_lock_has_one_holder_who_is_named() {
        let (dir, disk) = folder();
        let path = dir.path().join("lock");
        let held = disk.lock(&path, "4711\n").map_err(drop).unwrap();
        assert!(matches!(disk.lock(&path, "4712"), Err(Ok(holder)) if holder == "4711"));
        drop(held);
        drop(disk.lock(&path, "4712").map_err(drop).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "4712");
    }

    #[test]
    fn a_folder_has_one_holder_whatever_becomes_of_its_files() {
        let (dir, disk) = folder();
        let held = disk.lock_dir(dir.path()).unwrap();
        assert!(held.is_some());
        assert!(RealDisk::new().lock_dir(dir.path()).unwrap().is_none());
        drop(held);
        assert!(disk.lock_dir(dir.path()).unwrap().is_some());
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let (dir, disk) = folder();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for mode in [OpenMode::Read, OpenMode::Write] {
            let error = disk.open(&pipe, mode).map(drop).unwrap_err();
            assert_eq!(error.kind, DiskErrorKind::WrongKind);
            let expected = format!("open {}: is a pipe or a device, not a regular file", pipe.display());
            assert_eq!(error.to_string(), expected);
        }
        assert!(matches!(disk.lock(&pipe, "me"), Err(Err(error)) if error.kind == DiskErrorKind::WrongKind));
        let error = disk.open(dir.path(), OpenMode::Read).map(drop).unwrap_err();
        assert!(error.to_string().ends_with("is a folder, not a regular file"), "{error}");
        let file = disk.open(&dir.path().join("f"), OpenMode::CreateNew).unwrap();
        drop(file);
        symlink(dir.path().join("f"), dir.path().join("link")).unwrap();
        disk.open(&dir.path().join("link"), OpenMode::Write).unwrap();
    }

    #[test]
    fn space_is_told() {
        let (dir, disk) = folder();
        let space = disk.space(dir.path()).unwrap();
        assert!(space.total_bytes >= space.free_bytes && space.total_bytes > 0);
    }
}

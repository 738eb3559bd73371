//! The real disk, where writes to some files take as long as a test says.

use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use weir::env::disk::{DirEntry, DiskError, DiskResult, OpenMode, Space};
use weir::env::{Disk, File, RealDisk};

/// What each slow write takes that no test says anything else of: so much that a broker writes to such files from another thread.
const WRITE_MS: u64 = 5;

/// A disk on which writes to files are slow whose path has a name in it.
pub(crate) struct SlowDisk {
    disk: RealDisk,
    name: &'static str,
    next_ms: Arc<AtomicU64>,
}

/// Says how long writes take.
pub(crate) struct Brake(Arc<AtomicU64>);

impl Brake {
    /// The next slow write takes so long.
    pub(crate) fn hold_next(&self, time: Duration) {
        self.0.store(time.as_millis() as u64, Ordering::Relaxed);
    }
}

impl SlowDisk {
    pub(crate) fn new(name: &'static str) -> (Arc<Self>, Brake) {
        let next_ms = Arc::new(AtomicU64::new(WRITE_MS));
        (Arc::new(Self { disk: RealDisk::new(), name, next_ms: next_ms.clone() }), Brake(next_ms))
    }
}

struct SlowFile {
    file: Arc<dyn File>,
    next_ms: Arc<AtomicU64>,
}

impl File for SlowFile {
    fn write_vectored_at(&self, slices: &[IoSlice<'_>], position: u64) -> DiskResult<usize> {
        let ms = self.next_ms.swap(WRITE_MS, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(ms));
        self.file.write_vectored_at(slices, position)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> DiskResult<usize> {
        self.file.read_at(buffer, position)
    }

    fn read_at_nowait(&self, buffer: &mut [u8], position: u64) -> DiskResult<Option<usize>> {
        self.file.read_at_nowait(buffer, position)
    }

    fn len(&self) -> DiskResult<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> DiskResult<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> DiskResult<()> {
        self.file.sync_data()
    }

    fn start_writeback(&self, position: u64, len: u64) {
        self.file.start_writeback(position, len);
    }

    fn drop_cache(&self, position: u64, len: u64) {
        self.file.drop_cache(position, len);
    }
}

impl Disk for SlowDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> DiskResult<Arc<dyn File>> {
        let file = self.disk.open(path, mode)?;
        let is_slow = path.to_string_lossy().contains(self.name);
        Ok(if is_slow { Arc::new(SlowFile { file, next_ms: self.next_ms.clone() }) } else { file })
    }

    fn create_dir(&self, path: &Path) -> DiskResult<()> {
        self.disk.create_dir(path)
    }

    fn list(&self, path: &Path) -> DiskResult<Vec<DirEntry>> {
        self.disk.list(path)
    }

    fn stat(&self, path: &Path) -> DiskResult<Option<DirEntry>> {
        self.disk.stat(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> DiskResult<()> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> DiskResult<()> {
        self.disk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> DiskResult<()> {
        self.disk.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> DiskResult<()> {
        self.disk.sync_dir(path)
    }

    fn sync_file_system(&self, path: &Path) -> DiskResult<()> {
        self.disk.sync_file_system(path)
    }

    fn space(&self, path: &Path) -> DiskResult<Space> {
        self.disk.space(path)
    }

    fn lock_dir(&self, path: &Path) -> DiskResult<Option<Box<dyn Send + Sync>>> {
        self.disk.lock_dir(path)
    }

    fn is_locked(&self, path: &Path) -> DiskResult<bool> {
        self.disk.is_locked(path)
    }

    fn lock(&self, path: &Path, owner: &str) -> Result<Box<dyn Send + Sync>, Result<String, DiskError>> {
        self.disk.lock(path, owner)
    }
}

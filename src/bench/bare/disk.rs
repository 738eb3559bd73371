//! P, S and F: what the disk under a folder takes, through the same door as the broker's log.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::super::latency::Latencies;
use super::LARGE_BYTES;
use crate::env::disk::{DiskResult, OpenMode};
use crate::env::{Clock, Disk, DiskError, File};

/// A file is begun anew at this size, as a log's segment is.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Bytes between two syncs where the disk is to keep up.
const SYNC_BYTES: u64 = 8 << 20;
/// Bytes of a small write.
const SMALL_BYTES: usize = 4 << 10;

/// When writes are made durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sync {
    /// Never: P.
    Never,
    /// Every 8 MiB: S.
    Behind,
}

/// Bytes a second of writes of 1 MiB at the end of a growing file under `folder`, for `duration`.
///
/// Errors: those of the disk. Nothing is left behind.
pub fn write_rate(
    disk: &dyn Disk,
    folder: &Path,
    clock: &dyn Clock,
    (sync, duration): (Sync, Duration),
) -> DiskResult<f64> {
    let bytes = vec![0xa5; LARGE_BYTES];
    let mut growing = Growing::begin(disk, folder)?;
    let (begun, mut written) = (clock.monotonic(), 0u64);
    while clock.monotonic() - begun < duration {
        growing.write(&bytes)?;
        written += bytes.len() as u64;
        if sync == Sync::Behind && written.is_multiple_of(SYNC_BYTES) {
            growing.file.sync_data()?;
        }
    }
    let took = clock.monotonic() - begun;
    growing.remove()?;
    Ok(written as f64 / took.as_secs_f64())
}

/// Times a write of 4 KiB with its sync, at the end of a growing file under `folder`, again and again for `duration`: F.
///
/// Errors: those of the disk. Nothing is left behind.
pub fn sync_times(
    disk: &dyn Disk,
    folder: &Path,
    clock: &dyn Clock,
    duration: Duration,
) -> DiskResult<Latencies> {
    let bytes = vec![0xa5; SMALL_BYTES];
    let mut growing = Growing::begin(disk, folder)?;
    let mut latencies = Latencies::default();
    let end = clock.monotonic() + duration;
    loop {
        let begun = clock.monotonic();
        if begun >= end {
            break;
        }
        growing.write(&bytes)?;
        growing.file.sync_data()?;
        latencies.add(clock.monotonic() - begun);
    }
    growing.remove()?;
    Ok(latencies)
}

/// A file that is written at its end.
struct Growing<'a> {
    disk: &'a dyn Disk,
    path: PathBuf,
    file: Arc<dyn File>,
    length: u64,
}

impl<'a> Growing<'a> {
    fn begin(disk: &'a dyn Disk, folder: &Path) -> Result<Self, DiskError> {
        let path = folder.join(format!("bench-ceiling-{}", std::process::id()));
        let file = disk.open(&path, OpenMode::CreateNew)?;
        Ok(Self { disk, path, file, length: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> DiskResult<()> {
        if self.length >= FILE_BYTES_MAX {
            self.disk.remove_file(&self.path)?;
            self.file = self.disk.open(&self.path, OpenMode::CreateNew)?;
            self.length = 0;
        }
        self.length += self.file.write_vectored_at(&[IoSlice::new(bytes)], self.length)? as u64;
        Ok(())
    }

    fn remove(self) -> DiskResult<()> {
        self.disk.remove_file(&self.path)
    }
}

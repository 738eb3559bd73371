//! What all logs of a data directory share: the outside world, open files, the queues of the committer and of the writer thread.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::flush::queue::{DirtyQueue, WriterQueue};
use super::pace::Pace;
use crate::base::limits::STALLED_APPEND_MICROS;
use crate::env::files::FileCache;
use crate::env::rule::Rule;
use crate::env::{Disk, Env};
use crate::metrics::LogCounters;

/// Shared by all logs of a data directory.
pub(super) struct Shared {
    pub(super) env: Env,
    pub(super) files: FileCache,
    pub(super) data_dir: PathBuf,
    pub(super) dirty: DirtyQueue,
    pub(super) writer_queue: WriterQueue,
    pub(super) counters: LogCounters,
    pub(super) pace: Pace,
    reserve_bytes: u64,
    is_full: AtomicBool,
    is_stalled: AtomicBool,
    /// Bytes that users may write before the free space is looked at again, so that they never write into the reserve,
    /// however fast they are.
    room: AtomicI64,
}

impl Shared {
    pub(super) fn new(env: Env, files: FileCache, data_dir: PathBuf, reserve_bytes: u64) -> Arc<Self> {
        let monotonic_ms = crate::base::time::as_ms(env.clock.monotonic());
        let pace = Pace::new(env.clock.now_ms(), monotonic_ms);
        Arc::new(Self {
            pace,
            env,
            files,
            data_dir,
            dirty: DirtyQueue::default(),
            writer_queue: WriterQueue::default(),
            counters: LogCounters::default(),
            reserve_bytes,
            is_full: AtomicBool::new(false),
            is_stalled: AtomicBool::new(false),
            room: AtomicI64::new(0),
        })
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.env.disk
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.env.clock.now_ms()
    }

    pub(super) fn monotonic_ms(&self) -> i64 {
        crate::base::time::as_ms(self.env.clock.monotonic())
    }

    /// Notes how long an append took.
    pub(super) fn note_append(&self, micros: u64) {
        let is_stalled = micros > STALLED_APPEND_MICROS;
        // Written when it changes only: every shard reads it all the time.
        if self.is_stalled() != is_stalled {
            self.is_stalled.store(is_stalled, Ordering::Relaxed);
        }
    }

    /// Whether the last append, of whatever log, found a disk that stands still. A shard then leaves appends to the writer thread.
    pub(super) fn is_stalled(&self) -> bool {
        self.is_stalled.load(Ordering::Relaxed) && Rule::LeaveToWriter.holds()
    }

    /// Whether user logs are refused because free space is below the reserve.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Free space below which users may not write.
    pub(super) fn reserve_bytes(&self) -> u64 {
        self.reserve_bytes
    }

    /// Takes `bytes` from what users may write, which ends where the reserve begins. `staged` of what was taken before is not
    /// written yet. Cost: a system call when the space has not been looked at for as many bytes as were free.
    pub(super) fn take_room(&self, bytes: u64, staged: u64) -> bool {
        if !Rule::KeepReserve.holds() {
            return true;
        }
        if self.is_full() {
            return false;
        }
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        if self.room.fetch_sub(bytes, Ordering::Relaxed) >= bytes {
            return true;
        }
        if !self.check_space() {
            // The disk itself will say when it is full.
            return true;
        }
        let bytes = bytes.saturating_add(i64::try_from(staged).unwrap_or(i64::MAX));
        !self.is_full() && self.room.fetch_sub(bytes, Ordering::Relaxed) >= bytes
    }

    /// Looks at the free space. Cost: one system call. False: it can't be told, and what was known of it stays.
    pub(super) fn check_space(&self) -> bool {
        match self.env.disk.space(&self.data_dir) {
            Ok(space) => {
                let is_full = space.free_bytes < self.reserve_bytes;
                let room = space.free_bytes.saturating_sub(self.reserve_bytes);
                self.room.store(i64::try_from(room).unwrap_or(i64::MAX), Ordering::Relaxed);
                if self.is_full.swap(is_full, Ordering::Relaxed) != is_full {
                    let free_bytes = space.free_bytes;
                    tracing::warn!(
                        is_full,
                        free_bytes,
                        reserve_bytes = self.reserve_bytes,
                        "free disk space"
                    );
                }
                true
            }
            Err(error) => {
                tracing::warn!(%error, "can't tell the free disk space");
                false
            }
        }
    }
}

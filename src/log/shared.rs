//! What all logs of a data directory share: the outside world, open files, the queues of the committer and of the writer thread.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::flush::queue::{DirtyQueue, WriterQueue};
use crate::env::files::FileCache;
use crate::env::rule::Rule;
use crate::env::{Disk, Env};

/// Shared by all logs of a data directory.
pub(super) struct Shared {
    pub(super) env: Env,
    pub(super) files: FileCache,
    pub(super) data_dir: PathBuf,
    pub(super) dirty: DirtyQueue,
    pub(super) writer_queue: WriterQueue,
    reserve_bytes: u64,
    is_full: AtomicBool,
}

impl Shared {
    pub(super) fn new(env: Env, files: FileCache, data_dir: PathBuf, reserve_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            env,
            files,
            data_dir,
            dirty: DirtyQueue::default(),
            writer_queue: WriterQueue::default(),
            reserve_bytes,
            is_full: AtomicBool::new(false),
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

    /// Whether user logs are refused because free space is below the reserve.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed) && Rule::KeepReserve.holds()
    }

    /// Looks at the free space. Cost: one system call.
    pub(super) fn check_space(&self) {
        match self.env.disk.space(&self.data_dir) {
            Ok(space) => {
                let is_full = space.free_bytes < self.reserve_bytes;
                if self.is_full.swap(is_full, Ordering::Relaxed) != is_full {
                    let free_bytes = space.free_bytes;
                    tracing::warn!(
                        is_full,
                        free_bytes,
                        reserve_bytes = self.reserve_bytes,
                        "free disk space"
                    );
                }
            }
            Err(error) => tracing::warn!(%error, "can't tell the free disk space"),
        }
    }
}

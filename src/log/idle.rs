//! When a log is not used: then it holds no descriptors.
//!
//! A use leaves a mark, which costs a store; housekeeping looks at the clock. What is closed is opened again at the next use.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::partition_log::PartitionLog;
use crate::base::limits::IDLE_CLOSE_MS;
use crate::env::disk::DiskResult;

/// Whether a log is used, as far as its descriptors go.
pub(super) struct Idleness {
    /// Since the last look.
    is_used: AtomicBool,
    /// When a look last found a use, monotonic ms; `i64::MAX` once the files are closed.
    used_ms: AtomicI64,
}

impl Idleness {
    /// A log that was just opened.
    pub(super) fn new(now_ms: i64) -> Self {
        Self { is_used: AtomicBool::new(true), used_ms: AtomicI64::new(now_ms) }
    }

    /// Notes an append, a read, or other work that opens files.
    pub(super) fn note_use(&self) {
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether files may be open that nobody used for [`IDLE_CLOSE_MS`].
    fn is_due(&self, now_ms: i64) -> bool {
        if self.is_used.swap(false, Ordering::Relaxed) {
            self.used_ms.store(now_ms, Ordering::Relaxed);
        }
        now_ms.saturating_sub(self.used_ms.load(Ordering::Relaxed)) >= IDLE_CLOSE_MS
    }

    fn note_closed(&self) {
        self.used_ms.store(i64::MAX, Ordering::Relaxed);
    }
}

impl PartitionLog {
    /// Closes the files when nobody used the log for a while. Blocks: what is dirty is synced before.
    ///
    /// Holds: appends wait meanwhile, and a log with records to sync is left to the committer. A log file that can't be synced
    /// takes the log offline; a side file can be made anew, so that is only told.
    pub(super) fn close_idle_files(&self) {
        if !self.idle.is_due(self.shared.monotonic_ms()) {
            return;
        }
        let Some(_writer) = self.writer_for_upkeep() else { return };
        if self.unsynced.lock().is_dirty() {
            return;
        }
        match self.close_log_files() {
            Err(error) => self.fail(&error),
            Ok(is_closed) => {
                if self.close_side_files() && is_closed {
                    self.idle.note_closed();
                }
            }
        }
    }

    /// False when somebody holds one.
    fn close_log_files(&self) -> DiskResult<bool> {
        let segments = self.segments.load();
        segments.iter().try_fold(true, |all, segment| Ok(segment.log().close()? && all))
    }

    /// False when somebody holds one.
    fn close_side_files(&self) -> bool {
        let mut all = true;
        for segment in self.segments.load().iter() {
            match segment.close_side() {
                Ok(is_closed) => all &= is_closed,
                Err(error) => tracing::warn!(%error, "side file of an idle segment is not synced"),
            }
        }
        all
    }
}

//! What a log keeps of its compaction while it is open.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::Mutex;

/// Shortest and longest rest after a pass that failed, in ms: freed space is soon used, and damage costs little.
const REST_MS: (i64, i64) = (60_000, 3_600_000);

/// Of one log.
#[derive(Default)]
pub(in crate::log) struct CompactionState {
    /// Held over a pass.
    pub(super) pass: Mutex<()>,
    /// Held while segments get other files, and while retention or a trim removes some.
    pub(in crate::log) reshaping: Mutex<()>,
    /// No pass before this time, monotonic ms.
    rests_until_ms: AtomicI64,
    /// How long it rested last; 0 after a pass that held.
    rest_ms: AtomicI64,
    /// Whether any segment was put in the place of others since the log was opened.
    has_swapped: AtomicBool,
    /// Whether the folder waits to be put right at the next opening.
    is_unfinished: AtomicBool,
}

impl CompactionState {
    /// Returns when no pass is under way. Before: the log is closed, so that none begins any more, and one that runs soon ends.
    pub(in crate::log) fn wait_for_pass(&self) {
        drop(self.pass.lock());
    }

    /// Whether records may be gone that were there when the log was opened.
    pub(in crate::log) fn has_swapped(&self) -> bool {
        self.has_swapped.load(Ordering::Acquire)
    }

    /// Notes, before readers see it, that segments are put in the place of others.
    pub(super) fn note_swap(&self) {
        self.has_swapped.store(true, Ordering::Release);
    }

    /// Whether a pass may begin.
    pub(super) fn may_begin(&self, monotonic_ms: i64) -> bool {
        !self.is_unfinished.load(Ordering::Relaxed)
            && monotonic_ms >= self.rests_until_ms.load(Ordering::Relaxed)
    }

    /// Leaves the log alone for a while, after a pass that failed: twice as long each time, so that a segment that can't be read is not
    /// read on and on.
    pub(super) fn rest(&self, monotonic_ms: i64) {
        let rest_ms = (2 * self.rest_ms.load(Ordering::Relaxed)).clamp(REST_MS.0, REST_MS.1);
        self.rest_ms.store(rest_ms, Ordering::Relaxed);
        self.rests_until_ms.store(monotonic_ms.saturating_add(rest_ms), Ordering::Relaxed);
    }

    /// Notes that a pass held.
    pub(super) fn note_held(&self) {
        self.rest_ms.store(0, Ordering::Relaxed);
    }

    /// Leaves the log alone until it is opened anew.
    pub(super) fn note_unfinished(&self) {
        self.is_unfinished.store(true, Ordering::Relaxed);
    }
}

//! What a log has left to make durable, as its writer leaves it and the committer takes it.

use std::sync::Arc;

use crate::base::{BytePosition, Offset};
use crate::config::{FlushMode, TopicConfig};
use crate::log::segment::{Footer, Segment};

use crate::base::limits::{UNSYNCED_BYTES_MAX, UNSYNCED_MS_MAX};

/// Un-synced work of one log.
pub(in crate::log) struct Unsynced {
    /// Segments with bytes or names that are not durable, oldest first.
    pub(in crate::log) segments: Vec<Arc<Segment>>,
    /// Whether names were made in the folder.
    pub(in crate::log) folder: bool,
    /// Rolled segments that wait for their footer.
    pub(in crate::log) seal: Vec<(Arc<Segment>, Footer)>,
    /// A snapshot of the producers at an offset, to be written.
    pub(in crate::log) snapshot: Option<(Offset, Vec<u8>)>,
    /// Bytes written since the last round.
    pub(in crate::log) bytes: u64,
    /// When the first of them was written, monotonic ms.
    pub(in crate::log) since_ms: i64,
    /// End of what is written.
    pub(in crate::log) end: Offset,
    /// Segment in which it lies.
    pub(in crate::log) active: Arc<Segment>,
    /// Byte position of the end.
    pub(in crate::log) position: BytePosition,
}

/// What one round is to make durable for one log.
pub(in crate::log) struct Capture {
    bytes: u64,
    since_ms: i64,
    pub(in crate::log) segments: Vec<Arc<Segment>>,
    pub(in crate::log) folder: bool,
    pub(in crate::log) seal: Vec<(Arc<Segment>, Footer)>,
    pub(in crate::log) snapshot: Option<(Offset, Vec<u8>)>,
    pub(in crate::log) end: Offset,
    pub(in crate::log) segment_base: Offset,
    pub(in crate::log) position: BytePosition,
}

impl Unsynced {
    pub(in crate::log) fn new(active: &Arc<Segment>) -> Self {
        Self {
            segments: Vec::new(),
            folder: false,
            seal: Vec::new(),
            snapshot: None,
            bytes: 0,
            since_ms: 0,
            end: active.end_offset(),
            active: active.clone(),
            position: active.len(),
        }
    }

    pub(in crate::log) fn is_dirty(&self) -> bool {
        !self.segments.is_empty() || self.folder || !self.seal.is_empty() || self.snapshot.is_some()
    }

    /// Notes bytes written to `active` up to `position`.
    pub(in crate::log) fn note(
        &mut self,
        active: &Arc<Segment>,
        end: Offset,
        position: BytePosition,
        now_ms: i64,
        bytes: u64,
    ) {
        if self.bytes == 0 {
            self.since_ms = now_ms;
        }
        self.bytes += bytes;
        self.end = end;
        self.position = position;
        self.active = active.clone();
        if !self.segments.last().is_some_and(|last| Arc::ptr_eq(last, active)) {
            self.segments.push(active.clone());
        }
    }

    /// When the log must be synced, monotonic ms; `None` when it has nothing to sync.
    pub(in crate::log) fn due_ms(&self, config: &TopicConfig, is_ack: bool) -> Option<i64> {
        if !self.is_dirty() {
            return None;
        }
        if is_ack {
            return Some(i64::MIN);
        }
        let (bytes, wait_ms) = match config.flush {
            FlushMode::Interval => (config.flush_bytes.max(1) as u64, config.flush_ms),
            FlushMode::Os | FlushMode::Ack => (UNSYNCED_BYTES_MAX, UNSYNCED_MS_MAX),
        };
        let is_over = self.bytes >= bytes.min(UNSYNCED_BYTES_MAX);
        Some(if is_over { i64::MIN } else { self.since_ms.saturating_add(wait_ms.min(UNSYNCED_MS_MAX)) })
    }

    /// Takes the work out for a round.
    pub(in crate::log) fn capture(&mut self) -> Capture {
        Capture {
            bytes: std::mem::take(&mut self.bytes),
            since_ms: self.since_ms,
            segments: std::mem::take(&mut self.segments),
            folder: std::mem::take(&mut self.folder),
            seal: std::mem::take(&mut self.seal),
            snapshot: self.snapshot.take(),
            end: self.end,
            segment_base: self.active.base_offset(),
            position: self.position,
        }
    }

    /// Takes back what a round could not try, with what has come since.
    pub(in crate::log) fn put_back(&mut self, capture: Capture) {
        if capture.bytes > 0 {
            self.bytes += capture.bytes;
            self.since_ms = capture.since_ms;
        }
        let newer = std::mem::replace(&mut self.segments, capture.segments);
        for segment in newer {
            if !self.segments.iter().any(|older| Arc::ptr_eq(older, &segment)) {
                self.segments.push(segment);
            }
        }
        self.folder |= capture.folder;
        self.seal.splice(..0, capture.seal);
        self.snapshot = self.snapshot.take().or(capture.snapshot);
    }
}

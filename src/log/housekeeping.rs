//! Work on a log that is not urgent: rolling by time, retention, trimming.
//!
//! A partition never loses its log end: before its last segment goes, an empty one named by the log end is made and synced. Segments are
//! unlinked oldest first and the folder is synced before readers are told, so that nothing that was gone comes back.

use std::sync::Arc;

use super::append::Writer;
use super::errors::ReadError;
use super::partition_log::PartitionLog;
use super::recovery::snapshot_offsets;
use super::retention::{SegmentSummary, expired_segments};
use super::segment::Segment;
use super::segment::file::{file_name, remove_if_there};
use crate::base::Offset;
use crate::env::disk::DiskResult;

/// Endings of the files of a segment, in the order in which they go: without its log file a segment is gone.
const ENDINGS: [&str; 3] = ["log", "index", "timeindex"];

impl PartitionLog {
    /// Whether the segment still belongs to the log.
    pub(super) fn holds(&self, segment: &Arc<Segment>) -> bool {
        self.segments.load().iter().any(|other| Arc::ptr_eq(other, segment))
    }

    /// Rolls a segment that is old enough and removes segments that retention lets go. Blocks on the disk; does nothing while
    /// somebody appends, since it will be called again. Errors are logged: what could not be removed stays for the next time.
    pub fn housekeep(self: &Arc<Self>) {
        if self.refusal().is_some_and(|error| !matches!(error, super::errors::AppendError::DiskFull)) {
            return;
        }
        let done = self.roll_when_old().and_then(|()| self.apply_retention());
        if let Err(error) = done {
            tracing::warn!(topic = %self.topic, partition = self.id.partition, %error, "housekeeping failed, trying again later");
        }
        self.drain();
    }

    fn roll_when_old(self: &Arc<Self>) -> DiskResult<()> {
        let Some(mut writer) = self.writer.try_lock() else { return Ok(()) };
        let age_ms = self.shared.now_ms() - writer.tally.first_append_ms;
        if writer.tally.position > 0 && age_ms >= self.config.load().segment_ms {
            writer.roll(self)
        } else {
            Ok(())
        }
    }

    fn apply_retention(self: &Arc<Self>) -> DiskResult<()> {
        let Some(mut writer) = self.writer.try_lock() else { return Ok(()) };
        let segments = self.segments.load_full();
        let mut summaries = Vec::with_capacity(segments.len());
        for segment in segments.iter() {
            let last_append_ms = match segment.base_offset() == writer.active.base_offset() {
                true => writer.tally.last_append_ms,
                false => {
                    let side = segment.side(self.shared.disk())?;
                    let footer = *side.footer.lock();
                    // A segment that was only just rolled has no footer yet; it is as young as its successor.
                    footer.map_or(writer.tally.first_append_ms, |footer| footer.last_append_ms)
                }
            };
            summaries.push(SegmentSummary { size_bytes: segment.len(), last_append_ms });
        }
        let count = expired_segments(&summaries, &self.config.load(), self.shared.now_ms());
        self.remove_front(&mut writer, count)
    }

    /// Makes everything below `to` unreadable and removes the segments that lie below it whole. The trim must be durable in the metadata
    /// before. `to` is clamped to the high watermark. Returns the log start.
    pub fn trim(self: &Arc<Self>, to: Offset) -> Result<Offset, ReadError> {
        self.check_readable()?;
        let to = to.min(self.offsets().high_watermark);
        self.marks.set_log_start(to);
        let mut writer = self.writer.lock();
        let segments = self.segments.load_full();
        let ends = segments.iter().skip(1).map(|next| next.base_offset()).chain([writer.tally.end_offset]);
        let count = ends.take_while(|end| *end <= to).count();
        let is_all = count == segments.len();
        let count = if is_all && writer.tally.position == 0 { count - 1 } else { count };
        self.remove_front(&mut writer, count)?;
        drop(writer);
        self.drain();
        Ok(self.offsets().log_start)
    }

    fn remove_front(self: &Arc<Self>, writer: &mut Writer, count: usize) -> DiskResult<()> {
        if count == 0 {
            return Ok(());
        }
        if count == self.segments.load().len() {
            writer.roll(self)?;
            writer.active.log().sync()?;
        }
        let disk = self.shared.disk();
        disk.sync_dir(&self.folder)?;
        let segments = self.segments.load_full();
        let (gone, kept) = segments.split_at(count);
        let log_start = kept[0].base_offset();
        for segment in gone {
            for ending in ENDINGS {
                remove_if_there(disk, &segment.path(ending))?;
            }
        }
        for offset in snapshot_offsets(disk, &self.folder)?.into_iter().filter(|offset| *offset < log_start) {
            remove_if_there(disk, &self.folder.join(file_name(offset, "snapshot")))?;
        }
        disk.sync_dir(&self.folder)?;
        self.segments.store(Arc::new(kept.to_vec()));
        self.marks.set_log_start(log_start.min(self.offsets().high_watermark));
        let mut unsynced = self.unsynced.lock();
        unsynced.segments.retain(|segment| segment.base_offset() >= log_start);
        unsynced.seal.retain(|(segment, _)| segment.base_offset() >= log_start);
        tracing::info!(topic = %self.topic, partition = self.id.partition, segments = count, log_start, "removed old segments");
        Ok(())
    }
}

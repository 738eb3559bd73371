//! Work on a log that is not urgent: rolling by time, retention, trimming; its files are closed when it is idle.
//!
//! A partition never loses its log end: before its last segment goes, an empty one named by the log end is made and synced. Segments are
//! unlinked oldest first and the folder is synced before readers are told, so that nothing that was gone comes back.

use std::sync::Arc;

use parking_lot::MutexGuard;

use super::append::Writer;
use super::errors::ReadError;
use super::partition_log::PartitionLog;
use super::recovery::snapshot_offsets;
use super::retention::{expired_by_size, is_expired};
use super::segment::Segment;
use super::segment::file::{ENDINGS, file_name};
use crate::base::{Offset, Timestamp};
use crate::env::disk::{DiskResult, remove_if_there};
use crate::env::rule::Rule;

impl PartitionLog {
    /// Whether the segment still belongs to the log.
    pub(super) fn holds(&self, segment: &Arc<Segment>) -> bool {
        self.segments.load().iter().any(|other| Arc::ptr_eq(other, segment))
    }

    /// Rolls a segment that is old enough, removes segments that retention lets go, closes files that are not used. Blocks on the disk; does nothing while
    /// somebody appends, since it will be called again. Errors are logged: what could not be removed stays for the next time.
    pub fn housekeep(self: &Arc<Self>) {
        if self.refusal().is_some() {
            return;
        }
        let done = self.roll_when_old().and_then(|()| self.apply_retention());
        if let Err(error) = done {
            tracing::warn!(topic = %self.topic, partition = self.id.partition, %error, "housekeeping failed, trying again later");
        }
        self.close_idle_files();
        self.drain();
    }

    fn roll_when_old(self: &Arc<Self>) -> DiskResult<()> {
        let Some(mut writer) = self.writer_for_upkeep() else { return Ok(()) };
        let age_ms = self.shared.now_ms() - writer.tally.first_append_ms;
        if writer.tally.position > 0 && age_ms >= self.config.load().roll_after_ms() {
            self.idle.note_use();
            writer.roll(self)
        } else {
            Ok(())
        }
    }

    /// The writer, unless somebody appends or the log was closed: then its folder may be another log's by now.
    pub(super) fn writer_for_upkeep(&self) -> Option<MutexGuard<'_, Writer>> {
        self.writer.try_lock().filter(|_| !self.is_closed())
    }

    fn apply_retention(self: &Arc<Self>) -> DiskResult<()> {
        let is_deleted = self.config.load().is_deleted();
        if is_deleted {
            self.open_expired()?;
        }
        // Else a compaction is putting files into the place of others; this is called again.
        let Some(_nobody_reshapes) = self.compaction.reshaping.try_lock() else { return Ok(()) };
        let Some(mut writer) = self.writer_for_upkeep() else { return Ok(()) };
        let segments = self.segments.load_full();
        let count = if is_deleted { self.expired_count(&segments, &writer)? } else { 0 };
        // What a trim had no room to remove: there may be room by now.
        let count = count.max(wholly_below(&segments, &writer, self.offsets().log_start));
        self.remove_front(&mut writer, count)
    }

    /// How many segments of the front may go by size and by time.
    fn expired_count(&self, segments: &[Arc<Segment>], writer: &Writer) -> DiskResult<usize> {
        let config = self.config.load();
        let sizes: Vec<u64> = segments.iter().map(|segment| segment.len()).collect();
        let by_size = expired_by_size(&sizes, &config);
        let mut count = by_size;
        // Side files are opened from the front only as far as segments go.
        while let Some(segment) = segments.get(count) {
            let last_append_ms = self.last_append_ms(segment, writer)?;
            let is_kept = count + 1 == segments.len() && (segment.is_empty() || !Rule::ExpireActive.holds());
            if is_kept || !is_expired(last_append_ms, &config, self.shared.now_ms()) {
                break;
            }
            count += 1;
        }
        let count = by_size + self.shared.pace.allow(count - by_size);
        // What is not acknowledged yet is not old.
        Ok(count.min(wholly_below(segments, writer, self.offsets().high_watermark)))
    }

    /// Opens the side files of the segments that retention will look at. WHY before the writer is taken: one that has to be made anew is
    /// read whole, and appends would wait.
    fn open_expired(&self) -> DiskResult<()> {
        let (segments, config) = (self.segments.load_full(), self.config.load());
        for segment in &segments[..segments.len() - 1] {
            let side = match segment.side(self.shared.disk()) {
                // Compaction has put another one there.
                Err(_) if segment.is_removed() => return Ok(()),
                side => side?,
            };
            let footer = *side.footer.lock();
            if !footer.is_some_and(|footer| is_expired(footer.last_append_ms, &config, self.shared.now_ms()))
            {
                break;
            }
        }
        Ok(())
    }

    fn last_append_ms(&self, segment: &Segment, writer: &Writer) -> DiskResult<Timestamp> {
        if segment.base_offset() == writer.active.base_offset() {
            return Ok(writer.tally.last_append_ms);
        }
        if segment.side_if_open().is_none() {
            self.idle.note_use();
        }
        let side = segment.side(self.shared.disk())?;
        let footer = *side.footer.lock();
        // A segment that was only just rolled has no footer yet; it is as young as its successor.
        Ok(footer.map_or(writer.tally.first_append_ms, |footer| footer.last_append_ms))
    }

    /// Makes everything below `to` unreadable and removes the segments that lie below it whole. The trim must be durable in the metadata
    /// before. `to` is clamped to the high watermark. Returns the log start.
    pub fn trim(self: &Arc<Self>, to: Offset) -> Result<Offset, ReadError> {
        self.check_readable()?;
        let to = to.min(self.offsets().high_watermark);
        self.marks.set_log_start(to);
        let done = self.remove_below(to);
        // Appends that came meanwhile found the log taken.
        self.drain();
        done?;
        Ok(self.offsets().log_start)
    }

    fn remove_below(self: &Arc<Self>, to: Offset) -> Result<(), ReadError> {
        let _nobody_reshapes = self.compaction.reshaping.lock();
        let mut writer = self.writer.lock();
        if self.is_closed() {
            return Err(ReadError::Closed);
        }
        let count = wholly_below(&self.segments.load(), &writer, to);
        Ok(self.remove_front(&mut writer, count)?)
    }

    fn remove_front(self: &Arc<Self>, writer: &mut Writer, count: usize) -> DiskResult<()> {
        if count == 0 {
            return Ok(());
        }
        self.idle.note_use();
        let is_all = count == self.segments.load().len();
        // On a full disk what goes first makes room for the new end.
        let removed = match is_all && count > 1 {
            true => self.unlink_front(writer, count - 1).and_then(|()| self.unlink_front(writer, 1)),
            false => self.unlink_front(writer, count),
        };
        if let Some(error) = removed.as_ref().err().filter(|error| error.is_failed_sync()) {
            // WHY: the next try would sync again, succeed, and unlink the old end of the log while its new one is not durable.
            self.fail(error);
        }
        removed
    }

    fn unlink_front(self: &Arc<Self>, writer: &mut Writer, count: usize) -> DiskResult<()> {
        if count == self.segments.load().len() {
            writer.roll(self)?;
            writer.active.log().sync()?;
        }
        let disk = self.shared.disk();
        disk.sync_dir(&self.folder)?;
        let segments = self.segments.load_full();
        let (gone, kept) = segments.split_at(count);
        let log_start = kept[0].base_offset();
        gone.iter().for_each(|segment| segment.mark_removed());
        for segment in gone {
            for ending in ENDINGS {
                remove_if_there(disk, &segment.path(ending))?;
            }
            // WHY each: a power cut must not bring an older segment back without a newer one.
            disk.sync_dir(&self.folder)?;
        }
        for offset in snapshot_offsets(disk, &self.folder)?.into_iter().filter(|offset| *offset < log_start) {
            remove_if_there(disk, &self.folder.join(file_name(offset, "snapshot")))?;
        }
        // The mark first: a reader below it must not be handed what comes after.
        self.marks.set_log_start(log_start.min(self.offsets().high_watermark));
        self.segments.store(Arc::new(kept.to_vec()));
        writer.producers.forget_below(log_start);
        let mut unsynced = self.unsynced.lock();
        unsynced.segments.retain(|segment| segment.base_offset() >= log_start);
        unsynced.seal.retain(|(segment, _)| segment.base_offset() >= log_start);
        drop(unsynced);
        self.shared.check_space();
        tracing::info!(topic = %self.topic, partition = self.id.partition, segments = count, log_start, "removed old segments");
        Ok(())
    }
}

/// How many segments from the front hold nothing at or above `to`. An empty end stays: it keeps the log's end.
fn wholly_below(segments: &[Arc<Segment>], writer: &Writer, to: Offset) -> usize {
    let ends = segments.iter().skip(1).map(|next| next.base_offset()).chain([writer.tally.end_offset]);
    let count = ends.take_while(|end| *end <= to).count();
    if count == segments.len() && writer.tally.position == 0 { count - 1 } else { count }
}

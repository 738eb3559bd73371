//! What stands beside the segments and can be made again from their batches: the producers with their snapshots, the leader epochs.

use std::path::Path;
use std::sync::Arc;

use super::{EPOCHS_FILE, EPOCHS_KIND, End, Recovery, SNAPSHOT_KIND};
use crate::base::Offset;
use crate::base::offset::NO_EPOCH;
use crate::env::disk::{DiskErrorKind, DiskResult, Wait, remove_if_there};
use crate::env::rule::Rule;
use crate::log::epoch_cache::EpochCache;
use crate::log::errors::OpenError;
use crate::log::flush::checkpoint;
use crate::log::producer_state::ProducerState;
use crate::log::segment::Segment;
use crate::log::segment::file::file_name;
use crate::log::segment::offset_index::LookupError;
use crate::log::segment::scan::{Known, Scan, ScanPoint};

impl Recovery<'_> {
    /// The producers at the log end: the newest true snapshot, and the batches behind it. Also the offset of that snapshot.
    pub(super) fn load_producers(
        &self,
        segments: &[Arc<Segment>],
        log_end: Offset,
    ) -> Result<(ProducerState, Offset), OpenError> {
        let disk = self.shared.disk();
        let mut state = ProducerState::default();
        let mut from = segments.first().map_or(0, |segment| segment.base_offset());
        for offset in snapshot_offsets(disk, &self.folder)?.into_iter().rev() {
            let path = self.folder.join(file_name(offset, "snapshot"));
            if offset > log_end {
                remove_if_there(disk, &path)?;
                // Before the log reaches that offset again, with other records.
                disk.sync_dir(&self.folder)?;
                continue;
            }
            let body = checkpoint::read_of_log(disk, &path, SNAPSHOT_KIND, self.spec.id);
            if let Some(known) = body.ok().and_then(|body| ProducerState::decode(&body)) {
                (state, from) = (known, offset.max(from));
                break;
            }
            tracing::warn!(path = %path.display(), "a snapshot of the producers is not true, looking for an older one");
        }
        self.each_header(segments, from, log_end, |header| {
            let _ = state.note(header, header.last_offset());
        })?;
        Ok((state, from))
    }

    pub(super) fn load_epochs(&self, segments: &[Arc<Segment>], end: &End) -> Result<EpochCache, OpenError> {
        let log_end = end.tally.end_offset;
        let mut epochs = self.epochs.clone().unwrap_or_default();
        epochs.cut(log_end);
        for (epoch, offset) in &end.epochs {
            if epochs.epoch_of(*offset) != Some(*epoch) && !self.is_own_tail() {
                // Somebody put batches there that were written under other epochs than this log's.
                epochs.replace_from(*epoch, *offset);
            }
        }
        let last_epoch = end.epochs.last().map_or(NO_EPOCH, |last| last.0);
        let first = segments.first().map_or(0, |segment| segment.base_offset());
        let is_behind = self.epochs.is_none() || epochs.last_epoch() < last_epoch;
        if is_behind && Rule::RebuildEpochs.holds() {
            epochs = EpochCache::default();
            self.each_header(segments, first, log_end, |header| {
                epochs.begin(header.leader_epoch, header.base_offset);
            })?;
        }
        epochs.begin(self.spec.leader_epoch, log_end);
        if self.epochs.as_ref() != Some(&epochs) {
            self.write_epochs(&epochs, first < log_end)?;
        }
        Ok(epochs)
    }

    /// Writes the epochs down. Where the disk is full to the last byte there will be no such file: a log that can't be read could not
    /// be trimmed either, and without the file the next opening makes it again from the batches.
    fn write_epochs(&self, epochs: &EpochCache, has_records: bool) -> Result<(), OpenError> {
        let (disk, path) = (self.shared.disk(), self.folder.join(EPOCHS_FILE));
        // WHY synced: lost in a second crash, it would be made again from every batch header of the log.
        let write = if has_records { checkpoint::write } else { checkpoint::write_unsynced };
        let body = checkpoint::of_log(self.spec.id, &epochs.encode());
        match write(disk, &path, EPOCHS_KIND, &body) {
            Err(error) if error.kind == DiskErrorKind::Full => {
                tracing::warn!(%error, "no room for the leader epochs; the next opening reads the whole log for them");
                remove_if_there(disk, &path)?;
                remove_if_there(disk, &path.with_extension("tmp"))?;
                disk.sync_dir(&self.folder)?;
                Ok(())
            }
            written => Ok(written?),
        }
    }

    /// Visits the headers of the batches from the one with offset `from` on. Damaged batches are passed over.
    pub(super) fn each_header(
        &self,
        segments: &[Arc<Segment>],
        from: Offset,
        until: Offset,
        mut visit: impl FnMut(&crate::record::BatchHeader),
    ) -> Result<(), OpenError> {
        let first = segments.partition_point(|segment| segment.base_offset() <= from).saturating_sub(1);
        for segment in segments[first..].iter().filter(|_| from < until) {
            let side = segment.side(self.shared.disk())?;
            let from_here = from.max(segment.base_offset());
            let (position, offset) = match side.index.intervals_of(from_here, 0, Wait::Allowed) {
                Ok(near) => (near[0].start, near[0].first_offset),
                Err(LookupError::Disk(error)) => return Err(error.into()),
                Err(_) => (0, segment.base_offset()),
            };
            let file = segment.log().get()?;
            let start = ScanPoint { position, offset, epoch: NO_EPOCH };
            let mut scan = Scan::new(&*file, start, segment.len(), segment.offset_limit(), Known::default());
            loop {
                while let Some((header, _, _)) = scan.next_batch()? {
                    if header.last_offset() >= from {
                        visit(&header);
                    }
                }
                if scan.point().position >= segment.len() {
                    break;
                }
                scan.skip_damage()?;
            }
        }
        Ok(())
    }
}

/// Offsets of the producer snapshots in a folder, rising.
pub(in crate::log) fn snapshot_offsets(
    disk: &dyn crate::env::Disk,
    folder: &Path,
) -> DiskResult<Vec<Offset>> {
    let names = disk.list(folder)?;
    let offset = |name: &str| name.strip_suffix(".snapshot").and_then(|stem| stem.parse().ok());
    Ok(names.iter().filter_map(|entry| offset(&entry.name)).collect())
}

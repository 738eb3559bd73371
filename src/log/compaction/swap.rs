//! Puts a segment that was written aside into the place of those that it replaces.
//!
//! Readers first: the list of segments is swapped, while the new files still have their names aside and the old ones theirs. From then
//! on an old segment opens nothing any more: its names are about to stand for other bytes. Then the disk, so that a crash at any step
//! leaves the old log or the new one (see [`super::leftovers`]):
//! 1. the side files of the first old segment go, folder synced: beside another log file they would not be true
//! 2. the new log file is renamed over the first old one, folder synced: that is the moment
//! 3. the other old segments go in ascending order, folder synced
//! 4. the new side files get their names, the index last: it is the proof that the steps before are due.

use std::sync::Arc;

use super::errors::PassError;
use super::leftovers;
use crate::env::DiskError;
use crate::env::disk::{DiskResult, remove_if_there};
use crate::env::rule::Rule;
use crate::log::partition_log::PartitionLog;
use crate::log::segment::Segment;
use crate::log::segment::file::{ENDINGS, SIDE_ENDINGS};

/// Swaps. Readers of the old segments go on with the bytes that they have open, or in the new list.
///
/// Errors: `Stopped` when the log was closed, or retention removed one of the old segments; otherwise the log goes on as it was, or,
/// after a failed sync of the folder, is offline.
pub(super) fn swap(
    log: &Arc<PartitionLog>,
    old: &[Arc<Segment>],
    new: &Arc<Segment>,
) -> Result<(), PassError> {
    let _only_one = log.compaction.reshaping.lock();
    // Held open, so that nobody opens it while its name changes.
    let _open = new.log().get().inspect_err(|_| throw_away(log, new))?;
    log.compaction.note_swap();
    if !log.replace_segments(old, std::slice::from_ref(new)) {
        throw_away(log, new);
        return Err(PassError::Stopped);
    }
    old.iter().for_each(|segment| segment.retire());
    match begin_on_disk(log, new) {
        Ok(()) => {}
        Err(error) if error.is_failed_sync() => return Err(offline(log, error)),
        Err(error) => {
            let same = |old: &Arc<Segment>| {
                let (id, len, end_offset) = (old.id(), old.len(), old.end_offset());
                Arc::new(Segment::new(&log.shared.files, &log.folder, id, len, end_offset))
            };
            let again: Vec<_> = old.iter().map(same).collect();
            log.replace_segments(std::slice::from_ref(new), &again);
            new.retire();
            throw_away(log, new);
            return Err(error.into());
        }
    }
    match end_on_disk(log, old, new) {
        Err(error) if error.is_failed_sync() => Err(offline(log, error)),
        Err(error) => {
            // The next opening goes on where this one ended.
            log.compaction.note_unfinished();
            Err(error.into())
        }
        Ok(()) => Ok(()),
    }
}

/// What stands aside is of no use.
fn throw_away(log: &PartitionLog, new: &Segment) {
    match leftovers::discard(log.shared.disk(), &log.folder, new.base_offset()) {
        Err(error) if error.is_failed_sync() => log.fail(&error),
        Err(error) => {
            tracing::warn!(%error, "what a compaction wrote aside stays until the log is opened anew")
        }
        Ok(()) => {}
    }
}

fn offline(log: &PartitionLog, error: DiskError) -> PassError {
    log.fail(&error);
    PassError::Disk(error)
}

/// Up to the rename of the log file, which is the moment: before an error nothing has changed but that side files have to be rebuilt.
fn begin_on_disk(log: &PartitionLog, new: &Segment) -> DiskResult<()> {
    let disk = log.shared.disk();
    if Rule::UnlinkSides.holds() {
        for ending in SIDE_ENDINGS {
            remove_if_there(disk, &new.path(ending))?;
        }
        disk.sync_dir(&log.folder)?;
    }
    disk.rename(&new.path_aside("log"), &new.path("log"))?;
    new.log().renamed(new.path("log"));
    Ok(())
}

fn end_on_disk(log: &PartitionLog, old: &[Arc<Segment>], new: &Segment) -> DiskResult<()> {
    let disk = log.shared.disk();
    disk.sync_dir(&log.folder)?;
    for segment in &old[1..] {
        for ending in ENDINGS {
            remove_if_there(disk, &segment.path(ending))?;
        }
    }
    disk.sync_dir(&log.folder)?;
    let side = new.side(disk)?;
    for (file, ending) in [(side.time.file(), "timeindex"), (side.index.file(), "index")] {
        let _open = file.get()?;
        leftovers::take_name(disk, new, ending)?;
        file.renamed(new.path(ending));
    }
    Ok(())
}

impl PartitionLog {
    /// Puts some segments in the place of others that follow one another. False: the log was closed, or they are not all there.
    fn replace_segments(self: &Arc<Self>, old: &[Arc<Segment>], new: &[Arc<Segment>]) -> bool {
        let is_done = {
            let _writer = self.writer.lock();
            let mut segments = Vec::clone(&self.segments.load());
            let at =
                segments.iter().position(|segment| Arc::ptr_eq(segment, &old[0])).unwrap_or(segments.len());
            let there = segments.get(at..at + old.len());
            let is_there = there.is_some_and(|there| there.iter().zip(old).all(|(a, b)| Arc::ptr_eq(a, b)));
            if is_there && self.refusal().is_none() {
                segments.splice(at..at + old.len(), new.iter().cloned());
                self.segments.store(Arc::new(segments));
                true
            } else {
                false
            }
        };
        // Appends that came meanwhile found the log taken.
        self.drain();
        is_done
    }
}

//! The committer of a data directory: rounds of syncs for all its logs.
//!
//! A round takes the logs that are due, notes how far each is written, syncs, writes the durable points to the journal, and raises
//! the flushed offsets, which wakes those who wait. Appends that come meanwhile are the next round: the longer a sync takes, the more
//! share it. At a roll: old file, new file, folder, then the mark. A failed sync is never retried and never acknowledged past: the
//! log goes offline. What fails before a sync is begun, such as an opening for want of descriptors, is left to a later round.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::checkpoint;
use super::journal::{DurablePoint, Journal};
use super::unsynced::Capture;
use crate::base::limits::{JOURNAL_SYNC_MS, SYNCFS_FILES_MIN};
use crate::base::{Offset, TopicPartition};
use crate::config::FlushMode;
use crate::env::disk::{DiskErrorKind, DiskResult, remove_if_there};
use crate::env::rule::Rule;
use crate::env::{Disk, DiskError};
use crate::log::partition_log::PartitionLog;
use crate::log::recovery::{SNAPSHOT_KIND, snapshot_offsets};
use crate::log::segment::file::{Side, file_name};
use crate::log::segment::{Footer, Segment};
use crate::log::shared::Shared;

/// Snapshots of the producers that are kept: the newest, and one before it in case it is damaged.
const SNAPSHOTS_KEPT: usize = 2;
/// Segments that one round seals, at four syncs each. WHY: the next round's acknowledgements wait for this one, whosever they are.
const SEALS_PER_ROUND: usize = 8;
/// Waits between looks at what is not urgent, in ms.
const LAZY_LOOK_MS: u64 = 50;
/// Time between two looks at the free space while there is enough, in ms.
const SPACE_LOOK_MS: i64 = 500;
/// Time between two words about rounds that are tried again, in ms.
const PUT_OFF_TOLD_MS: i64 = 10_000;
/// Waits when there is nothing to do, in ms.
const IDLE_LOOK_MS: u64 = 10_000;

/// Makes the logs of a data directory durable.
pub struct Committer {
    shared: Arc<Shared>,
    journal: Mutex<Journal>,
    rounds: Mutex<()>,
    is_syncfs_broken: AtomicBool,
    journal_synced_ms: AtomicI64,
    /// Why the journal's last sync failed, so that it is told once.
    journal_error: Mutex<Option<String>>,
    space_checked_ms: AtomicI64,
    /// When it was last told that a round is tried again.
    put_off_told_ms: AtomicI64,
}

/// A log with what this round does for it.
struct Job {
    log: Arc<PartitionLog>,
    capture: Capture,
    failed: Option<DiskError>,
}

impl Committer {
    pub(in crate::log) fn new(shared: Arc<Shared>, journal: Journal) -> Self {
        let (journal_synced_ms, space_checked_ms) = (AtomicI64::new(0), AtomicI64::new(0));
        let put_off_told_ms = AtomicI64::new(i64::MIN);
        let (rounds, is_syncfs_broken) = (Mutex::default(), AtomicBool::new(false));
        let journal = Mutex::new(journal);
        let journal_error = Mutex::default();
        Self {
            shared,
            journal,
            rounds,
            is_syncfs_broken,
            journal_synced_ms,
            journal_error,
            space_checked_ms,
            put_off_told_ms,
        }
    }

    /// Returns when no round is under way.
    pub(in crate::log) fn wait_for_round(&self) {
        drop(self.rounds.lock());
    }

    /// The journal.
    pub(in crate::log) fn journal(&self) -> &Mutex<Journal> {
        &self.journal
    }

    /// Runs rounds until the queue is stopped.
    pub(in crate::log) fn run(&self) {
        loop {
            // WHY is_full: appends are refused until somebody sees that space was freed.
            let is_busy = self.journal.lock().is_dirty() || self.shared.is_full();
            let (lazy, idle) = (Duration::from_millis(LAZY_LOOK_MS), Duration::from_millis(IDLE_LOOK_MS));
            let go_on = self.shared.dirty.wait(is_busy, lazy, idle);
            self.round(false);
            self.sync_journal_when_due();
            self.check_space_when_due();
            if !go_on {
                return;
            }
        }
    }

    /// One round over the logs that are due, or over all that have anything to sync.
    pub fn round(&self, all: bool) {
        // One at a time: a later round must not acknowledge past an earlier one that still syncs.
        let _alone = self.rounds.lock();
        let now_ms = self.shared.monotonic_ms();
        let logs = self.shared.dirty.take(|log| all || log.sync_due_ms().is_some_and(|due| due <= now_ms));
        let mut jobs: Vec<Job> = logs.into_iter().filter_map(capture).collect();
        if jobs.is_empty() {
            return;
        }
        let begun = self.shared.env.clock.monotonic();
        persist_indexes(&mut jobs);
        self.sync_files(&mut jobs);
        self.sync_folders(&mut jobs);
        self.note_points(&mut jobs);
        let took = self.shared.env.clock.monotonic().saturating_sub(begun);
        self.shared.counters.sync_rounds.record(took);
        let (put_off, jobs): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(Job::may_pass);
        self.put_off(put_off);
        for job in &jobs {
            match &job.failed {
                Some(error) if Rule::GoOffline.holds() => {
                    self.shared.counters.sync_failures.increment();
                    job.log.fail(error);
                }
                _ => job.log.marks.set_flushed(job.capture.end),
            }
        }
        let held = jobs.into_iter().filter(|job| job.failed.is_none() || !Rule::GoOffline.holds());
        held.fold(SEALS_PER_ROUND, |seals, job| settle(&self.shared, job, seals));
    }

    /// Leaves to a later round what failed before a sync was begun: nothing of it is acknowledged, and nothing is lost.
    fn put_off(&self, jobs: Vec<Job>) {
        let now_ms = self.shared.monotonic_ms();
        let is_told = |told_ms: i64| now_ms.saturating_sub(told_ms) < PUT_OFF_TOLD_MS;
        if let Some(error) = jobs.iter().find_map(|job| job.failed.as_ref())
            && !is_told(self.put_off_told_ms.load(Ordering::Relaxed))
        {
            self.put_off_told_ms.store(now_ms, Ordering::Relaxed);
            tracing::error!(%error, logs = jobs.len(), "a sync can't be begun and is tried again; nothing is acknowledged meanwhile");
        }
        for job in jobs {
            job.log.unsynced.lock().put_back(job.capture);
            // WHY not urgent: what failed a moment ago fails again.
            self.shared.dirty.put_lazy(&job.log);
        }
    }

    fn sync_files(&self, jobs: &mut [Job]) {
        let count: usize = jobs.iter().map(|job| job.capture.segments.len()).sum();
        let is_trusted = !self.is_syncfs_broken.load(Ordering::Relaxed) && Rule::SyncLog.holds();
        if count >= SYNCFS_FILES_MIN && is_trusted && self.sync_file_system(jobs) {
            return;
        }
        for job in jobs.iter_mut().filter(|job| job.failed.is_none() && job.log.is_synced()) {
            job.failed = job.capture.segments.iter().find_map(|segment| sync_segment(segment).err());
        }
    }

    /// One sync for all files. False when it failed: then each file is synced by itself, to find whose failure it is.
    fn sync_file_system(&self, jobs: &mut [Job]) -> bool {
        let mut counts = Vec::new();
        for job in jobs.iter() {
            for segment in &job.capture.segments {
                // A file that is not open could not report; opening it keeps its descriptor for the sync.
                let file = segment.log().get();
                counts.push((segment.clone(), segment.log().write_count(), file));
            }
        }
        if let Err(error) = self.shared.disk().sync_file_system(&self.shared.data_dir) {
            if !error.is_failed_sync() {
                return false;
            }
            if !Rule::SyncEachFile.holds() {
                return true;
            }
            // WHY for good: the system tells such an error once, and a later success would hide it from files of later rounds. The
            // descriptor of each file still tells its own.
            self.is_syncfs_broken.store(true, Ordering::Relaxed);
            tracing::error!(%error, "sync of the file system failed, from now on each file is synced by itself");
            return false;
        }
        counts.iter().all(|(segment, count, file)| file.is_ok() && segment.log().note_synced(*count).is_ok())
    }

    fn sync_folders(&self, jobs: &mut [Job]) {
        for job in jobs.iter_mut().filter(|job| job.capture.folder && job.failed.is_none()) {
            job.failed = self.shared.disk().sync_dir(&job.log.folder).err();
        }
    }

    /// Writes the durable points of the round; without them a restart could not tell a tear from rot.
    fn note_points(&self, jobs: &mut [Job]) {
        let held = jobs.iter().filter(|job| job.failed.is_none());
        let points: Vec<(TopicPartition, DurablePoint)> =
            held.map(|job| (job.log.id(), job.capture.durable_point())).collect();
        let rolled = jobs.iter().any(|job| job.capture.folder);
        let mut journal = self.journal.lock();
        let noted = journal.note(&points).and_then(|()| if rolled { journal.sync() } else { Ok(()) });
        if let Err(error) = noted {
            for job in jobs {
                job.failed.get_or_insert_with(|| error.clone());
            }
        }
    }

    fn check_space_when_due(&self) {
        let now_ms = self.shared.monotonic_ms();
        let every_ms = if self.shared.is_full() { LAZY_LOOK_MS as i64 } else { SPACE_LOOK_MS };
        if now_ms - self.space_checked_ms.load(Ordering::Relaxed) >= every_ms {
            self.space_checked_ms.store(now_ms, Ordering::Relaxed);
            self.shared.check_space();
        }
    }

    fn sync_journal_when_due(&self) {
        let now_ms = self.shared.monotonic_ms();
        let mut journal = self.journal.lock();
        if journal.is_dirty() && now_ms - self.journal_synced_ms.load(Ordering::Relaxed) >= JOURNAL_SYNC_MS {
            self.journal_synced_ms.store(now_ms, Ordering::Relaxed);
            let failed = journal.sync().err().map(|error| error.to_string());
            if let Some(error) = news(&mut self.journal_error.lock(), failed) {
                // Acknowledgements go on: the records are durable, and after a power cut older points hold as well.
                tracing::error!(%error, "the flush journal is not durable, a new file is tried every second");
            }
        }
    }
}

/// The error of `now` unless it is that of `before`, in whose place it comes.
fn news(before: &mut Option<String>, now: Option<String>) -> Option<String> {
    let is_same = *before == now;
    before.clone_from(&now);
    now.filter(|_| !is_same)
}

impl Job {
    /// Whether what failed was no sync, and may succeed the next time.
    fn may_pass(&self) -> bool {
        self.failed.as_ref().is_some_and(DiskError::may_pass) && Rule::TryAgain.holds()
    }
}

impl PartitionLog {
    /// Whether it is synced, which only a test that takes the rule out can keep a user's log from.
    fn is_synced(&self) -> bool {
        self.internal || Rule::SyncLog.holds()
    }

    /// When its un-synced bytes are due, monotonic ms.
    fn sync_due_ms(&self) -> Option<i64> {
        let config = self.config.load();
        let is_ack = self.internal || config.flush == FlushMode::Ack;
        if !is_ack && !Rule::SyncWhenDue.holds() {
            return None;
        }
        self.unsynced.lock().due_ms(&config, is_ack)
    }
}

impl Capture {
    fn durable_point(&self) -> DurablePoint {
        let (segment_base, position, flushed) = (self.segment_base, self.position, self.end);
        DurablePoint { segment_base, position, flushed, clean_crc: None }
    }
}

fn capture(log: Arc<PartitionLog>) -> Option<Job> {
    let capture = {
        let mut unsynced = log.unsynced.lock();
        if !unsynced.is_dirty() || log.offline_reason().is_some() || log.is_closed() {
            return None;
        }
        unsynced.capture()
    };
    Some(Job { log, capture, failed: None })
}

/// Writes index entries that are only in memory, so that they are there after a kill. Not synced: they can be rebuilt.
fn persist_indexes(jobs: &mut [Job]) {
    for job in jobs {
        for segment in &job.capture.segments {
            let disk = job.log.shared.disk();
            let written =
                segment.side(disk).and_then(|side| side.index.persist().and_then(|()| side.time.persist()));
            if let Err(error) = written {
                tracing::warn!(%error, "index entries are not written; a restart after a kill has more to read");
            }
        }
    }
}

fn sync_segment(segment: &Segment) -> DiskResult<()> {
    match segment.log().sync() {
        // Retention or a trim removed the segment meanwhile.
        Err(error) if error.kind == DiskErrorKind::NotFound && segment.is_removed() => Ok(()),
        other => other,
    }
}

/// What can wait until after the acknowledgements: footers of rolled segments, snapshots of the producers. Seals so many segments
/// at most and leaves the others to later rounds; gives how many more there may be in this one.
fn settle(shared: &Shared, job: Job, seals: usize) -> usize {
    let disk = shared.disk();
    let held: Vec<_> = job.capture.seal.into_iter().filter(|(segment, _)| job.log.holds(segment)).collect();
    let now = held.len().min(seals);
    for (segment, footer) in &held[..now] {
        let sealed = segment.side(disk).and_then(|side| write_footer(segment, &side, *footer));
        if let Err(error) = sealed
            && !segment.is_removed()
        {
            tracing::warn!(path = %segment.path("index").display(), %error, "segment is not sealed; its index is rebuilt at the next start");
        }
    }
    if let Some((offset, body)) = job.capture.snapshot
        && let Err(error) = write_snapshot(disk, &job.log.folder, (job.log.id(), offset), &body)
    {
        tracing::warn!(%error, "snapshot of the producers is not written; a restart has more to read");
    }
    if now < held.len() {
        job.log.unsynced.lock().seal.splice(..0, held[now..].iter().cloned());
        shared.dirty.put_urgent(&job.log);
    }
    seals - now
}

/// Seals a segment whose log file is durable: entries, sync, footer, sync.
pub(in crate::log) fn write_footer(segment: &Segment, side: &Side, footer: Footer) -> DiskResult<()> {
    side.index.persist()?;
    side.time.persist()?;
    side.time.file().sync()?;
    side.index.file().sync()?;
    side.index.seal(&footer)?;
    side.time.seal();
    *side.footer.lock() = Some(footer);
    tracing::debug!(path = %segment.path("log").display(), "sealed");
    Ok(())
}

/// Writes a snapshot of the producers and removes the oldest ones.
pub(in crate::log) fn write_snapshot(
    disk: &dyn Disk,
    folder: &std::path::Path,
    (id, offset): (TopicPartition, Offset),
    body: &[u8],
) -> DiskResult<()> {
    let path = folder.join(file_name(offset, "snapshot"));
    checkpoint::write(disk, &path, SNAPSHOT_KIND, &checkpoint::of_log(id, body))?;
    let offsets = snapshot_offsets(disk, folder)?;
    for old in &offsets[..offsets.len().saturating_sub(SNAPSHOTS_KEPT)] {
        remove_if_there(disk, &folder.join(file_name(*old, "snapshot")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_once_until_it_changes_or_ends() {
        let mut before = None;
        let mut told = |error: Option<&str>| news(&mut before, error.map(str::to_owned)).is_some();
        let errors = [None, Some("a"), Some("a"), Some("b"), Some("b"), None, Some("b")];
        assert_eq!(errors.map(&mut told), [false, true, false, true, false, false, true]);
    }
}

//! One pass over a log: what is dirty is read for its keys, then everything up to there is written anew, group by group.
//!
//! When the map of keys is full before all is read, the pass goes on in stretches, each over all segments from the log's front to where
//! the map ends; so it gets on however many keys there are. Older groups are swapped before newer ones are written: a tombstone that
//! goes leaves no older record of its key behind, wherever the pass is cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::dirtiness::{Dirtiness, has_expired};
use super::errors::PassError;
use super::gather::gather;
use super::keep::Keeper;
use super::leftovers;
use super::offset_map::OffsetMap;
use super::rewrite::{Rewritten, rewrite};
use super::source::Source;
use super::swap::swap;
use crate::base::{Offset, Timestamp};
use crate::config::TopicConfig;
use crate::env::DiskError;
use crate::log::flush::committer::Committer;
use crate::log::partition_log::PartitionLog;

/// A pass over one log.
pub(super) struct Pass<'a> {
    pub(super) log: &'a Arc<PartitionLog>,
    pub(super) committer: &'a Committer,
    /// Bytes of the map of keys.
    pub(super) memory_bytes: u64,
    pub(super) is_stopped: &'a AtomicBool,
}

/// What a pass did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PassReport {
    pub(super) bytes_before: u64,
    pub(super) bytes_after: u64,
    pub(super) segments_before: usize,
    pub(super) segments_after: usize,
    pub(super) removed: u64,
    pub(super) stretches: u64,
}

/// What one stretch goes by.
struct Stretch<'a> {
    keeper: Keeper<'a>,
    config: &'a TopicConfig,
    /// Whether only segments with tombstones whose time has come are written.
    is_expiry: bool,
}

impl Pass<'_> {
    /// Runs it. Errors: what was swapped until then stays, the rest of the log is as it was.
    pub(super) fn run(&self) -> Result<PassReport, PassError> {
        let _alone = self.log.compaction.pass.lock();
        let (config, now_ms) = (self.log.config(), self.log.shared.now_ms());
        let mut sources = self.log.sealed_sources()?;
        let footers: Vec<_> = sources.iter().map(|source| source.footer).collect();
        let found = Dirtiness::of(&footers, &config, now_ms);
        sources.truncate(found.clean_count + found.dirty_count);
        let end = sources.last().map_or(0, |last| last.footer.end_offset);
        let mut from = sources.get(found.clean_count).map_or(end, |first| first.segment.base_offset());
        let mut report = PassReport::default();
        (report.bytes_before, report.segments_before) = size_of(&sources);
        let hash_key = self.log.shared.env.rng.id();
        loop {
            let is_expiry = from >= end;
            let dirty = sources.iter().position(|source| source.footer.end_offset > from);
            let dirty = &sources[dirty.unwrap_or(sources.len())..];
            let mut map = OffsetMap::new(hash_key, self.memory_bytes, (end - from).unsigned_abs());
            let until = gather(self.log, dirty, from, &mut map, &|| self.is_over())?;
            let producers = self.log.writer.lock().producers.last_batches(self.log.offsets().flushed);
            self.log.drain();
            let horizon_ms = now_ms.saturating_add(config.delete_retention_ms);
            let keeper = Keeper { newest: &map, until, now_ms, horizon_ms, producers: &producers };
            let stretch = Stretch { keeper, config: &config, is_expiry };
            sources = self.rewrite_all(sources, &stretch, &mut report)?;
            report.stretches += 1;
            from = until;
            if from >= end {
                break;
            }
        }
        (report.bytes_after, report.segments_after) = size_of(&sources);
        Ok(report)
    }

    /// Whether it is to end now.
    fn is_over(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
            || self.log.refusal().is_some()
            || !self.log.config().is_compacted()
    }

    /// Writes everything anew that begins below the end of the stretch; gives the sources as they are then.
    fn rewrite_all(
        &self,
        sources: Vec<Source>,
        stretch: &Stretch<'_>,
        report: &mut PassReport,
    ) -> Result<Vec<Source>, PassError> {
        let is_below = |source: &Source| source.segment.base_offset() < stretch.keeper.until;
        let is_due =
            |source: &Source| !stretch.is_expiry || has_expired(&source.footer, stretch.keeper.now_ms);
        let mut after = Vec::with_capacity(sources.len());
        let mut rest = &sources[..];
        while let Some(first) = rest.first() {
            let due = rest.iter().take_while(|source| is_below(source) && is_due(source)).count();
            if due == 0 {
                after.push(first.clone());
                rest = &rest[1..];
                continue;
            }
            let (source, count) = self.rewrite_group(&rest[..due], stretch, report)?;
            after.push(source);
            rest = &rest[count..];
        }
        Ok(after)
    }

    /// Writes the first sources anew as one, and swaps it in. Gives it, and how many went into it.
    fn rewrite_group(
        &self,
        sources: &[Source],
        stretch: &Stretch<'_>,
        report: &mut PassReport,
    ) -> Result<(Source, usize), PassError> {
        self.check_journal(sources)?;
        let base_offset = sources[0].segment.base_offset();
        let bytes_max = stretch.config.segment_bytes;
        let Rewritten { segment, sources: count, removed } =
            match rewrite(self.log, sources, &stretch.keeper, bytes_max, &|| self.is_over()) {
                Ok(written) => written,
                Err(error) => {
                    self.discard(base_offset);
                    return Err(self.after(error));
                }
            };
        let footer = segment.side(self.log.shared.disk())?.footer.lock().expect("it was just sealed");
        let first = sources[0].footer;
        if removed == 0
            && count == 1
            && (footer.log_bytes, footer.cleaned) == (first.log_bytes, first.cleaned)
        {
            // Nothing of it has changed.
            self.discard(base_offset);
            return Ok((sources[0].clone(), 1));
        }
        let old: Vec<_> = sources[..count].iter().map(|source| source.segment.clone()).collect();
        swap(self.log, &old, &segment)?;
        report.removed += removed;
        self.log.shared.counters.compaction_removed_records.add(removed);
        Ok((Source { segment, footer }, count))
    }

    /// WHY: a durable point that lies in one of these segments would call the shorter file behind it damaged.
    fn check_journal(&self, sources: &[Source]) -> Result<(), PassError> {
        let end = sources.last().map_or(0, |last| last.footer.end_offset);
        let mut journal = self.committer.journal().lock();
        if journal.point(&self.log.id()).is_none_or(|point| point.segment_base < end) {
            return Err(PassError::Stopped);
        }
        if journal.is_dirty() {
            journal.sync()?;
        }
        Ok(())
    }

    fn discard(&self, base_offset: Offset) {
        if let Err(error) = leftovers::discard(self.log.shared.disk(), &self.log.folder, base_offset) {
            tracing::warn!(%error, "what a compaction wrote aside stays until the log is opened anew");
            self.note_disk_error(&error);
        }
    }

    /// WHY offline: the error of a folder's sync is told once, and the committer's next one would succeed without what it was to cover.
    fn note_disk_error(&self, error: &DiskError) {
        if error.operation == crate::env::OpKind::SyncDir {
            self.log.fail(error);
        }
    }

    fn after(&self, error: PassError) -> PassError {
        if let PassError::Disk(error) = &error {
            self.note_disk_error(error);
        }
        error
    }
}

fn size_of(sources: &[Source]) -> (u64, usize) {
    (sources.iter().map(|source| source.footer.log_bytes).sum(), sources.len())
}

/// Of a log's dirt and the times that matter.
pub(super) fn look(log: &PartitionLog, now_ms: Timestamp) -> Result<Dirtiness, DiskError> {
    let footers: Vec<_> = log.sealed_sources()?.iter().map(|source| source.footer).collect();
    Ok(Dirtiness::of(&footers, &log.config(), now_ms))
}

//! The folder of a partition: its segments one after the other, and the checkpoints beside them.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::segment::{Finding, SegmentFiles, SegmentReport, Severity, verify_segment};
use crate::base::{Offset, TopicPartition};
use crate::env::disk::DiskResult;
use crate::env::{Disk, DiskError, DiskErrorKind};
use crate::log::compaction::leftovers;
use crate::log::epoch_cache::EpochCache;
use crate::log::flush::checkpoint::{self, CheckpointError, FileKind};
use crate::log::flush::journal::Points;
use crate::log::folder::{self, META_FILE, PartitionMeta};
use crate::log::producer_state::ProducerState;
use crate::log::recovery::{EPOCHS_FILE, EPOCHS_KIND, SNAPSHOT_KIND};
use crate::log::segment::file::{file_name, log_file};

/// What a look at a partition's folder gave.
#[derive(Clone, Debug)]
pub struct PartitionReport {
    /// The folder.
    pub folder: PathBuf,
    /// Its segments, by base offset.
    pub segments: Vec<SegmentReport>,
    /// Base offsets of those that are there and can't be read; each has its finding.
    pub unread: BTreeSet<Offset>,
    /// What is wrong beside what the segments tell.
    pub findings: Vec<Finding>,
    /// Files that recoveries set aside.
    pub set_aside: Vec<PathBuf>,
}

impl PartitionReport {
    /// Everything that is wrong, segment by segment.
    pub fn all_findings(&self) -> impl Iterator<Item = &Finding> {
        self.segments.iter().flat_map(|segment| &segment.findings).chain(&self.findings)
    }

    /// How many segments there are, and how many of them are damaged: those that lack records, are lost, or are no log files.
    pub fn segment_counts(&self) -> (usize, usize) {
        let path_of = |segment: &SegmentReport| self.folder.join(file_name(segment.base_offset, "log"));
        let mut all: HashSet<PathBuf> = self.segments.iter().map(path_of).collect();
        let damaged: HashSet<&PathBuf> = self
            .all_findings()
            .filter(|finding| finding.is_damaged_segment())
            .map(|finding| &finding.path)
            .collect();
        let damaged_count = damaged.len();
        all.extend(damaged.into_iter().cloned());
        (all.len(), damaged_count)
    }

    /// Whether a broker serves the partition in spite of what was found.
    pub fn is_served(&self) -> bool {
        let keeps_offline =
            |finding: &&Finding| finding.severity == Severity::Damaged && finding.offsets.is_none();
        !self.findings.iter().any(|finding| keeps_offline(&finding))
    }
}

/// Looks at everything in a partition's folder. `points` is what the flush journal says: what lies above the durable point of the log
/// and leads to no sound batch is torn, not damaged. `progress` is told the bytes of each step.
///
/// Cost and errors: those of [`verify_segment`] for each segment.
pub fn verify_partition(
    disk: &Arc<dyn Disk>,
    folder: &Path,
    points: &Points,
    progress: &mut dyn FnMut(u64),
) -> DiskResult<PartitionReport> {
    let mut report = PartitionReport {
        folder: folder.to_owned(),
        segments: Vec::new(),
        unread: BTreeSet::new(),
        findings: Vec::new(),
        set_aside: Vec::new(),
    };
    let meta = report.check_meta(disk);
    let mut bases: Vec<Offset> = Vec::new();
    let entries = disk.list(folder)?;
    let swapped = match meta {
        Some(meta) => leftovers::swapped(disk, folder, meta.id, &entries)?,
        None => Vec::new(),
    };
    for entry in &entries {
        let path = folder.join(&entry.name);
        match log_file(entry) {
            Ok(base_offset) => bases.extend(base_offset),
            Err(what) => {
                let what = format!(
                    "{what}; the partition stays offline until it is moved away or put back as it was"
                );
                report.findings.push(whole_file(path, Severity::Damaged, what));
                continue;
            }
        }
        if entry.name.contains(".cut-") {
            report.set_aside.push(path);
        } else if let Some(meta) = meta {
            report.check_checkpoint(disk, &entry.name, meta.id);
        }
    }
    bases.sort_unstable();
    // A compaction was cut short: the next start removes what its new segment has replaced, and gives that one its side files.
    bases.retain(|base| !swapped.iter().any(|(first, end)| (first + 1..*end).contains(base)));
    let is_swapped = |base: Offset| swapped.iter().any(|(first, _)| *first == base);
    for base_offset in bases {
        let log = meta.map(|meta| meta.id).filter(|_| !is_swapped(base_offset));
        let files = SegmentFiles { folder: folder.to_owned(), base_offset, log };
        report.look_at(disk, &files, progress);
    }
    if meta.is_some() {
        report.check_seals(is_swapped);
    }
    report.check_sequence();
    if let Some(meta) = meta {
        report.hold_against_journal(points, meta);
    }
    Ok(report)
}

impl PartitionReport {
    fn check_meta(&mut self, disk: &Arc<dyn Disk>) -> Option<PartitionMeta> {
        match folder::read_meta(&**disk, &self.folder) {
            Ok(meta) => Some(meta),
            Err(CheckpointError::Disk(error)) => {
                self.findings.push(unreadable(self.folder.join(META_FILE), &error));
                None
            }
            Err(error) => {
                let path = self.folder.join(META_FILE);
                let what = format!("{error}; the partition stays offline until the file is put back");
                self.findings.push(whole_file(path, Severity::Damaged, what));
                None
            }
        }
    }

    /// Looks at a segment. One that can't be read is told; one that is gone was removed by a broker that runs meanwhile.
    fn look_at(&mut self, disk: &Arc<dyn Disk>, files: &SegmentFiles, progress: &mut dyn FnMut(u64)) {
        match verify_segment(disk, files, progress) {
            Ok(segment) => self.segments.push(segment),
            Err(error) if error.kind == DiskErrorKind::NotFound => {}
            Err(error) => {
                self.unread.insert(files.base_offset);
                self.findings.push(unreadable(error.path.clone(), &error));
            }
        }
    }

    /// A file that is made again from the log when it is not true; other files are none of these.
    fn check_checkpoint(&mut self, disk: &Arc<dyn Disk>, name: &str, id: TopicPartition) {
        let (kind, is_true): (FileKind, fn(&[u8]) -> bool) = match name {
            EPOCHS_FILE => (EPOCHS_KIND, |body| EpochCache::decode(body).is_some()),
            _ if name.ends_with(".snapshot") => (SNAPSHOT_KIND, |body| ProducerState::decode(body).is_some()),
            _ => return,
        };
        let path = self.folder.join(name);
        let what = match checkpoint::read_of_log(&**disk, &path, kind, id) {
            Ok(body) if is_true(&body) => return,
            Err(CheckpointError::Disk(error)) => return self.findings.push(unreadable(path, &error)),
            Err(CheckpointError::Missing) => return,
            Ok(_) => "its entries can't be true; it is made again from the log".to_owned(),
            Err(error) => format!("{error}; it is made again from the log"),
        };
        self.findings.push(whole_file(path, Severity::Rebuilt, what));
    }

    /// All segments but the last are sealed, sooner or later.
    fn check_seals(&mut self, is_swapped: impl Fn(Offset) -> bool) {
        let last = self.segments.last().map(|segment| segment.base_offset).max(self.unread.last().copied());
        let is_open = |segment: &&mut SegmentReport| {
            !segment.is_sealed && segment.findings.is_empty() && Some(segment.base_offset) != last
        };
        let segments = self.segments.iter_mut().filter(is_open);
        for segment in segments.filter(|segment| !is_swapped(segment.base_offset)) {
            let path = self.folder.join(file_name(segment.base_offset, "index"));
            let what = "it is not sealed, so it is made again from the log".to_owned();
            segment.findings.push(whole_file(path, Severity::Rebuilt, what));
        }
    }

    /// A segment begins where the one before ends. Where one ends that can't be read is not known.
    fn check_sequence(&mut self) {
        let mut bases = self.unread.clone();
        bases.extend(self.segments.iter().map(|segment| segment.base_offset));
        for before in &self.segments {
            let Some(next) = bases.range(before.base_offset + 1..).next() else { break };
            let is_open_end = before.findings.iter().any(|found| matches!(found.offsets, Some((_, None))));
            if before.end_offset == *next || is_open_end {
                continue;
            }
            let (from, to) = (before.end_offset, *next);
            // What lies between two segments was in one that began where the first ends.
            let (base_offset, what) = match from < to {
                true => (
                    from,
                    format!(
                        "it is missing: the segment before it ends at offset {from}, the next begins at {to}"
                    ),
                ),
                false => (to, format!("the segment begins at offset {to}, the one before it ends at {from}")),
            };
            self.findings.push(Finding {
                path: self.folder.join(file_name(base_offset, "log")),
                severity: Severity::Damaged,
                bytes: None,
                offsets: Some((from.min(to), Some(from.max(to)))),
                what,
            });
        }
    }

    /// What is behind the last sound batch and above the durable point was being written. What lies below it must be there.
    fn hold_against_journal(&mut self, points: &Points, meta: PartitionMeta) {
        let Some(point) = points.of(&meta.id) else { return };
        let there = self.segments.iter().find(|segment| segment.base_offset == point.segment_base);
        let (bytes, end) =
            there.map_or((0, point.segment_base), |segment| (segment.bytes, segment.end_offset));
        if bytes < point.position && !self.unread.contains(&point.segment_base) {
            let path = self.folder.join(file_name(point.segment_base, "log"));
            let what = match there {
                Some(_) => format!("the file has {bytes} bytes, {} of it were durable", point.position),
                None => format!("it is missing: {} bytes of it were durable", point.position),
            };
            let offsets = Some((end, Some(point.flushed)));
            self.findings.push(Finding { offsets, ..whole_file(path, Severity::Damaged, what) });
        }
        for segment in self.segments.iter_mut().rev() {
            let durable = match segment.base_offset.cmp(&point.segment_base) {
                std::cmp::Ordering::Less => break,
                std::cmp::Ordering::Equal => point.position,
                std::cmp::Ordering::Greater => 0,
            };
            for finding in &mut segment.findings {
                let is_end = matches!(finding.offsets, Some((_, None)));
                if is_end && finding.bytes.is_some_and(|(from, _)| from >= durable) {
                    finding.severity = Severity::Torn;
                }
            }
        }
    }
}

/// A file that the disk does not give, or that is none.
fn unreadable(path: PathBuf, error: &DiskError) -> Finding {
    whole_file(path, Severity::Damaged, format!("{error}; {}", error.advice()))
}

fn whole_file(path: PathBuf, severity: Severity, what: String) -> Finding {
    Finding { path, severity, bytes: None, offsets: None, what }
}

//! One segment: its batches, their records, and whether its side files agree with them.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::walk::{Step, walk};
use crate::base::limits::{DECOMPRESSED_BYTES_MAX, WRITTEN_INTERVAL_BYTES_MAX};
use crate::base::offset::NO_EPOCH;
use crate::base::{BytePosition, LeaderEpoch, Offset, TopicPartition};
use crate::env::disk::{DiskErrorKind, DiskResult, OpenMode, Wait, read_full_at};
use crate::env::files::{CachedFile, FileCache};
use crate::env::{Disk, File};
use crate::log::segment::damage::Stretch;
use crate::log::segment::file::file_name;
use crate::log::segment::footer::Footer;
use crate::log::segment::offset_index::{DAMAGED_CRC, Interval, LookupError, OffsetIndex};
use crate::log::segment::side_file::{self, SegmentId};
use crate::log::segment::time_index::TimeIndex;
use crate::record::{RecordBatch, batch::BatchError};

/// Descriptors that a look at one segment needs at once.
const OPEN_FILES: usize = 4;

/// Bytes that are read at once for a checksum.
const PIECE_BYTES: usize = 1 << 20;

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Nothing is wrong with a record: the file can be made again, and will be when it is needed.
    Rebuilt,
    /// The end of the log was being written when the broker died; the next start sets it aside.
    Torn,
    /// Records can't be read.
    Damaged,
}

/// Something that is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// How bad it is.
    pub severity: Severity,
    /// First byte and one past the last, where it is in a log file.
    pub bytes: Option<(BytePosition, BytePosition)>,
    /// First offset and one past the last; the latter is unknown where nothing sound follows.
    pub offsets: Option<(Offset, Option<Offset>)>,
    /// What is wrong.
    pub what: String,
}

impl Finding {
    /// Whether records of a segment can't be read, or all of it is lost.
    pub fn is_damaged_segment(&self) -> bool {
        self.severity == Severity::Damaged && self.path.extension().is_some_and(|ending| ending == "log")
    }
}

/// Where a segment lies.
#[derive(Clone, Debug)]
pub struct SegmentFiles {
    /// The folder.
    pub folder: PathBuf,
    /// First offset.
    pub base_offset: Offset,
    /// Whose it is; `None` when nothing says so: then its side files are not looked at.
    pub log: Option<TopicPartition>,
}

impl SegmentFiles {
    fn path(&self, ending: &str) -> PathBuf {
        self.folder.join(file_name(self.base_offset, ending))
    }
}

/// What a look at a segment gave.
#[derive(Clone, Debug)]
pub struct SegmentReport {
    /// First offset, as the file's name says.
    pub base_offset: Offset,
    /// Bytes of the log file.
    pub bytes: u64,
    /// Sound batches.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// One past the last offset.
    pub end_offset: Offset,
    /// Leader epoch of the last batch, −1 without one.
    pub last_epoch: LeaderEpoch,
    /// Whether it is sealed by a footer that agrees with it.
    pub is_sealed: bool,
    /// What is wrong, by position.
    pub findings: Vec<Finding>,
}

/// Looks at every byte of a segment. `progress` is told the bytes of each step.
///
/// Cost: reads the log file twice, the second time from the page cache; unpacks every batch.
/// Errors: the disk refuses something; damaged bytes are findings.
pub fn verify_segment(
    disk: &Arc<dyn Disk>,
    files: &SegmentFiles,
    progress: &mut dyn FnMut(u64),
) -> DiskResult<SegmentReport> {
    let file = disk.open(&files.path("log"), OpenMode::Read)?;
    let len = file.len()?;
    let mut report = SegmentReport {
        base_offset: files.base_offset,
        bytes: len,
        batches: 0,
        records: 0,
        end_offset: files.base_offset,
        last_epoch: NO_EPOCH,
        is_sealed: false,
        findings: Vec::new(),
    };
    walk(&*file, files.base_offset, len, |step| {
        progress(report.take(files, step));
        ControlFlow::Continue(())
    })?;
    if let Some(log) = files.log {
        let id = SegmentId { log, base_offset: files.base_offset };
        report.check_side_files(disk, files, id, &*file)?;
    }
    report.findings.sort_by_key(|finding| finding.bytes);
    Ok(report)
}

impl SegmentReport {
    /// Takes a step of the walk, and gives its bytes.
    fn take(&mut self, files: &SegmentFiles, step: Step<'_>) -> u64 {
        match step {
            Step::Batch { header, position, bytes } => {
                self.batches += 1;
                self.end_offset = header.last_offset() + 1;
                self.last_epoch = header.leader_epoch;
                match count_records(bytes) {
                    Ok(records) => self.records += records,
                    Err(error) => self.findings.push(Finding {
                        path: files.path("log"),
                        severity: Severity::Damaged,
                        bytes: Some((position, position + bytes.len() as u64)),
                        offsets: Some((header.base_offset, Some(self.end_offset))),
                        what: error.to_string(),
                    }),
                }
                bytes.len() as u64
            }
            Step::Damage { span, what } => {
                self.findings.push(Finding {
                    path: files.path("log"),
                    severity: Severity::Damaged,
                    bytes: Some((span.start, span.end)),
                    offsets: Some((span.first_offset, span.end_offset)),
                    what,
                });
                self.end_offset = span.end_offset.unwrap_or(self.end_offset);
                span.end - span.start
            }
        }
    }

    fn check_side_files(
        &mut self,
        disk: &Arc<dyn Disk>,
        files: &SegmentFiles,
        id: SegmentId,
        file: &dyn File,
    ) -> DiskResult<()> {
        let cache = FileCache::new(disk.clone(), OPEN_FILES);
        let side = |ending: &str| cache.file(files.path(ending), OpenMode::Read);
        let sealed = if_there(OffsetIndex::open_sealed(side("index"), id, self.bytes))?;
        let index = match sealed {
            Some(Some((index, footer))) => {
                self.check_footer(files, &footer);
                Some(index)
            }
            Some(None) => {
                let open = OffsetIndex::open_active(side("index"), id, self.bytes)?;
                open.filter(|index| is_full(index.file(), index.entry_count()))
            }
            None => None,
        };
        match index {
            Some(index) => self.check_intervals(files, &index, file)?,
            None => self.side_file_is_not_true(files, "index"),
        }
        let time = if_there(TimeIndex::open_active(side("timeindex"), id, Offset::MAX))?.flatten();
        if !time.is_some_and(|time| is_full(time.file(), time.entry_count())) {
            self.side_file_is_not_true(files, "timeindex");
        }
        Ok(())
    }

    fn side_file_is_not_true(&mut self, files: &SegmentFiles, ending: &str) {
        self.findings.push(Finding {
            path: files.path(ending),
            severity: Severity::Rebuilt,
            bytes: None,
            offsets: None,
            what: "it is missing or not that of this segment; it is made again from the log".to_owned(),
        });
    }

    fn check_footer(&mut self, files: &SegmentFiles, footer: &Footer) {
        self.is_sealed = footer.end_offset == self.end_offset && footer.last_epoch == self.last_epoch;
        if !self.is_sealed && self.findings.is_empty() {
            let (end, epoch) = (footer.end_offset, footer.last_epoch);
            self.findings.push(Finding {
                path: files.path("log"),
                severity: Severity::Damaged,
                bytes: None,
                offsets: Some((self.end_offset.min(end), Some(self.end_offset.max(end)))),
                what: format!(
                    "it was sealed with end offset {end} and leader epoch {epoch}, it ends with {} and {}",
                    self.end_offset, self.last_epoch
                ),
            });
        }
    }

    /// The bytes between two index entries must have the CRC that they had when they were appended: that finds what the CRC of a batch
    /// does not cover.
    fn check_intervals(
        &mut self,
        files: &SegmentFiles,
        index: &OffsetIndex,
        file: &dyn File,
    ) -> DiskResult<()> {
        let mut next = 0;
        loop {
            let intervals = match index.intervals_from(next, PIECE_BYTES as u64, Wait::Allowed) {
                Ok(intervals) => intervals,
                Err(LookupError::Disk(error)) => return Err(error),
                Err(_) => {
                    self.side_file_is_not_true(files, "index");
                    return Ok(());
                }
            };
            let Some(last) = intervals.last() else { return Ok(()) };
            next = last.number + 1;
            for interval in &intervals {
                self.check_interval(files, interval, file)?;
            }
        }
    }

    fn check_interval(
        &mut self,
        files: &SegmentFiles,
        interval: &Interval,
        file: &dyn File,
    ) -> DiskResult<()> {
        let Some(end) = interval.end else { return Ok(()) };
        let is_known = |(from, to): (BytePosition, BytePosition)| from < end.position && interval.start < to;
        if self.findings.iter().filter_map(|finding| finding.bytes).any(is_known) {
            return Ok(());
        }
        let wanted = end.position.saturating_sub(interval.start);
        let (count, crc) = crc_of(file, interval.start, wanted)?;
        if count == wanted && crc == end.interval_crc {
            return Ok(());
        }
        // WHY: a longer one that recovery closed over what it could not read may be as long as the segment.
        let spans = if wanted <= WRITTEN_INTERVAL_BYTES_MAX {
            let mut bytes = vec![0u8; count as usize];
            let count = read_full_at(file, &mut bytes, interval.start)?;
            Stretch::of_interval(interval, &end, &bytes[..count]).damage_behind(crc, end.interval_crc)
        } else {
            vec![Stretch::of_interval(interval, &end, &[]).whole()]
        };
        let what = match end.interval_crc {
            DAMAGED_CRC => "a broker that opened the log found no sound batches here",
            _ => "these bytes are not those that were appended, though the checksums of their batches hold",
        };
        self.findings.extend(spans.into_iter().map(|span| Finding {
            path: files.path("log"),
            severity: Severity::Damaged,
            bytes: Some((span.start, span.end)),
            offsets: Some((span.first_offset, span.end_offset)),
            what: what.to_owned(),
        }));
        Ok(())
    }
}

/// How many of `count` bytes at `position` are there, and their CRC-32. Memory: 1 MiB.
fn crc_of(file: &dyn File, position: BytePosition, count: u64) -> DiskResult<(u64, u32)> {
    let (mut hasher, mut done) = (crc32fast::Hasher::new(), 0);
    let mut piece = vec![0u8; count.min(PIECE_BYTES as u64) as usize];
    while done < count {
        let wanted = (count - done).min(piece.len() as u64) as usize;
        let got = read_full_at(file, &mut piece[..wanted], position + done)?;
        hasher.update(&piece[..got]);
        done += got as u64;
        if got < wanted {
            break;
        }
    }
    Ok((done, hasher.finalize()))
}

/// Whether so many entries are all that a side file holds: reading ends at the first that is not true.
fn is_full(file: &CachedFile, entries: u64) -> bool {
    let len = file.get().and_then(|file| file.len());
    len.is_ok_and(|len| len == side_file::HEADER_BYTES + entries * side_file::ENTRY_BYTES)
}

/// `None` where there is no such file.
fn if_there<T>(opened: DiskResult<T>) -> DiskResult<Option<T>> {
    match opened {
        Err(error) if error.kind == DiskErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn count_records(bytes: &[u8]) -> Result<u64, BatchError> {
    let batch = RecordBatch::parse(Bytes::copy_from_slice(bytes))?;
    let records = batch.records(DECOMPRESSED_BYTES_MAX)?;
    let mut count = 0;
    for record in &records {
        record?;
        count += 1;
    }
    Ok(count)
}

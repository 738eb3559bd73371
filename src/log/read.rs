//! Reading: find the segment, the interval, the batch; check what was not checked since opening; give back stored bytes.
//!
//! Nothing is decoded on the way. What is given is whole batches, bounded by the caller's isolation (`until`), at least one when
//! there is one.

use std::sync::Arc;

use bytes::Bytes;

use super::errors::ReadError;
use super::partition_log::PartitionLog;
use super::segment::file::Side;
use super::segment::offset_index::{Interval, LookupError, OffsetIndex};
use super::segment::run::{Run, Taken};
use super::segment::time_index::TimeIndex;
use super::segment::{Footer, Segment};
use crate::base::limits::{DECOMPRESSED_BYTES_MAX, INDEX_INTERVAL_BYTES, WRITTEN_INTERVAL_BYTES_MAX};
use crate::base::time::NO_TIMESTAMP;
use crate::base::{LeaderEpoch, Offset, Timestamp};
use crate::env::DiskError;
pub use crate::env::disk::Wait;
use crate::env::disk::{DiskErrorKind, DiskResult, OpKind};
use crate::env::rule::Rule;
use crate::record::header::HEADER_BYTES;
use crate::record::{BatchHeader, RecordBatch};

/// Whole stored batches, back to back; empty at the end, and where all up to `next_offset` is compacted away. The first may begin below
/// the asked offset.
#[derive(Clone, Debug)]
pub struct LogSlice {
    /// The batches.
    pub bytes: Bytes,
    /// Where to read on: after the last batch given; the asked offset at the end.
    pub next_offset: Offset,
    /// Leader epoch of the last batch given.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// A record found by its timestamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FoundOffset {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its leader epoch.
    pub leader_epoch: LeaderEpoch,
}

impl PartitionLog {
    /// Reads whole batches from `from` on that lie below `until`: at least one if there is one, otherwise at most `max_bytes`.
    ///
    /// `until` is where a batch ends, such as the high watermark; in a log that is being compacted the high watermark of now takes its
    /// place where that is above it. Errors: `OutOfRange` below the log start or above the log end;
    /// `Damaged` when `from` lies in damaged bytes.
    pub fn read(
        &self,
        from: Offset,
        until: Offset,
        max_bytes: usize,
        wait: Wait,
    ) -> Result<LogSlice, ReadError> {
        self.check_readable()?;
        let offsets = self.offsets();
        if from < offsets.log_start || from > offsets.log_end {
            let (start, end) = (offsets.log_start, offsets.high_watermark);
            return Err(ReadError::OutOfRange { offset: from, start, end });
        }
        if from >= until {
            return Ok(LogSlice { bytes: Bytes::new(), next_offset: from, leader_epoch: None });
        }
        let segments = self.segments.load();
        // WHY: compaction may have taken all that lay from here up to `until`, which the caller learnt before; what is newer lies below
        // the high watermark of now.
        let until = match self.compaction.has_swapped() {
            true => until.max(self.offsets().high_watermark),
            false => until,
        };
        let first = segments.partition_point(|segment| segment.base_offset() <= from).saturating_sub(1);
        let base_offset = segments[first].base_offset();
        if from < base_offset {
            // Retention moved the log start after it was looked at.
            let (start, end) = (base_offset, offsets.high_watermark);
            return Err(ReadError::OutOfRange { offset: from, start, end });
        }
        for (number, segment) in segments.iter().enumerate().skip(first) {
            if segment.base_offset() >= until {
                break;
            }
            let found = self.read_segment(segment, from, until, max_bytes, wait);
            // A log that was closed meanwhile may have lost its folder to another one of the same name.
            self.check_readable()?;
            match found {
                Err(ReadError::Disk(error)) if is_gone(segment, &error) => {
                    if self.is_replaced(segment) {
                        return self.read(from, until, max_bytes, wait);
                    }
                    // Retention removed the segment under the reader.
                    let (start, end) = (segment.end_offset(), self.offsets().high_watermark);
                    return Err(ReadError::OutOfRange { offset: from, start, end });
                }
                Ok(None) => {
                    let next = segments.get(number + 1).map_or(until, |next| next.base_offset().min(until));
                    self.check_gap(segment, from, next, wait)?;
                }
                Ok(Some(found)) => return Ok(found),
                Err(error) => return Err(error),
            }
        }
        // All that was here is compacted away. Who reads on behind it asks for what there is.
        Ok(LogSlice { bytes: Bytes::new(), next_offset: until, leader_epoch: None })
    }

    /// Whether offsets from `from` up to `to` may be missing behind the last batch of `segment`. Weir's compaction keeps the last
    /// offset of a segment; another program's may not, so where the index was made from the log nobody knows of more.
    ///
    /// Errors: `Damaged` where none may be. Never nothing: a reader would take the records for not there yet, and ask again at once.
    fn check_gap(&self, segment: &Segment, from: Offset, to: Offset, wait: Wait) -> Result<(), ReadError> {
        if from >= to {
            return Ok(());
        }
        if self.config.load().is_compacted() && self.side(segment, wait)?.index.is_rebuilt() {
            return Ok(());
        }
        Err(ReadError::Damaged { first: from.max(segment.base_offset()), end: to })
    }

    /// Whether compaction has put another segment in the place of this one.
    fn is_replaced(&self, segment: &Segment) -> bool {
        let segments = self.segments.load();
        let covers = segments.first().is_some_and(|first| first.base_offset() <= segment.base_offset());
        covers && !segments.iter().any(|other| std::ptr::eq(&**other, segment))
    }

    /// The batches of one segment from `from` on; `None` when all that it holds lies below.
    pub(super) fn read_segment(
        &self,
        segment: &Segment,
        from: Offset,
        until: Offset,
        max_bytes: usize,
        wait: Wait,
    ) -> Result<Option<LogSlice>, ReadError> {
        let from_here = from.max(segment.base_offset());
        // An interval more, as the offset may lie at the end of the first.
        let run_bytes = max_bytes as u64 + INDEX_INTERVAL_BYTES;
        let mut intervals =
            self.look_up(segment, wait, |index| index.intervals_of(from_here, run_bytes, wait))?;
        loop {
            keep_plausible(segment, &mut intervals, wait)?;
            let mut run = Run::read(segment, &intervals, wait)?;
            if let Some(taken) = run.take(from_here, until, max_bytes)? {
                return Ok(Some(slice_of(run.into_bytes(), taken)));
            }
            // The run may end before the batch with the offset when offsets between are gone.
            let next = intervals.last().map_or(0, |last| last.number + 1);
            intervals = self.look_up(segment, wait, |index| index.intervals_from(next, run_bytes, wait))?;
            if intervals.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Asks the index of a segment, which is opened or made anew when need be.
    fn look_up(
        &self,
        segment: &Segment,
        wait: Wait,
        ask: impl Fn(&OffsetIndex) -> Result<Vec<Interval>, LookupError>,
    ) -> Result<Vec<Interval>, ReadError> {
        let side = self.side(segment, wait)?;
        match (ask(&side.index), wait) {
            // Made anew, and no reason to call the log damaged.
            (Err(LookupError::Broken), Wait::Allowed) => {
                let side = segment.rebuild(self.shared.disk(), &side)?;
                ask(&side.index).map_err(|_| ReadError::Disk(unreadable(segment)))
            }
            (Err(LookupError::Broken), Wait::Never) => Err(ReadError::WouldBlock),
            (found, _) => found.map_err(ReadError::from),
        }
    }

    fn side(&self, segment: &Segment, wait: Wait) -> Result<Arc<Side>, ReadError> {
        match (segment.side_if_open(), wait) {
            (Some(side), _) => Ok(side),
            (None, Wait::Never) => Err(ReadError::WouldBlock),
            (None, Wait::Allowed) => Ok(segment.side(self.shared.disk())?),
        }
    }

    /// The first record with a timestamp of at least `at` below the high watermark. May block; memory: one batch.
    pub fn offset_for_timestamp(&self, at: Timestamp) -> Result<Option<FoundOffset>, ReadError> {
        self.check_readable()?;
        let mut from = self.offsets().log_start;
        // Behind a segment that compaction replaced meanwhile the search goes on in the new list.
        while let Some((segment, end)) = self.segment_of(from) {
            // Of now: compaction may have taken all that lay below the one of before, for what is newer.
            let high_watermark = self.offsets().high_watermark;
            if from >= high_watermark {
                break;
            }
            let until = end.min(high_watermark);
            let before = |time: &TimeIndex| match Rule::SearchByTime.holds() {
                true => time.offset_before(at),
                false => Ok(end - 1),
            };
            let Some((footer, near)) = self.times_of(&segment, before)? else {
                from = if self.is_replaced(&segment) { from } else { until.max(from + 1) };
                continue;
            };
            let is_below = footer.is_some_and(|footer| footer.max_timestamp < at);
            if !is_below && let Some(found) = self.scan_for_timestamp(near.max(from), until, at)? {
                return Ok(Some(found));
            }
            from = until.max(from + 1);
        }
        Ok(None)
    }

    /// The first record with the greatest timestamp below the high watermark. May block.
    pub fn offset_of_max_timestamp(&self) -> Result<Option<FoundOffset>, ReadError> {
        self.check_readable()?;
        let (mut max_timestamp, mut from) = (NO_TIMESTAMP, self.offsets().log_start);
        while let Some((segment, end)) = self.segment_of(from) {
            // Of now: compaction may have taken all that lay below the one of before, for what is newer.
            let high_watermark = self.offsets().high_watermark;
            if from >= high_watermark {
                break;
            }
            let until = end.min(high_watermark);
            let Some((footer, last)) = self.times_of(&segment, TimeIndex::last)? else {
                from = if self.is_replaced(&segment) { from } else { until.max(from + 1) };
                continue;
            };
            let (known, rest) = match footer {
                Some(footer) if footer.end_offset <= until => (footer.max_timestamp, until),
                _ => last.filter(|last| last.1 <= until).unwrap_or((NO_TIMESTAMP, segment.base_offset())),
            };
            max_timestamp = max_timestamp.max(known);
            self.each_batch(rest.max(from), until, |header, _| {
                max_timestamp = max_timestamp.max(header.max_timestamp);
                Ok(true)
            })?;
            from = until.max(from + 1);
        }
        if max_timestamp == NO_TIMESTAMP { Ok(None) } else { self.offset_for_timestamp(max_timestamp) }
    }

    /// The segment that holds an offset, as the list is now, the last one for all behind it; and where the next one begins, or the log
    /// ends.
    fn segment_of(&self, offset: Offset) -> Option<(Arc<Segment>, Offset)> {
        let log_end = self.offsets().log_end;
        let segments = self.segments.load();
        let at = segments.partition_point(|segment| segment.base_offset() <= offset).saturating_sub(1);
        let end = segments.get(at + 1).map_or(log_end, |next| next.base_offset());
        Some((segments.get(at)?.clone(), end))
    }

    /// The footer of a segment, if it is sealed, and what `ask` finds in its time index; `None` when the segment was removed or replaced
    /// meanwhile.
    fn times_of<T>(
        &self,
        segment: &Segment,
        ask: impl FnOnce(&TimeIndex) -> DiskResult<T>,
    ) -> Result<Option<(Option<Footer>, T)>, ReadError> {
        let found = segment.side(self.shared.disk()).and_then(|side| {
            let footer = *side.footer.lock();
            Ok((footer, ask(&side.time)?))
        });
        self.check_readable()?;
        match found {
            Err(error) if is_gone(segment, &error) => Ok(None),
            found => Ok(Some(found?)),
        }
    }

    fn scan_for_timestamp(
        &self,
        from: Offset,
        until: Offset,
        at: Timestamp,
    ) -> Result<Option<FoundOffset>, ReadError> {
        let mut found = None;
        self.each_batch(from, until, |header, bytes| {
            if header.max_timestamp < at {
                return Ok(true);
            }
            found = first_record_at(bytes, from, at)?;
            Ok(found.is_none())
        })?;
        Ok(found)
    }

    /// Visits the batches that hold offsets from `from` up to `until`, until the visitor has enough.
    fn each_batch(
        &self,
        mut from: Offset,
        until: Offset,
        mut visit: impl FnMut(&BatchHeader, &Bytes) -> Result<bool, ReadError>,
    ) -> Result<(), ReadError> {
        // WHY not `until`: once compaction has merged segments it may lie where no batch ends.
        let high_watermark = self.offsets().high_watermark;
        while from < until {
            let slice = self.read(from, high_watermark, SCAN_BYTES, Wait::Allowed)?;
            let mut rest = slice.bytes;
            if rest.is_empty() {
                return Ok(());
            }
            while let Some(header) = BatchHeader::read(&rest) {
                let Some(total) = header.total_bytes().filter(|total| *total <= rest.len()) else { break };
                let batch = rest.split_to(total);
                if header.base_offset >= until {
                    return Ok(());
                }
                if !visit(&header, &batch)? {
                    return Ok(());
                }
            }
            from = slice.next_offset;
        }
        Ok(())
    }
}

/// WHY a copy of a small part: a slice keeps the whole run in memory, which may end in one large batch, for as long as the reply waits.
fn slice_of(run: Vec<u8>, taken: Taken) -> LogSlice {
    let Taken { range, next_offset, leader_epoch } = taken;
    let bytes = match range.len() * 2 < run.len() {
        true => Bytes::copy_from_slice(&run[range]),
        false => Bytes::from(run).slice(range),
    };
    LogSlice { bytes, next_offset, leader_epoch: Some(leader_epoch) }
}

/// Bytes read at once by a search.
const SCAN_BYTES: usize = 256 << 10;

/// The first record of a batch at or after offset `from` with a timestamp of at least `at`.
fn first_record_at(bytes: &Bytes, from: Offset, at: Timestamp) -> Result<Option<FoundOffset>, ReadError> {
    let header = BatchHeader::read(bytes).expect("the caller read it");
    let damaged = ReadError::Damaged { first: header.base_offset, end: header.last_offset() + 1 };
    let batch = RecordBatch::parse(bytes.clone()).map_err(|_| damaged.clone())?;
    let records = batch.records(DECOMPRESSED_BYTES_MAX).map_err(|_| damaged.clone())?;
    for record in records.iter() {
        let record = record.map_err(|_| damaged.clone())?;
        if record.offset >= from && record.timestamp >= at {
            let (offset, timestamp) = (record.offset, record.timestamp);
            return Ok(Some(FoundOffset { offset, timestamp, leader_epoch: header.leader_epoch }));
        }
    }
    Ok(None)
}

/// Whether an error means that retention has removed the segment.
fn is_gone(segment: &Segment, error: &DiskError) -> bool {
    error.kind == DiskErrorKind::NotFound && segment.is_removed()
}

/// Cuts the list before an interval that is longer than any that is written and than its batches: recovery made it of what it could
/// not read.
///
/// WHY: such an interval may be as long as a segment. It is told from the index alone, and never read.
fn keep_plausible(segment: &Segment, intervals: &mut Vec<Interval>, wait: Wait) -> Result<(), ReadError> {
    for at in 0..intervals.len() {
        let Some(end) = intervals[at].end else { continue };
        if end.position - intervals[at].start <= WRITTEN_INTERVAL_BYTES_MAX
            || is_of_batches(segment, &intervals[at], wait)?
        {
            continue;
        }
        if at == 0 {
            return Err(ReadError::Damaged { first: intervals[0].first_offset, end: end.offset });
        }
        intervals.truncate(at);
        break;
    }
    Ok(())
}

/// Whether the batches of an interval lead to its end: all but the last one begin within [`INDEX_INTERVAL_BYTES`].
fn is_of_batches(segment: &Segment, interval: &Interval, wait: Wait) -> Result<bool, ReadError> {
    let Some(end) = interval.end else { return Ok(true) };
    let mut position = interval.start;
    while position < end.position && position - interval.start < INDEX_INTERVAL_BYTES {
        let bytes = segment.read(position, HEADER_BYTES, wait)?;
        let Some(total) = BatchHeader::read(&bytes).and_then(|header| header.total_bytes()) else {
            return Ok(false);
        };
        position += total as u64;
    }
    Ok(position == end.position)
}

/// An index that fails its checks right after it was made.
fn unreadable(segment: &Segment) -> DiskError {
    DiskError {
        kind: DiskErrorKind::Io,
        operation: OpKind::Read,
        path: segment.path("index"),
        detail: "the disk does not give back what was just written".to_owned(),
    }
}

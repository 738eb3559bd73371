//! A run of index intervals in memory, and the batches that a reader is given of it.
//!
//! A batch is given only where it stands as it must: it begins where the one before ends, in bytes and in offsets, it ends within its
//! index interval, and it leads to the next one. Its first 21 bytes lie outside its CRC, so nobody else would notice if its length or
//! its offset had changed, and a reader would be led past records. What this process wrote has no gaps between offsets; elsewhere
//! they are legal. Where something does not stand as it must, its interval is looked at closely, in memory.

use std::ops::Range;

use super::damage::Stretch;
use super::file::Segment;
use super::offset_index::Interval;
use super::scan::DamagedSpan;
use crate::base::offset::NO_EPOCH;
use crate::base::{BytePosition, LeaderEpoch, Offset};
use crate::env::disk::Wait;
use crate::log::errors::ReadError;
use crate::record::header::{MAGIC, MAGIC_AT};
use crate::record::{BatchHeader, batch};

/// Bytes of one segment that were checked, and what of them is damaged.
pub struct Run<'a> {
    segment: &'a Segment,
    intervals: Vec<Bounds>,
    /// Fewer than the intervals need when the file is too short.
    bytes: Vec<u8>,
    damage: Vec<DamagedSpan>,
}

/// An interval of a run. One that is still being written ends with the segment.
#[derive(Clone, Copy)]
struct Bounds {
    start: BytePosition,
    first_offset: Offset,
    end: BytePosition,
    end_offset: Offset,
    /// Whether its batches were looked at one by one.
    is_looked_at: bool,
}

/// Whole batches for a reader.
pub struct Taken {
    /// Their bytes in the run.
    pub range: Range<usize>,
    /// The offset after them.
    pub next_offset: Offset,
    /// Epoch of the last one.
    pub leader_epoch: LeaderEpoch,
}

/// A place in a run where a batch begins.
#[derive(Clone, Copy)]
struct Place {
    at: usize,
    /// The offset that is due.
    offset: Offset,
}

impl Place {
    fn behind(&self, header: &BatchHeader, total: usize) -> Self {
        Self { at: self.at + total, offset: header.last_offset().saturating_add(1) }
    }
}

impl<'a> Run<'a> {
    /// Reads intervals that follow one another, at least one, and checks them as far as that is new.
    ///
    /// Cost: one read. Errors: `Disk`; `WouldBlock` where the bytes are not in memory and may not be waited for.
    pub fn read(segment: &'a Segment, intervals: &[Interval], wait: Wait) -> Result<Self, ReadError> {
        // In this order: no batch of these bytes lies above the offset, though somebody appends meanwhile.
        let (len, end_offset) = (segment.len(), segment.end_offset());
        let bounds = |interval: &Interval| Bounds {
            start: interval.start,
            first_offset: interval.first_offset,
            end: interval.end.map_or(len, |end| end.position.min(len)).max(interval.start),
            end_offset: interval.end.map_or(end_offset, |end| end.offset),
            is_looked_at: false,
        };
        let all: Vec<Bounds> = intervals.iter().map(bounds).collect();
        let (start, end) = (all[0].start, all[all.len() - 1].end);
        let bytes = segment.read(start, (end - start) as usize, wait)?;
        let mut run = Self { segment, intervals: all, bytes, damage: Vec::new() };
        for (number, interval) in intervals.iter().enumerate() {
            let spans = segment.check_interval(interval, run.bytes_of(&run.intervals[number]));
            run.intervals[number].is_looked_at = !spans.is_empty();
            run.damage.extend(spans);
        }
        Ok(run)
    }

    /// Its bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Finds the batch with `from`, or the first behind it, and takes whole batches from there on that end at or below `until`; `None`
    /// when there is none in the run.
    ///
    /// Errors: `Damaged` when `from` lies where no batch stands as it must.
    pub fn take(
        &mut self,
        from: Offset,
        until: Offset,
        max_bytes: usize,
    ) -> Result<Option<Taken>, ReadError> {
        let mut place = Place { at: 0, offset: self.intervals[0].first_offset };
        while self.position(place) < self.end() || self.damage_at(place).is_some() {
            if let Some(span) = self.damage_at(place) {
                let end = span.end_offset.unwrap_or(from + 1);
                if from < end {
                    return Err(ReadError::Damaged { first: span.first_offset, end });
                }
                if span.start == span.end {
                    return Ok(None);
                }
                place = Place { at: (span.end - self.start()) as usize, offset: end };
                continue;
            }
            match self.batch_at(place) {
                Some((header, total)) if header.last_offset() < from => place = place.behind(&header, total),
                Some((header, _)) if header.last_offset() < until => {
                    return Ok(Some(self.take_from(place, until, max_bytes)));
                }
                Some((header, _)) if header.base_offset >= until => return Ok(None),
                _ => self.look_closely(place),
            }
        }
        Ok(None)
    }

    fn take_from(&self, first: Place, until: Offset, max_bytes: usize) -> Taken {
        let mut place = first;
        let mut taken =
            Taken { range: first.at..first.at, next_offset: first.offset, leader_epoch: NO_EPOCH };
        while self.damage_at(place).is_none() {
            let Some((header, total)) = self.batch_at(place) else { break };
            let is_over = place.at > first.at && place.at + total - first.at > max_bytes;
            if header.last_offset() >= until || is_over {
                break;
            }
            place = place.behind(&header, total);
            taken.range.end = place.at;
            (taken.next_offset, taken.leader_epoch) = (place.offset, header.leader_epoch);
        }
        taken
    }

    fn start(&self) -> BytePosition {
        self.intervals[0].start
    }

    fn end(&self) -> BytePosition {
        self.intervals[self.intervals.len() - 1].end
    }

    /// Where a place lies in the file.
    fn position(&self, place: Place) -> BytePosition {
        self.start() + place.at as u64
    }

    fn bytes_of(&self, bounds: &Bounds) -> &[u8] {
        let within = |position: BytePosition| ((position - self.start()) as usize).min(self.bytes.len());
        &self.bytes[within(bounds.start)..within(bounds.end)]
    }

    /// The damaged span that covers this place of the run, or begins at it.
    fn damage_at(&self, place: Place) -> Option<&DamagedSpan> {
        let position = self.position(place);
        let is_here =
            |span: &&DamagedSpan| span.start == position || (span.start < position && position < span.end);
        self.damage.iter().find(is_here)
    }

    /// The batch at a place, if it stands there as it must, with its length.
    fn batch_at(&self, place: Place) -> Option<(BatchHeader, usize)> {
        let (header, total) = self.header_at(place)?;
        let bounds = self.intervals.get(self.number_at(place))?;
        let behind = place.behind(&header, total);
        let end = self.position(behind);
        let fits = end <= bounds.end && behind.offset <= bounds.end_offset;
        let leads_on = match bounds.is_looked_at {
            // What lies behind is damaged, or this would be.
            true => batch::check_crc(&self.bytes[place.at..behind.at]),
            false => end == bounds.end || self.header_at(behind).is_some(),
        };
        (fits && leads_on).then_some((header, total))
    }

    /// The header at a place, if it is one, its batch is all there, and its offset follows.
    fn header_at(&self, place: Place) -> Option<(BatchHeader, usize)> {
        let rest = self.bytes.get(place.at..)?;
        let header = BatchHeader::read(rest).filter(|_| rest[MAGIC_AT] == MAGIC)?;
        let total = header.total_bytes().filter(|total| *total <= rest.len())?;
        let follows = match self.segment.is_dense_at(self.position(place)) {
            true => header.base_offset == place.offset,
            false => header.base_offset >= place.offset,
        };
        (follows && header.last_offset_delta >= 0).then_some((header, total))
    }

    /// Which interval holds a place.
    fn number_at(&self, place: Place) -> usize {
        let position = self.position(place);
        self.intervals.partition_point(|bounds| bounds.end <= position)
    }

    /// Finds out what is damaged of the interval that holds a place where no batch stands as it must.
    fn look_closely(&mut self, place: Place) {
        let (number, position) = (self.number_at(place), self.position(place));
        let bounds = &self.intervals[number];
        let Bounds { start, first_offset, end, end_offset, .. } = *bounds;
        let spans = match bounds.is_looked_at {
            false => Stretch { start, first_offset, end, end_offset, bytes: self.bytes_of(bounds) }.damage(),
            // Its batches contradict what is known of the place: nothing from there on is sure.
            true => {
                let end_offset = Some(end_offset.max(place.offset.saturating_add(1)));
                vec![DamagedSpan { start: position, end, first_offset: place.offset, end_offset }]
            }
        };
        self.intervals[number].is_looked_at = true;
        self.damage.extend(spans);
    }
}

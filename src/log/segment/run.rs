//! A run of index intervals in memory, and the batches that a reader is given of it.
//!
//! A batch is given only where it stands as it must: it begins where the one before ends, in bytes and in offsets, and ends within its
//! index interval. Its first 21 bytes lie outside its CRC, so nobody else would notice if its length or its offset had changed, and a
//! reader would be led past records. What this process wrote has no gaps between offsets; elsewhere they are legal.

use std::ops::Range;

use super::file::Segment;
use super::offset_index::Interval;
use super::scan::{DamagedSpan, Known, Scan, ScanPoint};
use crate::base::offset::NO_EPOCH;
use crate::base::{BytePosition, LeaderEpoch, Offset};
use crate::env::disk::DiskResult;
use crate::log::errors::ReadError;
use crate::record::header::{MAGIC, MAGIC_AT};
use crate::record::{BatchHeader, batch};

/// Bytes of one segment that were checked, and what of them is damaged.
pub struct Run {
    start: BytePosition,
    first_offset: Offset,
    /// Of each interval its end, in the file, and the offset that stands there, where the index knows it.
    ends: Vec<(BytePosition, Option<Offset>)>,
    /// Fewer than the intervals need when the file is too short.
    pub bytes: Vec<u8>,
    damage: Vec<DamagedSpan>,
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

impl Run {
    /// First byte of intervals that follow one another, and one past their last.
    pub fn bounds(segment: &Segment, intervals: &[Interval]) -> (BytePosition, BytePosition) {
        let start = intervals[0].start;
        (start, end_of(segment, &intervals[intervals.len() - 1]).0.max(start))
    }

    /// Over the bytes of intervals, which are checked as far as that is new.
    pub fn new(segment: &Segment, intervals: &[Interval], bytes: Vec<u8>) -> Self {
        let start = intervals[0].start;
        let ends: Vec<_> = intervals.iter().map(|interval| end_of(segment, interval)).collect();
        let within = |position: BytePosition| (position.saturating_sub(start) as usize).min(bytes.len());
        let check = |(interval, end): (&Interval, &(BytePosition, Option<Offset>))| {
            segment.check_interval(interval, &bytes[within(interval.start)..within(end.0)])
        };
        let damage = intervals.iter().zip(&ends).flat_map(check).collect();
        Self { start, first_offset: intervals[0].first_offset, ends, bytes, damage }
    }

    /// One past its last byte in the file.
    pub fn end(&self) -> BytePosition {
        self.ends.last().map_or(self.start, |end| end.0)
    }

    /// Finds the batch with `from` and takes whole batches from there on that end at or below `until`; `None` when all of the run lies
    /// below `from`.
    ///
    /// Errors: `Damaged` when `from` lies where no batch stands as it must.
    pub fn take(
        &mut self,
        segment: &Segment,
        from: Offset,
        until: Offset,
        max_bytes: usize,
    ) -> Result<Option<Taken>, ReadError> {
        let mut place = Place { at: 0, offset: self.first_offset };
        while self.start + (place.at as u64) < self.end() || self.damage_at(place.at).is_some() {
            if let Some(span) = self.damage_at(place.at) {
                let end = span.end_offset.unwrap_or(from + 1);
                if from < end {
                    return Err(ReadError::Damaged { first: span.first_offset, end });
                }
                if span.start == span.end {
                    return Ok(None);
                }
                place = Place { at: (span.end - self.start) as usize, offset: end };
                continue;
            }
            match self.batch_at(segment, place) {
                Some((header, total)) if header.last_offset() < from => {
                    place = Place { at: place.at + total, offset: header.last_offset() + 1 };
                }
                Some((header, _)) if header.last_offset() < until => {
                    return Ok(Some(self.take_from(segment, place, until, max_bytes)));
                }
                _ => self.note_damage(segment, place)?,
            }
        }
        Ok(None)
    }

    fn take_from(&self, segment: &Segment, first: Place, until: Offset, max_bytes: usize) -> Taken {
        let mut place = first;
        let mut taken =
            Taken { range: first.at..first.at, next_offset: first.offset, leader_epoch: NO_EPOCH };
        while self.damage_at(place.at).is_none() {
            let Some((header, total)) = self.batch_at(segment, place) else { break };
            let is_over = place.at > first.at && place.at + total - first.at > max_bytes;
            if header.last_offset() >= until || is_over {
                break;
            }
            place = Place { at: place.at + total, offset: header.last_offset() + 1 };
            taken.range.end = place.at;
            (taken.next_offset, taken.leader_epoch) = (place.offset, header.leader_epoch);
        }
        taken
    }

    /// The damaged span that covers this place of the run, or begins at it.
    fn damage_at(&self, at: usize) -> Option<&DamagedSpan> {
        let position = self.start + at as u64;
        self.damage
            .iter()
            .find(|span| span.start == position || (span.start < position && position < span.end))
    }

    /// The batch at a place, if it stands there as it must, with its length.
    fn batch_at(&self, segment: &Segment, place: Place) -> Option<(BatchHeader, usize)> {
        let (header, total) = self.header_at(segment, place)?;
        let position = self.start + place.at as u64;
        let (end, end_offset) = self.end_behind(position)?;
        let behind = Place { at: place.at + total, offset: header.last_offset() + 1 };
        let fits = position + total as u64 <= end && end_offset.is_none_or(|end| behind.offset <= end);
        let leads_on = position + total as u64 == end || self.header_at(segment, behind).is_some();
        // Where it leads nowhere either its length is wrong, or what follows is.
        let is_sound = fits && (leads_on || batch::check_crc(&self.bytes[place.at..behind.at]));
        is_sound.then_some((header, total))
    }

    /// The header at a place, if it is one, its batch is all there, and its offset follows.
    fn header_at(&self, segment: &Segment, place: Place) -> Option<(BatchHeader, usize)> {
        let rest = self.bytes.get(place.at..)?;
        let header = BatchHeader::read(rest).filter(|_| rest[MAGIC_AT] == MAGIC)?;
        let total = header.total_bytes().filter(|total| *total <= rest.len())?;
        let follows = if segment.is_dense_at(self.start + place.at as u64) {
            header.base_offset == place.offset
        } else {
            header.base_offset >= place.offset
        };
        (follows && header.last_offset_delta >= 0).then_some((header, total))
    }

    /// Where the interval ends that holds a byte, with the offset there.
    fn end_behind(&self, position: BytePosition) -> Option<(BytePosition, Option<Offset>)> {
        self.ends[self.ends.partition_point(|end| end.0 <= position)..].first().copied()
    }

    /// Finds out how far the bytes at a place where no batch stands as it must lead astray, within their interval.
    fn note_damage(&mut self, segment: &Segment, place: Place) -> DiskResult<()> {
        let position = self.start + place.at as u64;
        let (end, end_offset) = self.end_behind(position).unwrap_or((position, None));
        let end_offset = end_offset.unwrap_or_else(|| segment.end_offset()).max(place.offset + 1);
        let start = ScanPoint { position, offset: place.offset, epoch: NO_EPOCH };
        let known = Known { is_short: self.bytes.len() as u64 + self.start < end, ..Known::default() };
        let file = segment.log().get()?;
        let mut scan = Scan::new(&*file, start, end, end_offset, known);
        let mut span = scan.skip_damage()?;
        if span.end_offset.is_none() {
            (span.end, span.end_offset) = (end, Some(end_offset));
        }
        self.damage.push(span);
        Ok(())
    }
}

/// Where an interval ends; one that is still being written, with the segment.
fn end_of(segment: &Segment, interval: &Interval) -> (BytePosition, Option<Offset>) {
    let len = segment.len();
    interval.end.map_or((len, None), |end| (end.position.min(len), Some(end.offset)))
}

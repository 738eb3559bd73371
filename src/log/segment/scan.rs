//! Walks the batches of a log file and checks each: length, CRC, rising offsets, epochs that do not fall.
//!
//! Used to recover a tail, to rebuild an index and to find out which offsets a damaged range covers. Memory: one buffer of
//! 1 MiB, more only for a longer batch whose length is plausible.

use crate::base::limits::SEGMENT_BYTES_MAX;
use crate::base::{BytePosition, LeaderEpoch, Offset};
use crate::env::File;
use crate::env::disk::{DiskResult, read_full_at};
use crate::record::BatchHeader;
use crate::record::batch;
use crate::record::header::{HEADER_BYTES, MAGIC, MAGIC_AT};

const BUFFER_BYTES: usize = 1 << 20;

/// Where a walk stands and what the next batch must satisfy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScanPoint {
    /// The next batch begins here.
    pub position: BytePosition,
    /// Its base offset is at least this.
    pub offset: Offset,
    /// Its leader epoch is at least this.
    pub epoch: LeaderEpoch,
}

/// Bytes that can't be a batch, between valid ones or up to the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DamagedSpan {
    /// First byte.
    pub start: BytePosition,
    /// One past the last byte.
    pub end: BytePosition,
    /// First offset that may have been there.
    pub first_offset: Offset,
    /// One past the last offset that may have been there; `None` when nothing valid follows to tell it.
    pub end_offset: Option<Offset>,
}

/// Whether `bytes`, a whole batch by its length, may follow `point` with offsets below `limit`.
fn follows(bytes: &[u8], point: &ScanPoint, limit: Offset) -> Option<BatchHeader> {
    let header = batch::verify(bytes).ok()?;
    let rises = header.base_offset >= point.offset && header.leader_epoch >= point.epoch;
    (rises && header.last_offset_delta >= 0 && header.last_offset() < limit).then_some(header)
}

/// A forward walk over a part of a log file.
pub struct Scan<'a> {
    file: &'a dyn File,
    end: BytePosition,
    limit: Offset,
    point: ScanPoint,
    buffer: Vec<u8>,
    buffer_start: BytePosition,
}

impl<'a> Scan<'a> {
    /// A walk from `point` to byte `end`, over batches with offsets below `limit`.
    pub fn new(file: &'a dyn File, point: ScanPoint, end: BytePosition, limit: Offset) -> Self {
        Self { file, end, limit, point, buffer: Vec::new(), buffer_start: point.position }
    }

    /// Where the walk stands: behind the last valid batch.
    pub fn point(&self) -> ScanPoint {
        self.point
    }

    /// The next batch with its bytes and position, or `None` at the end or at bytes that are no valid batch; compare
    /// [`Scan::point`] with the end to tell which.
    pub fn next_batch(&mut self) -> DiskResult<Option<(BatchHeader, BytePosition, &[u8])>> {
        let position = self.point.position;
        let Some(header) = self.bytes_at(position, HEADER_BYTES)?.and_then(BatchHeader::read) else {
            return Ok(None);
        };
        let plausible =
            header.magic == MAGIC && header.total_bytes().is_some_and(|n| n as u64 <= SEGMENT_BYTES_MAX);
        let Some(total) = header.total_bytes().filter(|_| plausible) else { return Ok(None) };
        let (point, limit) = (self.point, self.limit);
        if self.end.saturating_sub(position) < total as u64 {
            return Ok(None);
        }
        let Some(bytes) = self.bytes_at(position, total)? else { return Ok(None) };
        let Some(header) = follows(bytes, &point, limit) else { return Ok(None) };
        self.point = ScanPoint {
            position: position + total as u64,
            offset: header.last_offset() + 1,
            epoch: header.leader_epoch,
        };
        let from = (position - self.buffer_start) as usize;
        Ok(Some((header, position, &self.buffer[from..from + total])))
    }

    /// Looks for the next valid batch behind bytes that are none, and moves there. Returns what was passed over.
    pub fn skip_damage(&mut self) -> DiskResult<DamagedSpan> {
        let start = self.point;
        let mut position = start.position + 1;
        let mut span = DamagedSpan {
            start: start.position,
            end: self.end,
            first_offset: start.offset,
            end_offset: None,
        };
        while position + (HEADER_BYTES as u64) <= self.end {
            if self.is_valid_at(position)? {
                let header = self.bytes_at(position, HEADER_BYTES)?.and_then(BatchHeader::read);
                let offset = header.map_or(start.offset, |header| header.base_offset);
                self.point = ScanPoint { position, offset, epoch: start.epoch };
                span.end = position;
                span.end_offset = Some(offset);
                return Ok(span);
            }
            position += 1;
        }
        self.point.position = self.end;
        Ok(span)
    }

    fn is_valid_at(&mut self, position: BytePosition) -> DiskResult<bool> {
        let (point, limit, end) = (self.point, self.limit, self.end);
        let Some(bytes) = self.bytes_at(position, HEADER_BYTES)? else { return Ok(false) };
        if bytes[MAGIC_AT] != MAGIC {
            return Ok(false);
        }
        let Some(header) = BatchHeader::read(bytes) else { return Ok(false) };
        let in_range = header.base_offset >= point.offset && header.last_offset() < limit;
        let Some(total) = header.total_bytes().filter(|total| in_range && position + *total as u64 <= end)
        else {
            return Ok(false);
        };
        Ok(self.bytes_at(position, total)?.is_some_and(|bytes| follows(bytes, &point, limit).is_some()))
    }

    /// `count` bytes at `position`, or `None` when the file or the walk ends before.
    fn bytes_at(&mut self, position: BytePosition, count: usize) -> DiskResult<Option<&[u8]>> {
        if self.end.saturating_sub(position) < count as u64 {
            return Ok(None);
        }
        let buffered = self.buffer_start..self.buffer_start + self.buffer.len() as u64;
        if position < buffered.start || position + count as u64 > buffered.end {
            let want = count.max(BUFFER_BYTES).min((self.end - position) as usize);
            self.buffer.resize(want, 0);
            self.buffer_start = position;
            let got = read_full_at(self.file, &mut self.buffer, position)?;
            self.buffer.truncate(got);
        }
        let from = (position - self.buffer_start) as usize;
        Ok(self.buffer.get(from..from + count))
    }
}

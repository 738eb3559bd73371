//! Walks the batches of a log file and checks each: length, CRC, rising offsets, epochs that do not fall.
//!
//! The first 21 bytes of a batch, its offset and its leader epoch among them, lie outside its CRC. So what is odd there must be
//! borne out by something else: by what the walk knows, or by the batch that follows.
//!
//! Used to recover a tail and to rebuild an index. Memory: one buffer of 1 MiB, more only for a longer batch: up to 4 MiB where the
//! length alone says so, beyond only where its CRC does.

use std::collections::HashSet;

use crate::base::limits::{GRPC_MESSAGE_BYTES_MAX, SEGMENT_BYTES_MAX};
use crate::base::{BytePosition, LeaderEpoch, Offset};
use crate::env::File;
use crate::env::disk::{DiskResult, read_full_at};
use crate::log::epoch_cache::EpochCache;
use crate::record::BatchHeader;
use crate::record::batch;
use crate::record::header::{ATTRIBUTES_AT, HEADER_BYTES, MAGIC, MAGIC_AT};

const BUFFER_BYTES: usize = 1 << 20;

/// Batches that lead farther than this lie in no value: no request brings more.
const VALUE_BYTES_MAX: u64 = GRPC_MESSAGE_BYTES_MAX as u64;

/// Batches that must follow one behind damage when none leads up to the end.
const FOLLOWERS_MIN: usize = 1;

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

/// What a walk knows of the batches besides their bytes.
#[derive(Clone, Copy, Default)]
pub struct Known<'a> {
    /// Whether offsets follow one another without a gap, as in whatever was appended and not compacted since.
    pub is_dense: bool,
    /// The offset that stands at the end of the walk.
    pub end_offset: Option<Offset>,
    /// Whether the file ends before it should: then its end proves nothing.
    pub is_short: bool,
    /// The epochs of the log; no batch has one that they do not know, unless it is newer, and none has the given one or a
    /// newer one.
    pub epochs: Option<(&'a EpochCache, LeaderEpoch)>,
}

impl Known<'_> {
    fn allows_epoch(&self, header: &BatchHeader) -> bool {
        let Some((epochs, current)) = self.epochs else { return true };
        let epoch = header.leader_epoch;
        let is_newer = epoch > epochs.last_epoch() && epoch < current;
        is_newer || epochs.epoch_of(header.base_offset).is_none_or(|known| known == epoch)
    }
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
    known: Known<'a>,
    point: ScanPoint,
    buffer: Vec<u8>,
    buffer_start: BytePosition,
}

impl<'a> Scan<'a> {
    /// A walk from `point` to byte `end`, over batches with offsets below `limit`.
    pub fn new(
        file: &'a dyn File,
        point: ScanPoint,
        end: BytePosition,
        limit: Offset,
        known: Known<'a>,
    ) -> Self {
        Self { file, end, limit, known, point, buffer: Vec::new(), buffer_start: point.position }
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
        let Some(header) = self.batch_at(position, total)?.and_then(|bytes| follows(bytes, &point, limit))
        else {
            return Ok(None);
        };
        if !self.is_borne_out(&header, position + total as u64)? {
            return Ok(None);
        }
        let Some(_) = self.bytes_at(position, total)? else { return Ok(None) };
        self.point = ScanPoint {
            position: position + total as u64,
            offset: header.last_offset() + 1,
            epoch: header.leader_epoch,
        };
        let from = (position - self.buffer_start) as usize;
        Ok(Some((header, position, &self.buffer[from..from + total])))
    }

    /// Whether the offset and the epoch of a batch, which its CRC does not cover, agree with what else there is. `next_at` is where
    /// the batch behind it begins.
    fn is_borne_out(&mut self, header: &BatchHeader, next_at: BytePosition) -> DiskResult<bool> {
        let is_gap = header.base_offset > self.point.offset;
        let is_rise = header.leader_epoch > self.point.epoch && self.known.epochs.is_none();
        if !self.known.allows_epoch(header) || (is_gap && self.known.is_dense) {
            return Ok(false);
        }
        if !is_gap && !is_rise {
            return Ok(true);
        }
        if !is_gap && self.known.is_dense {
            return Ok(true);
        }
        Ok(match self.sound_at(next_at)? {
            Some(next) => next.base_offset > header.last_offset() && next.leader_epoch >= header.leader_epoch,
            None if next_at == self.end && is_gap => {
                self.known.end_offset.is_none_or(|end| end == header.last_offset() + 1)
            }
            None => true,
        })
    }

    /// The header of a batch whose CRC holds; a torn one bears witness to nothing.
    fn sound_at(&mut self, position: BytePosition) -> DiskResult<Option<BatchHeader>> {
        let Some(header) = self.header_at(position)? else { return Ok(None) };
        let Some(total) = header.total_bytes() else { return Ok(None) };
        let bytes = self.batch_at(position, total)?;
        Ok(bytes.and_then(|bytes| batch::verify(bytes).ok()))
    }

    /// What looks like the header of a batch.
    fn header_at(&mut self, position: BytePosition) -> DiskResult<Option<BatchHeader>> {
        let bytes = self.bytes_at(position, HEADER_BYTES)?;
        Ok(bytes.filter(|bytes| bytes[MAGIC_AT] == MAGIC).and_then(BatchHeader::read))
    }

    /// Looks for the next valid batch behind bytes that are none, and moves there. Returns what was passed over.
    ///
    /// WHY not the first that comes: a value may hold a batch, which must not be taken for one of the log. So the damaged batch's
    /// own length is believed when it leads to a batch or to the end. Else one is looked for from which batch leads to batch up to
    /// the end or farther than any value reaches, and only where there is none, one that another follows; with offsets behind
    /// those of the damaged batch, as far as it tells them.
    pub fn skip_damage(&mut self) -> DiskResult<DamagedSpan> {
        let start = self.point;
        let mut span = DamagedSpan {
            start: start.position,
            end: self.end,
            first_offset: start.offset,
            end_offset: None,
        };
        let found = self.find_sound()?;
        self.point.position = self.end;
        if let Some((position, offset)) = found {
            self.point = ScanPoint { position, offset, epoch: start.epoch };
            (span.end, span.end_offset) = (position, Some(offset));
        }
        Ok(span)
    }

    /// Position and offset of the sound batch behind the damaged one.
    fn find_sound(&mut self) -> DiskResult<Option<(BytePosition, Offset)>> {
        let start = self.point;
        let damaged = self.header_at(start.position)?;
        if let Some(total) = damaged.and_then(|header| header.total_bytes()) {
            let next = start.position + total as u64;
            if next == self.end {
                return Ok(None);
            }
            if self.is_valid_at(next)? {
                return Ok(self.header_at(next)?.map(|header| (next, header.base_offset)));
            }
        }
        let least = damaged
            .map_or(start.offset, |header| start.offset + i64::from(header.last_offset_delta.max(0)) + 1);
        match self.find_valid(least, usize::MAX)? {
            None => self.find_valid(least, FOLLOWERS_MIN),
            found => Ok(found),
        }
    }

    /// The next valid batch with offsets from `least` on that leads to the end, or to so many batches more.
    fn find_valid(&mut self, least: Offset, followers: usize) -> DiskResult<Option<(BytePosition, Offset)>> {
        let mut position = self.point.position + 1;
        let mut broken = HashSet::new();
        while position + (HEADER_BYTES as u64) <= self.end {
            if self.is_valid_at(position)?
                && let Some(header) = self.header_at(position)?
                && header.base_offset >= least
                && self.leads_on(position, followers, &mut broken)?
            {
                return Ok(Some((position, header.base_offset)));
            }
            position += 1;
        }
        Ok(None)
    }

    /// Whether from here batch leads to batch: to the end, farther than any value reaches, or over so many. What is found to lead
    /// nowhere is added to `broken`, so that nobody goes that way again.
    fn leads_on(
        &mut self,
        from: BytePosition,
        followers: usize,
        broken: &mut HashSet<BytePosition>,
    ) -> DiskResult<bool> {
        let (mut position, mut passed) = (from, Vec::new());
        while position != self.end && passed.len() <= followers && position - from <= VALUE_BYTES_MAX {
            let total = self.header_at(position)?.and_then(|header| header.total_bytes());
            passed.push(position);
            match total.filter(|_| !broken.contains(&position)) {
                Some(total) => position += total as u64,
                None => {
                    broken.extend(passed);
                    return Ok(false);
                }
            }
        }
        Ok(!self.known.is_short || passed.len() > FOLLOWERS_MIN)
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
        let follows = self.batch_at(position, total)?.and_then(|bytes| follows(bytes, &point, limit));
        Ok(follows.is_some_and(|header| self.known.allows_epoch(&header)))
    }

    /// The bytes of a batch of this length, as `bytes_at`. WHY not at once: a length that is wrong may lead through all of a segment.
    fn batch_at(&mut self, position: BytePosition, total: usize) -> DiskResult<Option<&[u8]>> {
        let is_long = total as u64 > VALUE_BYTES_MAX && total as u64 <= self.end.saturating_sub(position);
        if is_long {
            let stored = self.header_at(position)?.map(|header| header.crc);
            if crc_of_batch(self.file, position, total)? != stored {
                return Ok(None);
            }
        }
        self.bytes_at(position, total)
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

/// The checksum that a batch of this length has, whatever it says itself; `None` when the file ends before. Memory: 1 MiB.
pub fn crc_of_batch(file: &dyn File, position: BytePosition, total: usize) -> DiskResult<Option<u32>> {
    let (mut crc, mut at) = (0, ATTRIBUTES_AT);
    let mut piece = vec![0u8; total.min(BUFFER_BYTES)];
    while at < total {
        let wanted = (total - at).min(piece.len());
        if read_full_at(file, &mut piece[..wanted], position + at as u64)? < wanted {
            return Ok(None);
        }
        crc = crc32c::crc32c_append(crc, &piece[..wanted]);
        at += wanted;
    }
    Ok(Some(crc))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::base::offset::NO_EPOCH;
    use crate::env::Disk;
    use crate::env::disk::{OpenMode, write_full_at};
    use crate::env::sim_disk::{SimDisk, SimOptions};
    use crate::log::segment::stored_batch::stored_batch;
    use crate::record::header::LOG_OVERHEAD_BYTES;

    const BATCHES: usize = 200;
    const VALUE_BYTES: usize = 64 << 10;

    fn batches() -> Vec<u8> {
        let value = vec![7; VALUE_BYTES];
        (0..BATCHES as Offset).flat_map(|offset| stored_batch(offset, 0, &value)).collect()
    }

    #[test]
    fn what_is_sound_between_two_broken_headers_is_found() {
        let mut bytes = batches();
        let batch_bytes = bytes.len() / BATCHES;
        for broken in [10, 190] {
            bytes[broken * batch_bytes..][..HEADER_BYTES].fill(0);
        }
        let disk = SimDisk::new(SimOptions::default());
        let file = disk.open(Path::new("x.log"), OpenMode::CreateNew).expect("makes a file");
        write_full_at(&*file, &bytes, 0).expect("writes");
        let start = ScanPoint { position: 0, offset: 0, epoch: NO_EPOCH };
        let mut scan = Scan::new(&*file, start, bytes.len() as u64, Offset::MAX, Known::default());
        let (mut sound, mut damaged) = (0, Vec::new());
        while scan.point().position < bytes.len() as u64 {
            match scan.next_batch().expect("reads") {
                Some(_) => sound += 1,
                None => {
                    let span = scan.skip_damage().expect("reads");
                    damaged.push((span.first_offset, span.end_offset));
                }
            }
        }
        assert_eq!((sound, damaged), (BATCHES - 2, vec![(10, Some(11)), (190, Some(191))]));
    }

    #[test]
    fn a_wrong_length_is_not_believed_for_so_much_memory() {
        let (mut bytes, long) = (batches(), 8 << 20);
        let batch_bytes = bytes.len() / BATCHES;
        let batch_length = (long - LOG_OVERHEAD_BYTES) as i32;
        let wrong = BatchHeader { batch_length, ..BatchHeader::read(&bytes).expect("whole") };
        bytes[..HEADER_BYTES].copy_from_slice(&wrong.write());
        let disk = SimDisk::new(SimOptions::default());
        let file = disk.open(Path::new("x.log"), OpenMode::CreateNew).expect("makes a file");
        write_full_at(&*file, &bytes, 0).expect("writes");
        let start = ScanPoint { position: 0, offset: 0, epoch: NO_EPOCH };
        let mut scan = Scan::new(&*file, start, bytes.len() as u64, Offset::MAX, Known::default());
        assert!(scan.next_batch().expect("reads").is_none());
        let span = scan.skip_damage().expect("reads");
        assert_eq!((span.end, span.end_offset), (batch_bytes as u64, Some(1)));
        assert!(scan.buffer.capacity() <= 2 * BUFFER_BYTES, "{} bytes", scan.buffer.capacity());
    }

    #[test]
    fn a_long_batch_that_is_sound_is_read() {
        let value = vec![7; 5 << 20];
        let batch = stored_batch(0, 0, &value);
        let disk = SimDisk::new(SimOptions::default());
        let file = disk.open(Path::new("x.log"), OpenMode::CreateNew).expect("makes a file");
        write_full_at(&*file, &batch, 0).expect("writes");
        let start = ScanPoint { position: 0, offset: 0, epoch: NO_EPOCH };
        let mut scan = Scan::new(&*file, start, batch.len() as u64, Offset::MAX, Known::default());
        let found = scan.next_batch().expect("reads").map(|(_, _, bytes)| bytes.len());
        assert_eq!(found, Some(batch.len()));
    }
}

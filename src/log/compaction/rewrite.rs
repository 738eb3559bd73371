//! The second half of a pass: a group of segments is written anew as one, aside.
//!
//! The log file comes first, then the index, made from the bytes as they are written. The name of the log file is durable before the
//! footer is written: an index aside with a true footer proves that the log file was there (see [`super::leftovers`]).

use std::ops::ControlFlow;
use std::sync::Arc;

use super::errors::PassError;
use super::groups::Group;
use super::keep::Keeper;
use super::leftovers;
use super::source::Source;
use crate::base::limits::{SEGMENT_BYTES_MAX, WRITE_BEHIND_BYTES};
use crate::base::offset::NO_EPOCH;
use crate::base::{Offset, Timestamp};
use crate::env::disk::write_full_at;
use crate::env::rule::Rule;
use crate::log::flush::committer::write_footer;
use crate::log::partition_log::PartitionLog;
use crate::log::segment::Segment;
use crate::log::segment::file::Side;
use crate::log::segment::tally::Tally;
use crate::record::{BatchHeader, RecordBatch, Retained, emptied};

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// A group of segments that was written anew.
pub(super) struct Rewritten {
    /// The segment, whose files stand aside and are durable.
    pub(super) segment: Arc<Segment>,
    /// How many segments went into it.
    pub(super) sources: usize,
    /// Records that are gone.
    pub(super) removed: u64,
}

struct Writing<'a> {
    log: &'a PartitionLog,
    segment: Segment,
    side: Arc<Side>,
    tally: Tally,
    buffer: Vec<u8>,
    written: u64,
    written_back: u64,
    removed: u64,
    horizon_ms: Timestamp,
    /// Bytes of the source that are not read yet.
    left: u64,
    /// Where the last source ends.
    end_offset: Offset,
    /// The last batch that was read, unless it was written.
    dropped: Option<BatchHeader>,
}

/// Writes what `keeper` keeps of the first source, and of those behind it as far as they fit `bytes_max`. All of it is durable when this
/// returns.
///
/// Errors: what was written stays aside, for [`super::leftovers::discard`].
pub(super) fn rewrite(
    log: &PartitionLog,
    sources: &[Source],
    keeper: &Keeper<'_>,
    bytes_max: u64,
    stop: &dyn Fn() -> bool,
) -> Result<Rewritten, PassError> {
    let mut writing = Writing::begin(log, &sources[0])?;
    let mut count = 0;
    while let Some(source) =
        sources.get(count).filter(|next| count == 0 || writing.takes(next, keeper, bytes_max))
    {
        (writing.left, writing.end_offset) = (source.footer.log_bytes, source.footer.end_offset);
        source.each_batch(log, 0, stop, &mut |batch| {
            writing.take(batch, keeper)?;
            Ok(ControlFlow::Continue(()))
        })?;
        count += 1;
    }
    let group = &sources[..count];
    let is_cleaned = group.iter().all(|source| source.footer.end_offset <= keeper.until);
    writing.end(group, is_cleaned)
}

impl<'a> Writing<'a> {
    fn begin(log: &'a PartitionLog, first: &Source) -> Result<Self, PassError> {
        let (shared, id) = (&log.shared, first.segment.id());
        leftovers::discard_if_there(shared.disk(), &first.segment)?;
        let created_ms = first.footer.first_append_ms;
        let segment = Segment::create_aside(shared.disk(), &shared.files, &log.folder, id, created_ms)?;
        let side = segment.side(shared.disk())?;
        let tally = Tally::empty(id.base_offset, created_ms, NO_EPOCH);
        Ok(Self {
            log,
            segment,
            side,
            tally,
            buffer: Vec::new(),
            written: 0,
            written_back: 0,
            removed: 0,
            horizon_ms: Timestamp::MAX,
            left: 0,
            end_offset: id.base_offset,
            dropped: None,
        })
    }

    fn takes(&self, next: &Source, keeper: &Keeper<'_>, bytes_max: u64) -> bool {
        let group = Group {
            base_offset: self.segment.base_offset(),
            bytes: self.tally.position,
            end_offset: self.end_offset,
            until: keeper.until,
            bytes_max,
        };
        group.takes(&next.piece())
    }

    fn take(&mut self, batch: &RecordBatch, keeper: &Keeper<'_>) -> Result<(), PassError> {
        let header = batch.header();
        let damaged = |error| PassError::Batch { base_offset: header.base_offset, error };
        let total = batch.bytes().len() as u64;
        // WHY: a horizon makes a batch longer, at most twice as long, and the rest must still fit the segment.
        let may_grow = self.tally.position + self.left + total <= SEGMENT_BYTES_MAX;
        self.left = self.left.saturating_sub(total);
        let verdict = keeper.judge(batch, may_grow).map_err(damaged)?;
        self.removed += verdict.removed;
        self.horizon_ms = self.horizon_ms.min(verdict.horizon_ms.unwrap_or(Timestamp::MAX));
        match verdict.retained {
            Retained::Whole => self.write(batch.bytes()),
            Retained::Rewritten(bytes) => self.write(&bytes),
            Retained::Nothing if keeper.is_last_of_producer(header) => self.write(&emptied(header)),
            Retained::Nothing => {
                self.dropped = Some(*header);
                Ok(())
            }
        }
    }

    fn write(&mut self, batch: &[u8]) -> Result<(), PassError> {
        let header = BatchHeader::read(batch).expect("a whole batch");
        if self.tally.position + batch.len() as u64 > SEGMENT_BYTES_MAX {
            return Err(PassError::TooLong);
        }
        self.tally.add(&self.side.index, &self.side.time, &header, [batch, &[]]);
        self.buffer.extend_from_slice(batch);
        self.dropped = None;
        if self.buffer.len() >= WRITE_BYTES { self.write_out() } else { Ok(()) }
    }

    fn write_out(&mut self) -> Result<(), PassError> {
        self.check_room()?;
        self.segment.log().write(|file| write_full_at(file, &self.buffer, self.written))?;
        self.written += self.buffer.len() as u64;
        self.log.shared.counters.compaction_written_bytes.add(self.buffer.len() as u64);
        self.buffer.clear();
        while self.written - self.written_back >= WRITE_BEHIND_BYTES {
            self.segment.log().get()?.start_writeback(self.written_back, WRITE_BEHIND_BYTES);
            self.written_back += WRITE_BEHIND_BYTES;
        }
        Ok(())
    }

    /// WHY half: producers stop where the reserve begins, and a pass must still be able to give space back then; but a disk that is full to
    /// the last byte could not be emptied through the broker.
    fn check_room(&self) -> Result<(), PassError> {
        let shared = &self.log.shared;
        let space = shared.disk().space(&shared.data_dir)?;
        let least = shared.reserve_bytes() / 2 + self.buffer.len() as u64;
        if space.free_bytes < least && Rule::KeepReserve.holds() { Err(PassError::NoRoom) } else { Ok(()) }
    }

    fn end(mut self, group: &[Source], is_cleaned: bool) -> Result<Rewritten, PassError> {
        // WHY: the last offset tells where the segment ends, and so which ones it replaces.
        if let Some(last) = self.dropped.take() {
            self.write(&emptied(&last))?;
        }
        self.write_out()?;
        if Rule::SyncCleaned.holds() {
            self.segment.log().sync()?;
        }
        self.log.shared.disk().sync_dir(&self.log.folder)?;
        let last_append_ms = group.iter().map(|source| source.footer.last_append_ms).max();
        self.tally.last_append_ms = last_append_ms.unwrap_or(self.tally.first_append_ms);
        let mut footer = self.tally.close(&self.side.index, &self.side.time);
        footer.cleaned = is_cleaned.then_some(self.horizon_ms);
        write_footer(&self.segment, &self.side, footer)?;
        let end_offset: Offset = self.tally.end_offset;
        self.segment.publish(self.tally.position, end_offset);
        Ok(Rewritten { segment: Arc::new(self.segment), sources: group.len(), removed: self.removed })
    }
}

//! Appending: drain the inbox, assign offsets, write with one call, index, raise the marks, resolve the tickets.
//!
//! Cost of a batch on the way through: at most four allocations, its ticket among them, which `tests/allocations` counts; one system
//! call for up to [`APPEND_BATCHES_MAX`] batches. After a short or failed write the file is cut to the logical end and synced before anything else is
//! appended; only then is the answer `not written`. Source: Kafka `UnifiedLog.append`, without its lock.

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::errors::AppendError;
use super::inbox::{Append, Appended};
use super::partition_log::PartitionLog;
use super::producer_state::{Producer, ProducerState, Sequenced};
use super::segment::file::Side;
use super::segment::side_file::SegmentId;
use super::segment::tally::Tally;
use super::segment::{Footer, Segment};
use crate::base::limits::{APPEND_BATCHES_MAX, SLOW_APPEND_MICROS, UNSYNCED_BYTES_MAX, WRITE_BEHIND_BYTES};
use crate::base::{LeaderEpoch, Offset, Timestamp};
use crate::config::FlushMode;
use crate::env::DiskError;
use crate::env::disk::DiskErrorKind;
use crate::env::rule::Rule;
use crate::record::header::HEADER_BYTES;
use crate::record::{BatchHeader, ValidBatch};

/// Bytes after which the producers are written down again: recovery walks so many of each log at most, and the two small syncs that
/// it costs are little beside the sync of as many bytes.
const SNAPSHOT_BYTES: u64 = 8 << 20;

/// The end of a log, held by whoever writes.
pub(super) struct Writer {
    pub(super) active: Arc<Segment>,
    pub(super) side: Arc<Side>,
    pub(super) tally: Tally,
    pub(super) producers: ProducerState,
    /// Append time of the last batch that bears one; −1 when there is none.
    pub(super) last_append_time: Timestamp,
    pub(super) leader_epoch: LeaderEpoch,
    /// Bytes since the producers were last written down.
    pub(super) bytes_since_snapshot: u64,
    /// Up to here the active file was pushed to the disk.
    pub(super) written_back: u64,
    pub(super) room: Room,
}

/// Most appends for which a log that is not being written to keeps room.
const ROOM_KEPT: usize = 16;

/// Lists that stay, empty, from one drain to the next, so that a batch costs no allocation for them.
#[derive(Default)]
pub(super) struct Room {
    taken: Vec<Append>,
    staged: Vec<Staged>,
}

/// An append that got its offset and waits for the write.
struct Staged {
    append: Append,
    header: BatchHeader,
    bytes: [u8; HEADER_BYTES],
    undo: Option<(i64, Option<Producer>)>,
}

/// What one pass over a part of the inbox has gathered.
#[derive(Default)]
struct Group {
    staged: Vec<Staged>,
    /// Answered once what is staged is written: their batch may be among it.
    duplicates: Vec<(Append, Appended)>,
    end: Offset,
    bytes: u64,
}

impl PartitionLog {
    /// Writes what is in the inbox, unless somebody else does already; then that one sees it.
    pub(super) fn drain(self: &Arc<Self>) {
        while self.drain_some() {}
    }

    /// Writes up to [`APPEND_BATCHES_MAX`] batches of the inbox, unless somebody else writes. Says whether there is more to write.
    pub(super) fn drain_some(self: &Arc<Self>) -> bool {
        if self.inbox.is_empty() {
            return false;
        }
        let Some(mut writer) = self.writer.try_lock() else { return false };
        let mut taken = std::mem::take(&mut writer.room.taken);
        self.inbox.take(APPEND_BATCHES_MAX, &mut taken);
        writer.append_all(self, &mut taken);
        taken.shrink_to(ROOM_KEPT);
        writer.room.taken = taken;
        // The lock goes before the next look, so that an append that came meanwhile is not left behind.
        drop(writer);
        !self.inbox.is_empty()
    }

    /// Answers what is in the inbox of a closed log.
    pub(super) fn drain_closed(&self) {
        loop {
            let writer = self.writer.lock();
            let mut taken = Vec::new();
            self.inbox.take(usize::MAX, &mut taken);
            taken.into_iter().for_each(|append| append.resolve(Err(AppendError::Closed)));
            drop(writer);
            // An append that came meanwhile found the log taken and trusts its holder to look again.
            if self.inbox.is_empty() {
                return;
            }
        }
    }
}

impl Writer {
    fn append_all(&mut self, log: &Arc<PartitionLog>, taken: &mut Vec<Append>) {
        let staged = std::mem::take(&mut self.room.staged);
        let mut group = Group { staged, end: self.tally.end_offset, ..Group::default() };
        for append in taken.drain(..) {
            if self.must_roll(log, append.batch.header(), &group) {
                self.write_group(log, &mut group);
            }
            // Asked after the write: it may have failed, and then nothing may follow it and there may be nothing to roll.
            if let Some(error) = log.refusal() {
                append.resolve(Err(error));
            } else if !self.must_roll(log, append.batch.header(), &group) {
                self.stage(log, append, &mut group);
            } else if let Err(error) = self.roll(log) {
                append.resolve(Err(not_written(log, error)));
            } else {
                group.end = self.tally.end_offset;
                self.stage(log, append, &mut group);
            }
        }
        self.write_group(log, &mut group);
        group.staged.shrink_to(ROOM_KEPT);
        self.room.staged = group.staged;
    }

    /// Gives a batch its offset, or answers it when it is no new batch.
    fn stage(&mut self, log: &PartitionLog, mut append: Append, group: &mut Group) {
        let header = *append.batch.header();
        // Before anything was removed from the log no producer can have been forgotten with its records.
        let may_be_forgotten = log.offsets().log_start > 0;
        match self.producers.check(&header, may_be_forgotten) {
            Err(error) => append.resolve(Err(error)),
            Ok(Sequenced::Duplicate { base_offset, last_offset }) => {
                let append_time = None;
                let leader_epoch = self.leader_epoch;
                let found = Appended { base_offset, last_offset, leader_epoch, append_time, duplicate: true };
                group.duplicates.push((append, found));
            }
            // A duplicate is answered on a full disk as well: it was written.
            Ok(Sequenced::Next)
                if !log.internal && !log.shared.take_room(append.batch.total_bytes() as u64, group.bytes) =>
            {
                append.resolve(Err(AppendError::DiskFull))
            }
            Ok(Sequenced::Next) => {
                self.keep_times_in_order(&mut append.batch);
                let bytes = append.batch.place(group.end, self.leader_epoch);
                let header = *append.batch.header();
                let undo = self.producers.note(&header, header.last_offset());
                group.end = header.last_offset() + 1;
                group.bytes += append.batch.total_bytes() as u64;
                group.staged.push(Staged { append, header, bytes, undo });
            }
        }
    }

    /// Append time never goes back within a log, whatever the clock does: a batch that was stamped before the last one gets its time.
    /// Cost: another pass over the body then, else none.
    fn keep_times_in_order(&mut self, batch: &mut ValidBatch) {
        if !batch.header().is_append_time() {
            return;
        }
        if batch.header().max_timestamp < self.last_append_time && Rule::KeepTimesInOrder.holds() {
            batch.set_append_time(self.last_append_time);
        }
        self.last_append_time = batch.header().max_timestamp;
    }

    fn write_group(&mut self, log: &Arc<PartitionLog>, group: &mut Group) {
        let mut staged = std::mem::take(&mut group.staged);
        let duplicates = std::mem::take(&mut group.duplicates);
        let before = log.shared.env.clock.monotonic();
        // WHY opened apart: when the file can't be opened nothing was written, and there is nothing to cut.
        let failure = match self.active.log().get() {
            Err(error) => Some(self.refuse(std::mem::take(&mut staged), not_written(log, error))),
            Ok(_open) => match self.write_staged(&staged) {
                Ok(()) => {
                    self.publish(log, &mut staged);
                    None
                }
                Err(error) => Some(self.take_back(log, std::mem::take(&mut staged), error)),
            },
        };
        for (append, found) in duplicates {
            // A duplicate of a batch that was just taken back shares its fate.
            match &failure {
                Some(error) if found.last_offset >= self.tally.end_offset => {
                    append.resolve(Err(error.clone()))
                }
                _ => append.resolve(Ok(found)),
            }
        }
        if group.bytes > 0 {
            let micros = (log.shared.env.clock.monotonic() - before).as_micros() as u64;
            let is_behind = log.unsynced.lock().bytes > UNSYNCED_BYTES_MAX;
            log.is_slow.store(micros > SLOW_APPEND_MICROS || is_behind, Ordering::Relaxed);
            log.shared.note_append(micros);
        }
        *group = Group { staged, end: self.tally.end_offset, ..Group::default() };
    }

    /// Writes the batches at the logical end, however short the single writes are.
    fn write_staged(&self, staged: &[Staged]) -> Result<(), DiskError> {
        if staged.is_empty() {
            return Ok(());
        }
        let parts = staged.iter().flat_map(|staged| [&staged.bytes[..], &staged.append.batch.body()[..]]);
        let mut slices: Vec<IoSlice<'_>> = parts.map(IoSlice::new).collect();
        self.active.log().write(|file| {
            let mut rest = &mut slices[..];
            let mut position = self.tally.position;
            while !rest.is_empty() {
                let count = file.write_vectored_at(rest, position)?;
                position += count as u64;
                IoSlice::advance_slices(&mut rest, count);
            }
            Ok(())
        })
    }

    /// Indexes what was written and shows it; leaves the list empty.
    fn publish(&mut self, log: &Arc<PartitionLog>, staged: &mut Vec<Staged>) {
        if staged.is_empty() {
            return;
        }
        let now_ms = log.shared.now_ms();
        if self.tally.position == 0 {
            self.tally.first_append_ms = now_ms;
        }
        self.tally.last_append_ms = now_ms;
        let before = self.tally.position;
        for staged in staged.iter() {
            let parts = [&staged.bytes[..], &staged.append.batch.body()[..]];
            let entries = self.side.index.entry_count();
            self.tally.add(&self.side.index, &self.side.time, &staged.header, parts);
            if self.side.index.entry_count() > entries {
                self.active.mark_checked(entries - 1);
            }
        }
        let (end, position) = (self.tally.end_offset, self.tally.position);
        self.bytes_since_snapshot += position - before;
        self.active.publish(position, end);
        log.shared.counters.appends.add(staged.len() as u64);
        log.shared.counters.append_bytes.add(position - before);
        log.marks.set_log_end(end);
        self.note_unsynced(log, position - before);
        self.write_behind(position);
        for staged in staged.drain(..) {
            let header = staged.header;
            let append_time = header.is_append_time().then_some(header.max_timestamp);
            let base_offset = header.base_offset;
            let (last_offset, leader_epoch) = (header.last_offset(), header.leader_epoch);
            let appended = Appended { base_offset, last_offset, leader_epoch, append_time, duplicate: false };
            staged.append.resolve(Ok(appended));
        }
    }

    fn note_unsynced(&mut self, log: &Arc<PartitionLog>, bytes: u64) {
        let (end, position) = (self.tally.end_offset, self.tally.position);
        let config = log.config.load();
        let is_ack = log.internal || config.flush == FlushMode::Ack;
        let mut unsynced = log.unsynced.lock();
        let first = !unsynced.is_dirty();
        unsynced.note(&self.active, end, position, log.shared.monotonic_ms(), bytes);
        // Also when there are none: else recovery would look for them in the whole segment.
        if self.bytes_since_snapshot >= SNAPSHOT_BYTES {
            unsynced.snapshot = Some((end, self.producers.encode()));
            self.bytes_since_snapshot = 0;
        }
        let is_due = unsynced.due_ms(&config, is_ack) == Some(i64::MIN);
        drop(unsynced);
        if is_due {
            log.shared.dirty.put_urgent(log);
        } else if first {
            log.shared.dirty.put_lazy(log);
        }
    }

    /// Pushes full steps of the active file to the disk, so that dirty pages stay below the kernel's throttle.
    fn write_behind(&mut self, position: u64) {
        while position - self.written_back >= WRITE_BEHIND_BYTES {
            let Ok(file) = self.active.log().get() else { return };
            file.start_writeback(self.written_back, WRITE_BEHIND_BYTES);
            self.written_back += WRITE_BEHIND_BYTES;
        }
    }

    /// Undoes a failed write: the file ends at the logical end again, durably, or the log goes offline.
    fn take_back(&mut self, log: &Arc<PartitionLog>, staged: Vec<Staged>, error: DiskError) -> AppendError {
        let position = self.tally.position;
        let log_file = self.active.log();
        let cut = match Rule::CutBack.holds() {
            true => log_file.write(|file| file.set_len(position)).and_then(|()| log_file.sync()),
            false => Ok(()),
        };
        let answer = match cut {
            Ok(()) => not_written(log, error),
            Err(second) => {
                log.fail(&second);
                AppendError::Unknown(error)
            }
        };
        self.refuse(staged, answer)
    }

    fn refuse(&mut self, mut staged: Vec<Staged>, answer: AppendError) -> AppendError {
        for staged in staged.iter_mut().rev() {
            if let Some(undo) = staged.undo.take() {
                self.producers.undo(undo);
            }
        }
        staged.into_iter().for_each(|staged| staged.append.resolve(Err(answer.clone())));
        answer
    }

    fn must_roll(&self, log: &PartitionLog, header: &BatchHeader, group: &Group) -> bool {
        let used = self.tally.position + group.bytes;
        if used == 0 {
            return false;
        }
        let config = log.config.load();
        let batch_bytes = header.total_bytes().unwrap_or(0) as u64;
        let relative = group.end + i64::from(header.last_offset_delta) - self.active.base_offset();
        used + batch_bytes > config.segment_bytes
            || relative >= i64::from(i32::MAX)
            || log.shared.now_ms() - self.tally.first_append_ms >= config.roll_after_ms()
    }

    /// Begins a new segment at the log end. Nothing has changed when it fails.
    pub(super) fn roll(&mut self, log: &Arc<PartitionLog>) -> Result<(), DiskError> {
        let base_offset = self.tally.end_offset;
        assert!(
            base_offset > self.active.base_offset(),
            "an empty segment is not rolled: its files have that name"
        );
        let id = SegmentId { log: log.id, base_offset };
        let shared = &log.shared;
        let now_ms = shared.now_ms();
        let segment = Arc::new(Segment::create(shared.disk(), &shared.files, &log.folder, id, now_ms)?);
        let side = segment.side(shared.disk())?;
        let footer: Footer = self.tally.close(&self.side.index, &self.side.time);
        let last_interval = self.side.index.entry_count().saturating_sub(2);
        self.active.mark_checked(last_interval);
        let sealed = std::mem::replace(&mut self.active, segment.clone());
        self.side = side;
        self.tally = Tally::empty(base_offset, now_ms, self.tally.last_epoch);
        self.written_back = 0;
        self.bytes_since_snapshot = 0;
        let mut segments = Vec::clone(&log.segments.load());
        segments.push(segment.clone());
        log.segments.store(Arc::new(segments));
        let mut unsynced = log.unsynced.lock();
        unsynced.note(&sealed, base_offset, sealed.len(), shared.monotonic_ms(), 0);
        unsynced.note(&segment, base_offset, 0, shared.monotonic_ms(), 0);
        unsynced.folder = true;
        unsynced.seal.push((sealed, footer));
        unsynced.snapshot = Some((base_offset, self.producers.encode()));
        drop(unsynced);
        shared.dirty.put_urgent(log);
        Ok(())
    }
}

fn not_written(log: &PartitionLog, error: DiskError) -> AppendError {
    if error.kind == DiskErrorKind::Full {
        log.shared.check_space();
        // Otherwise there is no room for another file, or a quota is used up, which the error tells.
        if log.shared.is_full() {
            return AppendError::DiskFull;
        }
    }
    tracing::warn!(topic = %log.topic, partition = log.id.partition, %error, "append failed, nothing of it is in the log");
    AppendError::NotWritten(error)
}

//! One partition's log: what it consists of, and the doors to its parts.
//!
//! Locks, none of which is held while another party waits for I/O of its own: the writer (taken with `try_lock` by appends; also
//! held by rolls, trims and the close), the list of segments (swapped as a whole), the marks, and what is left to sync.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};

use super::append::Writer;
use super::compaction::state::CompactionState;
use super::epoch_cache::EpochCache;
use super::errors::{AppendError, ReadError};
use super::flush::queue::QueuePlace;
use super::flush::unsynced::Unsynced;
use super::idle::Idleness;
use super::inbox::{Inbox, Ticket};
use super::marks::{LogOffsets, MarkWait, Marks};
use super::segment::{Segment, SegmentFacts};
use super::shared::Shared;
use crate::base::budget::Debit;
use crate::base::{LeaderEpoch, Offset, TopicPartition};
use crate::config::{FlushMode, TopicConfig};
use crate::env::DiskError;
use crate::env::disk::DiskResult;
use crate::record::ValidBatch;

/// What a log needs to be opened.
#[derive(Clone, Debug)]
pub struct LogSpec {
    /// Its identity.
    pub id: TopicPartition,
    /// Name of the topic; the folder is `<topic>-<partition>` in the data directory.
    pub topic: Arc<str>,
    /// Settings of the topic.
    pub config: TopicConfig,
    /// Leadership under which it is appended to.
    pub leader_epoch: LeaderEpoch,
    /// Records below it were trimmed.
    pub trim_offset: Offset,
    /// Whether it may use the disk reserve.
    pub internal: bool,
}

/// Segments and bytes of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogSize {
    /// Number of segments.
    pub segment_count: usize,
    /// Bytes of their log files.
    pub size_bytes: u64,
}

/// One partition's log.
pub struct PartitionLog {
    pub(super) id: TopicPartition,
    pub(super) topic: Arc<str>,
    pub(super) internal: bool,
    pub(super) folder: PathBuf,
    pub(super) shared: Arc<Shared>,
    pub(super) config: ArcSwap<TopicConfig>,
    pub(super) marks: Arc<Marks>,
    pub(super) inbox: Inbox,
    pub(super) writer: Mutex<Writer>,
    pub(super) segments: ArcSwap<Vec<Arc<Segment>>>,
    pub(super) unsynced: Mutex<Unsynced>,
    pub(super) epochs: RwLock<EpochCache>,
    pub(super) is_slow: AtomicBool,
    pub(super) place: QueuePlace,
    pub(super) idle: Idleness,
    pub(super) compaction: CompactionState,
    offline: Mutex<Option<String>>,
    is_refusing: AtomicBool,
    is_closed: AtomicBool,
}

/// The parts of a log that recovery found or made.
pub(super) struct Recovered {
    pub(super) folder: PathBuf,
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) writer: Writer,
    pub(super) epochs: EpochCache,
    pub(super) log_start: Offset,
}

impl PartitionLog {
    pub(super) fn new(shared: Arc<Shared>, spec: LogSpec, recovered: Recovered) -> Arc<Self> {
        let log_end = recovered.writer.tally.end_offset;
        let log_start = recovered.log_start.min(log_end);
        let is_ack = spec.internal || spec.config.flush == FlushMode::Ack;
        let active = recovered.writer.active.clone();
        let idle = Idleness::new(shared.monotonic_ms());
        Arc::new(Self {
            id: spec.id,
            topic: spec.topic,
            internal: spec.internal,
            folder: recovered.folder,
            shared,
            config: ArcSwap::from_pointee(spec.config),
            marks: Marks::new(log_start, log_end, is_ack),
            inbox: Inbox::default(),
            unsynced: Mutex::new(Unsynced::new(&active)),
            writer: Mutex::new(recovered.writer),
            segments: ArcSwap::from_pointee(recovered.segments),
            epochs: RwLock::new(recovered.epochs),
            is_slow: AtomicBool::new(false),
            place: QueuePlace::default(),
            idle,
            compaction: CompactionState::default(),
            offline: Mutex::new(None),
            is_refusing: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        })
    }

    /// Its identity.
    pub fn id(&self) -> TopicPartition {
        self.id
    }

    /// Name of the topic.
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// Puts a validated batch into the inbox; whoever gets the log writes what is there. Never waits for the lock of the log.
    ///
    /// Holds: batches appended one after the other by one caller are written in that order.
    pub fn append(self: &Arc<Self>, batch: ValidBatch) -> Ticket {
        self.append_debited(batch, None)
    }

    /// The same for a batch whose bytes were taken from a memory budget: the debit is held until the batch is answered, also when
    /// nobody waits for the ticket any more.
    pub fn append_debited(self: &Arc<Self>, batch: ValidBatch, debit: Option<Arc<Debit>>) -> Ticket {
        if let Some(error) = self.refusal() {
            return Ticket::resolved(Err(error));
        }
        self.idle.note_use();
        let ticket = self.inbox.put(batch, debit);
        let is_slow = self.is_slow.load(Ordering::Relaxed) || self.shared.is_stalled();
        if is_slow && self.shared.writer_queue.put(self) {
            return ticket;
        }
        self.drain();
        ticket
    }

    /// Why an append can't be taken now, if it can't.
    pub(super) fn refusal(&self) -> Option<AppendError> {
        if self.is_closed() || self.is_refusing.load(Ordering::Acquire) {
            return Some(AppendError::Closed);
        }
        self.offline_reason().map(AppendError::Offline)
    }

    /// Whether the log was deleted or is stopping.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// The marks now.
    pub fn offsets(&self) -> LogOffsets {
        self.marks.offsets()
    }

    /// Waits until the high watermark is at least `at_least`.
    pub fn wait_high_watermark(&self, at_least: Offset) -> MarkWait {
        self.marks.wait_high_watermark(at_least)
    }

    /// Leadership under which it is appended to.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.epochs.read().last_epoch()
    }

    /// The largest epoch not above `asked` that the log knows, and the offset at which it ends. Source: Kafka's OffsetForLeaderEpoch.
    pub fn end_of_epoch(&self, asked: LeaderEpoch) -> (LeaderEpoch, Offset) {
        let offsets = self.offsets();
        self.epochs.read().end_of(asked, offsets.log_start, offsets.log_end)
    }

    /// The settings.
    pub fn config(&self) -> Arc<TopicConfig> {
        self.config.load_full()
    }

    /// Gives it other settings. Going to `flush=ack` takes effect after one sync: the high watermark waits from then on.
    pub fn set_config(self: &Arc<Self>, config: TopicConfig) {
        let is_ack = self.internal || config.flush == FlushMode::Ack;
        self.config.store(Arc::new(config));
        self.marks.set_commit_is_flushed(is_ack);
        if is_ack && self.unsynced.lock().is_dirty() {
            self.shared.dirty.put_urgent(self);
        }
    }

    /// Bytes that are written and not yet synced.
    pub fn unsynced_bytes(&self) -> u64 {
        self.unsynced.lock().bytes
    }

    /// Segments and bytes.
    pub fn size(&self) -> LogSize {
        let segments = self.segments.load();
        let size_bytes = segments.iter().map(|segment| segment.len()).sum();
        LogSize { segment_count: segments.len(), size_bytes }
    }

    /// Facts of at most `max` segments, from the first one that begins at or after `from`, by offset.
    ///
    /// Cost: two short reads for each sealed segment that nobody uses. Blocks: it waits for whoever appends, once, and writes what
    /// came meanwhile. Errors: the log is closed or offline; the disk.
    pub fn segment_facts(self: &Arc<Self>, from: Offset, max: usize) -> Result<Vec<SegmentFacts>, ReadError> {
        match self.offline_reason() {
            _ if self.is_closed() => return Err(ReadError::Closed),
            Some(reason) => return Err(ReadError::Offline(reason)),
            None => {}
        }
        let writer = self.writer.lock();
        let segments = self.segments.load_full();
        let active = SegmentFacts::of_active(writer.active.base_offset(), &writer.tally);
        drop(writer);
        // Appends that came meanwhile found the log taken.
        self.drain();
        let asked = segments.iter().filter(|segment| segment.base_offset() >= from).take(max);
        let facts = |segment: &Arc<Segment>| match segment.base_offset() == active.base_offset {
            true => Ok(active),
            false => segment.facts(),
        };
        Ok(asked.map(facts).collect::<DiskResult<_>>()?)
    }

    /// Why the log is offline, if it is.
    pub fn offline_reason(&self) -> Option<String> {
        self.offline.lock().clone()
    }

    /// Takes the log offline after a failure that leaves unknown what is durable. Nothing is acknowledged past it.
    pub(super) fn fail(&self, error: &DiskError) {
        tracing::error!(topic = %self.topic, partition = self.id.partition, %error, "partition goes offline");
        self.offline.lock().get_or_insert_with(|| error.to_string());
        self.marks.end(AppendError::Unknown(error.clone()));
    }

    /// Refuses further appends, but lets those that are written be flushed and answered.
    pub(super) fn refuse_appends(self: &Arc<Self>) {
        self.is_refusing.store(true, Ordering::Release);
        self.drain_closed();
    }

    /// Refuses further appends and reads, and ends all waiting.
    /// Whoever held the writer before is done when this returns.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.marks.end(AppendError::Closed);
        self.drain_closed();
        self.compaction.wait_for_pass();
        self.segments.load().iter().for_each(|segment| segment.mark_removed());
    }

    /// Also notes the use.
    pub(super) fn check_readable(&self) -> Result<(), ReadError> {
        self.idle.note_use();
        if self.is_closed() {
            return Err(ReadError::Closed);
        }
        match self.offline_reason() {
            Some(reason) => Err(ReadError::Offline(reason)),
            None => Ok(()),
        }
    }
}

//! Reads one partition for one reader: checks its place, reads without holding the shard up, decodes if asked.

use std::sync::Arc;

use super::decode::{Room, decode};
use crate::base::budget::Debit;
use crate::base::{Error, ErrorKind, LeaderEpoch, Offset};
use crate::broker::Broker;
use crate::broker::errors::{Place, throttled};
use crate::broker::request::{Content, Cursor, Fetched, FetchedPartition, Form};
use crate::env::threads::off_shard;
use crate::log::{LogOffsets, LogSlice, ReadError, Wait};
use crate::replica::Partition;

/// A reader's place in an open partition.
pub struct Reader {
    topic: String,
    partition: Arc<Partition>,
    /// Where it reads next.
    pub offset: Offset,
    /// Upper bound in bytes for this partition.
    pub max_bytes: usize,
}

/// What one read may give.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Form and bytes to stay within.
    pub form: Form,
    /// Bytes to stay within, except for a first batch or record that is larger.
    pub room: Room,
    /// Whether something must come, if there is anything.
    pub at_least_one: bool,
}

/// What one read gave.
pub struct Read {
    /// The records with the marks.
    pub fetched: Fetched,
    /// What the records take in a message.
    pub size_bytes: usize,
    /// The memory that they take.
    pub debits: Vec<Debit>,
}

impl Reader {
    /// Finds the partition and checks that the cursor names what is in it.
    ///
    /// Errors: those of [`Broker::partition`]; DIVERGED.
    pub async fn open(broker: &Broker, cursor: Cursor) -> Result<Self, FetchedPartition> {
        let Cursor { topic, topic_id, partition: number, offset, leader_epoch, max_bytes } = cursor;
        let partition = match broker.partition(&topic, topic_id, number).await {
            Ok(partition) => partition,
            Err(error) => return Err(FetchedPartition { topic, partition: number, result: Err(error) }),
        };
        let reader = Self { topic, partition, offset, max_bytes: max_bytes.unwrap_or(usize::MAX) };
        match reader.partition.check_cursor(offset, leader_epoch) {
            Ok(()) => Ok(reader),
            Err(found) => {
                let error = reader.place(broker).diverged(found);
                Err(reader.answer(Err(error)))
            }
        }
    }

    /// The partition.
    pub fn partition(&self) -> &Arc<Partition> {
        &self.partition
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The partition for error messages.
    pub fn place(&self, broker: &Broker) -> Place<'_> {
        let stopping = *broker.stopping().borrow();
        Place { topic: &self.topic, partition: self.partition.id().partition, stopping }
    }

    /// Counts what a read gave, once it goes to the reader.
    pub fn note_given(&self, broker: &Broker, fetched: &Fetched, size_bytes: usize) {
        let records = fetched.content.record_count(self.offset, fetched.next_offset);
        self.partition.counters().note_out(records, size_bytes as u64);
        broker.counters().traffic.note_out(records, size_bytes as u64);
    }

    /// The answer for this partition.
    pub fn answer(&self, result: Result<Fetched, Error>) -> FetchedPartition {
        FetchedPartition { topic: self.topic.clone(), partition: self.partition.id().partition, result }
    }

    /// Reads from its offset on, which stays where it is.
    ///
    /// Cost: one copy of the bytes; leaves the shard only when they are not in memory.
    /// Errors: OFFSET_OUT_OF_RANGE, DAMAGED_RANGE, RECORD_TOO_LARGE, STORAGE_ERROR, THROTTLED.
    pub async fn read(&self, broker: &Broker, limit: Limit) -> Result<Read, Error> {
        let offsets = self.partition.offsets();
        let is_between = offsets.high_watermark < self.offset && self.offset <= offsets.log_end;
        let has_no_room = limit.room.asked_bytes == 0 && !limit.at_least_one;
        if is_between || has_no_room {
            return Ok(self.nothing(offsets, limit.form));
        }
        let max_bytes = limit.room.asked_bytes.max(1);
        let expected_bytes = if self.offset < offsets.high_watermark { max_bytes as u64 } else { 0 };
        let mut debit = broker.budget().try_debit(expected_bytes).ok_or_else(throttled)?;
        let place = self.place(broker);
        let slice =
            read_slice(&self.partition, self.offset, max_bytes).await.map_err(|e| place.read_error(e))?;
        // One batch comes whatever its size, and records may have come since the marks were looked at.
        debit.try_resize(slice.bytes.len() as u64).ok_or_else(throttled)?;
        let debits = if slice.bytes.is_empty() { Vec::new() } else { vec![debit] };
        match limit.form {
            Form::Records => self.give_records(broker, &slice, limit.room, (offsets, debits)),
            Form::Batch => self.give_batches(broker, slice, limit, (offsets, debits)),
        }
    }

    fn give_records(
        &self,
        broker: &Broker,
        slice: &LogSlice,
        room: Room,
        (offsets, mut debits): (LogOffsets, Vec<Debit>),
    ) -> Result<Read, Error> {
        let decoded = decode(slice, self.offset, room, broker.budget(), self.place(broker))?;
        debits.extend(decoded.debits);
        let place = (decoded.next_offset, decoded.leader_epoch);
        let fetched = self.fetched(offsets, place, Content::Records(decoded.records));
        Ok(Read { fetched, size_bytes: decoded.size_bytes, debits })
    }

    fn give_batches(
        &self,
        broker: &Broker,
        slice: LogSlice,
        limit: Limit,
        (offsets, debits): (LogOffsets, Vec<Debit>),
    ) -> Result<Read, Error> {
        let size_bytes = slice.bytes.len();
        if size_bytes > limit.room.asked_bytes && !limit.at_least_one {
            return Ok(self.nothing(offsets, limit.form));
        }
        if size_bytes > limit.room.hard_bytes {
            return Err(self.batch_too_large(broker, size_bytes, limit.room.hard_bytes));
        }
        let place = (slice.next_offset, slice.leader_epoch);
        Ok(Read { fetched: self.fetched(offsets, place, Content::Batch(slice.bytes)), size_bytes, debits })
    }

    /// Only a log that another program wrote holds such a batch.
    fn batch_too_large(&self, broker: &Broker, size_bytes: usize, limit_bytes: usize) -> Error {
        let (place, offset) = (self.place(broker), self.offset);
        let message = format!(
            "{place}: the batch at offset {offset} has {size_bytes} bytes, one message holds {limit_bytes}; read it \
             with form RECORDS"
        );
        Error::new(ErrorKind::RecordTooLarge, message)
            .with("topic", &self.topic)
            .with("partition", place.partition)
            .with("size", size_bytes)
            .with("limit", limit_bytes)
    }

    fn nothing(&self, offsets: LogOffsets, form: Form) -> Read {
        let content = match form {
            Form::Records => Content::Records(Vec::new()),
            Form::Batch => Content::Batch(bytes::Bytes::new()),
        };
        let fetched = self.fetched(offsets, (self.offset, None), content);
        Read { fetched, size_bytes: 0, debits: Vec::new() }
    }

    fn fetched(
        &self,
        offsets: LogOffsets,
        (next_offset, leader_epoch): (Offset, Option<LeaderEpoch>),
        content: Content,
    ) -> Fetched {
        Fetched {
            topic_id: self.partition.id().topic_id,
            offsets,
            next_offset,
            leader_epoch,
            timestamp_type: self.partition.config().timestamp_type,
            content,
        }
    }
}

/// Reads here if the bytes are in memory, else on a thread that may wait for the disk.
async fn read_slice(
    partition: &Arc<Partition>,
    from: Offset,
    max_bytes: usize,
) -> Result<LogSlice, ReadError> {
    match partition.read(from, max_bytes, Wait::Never) {
        Err(ReadError::WouldBlock) => {}
        done => return done,
    }
    let partition = partition.clone();
    off_shard(move || partition.read(from, max_bytes, Wait::Allowed)).await
}

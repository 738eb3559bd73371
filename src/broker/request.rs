//! Requests for records and their replies, in the words of no protocol: every door decodes into these.

use bytes::Bytes;

use crate::base::budget::Debit;
use crate::base::{Error, LeaderEpoch, Offset, Timestamp, TopicId};
use crate::config::TimestampType;
use crate::log::LogOffsets;
use crate::record::ProducerFields;

/// When a produce is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acks {
    /// Never.
    None,
    /// When the leader has it, as durable as the topic's flush setting says.
    Leader,
    /// When every in-sync replica has it.
    All,
}

/// One header of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Its name; names may come twice.
    pub key: String,
    /// `None`: no value, which differs from an empty one.
    pub value: Option<Bytes>,
}

/// A record in the structured form.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// Its offset; ignored when produced.
    pub offset: Offset,
    /// Its time in ms; `None` in a produce means the broker's clock.
    pub timestamp: Option<Timestamp>,
    /// `None`: no key, which differs from an empty one.
    pub key: Option<Bytes>,
    /// `None`: no value, which differs from an empty one.
    pub value: Option<Bytes>,
    /// Its headers, in order.
    pub headers: Vec<Header>,
}

/// What is to be written.
#[derive(Debug)]
pub enum Payload {
    /// Structured records: the broker encodes them, and spreads them when the item names no partition.
    Records {
        /// The records, in order.
        records: Vec<Record>,
        /// The idempotent producer, if any; then the item names a partition.
        producer: ProducerFields,
    },
    /// One encoded batch; its own producer fields count.
    Batch(Bytes),
    /// What the door could not read: answered with this error in its place.
    Malformed(Error),
}

/// One batch for one topic.
#[derive(Debug)]
pub struct ProduceItem {
    /// The topic's name.
    pub topic: String,
    /// When set, the topic of that name must have this id.
    pub topic_id: Option<TopicId>,
    /// When not set, the broker chooses.
    pub partition: Option<i32>,
    /// What is to be written.
    pub payload: Payload,
    /// Bytes of the item as received: what it costs of the memory budget.
    pub size_bytes: usize,
}

/// How safe an acknowledged record is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// In the operating system's memory.
    Written,
    /// On stable storage.
    Flushed,
}

/// Where a batch was stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Offset of the first record, −1 for a duplicate whose offset is no longer known.
    pub base_offset: Offset,
    /// Number of records.
    pub record_count: i32,
    /// Set when the topic uses append time.
    pub append_time: Option<Timestamp>,
    /// Leadership under which it was appended.
    pub leader_epoch: LeaderEpoch,
    /// How safe it is at the time of the answer.
    pub durability: Durability,
    /// Whether it had been stored before.
    pub duplicate: bool,
    /// First readable offset of the partition.
    pub log_start: Offset,
}

/// The answer for one item in one partition.
#[derive(Debug)]
pub struct ProduceResult {
    /// Index of the item in the request.
    pub item_index: usize,
    /// The topic's name.
    pub topic: String,
    /// Its id, once it was found.
    pub topic_id: Option<TopicId>,
    /// The partition, where one was named or chosen.
    pub partition: Option<i32>,
    /// Which records of the item these are, where the broker spread them.
    pub record_indexes: Vec<u32>,
    /// What became of them.
    pub result: Result<Stored, Error>,
}

/// In which form records are handed out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Decoded, from exactly the asked offset.
    Records,
    /// Whole stored batches; the first may begin below the asked offset.
    Batch,
}

/// A reader's place in one partition, with what guards it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// The topic's name.
    pub topic: String,
    /// When set, the topic of that name must have this id.
    pub topic_id: Option<TopicId>,
    /// The partition.
    pub partition: i32,
    /// Where to read.
    pub offset: Offset,
    /// Leader epoch of the record before `offset` as the reader saw it.
    pub leader_epoch: Option<LeaderEpoch>,
    /// Upper bound in bytes for this partition; `None`: the request's.
    pub max_bytes: Option<usize>,
}

/// A read of several partitions. A cursor that a door could not read is answered with its error.
#[derive(Debug)]
pub struct FetchRequest {
    /// Where to read.
    pub cursors: Vec<Result<Cursor, RefusedItem>>,
    /// Bytes to wait for.
    pub min_bytes: usize,
    /// Upper bound of the reply; at least one batch always comes.
    pub max_bytes: usize,
    /// How long to wait for `min_bytes`.
    pub max_wait_ms: i64,
    /// In which form.
    pub form: Form,
}

/// Following several partitions. A cursor that a door could not read is answered with its error.
#[derive(Debug)]
pub struct TailRequest {
    /// Where to begin.
    pub cursors: Vec<Result<Cursor, RefusedItem>>,
    /// In which form.
    pub form: Form,
    /// Upper bound of one answer; at least one batch or record always comes.
    pub max_bytes: usize,
}

/// An item of a read that can't be answered, with the place that it named.
#[derive(Debug)]
pub struct RefusedItem {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Why.
    pub error: Error,
}

/// What one partition gave.
#[derive(Debug)]
pub struct Fetched {
    /// The topic's id.
    pub topic_id: TopicId,
    /// The marks, taken before the read.
    pub offsets: LogOffsets,
    /// Where to read on.
    pub next_offset: Offset,
    /// Leader epoch of the last record given.
    pub leader_epoch: Option<LeaderEpoch>,
    /// Whose clock the timestamps tell.
    pub timestamp_type: TimestampType,
    /// The records.
    pub content: Content,
}

/// Records in the form that was asked for.
#[derive(Debug)]
pub enum Content {
    /// Decoded.
    Records(Vec<Record>),
    /// Whole stored batches, back to back.
    Batch(Bytes),
}

impl Content {
    /// How many records it holds, of those that take the offsets from `from` to `next`. Cost: none; of whole batches the offsets
    /// are counted, as gaps in them are rare.
    pub fn record_count(&self, from: Offset, next: Offset) -> u64 {
        match self {
            Self::Records(records) => records.len() as u64,
            Self::Batch(bytes) if bytes.is_empty() => 0,
            Self::Batch(_) => next.saturating_sub(from).max(0).unsigned_abs(),
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Records(records) => records.is_empty(),
            Self::Batch(bytes) => bytes.is_empty(),
        }
    }
}

/// The answer for one cursor.
#[derive(Debug)]
pub struct FetchedPartition {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// What it gave.
    pub result: Result<Fetched, Error>,
}

/// Answer to a [`FetchRequest`], in the order of its cursors. A partition that has nothing new may be left out where
/// its entry would make the reply too large.
#[derive(Debug)]
pub struct FetchReply {
    /// One for each cursor.
    pub partitions: Vec<FetchedPartition>,
    /// The memory that the records take; dropped when they are sent.
    pub debits: Vec<Debit>,
}

/// A word or time for an offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OffsetAt {
    /// The first readable record.
    Start,
    /// After the last readable record.
    End,
    /// The first record with the greatest timestamp.
    MaxTimestamp,
    /// The first record at or after this time in ms.
    Timestamp(Timestamp),
}

/// One question for an offset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffsetQuestion {
    /// The topic's name.
    pub topic: String,
    /// When set, the topic of that name must have this id.
    pub topic_id: Option<TopicId>,
    /// The partition.
    pub partition: i32,
    /// Which offset.
    pub at: OffsetAt,
}

/// An offset that was asked for; all absent when no record fits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FoundAt {
    /// The topic's id.
    pub topic_id: TopicId,
    /// The offset.
    pub offset: Option<Offset>,
    /// Timestamp of the record there, where it was looked up by time.
    pub timestamp: Option<Timestamp>,
    /// Leader epoch that goes with the offset in a cursor.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// The answer to one [`OffsetQuestion`].
#[derive(Debug)]
pub struct ListedOffset {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// What was found.
    pub result: Result<FoundAt, Error>,
}

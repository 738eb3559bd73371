//! The one table of public error kinds, and the public [`Error`].
//!
//! A kind tells the caller what to do; gRPC codes, HTTP statuses, Kafka codes, retries, exit codes and outcomes are
//! derived from this table and from nothing else. Layers below the broker have small enums of their own and are
//! converted where a request is answered.

use std::collections::BTreeMap;
use std::fmt;

/// When a request with this error may be sent again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// The same request will fail the same way.
    Never,
    /// The same request may succeed a little later.
    Later,
}

/// What is known of the records of a failed produce.
///
/// ```no_run
/// # async fn example(producer: weir::client::Producer) -> Result<(), weir::Error> {
/// use weir::Outcome;
///
/// let delivery = producer.send(weir::Record::to("orders").value("hi")).await?;
/// match delivery.await {
///     Ok(stored) => println!("stored at {}", stored.offset),
///     Err(error) if error.outcome == Outcome::NotWritten => println!("send it again: {error}"),
///     Err(error) => println!("it may be there or not: {error}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// They are in the log.
    Written,
    /// They are not in the log and never will be.
    NotWritten,
    /// They may or may not be in the log; an idempotent retry settles it.
    Unknown,
}

/// One row of the table.
#[derive(Debug)]
pub struct KindRow {
    /// The kind.
    pub kind: ErrorKind,
    /// Name on the wire and in messages, upper snake case.
    pub reason: &'static str,
    /// What happened, one sentence.
    pub what: &'static str,
    /// gRPC status code number.
    pub grpc: i32,
    /// HTTP status.
    pub http: u16,
    /// Kafka error code.
    pub kafka: i16,
    /// Whether a retry makes sense.
    pub retry: Retry,
    /// What is known of the records, where the request was a produce and no narrower word was given.
    pub outcome: Outcome,
    /// What the caller does next, one sentence.
    pub advice: &'static str,
}

macro_rules! kinds {
    ($($(#[doc = $what:literal])+ $name:ident $reason:literal $grpc:literal $http:literal $kafka:literal $retry:ident $outcome:ident $advice:literal;)*) => {
        /// Why a request was refused or failed; the same words in every protocol.
        ///
        /// ```
        /// use weir::ErrorKind;
        ///
        /// assert!(ErrorKind::DiskFull.is_retriable());
        /// assert_eq!(ErrorKind::from_reason("TOPIC_NOT_FOUND"), Some(ErrorKind::TopicNotFound));
        /// assert_eq!(ErrorKind::TopicNotFound.row().grpc, 5);
        /// ```
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[doc = $what])+ $name,)*
        }

        /// Every kind, in the order of `ErrorReason` in `proto/weir/v1/errors.proto`.
        pub const KINDS: &[KindRow] = &[
            $(KindRow {
                kind: ErrorKind::$name, reason: $reason, what: concat!($($what),+), grpc: $grpc, http: $http, kafka: $kafka,
                retry: Retry::$retry, outcome: Outcome::$outcome, advice: $advice,
            },)*
        ];
    };
}

kinds! {
    /// No topic of that name.
    TopicNotFound "TOPIC_NOT_FOUND" 5 404 3 Never NotWritten "create the topic, or correct the name";
    /// A topic of that name exists already.
    TopicExists "TOPIC_EXISTS" 6 409 36 Never NotWritten "use the existing topic, or choose another name";
    /// The topic of that name has another id: it was deleted and created again.
    UnknownTopicId "UNKNOWN_TOPIC_ID" 9 409 100 Never NotWritten "look the topic up again and start from its offsets";
    /// The topic has no partition of that number.
    PartitionNotFound "PARTITION_NOT_FOUND" 5 404 3 Never NotWritten "use a partition below the topic's partition count";
    /// The name breaks the rules for topic names.
    InvalidTopic "INVALID_TOPIC" 3 400 17 Never NotWritten "use 1 to 249 of the characters a-z A-Z 0-9 . _ -";
    /// The partition count is out of range.
    InvalidPartitions "INVALID_PARTITIONS" 3 400 37 Never NotWritten "give a count within the range";
    /// A config key is unknown or its value out of range.
    InvalidConfig "INVALID_CONFIG" 3 400 40 Never NotWritten "use a key and a value within its range: `weir topic config-keys` lists them";
    /// The request itself makes no sense.
    InvalidRequest "INVALID_REQUEST" 3 400 42 Never NotWritten "correct the named field";
    /// A record or batch breaks a rule of the format.
    InvalidRecord "INVALID_RECORD" 3 400 87 Never NotWritten "correct the producer: the batch can never be stored";
    /// A timestamp lies too far in the future.
    InvalidTimestamp "INVALID_TIMESTAMP" 3 400 32 Never NotWritten "correct the clock, or raise message.timestamp.after.max.ms";
    /// The checksum of a batch that a client sent does not fit its bytes.
    CorruptBatch "CORRUPT_BATCH" 3 400 2 Later NotWritten "send the batch again; it was changed on the way";
    /// A batch is larger than the topic's max.message.bytes.
    RecordTooLarge "RECORD_TOO_LARGE" 3 413 10 Never NotWritten "send smaller batches, or raise max.message.bytes";
    /// The codec is not one of none, gzip, snappy, lz4, zstd.
    UnsupportedCompression "UNSUPPORTED_COMPRESSION" 3 400 76 Never NotWritten "use one of the five codecs";
    /// The offset lies outside what the partition holds.
    OffsetOutOfRange "OFFSET_OUT_OF_RANGE" 11 416 1 Never NotWritten "seek to an offset within start and end";
    /// The reader's leader epoch names records that are no longer in the log.
    Diverged "DIVERGED" 10 409 74 Never NotWritten "seek to the given end offset; what was read above it is gone";
    /// Stored bytes of this range are damaged.
    DamagedRange "DAMAGED_RANGE" 15 500 2 Never NotWritten "seek past the range to go on; restore it from a copy if there is one";
    /// A batch does not follow the producer's last one.
    OutOfOrderSequence "OUT_OF_ORDER_SEQUENCE" 9 409 45 Never NotWritten "call InitProducer and start over";
    /// A newer epoch of this producer exists.
    ProducerFenced "PRODUCER_FENCED" 10 409 90 Never NotWritten "stop this producer: another one took its place";
    /// An earlier item of this partition failed on the same stream.
    PrecedingFailed "PRECEDING_FAILED" 9 409 45 Never NotWritten "settle the failed item, then send with resume set";
    /// The disk is full.
    DiskFull "DISK_FULL" 8 507 56 Later NotWritten "free space: delete or trim topics, or lower retention";
    /// The disk refused a read, a write or a sync.
    StorageError "STORAGE_ERROR" 14 503 56 Later Unknown "see the broker's log; a partition that is offline stays so until a restart";
    /// The memory budget is used up.
    Throttled "THROTTLED" 8 429 89 Later NotWritten "send more slowly";
    /// The object is the broker's own.
    PolicyViolation "POLICY_VIOLATION" 7 403 44 Never NotWritten "use a topic of your own";
    /// The broker is stopping.
    ShuttingDown "SHUTTING_DOWN" 14 503 7 Later NotWritten "try again when the broker is back";
    /// The broker can't be reached.
    Unavailable "UNAVAILABLE" 14 503 7 Later Unknown "check the address and that the broker runs";
    /// The deadline passed.
    TimedOut "TIMED_OUT" 4 504 7 Later Unknown "try again, or give more time";
    /// A bug in Weir.
    Internal "INTERNAL" 13 500 -1 Never Unknown "report it with the broker's log";
    /// No group of that name.
    GroupNotFound "GROUP_NOT_FOUND" 5 404 69 Never NotWritten "correct the name; a group exists once it has a member or an offset";
    /// The group has members.
    GroupNotEmpty "GROUP_NOT_EMPTY" 9 409 68 Never NotWritten "stop the members of the group first";
    /// The group has as many members as it may have.
    GroupFull "GROUP_FULL" 8 429 81 Never NotWritten "use fewer members, or another group";
    /// The name breaks the rules for names of groups and members.
    InvalidGroup "INVALID_GROUP" 3 400 24 Never NotWritten "use 1 to 249 bytes without control characters";
    /// The group has no such member any more.
    UnknownMember "UNKNOWN_MEMBER" 10 409 25 Never NotWritten "join the group again";
    /// Another took the member's place, or its epoch is an old one.
    MemberFenced "MEMBER_FENCED" 10 409 110 Never NotWritten "stop this member, or join the group again";
    /// The partition is not the member's, or not since it was read.
    PartitionNotOwned "PARTITION_NOT_OWNED" 9 409 113 Never NotWritten "leave the partition to its owner: it reads on from the last commit";
}

impl ErrorKind {
    /// The kind's row.
    pub fn row(self) -> &'static KindRow {
        &KINDS[self as usize]
    }

    /// The kind whose wire name this is.
    pub fn from_reason(reason: &str) -> Option<Self> {
        KINDS.iter().find(|row| row.reason == reason).map(|row| row.kind)
    }

    /// Whether the same request may succeed a little later.
    pub fn is_retriable(self) -> bool {
        self.row().retry == Retry::Later
    }
}

/// A refused or failed request: what a person and a program need to go on.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// use weir::ErrorKind;
///
/// if let Err(error) = client.admin().create_topic("orders").await {
///     match error.kind {
///         ErrorKind::TopicExists => println!("it is there"),
///         kind if kind.is_retriable() => println!("later, perhaps: {error}"),
///         _ => return Err(error),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Error {
    /// What to do about it.
    pub kind: ErrorKind,
    /// Names the object, the reason and the next step; lower case, no full stop.
    pub message: String,
    /// What is known of the records, for a produce.
    pub outcome: Outcome,
    /// Typed facts by name, such as `start` and `end` of an offset out of range.
    pub metadata: BTreeMap<&'static str, String>,
    /// The cause underneath.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this kind with the table's outcome.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            outcome: kind.row().outcome,
            metadata: BTreeMap::new(),
            source: None,
        }
    }

    /// Adds a typed fact.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.metadata.insert(name, value.to_string());
        self
    }

    /// Sets what is known of the records.
    #[must_use]
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.message, self.kind.row().reason)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_at_their_kind_and_names_round_trip() {
        for (index, row) in KINDS.iter().enumerate() {
            assert_eq!(row.kind as usize, index);
            assert_eq!(ErrorKind::from_reason(row.reason), Some(row.kind));
        }
        assert_eq!(ErrorKind::from_reason("NO_SUCH"), None);
    }

    #[test]
    fn display_ends_with_the_reason() {
        let error = Error::new(ErrorKind::TopicNotFound, "topic 'x' does not exist").with("topic", "x");
        assert_eq!(error.to_string(), "topic 'x' does not exist [TOPIC_NOT_FOUND]");
        assert_eq!(error.metadata["topic"], "x");
    }
}

//! What the layers below say, as public errors: the kind, the outcome, and words that name the partition.

use std::fmt;

use crate::base::{Error, ErrorKind, Outcome};
use crate::env::{DiskError, DiskErrorKind, OpKind};
use crate::log::{AppendError, ReadError};
use crate::record::{BatchError, BuildError, DecompressError, InvalidBatch};
use crate::replica::{Diverged, WrongTopicId};

/// The partition that an error is about.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Name of the topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// Whether the broker is stopping: a closed log then is no deleted topic.
    pub stopping: bool,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {} of topic '{}'", self.partition, self.topic)
    }
}

impl Place<'_> {
    fn error(self, kind: ErrorKind, what: impl fmt::Display) -> Error {
        self.error_with(kind, what, kind.row().advice)
    }

    fn error_with(self, kind: ErrorKind, what: impl fmt::Display, advice: &str) -> Error {
        Error::new(kind, format!("{self}: {what}; {advice}"))
            .with("topic", self.topic)
            .with("partition", self.partition)
    }

    /// The log is gone because the broker stops or because the topic was deleted.
    fn closed(self) -> Error {
        match self.stopping {
            true => shutting_down(),
            false => self.error(ErrorKind::TopicNotFound, "the topic was deleted"),
        }
    }

    /// It can't be used; `why` says what to do as well.
    pub fn offline(self, why: impl fmt::Display) -> Error {
        Error::new(ErrorKind::StorageError, format!("{self} is offline: {why}"))
            .outcome(Outcome::NotWritten)
            .with("topic", self.topic)
            .with("partition", self.partition)
    }

    /// It can't be used any more since a write or a sync failed.
    pub fn failed(self, why: &str) -> Error {
        self.offline(format_args!("{why}; {}", ErrorKind::StorageError.row().advice))
    }

    /// An append that failed. The outcome says what is known of its records.
    pub fn append_error(self, error: AppendError) -> Error {
        match error {
            AppendError::OutOfOrderSequence { producer_id, expected, got } => self
                .error(
                    ErrorKind::OutOfOrderSequence,
                    format_args!("producer {producer_id} sent sequence {got} where {expected} follows"),
                )
                .with("producer_id", producer_id)
                .with("expected", expected)
                .with("got", got),
            AppendError::ProducerFenced { producer_id, current_epoch } => self
                .error(
                    ErrorKind::ProducerFenced,
                    format_args!("producer {producer_id} has the newer epoch {current_epoch}"),
                )
                .with("producer_id", producer_id)
                .with("current_epoch", current_epoch),
            AppendError::DiskFull => {
                self.error(ErrorKind::DiskFull, "the free space is below disk.reserve.bytes")
            }
            AppendError::NotWritten(error) => self
                .disk_error(error, "nothing was written; cure that, and send again")
                .outcome(Outcome::NotWritten),
            AppendError::Unknown(error) => {
                let advice = ErrorKind::StorageError.row().advice;
                self.disk_error(error, advice).outcome(Outcome::Unknown)
            }
            AppendError::Offline(why) => self.failed(&why),
            AppendError::Closed => self.closed(),
        }
    }

    /// A written batch whose commit will not be seen: whatever went wrong, it may be in the log.
    pub fn commit_error(self, error: AppendError) -> Error {
        self.append_error(error).outcome(Outcome::Unknown)
    }

    /// A disk that refused something; `advice` is for everything but a full one.
    fn disk_error(self, error: DiskError, advice: &str) -> Error {
        let makes_a_name = matches!(error.operation, OpKind::Open | OpKind::Create | OpKind::CreateDir);
        let failed = match error.kind {
            // WHY in words: such a file system may show much free space.
            DiskErrorKind::Full if makes_a_name => self.error(
                ErrorKind::DiskFull,
                format_args!("the file system has no room for another file, which a delete of a topic does not need: {error}"),
            ),
            DiskErrorKind::Full => self.error(ErrorKind::DiskFull, &error),
            _ => {
                let message = format!("{self}: {error}; {advice}");
                let failed = Error::new(ErrorKind::StorageError, message);
                failed.with("topic", self.topic).with("partition", self.partition)
            }
        };
        failed.caused_by(error)
    }

    /// A read that failed.
    pub fn read_error(self, error: ReadError) -> Error {
        self.read_error_for(error, ErrorKind::OffsetOutOfRange.row().advice)
    }

    /// The same, with what to do about an offset that is out of range.
    pub fn read_error_for(self, error: ReadError, advice: &str) -> Error {
        match error {
            ReadError::OutOfRange { offset, start, end } => self
                .error_with(
                    ErrorKind::OffsetOutOfRange,
                    format_args!("offset {offset} was asked for, it holds offsets {start} to {end}"),
                    advice,
                )
                .with("offset", offset)
                .with("start", start)
                .with("end", end)
                .with("lost", start.saturating_sub(offset).max(0)),
            ReadError::Damaged { first, end } => self.damaged(first, end),
            ReadError::WouldBlock => {
                self.error(ErrorKind::Internal, "a read that may wait said that it would have to")
            }
            ReadError::Disk(error) => self.disk_error(error, "cure that, and read again"),
            ReadError::Offline(why) => self.failed(&why),
            ReadError::Closed => self.closed(),
        }
    }

    /// Stored bytes of offsets `first` to `end` (exclusive) can't be read.
    pub fn damaged(self, first: i64, end: i64) -> Error {
        self.damaged_for(first, end, ErrorKind::DamagedRange.row().advice)
    }

    /// The same, with what a reader of this log is to do.
    pub fn damaged_for(self, first: i64, end: i64, advice: &str) -> Error {
        let last = end.saturating_sub(1);
        let what = format_args!("the stored bytes of offsets {first} to {last} are damaged");
        self.error_with(ErrorKind::DamagedRange, what, advice).with("first", first).with("end", end)
    }

    /// A reader whose place is not in this log.
    pub fn diverged(self, found: Diverged) -> Error {
        let Diverged { epoch, end } = found;
        self.error(ErrorKind::Diverged, format_args!("leader epoch {epoch} ends at offset {end}"))
            .with("epoch", epoch)
            .with("end", end)
    }

    /// A topic of the same name took the place of the one that was asked for.
    pub fn wrong_topic_id(self, found: WrongTopicId) -> Error {
        self.error(ErrorKind::UnknownTopicId, format_args!("the topic now has id {}", found.current))
            .with("topic_id", found.current)
    }

    /// A batch that may not be stored.
    pub fn invalid_batch(self, error: InvalidBatch) -> Error {
        let refused = self.error(kind_of(&error), error);
        match error {
            InvalidBatch::TooLarge { bytes, max_bytes } => {
                refused.with("size", bytes).with("limit", max_bytes)
            }
            InvalidBatch::Batch(BatchError::Decompress(DecompressError::TooLarge { max_bytes, .. })) => {
                refused.with("limit", max_bytes)
            }
            _ => refused,
        }
    }
}

fn kind_of(error: &InvalidBatch) -> ErrorKind {
    match error {
        InvalidBatch::TooLarge { .. } => ErrorKind::RecordTooLarge,
        InvalidBatch::NegativeTimestamp { .. } | InvalidBatch::LateTimestamp { .. } => {
            ErrorKind::InvalidTimestamp
        }
        InvalidBatch::Batch(error) => kind_of_batch(error),
        InvalidBatch::Build(BuildError::TooLarge { .. }) => ErrorKind::RecordTooLarge,
        InvalidBatch::Build(BuildError::Timestamp { .. }) => ErrorKind::InvalidTimestamp,
        _ => ErrorKind::InvalidRecord,
    }
}

/// Bytes that do not hang together were changed on the way, and may be sent again; what breaks a rule may not.
fn kind_of_batch(error: &BatchError) -> ErrorKind {
    match error {
        BatchError::Crc { .. } | BatchError::Short { .. } | BatchError::Length { .. } => {
            ErrorKind::CorruptBatch
        }
        BatchError::Codec { .. } => ErrorKind::UnsupportedCompression,
        BatchError::Decompress(DecompressError::TooLarge { .. }) => ErrorKind::RecordTooLarge,
        _ => ErrorKind::InvalidRecord,
    }
}

/// The broker is stopping.
pub fn shutting_down() -> Error {
    Error::new(ErrorKind::ShuttingDown, "the broker is stopping; try again when it is back")
}

/// The memory budget has no room for the request.
pub fn throttled() -> Error {
    Error::new(ErrorKind::Throttled, "the memory budget of the broker is used up; send more slowly")
}

/// The topic is the broker's own.
pub fn internal_topic(topic: &str) -> Error {
    let kind = ErrorKind::PolicyViolation;
    let message = format!("topic '{topic}' is internal: only the broker writes to it; {}", kind.row().advice);
    Error::new(kind, message).with("topic", topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place { topic: "orders", partition: 3, stopping: false };

    fn disk(kind: DiskErrorKind) -> DiskError {
        DiskError { kind, operation: OpKind::Write, path: "x".into(), detail: "no".to_owned() }
    }

    #[test]
    fn appends_say_what_is_known_of_the_records() {
        let stopping = Place { stopping: true, ..PLACE };
        let cases = [
            (PLACE.append_error(AppendError::DiskFull), ErrorKind::DiskFull, Outcome::NotWritten),
            (
                PLACE.append_error(AppendError::NotWritten(disk(DiskErrorKind::Full))),
                ErrorKind::DiskFull,
                Outcome::NotWritten,
            ),
            (
                PLACE.append_error(AppendError::Unknown(disk(DiskErrorKind::Io))),
                ErrorKind::StorageError,
                Outcome::Unknown,
            ),
            (
                PLACE.append_error(AppendError::Offline("a sync failed".to_owned())),
                ErrorKind::StorageError,
                Outcome::NotWritten,
            ),
            (PLACE.append_error(AppendError::Closed), ErrorKind::TopicNotFound, Outcome::NotWritten),
            (stopping.append_error(AppendError::Closed), ErrorKind::ShuttingDown, Outcome::NotWritten),
            (stopping.commit_error(AppendError::Closed), ErrorKind::ShuttingDown, Outcome::Unknown),
        ];
        for (error, kind, outcome) in cases {
            assert_eq!((error.kind, error.outcome), (kind, outcome), "{error}");
        }
    }

    #[test]
    fn only_a_partition_that_is_offline_is_said_to_be() {
        let message = |error| PLACE.append_error(error).message;
        let advice = ErrorKind::StorageError.row().advice;
        assert!(message(AppendError::Unknown(disk(DiskErrorKind::Io))).ends_with(advice));
        let expected =
            "partition 3 of topic 'orders': write x: no; nothing was written; cure that, and send again";
        assert_eq!(message(AppendError::NotWritten(disk(DiskErrorKind::Io))), expected);
        let read = PLACE.read_error(ReadError::Disk(disk(DiskErrorKind::Io))).message;
        assert!(!read.contains("offline"), "{read}");
    }

    #[test]
    fn a_file_system_without_room_for_a_name_is_told_from_one_without_free_bytes() {
        let message = |error| PLACE.append_error(error).message;
        let no_name = DiskError { operation: OpKind::Open, ..disk(DiskErrorKind::Full) };
        let told = message(AppendError::NotWritten(no_name));
        assert!(told.contains("the file system has no room for another file, which a delete of a topic does not need: open x: no; "), "{told}");
        let told = message(AppendError::NotWritten(disk(DiskErrorKind::Full)));
        assert!(told.contains(": write x: no; free space"), "{told}");
    }

    #[test]
    fn errors_carry_the_facts_that_a_reader_goes_on_with() {
        let error = PLACE.read_error(ReadError::OutOfRange { offset: 77, start: 5, end: 9 });
        assert_eq!(error.metadata["offset"], "77");
        assert!(error.message.contains("offset 77"), "{error}");
        assert_eq!((&*error.metadata["start"], &*error.metadata["end"]), ("5", "9"));
        let error = PLACE.diverged(Diverged { epoch: 2, end: 7 });
        assert_eq!((&*error.metadata["epoch"], &*error.metadata["end"]), ("2", "7"));
        assert!(error.message.contains("partition 3 of topic 'orders'"), "{error}");
    }

    #[test]
    fn a_changed_batch_may_be_sent_again_and_a_wrong_one_not() {
        let crc = InvalidBatch::Batch(BatchError::Crc { stored: 1, computed: 2 });
        assert!(PLACE.invalid_batch(crc).kind.is_retriable());
        let wrong = InvalidBatch::Batch(BatchError::UnreadBytes { bytes: 1 });
        assert_eq!(PLACE.invalid_batch(wrong).kind, ErrorKind::InvalidRecord);
        let large = PLACE.invalid_batch(InvalidBatch::TooLarge { bytes: 9, max_bytes: 8 });
        assert_eq!((&*large.metadata["size"], &*large.metadata["limit"]), ("9", "8"));
    }
}

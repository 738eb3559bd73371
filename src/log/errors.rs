//! What can go wrong with a log, one enum for each operation.

use std::fmt;
use std::path::PathBuf;

use super::segment::offset_index::LookupError;
use crate::base::Offset;
use crate::env::DiskError;

/// Why an append was refused or failed.
#[derive(Clone, Debug)]
pub enum AppendError {
    /// The batch does not follow the producer's last one; not written.
    OutOfOrderSequence {
        /// The producer.
        producer_id: i64,
        /// Sequence that would have followed.
        expected: i32,
        /// Sequence of the batch.
        got: i32,
    },
    /// A newer epoch of the producer is known; not written.
    ProducerFenced {
        /// The producer.
        producer_id: i64,
        /// Its newest epoch.
        current_epoch: i16,
    },
    /// No space; not written.
    DiskFull,
    /// The write failed and was taken back; not written.
    NotWritten(DiskError),
    /// The write or its sync failed and the log is offline; outcome unknown.
    Unknown(DiskError),
    /// The log went offline before; not written.
    Offline(String),
    /// The log was deleted or is stopping; not written.
    Closed,
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfOrderSequence { producer_id, expected, got } => {
                write!(f, "producer {producer_id} sent sequence {got} where {expected} was due")
            }
            Self::ProducerFenced { producer_id, current_epoch } => {
                write!(f, "producer {producer_id} has a newer epoch, {current_epoch}")
            }
            Self::DiskFull => write!(f, "the disk is full"),
            Self::NotWritten(error) | Self::Unknown(error) => error.fmt(f),
            Self::Offline(reason) => write!(f, "the partition is offline: {reason}"),
            Self::Closed => write!(f, "the partition is closed"),
        }
    }
}

impl std::error::Error for AppendError {}

/// Why a read was refused or failed.
#[derive(Clone, Debug)]
pub enum ReadError {
    /// The offset lies outside the log.
    OutOfRange {
        /// The offset that was asked for.
        offset: Offset,
        /// First readable offset.
        start: Offset,
        /// One past the last readable offset.
        end: Offset,
    },
    /// Stored bytes of these offsets are damaged.
    Damaged {
        /// First damaged offset.
        first: Offset,
        /// One past the last damaged offset.
        end: Offset,
    },
    /// The bytes are not in memory and waiting was not allowed.
    WouldBlock,
    /// The disk failed.
    Disk(DiskError),
    /// The log is offline since an earlier failure.
    Offline(String),
    /// The log is closed.
    Closed,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { offset, start, end } => {
                write!(f, "offset {offset} is outside {start} to {end}")
            }
            Self::Damaged { first, end } => write!(f, "offsets {first} to {} are damaged", end - 1),
            Self::WouldBlock => write!(f, "the bytes are not in memory"),
            Self::Disk(error) => error.fmt(f),
            Self::Offline(reason) => write!(f, "the partition is offline: {reason}"),
            Self::Closed => write!(f, "the partition is closed"),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<DiskError> for ReadError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl From<LookupError> for ReadError {
    fn from(error: LookupError) -> Self {
        match error {
            // Who may wait makes the index anew.
            LookupError::WouldBlock | LookupError::Broken => Self::WouldBlock,
            LookupError::Disk(error) => Self::Disk(error),
        }
    }
}

/// Why a log or the store could not be opened.
#[derive(Clone, Debug)]
pub enum OpenError {
    /// The disk failed.
    Disk(DiskError),
    /// A folder that must exist does not.
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// A file is not what it must be.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::Missing { path } => write!(f, "{} is missing", path.display()),
            Self::Damaged { path, what } => write!(f, "{} is damaged: {what}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<DiskError> for OpenError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

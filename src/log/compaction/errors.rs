//! Why a pass over a log was given up. Whatever it was, the log is as it was before the group of segments that the pass was at.

use std::fmt;

use crate::base::Offset;
use crate::env::DiskError;
use crate::log::errors::ReadError;
use crate::record::BatchError;

/// Why a pass was given up.
#[derive(Clone, Debug)]
pub(super) enum PassError {
    /// The broker stops, or the log was closed or taken offline.
    Stopped,
    /// A segment can't be read.
    Read(ReadError),
    /// A stored batch can't be unpacked.
    Batch {
        /// Its first offset.
        base_offset: Offset,
        /// What is wrong with it.
        error: BatchError,
    },
    /// A new file can't be written or made durable.
    Disk(DiskError),
    /// A segment would be longer than its index can say.
    TooLong,
    /// The new segment would use up what is kept free for trims and deletes.
    NoRoom,
}

impl fmt::Display for PassError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => write!(f, "it was stopped"),
            Self::Read(error) => error.fmt(f),
            Self::Batch { base_offset, error } => write!(f, "the batch at offset {base_offset}: {error}"),
            Self::Disk(error) => error.fmt(f),
            Self::NoRoom => write!(f, "there is too little free space for another segment"),
            Self::TooLong => write!(f, "a segment would be longer than a segment can be"),
        }
    }
}

impl std::error::Error for PassError {}

impl From<ReadError> for PassError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Closed | ReadError::Offline(_) => Self::Stopped,
            other => Self::Read(other),
        }
    }
}

impl From<DiskError> for PassError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

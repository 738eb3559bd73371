//! Committed offsets.

use std::sync::Arc;

use super::errors::PositionError;
use crate::base::limits::OFFSET_METADATA_BYTES_MAX;
use crate::base::{LeaderEpoch, Offset, Timestamp, TopicId, TopicPartition};

/// An offset that is to be committed: the next record to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Position {
    /// The topic as the committer knows it.
    pub topic_id: TopicId,
    /// Its name, under which the offset is stored.
    pub topic: Arc<str>,
    /// Index of the partition.
    pub partition: i32,
    /// Next offset to read.
    pub offset: Offset,
    /// Epoch of the last record that was read, −1 where it is not known.
    pub leader_epoch: LeaderEpoch,
    /// Text that the client keeps beside it.
    pub metadata: Arc<str>,
}

impl Position {
    /// The log that it is a place in.
    pub fn id(&self) -> TopicPartition {
        TopicPartition { topic_id: self.topic_id, partition: self.partition }
    }

    /// What its record is about.
    pub fn name(&self) -> PartitionName {
        PartitionName { topic: self.topic.clone(), partition: self.partition }
    }
}

/// A partition by the name of its topic: what a committed offset is stored under.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartitionName {
    /// Name of the topic.
    pub topic: Arc<str>,
    /// Index of the partition.
    pub partition: i32,
}

/// A committed offset as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Committed {
    /// Where the group stands.
    pub position: Position,
    /// When it was committed, in ms.
    pub committed: Timestamp,
}

/// Whether a text may be kept beside an offset.
///
/// Errors: it is too long.
pub fn check_metadata(text: &str) -> Result<(), PositionError> {
    match text.len() {
        0..=OFFSET_METADATA_BYTES_MAX => Ok(()),
        bytes => Err(PositionError::Metadata { bytes }),
    }
}

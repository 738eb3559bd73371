//! What a member says on its stream and what it is told, in the broker's words.

use std::sync::Arc;

use super::offsets::OffsetCommit;
use crate::base::{Error, MemberEpoch, Offset, TopicPartition};
use crate::broker::fetch::TailAnswer;
use crate::broker::request::Form;

/// What happens where the offset of a group is not in its partition any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OutOfRange {
    /// The member is told and reads nothing there until it seeks.
    #[default]
    Error,
    /// It is told and goes on at the first record.
    Earliest,
    /// It is told and goes on behind the last record.
    Latest,
}

/// How a member wants to be served.
#[derive(Clone, Copy, Debug)]
pub struct SessionOptions {
    /// Form of records.
    pub form: Form,
    /// Upper bound of one event with records; at least one batch or record always comes.
    pub max_bytes: usize,
    /// Bytes of records that may come before more are asked for; `None`: as the connection takes them.
    pub credit_bytes: Option<i64>,
    /// What happens where the group's offset is gone.
    pub out_of_range: OutOfRange,
}

/// A partition that the member owns from here on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AssignedPartition {
    /// Name of its topic.
    pub topic: Arc<str>,
    /// Its identity.
    pub id: TopicPartition,
    /// The epoch since which the member owns it.
    pub ownership_epoch: MemberEpoch,
    /// Where reading begins.
    pub offset: Offset,
    /// What the group has committed there, if anything.
    pub committed: Option<Offset>,
}

/// A partition that the member is to give up, or has lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RevokedPartition {
    /// Name of its topic.
    pub topic: Arc<str>,
    /// Its identity.
    pub id: TopicPartition,
}

/// What one commit came to.
#[derive(Debug)]
pub struct CommitResult {
    /// Of the commit.
    pub sequence: i64,
    /// For each of its offsets, in their order.
    pub partitions: Vec<(String, i32, Result<(), Error>)>,
    /// What the commit took in memory.
    pub size_bytes: u64,
}

/// What a member is told.
#[derive(Debug)]
pub enum SessionEvent {
    /// It owns more.
    Assigned(Vec<AssignedPartition>),
    /// It is to finish, commit and give up these, within so many ms; nothing of them is sent any more.
    Revoke(Vec<RevokedPartition>, i32),
    /// It has lost these already: nothing of them can be committed.
    Lost(Vec<RevokedPartition>),
    /// Records of one partition, or its error, with the sequence of the newest seek of it.
    Records(Box<TailAnswer>, i64),
    /// The end of a commit.
    Committed(CommitResult),
}

/// Offsets that a member wants to be kept.
#[derive(Clone, Debug)]
pub struct CommitFrame {
    /// Comes back with the result.
    pub sequence: i64,
    /// The offsets, each with the epoch since which the member owned the partition when it read, if it says so.
    pub offsets: Vec<(OffsetCommit, Option<MemberEpoch>)>,
}

impl CommitFrame {
    /// About what it takes in memory.
    pub fn size_bytes(&self) -> u64 {
        let text = |commit: &OffsetCommit| commit.topic.len() + commit.metadata.len();
        let texts: usize = self.offsets.iter().map(|(commit, _)| text(commit)).sum();
        (size_of::<Self>() + self.offsets.len() * size_of::<(OffsetCommit, Option<MemberEpoch>)>() + texts)
            as u64
    }
}

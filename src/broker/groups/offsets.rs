//! How far groups got: committed, asked for, set, forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::errors::{delete_error, position_error};
use crate::base::offset::NO_EPOCH;
use crate::base::{Error, GroupId, LeaderEpoch, MemberEpoch, MemberId, Offset, TopicId, TopicPartition};
use crate::broker::Broker;
use crate::broker::lookup::find_partition;
use crate::cluster::Topic;
use crate::coordinator::group::commands::{Commit, DeleteOffsets, GetOffsets};
use crate::coordinator::group::position::{Committed, PartitionName, Position};
use crate::coordinator::group::{GroupCommand, GroupReply};

/// A place in one partition that is to be committed.
#[derive(Clone, Debug)]
pub struct OffsetCommit {
    /// The topic's name.
    pub topic: String,
    /// When set, the topic of that name must have this id.
    pub topic_id: Option<TopicId>,
    /// The partition.
    pub partition: i32,
    /// Next offset to read.
    pub offset: Offset,
    /// Leader epoch of the record before it.
    pub leader_epoch: Option<LeaderEpoch>,
    /// For the user.
    pub metadata: String,
}

impl OffsetCommit {
    /// As it is kept, of the partition that it was found to name.
    pub(super) fn position(&self, topic: &Topic, id: TopicPartition) -> Position {
        Position {
            topic_id: id.topic_id,
            topic: topic.name.clone(),
            partition: id.partition,
            offset: self.offset,
            leader_epoch: self.leader_epoch.unwrap_or(NO_EPOCH),
            metadata: self.metadata.as_str().into(),
        }
    }
}

impl Broker {
    /// Commits offsets, each by itself, for a member or, while the group has none, for whoever asks.
    ///
    /// Holds after: what is answered with `Ok` is durable. Errors: of all, UNKNOWN_MEMBER, MEMBER_FENCED, GROUP_NOT_EMPTY and those of the
    /// offsets topic's log; of one, TOPIC_NOT_FOUND, UNKNOWN_TOPIC_ID, PARTITION_NOT_FOUND, PARTITION_NOT_OWNED, INVALID_REQUEST.
    pub async fn commit_offsets(
        self: &Arc<Self>,
        group: &GroupId,
        member: Option<(MemberId, MemberEpoch)>,
        offsets: Vec<OffsetCommit>,
    ) -> Result<Vec<Result<(), Error>>, Error> {
        let image = self.image();
        let mut results = Vec::with_capacity(offsets.len());
        let mut positions = Vec::new();
        for commit in &offsets {
            let found = find_partition(&image, &commit.topic, commit.topic_id, commit.partition);
            results.push(found.map(|(topic, id)| positions.push(commit.position(topic, id))));
        }
        let commit = Commit { group: group.clone(), member, positions };
        let GroupReply::Committed(committed) = self.run_for(group, GroupCommand::Commit(commit)).await?
        else {
            unreachable!("a commit is answered position by position")
        };
        let mut committed = committed.into_iter();
        for (result, asked) in results.iter_mut().zip(&offsets).filter(|(result, _)| result.is_ok()) {
            let done = committed.next().expect("one for each position");
            *result = done.map_err(|error| position_error(&asked.topic, asked.partition, &error));
        }
        Ok(results)
    }

    /// Where a group stands, in some partitions or in all; those without an offset are left out.
    ///
    /// Errors: those of the offsets topic's log.
    pub async fn committed_offsets(
        self: &Arc<Self>,
        group: &GroupId,
        partitions: Option<BTreeSet<TopicPartition>>,
    ) -> Result<Vec<Committed>, Error> {
        let get = GetOffsets { group: group.clone(), partitions, topics: self.topics_view() };
        match self.run_for(group, GroupCommand::GetOffsets(get)).await? {
            GroupReply::Offsets(offsets) => Ok(offsets),
            other => unreachable!("offsets are answered by offsets, not by {other:?}"),
        }
    }

    /// Forgets where a group stands in these partitions.
    ///
    /// Errors: of all, GROUP_NOT_FOUND; of one, GROUP_NOT_EMPTY where members are subscribed, OFFSET_OUT_OF_RANGE where there is none.
    pub async fn delete_offsets(
        self: &Arc<Self>,
        group: &GroupId,
        partitions: Vec<(String, i32)>,
    ) -> Result<Vec<Result<(), Error>>, Error> {
        let names = partitions
            .iter()
            .map(|(topic, partition)| PartitionName { topic: topic.as_str().into(), partition: *partition });
        let delete = DeleteOffsets { group: group.clone(), partitions: names.collect() };
        let GroupReply::Deleted(deleted) = self.run_for(group, GroupCommand::DeleteOffsets(delete)).await?
        else {
            unreachable!("a delete is answered partition by partition")
        };
        let results = deleted.into_iter().zip(&partitions).map(|(result, (topic, partition))| {
            result.map_err(|error| delete_error(topic, *partition, error))
        });
        Ok(results.collect())
    }
}

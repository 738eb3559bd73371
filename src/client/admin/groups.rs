//! Administers consumer groups.

use super::super::convert::read_topic_id;
use super::super::fault::{from_item, malformed};
use super::super::reply::has_next;
use super::Admin;
use crate::base::{Error, LeaderEpoch, Offset, Timestamp, TopicId};
use crate::proto::grpc;

/// Groups asked for at a time.
const PAGE_GROUPS: i32 = 1_000;

/// What a group is busy with.
///
/// ```
/// use weir::client::GroupState;
///
/// assert_eq!(GroupState::Stable.to_string(), "Stable");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum GroupState {
    /// It has no members.
    Empty,
    /// Who reads what is being computed.
    Assigning,
    /// Partitions are on their way from one member to another.
    Reconciling,
    /// Everybody has what is theirs.
    Stable,
}

impl std::fmt::Display for GroupState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        })
    }
}

/// A group in a list.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// for group in client.admin().list_groups().await?.groups {
///     println!("{}: {}, {} members", group.name, group.state, group.member_count);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupListing {
    /// Its name.
    pub name: String,
    /// What it is busy with.
    pub state: GroupState,
    /// Its members.
    pub member_count: i32,
    /// Partition of `__consumer_offsets` that holds it.
    pub coordinator_partition: i32,
}

/// The groups of a broker, as far as they can be read.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// let listed = client.admin().list_groups().await?;
/// println!("{} groups", listed.groups.len());
/// for error in listed.errors {
///     eprintln!("some are missing: {error}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Default, Debug)]
pub struct ListedGroups {
    /// The groups by name.
    pub groups: Vec<GroupListing>,
    /// Of each partition of `__consumer_offsets` that can't be used, why: the groups that it holds are missing.
    pub errors: Vec<Error>,
}

/// A group with its members.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// let group = client.admin().describe_group("billing").await?;
/// for member in &group.members {
///     println!("{} reads {} partitions", member.member_id, member.assigned.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its name and state.
    pub listing: GroupListing,
    /// Rises with each change of members or topics.
    pub epoch: i32,
    /// Who decides who reads what.
    pub assignor: String,
    /// By member id.
    pub members: Vec<GroupMember>,
}

/// A member of a group.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// let group = client.admin().describe_group("billing").await?;
/// let moving = group.members.iter().filter(|member| !member.revoked.is_empty());
/// println!("{} members are giving something up", moving.count());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupMember {
    /// Its identity for this stay.
    pub member_id: String,
    /// The name that it keeps over restarts; empty for none.
    pub instance_id: String,
    /// What the program calls itself; empty for none.
    pub client_id: String,
    /// Where it connects from; empty where that is not known.
    pub host: String,
    /// Epoch of the assignment that it has.
    pub member_epoch: i32,
    /// Topics that it asked for by name.
    pub topics: Vec<String>,
    /// Those that it asked for by pattern; empty for none.
    pub pattern: String,
    /// Topic and partition of what it reads.
    pub assigned: Vec<(String, i32)>,
    /// Of what it is to give up.
    pub revoked: Vec<(String, i32)>,
}

/// Where a group stands in one partition.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// for found in client.admin().group_offsets("billing").await? {
///     println!("{}/{} at {}", found.topic, found.partition, found.offset);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupOffset {
    /// Name of the topic.
    pub topic: String,
    /// Its identity.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: i32,
    /// Everything below it is done.
    pub offset: Offset,
    /// Leadership under which the record before it was appended, where that is known.
    pub leader_epoch: Option<LeaderEpoch>,
    /// What the user keeps beside it.
    pub metadata: String,
    /// When it was committed, in ms since 1970.
    pub commit_time: Timestamp,
}

/// What a change of a group's offsets came to in one partition.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// for changed in client.admin().reset_offsets("billing", [("orders", 0, 100)]).await? {
///     match changed.result {
///         Ok(()) => println!("{}/{} is set", changed.topic, changed.partition),
///         Err(error) => println!("{error}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ChangedOffset {
    /// Name of the topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Why it was not changed, if so.
    pub result: Result<(), Error>,
}

impl Admin {
    /// All groups by name, and why some are missing, if so.
    pub async fn list_groups(&self) -> Result<ListedGroups, Error> {
        let mut request = grpc::ListGroupsRequest { page_size: PAGE_GROUPS, ..Default::default() };
        let mut listed = ListedGroups::default();
        loop {
            let reply = self.connection.list_groups(request.clone()).await?;
            listed.groups.extend(reply.groups.into_iter().map(read_listing));
            for error in reply.errors.into_iter().map(from_item) {
                // Every page tells them.
                if listed.errors.iter().all(|known| known.message != error.message) {
                    listed.errors.push(error);
                }
            }
            if !has_next(&mut request.page_token, reply.next_page_token) {
                return Ok(listed);
            }
        }
    }

    /// A group with its members.
    ///
    /// Errors: GROUP_NOT_FOUND, INVALID_GROUP.
    pub async fn describe_group(&self, name: &str) -> Result<Group, Error> {
        let reply = self.connection.get_group(grpc::GetGroupRequest { group: name.to_owned() }).await?;
        let summary = reply.summary.ok_or_else(|| malformed("the group is missing"))?;
        let mut members: Vec<GroupMember> = reply.members.into_iter().map(read_member).collect();
        members.sort_by(|a, b| a.member_id.cmp(&b.member_id));
        let (epoch, assignor) = (reply.group_epoch, reply.assignor);
        Ok(Group { listing: read_listing(summary), epoch, assignor, members })
    }

    /// Where a group stands, by topic and partition; partitions without a committed offset are left out. A group that does not exist
    /// stands nowhere.
    ///
    /// Errors: INVALID_GROUP.
    pub async fn group_offsets(&self, group: &str) -> Result<Vec<GroupOffset>, Error> {
        let request = grpc::GetOffsetsRequest { group: group.to_owned(), topics: Vec::new() };
        let reply = self.connection.get_offsets(request).await?;
        let mut offsets = reply.offsets.into_iter().map(read_offset).collect::<Result<Vec<_>, _>>()?;
        offsets.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Ok(offsets)
    }

    /// Sets where a group without members goes on: topic, partition, offset. A group that does not exist comes to be. One result for
    /// each, in their order; durable when the call returns. Where one place is wrong, none is set, and each has an error: those of the
    /// right places are short, and say in the fact `wrong` how many others are.
    ///
    /// At most 10,000 places, as many as one stored batch holds: of more, set some in each of several calls, each all or none.
    ///
    /// Errors: GROUP_NOT_EMPTY, INVALID_GROUP, INVALID_REQUEST where they are too many; of one partition OFFSET_OUT_OF_RANGE where its
    /// log holds no such place, TOPIC_NOT_FOUND, PARTITION_NOT_FOUND; of a right one INVALID_REQUEST, or the reason of the others where
    /// that passes by itself.
    pub async fn reset_offsets<T: Into<String>>(
        &self,
        group: &str,
        offsets: impl IntoIterator<Item = (T, i32, Offset)>,
    ) -> Result<Vec<ChangedOffset>, Error> {
        let offset = |(topic, partition, offset): (T, i32, Offset)| grpc::PartitionOffset {
            topic: topic.into(),
            partition,
            offset,
            ..Default::default()
        };
        let offsets = offsets.into_iter().map(offset).collect();
        let request = grpc::ResetOffsetsRequest { group: group.to_owned(), offsets };
        let reply = self.connection.reset_offsets(request).await?;
        Ok(reply.partitions.into_iter().map(read_changed).collect())
    }

    /// Deletes a group without members, with its offsets.
    ///
    /// Errors: GROUP_NOT_FOUND, GROUP_NOT_EMPTY, INVALID_GROUP.
    pub async fn delete_group(&self, name: &str) -> Result<(), Error> {
        let request = grpc::DeleteGroupRequest { group: name.to_owned() };
        self.connection.delete_group(request).await.map(|_| ())
    }

    /// Forgets where a group stands in these partitions of a topic, or in all of them where none is named.
    ///
    /// Errors: GROUP_NOT_FOUND, INVALID_GROUP; of one partition GROUP_NOT_EMPTY while members are subscribed to the topic,
    /// OFFSET_OUT_OF_RANGE where it has no offset.
    pub async fn delete_offsets(
        &self,
        group: &str,
        topic: &str,
        partitions: impl IntoIterator<Item = i32>,
    ) -> Result<Vec<ChangedOffset>, Error> {
        let partitions = partitions.into_iter().collect();
        let topics = vec![grpc::TopicPartitions { topic: topic.to_owned(), partitions }];
        let request = grpc::DeleteOffsetsRequest { group: group.to_owned(), topics };
        let reply = self.connection.delete_offsets(request).await?;
        Ok(reply.partitions.into_iter().map(read_changed).collect())
    }
}

fn read_listing(summary: grpc::GroupSummary) -> GroupListing {
    let state = match summary.state() {
        grpc::GroupState::Empty => GroupState::Empty,
        grpc::GroupState::Assigning => GroupState::Assigning,
        grpc::GroupState::Stable => GroupState::Stable,
        // A state of a newer broker is one between the others.
        grpc::GroupState::Reconciling | grpc::GroupState::Unspecified => GroupState::Reconciling,
    };
    GroupListing {
        name: summary.group,
        state,
        member_count: summary.member_count,
        coordinator_partition: summary.coordinator_partition,
    }
}

fn read_member(member: grpc::GroupMember) -> GroupMember {
    let names = |partitions: Vec<grpc::GroupPartition>| {
        let mut names: Vec<(String, i32)> =
            partitions.into_iter().map(|partition| (partition.topic, partition.partition)).collect();
        names.sort();
        names
    };
    let subscription = member.subscription.unwrap_or_default();
    GroupMember {
        member_id: member.member_id,
        instance_id: member.instance_id,
        client_id: member.client_id,
        host: member.host,
        member_epoch: member.member_epoch,
        topics: subscription.topics,
        pattern: subscription.pattern,
        assigned: names(member.assigned),
        revoked: names(member.revoked),
    }
}

fn read_offset(found: grpc::CommittedOffset) -> Result<GroupOffset, Error> {
    Ok(GroupOffset {
        topic_id: read_topic_id(&found.topic_id)?,
        topic: found.topic,
        partition: found.partition,
        offset: found.offset,
        leader_epoch: found.leader_epoch,
        metadata: found.metadata,
        commit_time: found.commit_time_ms,
    })
}

fn read_changed(changed: grpc::CommittedPartition) -> ChangedOffset {
    ChangedOffset {
        topic: changed.topic,
        partition: changed.partition,
        result: changed.error.map_or(Ok(()), |item| Err(from_item(item))),
    }
}

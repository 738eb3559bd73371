//! Between protobuf and the broker's words for groups.

use crate::api::grpc::convert::{id_bytes, invalid, topic_id};
use crate::api::grpc::status::item_error;
use crate::base::limits::FETCH_BYTES_DEFAULT;
use crate::base::{Error, MemberEpoch, TopicPartition};
use crate::broker::Broker;
use crate::broker::groups::session::{AssignedPartition, OutOfRange, RevokedPartition};
use crate::broker::groups::{JoinRequest, Member, OffsetCommit, Owned, Start};
use crate::proto::grpc as pb;

/// Most bytes of a message with records where the client names no number. WHY small: it is kept for as long as a slow client leaves it
/// unread.
pub const RECORDS_BYTES_DEFAULT: usize = 64 << 10;

/// What a member says of itself when it joins, and where it is.
///
/// Errors: INVALID_REQUEST.
pub fn join_request(
    group: String,
    member_id: String,
    options: Option<pb::MemberOptions>,
    owned: &[pb::GroupPartition],
    host: &str,
) -> Result<JoinRequest, Error> {
    let options = options.ok_or_else(|| invalid("options", "is not set: say what to subscribe to"))?;
    let subscription = options.subscription.unwrap_or_default();
    Ok(JoinRequest {
        group,
        member_id,
        instance_id: options.instance_id,
        client_id: options.client_id,
        client_host: host.to_owned(),
        topics: subscription.topics,
        pattern: subscription.pattern,
        assignor: options.assignor,
        session_timeout_ms: options.session_timeout_ms,
        rebalance_timeout_ms: options.rebalance_timeout_ms,
        start: start(options.start)?,
        owned: owned.iter().map(owned_partition).collect::<Result<_, _>>()?,
        connected: false,
    })
}

fn start(start: Option<pb::GroupStart>) -> Result<Start, Error> {
    use pb::group_start::At;
    match start.and_then(|start| start.at) {
        None => Ok(Start::Earliest),
        Some(At::TimestampMs(at)) => Ok(Start::Timestamp(at)),
        Some(At::Word(word)) => match pb::GroupStartWord::try_from(word) {
            Ok(pb::GroupStartWord::Unspecified | pb::GroupStartWord::Earliest) => Ok(Start::Earliest),
            Ok(pb::GroupStartWord::Latest) => Ok(Start::Latest),
            Err(_) => {
                Err(invalid("start", format_args!("is {word}: use EARLIEST, LATEST or a timestamp in ms")))
            }
        },
    }
}

fn owned_partition(partition: &pb::GroupPartition) -> Result<Owned, Error> {
    Ok(Owned { id: partition_id(partition)?, epoch: partition.ownership_epoch })
}

/// The identity of a partition that a client names.
///
/// Errors: INVALID_REQUEST.
pub fn partition_id(partition: &pb::GroupPartition) -> Result<TopicPartition, Error> {
    let id = topic_id(Some(&partition.topic_id))?.expect("it was given");
    Ok(TopicPartition { topic_id: id, partition: partition.partition })
}

/// The identities of all of them.
pub fn partition_ids(partitions: &[pb::GroupPartition]) -> Result<Vec<TopicPartition>, Error> {
    partitions.iter().map(partition_id).collect()
}

/// A partition as a member is told it; of a topic that is gone, without its name.
pub fn partition(broker: &Broker, id: TopicPartition, epoch: MemberEpoch) -> pb::GroupPartition {
    let image = broker.image();
    let topic = image.topic_by_id(id.topic_id).map(|topic| topic.name.to_string()).unwrap_or_default();
    named(&topic, id, epoch)
}

fn named(topic: &str, id: TopicPartition, ownership_epoch: MemberEpoch) -> pb::GroupPartition {
    let (topic, topic_id) = (topic.to_owned(), id_bytes(id.topic_id));
    pb::GroupPartition { topic, topic_id, partition: id.partition, ownership_epoch }
}

/// Partitions that came.
pub fn assigned(partitions: Vec<AssignedPartition>) -> Vec<pb::AssignedPartition> {
    let told = partitions.into_iter().map(|assigned| pb::AssignedPartition {
        partition: Some(named(&assigned.topic, assigned.id, assigned.ownership_epoch)),
        offset: assigned.offset,
        committed: assigned.committed,
    });
    told.collect()
}

/// Partitions that go.
pub fn revoked(partitions: Vec<RevokedPartition>) -> Vec<pb::GroupPartition> {
    partitions.into_iter().map(|revoked| named(&revoked.topic, revoked.id, 0)).collect()
}

/// An offset to be committed, with the epoch under which the partition was owned, where it is named.
///
/// Errors: INVALID_REQUEST.
pub fn offset_commit(offset: pb::PartitionOffset) -> Result<(OffsetCommit, Option<MemberEpoch>), Error> {
    let commit = OffsetCommit {
        topic_id: topic_id(offset.topic_id.as_deref())?,
        topic: offset.topic,
        partition: offset.partition,
        offset: offset.offset,
        leader_epoch: offset.leader_epoch,
        metadata: offset.metadata,
    };
    Ok((commit, offset.ownership_epoch))
}

/// What one offset of a commit came to.
pub fn committed_partition(
    topic: String,
    partition: i32,
    result: Result<(), Error>,
) -> pb::CommittedPartition {
    pb::CommittedPartition { topic, partition, error: result.err().map(item_error) }
}

/// What happens where the group's offset is gone.
///
/// Errors: INVALID_REQUEST.
pub fn out_of_range(value: i32) -> Result<OutOfRange, Error> {
    match pb::OutOfRangePolicy::try_from(value) {
        Ok(pb::OutOfRangePolicy::Unspecified | pb::OutOfRangePolicy::Error) => Ok(OutOfRange::Error),
        Ok(pb::OutOfRangePolicy::Earliest) => Ok(OutOfRange::Earliest),
        Ok(pb::OutOfRangePolicy::Latest) => Ok(OutOfRange::Latest),
        Err(_) => Err(invalid(
            "out_of_range",
            format_args!("is {value}: use ERROR, EARLIEST or LATEST of the policies"),
        )),
    }
}

/// Most bytes of a message with records.
pub fn records_bytes(asked: Option<usize>) -> usize {
    asked.unwrap_or(RECORDS_BYTES_DEFAULT).min(FETCH_BYTES_DEFAULT)
}

/// A committed offset.
pub fn committed_offset(found: crate::broker::groups::Committed) -> pb::CommittedOffset {
    let place = found.position;
    pb::CommittedOffset {
        topic: place.topic.to_string(),
        topic_id: id_bytes(place.topic_id),
        partition: place.partition,
        offset: place.offset,
        leader_epoch: Some(place.leader_epoch).filter(|epoch| *epoch >= 0),
        metadata: place.metadata.to_string(),
        commit_time_ms: found.committed,
    }
}

/// A member, as an administrator sees it.
pub fn member(broker: &Broker, member: Member) -> pb::GroupMember {
    let told = |id| partition(broker, id, 0);
    pb::GroupMember {
        member_id: member.member_id.to_string(),
        instance_id: member.instance_id.map(|id| id.to_string()).unwrap_or_default(),
        client_id: member.client_id.to_string(),
        host: member.client_host.to_string(),
        member_epoch: member.member_epoch,
        subscription: Some(pb::Subscription {
            topics: member.subscription.names.iter().map(ToString::to_string).collect(),
            pattern: member.subscription.pattern.map(|pattern| pattern.to_string()).unwrap_or_default(),
        }),
        assigned: member.assigned.into_iter().map(|(id, epoch)| partition(broker, id, epoch)).collect(),
        target: member.target.into_iter().map(told).collect(),
        revoked: member.pending_revocation.into_iter().map(told).collect(),
    }
}

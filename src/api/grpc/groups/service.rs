//! GroupService.

use std::collections::BTreeSet;

use tonic::{Request, Response, Status};

use super::convert::{
    committed_offset, committed_partition, join_request, member, offset_commit, partition, partition_ids,
};
use crate::api::door::Door;
use crate::api::grpc::call::{RequestId, note_items};
use crate::api::grpc::caller::Caller;
use crate::api::grpc::convert::check_count;
use crate::api::grpc::limits::{bounded, fit_committed};
use crate::api::grpc::status::{item_error, status};
use crate::base::{Error, GroupId, MemberEpoch, TopicPartition};
use crate::broker::groups::{
    GroupState, GroupSummary, HeartbeatRequest, MemberView, OffsetCommit, coordinator_partition, parse_group,
    parse_member, subscription,
};
use crate::proto::grpc as pb;
use crate::proto::grpc::group_service_server::GroupService;

/// What to do when the answer is too large.
const TOO_MANY: &str = "ask for fewer topics, or read the group's log";

/// Groups on a page where the request names no number.
const PAGE_SIZE_DEFAULT: usize = 1_000;

/// Administers groups, and serves members that hold no stream.
pub struct Grouping(pub Door);

#[tonic::async_trait]
impl GroupService for Grouping {
    async fn heartbeat(
        &self,
        request: Request<pb::HeartbeatRequest>,
    ) -> Result<Response<pb::HeartbeatResponse>, Status> {
        let host = Caller::host_of(request.extensions());
        let view = self.heard(request.into_inner(), &host).await.map_err(status)?;
        bounded(self.view_reply(view), TOO_MANY)
    }

    async fn leave_group(
        &self,
        request: Request<pb::LeaveGroupRequest>,
    ) -> Result<Response<pb::LeaveGroupResponse>, Status> {
        let request = request.into_inner();
        let group = parse_group(&request.group).map_err(status)?;
        let member = parse_member(&request.member_id).map_err(status)?;
        self.0.broker.leave_group(&group, member, false).await.map_err(status)?;
        Ok(Response::new(pb::LeaveGroupResponse {}))
    }

    async fn commit_offsets(
        &self,
        request: Request<pb::CommitOffsetsRequest>,
    ) -> Result<Response<pb::CommitOffsetsResponse>, Status> {
        let id = RequestId::of(request.extensions());
        let request = request.into_inner();
        let member = match request.member_id.is_empty() {
            true => None,
            false => Some((parse_member(&request.member_id).map_err(status)?, request.member_epoch)),
        };
        let (group, offsets) = asked(&request.group, request.offsets).map_err(status)?;
        let named = names_of(&offsets);
        let results = self.0.broker.commit_offsets(&group, member, offsets).await.map_err(status)?;
        let partitions = self.kept(&id, named, results);
        Ok(Response::new(pb::CommitOffsetsResponse { partitions }))
    }

    async fn get_offsets(
        &self,
        request: Request<pb::GetOffsetsRequest>,
    ) -> Result<Response<pb::GetOffsetsResponse>, Status> {
        let request = request.into_inner();
        let group = parse_group(&request.group).map_err(status)?;
        let asked: BTreeSet<String> = request.topics.into_iter().collect();
        let committed = self.0.broker.committed_offsets(&group, None).await.map_err(status)?;
        let is_asked = |topic: &str| asked.is_empty() || asked.contains(topic);
        let offsets = committed.into_iter().filter(|found| is_asked(&found.position.topic));
        bounded(pb::GetOffsetsResponse { offsets: offsets.map(committed_offset).collect() }, TOO_MANY)
    }

    async fn list_groups(
        &self,
        request: Request<pb::ListGroupsRequest>,
    ) -> Result<Response<pb::ListGroupsResponse>, Status> {
        let request = request.into_inner();
        let listed = self.0.broker.list_groups().await.map_err(status)?;
        let states: Vec<i32> = request.states;
        let is_asked =
            |found: &GroupSummary| states.is_empty() || states.contains(&state(found.state).into());
        let size = match usize::try_from(request.page_size) {
            Ok(size @ 1..=PAGE_SIZE_DEFAULT) => size,
            _ => PAGE_SIZE_DEFAULT,
        };
        let mut left = listed
            .groups
            .into_iter()
            .filter(is_asked)
            .filter(|found| *found.group.as_str() > *request.page_token);
        let page: Vec<_> = left.by_ref().take(size).collect();
        let next = left.next().and(page.last()).map(|last| last.group.to_string());
        let groups = page.iter().map(|found| summary(&found.group, found.state, found.members)).collect();
        let errors = listed.errors.into_iter().map(item_error).collect();
        let next_page_token = next.unwrap_or_default();
        bounded(pb::ListGroupsResponse { groups, next_page_token, errors }, TOO_MANY)
    }

    async fn get_group(
        &self,
        request: Request<pb::GetGroupRequest>,
    ) -> Result<Response<pb::GetGroupResponse>, Status> {
        let group = parse_group(&request.into_inner().group).map_err(status)?;
        let found = self.0.broker.describe_group(&group).await.map_err(status)?;
        let reply = pb::GetGroupResponse {
            summary: Some(summary(&found.group, found.state, found.members.len())),
            group_epoch: found.group_epoch,
            assignor: found.assignor.to_string(),
            members: found.members.into_iter().map(|found| member(&self.0.broker, found)).collect(),
        };
        bounded(reply, TOO_MANY)
    }

    async fn reset_offsets(
        &self,
        request: Request<pb::ResetOffsetsRequest>,
    ) -> Result<Response<pb::ResetOffsetsResponse>, Status> {
        let id = RequestId::of(request.extensions());
        let request = request.into_inner();
        let (group, offsets) = asked(&request.group, request.offsets).map_err(status)?;
        let named = names_of(&offsets);
        let results = self.0.broker.reset_offsets(&group, offsets).await.map_err(status)?;
        let partitions = self.kept(&id, named, results);
        Ok(Response::new(pb::ResetOffsetsResponse { partitions }))
    }

    async fn delete_group(
        &self,
        request: Request<pb::DeleteGroupRequest>,
    ) -> Result<Response<pb::DeleteGroupResponse>, Status> {
        let group = parse_group(&request.into_inner().group).map_err(status)?;
        self.0.broker.delete_group(&group).await.map_err(status)?;
        Ok(Response::new(pb::DeleteGroupResponse {}))
    }

    async fn delete_offsets(
        &self,
        request: Request<pb::DeleteOffsetsRequest>,
    ) -> Result<Response<pb::DeleteOffsetsResponse>, Status> {
        let id = RequestId::of(request.extensions());
        let request = request.into_inner();
        let group = parse_group(&request.group).map_err(status)?;
        let named = self.named(&group, request.topics).await.map_err(status)?;
        let results = self.0.broker.delete_offsets(&group, named.clone()).await.map_err(status)?;
        Ok(Response::new(pb::DeleteOffsetsResponse { partitions: self.kept(&id, named, results) }))
    }
}

impl Grouping {
    async fn heard(&self, request: pb::HeartbeatRequest, host: &str) -> Result<MemberView, Error> {
        if request.member_epoch == 0 {
            let join = join_request(request.group, request.member_id, request.options, &request.owned, host)?;
            return self.0.broker.join_group(join).await;
        }
        let wanted = request.options.and_then(|options| options.subscription);
        let heartbeat = HeartbeatRequest {
            group: parse_group(&request.group)?,
            member_id: parse_member(&request.member_id)?,
            epoch: request.member_epoch,
            owned: Some(partition_ids(&request.owned)?.into_iter().collect()),
            subscription: wanted.map(|wanted| subscription(&wanted.topics, &wanted.pattern)),
            connected: false,
        };
        self.0.broker.heartbeat(heartbeat).await
    }

    fn view_reply(&self, view: MemberView) -> pb::HeartbeatResponse {
        let told = |id: TopicPartition, epoch: MemberEpoch| partition(&self.0.broker, id, epoch);
        pb::HeartbeatResponse {
            member_id: view.member_id.to_string(),
            member_epoch: view.member_epoch,
            heartbeat_interval_ms: view.heartbeat_interval_ms,
            assigned: view.assigned.into_iter().map(|(id, epoch)| told(id, epoch)).collect(),
            revoked: view.pending_revocation.into_iter().map(|id| told(id, 0)).collect(),
        }
    }

    /// What became of offsets.
    fn kept(
        &self,
        id: &RequestId,
        named: Vec<(String, i32)>,
        results: Vec<Result<(), Error>>,
    ) -> Vec<pb::CommittedPartition> {
        note_items(&self.0.broker, id, results.iter().filter_map(|result| result.as_ref().err()));
        let partitions = named.into_iter().zip(results);
        let partitions =
            partitions.map(|((topic, number), result)| committed_partition(topic, number, result));
        let mut partitions: Vec<_> = partitions.collect();
        fit_committed(&mut partitions);
        partitions
    }

    /// The partitions that are named, one by one; of a topic without numbers, all that have an offset.
    async fn named(
        &self,
        group: &GroupId,
        topics: Vec<pb::TopicPartitions>,
    ) -> Result<Vec<(String, i32)>, Error> {
        check_count("topics", topics.len())?;
        let mut named = Vec::new();
        for topic in topics {
            if topic.partitions.is_empty() {
                let committed = self.0.broker.committed_offsets(group, None).await?;
                let of_topic = committed.iter().filter(|found| *found.position.topic == *topic.topic);
                named.extend(of_topic.map(|found| (topic.topic.clone(), found.position.partition)));
            } else {
                named.extend(topic.partitions.into_iter().map(|number| (topic.topic.clone(), number)));
            }
        }
        Ok(named)
    }
}

/// Which group is to stand where.
fn asked(group: &str, offsets: Vec<pb::PartitionOffset>) -> Result<(GroupId, Vec<OffsetCommit>), Error> {
    check_count("offsets", offsets.len())?;
    let group = parse_group(group)?;
    let offsets = offsets.into_iter().map(|offset| Ok(offset_commit(offset)?.0));
    Ok((group, offsets.collect::<Result<_, Error>>()?))
}

fn names_of(offsets: &[OffsetCommit]) -> Vec<(String, i32)> {
    offsets.iter().map(|offset| (offset.topic.clone(), offset.partition)).collect()
}

fn state(state: GroupState) -> pb::GroupState {
    match state {
        GroupState::Empty => pb::GroupState::Empty,
        GroupState::Assigning => pb::GroupState::Assigning,
        GroupState::Reconciling => pb::GroupState::Reconciling,
        GroupState::Stable => pb::GroupState::Stable,
    }
}

fn summary(group: &GroupId, found: GroupState, member_count: usize) -> pb::GroupSummary {
    pb::GroupSummary {
        group: group.to_string(),
        state: state(found).into(),
        member_count: member_count as i32,
        coordinator_partition: coordinator_partition(group),
    }
}

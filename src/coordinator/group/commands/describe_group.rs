//! Describe group: a group with its members.

use super::super::assign::elected;
use super::super::errors::AdminError;
use super::super::shard::GroupShard;
use super::super::start::Start;
use super::super::state::{MemberRef, partitions};
use super::super::views::{GroupDescription, MemberDescription};
use crate::base::GroupId;

/// Asks for a group as a whole.
///
/// Errors: [`AdminError::NotFound`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribeGroup {
    /// The group.
    pub group: GroupId,
}

impl DescribeGroup {
    /// The group with its members.
    pub(in super::super) fn decide(self, shard: &GroupShard) -> Result<GroupDescription, AdminError> {
        let Some(at) = shard.group(&self.group) else {
            return Err(AdminError::NotFound { group: self.group });
        };
        Ok(GroupDescription {
            state: at.group.state(),
            group_epoch: at.group.epoch(),
            target_epoch: at.group.target_epoch(),
            assignor: elected(at.group),
            start: at.group.head.map_or(Start::Earliest, |head| head.start),
            members: at.group.members().map(describe).collect(),
            offsets: at.group.offsets.len(),
            group: self.group.clone(),
        })
    }
}

fn describe(member: MemberRef<'_>) -> MemberDescription {
    let current = member.current();
    MemberDescription {
        member_id: member.id.clone(),
        instance_id: member.membership.instance_id.clone(),
        client_id: member.membership.client_id.clone(),
        client_host: member.membership.client_host.clone(),
        member_epoch: current.epoch,
        subscription: member.membership.subscription.clone(),
        pending_revocation: current.revoking.keys().copied().collect(),
        assigned: current.assigned,
        target: partitions(member.target).collect(),
    }
}

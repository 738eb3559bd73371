//! About how much memory the parts of a group take: with maps, allocations and what is computed from them. Pure.

use super::assign::Assignment;
use super::position::{Committed, PartitionName};
use super::records::{Current, Membership};
use crate::base::InstanceId;

/// A group without anything.
pub(super) const GROUP_BYTES: u64 = 1_024;

/// An offset without its texts.
const OFFSET_BYTES: u64 = 320;

/// A membership without its texts.
const MEMBER_BYTES: u64 = 768;

/// A topic that a member subscribes to, without its name.
const TOPIC_BYTES: u64 = 192;

/// A partition that somebody owns or is to own, with the claim to it.
const PARTITION_BYTES: u64 = 128;

/// A committed offset.
pub(super) fn of_offset(name: &PartitionName, committed: &Committed) -> u64 {
    OFFSET_BYTES + (2 * name.topic.len() + committed.position.metadata.len()) as u64
}

/// What a member says of itself.
pub(super) fn of_membership(membership: &Membership) -> u64 {
    let instance = membership.instance_id.as_ref().map_or(0, |id| 2 * InstanceId::as_str(id).len());
    let pattern = membership.subscription.pattern.as_ref().map_or(0, |pattern| 2 * pattern.len());
    let texts = instance + pattern + membership.client_id.len() + membership.client_host.len();
    let topics = membership.subscription.names.iter().map(|name| TOPIC_BYTES + 2 * name.len() as u64);
    MEMBER_BYTES + texts as u64 + topics.sum::<u64>()
}

/// What a member is to own.
pub(super) fn of_target(target: &Assignment) -> u64 {
    target.values().map(|partitions| partitions.len() as u64 * PARTITION_BYTES).sum()
}

/// What a member owns.
pub(super) fn of_current(current: &Current) -> u64 {
    current.owned().count() as u64 * PARTITION_BYTES
}

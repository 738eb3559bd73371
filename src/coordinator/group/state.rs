//! A group: its records, and what follows from them.
//!
//! Every field of a group is either the newest value of a key, or computed from those; so a log and each of its compacted forms make
//! the same group. The `set_…` methods are what a record does; nothing else changes a group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::assign::Assignment;
use super::claims::Claims;
use super::memory::{of_current, of_membership, of_offset, of_target};
use super::position::{Committed, PartitionName};
use super::records::{Current, GroupHead, Membership, TargetEpoch};
use super::views::GroupState;
use super::wanted::Wanted;
use crate::base::{InstanceId, MemberEpoch, MemberId, TopicId, TopicPartition};

/// A group. It exists as long as it has a record.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Group {
    pub(super) head: Option<GroupHead>,
    pub(super) target_epoch: Option<TargetEpoch>,
    /// Everybody who has a record; members are those with a membership.
    rows: BTreeMap<MemberId, Member>,
    pub(super) offsets: BTreeMap<PartitionName, Committed>,
    // From here on: computed from the above.
    member_count: usize,
    instances: BTreeMap<InstanceId, MemberId>,
    pub(super) owners: Claims,
    pub(super) targets: Claims,
    pub(super) wanted: Wanted,
    /// Memory of rows and offsets.
    bytes: u64,
}

/// The records of one member.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Member {
    membership: Option<Membership>,
    target: Assignment,
    current: Option<Current>,
}

impl Member {
    /// The member, where there is a membership.
    fn as_member<'a>(&'a self, id: &'a MemberId) -> Option<MemberRef<'a>> {
        let membership = self.membership.as_ref()?;
        Some(MemberRef { id, membership, target: &self.target, current: self.current.as_ref() })
    }
}

/// A member of a group, with a membership.
#[derive(Clone, Copy)]
pub(super) struct MemberRef<'a> {
    pub(super) id: &'a MemberId,
    pub(super) membership: &'a Membership,
    pub(super) target: &'a Assignment,
    /// Nothing owned yet: `None`.
    pub(super) current: Option<&'a Current>,
}

impl MemberRef<'_> {
    /// What it owns.
    pub(super) fn current(&self) -> Current {
        self.current.cloned().unwrap_or_default()
    }

    /// So long it may be silent.
    pub(super) fn session_timeout(&self) -> Duration {
        duration(self.membership.session_timeout_ms)
    }

    /// So long it may take to let go.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        duration(self.membership.rebalance_timeout_ms)
    }

    /// Whether it has what it is to have.
    pub(super) fn is_at_target(&self) -> bool {
        let owned = self.current.map_or(0, |current| current.assigned.len());
        let settled = self.current.is_none_or(|current| {
            current.revoking.is_empty() && current.assigned.keys().all(|id| has(self.target, id))
        });
        settled && owned == self.target.values().map(|partitions| partitions.len()).sum::<usize>()
    }
}

/// A stored time in ms; what somebody else wrote may be negative.
fn duration(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// The partitions of an assignment.
pub(super) fn partitions(assignment: &Assignment) -> impl Iterator<Item = TopicPartition> {
    assignment.iter().flat_map(|(&topic_id, partitions)| {
        partitions.iter().map(move |&partition| TopicPartition { topic_id, partition })
    })
}

/// Whether the assignment has the partition.
pub(super) fn has(assignment: &Assignment, id: &TopicPartition) -> bool {
    assignment.get(&id.topic_id).is_some_and(|partitions| partitions.contains(&id.partition))
}

impl Group {
    /// The member of this id.
    pub(super) fn member(&self, id: &MemberId) -> Option<MemberRef<'_>> {
        self.rows.get_key_value(id).and_then(|(id, row)| row.as_member(id))
    }

    /// All members, by id.
    pub(super) fn members(&self) -> impl Iterator<Item = MemberRef<'_>> {
        self.rows.iter().filter_map(|(id, row)| row.as_member(id))
    }

    /// How many members there are.
    pub(super) fn member_count(&self) -> usize {
        self.member_count
    }

    /// Ids that have a record of their own, members or not.
    pub(super) fn row_ids(&self) -> impl Iterator<Item = &MemberId> {
        self.rows.keys()
    }

    /// The member that has this instance id.
    pub(super) fn holder(&self, instance: &InstanceId) -> Option<MemberRef<'_>> {
        self.member(self.instances.get(instance)?)
    }

    /// The group epoch; 0 before the first join.
    pub(super) fn epoch(&self) -> MemberEpoch {
        self.head.map_or(0, |head| head.epoch)
    }

    /// The epoch of the target; 0 before the first.
    pub(super) fn target_epoch(&self) -> MemberEpoch {
        self.target_epoch.map_or(0, |target| target.epoch)
    }

    /// Whether a target is missing that members wait for.
    pub(super) fn needs_target(&self) -> bool {
        self.member_count > 0 && self.target_epoch() < self.epoch()
    }

    /// Whether the group has an offset for a partition of this topic.
    pub(super) fn has_offset_of(&self, topic_id: TopicId, name: &Arc<str>) -> bool {
        let bound = |partition| PartitionName { topic: name.clone(), partition };
        let mut of_name = self.offsets.range(bound(i32::MIN)..=bound(i32::MAX));
        of_name.any(|(_, committed)| committed.position.topic_id == topic_id)
    }

    /// Where the group is.
    pub(super) fn state(&self) -> GroupState {
        if self.member_count == 0 {
            GroupState::Empty
        } else if self.needs_target() {
            GroupState::Assigning
        } else if self.members().all(|member| member.is_at_target()) {
            GroupState::Stable
        } else {
            GroupState::Reconciling
        }
    }

    /// Whether it has no record.
    pub(super) fn is_blank(&self) -> bool {
        self.head.is_none() && self.target_epoch.is_none() && self.rows.is_empty() && self.offsets.is_empty()
    }

    /// About how many bytes of memory its members and offsets take.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.bytes
    }

    /// Memory for what comes in the place of something else.
    fn swap_bytes(&mut self, old: u64, new: u64) {
        self.bytes = (self.bytes + new).checked_sub(old).expect("what goes was counted when it came");
    }

    /// Takes a committed offset, or its end.
    pub(super) fn set_offset(&mut self, name: PartitionName, value: Option<Committed>) {
        let new = value.as_ref().map_or(0, |new| of_offset(&name, new));
        let old = match value {
            Some(committed) => self.offsets.insert(name.clone(), committed),
            None => self.offsets.remove(&name),
        };
        self.swap_bytes(old.map_or(0, |old| of_offset(&name, &old)), new);
    }

    /// Takes a membership, or its end.
    pub(super) fn set_membership(&mut self, id: MemberId, value: Option<Membership>) {
        let row = self.rows.entry(id.clone()).or_default();
        if let Some(new) = &value {
            self.member_count += 1;
            self.wanted.add(&new.subscription);
            if let Some(instance) = &new.instance_id {
                self.instances.insert(instance.clone(), id.clone());
            }
        }
        let new_bytes = value.as_ref().map_or(0, of_membership);
        let old = std::mem::replace(&mut row.membership, value);
        self.swap_bytes(old.as_ref().map_or(0, of_membership), new_bytes);
        if let Some(old) = old {
            self.member_count -= 1;
            self.wanted.remove(&old.subscription);
            self.give_instance_back(&id, old.instance_id);
        }
        self.drop_if_blank(&id);
    }

    /// The instance id of an older membership is free, unless it is still this member's or another took it.
    fn give_instance_back(&mut self, id: &MemberId, old: Option<InstanceId>) {
        let Some(old) = old else { return };
        let keeps =
            self.rows[id].membership.as_ref().is_some_and(|new| new.instance_id.as_ref() == Some(&old));
        if !keeps && self.instances.get(&old) == Some(id) {
            self.instances.remove(&old);
        }
    }

    /// Takes a target, or its end.
    pub(super) fn set_target(&mut self, id: MemberId, value: Option<Assignment>) {
        let row = self.rows.entry(id.clone()).or_default();
        let old = std::mem::replace(&mut row.target, value.unwrap_or_default());
        self.targets.give_back(&id, partitions(&old));
        self.targets.claim(&id, partitions(&row.target));
        let (old, new) = (of_target(&old), of_target(&row.target));
        self.swap_bytes(old, new);
        self.drop_if_blank(&id);
    }

    /// Takes what a member owns, or its end.
    pub(super) fn set_current(&mut self, id: MemberId, value: Option<Current>) {
        let row = self.rows.entry(id.clone()).or_default();
        let old = std::mem::replace(&mut row.current, value);
        self.owners.give_back(&id, old.iter().flat_map(Current::owned).map(|(id, _)| id));
        self.owners.claim(&id, row.current.iter().flat_map(Current::owned).map(|(id, _)| id));
        let new = row.current.as_ref().map_or(0, of_current);
        self.swap_bytes(old.as_ref().map_or(0, of_current), new);
        self.drop_if_blank(&id);
    }

    fn drop_if_blank(&mut self, id: &MemberId) {
        if self.rows.get(id).is_some_and(|row| *row == Member::default()) {
            self.rows.remove(id);
        }
    }
}

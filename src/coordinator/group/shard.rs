//! The machine as a whole: its groups, and where each command and each record goes.

use std::collections::BTreeMap;

use super::assign::{AssignmentInput, input_of};
use super::changes::GroupRef;
use super::command::{GroupCommand, GroupReply, GroupSignal, GroupTimer};
use super::errors::{GroupError, MemberError};
use super::memory::GROUP_BYTES;
use super::records::GroupRecord;
use super::rules::GroupRule;
use super::state::{Group, MemberRef};
use super::topics::Topics;
use crate::base::rules::Rules;
use crate::base::{GroupId, MemberId, Offset};
use crate::coordinator::{Effects, Now, Shard, StoredRecord};

/// The groups of one partition of `__consumer_offsets`.
///
/// The records of a command may be parted into batches anywhere: what each beginning of them leaves behind is sound, and a load mends it.
/// Offsets, and the groups that a change of topics is about, are each for themselves. Who ends or changes membership raises the group
/// epoch first, and a target is worth something once its epoch is written, last: in between the group needs a target, and a load asks for
/// one. A partition goes to a new owner only when the record of the old one is gone, whatever targets say. Where the first offsets of a
/// topic are parted, the partitions without begin at their first record: more is read than was asked for, nothing is left out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupShard {
    pub(super) groups: BTreeMap<GroupId, Group>,
    /// Memory of all of them, without what each takes by itself.
    bytes: u64,
    rules: Rules<GroupRule>,
}

/// How much a machine holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GroupCounts {
    /// Groups that there are.
    pub groups: usize,
    /// Members of all groups.
    pub members: usize,
    /// Committed offsets of all groups.
    pub offsets: usize,
}

impl GroupShard {
    /// A machine without groups.
    pub fn new() -> Self {
        Self::default()
    }

    /// A machine without groups, under these rules.
    pub fn under(rules: Rules<GroupRule>) -> Self {
        Self { rules, ..Self::default() }
    }

    /// What the group's next target is to be worked out from; `None` when there is nothing to work out: the target is up to date, or
    /// nobody is there. Cost: grows with members, their topics and the present target.
    pub fn assignment_input(&self, group: &GroupId, topics: &dyn Topics) -> Option<AssignmentInput> {
        let (id, group) = self.groups.get_key_value(group)?;
        group.needs_target().then(|| input_of(id, group, topics))
    }

    /// How much it holds. Cost: one look at each group.
    pub fn counts(&self) -> GroupCounts {
        let mut counts = GroupCounts { groups: self.groups.len(), ..GroupCounts::default() };
        for group in self.groups.values() {
            counts.members += group.member_count();
            counts.offsets += group.offsets.len();
        }
        counts
    }

    pub(super) fn rules(&self) -> Rules<GroupRule> {
        self.rules
    }

    /// The group of this name.
    pub(super) fn group(&self, id: &GroupId) -> Option<GroupRef<'_>> {
        let (id, group) = self.groups.get_key_value(id)?;
        Some(GroupRef { id, group, rules: self.rules })
    }

    /// The member of this id, with its group.
    ///
    /// Errors: there is none.
    pub(super) fn member(
        &self,
        group: &GroupId,
        member: &MemberId,
    ) -> Result<(GroupRef<'_>, MemberRef<'_>), MemberError> {
        let unknown = || MemberError::Unknown { group: group.clone(), member: member.clone() };
        let at = self.group(group).ok_or_else(unknown)?;
        Ok((at, at.group.member(member).ok_or_else(unknown)?))
    }

    fn set(group: &mut Group, record: GroupRecord) {
        match record {
            GroupRecord::Offset(_, name, value) => group.set_offset(name, value),
            GroupRecord::Group(_, value) => group.head = value,
            GroupRecord::Member(_, member, value) => group.set_membership(member, value),
            GroupRecord::TargetEpoch(_, value) => group.target_epoch = value,
            GroupRecord::Target(_, member, value) => group.set_target(member, value),
            GroupRecord::Current(_, member, value) => group.set_current(member, value),
        }
    }
}

impl Shard for GroupShard {
    type Command = GroupCommand;
    type Reply = GroupReply;
    type Error = GroupError;
    type Timer = GroupTimer;
    type Signal = GroupSignal;

    fn handle(
        &self,
        command: GroupCommand,
        now: Now,
        out: &mut Effects<Self>,
    ) -> Result<GroupReply, GroupError> {
        match command {
            GroupCommand::Join(join) => Ok(GroupReply::Member(join.decide(self, out)?)),
            GroupCommand::Heartbeat(heartbeat) => Ok(GroupReply::Member(heartbeat.decide(self, out)?)),
            GroupCommand::Disconnect(disconnect) => Ok(disconnect.decide(self, out)?),
            GroupCommand::Leave(leave) => Ok(leave.decide(self, out)?),
            GroupCommand::InstallTarget(install) => Ok(install.decide(self, now, out)),
            GroupCommand::TopicsChanged(changed) => Ok(changed.decide(self, out)),
            GroupCommand::Commit(commit) => Ok(GroupReply::Committed(commit.decide(self, now, out)?)),
            GroupCommand::Reset(reset) => Ok(GroupReply::Committed(reset.decide(self, now, out)?)),
            GroupCommand::GetOffsets(get) => Ok(GroupReply::Offsets(get.decide(self))),
            GroupCommand::ListGroups(list) => Ok(GroupReply::Groups(list.decide(self))),
            GroupCommand::DescribeGroup(describe) => Ok(GroupReply::Group(describe.decide(self)?)),
            GroupCommand::DeleteGroup(delete) => Ok(delete.decide(self, out)?),
            GroupCommand::DeleteOffsets(delete) => Ok(GroupReply::Deleted(delete.decide(self, out)?)),
        }
    }

    fn expire(&self, timer: GroupTimer, _now: Now, out: &mut Effects<Self>) {
        let (GroupTimer::Session { group, member } | GroupTimer::Revocation { group, member }) = &timer;
        let Some(at) = self.group(group) else { return };
        let Some(member) = at.group.member(member) else { return };
        let ends = match &timer {
            GroupTimer::Session { .. } => at.holds(GroupRule::ExpireSilent),
            GroupTimer::Revocation { .. } => {
                !member.current().revoking.is_empty() && at.holds(GroupRule::FenceSlow)
            }
        };
        if ends {
            at.remove(member, out);
        }
    }

    fn replay(&mut self, _offset: Offset, record: &StoredRecord) {
        let Ok(record) = GroupRecord::decode(record) else { return };
        let id = record.group().clone();
        let group = self.groups.entry(id.clone()).or_default();
        let before = group.memory_bytes();
        Self::set(group, record);
        self.bytes = self.bytes + group.memory_bytes() - before;
        if group.is_blank() {
            self.groups.remove(&id);
        }
    }

    fn loaded(&self, _now: Now, out: &mut Effects<Self>) {
        for id in self.groups.keys() {
            let Some(at) = self.group(id) else { continue };
            for member in at.group.members().filter(|_| at.holds(GroupRule::ArmOnLoad)) {
                at.hear(member, false, out);
                // WHY: a stream that stands does not know that the machine was loaded anew, and forgot it.
                at.wake(member.id, out);
                if !member.current().revoking.is_empty() {
                    out.arm(at.revocation_timer(member.id), member.rebalance_timeout());
                }
            }
            if at.group.needs_target() && at.holds(GroupRule::AssignOnLoad) {
                at.ask_for_target(out);
            }
        }
    }

    fn memory_bytes(&self) -> u64 {
        self.bytes + self.groups.len() as u64 * GROUP_BYTES
    }

    fn adds(&self, command: &GroupCommand) -> bool {
        match command {
            GroupCommand::Join(join) => join.adds(self),
            GroupCommand::Commit(commit) => commit.adds(self),
            GroupCommand::Reset(reset) => reset.adds(self),
            _ => false,
        }
    }
}

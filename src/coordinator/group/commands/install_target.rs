//! Install target: what the assignor worked out becomes what the members are to own.

use std::sync::Arc;

use super::super::assign::{AssignmentInput, Target};
use super::super::changes::GroupRef;
use super::super::command::{GroupReply, GroupSignal};
use super::super::position::{Committed, Position};
use super::super::records::{GroupHead, GroupRecord, TargetEpoch};
use super::super::rules::GroupRule;
use super::super::shard::GroupShard;
use super::super::state::MemberRef;
use super::super::topics::Topics;
use super::super::wanted::topics_hash;
use crate::base::{GroupId, MemberEpoch};
use crate::coordinator::{Effects, Now};

/// The result of an assignor. One for a group epoch that is no longer the present one, for other members or other topics, is dropped, and
/// another is asked for.
///
/// Errors: none; a group that is gone wants nothing.
#[derive(Clone)]
pub struct InstallTarget {
    /// The group.
    pub group: GroupId,
    /// Group epoch of the input that it was worked out from.
    pub group_epoch: MemberEpoch,
    /// Topics of that input, by their hash.
    pub topics_hash: i64,
    /// Who is to own what.
    pub target: Target,
    /// Where the topics of [`AssignmentInput::to_start`](super::super::assign::AssignmentInput::to_start) begin: committed
    /// for partitions that have no offset yet.
    pub starts: Vec<Position>,
    /// The topics as they are when the machine takes the command: not older than those of any
    /// [`TopicsChanged`](super::TopicsChanged) that it took before.
    pub topics: Arc<dyn Topics>,
}

impl InstallTarget {
    /// What an assignor made of this input, and where its topics begin; `topics` are those of now.
    pub fn new(
        input: &AssignmentInput,
        target: Target,
        starts: Vec<Position>,
        topics: Arc<dyn Topics>,
    ) -> Self {
        let (group, group_epoch) = (input.group.clone(), input.group_epoch);
        Self { group, group_epoch, topics_hash: input.topics_hash, target, starts, topics }
    }

    /// Writes what changed of the targets, and wakes those who can take a step.
    pub(in super::super) fn decide(
        self,
        shard: &GroupShard,
        now: Now,
        out: &mut Effects<GroupShard>,
    ) -> GroupReply {
        let Some(at) = shard.group(&self.group).filter(|at| at.group.needs_target()) else {
            return GroupReply::Done;
        };
        if !self.is_for(at) && at.holds(GroupRule::DropOldTarget) {
            at.ask_for_target(out);
            return GroupReply::Done;
        }
        self.write_topics(at, out);
        self.write_starts(at, now, out);
        let nothing = Default::default();
        for member in at.group.members() {
            let target = self.target.get(member.id).unwrap_or(&nothing);
            let is_new = target != member.target;
            // WHY first: most members keep what they have, and need no closer look.
            if !is_new && member.is_at_target() && at.holds(GroupRule::KeepAssigned) {
                continue;
            }
            if is_new {
                let record = GroupRecord::Target(self.group.clone(), member.id.clone(), Some(target.clone()));
                out.records.push(record.encode());
            }
            let after = at.reconcile(MemberRef { target, ..member }, |_| false);
            if !after.owns_the_same(&member.current()) {
                out.signal(GroupSignal::Wake { group: self.group.clone(), member: member.id.clone() });
            }
        }
        // WHY last: until it is written, the group needs a target, and a load asks for it again.
        let epoch = TargetEpoch { epoch: self.group_epoch, computed: now.wall };
        out.records.push(GroupRecord::TargetEpoch(self.group.clone(), Some(epoch)).encode());
        GroupReply::Done
    }

    /// Whether it was worked out for the group as it is. WHY the members as well: a group that was deleted and made again counts its
    /// epochs from 1 again, but no member id comes twice.
    fn is_for(&self, at: GroupRef<'_>) -> bool {
        self.group_epoch == at.group.epoch()
            && self.target.keys().eq(at.group.members().map(|member| member.id))
            && self.topics_hash == topics_hash(&at.group.wanted.resolve(&*self.topics))
    }

    /// Notes what topics the target is of, for the next change of topics. WHY: the group's epoch may have risen before the last one.
    fn write_topics(&self, at: GroupRef<'_>, out: &mut Effects<GroupShard>) {
        if let Some(head) = at.group.head.filter(|head| head.topics_hash != self.topics_hash) {
            at.write_head(GroupHead { topics_hash: self.topics_hash, ..head }, out);
        }
    }

    /// Commits where topics begin, for partitions without an offset. WHY before the targets: nobody reads such a partition yet.
    fn write_starts(&self, at: GroupRef<'_>, now: Now, out: &mut Effects<GroupShard>) {
        for position in &self.starts {
            let name = position.name();
            let kept = at.group.offsets.get(&name);
            let has_one = kept.is_some_and(|kept| kept.position.topic_id == position.topic_id);
            if !has_one {
                let committed = Committed { position: position.clone(), committed: now.wall };
                out.records.push(GroupRecord::Offset(self.group.clone(), name, Some(committed)).encode());
            }
        }
    }
}

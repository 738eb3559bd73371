//! How a member comes to what it is to own.
//!
//! A member moves only in commands of its own, so that it learns of each step in the answer. What it owns and its target does not have, it is
//! told to let go (*revoking*), and owns until it says that it did. What its target has and nobody owns, it takes, and owns
//! it since the target's epoch. What is in both it keeps, whatever happens around it.
//!
//! Its epoch becomes the target's whenever what it owns changes. So what it is told to let go comes with a new epoch, and a late heartbeat from
//! before can't be taken for its answer.

use std::collections::BTreeSet;

use super::changes::GroupRef;
use super::records::{Current, GroupRecord};
use super::rules::GroupRule;
use super::shard::GroupShard;
use super::state::{MemberRef, has, partitions};
use crate::base::TopicPartition;
use crate::coordinator::Effects;

impl GroupRef<'_> {
    /// What a member owns after its command. `lets_go` tells of what it was to let go whether it did.
    pub(super) fn reconcile(
        self,
        member: MemberRef<'_>,
        lets_go: impl Fn(&TopicPartition) -> bool,
    ) -> Current {
        let before = member.current();
        let mut after = before.clone();
        after.revoking.retain(|id, _| !lets_go(id));
        let epoch = self.group.target_epoch();
        let pauses = !self.holds(GroupRule::KeepAssigned) && epoch > before.epoch;
        after.assigned.retain(|id, _| has(member.target, id) && !pauses);
        if self.holds(GroupRule::WaitForRelease) {
            let lost = before.assigned.iter().filter(|(id, _)| !after.assigned.contains_key(id));
            after.revoking.extend(lost);
        }
        for id in partitions(member.target) {
            if self.is_free_for(member, &id) && after.owned_since(&id).is_none() {
                after.assigned.insert(id, epoch);
            }
        }
        if epoch > before.epoch && !after.owns_the_same(&before) {
            after.previous_epoch = before.epoch;
            after.epoch = epoch;
        }
        debug_assert!(after.revoking.keys().all(|id| !after.assigned.contains_key(id)), "one place for each");
        after
    }

    fn is_free_for(self, member: MemberRef<'_>, id: &TopicPartition) -> bool {
        let owner = self.group.owners.get(id);
        owner.is_none_or(|owner| owner == member.id) || !self.holds(GroupRule::TakeFreeOnly)
    }

    /// Writes what the member owns from now on, runs its revocation timer, and wakes those who wait for what it let go.
    pub(super) fn take_step(self, member: MemberRef<'_>, after: &Current, out: &mut Effects<GroupShard>) {
        let before = member.current();
        if before == *after {
            return;
        }
        let record = GroupRecord::Current(self.id.clone(), member.id.clone(), Some(after.clone()));
        out.records.push(record.encode());
        let timer = self.revocation_timer(member.id);
        let answered = before.revoking.keys().any(|id| !after.revoking.contains_key(id));
        if after.revoking.is_empty() && answered {
            out.cancel(timer);
        } else if !after.revoking.is_empty() && (before.revoking.is_empty() || answered) {
            // WHY not when more is to be let go: a member that never answers would never be late.
            out.arm(timer, member.rebalance_timeout());
        }
        let freed = before.owned().map(|(id, _)| id).filter(|id| after.owned_since(id).is_none());
        self.wake_next(member, freed, out);
    }

    /// Wakes exactly those whose targets have what became free.
    pub(super) fn wake_next(
        self,
        from: MemberRef<'_>,
        freed: impl Iterator<Item = TopicPartition>,
        out: &mut Effects<GroupShard>,
    ) {
        let next: BTreeSet<_> = freed.filter_map(|id| self.group.targets.get(&id)).collect();
        for member in next.into_iter().filter(|next| *next != from.id && self.holds(GroupRule::WakeNext)) {
            self.wake(member, out);
        }
    }
}

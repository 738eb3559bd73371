//! Join: somebody becomes a member, or goes on as the member that it was.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::assign::{Assignment, AssignorName};
use super::super::changes::{Change, GroupRef, view};
use super::super::errors::JoinError;
use super::super::records::{Current, GroupRecord, Membership, TargetEpoch};
use super::super::rules::GroupRule;
use super::super::shard::GroupShard;
use super::super::start::Start;
use super::super::state::{Group, MemberRef, partitions};
use super::super::subscription::Subscription;
use super::super::topics::Topics;
use super::super::views::MemberView;
use crate::base::limits::{
    GROUP_MEMBERS_MAX, REBALANCE_TIMEOUT_MS_MAX, SESSION_TIMEOUT_MS_MAX, SESSION_TIMEOUT_MS_MIN,
};
use crate::base::{GroupId, InstanceId, MemberEpoch, MemberId, TopicPartition};
use crate::coordinator::Effects;

/// Somebody wants to read with a group.
///
/// A member id that the group knows, with the same instance id: the member goes on, same epoch, nothing revoked. Any other id:
/// joins anew under `fresh_id`, and what it says it owns counts nothing. An instance id that another member holds: takes that
/// one's place and assignment over under `fresh_id`; the old member is fenced, and if the subscription is the same nobody else
/// notices.
///
/// Errors: [`JoinError`].
#[derive(Clone)]
pub struct Join {
    /// The group; made if there is none.
    pub group: GroupId,
    /// Who it was before the connection or the broker went away.
    pub member_id: Option<MemberId>,
    /// An id that was never used, for a new member. The same join again, with the same one, finds the member that it made.
    pub fresh_id: MemberId,
    /// Makes it a static member.
    pub instance_id: Option<InstanceId>,
    /// What its client calls itself.
    pub client_id: Arc<str>,
    /// Where it connects from.
    pub client_host: Arc<str>,
    /// What it wants to read.
    pub subscription: Subscription,
    /// What it would have the group use; most votes win.
    pub assignor: Option<AssignorName>,
    /// So long it may be silent, in ms.
    pub session_timeout_ms: i32,
    /// So long it may take to let go of partitions, in ms.
    pub rebalance_timeout_ms: i32,
    /// Where the group begins; counts where the group has none yet.
    pub start: Start,
    /// What it believes to own.
    pub owned: Vec<Owned>,
    /// Whether a stream stands behind it: then it needs no heartbeats, and [`Disconnect`](super::Disconnect) tells its loss.
    pub connected: bool,
    /// The topics at this moment.
    pub topics: Arc<dyn Topics>,
}

/// A partition that a member believes to own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owned {
    /// The partition.
    pub id: TopicPartition,
    /// Epoch since which it does.
    pub epoch: MemberEpoch,
}

impl Join {
    /// Decides who the caller is, and writes what that changes.
    pub(in super::super) fn decide(
        self,
        shard: &GroupShard,
        out: &mut Effects<GroupShard>,
    ) -> Result<MemberView, JoinError> {
        self.check()?;
        let nobody = Group::default();
        let at = shard.group(&self.group).unwrap_or(GroupRef {
            id: &self.group,
            group: &nobody,
            rules: shard.rules(),
        });
        // The fresh id is known where this very join was taken before, and its answer lost.
        let ids = self.member_id.iter().chain([&self.fresh_id]);
        let mut known = ids.filter_map(|id| at.group.member(id));
        if let Some(member) = known.find(|member| member.membership.instance_id == self.instance_id) {
            return Ok(self.go_on(at, member, out));
        }
        if let Some(holder) = self.instance_id.as_ref().and_then(|instance| at.group.holder(instance)) {
            return Ok(self.take_over(at, holder, out));
        }
        if at.group.member_count() >= GROUP_MEMBERS_MAX {
            return Err(JoinError::Full);
        }
        Ok(self.begin(at, out))
    }

    /// Whether this would be one more member.
    pub(in super::super) fn adds(&self, shard: &GroupShard) -> bool {
        let Some(at) = shard.group(&self.group) else { return true };
        let is_known = self.member_id.as_ref().is_some_and(|id| at.group.member(id).is_some());
        !is_known && self.instance_id.as_ref().and_then(|id| at.group.holder(id)).is_none()
    }

    fn check(&self) -> Result<(), JoinError> {
        self.subscription.check().map_err(JoinError::Subscription)?;
        if !(SESSION_TIMEOUT_MS_MIN..=SESSION_TIMEOUT_MS_MAX).contains(&self.session_timeout_ms) {
            return Err(JoinError::SessionTimeout { ms: self.session_timeout_ms });
        }
        if !(SESSION_TIMEOUT_MS_MIN..=REBALANCE_TIMEOUT_MS_MAX).contains(&self.rebalance_timeout_ms) {
            return Err(JoinError::RebalanceTimeout { ms: self.rebalance_timeout_ms });
        }
        Ok(())
    }

    /// The same member, after its connection or the broker was away.
    fn go_on(&self, at: GroupRef<'_>, member: MemberRef<'_>, out: &mut Effects<GroupShard>) -> MemberView {
        let membership = self.membership();
        self.write_change(at, member.membership, &membership, out);
        if membership != *member.membership {
            self.write_membership(member.id, &membership, out);
        }
        // The timeouts from here on are the new ones.
        let member = MemberRef { membership: &membership, ..member };
        let before = member.current();
        let holds = |id: &TopicPartition| {
            let since = before.owned_since(id);
            self.owned.iter().any(|owned| owned.id == *id && Some(owned.epoch) >= since)
        };
        let after = at.reconcile(member, |id| !holds(id));
        at.take_step(member, &after, out);
        at.hear(member, self.connected, out);
        view(member.id, &membership, &after)
    }

    /// A new member in the place of the one that held the instance id, with its target. Another target is asked for where this one wants
    /// something else, or one was being worked out for the old member.
    fn take_over(
        &self,
        at: GroupRef<'_>,
        holder: MemberRef<'_>,
        out: &mut Effects<GroupShard>,
    ) -> MemberView {
        let membership = self.membership();
        let wanted =
            at.group.wanted.with(Some(&holder.membership.subscription), Some(&membership.subscription));
        let mut head = at.next_head(&Change { wanted: &wanted, topics: &self.topics, start: self.start });
        let current = inherited(at, holder, head.epoch);
        let is_up_to_date = at.group.target_epoch() >= at.group.epoch();
        let has_same_topics = at.group.head.is_some_and(|before| before.topics_hash == head.topics_hash);
        let stays = is_up_to_date && has_same_topics && is_same_wish(holder.membership, &membership);
        if !stays {
            // WHY one more: the new target has to come with an epoch above that of what is taken over.
            head.epoch = head.epoch.saturating_add(1);
            at.ask_for_target(out);
        }
        at.write_head(head, out);
        self.replace(at, holder, &membership, out);
        self.write_current(&current, out);
        if let Some(target) = at.group.target_epoch.filter(|_| stays) {
            let target = TargetEpoch { epoch: head.epoch, ..target };
            out.records.push(GroupRecord::TargetEpoch(self.group.clone(), Some(target)).encode());
        }
        let before = holder.current();
        let freed = before.owned().map(|(id, _)| id).filter(|id| current.owned_since(id).is_none());
        at.wake_next(holder, freed, out);
        self.hear(at, &membership, out);
        view(&self.fresh_id, &membership, &current)
    }

    /// Writes the end of one member, and another one with its target.
    fn replace(
        &self,
        at: GroupRef<'_>,
        holder: MemberRef<'_>,
        membership: &Membership,
        out: &mut Effects<GroupShard>,
    ) {
        if at.holds(GroupRule::FenceReplaced) {
            at.end(holder, out);
        }
        self.write_membership(&self.fresh_id, membership, out);
        let target =
            GroupRecord::Target(self.group.clone(), self.fresh_id.clone(), Some(holder.target.clone()));
        out.records.push(target.encode());
    }

    /// A member that nobody knows.
    fn begin(&self, at: GroupRef<'_>, out: &mut Effects<GroupShard>) -> MemberView {
        let membership = self.membership();
        let wanted = at.group.wanted.with(None, Some(&membership.subscription));
        let head = at.next_head(&Change { wanted: &wanted, topics: &self.topics, start: self.start });
        at.write_head(head, out);
        at.ask_for_target(out);
        let current = Current { epoch: head.epoch, previous_epoch: head.epoch, ..Current::default() };
        self.write_membership(&self.fresh_id, &membership, out);
        self.write_current(&current, out);
        self.hear(at, &membership, out);
        view(&self.fresh_id, &membership, &current)
    }

    /// Writes a new group epoch where the member wants something else than before.
    fn write_change(
        &self,
        at: GroupRef<'_>,
        before: &Membership,
        after: &Membership,
        out: &mut Effects<GroupShard>,
    ) {
        if is_same_wish(before, after) {
            return;
        }
        let wanted = at.group.wanted.with(Some(&before.subscription), Some(&after.subscription));
        at.write_head(
            at.next_head(&Change { wanted: &wanted, topics: &self.topics, start: self.start }),
            out,
        );
        at.ask_for_target(out);
    }

    fn write_membership(&self, id: &MemberId, membership: &Membership, out: &mut Effects<GroupShard>) {
        let record = GroupRecord::Member(self.group.clone(), id.clone(), Some(membership.clone()));
        out.records.push(record.encode());
    }

    /// Writes what a member under a fresh id owns.
    fn write_current(&self, current: &Current, out: &mut Effects<GroupShard>) {
        let (group, id) = (self.group.clone(), self.fresh_id.clone());
        out.records.push(GroupRecord::Current(group, id, Some(current.clone())).encode());
    }

    /// Runs the session timer of a member under a fresh id.
    fn hear(&self, at: GroupRef<'_>, membership: &Membership, out: &mut Effects<GroupShard>) {
        let target = Assignment::new();
        at.hear(
            MemberRef { id: &self.fresh_id, membership, target: &target, current: None },
            self.connected,
            out,
        );
    }

    fn membership(&self) -> Membership {
        Membership {
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            subscription: self.subscription.clone(),
            assignor: self.assignor,
            session_timeout_ms: self.session_timeout_ms,
            rebalance_timeout_ms: self.rebalance_timeout_ms,
        }
    }
}

/// Whether a member wants the same of the group as before.
fn is_same_wish(before: &Membership, after: &Membership) -> bool {
    before.subscription == after.subscription && before.assignor == after.assignor
}

/// What a successor owns: of the old member's target all that is its or nobody's, since `epoch`, so that what the old one read can't be
/// committed any more. Nothing is to be let go: the old one let go of everything by ending.
fn inherited(at: GroupRef<'_>, holder: MemberRef<'_>, epoch: MemberEpoch) -> Current {
    let before = holder.current();
    let is_free = |id: &TopicPartition| at.group.owners.get(id).is_none_or(|owner| owner == holder.id);
    let since = |id: &TopicPartition| match before.owned_since(id) {
        Some(old) if !at.holds(GroupRule::RaiseForSuccessor) => old,
        _ => epoch,
    };
    let assigned = partitions(holder.target).filter(is_free).map(|id| (id, since(&id))).collect();
    Current { epoch, previous_epoch: epoch, assigned, revoking: BTreeMap::new() }
}

//! What several commands do to a group: a new epoch, the end of a member, its timers, its view.

use std::sync::Arc;

use super::command::{GroupSignal, GroupTimer};
use super::errors::MemberError;
use super::records::{Current, GroupHead, GroupRecord, Membership};
use super::rules::GroupRule;
use super::shard::GroupShard;
use super::start::Start;
use super::state::{Group, MemberRef};
use super::topics::Topics;
use super::views::MemberView;
use super::wanted::{Wanted, topics_hash};
use crate::base::rules::Rules;
use crate::base::{GroupId, MemberEpoch, MemberId};
use crate::coordinator::Effects;

/// Heartbeats of members without a stream that fit their session timeout: one may be lost, one late.
const HEARTBEATS_PER_SESSION: i32 = 3;

/// A group as a command finds it.
#[derive(Clone, Copy)]
pub(super) struct GroupRef<'a> {
    pub(super) id: &'a GroupId,
    pub(super) group: &'a Group,
    pub(super) rules: Rules<GroupRule>,
}

/// What a group's subscriptions come to after a command.
pub(super) struct Change<'a> {
    pub(super) wanted: &'a Wanted,
    pub(super) topics: &'a Arc<dyn Topics>,
    /// Of a group that has none yet.
    pub(super) start: Start,
}

impl GroupRef<'_> {
    /// Whether the rule holds.
    pub(super) fn holds(self, rule: GroupRule) -> bool {
        self.rules.hold(rule)
    }

    /// The head of the group with the next epoch.
    ///
    /// Where the group begins holds for topics that are there when somebody asks for more than was asked for before. WHY not
    /// at every join: a topic that came later and was read from its first record without a commit so far would be taken for
    /// one to begin at its end.
    pub(super) fn next_head(self, change: &Change<'_>) -> GroupHead {
        let version = change.topics.version();
        let hash = change.wanted.hash();
        let before = self.group.head.unwrap_or(GroupHead {
            epoch: 0,
            topics_hash: 0,
            start: change.start,
            start_before: version,
            subscription_hash: hash,
        });
        let asks_for_more = if self.group.wanted.is_empty() {
            hash != before.subscription_hash
        } else {
            change.wanted.has_more_than(&self.group.wanted)
        };
        GroupHead {
            epoch: before.epoch.saturating_add(1),
            topics_hash: topics_hash(&change.wanted.resolve(&**change.topics)),
            start: before.start,
            start_before: if asks_for_more { version } else { before.start_before },
            subscription_hash: if change.wanted.is_empty() { before.subscription_hash } else { hash },
        }
    }

    /// Writes the head.
    pub(super) fn write_head(self, head: GroupHead, out: &mut Effects<GroupShard>) {
        out.records.push(GroupRecord::Group(self.id.clone(), Some(head)).encode());
    }

    /// Asks for a new target.
    pub(super) fn ask_for_target(self, out: &mut Effects<GroupShard>) {
        out.signal(GroupSignal::Assign { group: self.id.clone() });
    }

    /// Ends a member: what it owned is free, and the others get a new target. WHY the head first: whatever follows it may be
    /// lost, a target will be computed for those who are left. The hash of the topics stays: what only this member wanted is found
    /// gone with the next change of topics.
    pub(super) fn remove(self, member: MemberRef<'_>, out: &mut Effects<GroupShard>) {
        if let Some(mut head) = self.group.head {
            let wanted = self.group.wanted.with(Some(&member.membership.subscription), None);
            head.epoch = head.epoch.saturating_add(1);
            if !wanted.is_empty() {
                head.subscription_hash = wanted.hash();
            }
            self.write_head(head, out);
        }
        if self.group.member_count() > 1 {
            self.ask_for_target(out);
        }
        self.end(member, out);
        let current = member.current();
        self.wake_next(member, current.owned().map(|(id, _)| id), out);
    }

    /// Writes the end of a member, stops its timers and tells its stream.
    pub(super) fn end(self, member: MemberRef<'_>, out: &mut Effects<GroupShard>) {
        let (group, id) = (|| self.id.clone(), || member.id.clone());
        let ends = [
            GroupRecord::Current(group(), id(), None),
            GroupRecord::Target(group(), id(), None),
            GroupRecord::Member(group(), id(), None),
        ];
        out.records.extend(ends.iter().map(GroupRecord::encode));
        out.cancel(self.session_timer(member.id));
        out.cancel(self.revocation_timer(member.id));
        out.signal(GroupSignal::Fenced { group: group(), member: id() });
    }

    /// Runs the session timer, or stops it while a stream stands behind the member.
    pub(super) fn hear(self, member: MemberRef<'_>, connected: bool, out: &mut Effects<GroupShard>) {
        let timer = self.session_timer(member.id);
        if connected { out.cancel(timer) } else { out.arm(timer, member.session_timeout()) }
    }

    /// Tells the stream behind a member, if there is one, to ask again.
    pub(super) fn wake(self, member: &MemberId, out: &mut Effects<GroupShard>) {
        out.signal(GroupSignal::Wake { group: self.id.clone(), member: member.clone() });
    }

    pub(super) fn session_timer(self, member: &MemberId) -> GroupTimer {
        GroupTimer::Session { group: self.id.clone(), member: member.clone() }
    }

    pub(super) fn revocation_timer(self, member: &MemberId) -> GroupTimer {
        GroupTimer::Revocation { group: self.id.clone(), member: member.clone() }
    }
}

/// What the member is told when it owns this.
pub(super) fn view(id: &MemberId, membership: &Membership, current: &Current) -> MemberView {
    MemberView {
        member_id: id.clone(),
        member_epoch: current.epoch,
        assigned: current.assigned.clone(),
        pending_revocation: current.revoking.keys().copied().collect(),
        session_timeout_ms: membership.session_timeout_ms,
        rebalance_timeout_ms: membership.rebalance_timeout_ms,
        heartbeat_interval_ms: membership.session_timeout_ms / HEARTBEATS_PER_SESSION,
    }
}

/// Whether a heartbeat of this epoch may be the member's: of the present one, or of the one before, whose answer was lost.
pub(super) fn check_epoch(current: &Current, given: MemberEpoch) -> Result<(), MemberError> {
    if given == current.epoch || given == current.previous_epoch {
        return Ok(());
    }
    Err(MemberError::Fenced { current: current.epoch, given })
}

//! Heartbeat: a member is heard, says what it still owns, and learns what it is to do.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::changes::{Change, GroupRef, check_epoch, view};
use super::super::errors::MemberError;
use super::super::records::{GroupRecord, Membership};
use super::super::shard::GroupShard;
use super::super::start::Start;
use super::super::state::MemberRef;
use super::super::subscription::Subscription;
use super::super::topics::Topics;
use super::super::views::MemberView;
use crate::base::{GroupId, MemberEpoch, MemberId, TopicPartition};
use crate::coordinator::Effects;

/// A member is heard. Its view is brought as near to its target as the others allow.
///
/// A heartbeat with the epoch before the present one is taken for one whose answer was lost: it is answered, but what it says of
/// partitions and subscription does not count.
///
/// Errors: [`MemberError`].
#[derive(Clone)]
pub struct Heartbeat {
    /// The group.
    pub group: GroupId,
    /// The member.
    pub member_id: MemberId,
    /// Its epoch, as last told.
    pub epoch: MemberEpoch,
    /// All that it owns; `None`: as before. What was to be let go and is not in it is free from here on.
    pub owned: Option<BTreeSet<TopicPartition>>,
    /// What it wants to read from now on; `None`: as before.
    pub subscription: Option<Subscription>,
    /// Whether a stream stands behind it: then it has no session timer.
    pub connected: bool,
    /// The topics at this moment.
    pub topics: Arc<dyn Topics>,
}

impl Heartbeat {
    /// Takes the member one step on.
    pub(in super::super) fn decide(
        mut self,
        shard: &GroupShard,
        out: &mut Effects<GroupShard>,
    ) -> Result<MemberView, MemberError> {
        let (at, member) = shard.member(&self.group, &self.member_id)?;
        let before = member.current();
        check_epoch(&before, self.epoch)?;
        if self.epoch != before.epoch {
            // WHY: it was sent before the member learned of its present partitions; leaving one out says nothing about it.
            (self.owned, self.subscription) = (None, None);
        }
        let after = match &self.owned {
            Some(owned) => at.reconcile(member, |id| !owned.contains(id)),
            None => at.reconcile(member, |_| false),
        };
        let subscription = self.subscription.take();
        if let Some(new) = subscription.filter(|new| *new != member.membership.subscription) {
            new.check().map_err(MemberError::Subscription)?;
            self.subscribe(at, member, new, out);
        }
        at.take_step(member, &after, out);
        at.hear(member, self.connected, out);
        Ok(view(member.id, member.membership, &after))
    }

    fn subscribe(
        &self,
        at: GroupRef<'_>,
        member: MemberRef<'_>,
        subscription: Subscription,
        out: &mut Effects<GroupShard>,
    ) {
        let wanted = at.group.wanted.with(Some(&member.membership.subscription), Some(&subscription));
        let change = Change { wanted: &wanted, topics: &self.topics, start: Start::Earliest };
        at.write_head(at.next_head(&change), out);
        at.ask_for_target(out);
        let membership = Membership { subscription, ..member.membership.clone() };
        let record = GroupRecord::Member(self.group.clone(), member.id.clone(), Some(membership));
        out.records.push(record.encode());
    }
}

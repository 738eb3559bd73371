//! What the machine answers: a member's own view, and groups as an administrator sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::assign::AssignorName;
use super::start::Start;
use super::subscription::Subscription;
use crate::base::{GroupId, InstanceId, MemberEpoch, MemberId, TopicPartition};

/// Everything that a member has to know; whoever talks to it tells it the difference to what it knew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberView {
    /// Who it is from now on.
    pub member_id: MemberId,
    /// What it names in its next heartbeat.
    pub member_epoch: MemberEpoch,
    /// What it may read and commit, each with the epoch since which it owns it. A partition whose epoch rose was another's, or
    /// another stay's, in between: it begins again at the committed offset.
    pub assigned: BTreeMap<TopicPartition, MemberEpoch>,
    /// What it has to let go: it may still commit these, and says in its next heartbeat that it no longer owns them.
    pub pending_revocation: BTreeSet<TopicPartition>,
    /// So long it may be silent, in ms.
    pub session_timeout_ms: i32,
    /// So long it may take to let go, in ms.
    pub rebalance_timeout_ms: i32,
    /// So often a member without a stream is to be heard, in ms.
    pub heartbeat_interval_ms: i32,
}

/// Where a group is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum GroupState {
    /// It has no members.
    Empty,
    /// A new target is being computed.
    Assigning,
    /// Members are on their way to their targets.
    Reconciling,
    /// Every member has what it is to have.
    Stable,
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty",
            Self::Assigning => "assigning",
            Self::Reconciling => "reconciling",
            Self::Stable => "stable",
        })
    }
}

/// A group in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupSummary {
    /// Its name.
    pub group: GroupId,
    /// Where it is.
    pub state: GroupState,
    /// Members that it has.
    pub members: usize,
    /// Partitions that it has committed an offset for, those of topics that are gone counted as well.
    pub offsets: usize,
}

/// A group with its members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupDescription {
    /// Its name.
    pub group: GroupId,
    /// Where it is.
    pub state: GroupState,
    /// Rises with each change of members, subscriptions or topics.
    pub group_epoch: MemberEpoch,
    /// Group epoch that the present target was computed for.
    pub target_epoch: MemberEpoch,
    /// The assignor that its members agree on.
    pub assignor: AssignorName,
    /// Where it begins to read.
    pub start: Start,
    /// Its members, by id.
    pub members: Vec<MemberDescription>,
    /// Partitions that it has committed an offset for.
    pub offsets: usize,
}

/// A member of a described group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberDescription {
    /// Who it is.
    pub member_id: MemberId,
    /// Of a static member.
    pub instance_id: Option<InstanceId>,
    /// What its client calls itself.
    pub client_id: Arc<str>,
    /// Where it connected from.
    pub client_host: Arc<str>,
    /// Its epoch.
    pub member_epoch: MemberEpoch,
    /// What it wants to read.
    pub subscription: Subscription,
    /// What it owns and keeps, with the epoch since which it does.
    pub assigned: BTreeMap<TopicPartition, MemberEpoch>,
    /// What it still owns and is to let go.
    pub pending_revocation: BTreeSet<TopicPartition>,
    /// What it is to own in the end.
    pub target: BTreeSet<TopicPartition>,
}

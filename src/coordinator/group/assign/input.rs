//! What an assignor works from, and what it makes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::super::start::Start;
use super::super::topics::TopicFacts;
use super::range::range;
use super::round_robin::round_robin;
use super::sticky::sticky;
use crate::base::{GroupId, InstanceId, MemberEpoch, MemberId, TopicId, TopicPartition};

/// The partitions of one member, by topic.
pub type Assignment = BTreeMap<TopicId, BTreeSet<i32>>;

/// Who is to own what. Every member is in it, those that are to own nothing as well.
pub type Target = BTreeMap<MemberId, Assignment>;

/// The assignors that there are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum AssignorName {
    /// As balanced as possible, with the fewest moves.
    #[default]
    Sticky,
    /// Each topic cut into ranges, so that partitions of one number of several topics meet in one member.
    Range,
    /// All partitions dealt in turn.
    RoundRobin,
}

impl AssignorName {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sticky, Self::Range, Self::RoundRobin];

    /// Its name in requests and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sticky => "sticky",
            Self::Range => "range",
            Self::RoundRobin => "round-robin",
        }
    }

    /// The assignor of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }
}

impl fmt::Display for AssignorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A group as an assignor sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AssignmentInput {
    /// The group.
    pub group: GroupId,
    /// Its epoch: the result counts as long as this is the present one.
    pub group_epoch: MemberEpoch,
    /// What its members agree on.
    pub assignor: AssignorName,
    /// Its members.
    pub members: BTreeMap<MemberId, MemberInput>,
    /// Every topic that a member is subscribed to.
    pub topics: BTreeMap<TopicId, TopicFacts>,
    /// Hash of these: tells whether they are still the topics that there are.
    pub topics_hash: i64,
    /// Where the group begins.
    pub start: Start,
    /// Topics that have to begin there and have no offset yet: whoever runs the assignor looks the offsets of all their
    /// partitions up and hands them back as `starts`. Empty where the group begins at the first record.
    pub to_start: Vec<TopicFacts>,
}

/// A member as an assignor sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberInput {
    /// Of a static member.
    pub instance_id: Option<InstanceId>,
    /// The topics that it is subscribed to; shared by members with the same subscription.
    pub topics: Arc<BTreeSet<TopicId>>,
    /// What it is to own so far.
    pub target: Assignment,
}

/// Works out who is to own what: every partition of every topic that somebody is subscribed to has one owner.
///
/// Cost: for sticky, with M members that want the same P partitions, (M + P) log (M + P); where they want different ones, up to as much for
/// each partition that has to move for the balance.
pub fn assign(input: &AssignmentInput) -> Target {
    let mut target = match input.assignor {
        AssignorName::Sticky => sticky(input),
        AssignorName::Range => range(input),
        AssignorName::RoundRobin => round_robin(input),
    };
    for member in input.members.keys() {
        target.entry(member.clone()).or_default();
    }
    target
}

impl AssignmentInput {
    /// Members in the order in which the simple assignors serve them: static ones keep their place over restarts.
    pub(super) fn in_order(&self) -> Vec<(&MemberId, &MemberInput)> {
        let mut members: Vec<_> = self.members.iter().collect();
        members.sort_by_key(|(id, member)| {
            (member.instance_id.as_ref().map_or(id.as_str(), InstanceId::as_str), *id)
        });
        members
    }

    /// The partitions of a topic.
    pub(super) fn partitions(&self, topic_id: TopicId) -> impl Iterator<Item = TopicPartition> + use<> {
        let count = self.topics.get(&topic_id).map_or(0, |facts| facts.partition_count);
        (0..count).map(move |partition| TopicPartition { topic_id, partition })
    }
}

impl MemberInput {
    /// What it is to own so far.
    pub(super) fn partitions(&self) -> impl Iterator<Item = TopicPartition> {
        self.target.iter().flat_map(|(&topic_id, partitions)| {
            partitions.iter().map(move |&partition| TopicPartition { topic_id, partition })
        })
    }
}

/// Adds a partition to a member's target.
pub(super) fn give(target: &mut Target, member: &MemberId, id: TopicPartition) {
    let assignment = match target.get_mut(member) {
        Some(assignment) => assignment,
        None => target.entry(member.clone()).or_default(),
    };
    assignment.entry(id.topic_id).or_default().insert(id.partition);
}

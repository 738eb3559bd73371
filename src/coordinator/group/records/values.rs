//! The values of groups, members and what they own.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::assignment::{read_owned, write_owned};
use super::reader::Reader;
use super::writer::{Writer, number};
use crate::base::limits::SESSION_TIMEOUT_MS_DEFAULT;
use crate::base::{InstanceId, MemberEpoch, Offset, Timestamp, TopicPartition};
use crate::coordinator::group::assign::AssignorName;
use crate::coordinator::group::start::Start;
use crate::coordinator::group::subscription::Subscription;

/// Tag 0 of each value that has one: hash of the topics, time of the target.
const FIRST_TAG: usize = 0;
const START_TAG: usize = 1_000;
const START_BEFORE_TAG: usize = 1_001;
const SUBSCRIPTION_HASH_TAG: usize = 1_002;
const SESSION_TIMEOUT_TAG: usize = 1_000;

/// Stored for [`Start::Earliest`] and [`Start::Latest`], as in Kafka's ListOffsets; else a timestamp.
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

/// State of a member that Kafka's tools show: at its target as far as is known, or asked to let go.
const STABLE: i8 = 0;
const UNREVOKED: i8 = 1;

/// What holds for a group as a whole; there is one once somebody joined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupHead {
    /// Rises with each change of members, subscriptions or topics.
    pub epoch: MemberEpoch,
    /// Hash of what the subscriptions meant when the epoch rose or the target was made: topic ids and partition counts.
    pub topics_hash: i64,
    /// Where the group begins.
    pub start: Start,
    /// It begins there for topics that were created at or before this metadata offset.
    pub start_before: Offset,
    /// Hash of the names and patterns that members were subscribed to last.
    pub subscription_hash: i64,
}

impl GroupHead {
    pub(super) fn write(&self, out: &mut Writer) {
        let start = match self.start {
            Start::Earliest => EARLIEST,
            Start::Latest => LATEST,
            Start::Timestamp(ms) => ms.max(0),
        };
        out.i32(self.epoch);
        out.tags(&[
            (FIRST_TAG, number(self.topics_hash)),
            (START_TAG, number(start)),
            (START_BEFORE_TAG, number(self.start_before)),
            (SUBSCRIPTION_HASH_TAG, number(self.subscription_hash)),
        ]);
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let epoch = from.i32()?;
        let mut head =
            Self { epoch, topics_hash: 0, start: Start::Earliest, start_before: -1, subscription_hash: 0 };
        from.tags(|tag, field| {
            match tag as usize {
                FIRST_TAG => head.topics_hash = field.i64()?,
                START_TAG => head.start = start(field.i64()?)?,
                START_BEFORE_TAG => head.start_before = field.i64()?,
                SUBSCRIPTION_HASH_TAG => head.subscription_hash = field.i64()?,
                _ => return Some(false),
            }
            Some(true)
        })?;
        Some(head)
    }
}

fn start(stored: i64) -> Option<Start> {
    match stored {
        EARLIEST => Some(Start::Earliest),
        LATEST => Some(Start::Latest),
        0.. => Some(Start::Timestamp(stored)),
        _ => None,
    }
}

/// What a member is, apart from what it owns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Membership {
    /// Of a static member.
    pub instance_id: Option<InstanceId>,
    /// What its client calls itself.
    pub client_id: Arc<str>,
    /// Where it connected from.
    pub client_host: Arc<str>,
    /// What it wants to read.
    pub subscription: Subscription,
    /// What it would have the group use.
    pub assignor: Option<AssignorName>,
    /// So long it may be silent, in ms.
    pub session_timeout_ms: i32,
    /// So long it may take to let go, in ms.
    pub rebalance_timeout_ms: i32,
}

impl Membership {
    pub(super) fn write(&self, out: &mut Writer) {
        out.compact_nullable(self.instance_id.as_ref().map(InstanceId::as_str));
        out.compact_nullable(None);
        out.compact_string(&self.client_id);
        out.compact_string(&self.client_host);
        out.count(self.subscription.names.len());
        self.subscription.names.iter().for_each(|name| out.compact_string(name));
        out.compact_nullable(self.subscription.pattern.as_deref());
        out.i32(self.rebalance_timeout_ms);
        out.compact_nullable(self.assignor.map(AssignorName::as_str));
        let mut session_timeout = Writer::new();
        session_timeout.i32(self.session_timeout_ms);
        out.tags(&[(SESSION_TIMEOUT_TAG, session_timeout.finish())]);
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let instance_id = from.compact_nullable()?.map(|text| InstanceId::stored(&text));
        let _rack = from.compact_nullable()?;
        let mut member = Self {
            instance_id,
            client_id: from.compact_string()?,
            client_host: from.compact_string()?,
            subscription: Subscription {
                names: from.list(Reader::compact_string)?.into_iter().collect(),
                pattern: from.compact_nullable()?,
            },
            rebalance_timeout_ms: from.i32()?,
            assignor: from.compact_nullable()?.and_then(|name| AssignorName::parse(&name)),
            session_timeout_ms: SESSION_TIMEOUT_MS_DEFAULT,
        };
        from.tags(|tag, field| {
            let known = tag as usize == SESSION_TIMEOUT_TAG;
            if known {
                member.session_timeout_ms = field.i32()?;
            }
            Some(known)
        })?;
        Some(member)
    }
}

/// What the target was computed for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TargetEpoch {
    /// The group epoch.
    pub epoch: MemberEpoch,
    /// When, in ms.
    pub computed: Timestamp,
}

impl TargetEpoch {
    pub(super) fn write(self, out: &mut Writer) {
        out.i32(self.epoch);
        out.tags(&[(FIRST_TAG, number(self.computed))]);
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let mut target = Self { epoch: from.i32()?, computed: 0 };
        from.tags(|tag, field| {
            let known = tag as usize == FIRST_TAG;
            if known {
                target.computed = field.i64()?;
            }
            Some(known)
        })?;
        Some(target)
    }
}

/// What a member owns.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Current {
    /// What it has taken over of the targets; rises when what it owns changes.
    pub epoch: MemberEpoch,
    /// The epoch before, for an answer that was lost.
    pub previous_epoch: MemberEpoch,
    /// What it keeps, each with the epoch since which it owns it.
    pub assigned: BTreeMap<TopicPartition, MemberEpoch>,
    /// What it is to let go, and owns until then.
    pub revoking: BTreeMap<TopicPartition, MemberEpoch>,
}

impl Current {
    pub(super) fn write(&self, out: &mut Writer) {
        out.i32(self.epoch);
        out.i32(self.previous_epoch);
        out.i8(if self.revoking.is_empty() { STABLE } else { UNREVOKED });
        write_owned(out, &self.assigned);
        write_owned(out, &self.revoking);
        out.tags(&[]);
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let epoch = from.i32()?;
        let previous_epoch = from.i32()?;
        let _state = from.i8()?;
        let assigned = read_owned(from, epoch)?;
        let mut revoking = read_owned(from, epoch)?;
        // WHY: one place for a partition, whatever somebody wrote.
        revoking.retain(|id, _| !assigned.contains_key(id));
        from.tags(|_, _| Some(false))?;
        Some(Self { epoch, previous_epoch, assigned, revoking })
    }

    /// Whether it owns the same as the other, with the same epochs.
    pub fn owns_the_same(&self, other: &Self) -> bool {
        self.assigned == other.assigned && self.revoking == other.revoking
    }

    /// Everything that it owns.
    pub fn owned(&self) -> impl Iterator<Item = (TopicPartition, MemberEpoch)> {
        self.assigned.iter().chain(&self.revoking).map(|(id, epoch)| (*id, *epoch))
    }

    /// Epoch since which it owns the partition.
    pub fn owned_since(&self, id: &TopicPartition) -> Option<MemberEpoch> {
        self.assigned.get(id).or_else(|| self.revoking.get(id)).copied()
    }
}

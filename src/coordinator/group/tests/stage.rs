//! One machine whose effects a test looks at one by one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::assign::{AssignmentInput, assign};
use super::super::command::{GroupCommand, GroupReply, GroupSignal, GroupTimer};
use super::super::commands::{Commit, Heartbeat, InstallTarget, Join};
use super::super::errors::GroupError;
use super::super::position::Position;
use super::super::shard::GroupShard;
use super::super::start::Start;
use super::super::subscription::Subscription;
use super::super::views::MemberView;
use super::topics::TestTopics;
use crate::base::{GroupId, InstanceId, MemberEpoch, MemberId, TopicPartition};
use crate::coordinator::{Effects, Now, Shard};

/// A machine, the topics, and what the last command wanted.
pub(super) struct Stage {
    pub(super) shard: GroupShard,
    pub(super) topics: TestTopics,
    pub(super) timers: Vec<(GroupTimer, Option<Duration>)>,
    pub(super) signals: Vec<GroupSignal>,
    /// Records that the last command wrote.
    pub(super) written: usize,
}

pub(super) const NOW: Now = Now { monotonic: Duration::ZERO, wall: 77 };

pub(super) fn group() -> GroupId {
    GroupId::stored("g")
}

pub(super) fn member(name: &str) -> MemberId {
    MemberId::stored(name)
}

pub(super) fn names(names: &[&str]) -> Subscription {
    Subscription { names: names.iter().map(|name| Arc::from(*name)).collect(), pattern: None }
}

pub(super) fn session(name: &str) -> GroupTimer {
    GroupTimer::Session { group: group(), member: member(name) }
}

pub(super) fn revocation(name: &str) -> GroupTimer {
    GroupTimer::Revocation { group: group(), member: member(name) }
}

pub(super) fn wake(name: &str) -> GroupSignal {
    GroupSignal::Wake { group: group(), member: member(name) }
}

pub(super) fn fenced(name: &str) -> GroupSignal {
    GroupSignal::Fenced { group: group(), member: member(name) }
}

pub(super) fn ask() -> GroupSignal {
    GroupSignal::Assign { group: group() }
}

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Stage {
    /// An empty machine, and a topic `t` with four partitions.
    pub(super) fn new() -> Self {
        let mut topics = TestTopics::default();
        topics.put("t", 4);
        Self { shard: GroupShard::new(), topics, timers: Vec::new(), signals: Vec::new(), written: 0 }
    }

    pub(super) fn run(&mut self, command: GroupCommand) -> Result<GroupReply, GroupError> {
        let mut out = Effects::new();
        let result = self.shard.handle(command, NOW, &mut out);
        self.take(if result.is_ok() { out } else { Effects::new() });
        result
    }

    pub(super) fn expire(&mut self, timer: GroupTimer) {
        let mut out = Effects::new();
        self.shard.expire(timer, NOW, &mut out);
        self.take(out);
    }

    pub(super) fn take(&mut self, out: Effects<GroupShard>) {
        self.written = out.records.len();
        out.records.iter().for_each(|record| self.shard.replay(0, record));
        (self.timers, self.signals) = (out.timers, out.signals);
    }

    /// A join with a stream: session timeout 10 s, rebalance timeout 60 s.
    pub(super) fn joining(&self, fresh: &str) -> Join {
        Join {
            group: group(),
            member_id: None,
            fresh_id: member(fresh),
            instance_id: None,
            client_id: "c".into(),
            client_host: "h".into(),
            subscription: names(&["t"]),
            assignor: None,
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 60_000,
            start: Start::Earliest,
            owned: Vec::new(),
            connected: true,
            topics: self.topics.shared(),
        }
    }

    pub(super) fn join(&mut self, join: Join) -> MemberView {
        view(self.run(GroupCommand::Join(join)))
    }

    pub(super) fn join_static(&mut self, fresh: &str) -> MemberView {
        let join = Join { instance_id: Some(InstanceId::stored("i")), ..self.joining(fresh) };
        self.join(join)
    }

    pub(super) fn beat(&self, name: &str, epoch: MemberEpoch) -> Heartbeat {
        Heartbeat {
            group: group(),
            member_id: member(name),
            epoch,
            owned: None,
            subscription: None,
            connected: true,
            topics: self.topics.shared(),
        }
    }

    /// A heartbeat with the present epoch.
    pub(super) fn look(&mut self, name: &str) -> MemberView {
        let beat = self.beat(name, self.epoch_of(name));
        view(self.run(GroupCommand::Heartbeat(beat)))
    }

    /// Says that the member owns just this.
    pub(super) fn own(&mut self, name: &str, owned: &[TopicPartition]) -> MemberView {
        let owned = Some(owned.iter().copied().collect());
        let beat = Heartbeat { owned, ..self.beat(name, self.epoch_of(name)) };
        view(self.run(GroupCommand::Heartbeat(beat)))
    }

    pub(super) fn epoch_of(&self, name: &str) -> MemberEpoch {
        let group = &self.shard.groups[&group()];
        group.member(&member(name)).expect("it is a member").current().epoch
    }

    pub(super) fn input(&self) -> AssignmentInput {
        self.shard.assignment_input(&group(), &self.topics).expect("a target is needed")
    }

    /// Works the target out and installs it.
    pub(super) fn assign(&mut self) {
        let input = self.input();
        self.install(&input, Vec::new());
    }

    /// Works the target out from this and installs it.
    pub(super) fn install(&mut self, input: &AssignmentInput, starts: Vec<Position>) {
        let install = InstallTarget::new(input, assign(input), starts, self.topics.shared());
        assert_eq!(self.run(GroupCommand::InstallTarget(install)), Ok(GroupReply::Done));
    }

    /// A partition of topic `t`.
    pub(super) fn t(&self, partition: i32) -> TopicPartition {
        TopicPartition { topic_id: self.position(partition, 0).topic_id, partition }
    }

    pub(super) fn position(&self, partition: i32, offset: i64) -> Position {
        let facts = self.topics.all().find(|facts| &*facts.name == "t").expect("topic t is there");
        super::world::position(facts, partition, offset)
    }

    pub(super) fn commit(
        &mut self,
        who: Option<(&str, MemberEpoch)>,
        positions: Vec<Position>,
    ) -> Result<GroupReply, GroupError> {
        let who = who.map(|(name, epoch)| (member(name), epoch));
        self.run(GroupCommand::Commit(Commit { group: group(), member: who, positions }))
    }
}

pub(super) fn view(result: Result<GroupReply, GroupError>) -> MemberView {
    match result {
        Ok(GroupReply::Member(view)) => view,
        other => panic!("no view: {other:?}"),
    }
}

/// The partitions of a view, by number.
pub(super) fn numbers(view: &MemberView) -> BTreeSet<i32> {
    view.assigned.keys().map(|id| id.partition).collect()
}

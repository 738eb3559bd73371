//! A small world around one machine: a log, timers, an assignor that may be slow, and clients that believe what they are told.
//!
//! What must hold is checked after each step against what the clients know and against the history, not against the machine's own
//! reasons. A breach is an `Err` with a sentence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::assign::{AssignmentInput, assign};
use super::super::command::{GroupCommand, GroupReply, GroupSignal, GroupTimer};
use super::super::commands::{
    Commit, Disconnect, Heartbeat, InstallTarget, Join, Leave, Owned, TopicsChanged,
};
use super::super::errors::GroupError;
use super::super::position::{PartitionName, Position};
use super::super::shard::GroupShard;
use super::super::start::Start;
use super::super::state::partitions;
use super::super::subscription::Subscription;
use super::super::topics::{TopicFacts, Topics};
use super::super::views::MemberView;
use super::super::wanted::topics_hash;
use super::topics::TestTopics;
use crate::base::{GroupId, InstanceId, MemberEpoch, MemberId, Offset, TopicId, TopicPartition};
use crate::coordinator::{Effects, Now, Shard, StoredRecord, Timers};

pub(super) type Checked = Result<(), String>;

/// Offsets where topics begin are above this, commits below.
pub(super) const STARTS: Offset = 1_000;

/// Gives up with a sentence.
macro_rules! ensure {
    ($holds:expr, $($what:tt)*) => {
        if !$holds {
            return Err(format!($($what)*));
        }
    };
}
pub(super) use ensure;

/// Where a client is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Life {
    /// It never joined, left, or was told that it is no member.
    Out,
    /// A stream stands.
    Connected,
    /// It lives and lost its stream.
    Away,
    /// It is gone without a word.
    Dead,
}

/// A client, and what it believes.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) group: GroupId,
    pub(super) instance: Option<InstanceId>,
    pub(super) subscription: Subscription,
    pub(super) life: Life,
    /// Does not answer revocations.
    pub(super) mute: bool,
    pub(super) id: Option<MemberId>,
    pub(super) epoch: MemberEpoch,
    /// What it reads, each with the epoch since which it owns it.
    pub(super) held: BTreeMap<TopicPartition, MemberEpoch>,
    /// What it was told to let go and still reads.
    pub(super) pending: BTreeSet<TopicPartition>,
}

/// Somebody who is no longer a member and does not know it.
#[derive(Clone, Debug)]
pub(super) struct Zombie {
    pub(super) group: GroupId,
    pub(super) id: MemberId,
    pub(super) epoch: MemberEpoch,
    pub(super) held: BTreeSet<TopicPartition>,
}

pub(super) struct World {
    pub(super) shard: GroupShard,
    pub(super) log: Vec<StoredRecord>,
    pub(super) timers: Timers<GroupTimer>,
    pub(super) now: Duration,
    pub(super) topics: TestTopics,
    /// The topics changed and the machine was not told.
    pub(super) unseen_topics: bool,
    pub(super) clients: Vec<Client>,
    pub(super) zombies: Vec<Zombie>,
    /// Members that were woken and have not looked yet.
    pub(super) woken: BTreeSet<(GroupId, MemberId)>,
    /// Groups that asked for a target.
    pub(super) asked: BTreeSet<GroupId>,
    /// Assignors at work.
    pub(super) at_work: Vec<AssignmentInput>,
    /// What is committed, by what was accepted.
    pub(super) offsets: BTreeMap<(GroupId, PartitionName), (TopicId, Offset)>,
    /// Owners of a partition over time: by epoch, the latest last. Starts anew with its group.
    history: BTreeMap<(GroupId, TopicPartition), Vec<(MemberEpoch, MemberId)>>,
    next_id: usize,
}

impl World {
    /// Clients of two groups, two of them with the same instance id, and two topics.
    pub(super) fn new(shard: GroupShard) -> Self {
        let names = |names: &[&str]| Subscription {
            names: names.iter().map(|name| Arc::from(*name)).collect(),
            pattern: None,
        };
        let pattern = Subscription { names: BTreeSet::new(), pattern: Some("t.".into()) };
        let client = |group: &str, instance: Option<&str>, subscription| Client {
            group: GroupId::stored(group),
            instance: instance.map(InstanceId::stored),
            subscription,
            life: Life::Out,
            mute: false,
            id: None,
            epoch: 0,
            held: BTreeMap::new(),
            pending: BTreeSet::new(),
        };
        let mut topics = TestTopics::default();
        topics.put("t0", 4);
        topics.put("t1", 2);
        Self {
            shard,
            log: Vec::new(),
            timers: Timers::new(),
            now: Duration::ZERO,
            topics,
            unseen_topics: false,
            clients: vec![
                client("a", None, names(&["t0"])),
                client("a", None, names(&["t0"])),
                client("a", None, names(&["t0", "t1"])),
                client("a", Some("i"), names(&["t0"])),
                client("a", Some("i"), names(&["t0"])),
                client("b", None, pattern.clone()),
                client("b", None, pattern),
            ],
            zombies: Vec::new(),
            woken: BTreeSet::new(),
            asked: BTreeSet::new(),
            at_work: Vec::new(),
            offsets: BTreeMap::new(),
            history: BTreeMap::new(),
            next_id: 0,
        }
    }

    /// Runs a command: append, replay, timers, signals.
    pub(super) fn run(&mut self, command: GroupCommand) -> Result<Result<GroupReply, GroupError>, String> {
        let mut out = Effects::new();
        let result = self.shard.handle(command, self.moment(), &mut out);
        if result.is_err() {
            return Ok(result);
        }
        self.take(out)?;
        Ok(result)
    }

    pub(super) fn moment(&self) -> Now {
        Now { monotonic: self.now, wall: self.now.as_millis() as i64 }
    }

    pub(super) fn take(&mut self, out: Effects<GroupShard>) -> Checked {
        self.check_beginnings(&out.records)?;
        for record in out.records {
            self.shard.replay(self.log.len() as Offset, &record);
            self.log.push(record);
        }
        for (timer, after) in out.timers {
            match after {
                Some(after) => self.timers.arm(timer, self.now + after),
                None => drop(self.timers.cancel(&timer)),
            }
        }
        for signal in out.signals {
            match signal {
                GroupSignal::Assign { group } => drop(self.asked.insert(group)),
                GroupSignal::Wake { group, member } => drop(self.woken.insert((group, member))),
                GroupSignal::Fenced { member, .. } => self.fence(&member),
            }
        }
        self.check_owners()
    }

    /// A client with a stream learns at once that it is no member; another goes on as a zombie.
    fn fence(&mut self, member: &MemberId) {
        let Some(client) = self.clients.iter_mut().find(|client| client.id.as_ref() == Some(member)) else {
            return;
        };
        let held = std::mem::take(&mut client.held);
        let (group, id, epoch) = (client.group.clone(), member.clone(), client.epoch);
        self.zombies.push(Zombie { group, id, epoch, held: held.into_keys().collect() });
        client.pending.clear();
        client.id = None;
        if client.life == Life::Connected {
            client.life = Life::Out;
        }
    }

    /// Lets time pass; timers go off at their moments.
    pub(super) fn pass(&mut self, time: Duration) -> Checked {
        let until = self.now + time;
        while let Some(next) = self.timers.next().filter(|next| *next <= until) {
            self.now = next.max(self.now);
            let Some(timer) = self.timers.pop_due(self.now) else { break };
            let mut out = Effects::new();
            self.shard.expire(timer, self.moment(), &mut out);
            self.take(out)?;
        }
        self.now = until;
        Ok(())
    }

    pub(super) fn join(&mut self, index: usize) -> Checked {
        self.next_id += 1;
        let client = &self.clients[index];
        let owned = client.held.iter().map(|(&id, &epoch)| Owned { id, epoch });
        let start = if client.group.as_str() == "a" { Start::Latest } else { Start::Earliest };
        let join = Join {
            group: client.group.clone(),
            member_id: client.id.clone(),
            fresh_id: MemberId::stored(&format!("m{}", self.next_id)),
            instance_id: client.instance.clone(),
            client_id: "client".into(),
            client_host: "host".into(),
            subscription: client.subscription.clone(),
            assignor: None,
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 60_000,
            start,
            owned: owned.collect(),
            connected: true,
            topics: self.topics.shared(),
        };
        let before = client.id.clone();
        let view = member_view(self.run(GroupCommand::Join(join))?)?;
        let client = &mut self.clients[index];
        if before.as_ref() != Some(&view.member_id) {
            (client.held, client.pending) = Default::default();
        }
        client.id = Some(view.member_id.clone());
        client.life = Life::Connected;
        self.believe(index, &view)
    }

    pub(super) fn heartbeat(&mut self, index: usize, owned: Option<BTreeSet<TopicPartition>>) -> Checked {
        let client = &self.clients[index];
        let Some(member_id) = client.id.clone() else { return Ok(()) };
        let heartbeat = Heartbeat {
            group: client.group.clone(),
            member_id: member_id.clone(),
            epoch: client.epoch,
            owned,
            subscription: Some(client.subscription.clone()),
            connected: true,
            topics: self.topics.shared(),
        };
        self.woken.remove(&(client.group.clone(), member_id));
        let view = member_view(self.run(GroupCommand::Heartbeat(heartbeat))?)?;
        self.believe(index, &view)
    }

    /// The client finishes what it was told to let go, and says so.
    pub(super) fn answer(&mut self, index: usize) -> Checked {
        let client = &mut self.clients[index];
        for id in std::mem::take(&mut client.pending) {
            client.held.remove(&id);
        }
        let owned = client.held.keys().copied().collect();
        self.heartbeat(index, Some(owned))
    }

    /// The client takes a view in: what it reads stays, or it is told to let it go.
    fn believe(&mut self, index: usize, view: &MemberView) -> Checked {
        let client = &mut self.clients[index];
        for (id, epoch) in &client.held {
            let stays = view.assigned.get(id) == Some(epoch);
            let asked = view.pending_revocation.contains(id);
            ensure!(stays || asked, "{} loses {id} without being asked: {view:?}", view.member_id);
            if let Some(member) = self.shard.groups.get(&client.group).and_then(|g| g.member(&view.member_id))
            {
                let wanted = super::super::state::has(member.target, id) && !client.pending.contains(id);
                ensure!(stays || !wanted, "{} is to let go of {id}, which its target has", view.member_id);
            }
        }
        client.pending =
            view.pending_revocation.iter().filter(|id| client.held.contains_key(id)).copied().collect();
        let kept = client.pending.iter().map(|id| (*id, client.held[id]));
        client.held =
            view.assigned.iter().map(|(id, epoch)| (*id, *epoch)).chain(kept.collect::<Vec<_>>()).collect();
        client.epoch = view.member_epoch;
        self.check_readers()
    }

    /// No two clients that are connected read the same.
    fn check_readers(&self) -> Checked {
        let mut readers = BTreeMap::new();
        for client in self.clients.iter().filter(|client| client.life == Life::Connected) {
            for id in client.held.keys() {
                let before = readers.insert((&client.group, *id), &client.id);
                ensure!(before.is_none(), "{id} is read by {before:?} and {:?}", client.id);
            }
        }
        Ok(())
    }

    /// One owner at any time, one for each epoch, and epochs rise from owner to owner.
    fn check_owners(&mut self) -> Checked {
        self.history.retain(|(group, _), _| self.shard.groups.contains_key(group));
        for (group_id, group) in &self.shard.groups {
            let mut owners = BTreeMap::new();
            let mut instances = BTreeSet::new();
            for member in group.members() {
                let instance = member.membership.instance_id.clone();
                ensure!(instance.is_none_or(|i| instances.insert(i)), "two members with one instance id");
                for (id, epoch) in member.current().owned() {
                    let before = owners.insert(id, member.id);
                    ensure!(before.is_none(), "{id} is owned by {before:?} and {}", member.id);
                    let history = self.history.entry((group_id.clone(), id)).or_default();
                    let now = (epoch, member.id.clone());
                    if history.last() == Some(&now) {
                        continue;
                    }
                    let rises = history.last().is_none_or(|(last, _)| *last < epoch);
                    ensure!(rises, "{id} goes to {now:?} after {:?}", history.last());
                    history.push(now);
                }
            }
        }
        Ok(())
    }

    /// Records may be parted anywhere: with any beginning of them nothing has two owners, and every partition is in one target, or a
    /// target is asked for.
    fn check_beginnings(&self, records: &[StoredRecord]) -> Checked {
        let mut shard = self.shard.clone();
        for (count, record) in records.iter().enumerate().take(records.len().saturating_sub(1)) {
            shard.replay(self.log.len() as Offset, record);
            for group in shard.groups.values() {
                let mut owned = BTreeSet::new();
                let mut wanted = BTreeSet::new();
                for member in group.members() {
                    for (id, _) in member.current().owned() {
                        ensure!(owned.insert(id), "after {count} of {records:?} {id} has two owners");
                    }
                    for id in partitions(member.target) {
                        let is_new = wanted.insert(id) || group.needs_target();
                        ensure!(is_new, "after {count} of {records:?} {id} is in two targets");
                    }
                }
                let topics = group.wanted.resolve(&self.topics);
                let is_of_now = group.head.is_some_and(|head| head.topics_hash == topics_hash(&topics));
                if is_of_now && group.member_count() > 0 && !group.needs_target() {
                    let all: i32 = topics.values().map(|topic| topic.partition_count).sum();
                    ensure!(
                        wanted.len() >= all as usize,
                        "after {count} of {records:?} nobody is to have some"
                    );
                }
            }
        }
        Ok(())
    }

    pub(super) fn disconnect(&mut self, index: usize, life: Life) -> Checked {
        let client = &mut self.clients[index];
        client.life = life;
        let Some(member_id) = client.id.clone() else { return Ok(()) };
        let disconnect = Disconnect { group: client.group.clone(), member_id };
        let result = self.run(GroupCommand::Disconnect(disconnect))?;
        ensure!(result.is_ok(), "a member is unknown: {result:?}");
        Ok(())
    }

    pub(super) fn leave(&mut self, index: usize, keep: bool) -> Checked {
        let client = &mut self.clients[index];
        client.life = Life::Out;
        let Some(member_id) = client.id.clone() else { return Ok(()) };
        let leave = Leave { group: client.group.clone(), member_id, keep };
        let result = self.run(GroupCommand::Leave(leave))?;
        ensure!(result.is_ok(), "a member is unknown: {result:?}");
        let client = &mut self.clients[index];
        (client.id, client.held, client.pending) = Default::default();
        Ok(())
    }

    /// An assignor begins to work on what a group asks for.
    pub(super) fn begin_assign(&mut self) {
        let topics = self.topics.clone();
        while let Some(group) = self.asked.pop_first() {
            self.at_work.extend(self.shard.assignment_input(&group, &topics));
        }
    }

    /// An assignor is done.
    pub(super) fn end_assign(&mut self, index: usize) -> Checked {
        if self.at_work.is_empty() {
            return Ok(());
        }
        let input = self.at_work.remove(index % self.at_work.len());
        let starts: Vec<Position> = input.to_start.iter().flat_map(starts_of).collect();
        let install = InstallTarget::new(&input, assign(&input), starts.clone(), self.topics.shared());
        let group = self.shard.groups.get(&input.group);
        let counts = group.is_some_and(|group| {
            let has_members = group.members().map(|member| member.id).eq(input.members.keys());
            let topics = group.wanted.resolve(&self.topics);
            group.epoch() == input.group_epoch
                && has_members
                && topics == input.topics
                && group.needs_target()
        });
        let result = self.run(GroupCommand::InstallTarget(install))?;
        ensure!(result.is_ok(), "an install is refused: {result:?}");
        for start in starts.iter().filter(|_| counts) {
            let kept = self
                .offsets
                .entry((input.group.clone(), start.name()))
                .or_insert((start.topic_id, start.offset));
            if kept.0 != start.topic_id {
                *kept = (start.topic_id, start.offset);
            }
        }
        Ok(())
    }

    pub(super) fn tell_topics(&mut self) -> Checked {
        self.unseen_topics = false;
        let changed = TopicsChanged { topics: self.topics.shared() };
        let result = self.run(GroupCommand::TopicsChanged(changed))?;
        ensure!(result.is_ok(), "{result:?}");
        self.offsets.retain(|_, (topic_id, _)| self.topics.by_id(*topic_id).is_some());
        Ok(())
    }

    /// Commits one offset, and notes it where it was accepted. Returns whether it was.
    pub(super) fn commit(
        &mut self,
        group: &GroupId,
        member: Option<(MemberId, MemberEpoch)>,
        id: TopicPartition,
        offset: Offset,
    ) -> Result<bool, String> {
        let Some(facts) = self.topics.by_id(id.topic_id) else { return Ok(false) };
        let position = position(&facts, id.partition, offset);
        let name = position.name();
        let commit = Commit { group: group.clone(), member, positions: vec![position] };
        let accepted = match self.run(GroupCommand::Commit(commit))? {
            Ok(GroupReply::Committed(results)) => results == [Ok(())],
            Ok(reply) => return Err(format!("not the reply to a commit: {reply:?}")),
            Err(_) => false,
        };
        if accepted {
            self.offsets.insert((group.clone(), name), (id.topic_id, offset));
        }
        Ok(accepted)
    }

    /// What the machine has committed is what was accepted, and nothing else.
    pub(super) fn check_offsets(&self) -> Checked {
        let mut found = BTreeMap::new();
        for (id, group) in &self.shard.groups {
            for (name, kept) in &group.offsets {
                found.insert((id.clone(), name.clone()), (kept.position.topic_id, kept.position.offset));
            }
        }
        ensure!(found == self.offsets, "committed: {found:?}, accepted: {:?}", self.offsets);
        Ok(())
    }
}

pub(super) fn position(facts: &TopicFacts, partition: i32, offset: Offset) -> Position {
    Position {
        topic_id: facts.id,
        topic: facts.name.clone(),
        partition,
        offset,
        leader_epoch: 0,
        metadata: "".into(),
    }
}

fn starts_of(facts: &TopicFacts) -> Vec<Position> {
    (0..facts.partition_count).map(|partition| position(facts, partition, STARTS + facts.created)).collect()
}

fn member_view(result: Result<GroupReply, GroupError>) -> Result<MemberView, String> {
    match result {
        Ok(GroupReply::Member(view)) => Ok(view),
        other => Err(format!("a member gets no view: {other:?}")),
    }
}

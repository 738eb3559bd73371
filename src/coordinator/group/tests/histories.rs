//! Random histories: what holds in all of them, and that breaking any rule is noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::super::command::{GroupCommand, GroupReply};
use super::super::commands::{DeleteGroup, DeleteOffsets, GetOffsets};
use super::super::errors::DeleteOffsetError;
use super::super::position::PartitionName;
use super::super::rules::GroupRule;
use super::super::shard::GroupShard;
use super::super::topics::Topics;
use super::world::{Checked, Life, World, ensure};
use crate::base::rules::Rules;
use crate::base::{GroupId, MemberEpoch, Offset, TopicPartition};
use crate::coordinator::{Effects, Shard, StoredRecord};

/// One thing that happens; numbers pick from whatever there is.
#[derive(Clone, Debug)]
enum Step {
    Join(usize),
    Look(usize),
    Answer(usize),
    Lose(usize),
    Die(usize),
    Leave(usize, bool),
    Mute(usize),
    Subscribe(usize, usize),
    Commit { client: usize, partition: usize, epoch: MemberEpoch, offset: Offset },
    ZombieCommit(usize, Offset),
    OutsideCommit { group: usize, partition: usize, offset: Offset },
    BeginAssign,
    EndAssign(usize),
    PutTopic(usize, i32),
    DeleteTopic(usize),
    TellTopics,
    Pass(u64),
    Reload(u64),
    DeleteGroup(usize),
    DeleteOffset(usize, usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let client = || 0usize..7;
    prop_oneof![
        6 => client().prop_map(Step::Join),
        6 => client().prop_map(Step::Look),
        5 => client().prop_map(Step::Answer),
        2 => client().prop_map(Step::Lose),
        2 => client().prop_map(Step::Die),
        2 => (client(), any::<bool>()).prop_map(|(client, keep)| Step::Leave(client, keep)),
        1 => client().prop_map(Step::Mute),
        2 => (client(), 0usize..4).prop_map(|(client, what)| Step::Subscribe(client, what)),
        5 => (client(), 0usize..8, -2i32..2, 0i64..900).prop_map(|(client, partition, epoch, offset)| {
            Step::Commit { client, partition, epoch, offset }
        }),
        2 => (0usize..9, 0i64..900).prop_map(|(zombie, offset)| Step::ZombieCommit(zombie, offset)),
        1 => (0usize..2, 0usize..8, 0i64..900).prop_map(|(group, partition, offset)| {
            Step::OutsideCommit { group, partition, offset }
        }),
        5 => Just(Step::BeginAssign),
        6 => (0usize..3).prop_map(Step::EndAssign),
        2 => (0usize..4, 1i32..6).prop_map(|(topic, partitions)| Step::PutTopic(topic, partitions)),
        1 => (0usize..4).prop_map(Step::DeleteTopic),
        2 => Just(Step::TellTopics),
        3 => (0u64..25_000).prop_map(Step::Pass),
        1 => any::<u64>().prop_map(Step::Reload),
        1 => (0usize..2).prop_map(Step::DeleteGroup),
        1 => (0usize..2, 0usize..8).prop_map(|(group, partition)| Step::DeleteOffset(group, partition)),
    ]
}

fn any_history() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(any_step(), 1..90)
}

fn group(index: usize) -> GroupId {
    GroupId::stored(["a", "b"][index % 2])
}

/// A log as compaction may leave it: of each key the newest record, or nothing where that is a tombstone; of the older ones any.
fn compacted(log: &[StoredRecord], seed: u64) -> Vec<StoredRecord> {
    let mut state = seed | 1;
    let mut coin = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 40 & 1 == 1
    };
    let newest: BTreeMap<&Bytes, usize> =
        log.iter().enumerate().map(|(at, record)| (&record.key, at)).collect();
    let gone: BTreeSet<&Bytes> =
        newest.iter().filter(|(_, at)| log[**at].value.is_none() && coin()).map(|(key, _)| *key).collect();
    let stays = |(at, record): &(usize, &StoredRecord)| {
        !gone.contains(&record.key) && (newest[&record.key] == *at || coin())
    };
    log.iter().enumerate().filter(stays).map(|(_, record)| record.clone()).collect()
}

fn replayed(log: &[StoredRecord], mut shard: GroupShard) -> GroupShard {
    log.iter().enumerate().for_each(|(at, record)| shard.replay(at as Offset, record));
    shard
}

fn machine(out: Option<GroupRule>) -> GroupShard {
    GroupShard::under(Rules::without(out))
}

impl World {
    fn step(&mut self, step: &Step, out: Option<GroupRule>) -> Checked {
        let life = |world: &Self, index: usize| world.clients[index].life;
        match step {
            Step::Join(index) if life(self, *index) != Life::Connected => self.join(*index),
            Step::Look(index) if life(self, *index) == Life::Connected => self.heartbeat(*index, None),
            Step::Answer(index) if life(self, *index) == Life::Connected && !self.clients[*index].mute => {
                self.answer(*index)
            }
            Step::Lose(index) if life(self, *index) == Life::Connected => self.disconnect(*index, Life::Away),
            Step::Die(index) if life(self, *index) == Life::Connected => self.disconnect(*index, Life::Dead),
            Step::Leave(index, keep) if life(self, *index) == Life::Connected => self.leave(*index, *keep),
            Step::Mute(index) => {
                self.clients[*index].mute = true;
                Ok(())
            }
            Step::Subscribe(index, what) => {
                self.clients[*index].subscription.names = match what {
                    0 => BTreeSet::from([Arc::from("t0")]),
                    1 => BTreeSet::from([Arc::from("t0"), Arc::from("t1")]),
                    2 => BTreeSet::from([Arc::from("t1"), Arc::from("t2")]),
                    _ => BTreeSet::from([Arc::from("t3")]),
                };
                Ok(())
            }
            Step::BeginAssign => {
                self.begin_assign();
                Ok(())
            }
            Step::EndAssign(index) => self.end_assign(*index),
            Step::TellTopics => self.tell_topics(),
            Step::Pass(ms) => self.pass(Duration::from_millis(*ms)),
            Step::Reload(seed) => self.reload(*seed, out),
            Step::PutTopic(..) | Step::DeleteTopic(_) => {
                self.change_topics(step);
                Ok(())
            }
            Step::Commit { .. } | Step::ZombieCommit(..) | Step::OutsideCommit { .. } => {
                self.try_commit(step)
            }
            Step::DeleteGroup(_) | Step::DeleteOffset(..) => self.try_delete(step),
            _ => Ok(()),
        }
    }

    fn change_topics(&mut self, step: &Step) {
        self.unseen_topics = true;
        match step {
            Step::PutTopic(index, partitions) => self.topics.put(&format!("t{index}"), *partitions),
            Step::DeleteTopic(index) => self.topics.delete(&format!("t{index}")),
            _ => {}
        }
    }

    fn some_partition(&self, index: usize) -> Option<TopicPartition> {
        let all = self.topics.all().flat_map(|facts| {
            let topic_id = facts.id;
            (0..facts.partition_count).map(move |partition| TopicPartition { topic_id, partition })
        });
        let all: Vec<_> = all.collect();
        (!all.is_empty()).then(|| all[index % all.len()])
    }

    /// Commits are accepted exactly when the committer, by what it was told, is the owner in that epoch.
    fn try_commit(&mut self, step: &Step) -> Checked {
        match step {
            Step::Commit { client, partition, epoch, offset } => {
                let client = &self.clients[*client];
                let (Some(id), Life::Connected) = (client.id.clone(), client.life) else { return Ok(()) };
                let held: Vec<TopicPartition> = client.held.keys().copied().collect();
                let some = if partition % 2 == 0 { held.get(partition / 2).copied() } else { None };
                let Some(partition) = some.or_else(|| self.some_partition(*partition)) else { return Ok(()) };
                if self.topics.by_id(partition.topic_id).is_none() {
                    return Ok(());
                }
                let given = client.epoch + epoch;
                let since = client.held.get(&partition).copied();
                let expected = since.is_some_and(|since| (since..=client.epoch).contains(&given));
                let group = client.group.clone();
                let accepted = self.commit(&group, Some((id, given)), partition, *offset)?;
                ensure!(accepted == expected, "accepted: {accepted}, owned since {since:?}, epoch {given}");
            }
            Step::ZombieCommit(index, offset) if !self.zombies.is_empty() => {
                let zombie = self.zombies[index % self.zombies.len()].clone();
                for id in zombie.held {
                    let member = Some((zombie.id.clone(), zombie.epoch));
                    let accepted = self.commit(&zombie.group, member, id, *offset)?;
                    ensure!(!accepted, "{} was no member and committed", zombie.id);
                }
            }
            Step::OutsideCommit { group: index, partition, offset } => {
                let Some(id) = self.some_partition(*partition) else { return Ok(()) };
                let members = self.shard.groups.get(&group(*index)).map_or(0, |group| group.member_count());
                let accepted = self.commit(&group(*index), None, id, *offset)?;
                ensure!(accepted == (members == 0), "accepted: {accepted}, members: {members}");
            }
            _ => {}
        }
        self.check_offsets()
    }

    fn try_delete(&mut self, step: &Step) -> Checked {
        match step {
            Step::DeleteGroup(index) => {
                let group = group(*index);
                let found = self.shard.groups.get(&group).map(|group| group.member_count());
                let result = self.run(GroupCommand::DeleteGroup(DeleteGroup { group: group.clone() }))?;
                ensure!(result.is_ok() == (found == Some(0)), "{result:?} with members {found:?}");
                if result.is_ok() {
                    self.offsets.retain(|(of, _), _| *of != group);
                    ensure!(!self.shard.groups.contains_key(&group), "a record of {group} is left");
                }
            }
            Step::DeleteOffset(index, partition) => {
                let group = group(*index);
                let names: Vec<PartitionName> = self.offsets.keys().map(|(_, name)| name.clone()).collect();
                let Some(name) = names.get(*partition).cloned() else { return Ok(()) };
                let is_wanted =
                    self.shard.groups.get(&group).is_some_and(|group| group.wanted.has(&name.topic));
                let delete = DeleteOffsets { group: group.clone(), partitions: vec![name.clone()] };
                if let Ok(GroupReply::Deleted(results)) = self.run(GroupCommand::DeleteOffsets(delete))? {
                    let refused = results == [Err(DeleteOffsetError::Subscribed)];
                    ensure!(refused == is_wanted, "{results:?}, wanted: {is_wanted}");
                    if !refused {
                        self.offsets.remove(&(group, name));
                    }
                }
            }
            _ => {}
        }
        self.check_offsets()
    }

    /// The broker restarts: the machine comes back from a compacted log, streams and timers are gone.
    fn reload(&mut self, seed: u64, out: Option<GroupRule>) -> Checked {
        let loaded = replayed(&compacted(&self.log, seed), machine(out));
        ensure!(loaded == self.shard, "from the compacted log: {loaded:#?}, live: {:#?}", self.shard);
        self.shard = loaded;
        self.timers = Default::default();
        self.woken.clear();
        self.asked.clear();
        for client in self.clients.iter_mut().filter(|client| client.life == Life::Connected) {
            client.life = Life::Away;
        }
        let mut effects = Effects::new();
        self.shard.loaded(self.moment(), &mut effects);
        self.take(effects)
    }

    /// What is handed out is of the living topics.
    fn check_live_offsets(&mut self) -> Checked {
        for group in [group(0), group(1)] {
            let get = GetOffsets { group: group.clone(), partitions: None, topics: self.topics.shared() };
            let Ok(GroupReply::Offsets(found)) = self.run(GroupCommand::GetOffsets(get))? else {
                return Err("no offsets".to_owned());
            };
            for committed in &found {
                let live = self.topics.by_id(committed.position.topic_id);
                ensure!(live.is_some(), "an offset of a topic that is gone: {committed:?}");
            }
            let living = self
                .offsets
                .iter()
                .filter(|((of, _), (topic_id, _))| *of == group && self.topics.by_id(*topic_id).is_some());
            ensure!(found.len() == living.count(), "{found:?} of {:?}", self.offsets);
        }
        Ok(())
    }
}

/// Lives through a history.
fn live(history: &[Step], out: Option<GroupRule>) -> Checked {
    let mut world = World::new(machine(out));
    for step in history {
        world.step(step, out)?;
        world.check_offsets()?;
        world.check_live_offsets()?;
    }
    world.settle()?;
    let whole = replayed(&world.log, machine(out));
    ensure!(whole == world.shard, "from the log: {whole:#?}, live: {:#?}", world.shard);
    for seed in 0..4 {
        let loaded = replayed(&compacted(&world.log, seed), machine(out));
        ensure!(loaded == world.shard, "from the compacted log: {loaded:#?}, live: {:#?}", world.shard);
    }
    Ok(())
}

proptest! {
    #![proptest_config(Config { cases: 150, ..Config::default() })]
    #[test]
    fn every_promise_holds_in_every_history(history in any_history()) {
        if let Err(breach) = live(&history, None) {
            prop_assert!(false, "{}", breach);
        }
    }
}

/// Histories within which a rule that was taken out has to be noticed.
const HISTORIES_MAX: u32 = 3_000;

#[test]
fn breaking_any_rule_is_noticed() {
    let config =
        Config { cases: HISTORIES_MAX, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let unnoticed = GroupRule::ALL.into_iter().filter(|rule| {
        let mut runner =
            TestRunner::new_with_rng(config.clone(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let lives = runner.run(&any_history(), |history| {
            live(&history, Some(*rule)).map_err(proptest::test_runner::TestCaseError::fail)
        });
        lives.is_ok()
    });
    assert_eq!(unnoticed.collect::<Vec<_>>(), []);
}

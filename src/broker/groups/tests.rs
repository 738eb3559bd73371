//! Group machines on the in-memory disk, with a clock that moves when told.
#![allow(clippy::unwrap_used)]

mod background;
mod listing;
mod resets;
mod sessions;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{JoinRequest, OffsetCommit, parse_group};
use crate::base::{Error, ErrorKind, GroupId, MemberId, Outcome};
use crate::broker::Broker;
use crate::broker::topics::CreateTopic;
use crate::config::{BrokerSettings, Machine};
use crate::env::sim_disk::{Effect, Fault, OpKind};
use crate::env::{Env, Rng, SimClock, SimDisk};

pub(super) const TOPIC: &str = "orders";

/// The session timeout of members here.
const SESSION_MS: i32 = 5_000;

/// Partitions of the topic.
pub(super) const PARTITIONS: i32 = 40;

/// What an error is about, and what it says of the outcome.
type Told = (ErrorKind, Outcome);

fn told(error: Error) -> Told {
    (error.kind, error.outcome)
}

pub(super) struct World {
    disk: SimDisk,
    clock: SimClock,
    pub(super) broker: Arc<Broker>,
}

impl World {
    pub(super) async fn start(memory_bytes: u64) -> Self {
        let (disk, clock) = (SimDisk::new(Default::default()), SimClock::new(1_000_000));
        let broker = start(&disk, &clock, memory_bytes).await;
        let topic =
            CreateTopic { name: TOPIC.to_owned(), partition_count: PARTITIONS, ..CreateTopic::default() };
        broker.create_topic(topic).await.unwrap();
        Self { disk, clock, broker }
    }

    /// Commits these offsets, the partitions in turn; how many were taken.
    async fn commit(&self, offsets: std::ops::Range<i32>, metadata_bytes: usize) -> Result<usize, Told> {
        let commit = |offset| OffsetCommit {
            topic: TOPIC.to_owned(),
            topic_id: None,
            partition: offset % PARTITIONS,
            offset: i64::from(offset),
            leader_epoch: None,
            metadata: "m".repeat(metadata_bytes),
        };
        let results = self.broker.commit_offsets(&group(), None, offsets.map(commit).collect()).await;
        Ok(results.map_err(told)?.iter().filter(|result| result.is_ok()).count())
    }

    /// The committed offsets, in order.
    async fn committed(&self) -> Vec<i64> {
        let found = self.broker.committed_offsets(&group(), None).await.unwrap();
        let mut found: Vec<_> = found.iter().map(|one| one.position.offset).collect();
        found.sort_unstable();
        found
    }

    async fn join(&self, client_id: &str) -> Result<MemberId, Told> {
        let joined = self.broker.join_group(joining(client_id)).await;
        joined.map(|view| view.member_id).map_err(told)
    }

    async fn restart(&mut self) {
        assert!(self.broker.stop(Duration::from_secs(30)).await);
        self.broker = start(&self.disk, &self.clock, 1 << 30).await;
    }

    async fn members(&self) -> usize {
        self.broker.describe_group(&group()).await.unwrap().members.len()
    }

    /// Fails every write of the log that the group lies in, without a trace, after so many.
    fn fail_writes(&self, after: u32) {
        let number = super::coordinator_partition(&group());
        let folder = format!("/data/__consumer_offsets-{number}");
        let is_log = move |path: &Path| {
            path.starts_with(&folder) && path.extension().is_some_and(|ending| ending == "log")
        };
        self.disk.fail(Fault::on(OpKind::Write, is_log, Effect::Full).skipping(after).times(u32::MAX));
    }
}

async fn start(disk: &SimDisk, clock: &SimClock, memory_bytes: u64) -> Arc<Broker> {
    let env = Env {
        disk: Arc::new(disk.clone()),
        clock: Arc::new(clock.clone()),
        rng: Arc::new(Rng::seeded(disk.op_count())),
    };
    let machine = Machine { memory_bytes: 1 << 30, cores: 1, descriptors_max: 1024 };
    let mut settings = BrokerSettings::defaults(&machine);
    settings.data_dir = "/data".into();
    settings.memory_bytes = memory_bytes;
    Broker::start(env, settings).await.unwrap()
}

fn joining(client_id: &str) -> JoinRequest {
    JoinRequest {
        group: "g".to_owned(),
        client_id: client_id.to_owned(),
        topics: vec![TOPIC.to_owned()],
        session_timeout_ms: SESSION_MS,
        ..JoinRequest::default()
    }
}

fn group() -> GroupId {
    parse_group("g").unwrap()
}

#[tokio::test]
async fn a_commit_that_is_larger_than_a_batch_is_there_after_a_restart() {
    let mut world = World::start(1 << 30).await;
    assert_eq!(world.commit(0..2_000, 4_000).await, Ok(2_000));
    let last: Vec<i64> = (1_960..2_000).collect();
    assert_eq!(world.committed().await, last);
    world.restart().await;
    assert_eq!(world.committed().await, last);
}

#[tokio::test]
async fn what_was_written_before_the_disk_was_full_is_known_and_told_as_unknown() {
    let world = World::start(1 << 30).await;
    assert_eq!(world.commit(0..1, 0).await, Ok(1));
    world.fail_writes(1);
    assert_eq!(world.commit(0..2_000, 4_000).await, Err((ErrorKind::DiskFull, Outcome::Unknown)));
    world.disk.clear_faults();
    let there = *world.committed().await.last().unwrap();
    assert!((500..1_100).contains(&there), "one batch of it: {there}");
    assert_eq!(world.commit(0..2_000, 4_000).await, Ok(2_000));
    assert_eq!(world.committed().await.len(), 40);
}

#[tokio::test]
async fn a_timer_whose_record_had_no_room_goes_off_again() {
    let world = World::start(1 << 30).await;
    world.join("gone").await.unwrap();
    assert_eq!(world.members().await, 1);
    let host = world.broker.group_host(&group()).await.unwrap();
    world.fail_writes(0);
    world.clock.advance(Duration::from_millis(SESSION_MS as u64 + 1));
    host.expire().await;
    assert_eq!(world.members().await, 1, "its end could not be written");
    let next = host.next_timer().expect("it goes off again");
    host.expire().await;
    assert_eq!(host.next_timer(), Some(next), "not at once");
    world.clock.advance(Duration::from_secs(60));
    host.expire().await;
    let later = host.next_timer().expect("and again");
    world.disk.clear_faults();
    let now = crate::env::Clock::monotonic(&world.clock);
    assert!(later - now > Duration::from_millis(900), "each time it waits longer");
    world.clock.advance(later - now);
    host.expire().await;
    assert_eq!(world.members().await, 0);
    assert_eq!(host.next_timer(), None);
}

#[tokio::test]
async fn groups_take_from_the_memory_budget_and_wait_for_more_where_it_is_used_up() {
    let world = World::start(256 << 20).await;
    let refused = (ErrorKind::Throttled, Outcome::NotWritten);
    let budget = world.broker.budget().clone();
    let before = budget.used_bytes();
    assert_eq!(world.commit(0..40, 4_000).await, Ok(40));
    let taken = budget.used_bytes() - before;
    assert!((160_000..200_000).contains(&taken), "{taken}");
    world.broker.delete_group(&group()).await.unwrap();
    assert_eq!(budget.used_bytes(), before);

    assert_eq!(world.commit(0..10, 100).await, Ok(10));
    let others = budget.try_debit(budget.limit_bytes() - budget.used_bytes()).unwrap();
    assert_eq!(world.commit(0..20, 100).await, Ok(20), "what tips it over is taken");
    assert_eq!(world.commit(0..30, 100).await, Err(refused));
    assert_eq!(world.join("one more").await, Err(refused));
    assert_eq!(world.commit(0..20, 100).await, Ok(20), "who is in goes on");
    drop(others);
    assert_eq!(world.commit(0..30, 100).await, Ok(30));
}

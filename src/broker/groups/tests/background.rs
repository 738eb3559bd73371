//! What looks after groups beside requests.

use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt;

use super::sessions::PATIENCE;
use super::{PARTITIONS, SESSION_MS, World, group, joining};
use crate::base::MemberId;
use crate::broker::groups::JoinRequest;
use crate::broker::groups::background::{WOKEN_AT_ONCE, load, tell_topics, wake_in_turn};
use crate::broker::topics::CreateTopic;
use crate::coordinator::group::GroupSignal;
use crate::coordinator::runtime::Listener;
use crate::env::sim_disk::{Effect, Fault, OpKind};

/// What looks after the groups of a world, whenever a test lets it.
struct Care(Pin<Box<dyn Future<Output = ()>>>);

impl Care {
    fn of(world: &World) -> Self {
        Self(Box::pin(world.broker.clone().look_after_groups()))
    }

    /// Goes on until something holds.
    async fn until(&mut self, holds: impl AsyncFn() -> bool) {
        let steps = async {
            while !holds().await {
                assert!(self.0.as_mut().now_or_never().is_none(), "it never ends");
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, steps).await.expect("it happens");
    }

    /// Goes on while nothing else happens.
    async fn settle(&mut self) {
        for _ in 0..100 {
            assert!(self.0.as_mut().now_or_never().is_none(), "it never ends");
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_broker_that_stood_still_waits_as_long_as_before_and_no_longer() {
    let world = World::start(1 << 30).await;
    world.join("silent").await.unwrap();
    let mut care = Care::of(&world);
    care.until(async || world.clock.next_deadline().is_some()).await;
    let step = Duration::from_millis(100);
    let mut waited = Duration::ZERO;
    for stall in [Duration::from_secs(20), Duration::from_secs(3)] {
        for _ in 0..10 {
            world.clock.advance(step);
            waited += step;
            care.settle().await;
        }
        world.clock.advance(stall);
        care.settle().await;
    }
    let whole = Duration::from_millis(SESSION_MS as u64);
    while world.members().await == 1 {
        world.clock.advance(step);
        waited += step;
        care.settle().await;
        assert!(waited <= whole + step, "it waits longer than it was to");
    }
    // Of each stall the time until the next beat passes.
    assert!(waited + Duration::from_secs(1) >= whole, "it waited for {waited:?} only");
}

#[tokio::test]
async fn topics_that_come_while_groups_are_loaded_are_told() {
    let mut world = World::start(1 << 30).await;
    let all = JoinRequest { topics: Vec::new(), pattern: ".*".to_owned(), ..joining("all") };
    world.broker.join_group(all).await.unwrap();
    Care::of(&world).until(async || to_own(&world).await == PARTITIONS as usize).await;
    world.restart().await;
    let mut care = Care::of(&world);
    let number = crate::broker::groups::coordinator_partition(&group()) as usize;
    care.until(async || world.broker.groups().hosts().count() > number + 1).await;
    assert!(world.broker.groups().hosts().count() < 50, "others are loaded after this");
    let topic = CreateTopic { name: "late".to_owned(), partition_count: 1, ..CreateTopic::default() };
    world.broker.create_topic(topic).await.unwrap();
    care.until(async || to_own(&world).await == PARTITIONS as usize + 1).await;
}

#[tokio::test]
async fn groups_that_can_not_be_loaded_are_told_with_their_partition() {
    let mut world = World::start(1 << 30).await;
    world.commit(0..1, 0).await.unwrap();
    world.restart().await;
    let number = crate::broker::groups::coordinator_partition(&group());
    let host = world.broker.host_of(number).await.unwrap();
    let folder = format!("/data/__consumer_offsets-{number}");
    world
        .disk
        .fail(Fault::on(OpKind::Read, move |path| path.starts_with(&folder), Effect::Io).times(u32::MAX));
    let errors = [
        load(&world.broker, number).await.unwrap_err(),
        tell_topics(&world.broker, &host).await.unwrap_err(),
        world.broker.list_groups().await.unwrap().errors.remove(0),
    ];
    let place = format!("partition {number} of topic '__consumer_offsets'");
    for error in errors {
        assert!(error.message.starts_with(&place), "{error}");
    }
}

/// How many partitions the member is to own.
async fn to_own(world: &World) -> usize {
    world.broker.describe_group(&group()).await.unwrap().members[0].target.len()
}

#[tokio::test]
async fn many_members_are_woken_a_few_at_a_time() {
    let world = World::start(1 << 30).await;
    let groups = world.broker.groups();
    let id = |number| MemberId::stored(&format!("m{number:02}"));
    let listening: Vec<_> = (0..40).map(|number| world.broker.listen(group(), id(number))).collect();
    for number in 0..40 {
        groups.board().take(GroupSignal::Wake { group: group(), member: id(number) });
    }
    let mut waking = Box::pin(wake_in_turn(groups));
    let mut woken = || {
        assert!((&mut waking).now_or_never().is_none(), "it never ends");
        listening.iter().filter(|listening| listening.changed().now_or_never().is_some()).count()
    };
    assert_eq!([woken(), woken(), woken(), woken()], [WOKEN_AT_ONCE, WOKEN_AT_ONCE, 8, 0]);
}

#[tokio::test]
async fn members_are_woken_while_groups_are_loaded() {
    let mut world = World::start(1 << 30).await;
    world.commit(0..1, 0).await.unwrap();
    world.restart().await;
    let (member, groups) = (MemberId::stored("m"), world.broker.groups());
    let listening = world.broker.listen(group(), member.clone());
    let mut care = Care::of(&world);
    groups.board().take(GroupSignal::Wake { group: group(), member });
    assert!(care.0.as_mut().now_or_never().is_none(), "it never ends");
    assert!(listening.changed().now_or_never().is_some());
    assert!(groups.hosts().count() < 50, "the others are loaded after this");
}

#[tokio::test]
async fn a_crowd_that_joins_has_its_turn_a_few_at_a_time() {
    const RECORDS_OF_A_JOIN: i64 = 3;
    let world = World::start(1 << 30).await;
    world.join("first").await.unwrap();
    let log = world.broker.group_host(&group()).await.unwrap().partition().clone();
    let end = || log.offsets().log_end;
    let (first, mut before) = (end(), end());
    let mut crowd: Vec<_> = (0..40).map(|_| Box::pin(world.join("crowd"))).collect();
    while !crowd.is_empty() {
        crowd.retain_mut(|join| join.as_mut().now_or_never().is_none());
        let joined = (end() - before) / RECORDS_OF_A_JOIN;
        assert!(joined <= 16, "{joined} joins in one go");
        before = end();
        tokio::task::yield_now().await;
    }
    assert_eq!(before - first, 40 * RECORDS_OF_A_JOIN);
}

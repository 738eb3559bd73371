//! What groups need beside requests: timers, targets, and to be told of topics that come and go.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, join, join3, select};
use futures_util::stream::FuturesUnordered;

use super::errors::{group_error, partition_error};
use super::hosts::{GroupHost, Groups};
use super::offsets_topic::OFFSETS_TOPIC;
use crate::base::limits::OFFSETS_PARTITIONS;
use crate::base::{Error, GroupId};
use crate::broker::Broker;
use crate::broker::fetch::list_offset;
use crate::broker::request::{OffsetAt, OffsetQuestion};
use crate::coordinator::group::assign::{AssignmentInput, assign};
use crate::coordinator::group::commands::{InstallTarget, TopicsChanged};
use crate::coordinator::group::position::Position;
use crate::coordinator::group::start::Start;
use crate::coordinator::group::{GroupCommand, TopicFacts};
use crate::env::Clock;
use crate::env::threads::off_shard;

/// How long a target waits that could not be computed, such as while the disk is full.
const AGAIN_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause before topics are told again. WHY longer and longer: a log that is offline stays so until a restart.
const AGAIN_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Members that are woken in one go. WHY so few: a target may be news for a thousand, all of whom ask at once, and whatever else the
/// shard has to do would wait behind all of them.
pub(super) const WOKEN_AT_ONCE: usize = 16;

/// Looks after groups until it is dropped. For one task of the broker; must run while groups have members.
pub async fn look_after_groups(broker: Arc<Broker>) {
    // WHY beside the load: members come back to groups that are loaded, and what is handed over to them waits for nobody.
    let wakes = wake_in_turn(broker.groups());
    let rest = async {
        load_all(&broker).await;
        join3(keep_timers(&broker), keep_targets(&broker), follow_topics(&broker)).await
    };
    join(wakes, rest).await;
}

/// Loads every group at a start, so that members that do not come back are missed.
async fn load_all(broker: &Arc<Broker>) {
    if broker.image().topic(OFFSETS_TOPIC).is_none_or(|topic| !topic.is_ready()) {
        return;
    }
    for number in 0..OFFSETS_PARTITIONS {
        if let Err(error) = load(broker, number).await {
            tracing::error!(partition = number, %error, "groups of this partition of {OFFSETS_TOPIC} are not available");
        }
    }
}

/// Loads the groups of one partition of the offsets topic.
pub(super) async fn load(broker: &Arc<Broker>, number: i32) -> Result<(), Error> {
    let host = broker.host_of(number).await?;
    host.load().await.map_err(|error| partition_error(number, error))
}

/// Lets timers go off, by a clock that stands still while this process does.
async fn keep_timers(broker: &Arc<Broker>) {
    let groups = broker.groups();
    loop {
        let (beat, timers) = (std::pin::pin!(groups.clock().beat()), std::pin::pin!(let_go_off(groups)));
        select(beat, timers).await;
        groups.board().alarm.notified().await;
    }
}

/// Lets timers go off until none runs.
async fn let_go_off(groups: &Groups) {
    let clock = groups.clock();
    while let Some(next) = groups.hosts().filter_map(|host| host.next_timer()).min() {
        let alarm = std::pin::pin!(groups.board().alarm.notified());
        let sleep = clock.sleep(next.saturating_sub(clock.monotonic()));
        if let Either::Left(_) = select(alarm, sleep).await {
            continue;
        }
        for host in groups.hosts() {
            if host.next_timer().is_some_and(|at| at <= clock.monotonic()) {
                host.expire().await;
            }
        }
    }
}

/// Tells members that they have news, a few at a time.
pub(super) async fn wake_in_turn(groups: &Groups) {
    let mut wakes = groups.wakes.lock().await;
    let mut some = Vec::with_capacity(WOKEN_AT_ONCE);
    while wakes.recv_many(&mut some, WOKEN_AT_ONCE).await > 0 {
        for (group, member) in some.drain(..) {
            groups.board().listeners.wake(group, member);
        }
        tokio::task::yield_now().await;
    }
}

async fn keep_targets(broker: &Arc<Broker>) {
    let mut asked = broker.groups().assigns.lock().await;
    let mut running = FuturesUnordered::new();
    let mut busy = HashSet::new();
    // Asked for again while one was being computed.
    let mut again = HashSet::new();
    loop {
        tokio::select! {
            Some(group) = asked.recv() => {
                if !busy.insert(group.clone()) {
                    again.insert(group);
                    continue;
                }
                running.push(compute(broker, group));
            }
            Some(group) = running.next(), if !running.is_empty() => {
                busy.remove(&group);
                if again.remove(&group) {
                    busy.insert(group.clone());
                    running.push(compute(broker, group));
                }
            }
        }
    }
}

/// Computes a target until it is installed, and gives the group back.
async fn compute(broker: &Arc<Broker>, group: GroupId) -> GroupId {
    while let Err(error) = compute_once(broker, &group).await {
        if *broker.stopping().borrow() {
            break;
        }
        tracing::warn!(%group, %error, "who reads what in a group could not be computed; trying again");
        broker.env().clock.sleep(AGAIN_PAUSE).await;
    }
    group
}

async fn compute_once(broker: &Arc<Broker>, group: &GroupId) -> Result<(), Error> {
    let host = broker.group_host(group).await?;
    let topics = broker.topics_view();
    let input = host.look(|shard| shard.assignment_input(group, &*topics)).await;
    let Some(input) = input.map_err(|error| group_error(group, error))? else { return Ok(()) };
    let starts = find_starts(broker, &input).await?;
    let (input, target) = off_shard(move || {
        let target = assign(&input);
        (input, target)
    })
    .await;
    let topics = broker.topics_view();
    let version = topics.version();
    let install = InstallTarget::new(&input, target, starts, topics);
    host.run(GroupCommand::InstallTarget(install)).await.map_err(|error| group_error(group, error))?;
    // The machine may have been told of newer topics between this view and its turn.
    if broker.topics_view().version() != version {
        tell_topics(broker, &host).await?;
    }
    Ok(())
}

/// Where the topics begin that a group reads for the first time.
///
/// Errors: a partition that can't be asked; the group waits for it rather than begin somewhere else.
async fn find_starts(broker: &Arc<Broker>, input: &AssignmentInput) -> Result<Vec<Position>, Error> {
    let at = match input.start {
        Start::Earliest => return Ok(Vec::new()),
        Start::Latest => OffsetAt::End,
        Start::Timestamp(at) => OffsetAt::Timestamp(at),
    };
    let mut starts = Vec::new();
    for topic in &input.to_start {
        for partition in 0..topic.partition_count {
            starts.push(find_start(broker, topic, partition, at).await?);
        }
    }
    Ok(starts)
}

async fn find_start(
    broker: &Arc<Broker>,
    topic: &TopicFacts,
    partition: i32,
    at: OffsetAt,
) -> Result<Position, Error> {
    let ask = |at| OffsetQuestion { topic: topic.name.to_string(), topic_id: Some(topic.id), partition, at };
    let mut found = list_offset(broker, ask(at)).await.result?;
    if found.offset.is_none() {
        // No record is that young.
        found = list_offset(broker, ask(OffsetAt::End)).await.result?;
    }
    Ok(Position {
        topic_id: topic.id,
        topic: topic.name.clone(),
        partition,
        offset: found.offset.unwrap_or(0),
        leader_epoch: found.leader_epoch.unwrap_or(-1),
        metadata: "".into(),
    })
}

/// Tells groups of topics that came and went, before they were loaded and from then on; again until all of them know.
async fn follow_topics(broker: &Arc<Broker>) {
    let mut changes = broker.metadata.changes();
    let mut pause = AGAIN_PAUSE;
    loop {
        changes.borrow_and_update();
        let are_told = tell_all(broker).await;
        let again = async {
            match are_told {
                true => std::future::pending().await,
                false => broker.env().clock.sleep(pause).await,
            }
        };
        tokio::select! {
            changed = changes.changed() => match changed {
                Ok(()) => pause = AGAIN_PAUSE,
                // The broker is gone.
                Err(_) => return,
            },
            () = again => pause = (pause * 2).min(AGAIN_PAUSE_MAX),
        }
    }
}

/// Whether every shard of groups was told of the topics.
async fn tell_all(broker: &Arc<Broker>) -> bool {
    let mut are_told = true;
    for host in broker.groups().hosts() {
        if let Err(error) = tell_topics(broker, host).await {
            tracing::warn!(%error, "groups were not told of changed topics; trying again");
            are_told = false;
        }
    }
    are_told
}

/// Tells the groups of one partition of the offsets topic which topics there are.
pub(super) async fn tell_topics(broker: &Arc<Broker>, host: &GroupHost) -> Result<(), Error> {
    let command = GroupCommand::TopicsChanged(TopicsChanged { topics: broker.topics_view() });
    let number = host.partition().id().partition;
    host.run(command).await.map(|_| ()).map_err(|error| partition_error(number, error))
}

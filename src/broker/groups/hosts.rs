//! The group machines of this broker: one for each partition of the offsets topic, made at its first use.

use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, Notify, OnceCell};

use super::errors::group_error;
use super::listeners::{Listeners, Listening};
use super::offsets_topic::{OFFSETS_TOPIC, configs};
use super::topics_view::TopicsView;
use super::turns::Turns;
use crate::base::limits::OFFSETS_PARTITIONS;
use crate::base::{Error, GroupId, MemberId};
use crate::broker::Broker;
use crate::coordinator::group::rules::GroupRule;
use crate::coordinator::group::{
    GroupCommand, GroupReply, GroupShard, GroupSignal, Topics, coordinator_partition,
};
use crate::coordinator::runtime::{Listener, ShardHost};
use crate::env::rule::rules_of;
use crate::env::{AwakeClock, Clock};

/// One group machine with its log.
pub(super) type GroupHost = ShardHost<GroupShard>;

/// The group machines, and who listens to them.
pub struct Groups {
    hosts: Vec<OnceCell<Arc<GroupHost>>>,
    /// What timers go by.
    clock: Arc<AwakeClock>,
    board: Arc<Board>,
    /// Groups that wait for a target. Only [`background`](super::background) takes them.
    pub(super) assigns: Mutex<UnboundedReceiver<GroupId>>,
    /// Members that have news. Only [`background`](super::background) takes them.
    pub(super) wakes: Mutex<UnboundedReceiver<(GroupId, MemberId)>>,
    turns: Turns,
}

/// Where the machines put their signals.
pub(super) struct Board {
    pub(super) listeners: Arc<Listeners>,
    assign: UnboundedSender<GroupId>,
    wake: UnboundedSender<(GroupId, MemberId)>,
    /// A timer may go off earlier than was thought.
    pub(super) alarm: Notify,
}

impl Listener<GroupSignal> for Board {
    fn take(&self, signal: GroupSignal) {
        match signal {
            // Nobody computes targets, nor wakes anybody, any more when the broker is gone.
            GroupSignal::Assign { group } => drop(self.assign.send(group)),
            GroupSignal::Wake { group, member } => drop(self.wake.send((group, member))),
            GroupSignal::Fenced { group, member } => self.listeners.fence(group, member),
        }
    }

    fn timers_changed(&self) {
        self.alarm.notify_one();
    }
}

impl Groups {
    /// No machine yet; their timers go by `clock`, without the time in which the process stood still.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (assign, assigns) = unbounded_channel();
        let (wake, wakes) = unbounded_channel();
        let board = Arc::new(Board { listeners: Arc::default(), assign, wake, alarm: Notify::new() });
        let hosts = (0..OFFSETS_PARTITIONS).map(|_| OnceCell::new()).collect();
        Self {
            hosts,
            clock: AwakeClock::new(clock),
            board,
            assigns: Mutex::new(assigns),
            wakes: Mutex::new(wakes),
            turns: Turns::default(),
        }
    }

    /// The machines that are in use.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &Arc<GroupHost>> {
        self.hosts.iter().filter_map(OnceCell::get)
    }

    /// Partitions of the offsets topic whose groups can't be used, as what they hold can't be replayed.
    pub fn damaged(&self) -> Vec<i32> {
        let hosts =
            (0..).zip(&self.hosts).filter(|(_, host)| host.get().is_some_and(|host| host.is_damaged()));
        hosts.map(|(number, _)| number).collect()
    }

    /// The clock of their timers.
    pub(super) fn clock(&self) -> &Arc<AwakeClock> {
        &self.clock
    }

    pub(super) fn board(&self) -> &Arc<Board> {
        &self.board
    }
}

impl Broker {
    /// Listens for a member from here on; a stream that spoke for it before is fenced.
    pub fn listen(&self, group: GroupId, member: MemberId) -> Listening {
        self.groups().board.listeners.listen(group, member)
    }

    /// The topics as they are now, for the group machine.
    pub(super) fn topics_view(&self) -> Arc<dyn Topics> {
        Arc::new(TopicsView(self.image()))
    }

    /// Carries out a command for a group; the offsets topic is made where there is none.
    ///
    /// Errors: what the machine refuses; DISK_FULL, STORAGE_ERROR, DAMAGED_RANGE where its log can't be used.
    pub(super) async fn run_for(
        self: &Arc<Self>,
        group: &GroupId,
        command: GroupCommand,
    ) -> Result<GroupReply, Error> {
        let host = self.group_host(group).await?;
        self.groups().turns.take().await;
        let reply = host.run(command).await.map_err(|error| group_error(group, error));
        // WHY again: all whose records went into one round of syncs are answered by it.
        self.groups().turns.take().await;
        reply
    }

    /// The machine that holds a group.
    pub(super) async fn group_host(self: &Arc<Self>, group: &GroupId) -> Result<Arc<GroupHost>, Error> {
        self.refuse_when_stopping()?;
        if self.image().topic(OFFSETS_TOPIC).is_none_or(|topic| !topic.is_ready()) {
            self.create_internal_topic(OFFSETS_TOPIC, OFFSETS_PARTITIONS, configs()).await?;
        }
        self.host_of(coordinator_partition(group)).await
    }

    /// The machine of a partition of the offsets topic.
    pub(super) async fn host_of(self: &Arc<Self>, number: i32) -> Result<Arc<GroupHost>, Error> {
        let groups = self.groups();
        let make = async || {
            let partition = self.partition(OFFSETS_TOPIC, None, number).await?;
            let (clock, budget) = (groups.clock.clone(), self.budget().clone());
            Ok(ShardHost::new(partition, clock, groups.board.clone(), budget, empty))
        };
        groups.hosts[number as usize].get_or_try_init(make).await.cloned()
    }
}

/// A machine without groups.
fn empty() -> GroupShard {
    GroupShard::under(rules_of(&GroupRule::ALL))
}

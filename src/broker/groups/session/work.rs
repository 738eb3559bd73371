//! Carries out the tasks of a session: each is a future of its own that ends by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::commits::{Commits, Outcome};
use super::held::{Begun, Place};
use super::state::{Came, Places, Task};
use crate::base::{Error, GroupId, MemberEpoch, MemberId, TopicPartition};
use crate::broker::Broker;
use crate::broker::fetch::Opened;
use crate::broker::groups::membership::HeartbeatRequest;
use crate::broker::request::Cursor;
use crate::coordinator::group::views::MemberView;

/// Partitions that are looked at in one go. WHY: those that are open are found without ever waiting, and a member may hold thousands.
const AT_ONCE: usize = 16;

/// What a task came to.
pub(super) enum Done {
    View(Result<MemberView, Error>),
    Committed(Commits, Outcome),
    Begun(Result<Vec<Begun>, Error>),
    Opened(Vec<(TopicPartition, Place, Opened)>),
    Left(Result<(), Error>),
    Disconnected,
}

/// Work under way. It must be polled until it ends: it may have its turn in a machine that others wait for.
pub(super) type Working = BoxFuture<'static, Done>;

/// What goes along with all work of a session.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) broker: Arc<Broker>,
    pub(super) group: GroupId,
    pub(super) member_id: MemberId,
}

impl Worker {
    /// Begins a task.
    pub(super) fn begin(self, task: Task) -> Working {
        match task {
            Task::Heartbeat(epoch, owned) => self.heartbeat(epoch, owned),
            Task::Commit(epoch, commits) => self.commit(epoch, commits),
            Task::Begin(came) => async move { Done::Begun(self.places_of(came).await) }.boxed(),
            Task::Open(places) => self.open(places),
            Task::Leave { keep } => self.leave(keep),
            Task::Disconnect => self.disconnect(),
        }
    }

    fn heartbeat(self, epoch: MemberEpoch, owned: Option<Vec<TopicPartition>>) -> Working {
        let request = HeartbeatRequest {
            group: self.group,
            member_id: self.member_id,
            epoch,
            owned: owned.map(|owned| owned.into_iter().collect()),
            subscription: None,
            connected: true,
        };
        async move { Done::View(self.broker.heartbeat(request).await) }.boxed()
    }

    fn commit(self, epoch: MemberEpoch, mut commits: Commits) -> Working {
        let offsets = commits.take_offsets();
        let member = Some((self.member_id, epoch));
        async move {
            let committed = match offsets.is_empty() {
                true => Ok(Vec::new()),
                false => self.broker.commit_offsets(&self.group, member, offsets).await,
            };
            Done::Committed(commits, committed)
        }
        .boxed()
    }

    async fn places_of(&self, came: Came) -> Result<Vec<Begun>, Error> {
        let asked = Some(came.iter().map(|(owned, _)| owned.id).collect());
        let committed = self.broker.committed_offsets(&self.group, asked).await?;
        let stands: BTreeMap<_, _> =
            committed.iter().map(|found| (found.position.id(), &found.position)).collect();
        let mut begun = Vec::with_capacity(came.len());
        for (owned, topic) in came {
            let position = stands.get(&owned.id).copied();
            let log_start = match position {
                Some(_) => 0,
                None => self.log_start(&topic, owned.id).await,
            };
            begun.push(Begun::new(owned, position, log_start));
            give_way(begun.len()).await;
        }
        Ok(begun)
    }

    /// Where a partition begins; one that can't be opened tells so when it is read.
    async fn log_start(&self, topic: &str, id: TopicPartition) -> i64 {
        let partition = self.broker.partition(topic, Some(id.topic_id), id.partition).await;
        partition.map_or(0, |partition| partition.offsets().log_start)
    }

    fn leave(self, keep: bool) -> Working {
        async move { Done::Left(self.broker.leave_group(&self.group, self.member_id, keep).await) }.boxed()
    }

    fn disconnect(self) -> Working {
        async move {
            // A member that is gone, or a log that is offline, needs no word of this.
            let _ = self.broker.disconnect_member(&self.group, self.member_id).await;
            Done::Disconnected
        }
        .boxed()
    }

    fn open(self, places: Places) -> Working {
        async move {
            let mut opened = Vec::with_capacity(places.len());
            for (id, topic, place) in places {
                let cursor = Cursor {
                    topic: topic.to_string(),
                    topic_id: Some(id.topic_id),
                    partition: id.partition,
                    offset: place.offset,
                    leader_epoch: place.leader_epoch,
                    max_bytes: None,
                };
                opened.push((id, place, Opened::find(&self.broker, cursor).await));
                give_way(opened.len()).await;
            }
            Done::Opened(opened)
        }
        .boxed()
    }
}

/// Lets others have their turn, now and then.
async fn give_way(done: usize) {
    if done.is_multiple_of(AT_ONCE) {
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::base::Offset;
    use crate::broker::groups::tests::{PARTITIONS, TOPIC, World};
    use crate::broker::lookup::find_partition;
    use crate::coordinator::group::commands::Owned;

    /// How often the task lets others have their turn, once all that it needs is in memory.
    async fn turns(world: &World, task: impl Fn() -> Task) -> usize {
        let (group, member_id) = (GroupId::stored("g"), MemberId::stored("m"));
        let worker = Worker { broker: world.broker.clone(), group, member_id };
        worker.clone().begin(task()).await;
        let mut working = worker.begin(task());
        let mut turns = 0;
        while (&mut working).now_or_never().is_none() {
            turns += 1;
            tokio::task::yield_now().await;
        }
        turns
    }

    #[tokio::test]
    async fn a_task_of_many_partitions_lets_others_have_their_turn() {
        let world = World::start(1 << 30).await;
        let image = world.broker.image();
        let named = |number| find_partition(&image, TOPIC, None, number).unwrap();
        let ids: Vec<TopicPartition> = (0..PARTITIONS).map(|number| named(number).1).collect();
        let topic: Arc<str> = TOPIC.into();
        let begin = || {
            let came = ids.iter().map(|id| (Owned { id: *id, epoch: 1 }, topic.clone()));
            Task::Begin(came.collect())
        };
        let open = || {
            let place = Place { offset: 0 as Offset, leader_epoch: None };
            Task::Open(ids.iter().map(|id| (*id, topic.clone(), place)).collect())
        };
        let due = ids.len() / AT_ONCE;
        // Of the machine it is asked with two turns.
        assert_eq!((turns(&world, begin).await, turns(&world, open).await), (due + 2, due));
    }
}

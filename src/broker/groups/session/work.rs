//! What a session does that takes time: one piece after the other, each a future of its own that ends by itself.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::commits::{Commits, Outcome};
use super::held::{Begun, Place};
use crate::base::offset::NO_EPOCH;
use crate::base::{Error, GroupId, MemberEpoch, MemberId, TopicPartition};
use crate::broker::Broker;
use crate::broker::fetch::Opened;
use crate::broker::groups::frames::CommitFrame;
use crate::broker::groups::membership::HeartbeatRequest;
use crate::broker::request::Cursor;
use crate::coordinator::group::commands::Owned;
use crate::coordinator::group::views::MemberView;

/// What waits for its turn.
pub(super) enum Work {
    /// Asks for the member's view.
    Heartbeat,
    /// Gives up what it was told to: after the commits that came before.
    GiveUp(Vec<TopicPartition>),
    /// Keeps offsets.
    Commit(CommitFrame),
    /// Looks up where the group stands in partitions that came.
    Begin(Vec<Owned>),
    /// Opens what is to be read.
    Open,
}

/// What it came to.
pub(super) enum Done {
    View(Result<MemberView, Error>),
    Committed(Commits, Outcome),
    Begun(Result<Vec<Begun>, Error>),
    Opened(Vec<(TopicPartition, Place, Opened)>),
}

/// Work under way. It must be polled until it ends: it may have its turn in a machine that others wait for.
pub(super) type Working = BoxFuture<'static, Done>;

/// Partitions that came, with the topics that they are of.
pub(super) type Came = Vec<(Owned, Arc<str>)>;

/// What goes along with all work of a session.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) broker: Arc<Broker>,
    pub(super) group: GroupId,
    pub(super) member_id: MemberId,
}

impl Worker {
    /// Says that the member is there, and what it owns where that changed.
    pub(super) fn heartbeat(self, epoch: MemberEpoch, owned: Option<Vec<TopicPartition>>) -> Working {
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

    /// Keeps what may be kept.
    pub(super) fn commit(self, epoch: MemberEpoch, mut commits: Commits) -> Working {
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

    /// Looks up where the group stands; where it stands nowhere, it begins where the partition does.
    pub(super) fn begin(self, came: Came) -> Working {
        async move { Done::Begun(self.places_of(came).await) }.boxed()
    }

    async fn places_of(&self, came: Came) -> Result<Vec<Begun>, Error> {
        let asked = Some(came.iter().map(|(owned, _)| owned.id).collect());
        let committed = self.broker.committed_offsets(&self.group, asked).await?;
        let mut begun = Vec::with_capacity(came.len());
        for (owned, topic) in came {
            let position = committed.iter().map(|found| &found.position).find(|found| found.id() == owned.id);
            let offset = match position {
                Some(position) => position.offset,
                None => self.log_start(&topic, owned.id).await,
            };
            let epoch = position.map(|position| position.leader_epoch);
            let place = Place { offset, leader_epoch: epoch.filter(|epoch| *epoch != NO_EPOCH) };
            begun.push(Begun { owned, place, committed: position.map(|position| position.offset) });
        }
        Ok(begun)
    }

    /// Where a partition begins; one that can't be opened tells so when it is read.
    async fn log_start(&self, topic: &str, id: TopicPartition) -> i64 {
        let partition = self.broker.partition(topic, Some(id.topic_id), id.partition).await;
        partition.map_or(0, |partition| partition.offsets().log_start)
    }

    /// Opens partitions at these places.
    pub(super) fn open(self, places: Vec<(TopicPartition, Arc<str>, Place)>) -> Working {
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
            }
            Done::Opened(opened)
        }
        .boxed()
    }
}

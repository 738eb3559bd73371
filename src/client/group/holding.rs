//! One partition that the member owns: its place, and what of it was committed. Pure.

use std::sync::Arc;
use std::time::Duration;

use super::super::consumer::Cursor;
use super::event::OwnedPartition;
use super::progress::{Place, Progress};
use crate::base::{LeaderEpoch, MemberEpoch, Offset, TopicId};

/// One owned partition.
#[derive(Debug)]
pub(super) struct Holding {
    /// Since which epoch the member owns it.
    pub(super) ownership_epoch: MemberEpoch,
    /// What was decoded and given out.
    pub(super) cursor: Cursor,
    /// Behind what has come from the broker.
    received: Place,
    /// Of the newest seek that the broker was sent: records of before are dropped.
    pub(super) seek_sequence: i64,
    /// Nothing of it is given out.
    pub(super) is_paused: bool,
    /// It is to be given up: nothing of it is given out any more.
    pub(super) is_revoked: bool,
    /// When reading is tried again after a passing error.
    pub(super) again_at: Option<Duration>,
    pub(super) progress: Progress,
    /// What the broker has acknowledged.
    pub(super) committed: Option<Offset>,
    /// Where the group is known to stand; `None` after a seek.
    settled: Option<Offset>,
    /// The same once everything that is on its way has arrived.
    asked: Option<Offset>,
    /// What the application chose to commit when it gives the partition up.
    pub(super) chosen: Option<Place>,
}

/// A partition that came.
pub(super) struct Arrival {
    pub(super) topic: Arc<str>,
    pub(super) topic_id: TopicId,
    pub(super) partition: i32,
    pub(super) ownership_epoch: MemberEpoch,
    pub(super) offset: Offset,
    pub(super) committed: Option<Offset>,
}

impl Holding {
    /// Just assigned.
    pub(super) fn new(arrival: Arrival) -> Self {
        let Arrival { topic, topic_id, partition, ownership_epoch, offset, committed } = arrival;
        Self {
            ownership_epoch,
            cursor: Cursor::new(topic, topic_id, partition, offset),
            received: (offset, None),
            seek_sequence: 0,
            is_paused: false,
            is_revoked: false,
            again_at: None,
            progress: Progress::new(offset),
            committed,
            settled: Some(committed.unwrap_or(offset)),
            asked: Some(committed.unwrap_or(offset)),
            chosen: None,
        }
    }

    /// Whether records of it may be given out.
    pub(super) fn is_open(&self) -> bool {
        !self.is_paused && !self.is_revoked && !self.cursor.stopped
    }

    /// Records up to `offset` have come.
    pub(super) fn receive(&mut self, offset: Offset, epoch: Option<LeaderEpoch>) {
        self.received = (offset, epoch.or(self.received.1));
    }

    /// Where the broker is to go on after what has come.
    pub(super) fn received(&self) -> Place {
        self.received
    }

    /// What has come and was not given out is forgotten: the broker is to send it again.
    pub(super) fn rewind(&mut self) -> Place {
        let (offset, doubted, failures) =
            (self.cursor.position, self.cursor.doubted_offset, self.cursor.failures);
        // Only an epoch that was seen with this very place guards it.
        let epoch = self.progress.given().1.filter(|_| self.progress.given().0 == offset);
        self.cursor.seek(offset);
        (self.cursor.leader_epoch, self.cursor.doubted_offset, self.cursor.failures) =
            (epoch, doubted, failures);
        self.received = (offset, epoch);
        self.received
    }

    /// The application wants to go on elsewhere.
    pub(super) fn seek(&mut self, offset: Offset) -> Place {
        self.cursor.seek(offset);
        self.received = (offset, self.cursor.leader_epoch);
        self.progress.seek(offset, self.cursor.leader_epoch);
        // The place itself is new, wherever it lies.
        (self.settled, self.asked) = (None, None);
        self.again_at = None;
        self.received
    }

    /// What is finished and was not committed yet; from here on it is on its way.
    pub(super) fn take_uncommitted(&mut self) -> Option<Place> {
        let done = self.progress.done();
        (self.asked != Some(done.0)).then(|| {
            self.asked = Some(done.0);
            done
        })
    }

    /// A commit is on its way.
    pub(super) fn note_asked(&mut self, offset: Offset) {
        self.asked = Some(offset);
    }

    /// A commit is durable.
    pub(super) fn note_committed(&mut self, offset: Offset) {
        self.committed = Some(offset);
        self.settled = Some(offset);
    }

    /// The connection is gone, and with it what was on its way.
    pub(super) fn forget_asked(&mut self) {
        self.asked = self.settled;
    }

    /// As the application sees it.
    pub(super) fn seen(&self) -> OwnedPartition {
        OwnedPartition {
            topic: self.cursor.topic.clone(),
            partition: self.cursor.partition,
            position: self.cursor.position,
            committed: self.committed,
        }
    }
}

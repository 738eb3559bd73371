//! What the application's calls and the task of a group consumer share. Pure: no clock, no connection.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};

use super::super::types::ConsumerRecord;
use super::event::GroupEvent;
use super::holding::Holding;
use super::options::{CommitMode, Options, OutOfRange};
use super::progress::Place;
use crate::base::{Error, LeaderEpoch, MemberEpoch, Offset, TopicPartition};
use crate::proto::grpc::consume_request::Frame;
use crate::proto::grpc::{ConsumePause, ConsumeResume, ConsumeSeek, GroupPartition};

/// The broker is told of free room once an eighth of the buffer is free, or all of it.
const CREDIT_PARTS: i64 = 8;

/// State and whoever waits for it to change.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Wakes the task.
    pub(super) wake: Notify,
}

impl Shared {
    /// Nothing is owned yet.
    pub(super) fn new(options: &Options) -> Self {
        Self { state: Mutex::new(State::new(options)), wake: Notify::new() }
    }

    /// The state, for a moment.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// How far a group consumer is from its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Life {
    /// It is a member, or on its way to be one.
    Going,
    /// The application has all it wants: commit and leave.
    Closing {
        /// A static member too.
        for_good: bool,
    },
    /// Nothing comes any more.
    Ended,
}

/// A record that was given out, and under which ownership.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ticket {
    pub(super) id: TopicPartition,
    pub(super) ownership_epoch: MemberEpoch,
    pub(super) offset: Offset,
}

/// What waits to be given out, in the order in which it came.
pub(super) enum Item {
    Event(GroupEvent),
    Unread(Unread),
}

/// Batches of one partition, or its error.
pub(super) struct Unread {
    pub(super) id: TopicPartition,
    pub(super) batches: Bytes,
    /// Decoded already.
    pub(super) records: VecDeque<ConsumerRecord>,
    pub(super) next_offset: Offset,
    pub(super) leader_epoch: Option<LeaderEpoch>,
    pub(super) error: Option<Error>,
    pub(super) caught_up: bool,
    /// What it takes of the buffer.
    pub(super) size_bytes: i64,
    /// It was committed before being given out.
    pub(super) is_cleared: bool,
}

/// One offset on its way to be committed.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) id: TopicPartition,
    pub(super) ownership_epoch: MemberEpoch,
    pub(super) place: Place,
}

/// Offsets that the application wants to be committed, and told about.
pub(super) struct CommitRequest {
    pub(super) offsets: Vec<Wanted>,
    pub(super) reply: oneshot::Sender<Result<(), Error>>,
}

/// The commit that has to be made before the next records are given out.
#[derive(Debug)]
pub(super) enum Clearance {
    /// No records wait for one.
    Unasked,
    /// Wanted by the application.
    Wanted(Wanted),
    /// On its way.
    Asked,
}

/// Everything that is shared. The application's side is in `giving`, the task's in `ownership`.
pub(super) struct State {
    pub(super) holdings: BTreeMap<TopicPartition, Holding>,
    pub(super) items: VecDeque<Item>,
    /// Taken off the items, and partly given out.
    pub(super) current: Option<Unread>,
    /// Given out by the last call, and finished by the next.
    pub(super) in_hand: Option<Ticket>,
    /// Records are finished by ticket, not by the next call.
    pub(super) is_parallel: bool,
    pub(super) mode: CommitMode,
    pub(super) out_of_range: OutOfRange,
    /// For the broker; forgotten with the connection.
    pub(super) frames: Vec<Frame>,
    /// Bytes of records that wait.
    pub(super) buffered_bytes: i64,
    /// Bytes of records that were given out or dropped, of which the broker was not told.
    pub(super) freed_bytes: i64,
    /// The broker is told once so many are free, or all.
    credit_step_bytes: i64,
    pub(super) requests: Vec<CommitRequest>,
    pub(super) clearance: Clearance,
    /// Something was finished since the last commit.
    pub(super) is_dirty: bool,
    /// Partitions with a passing error that was not looked at, and how many they had in a row.
    pub(super) failing: Vec<(TopicPartition, u32)>,
    pub(super) life: Life,
    /// As the broker named it.
    pub(super) member_id: Arc<str>,
    pub(super) waker: Option<Waker>,
}

impl State {
    fn new(options: &Options) -> Self {
        Self {
            holdings: BTreeMap::new(),
            items: VecDeque::new(),
            current: None,
            in_hand: None,
            is_parallel: false,
            mode: options.commit,
            out_of_range: options.out_of_range,
            frames: Vec::new(),
            buffered_bytes: 0,
            freed_bytes: 0,
            credit_step_bytes: (options.buffer_bytes / CREDIT_PARTS).max(1),
            requests: Vec::new(),
            clearance: Clearance::Unasked,
            is_dirty: false,
            failing: Vec::new(),
            life: Life::Going,
            member_id: "".into(),
            waker: None,
        }
    }

    /// Something came for the application.
    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Tells the application of something.
    pub(super) fn tell(&mut self, event: GroupEvent) {
        self.items.push_back(Item::Event(event));
        self.wake();
    }

    /// The partition of this name and number, where the member owns it.
    pub(super) fn find(&self, topic: &str, partition: i32) -> Option<TopicPartition> {
        let is_it =
            |id: &TopicPartition, held: &Holding| id.partition == partition && *held.cursor.topic == *topic;
        self.holdings.iter().find(|(id, held)| is_it(id, held)).map(|(id, _)| *id)
    }

    /// Whether a record that was given out may be worked on still.
    pub(super) fn start(&mut self, ticket: Ticket) -> bool {
        let holding = self.holdings.get_mut(&ticket.id);
        holding.is_some_and(|holding| {
            holding.ownership_epoch == ticket.ownership_epoch
                && !holding.is_revoked
                && holding.progress.start(ticket.offset)
        })
    }

    /// A record is finished. True when the task has to hear of it.
    pub(super) fn finish(&mut self, ticket: Ticket) -> bool {
        let Some(holding) = self.holdings.get_mut(&ticket.id) else { return false };
        if holding.ownership_epoch != ticket.ownership_epoch {
            return false;
        }
        holding.progress.finish(ticket.offset);
        let was_clean = !std::mem::replace(&mut self.is_dirty, true);
        was_clean || holding.is_revoked
    }

    /// Drops what waits of a partition.
    pub(super) fn drop_waiting(&mut self, id: TopicPartition) {
        let mut dropped_bytes = 0;
        self.items.retain(|item| match item {
            Item::Unread(unread) if unread.id == id => {
                dropped_bytes += unread.size_bytes;
                false
            }
            _ => true,
        });
        if let Some(unread) = self.current.take_if(|unread| unread.id == id) {
            dropped_bytes += unread.size_bytes;
        }
        self.free(dropped_bytes);
    }

    /// Records take no room any more.
    pub(super) fn free(&mut self, bytes: i64) {
        self.buffered_bytes -= bytes;
        self.freed_bytes += bytes;
    }

    /// Whether the broker is to be told of free room.
    pub(super) fn has_credit(&self) -> bool {
        self.freed_bytes >= self.credit_step_bytes || (self.freed_bytes > 0 && self.buffered_bytes <= 0)
    }

    /// Goes on at another place, as the application wants it.
    pub(super) fn seek(&mut self, id: TopicPartition, offset: Offset) {
        self.drop_waiting(id);
        if self.in_hand.is_some_and(|ticket| ticket.id == id) {
            self.in_hand = None;
        }
        let Some(holding) = self.holdings.get_mut(&id) else { return };
        let place = holding.seek(offset);
        self.is_dirty = true;
        let goes_on = (!holding.is_paused).then(|| vec![named(id, holding)]);
        self.ask_for(id, place);
        // One that stood still after an error is paused with the broker since the last connection.
        self.frames.extend(goes_on.map(|partitions| Frame::Resume(ConsumeResume { partitions })));
    }

    /// Asks once more for what has come and was not given out.
    pub(super) fn rewind(&mut self, id: TopicPartition) {
        self.drop_waiting(id);
        if let Some(place) = self.holdings.get_mut(&id).map(Holding::rewind) {
            self.ask_for(id, place);
        }
    }

    /// Tells the broker where to go on; what is under way from elsewhere is dropped.
    pub(super) fn ask_for(&mut self, id: TopicPartition, (offset, leader_epoch): Place) {
        let Some(holding) = self.holdings.get_mut(&id) else { return };
        holding.seek_sequence += 1;
        let sequence = holding.seek_sequence;
        let partition = Some(named(id, holding));
        self.frames.push(Frame::Seek(ConsumeSeek { partition, offset, leader_epoch, sequence }));
    }

    /// Gives nothing out of a partition until it is resumed.
    pub(super) fn pause(&mut self, id: TopicPartition) {
        self.drop_waiting(id);
        let Some(holding) = self.holdings.get_mut(&id) else { return };
        holding.is_paused = true;
        holding.rewind();
        self.say_paused(id);
    }

    pub(super) fn say_paused(&mut self, id: TopicPartition) {
        let Some(holding) = self.holdings.get(&id) else { return };
        let partitions = vec![named(id, holding)];
        self.frames.push(Frame::Pause(ConsumePause { partitions }));
    }

    /// Goes on with a paused partition where it stood.
    pub(super) fn resume(&mut self, id: TopicPartition) {
        let Some(holding) = self.holdings.get_mut(&id) else { return };
        if !std::mem::take(&mut holding.is_paused) {
            return;
        }
        let (place, partitions) = (holding.received(), vec![named(id, holding)]);
        self.ask_for(id, place);
        self.frames.push(Frame::Resume(ConsumeResume { partitions }));
    }
}

/// A partition as the wire names it.
pub(super) fn named(id: TopicPartition, holding: &Holding) -> GroupPartition {
    GroupPartition {
        topic: holding.cursor.topic.to_string(),
        topic_id: Bytes::copy_from_slice(&id.topic_id.0),
        partition: id.partition,
        ownership_epoch: holding.ownership_epoch,
    }
}

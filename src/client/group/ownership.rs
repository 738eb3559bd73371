//! The task's side of the state: partitions come and go, records come in.

use std::collections::VecDeque;

use bytes::Bytes;

use super::super::fault::from_item;
use super::event::GroupEvent;
use super::holding::{Arrival, Holding};
use super::options::CommitMode;
use super::state::{Clearance, Item, Life, State, Unread, Wanted, named};
use crate::base::{Error, Offset, TopicId, TopicPartition};
use crate::proto::grpc;

impl State {
    /// A new connection: what was on its way with the old one is not.
    pub(super) fn reconnect(&mut self) {
        self.frames.clear();
        self.freed_bytes = 0;
        self.clearance = Clearance::Unasked;
        self.is_dirty = true;
        self.holdings.values_mut().for_each(Holding::forget_asked);
        self.wake();
    }

    /// What the member holds, as it tells the broker when it comes back.
    pub(super) fn owned(&self) -> Vec<grpc::GroupPartition> {
        self.holdings.iter().map(|(id, holding)| named(*id, holding)).collect()
    }

    /// Partitions came. Those that were held all along go on where they stand.
    pub(super) fn assign(&mut self, arrivals: Vec<Arrival>) {
        let mut new = Vec::new();
        for arrival in arrivals {
            let id = TopicPartition { topic_id: arrival.topic_id, partition: arrival.partition };
            match self.holdings.get(&id) {
                Some(holding) if holding.ownership_epoch == arrival.ownership_epoch => self.go_on(id),
                _ => {
                    self.drop_waiting(id);
                    let holding = Holding::new(arrival);
                    new.push(holding.seen());
                    self.holdings.insert(id, holding);
                }
            }
        }
        if !new.is_empty() {
            self.tell(GroupEvent::Assigned(new));
        }
    }

    fn go_on(&mut self, id: TopicPartition) {
        let Some(holding) = self.holdings.get(&id) else { return };
        let (place, is_stopped) = (holding.received(), holding.cursor.stopped);
        if holding.is_paused || is_stopped {
            self.say_paused(id);
        }
        // One that stands still after an error goes on when it is sought.
        if !is_stopped {
            self.ask_for(id, place);
        }
    }

    /// The broker wants partitions back: nothing of them is given out any more. What was committed before being given out is the
    /// application's. Gives those that were not wanted back before.
    pub(super) fn revoke(&mut self, partitions: &[grpc::GroupPartition]) -> Vec<TopicPartition> {
        let mut revoked = Vec::new();
        for id in partitions.iter().filter_map(id_of) {
            let keeps = self.mode == CommitMode::Before;
            let current = self.current.take_if(|unread| keeps && unread.id == id);
            self.drop_waiting(id);
            self.current = current.or(self.current.take());
            if let Some(holding) = self.holdings.get_mut(&id)
                && !std::mem::replace(&mut holding.is_revoked, true)
            {
                revoked.push(id);
            }
        }
        self.wake_for_clearance();
        revoked
    }

    /// The first record of these that is in work, with its topic.
    pub(super) fn in_work(&self, ids: &[TopicPartition]) -> Option<(String, i32, Offset)> {
        ids.iter().find_map(|id| {
            let holding = self.holdings.get(id)?;
            let unread = self.current.as_ref().filter(|unread| unread.id == *id);
            let next = unread.map(|_| holding.cursor.position);
            let offset = holding.progress.first_in_work().or(next)?;
            Some((holding.cursor.topic.to_string(), id.partition, offset))
        })
    }

    /// What is to be committed of partitions that are given up.
    pub(super) fn take_last(&mut self, ids: &[TopicPartition]) -> Vec<Wanted> {
        let is_auto = matches!(self.mode, CommitMode::After(_));
        let mut wanted = Vec::new();
        for id in ids {
            let Some(holding) = self.holdings.get_mut(id) else { continue };
            let finished = if is_auto { holding.take_uncommitted() } else { None };
            if let Some(place) = holding.chosen.or(finished) {
                wanted.push(Wanted { id: *id, ownership_epoch: holding.ownership_epoch, place });
            }
        }
        wanted
    }

    /// What is finished and not committed, of all partitions.
    pub(super) fn take_finished(&mut self) -> Vec<Wanted> {
        self.is_dirty = false;
        let ids: Vec<TopicPartition> = self.holdings.keys().copied().collect();
        self.take_last(&ids)
    }

    /// Partitions are given up. Gives them as the wire names them.
    pub(super) fn release(&mut self, ids: &[TopicPartition]) -> Vec<grpc::GroupPartition> {
        let (mut named_ones, mut seen) = (Vec::new(), Vec::new());
        for id in ids {
            self.drop_waiting(*id);
            if let Some(holding) = self.holdings.remove(id) {
                named_ones.push(named(*id, &holding));
                seen.push(holding.seen());
            }
        }
        if !seen.is_empty() {
            self.tell(GroupEvent::Revoked(seen));
        }
        named_ones
    }

    /// Partitions are lost.
    pub(super) fn lose(&mut self, ids: impl IntoIterator<Item = TopicPartition>) {
        let mut seen = Vec::new();
        for id in ids {
            self.drop_waiting(id);
            seen.extend(self.holdings.remove(&id).map(|holding| holding.seen()));
        }
        if !seen.is_empty() {
            self.tell(GroupEvent::Lost(seen));
        }
        self.wake_for_clearance();
    }

    /// All of them are.
    pub(super) fn lose_all(&mut self) {
        let all: Vec<TopicPartition> = self.holdings.keys().copied().collect();
        self.lose(all);
    }

    /// What waited for its commit may be gone: the application asks anew.
    fn wake_for_clearance(&mut self) {
        self.clearance = Clearance::Unasked;
        self.wake();
    }

    /// The records in front were committed, or could not be.
    pub(super) fn clear(&mut self, id: TopicPartition, next_offset: Offset, is_committed: bool) {
        self.clearance = Clearance::Unasked;
        if let Some(Item::Unread(unread)) = self.items.front_mut()
            && (unread.id, unread.next_offset) == (id, next_offset)
        {
            unread.is_cleared = is_committed;
        }
        self.wake();
    }

    /// Records came in.
    pub(super) fn receive(&mut self, records: grpc::ConsumeRecords) {
        let grpc::ConsumeRecords { partition: Some(partition), caught_up, seek_sequence } = records else {
            return;
        };
        let size_bytes = partition.batches.len() as i64;
        self.buffered_bytes += size_bytes;
        let by_id = TopicId::from_slice(&partition.topic_id)
            .map(|topic_id| TopicPartition { topic_id, partition: partition.partition });
        let id = by_id.or_else(|| self.find(&partition.topic, partition.partition));
        let holding = id.and_then(|id| Some((id, self.holdings.get_mut(&id)?)));
        let Some((id, holding)) =
            holding.filter(|(_, holding)| holding.is_open() && holding.seek_sequence == seek_sequence)
        else {
            return self.free(size_bytes);
        };
        let error = partition.error.map(from_item);
        if error.is_none() {
            holding.receive(partition.next_offset, partition.leader_epoch);
        }
        self.items.push_back(Item::Unread(Unread {
            id,
            batches: if error.is_none() { partition.batches } else { Bytes::new() },
            records: VecDeque::new(),
            next_offset: partition.next_offset,
            leader_epoch: partition.leader_epoch,
            error,
            caught_up,
            size_bytes,
            is_cleared: false,
        }));
        self.wake();
    }

    /// Nothing comes after this.
    pub(super) fn end(&mut self, error: Option<Error>) {
        self.lose_all();
        self.items.extend(error.map(|error| Item::Event(GroupEvent::Error(error))));
        self.life = Life::Ended;
        // Whoever waits for a commit is told by the end of its channel.
        self.requests.clear();
        self.wake();
    }
}

/// The identity of a partition that the broker names; one without a proper id is none that this member owns.
pub(super) fn id_of(partition: &grpc::GroupPartition) -> Option<TopicPartition> {
    let topic_id = TopicId::from_slice(&partition.topic_id)?;
    Some(TopicPartition { topic_id, partition: partition.partition })
}

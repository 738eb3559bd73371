//! The application's side of the state: records, one after the other, and what else there is to tell.

use std::task::{Context, Poll};

use super::super::metadata::is_outdated;
use super::event::GroupEvent;
use super::options::{CommitMode, OutOfRange};
use super::state::{Clearance, Item, Life, State, Ticket, Unread, Wanted};
use crate::base::{Error, ErrorKind, TopicPartition};
use crate::record::BatchError;

/// An event, and for a record its ticket.
pub(super) type Given = (GroupEvent, Option<Ticket>);

impl State {
    /// The next event; what was given out before is finished with this call, unless records are finished by ticket. `None` at the end.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Given>> {
        loop {
            while self.current.is_some() {
                if let Some(given) = self.next_of_current() {
                    return Poll::Ready(Some(given));
                }
            }
            match self.items.pop_front() {
                Some(Item::Event(event)) => return Poll::Ready(Some((event, None))),
                Some(Item::Unread(unread)) => {
                    if self.mode == CommitMode::Before && !unread.is_cleared && !unread.batches.is_empty() {
                        self.want_clearance(&unread);
                        self.items.push_front(Item::Unread(unread));
                        break;
                    }
                    self.current = Some(unread);
                }
                None if self.life == Life::Ended => return Poll::Ready(None),
                None => break,
            }
        }
        self.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn want_clearance(&mut self, unread: &Unread) {
        let Some(holding) = self.holdings.get(&unread.id) else { return };
        if let Clearance::Unasked = self.clearance {
            self.clearance = Clearance::Wanted(Wanted {
                id: unread.id,
                ownership_epoch: holding.ownership_epoch,
                place: (unread.next_offset, unread.leader_epoch),
            });
        }
    }

    /// The next event of what was taken off the queue; `None` when there was none, and it is over or in doubt.
    fn next_of_current(&mut self) -> Option<Given> {
        loop {
            let unread = self.current.as_mut()?;
            let id = unread.id;
            // INVARIANT: what waits goes with its holding.
            let holding = self.holdings.get_mut(&id).expect("it is owned");
            if let Some(record) = unread.records.pop_front() {
                holding.cursor.position = record.offset + 1;
                holding.progress.give(record.offset, record.leader_epoch, !self.is_parallel);
                let ticket = Ticket { id, ownership_epoch: holding.ownership_epoch, offset: record.offset };
                return Some((GroupEvent::Record(record), Some(ticket)));
            }
            if unread.batches.is_empty() {
                return self.finish_current().map(|event| (event, None));
            }
            match holding.cursor.read_batch(&mut unread.batches) {
                Ok(records) => unread.records = records,
                Err(error) => return self.doubt(id, &error).map(|event| (event, None)),
            }
        }
    }

    fn finish_current(&mut self) -> Option<GroupEvent> {
        let unread = self.current.take()?;
        self.free(unread.size_bytes);
        if let Some(error) = unread.error {
            return self.partition_failed(unread.id, error);
        }
        let holding = self.holdings.get_mut(&unread.id)?;
        holding.cursor.skip_to(unread.next_offset, unread.leader_epoch);
        holding.progress.skip_to(holding.cursor.position, unread.leader_epoch);
        self.is_dirty = true;
        unread.caught_up.then(|| GroupEvent::CaughtUp {
            topic: holding.cursor.topic.clone(),
            partition: unread.id.partition,
            next_offset: holding.cursor.position,
        })
    }

    /// Bytes did not pass their check: asks for them once more, in case they were changed on the way.
    fn doubt(&mut self, id: TopicPartition, error: &BatchError) -> Option<GroupEvent> {
        let cursor = &mut self.holdings.get_mut(&id)?.cursor;
        let (topic, partition, offset) = (cursor.topic.clone(), cursor.partition, cursor.read_offset);
        if cursor.doubted_offset.replace(offset) != Some(offset) {
            tracing::warn!(%topic, partition, offset, %error, "a batch fails its check; reading it once more");
            self.rewind(id);
            return None;
        }
        self.drop_waiting(id);
        let message = format!(
            "topic '{topic}', partition {partition}: the batch at offset {offset} fails its check: {error}; \
             seek past it to go on, or to it to read it again"
        );
        self.partition_failed(id, Error::new(ErrorKind::DamagedRange, message).with("first", offset))
    }

    /// A passing error is tried again later; another stops the partition, unless it says where to go on.
    fn partition_failed(&mut self, id: TopicPartition, error: Error) -> Option<GroupEvent> {
        let holding = self.holdings.get_mut(&id)?;
        let cursor = &mut holding.cursor;
        let error = error.with("topic", &cursor.topic).with("partition", cursor.partition);
        if error.kind.is_retriable() {
            cursor.failures = cursor.failures.saturating_add(1);
            if cursor.failures == 1 {
                tracing::warn!(%error, "a partition can't be read for now; trying again");
            }
            self.failing.push((id, cursor.failures));
            return None;
        }
        let fact = |name| error.metadata.get(name)?.parse::<i64>().ok();
        let goes_on_at = match self.out_of_range {
            _ if error.kind != ErrorKind::OffsetOutOfRange => None,
            OutOfRange::Error => None,
            OutOfRange::Earliest => fact("start"),
            OutOfRange::Latest => fact("end"),
        };
        match goes_on_at {
            // The broker goes there by itself.
            Some(offset) => drop(holding.seek(offset)),
            None => cursor.stopped = true,
        }
        if error.kind == ErrorKind::Diverged {
            let epoch = fact("epoch").and_then(|epoch| i32::try_from(epoch).ok());
            holding.cursor.epoch_end = epoch.zip(fact("end"));
        }
        debug_assert!(
            !is_outdated(error.kind) || holding.cursor.stopped,
            "a topic that is gone gives nothing"
        );
        Some(GroupEvent::Error(error))
    }
}

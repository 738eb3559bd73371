//! Following partitions: everything from a cursor on, then whatever comes, without ever losing the place.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::decode::Room;
use super::pause::{Wake, pause};
use super::reader::{Limit, Read, Reader};
use super::reply_bounds::REPLY_BYTES_MAX;
use crate::base::budget::Debit;
use crate::base::{Error, ErrorKind, Offset, TopicPartition};
use crate::broker::Broker;
use crate::broker::errors::shutting_down;
use crate::broker::request::{Cursor, FetchedPartition, RefusedItem, TailRequest};

/// Room that one answer needs beside its records: topic, marks, ids.
const ANSWER_BYTES: usize = 1 << 10;

/// How long a reader waits when there is something that it is not given, such as when the memory budget is used up.
const NOTHING_PAUSE: Duration = Duration::from_millis(100);

/// A reader that follows partitions. Its answers are made one by one, as fast as they are asked for.
pub struct Tail {
    broker: Arc<Broker>,
    places: Vec<TailPlace>,
    /// What can't be read, and was not told so yet.
    refused: VecDeque<(Option<TopicPartition>, FetchedPartition)>,
    limit: Limit,
    stopping: watch::Receiver<bool>,
    turn: usize,
    must_pause: bool,
    is_over: bool,
}

/// A partition that a [`Tail`] can follow, or why it can't.
pub struct Opened {
    /// Which one; `None` where the cursor does not say.
    id: Option<TopicPartition>,
    found: Result<Reader, FetchedPartition>,
}

impl Opened {
    /// Finds the partition of a cursor.
    pub async fn find(broker: &Broker, cursor: Cursor) -> Self {
        let id = cursor.topic_id.map(|topic_id| TopicPartition { topic_id, partition: cursor.partition });
        Self { id, found: Reader::open(broker, cursor).await }
    }
}

struct TailPlace {
    reader: Reader,
    /// Whether the reader was told at least once where it is.
    is_told: bool,
}

/// One answer of a [`Tail`].
#[derive(Debug)]
pub struct TailAnswer {
    /// What the partition gave; after an error it gives nothing more.
    pub partition: FetchedPartition,
    /// Whether the reader has everything that was readable in this partition.
    pub caught_up: bool,
    /// What the records take in a message.
    pub size_bytes: usize,
    /// The memory that the records take; dropped when they are sent.
    pub debits: Vec<Debit>,
}

impl Tail {
    /// Finds the partitions; those that can't be read give an error each, and the others go on until `stopping` becomes
    /// true.
    pub async fn open(broker: &Arc<Broker>, request: TailRequest, stopping: watch::Receiver<bool>) -> Self {
        let TailRequest { cursors, form, max_bytes } = request;
        let hard_bytes = REPLY_BYTES_MAX - ANSWER_BYTES;
        let room = Room { asked_bytes: max_bytes.clamp(1, hard_bytes), hard_bytes };
        let limit = Limit { form, room, at_least_one: true };
        let (places, refused, broker) = (Vec::new(), VecDeque::new(), broker.clone());
        let mut tail =
            Self { broker, places, refused, limit, stopping, turn: 0, must_pause: false, is_over: false };
        for cursor in cursors {
            let opened = match cursor {
                Ok(cursor) => Opened::find(&tail.broker, cursor).await,
                Err(RefusedItem { topic, partition, error }) => {
                    let found = Err(FetchedPartition { topic, partition, result: Err(error) });
                    Opened { id: None, found }
                }
            };
            tail.follow(opened);
        }
        tail
    }

    /// Follows one more partition; one that can't be read gives an error in its place.
    pub fn follow(&mut self, opened: Opened) {
        match opened.found {
            Ok(reader) => self.places.push(TailPlace { reader, is_told: false }),
            Err(partition) => self.refused.push_back((opened.id, partition)),
        }
    }

    /// Follows a partition no more: nothing of it is given from here on, nor told of it. Gives the place that it had got to, if it was
    /// followed.
    pub fn remove(&mut self, id: TopicPartition) -> Option<Offset> {
        self.refused.retain(|(refused, _)| *refused != Some(id));
        let index = self.places.iter().position(|place| place.reader.partition().id() == id)?;
        Some(self.places.remove(index).reader.offset)
    }

    /// Follows none of these any more, as [`Self::remove`]. Cost: one look at each place.
    pub fn remove_all(&mut self, gone: &BTreeSet<TopicPartition>) {
        self.refused.retain(|(refused, _)| refused.is_none_or(|id| !gone.contains(&id)));
        self.leave_all(gone);
    }

    /// Reads none of these any more; what can't be read is told all the same. Gives the places that those had got to that were followed.
    /// Cost: one look at each place.
    pub fn leave_all(&mut self, gone: &BTreeSet<TopicPartition>) -> BTreeMap<TopicPartition, Offset> {
        let is_gone = |place: &mut TailPlace| gone.contains(&place.reader.partition().id());
        let removed = self.places.extract_if(.., is_gone);
        removed.map(|place| (place.reader.partition().id(), place.reader.offset)).collect()
    }

    /// The next answer, waiting for it as long as it takes. `None` when no partition is left. Cancel safe: what was not given is
    /// given by the next call.
    ///
    /// Errors: SHUTTING_DOWN, once, when the broker stops; nothing follows.
    pub async fn next(&mut self) -> Option<Result<TailAnswer, Error>> {
        while !self.is_over {
            if let Some((_, partition)) = self.refused.pop_front() {
                return Some(Ok(refusal(partition)));
            }
            if self.places.is_empty() {
                break;
            }
            if *self.stopping.borrow() {
                self.is_over = true;
                return Some(Err(shutting_down()));
            }
            if let Some(answer) = self.read_turn().await {
                return Some(Ok(answer));
            }
            self.wait().await;
        }
        None
    }

    /// Gives each partition its turn until one has an answer.
    async fn read_turn(&mut self) -> Option<TailAnswer> {
        for _ in 0..self.places.len() {
            let index = self.turn % self.places.len();
            self.turn = index + 1;
            let place = &self.places[index];
            if place.is_told && !place.has_more() {
                continue;
            }
            let read = place.reader.read(&self.broker, self.limit).await;
            match self.take(index, read) {
                // WHY a pause: a read that gives nothing of what there is must not be made again at once, or it would be all that
                // this thread does.
                None => self.must_pause |= self.places[index].has_more(),
                answer => return answer,
            }
            if self.places.is_empty() {
                break;
            }
        }
        None
    }

    fn take(&mut self, index: usize, read: Result<Read, Error>) -> Option<TailAnswer> {
        let Read { fetched, debits, size_bytes } = match read {
            Ok(read) => read,
            Err(error) if error.kind == ErrorKind::Throttled => return None,
            Err(error) => return Some(self.give_up(index, error)),
        };
        let place = &mut self.places[index];
        if place.is_told && fetched.next_offset == place.reader.offset {
            return None;
        }
        place.is_told = true;
        place.reader.note_given(&self.broker, &fetched, size_bytes);
        place.reader.offset = fetched.next_offset;
        let caught_up = fetched.next_offset >= fetched.offsets.high_watermark;
        Some(TailAnswer { partition: place.reader.answer(Ok(fetched)), caught_up, size_bytes, debits })
    }

    fn give_up(&mut self, index: usize, error: Error) -> TailAnswer {
        let place = self.places.remove(index);
        refusal(place.reader.answer(Err(error)))
    }

    async fn wait(&mut self) {
        if std::mem::take(&mut self.must_pause) {
            return self.broker.env().clock.sleep(NOTHING_PAUSE).await;
        }
        let places = self.places.iter().map(|place| (&**place.reader.partition(), place.reader.offset + 1));
        if let Wake::Broken(index, error) = pause(places, None, &mut self.stopping).await {
            let error = self.places[index].reader.place(&self.broker).append_error(error);
            let id = self.places[index].reader.partition().id();
            let answer = self.give_up(index, error);
            self.refused.push_back((Some(id), answer.partition));
        }
    }
}

fn refusal(partition: FetchedPartition) -> TailAnswer {
    TailAnswer { partition, caught_up: false, size_bytes: 0, debits: Vec::new() }
}

impl TailPlace {
    fn has_more(&self) -> bool {
        self.reader.offset < self.reader.partition().offsets().high_watermark
    }
}

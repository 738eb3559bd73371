//! Bookkeeping of batches between their sealing and their result. Pure: time and answers come in as values.
//!
//! Each partition has a lane. What a lane promises, whatever answers and lost connections come:
//! - batches are sent in the order in which they were added, and sent again in that order;
//! - each batch leaves the lane exactly once;
//! - with an idempotent producer a batch is stored at most once, because it keeps its sequence for as long as it may
//!   have been stored.
//!
//! A batch that leaves without being stored makes a hole in the sequences: whatever follows it is refused by the broker
//! as out of order, and therefore not written. The lane then takes nothing new until every sequenced batch is answered,
//! takes the sequences off those that the hole held up, and goes on under a new producer id.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::super::retry::Backoff;
use crate::base::limits::PRODUCER_BATCHES_KEPT;
use crate::base::{ErrorKind, Outcome, TopicPartition};
use crate::record::ProducerFields;

/// A producer id and its epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Identity {
    pub(super) producer_id: i64,
    pub(super) producer_epoch: i16,
}

/// How lanes keep order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// By sequences, several batches on their way at a time.
    Sequenced,
    /// One batch on its way at a time.
    OneByOne,
}

/// What the broker said of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// It is in the log.
    Stored,
    /// It failed.
    Refused {
        /// Why.
        kind: ErrorKind,
        /// Whether the same batch may succeed later.
        retriable: bool,
        /// What the broker knows of this attempt.
        outcome: Outcome,
    },
}

/// How a batch left its lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It is in the log.
    Stored,
    /// The last answer was final; the outcome counts all attempts.
    Refused(Outcome),
    /// Its deadline passed.
    Expired(Outcome),
}

/// A batch that left its lane.
#[derive(Debug)]
pub(super) struct Settled<T> {
    pub(super) batch: T,
    pub(super) verdict: Verdict,
}

/// A batch to be sent now.
#[derive(Debug)]
pub(super) struct Sending<'a, T> {
    /// Number of the request; its answer carries it back.
    pub(super) request: i64,
    pub(super) stamp: ProducerFields,
    pub(super) batch: &'a mut T,
}

/// All lanes of one producer.
#[derive(Debug)]
pub(super) struct InFlight<T> {
    order: Order,
    backoff: Backoff,
    identity: Option<Identity>,
    lanes: HashMap<TopicPartition, Lane<T>>,
    /// Lanes with batches to send, each once, in turn.
    waiting: VecDeque<TopicPartition>,
    /// Requests on the current connection that have no answer yet.
    requests: HashMap<i64, TopicPartition>,
    next_request: i64,
    batch_count: usize,
    /// No batch has its deadline before this.
    deadline_min: Duration,
}

#[derive(Debug)]
struct Lane<T> {
    entries: VecDeque<Entry<T>>,
    identity: Option<Identity>,
    next_sequence: i32,
    flow: Flow,
    in_waiting: bool,
}

/// Whether a lane takes and stamps batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flow {
    Open,
    /// A batch left without being stored: those behind it lose their sequence when the broker refuses them.
    Hole,
    /// The broker refused the oldest batch as out of order or fenced: those sent behind it fail as well.
    Refusing,
}

#[derive(Debug)]
struct Entry<T> {
    batch: T,
    record_count: i32,
    /// Set from the first sending on, and while the batch may be stored under it.
    stamp: Option<ProducerFields>,
    sent_as: Option<i64>,
    deadline: Duration,
    not_before: Duration,
    failures: u32,
    /// An attempt ended without a word about its outcome.
    maybe_written: bool,
}

impl<T> Entry<T> {
    fn wait_until(&mut self, time: Duration) {
        self.sent_as = None;
        self.not_before = time;
    }

    fn outcome_without_answer(&self) -> Outcome {
        if self.maybe_written || self.sent_as.is_some() { Outcome::Unknown } else { Outcome::NotWritten }
    }
}

impl<T> Lane<T> {
    fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            identity: None,
            next_sequence: 0,
            flow: Flow::Open,
            in_waiting: false,
        }
    }

    /// Index of the next batch to send: the oldest that is not on its way. While the lane is held up by a hole, only
    /// those with a sequence are sent.
    fn next_index(&self) -> Option<usize> {
        let may_go = |entry: &Entry<T>| self.flow == Flow::Open || entry.stamp.is_some();
        self.entries.iter().position(|entry| entry.sent_as.is_none() && may_go(entry))
    }

    fn stamp(&mut self, index: usize) -> Option<ProducerFields> {
        if let Some(stamp) = self.entries[index].stamp {
            return Some(stamp);
        }
        let Identity { producer_id, producer_epoch } = self.identity?;
        let stamp = ProducerFields { producer_id, producer_epoch, base_sequence: self.next_sequence };
        // Sequences wrap from the greatest 32-bit value to 0.
        self.next_sequence = self.next_sequence.wrapping_add(self.entries[index].record_count) & i32::MAX;
        self.entries[index].stamp = Some(stamp);
        Some(stamp)
    }

    fn expire(&mut self, now: Duration, expired: &mut Vec<Settled<T>>) {
        while let Some(index) = self.entries.iter().position(|entry| entry.deadline <= now) {
            let entry = self.remove(index);
            if entry.stamp.is_some() && self.flow == Flow::Open {
                self.flow = Flow::Hole;
            }
            let verdict = Verdict::Expired(entry.outcome_without_answer());
            expired.push(Settled { batch: entry.batch, verdict });
        }
    }

    fn remove(&mut self, index: usize) -> Entry<T> {
        self.entries.remove(index).expect("the index was found in this lane")
    }
}

impl<T> InFlight<T> {
    /// No lanes yet.
    pub(super) fn new(order: Order, backoff: Backoff) -> Self {
        Self {
            order,
            backoff,
            identity: None,
            lanes: HashMap::new(),
            waiting: VecDeque::new(),
            requests: HashMap::new(),
            next_request: 0,
            batch_count: 0,
            deadline_min: Duration::MAX,
        }
    }

    /// Whether there are no batches.
    pub(super) fn is_empty(&self) -> bool {
        self.batch_count == 0
    }

    /// Whether a producer id must be had before anything new can be sent.
    pub(super) fn wants_identity(&self) -> bool {
        self.order == Order::Sequenced && self.identity.is_none()
    }

    /// Sets the id for lanes that begin from now on.
    pub(super) fn set_identity(&mut self, identity: Identity) {
        self.identity = Some(identity);
    }

    /// Whether the partition's lane takes another batch.
    pub(super) fn has_room(&self, partition: TopicPartition) -> bool {
        let batches_max = if self.order == Order::Sequenced { PRODUCER_BATCHES_KEPT } else { 1 };
        self.lanes
            .get(&partition)
            .is_none_or(|lane| lane.flow == Flow::Open && lane.entries.len() < batches_max)
    }

    /// Adds a batch at the end of its lane; it fails at `deadline`.
    pub(super) fn add(&mut self, partition: TopicPartition, batch: T, record_count: i32, deadline: Duration) {
        let lane = self.lanes.entry(partition).or_insert_with(Lane::new);
        lane.entries.push_back(Entry {
            batch,
            record_count,
            stamp: None,
            sent_as: None,
            deadline,
            not_before: Duration::ZERO,
            failures: 0,
            maybe_written: false,
        });
        self.batch_count += 1;
        self.deadline_min = self.deadline_min.min(deadline);
        self.enqueue(partition);
    }

    /// The next batch to send, marked as sent. Lanes take turns.
    pub(super) fn next_to_send(&mut self, now: Duration) -> Option<Sending<'_, T>> {
        for _ in 0..self.waiting.len() {
            let partition = self.waiting.pop_front()?;
            let Some((index, stamp)) = self.ready(partition, now) else { continue };
            let request = self.next_request;
            self.next_request += 1;
            self.requests.insert(request, partition);
            self.enqueue(partition);
            let lane = self.lanes.get_mut(&partition).expect("the lane was ready");
            lane.entries[index].sent_as = Some(request);
            return Some(Sending { request, stamp, batch: &mut lane.entries[index].batch });
        }
        None
    }

    /// Which batch of a lane can go now. A lane that has one for later stays in the queue, others leave it.
    fn ready(&mut self, partition: TopicPartition, now: Duration) -> Option<(usize, ProducerFields)> {
        let lane = self.lanes.get_mut(&partition)?;
        lane.in_waiting = false;
        let index = lane.next_index()?;
        let mut stamp = None;
        if lane.entries[index].not_before <= now {
            if self.order == Order::OneByOne {
                stamp = Some(ProducerFields::NONE);
            } else {
                if lane.identity.is_none() && self.identity.is_some() {
                    lane.identity = self.identity;
                    lane.next_sequence = 0;
                }
                stamp = lane.stamp(index);
            }
        }
        if stamp.is_none() {
            self.enqueue(partition);
        }
        stamp.map(|stamp| (index, stamp))
    }

    fn enqueue(&mut self, partition: TopicPartition) {
        if let Some(lane) = self.lanes.get_mut(&partition)
            && !lane.in_waiting
        {
            lane.in_waiting = true;
            self.waiting.push_back(partition);
        }
    }

    /// The batch that this request holds and that has no answer yet.
    pub(super) fn sent_as(&mut self, request: i64) -> Option<&mut T> {
        let lane = self.lanes.get_mut(self.requests.get(&request)?)?;
        let entry = lane.entries.iter_mut().find(|entry| entry.sent_as == Some(request))?;
        Some(&mut entry.batch)
    }

    /// Takes the answer to a request. Gives the batch when that settles it; an answer to a request that is not known
    /// (any more) is nothing.
    pub(super) fn answered(&mut self, request: i64, answer: Answer, now: Duration) -> Option<Settled<T>> {
        let partition = self.requests.remove(&request)?;
        let lane = self.lanes.get_mut(&partition)?;
        let index = lane.entries.iter().position(|entry| entry.sent_as == Some(request))?;
        let settled = match answer {
            Answer::Stored => Some(Settled { batch: lane.remove(index).batch, verdict: Verdict::Stored }),
            Answer::Refused { kind: ErrorKind::OutOfOrderSequence, .. } if lane.flow == Flow::Hole => {
                let entry = &mut lane.entries[index];
                entry.stamp = None;
                entry.maybe_written = false;
                entry.wait_until(now);
                None
            }
            // The batches before it will be sent again, and this one behind them.
            Answer::Refused { kind: ErrorKind::OutOfOrderSequence, .. }
                if index > 0 && lane.flow == Flow::Open && self.order == Order::Sequenced =>
            {
                lane.entries[index].wait_until(now);
                None
            }
            Answer::Refused { kind, retriable, outcome }
                if retriable || kind == ErrorKind::PrecedingFailed =>
            {
                let entry = &mut lane.entries[index];
                entry.failures = entry.failures.saturating_add(1);
                entry.maybe_written |= outcome != Outcome::NotWritten;
                let delay = self.backoff.delay(entry.failures);
                entry.wait_until(now + delay);
                None
            }
            Answer::Refused { kind, outcome, .. } => Some(refuse(lane, index, kind, outcome)),
        };
        self.batch_count -= usize::from(settled.is_some());
        self.end_hole(partition);
        self.enqueue(partition);
        settled
    }

    /// The connection is lost: whatever had no answer may be written, and goes out again in its order.
    pub(super) fn disconnected(&mut self) {
        self.requests.clear();
        let mut partitions = Vec::new();
        for (partition, lane) in &mut self.lanes {
            for entry in lane.entries.iter_mut().filter(|entry| entry.sent_as.is_some()) {
                entry.maybe_written = true;
                entry.wait_until(Duration::ZERO);
            }
            if !lane.entries.is_empty() {
                partitions.push(*partition);
            }
        }
        for partition in partitions {
            self.enqueue(partition);
        }
    }

    /// Takes out the batches whose deadline is at or before `now`.
    pub(super) fn expire(&mut self, now: Duration) -> Vec<Settled<T>> {
        let mut expired = Vec::new();
        if now < self.deadline_min {
            return expired;
        }
        let mut touched = Vec::new();
        for (partition, lane) in &mut self.lanes {
            let before = expired.len();
            lane.expire(now, &mut expired);
            if expired.len() > before {
                touched.push(*partition);
            }
        }
        self.batch_count -= expired.len();
        let deadlines = self.lanes.values().flat_map(|lane| lane.entries.iter().map(|entry| entry.deadline));
        self.deadline_min = deadlines.min().unwrap_or(Duration::MAX);
        for partition in touched {
            self.end_hole(partition);
            self.enqueue(partition);
        }
        expired
    }

    /// When [`InFlight::expire`] or [`InFlight::next_to_send`] should be called again though nothing happens.
    pub(super) fn next_wake(&self, now: Duration) -> Option<Duration> {
        if self.is_empty() {
            return None;
        }
        let first_time = |partition| {
            let lane: &Lane<T> = self.lanes.get(partition)?;
            lane.next_index().map(|index| lane.entries[index].not_before)
        };
        let retries = self.waiting.iter().filter_map(first_time).filter(|time| *time > now);
        Some(retries.min().map_or(self.deadline_min, |time| time.min(self.deadline_min)))
    }

    /// Ends a lane's hole once no sequence of its producer id is open: it goes on under a new id.
    fn end_hole(&mut self, partition: TopicPartition) {
        let Some(lane) = self.lanes.get_mut(&partition) else { return };
        if lane.flow == Flow::Open || lane.entries.iter().any(|entry| entry.stamp.is_some()) {
            return;
        }
        if self.identity == lane.identity {
            self.identity = None;
        }
        lane.identity = None;
        lane.flow = Flow::Open;
    }
}

/// Takes a batch out after a final refusal.
fn refuse<T>(lane: &mut Lane<T>, index: usize, kind: ErrorKind, outcome: Outcome) -> Settled<T> {
    let entry = lane.remove(index);
    let by_sequence = matches!(kind, ErrorKind::OutOfOrderSequence | ErrorKind::ProducerFenced);
    if entry.stamp.is_some() && lane.flow == Flow::Open {
        lane.flow = if by_sequence { Flow::Refusing } else { Flow::Hole };
    }
    // A broker that refuses a sequence has looked for the batch in its log; any other word is about this attempt only.
    let known = kind == ErrorKind::OutOfOrderSequence || !entry.maybe_written;
    let outcome = if known { outcome } else { Outcome::Unknown };
    Settled { batch: entry.batch, verdict: Verdict::Refused(outcome) }
}

#[cfg(test)]
mod tests;

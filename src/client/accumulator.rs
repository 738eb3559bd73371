//! Collects records into batches, one queue for each partition. Pure: the time comes in as a value.
//!
//! A batch is taken when it is full, when its linger is over, or when a flush closed it; with no linger, as soon as
//! somebody takes it. So records that come while the sender is busy share a batch by themselves.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use tokio::sync::OwnedSemaphorePermit;

use super::metadata::KnownTopic;
use super::producer::{Batch, Body, Delivery, Pledge, PledgeHolder};
use crate::base::TopicPartition;
use crate::base::limits::BATCH_BYTES_MAX;
use crate::record::{BatchBuilder, BuildError, NewRecord};

/// Records that wait to be sent.
pub(super) struct Accumulator {
    linger: Duration,
    batch_bytes: usize,
    // WHY another hasher: a lookup for each record, by ids that nobody chooses to collide.
    queues: HashMap<TopicPartition, VecDeque<OpenBatch>, RandomState>,
    /// Bytes of the last batch that each partition had: the next one begins with as much room.
    last_bytes: HashMap<TopicPartition, usize, RandomState>,
    /// Partitions with batches, each once, in turn.
    turns: VecDeque<TopicPartition>,
    /// Promises of all batches without result, waiting or sent, by batch number.
    pledges: BTreeMap<u64, Pledge>,
    next_number: u64,
    record_count: u64,
}

/// A batch that may still grow.
struct OpenBatch {
    number: u64,
    topic: Arc<KnownTopic>,
    builder: BatchBuilder,
    memory: OwnedSemaphorePermit,
    holder: PledgeHolder,
    pledge: Pledge,
    created_at: Duration,
    closed: bool,
}

/// Where a record goes, and the memory that it may take.
pub(super) struct Place<'a> {
    pub(super) topic: &'a Arc<KnownTopic>,
    pub(super) partition: i32,
    pub(super) memory: OwnedSemaphorePermit,
}

/// A record that was taken.
pub(super) struct Pushed {
    pub(super) delivery: Delivery,
    /// Whether the sender has something new to look at.
    pub(super) wakes: bool,
}

/// Largest batch of a topic in bytes, before compression.
pub(super) fn batch_bytes_max(topic: &KnownTopic) -> usize {
    topic.max_message_bytes.min(BATCH_BYTES_MAX)
}

impl Accumulator {
    /// No records yet. A batch waits for `linger` and grows to `batch_bytes`, or to one larger record.
    pub(super) fn new(linger: Duration, batch_bytes: usize) -> Self {
        Self {
            linger,
            batch_bytes,
            queues: HashMap::default(),
            last_bytes: HashMap::default(),
            turns: VecDeque::new(),
            pledges: BTreeMap::new(),
            next_number: 0,
            record_count: 0,
        }
    }

    /// Adds a record to its partition's last batch, or to a new one when that is full. The record alone fits
    /// [`batch_bytes_max`].
    ///
    /// Errors: those of [`BatchBuilder::append`]; nothing is changed then.
    pub(super) fn push(
        &mut self,
        place: Place<'_>,
        record: &NewRecord<'_>,
        now: Duration,
    ) -> Result<Pushed, BuildError> {
        let key = TopicPartition { topic_id: place.topic.id, partition: place.partition };
        let bytes_max = self.batch_bytes.min(batch_bytes_max(place.topic));
        let queue = self.queues.entry(key).or_default();
        if let Some(batch) = queue.back_mut().filter(|batch| !batch.closed) {
            if batch.builder.size_bytes_with(record) <= bytes_max {
                let delivery = batch.add(place, record)?;
                batch.closed = batch.builder.size_bytes() >= bytes_max;
                self.record_count += 1;
                return Ok(Pushed { delivery, wakes: batch.closed });
            }
            batch.closed = true;
        }
        let room = self.last_bytes.get(&key).map_or(0, |bytes| (*bytes).min(bytes_max));
        let builder = BatchBuilder::with_capacity(room);
        let (batch, delivery) = OpenBatch::begin((self.next_number, builder), place, record, now)?;
        self.next_number += 1;
        self.record_count += 1;
        self.pledges.insert(batch.number, batch.pledge.clone());
        if queue.is_empty() {
            self.turns.push_back(key);
        }
        queue.push_back(batch);
        Ok(Pushed { delivery, wakes: true })
    }

    /// The next batch that is due in a partition with room, oldest first within a partition; partitions take turns.
    pub(super) fn take(&mut self, now: Duration, has_room: impl Fn(TopicPartition) -> bool) -> Option<Batch> {
        for _ in 0..self.turns.len() {
            let key = self.turns.pop_front()?;
            let queue = self.queues.get_mut(&key)?;
            let due = queue.front().is_some_and(|batch| batch.is_due(now, self.linger)) && has_room(key);
            let batch = if due { queue.pop_front() } else { None };
            self.keep_turn(key);
            if let Some(batch) = batch {
                self.last_bytes.insert(key, batch.builder.size_bytes());
                return Some(batch.seal(key.partition));
            }
        }
        None
    }

    /// Takes out the batches that were begun `age` ago or earlier.
    pub(super) fn take_older(&mut self, now: Duration, age: Duration) -> Vec<Batch> {
        let mut old = Vec::new();
        for (key, queue) in &mut self.queues {
            while queue.front().is_some_and(|batch| batch.created_at + age <= now) {
                let batch = queue.pop_front().expect("there is a front");
                old.push(batch.seal(key.partition));
            }
        }
        if !old.is_empty() {
            self.queues.retain(|_, queue| !queue.is_empty());
            self.turns.retain(|key| self.queues.contains_key(key));
        }
        old
    }

    fn keep_turn(&mut self, key: TopicPartition) {
        if self.queues.get(&key).is_some_and(VecDeque::is_empty) {
            self.queues.remove(&key);
        } else {
            self.turns.push_back(key);
        }
    }

    /// Makes every batch due now, and gives the promises of all batches that have no result yet.
    pub(super) fn flush(&mut self) -> Vec<Pledge> {
        for batch in self.queues.values_mut().filter_map(|queue| queue.back_mut()) {
            batch.closed = true;
        }
        self.pledges.values().cloned().collect()
    }

    /// Forgets a batch that has its result.
    pub(super) fn settled(&mut self, number: u64, record_count: i32) {
        self.pledges.remove(&number);
        self.record_count -= u64::from(record_count.unsigned_abs());
    }

    /// Records without result, waiting or sent.
    pub(super) fn record_count(&self) -> u64 {
        self.record_count
    }

    /// Whether no batch waits.
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// When a batch that is not due yet becomes due, or is `age` old.
    pub(super) fn next_wake(&self, now: Duration, age: Duration) -> Option<Duration> {
        let of_batch = |batch: &OpenBatch| {
            let due_at = batch.created_at + self.linger;
            if batch.closed || due_at <= now { batch.created_at + age } else { due_at }
        };
        self.queues.values().filter_map(|queue| queue.front().map(of_batch)).min()
    }
}

impl OpenBatch {
    /// A batch of one record.
    fn begin(
        (number, mut builder): (u64, BatchBuilder),
        place: Place<'_>,
        record: &NewRecord<'_>,
        now: Duration,
    ) -> Result<(Self, Delivery), BuildError> {
        let Place { topic, partition, memory } = place;
        builder.append(record)?;
        let (holder, pledge) = PledgeHolder::new();
        let delivery = Delivery::new(pledge.clone(), topic, partition, 0, record.timestamp);
        let topic = topic.clone();
        let batch = Self { number, topic, builder, memory, holder, pledge, created_at: now, closed: false };
        Ok((batch, delivery))
    }

    fn add(&mut self, place: Place<'_>, record: &NewRecord<'_>) -> Result<Delivery, BuildError> {
        let index = self.builder.record_count();
        self.builder.append(record)?;
        self.memory.merge(place.memory);
        Ok(Delivery::new(self.pledge.clone(), place.topic, place.partition, index, record.timestamp))
    }

    fn is_due(&self, now: Duration, linger: Duration) -> bool {
        self.closed || self.created_at + linger <= now
    }

    fn seal(self, partition: i32) -> Batch {
        let Self { number, topic, builder, memory, holder, created_at, .. } = self;
        let record_count = builder.record_count();
        Batch {
            number,
            topic,
            partition,
            record_count,
            created_at,
            body: Body::Open(builder),
            holder,
            last_refusal: None,
            memory,
        }
    }
}

#[cfg(test)]
mod tests;

//! Writing records.
//!
//! [`Producer::send`] puts a record into the accumulator and gives a [`Delivery`]; one task for each producer seals batches,
//! sends them on one stream, and resolves deliveries as results come. Reading order: this file, [`super::accumulator`],
//! [`sender`] (the task), [`in_flight`] (order, retries, sequences).

mod batch;
mod builder;
mod delivery;
mod in_flight;
mod record;
mod sender;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::accumulator::{Accumulator, Place, batch_bytes_max};
use super::handle::Parts;
use super::metadata::KnownTopic;
use super::partitioner::{Partitioner, check_partition};
use super::retry::Backoff;
use crate::base::size::print_bytes;
use crate::base::time::{as_ms, print_ms};
use crate::base::{Error, ErrorKind, Outcome};
use crate::record::{BatchBuilder, HEADER_BYTES, NewRecord};

pub(super) use batch::{Batch, Body};
pub(super) use builder::Options;
pub use builder::ProducerBuilder;
pub use delivery::{Delivery, RecordMetadata};
pub(super) use delivery::{Pledge, PledgeHolder, Resolution, Stored};
pub use record::Record;

/// Headers of a record as the encoder takes them.
type HeaderRefs<'a> = Vec<(&'a str, Option<&'a [u8]>)>;

/// Writes records to topics. Share it behind an `Arc` to send from several tasks.
///
/// Records of one partition are stored in the order of `send`. Unless told otherwise a retry stores nothing twice and
/// changes no order. Await [`Producer::close`] at the end: a producer that is dropped gives its unsent records up.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// use weir::Record;
///
/// let producer = client.producer().build().await?;
/// let first = producer.send(Record::to("orders").key("u1").value("one")).await?;
/// let second = producer.send(Record::to("orders").key("u1").value("two")).await?;
/// // Both are under way; of one key, so in this order.
/// println!("{} {}", first.await?.offset, second.await?.offset);
/// producer.close().await;
/// # Ok(())
/// # }
/// ```
pub struct Producer {
    shared: Arc<Shared>,
    task: Option<JoinHandle<()>>,
}

/// What callers and the sender's task share.
pub(super) struct Shared {
    parts: Parts,
    options: Options,
    backoff: Backoff,
    queue: Mutex<Queue>,
    wake: Notify,
    memory: Arc<Semaphore>,
    delivered: AtomicU64,
    failed: AtomicU64,
    closing: AtomicBool,
}

struct Queue {
    accumulator: Accumulator,
    partitioner: Partitioner,
}

/// What a producer did in its life.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// use weir::Record;
///
/// let producer = client.producer().build().await?;
/// for n in 0..1_000 {
///     // Who looks at the report may drop the deliveries.
///     drop(producer.send(Record::to("orders").value(n.to_string())).await?);
/// }
/// let report = producer.close().await;
/// println!("{} stored, {} failed", report.delivered, report.failed);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CloseReport {
    /// Records that were acknowledged (with `Acks::None`: handed to the connection).
    pub delivered: u64,
    /// Records whose delivery failed.
    pub failed: u64,
}

impl Producer {
    fn start(parts: Parts, options: Options) -> Self {
        let backoff = Backoff::new(parts.rng.clone());
        let queue = Queue {
            accumulator: Accumulator::new(options.linger, options.batch_bytes),
            partitioner: Partitioner::new(parts.rng.clone()),
        };
        let shared = Arc::new(Shared {
            backoff,
            queue: Mutex::new(queue),
            wake: Notify::new(),
            memory: Arc::new(Semaphore::new(options.buffer_memory)),
            delivered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            parts,
            options,
        });
        let task = tokio::spawn(sender::run(shared.clone()));
        Self { shared, task: Some(task) }
    }

    /// Hands a record over. Waits for the topic to be looked up the first time and while `buffer_memory` is used up;
    /// then the record is on its way, and the [`Delivery`] tells what becomes of it.
    ///
    /// Cancel safe: a call that is dropped before it ends has sent nothing.
    /// Errors, all with outcome "not written": TOPIC_NOT_FOUND, PARTITION_NOT_FOUND; RECORD_TOO_LARGE when the record
    /// alone exceeds the topic's `max.message.bytes`; INVALID_RECORD, INVALID_TIMESTAMP; TIMED_OUT when topic or memory
    /// could not be had within the delivery timeout.
    pub async fn send(&self, record: Record) -> Result<Delivery, Error> {
        self.hand_over(record).await.map_err(|error| error.outcome(Outcome::NotWritten))
    }

    async fn hand_over(&self, record: Record) -> Result<Delivery, Error> {
        let shared = &*self.shared;
        // WHY once: a clock costs as much as all the rest of a small record.
        let now = shared.now();
        let deadline = now + shared.options.delivery_timeout;
        let topic = match shared.parts.metadata.known(&record.topic, now) {
            Some(topic) => topic,
            None => shared.look_up(&record.topic, deadline).await?,
        };
        let topic = shared.with_partition(topic, &record, deadline).await?;
        let headers: HeaderRefs<'_> =
            record.headers.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        let new = NewRecord {
            timestamp: record.timestamp.unwrap_or_else(|| shared.parts.clock.now_ms()),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        let memory_bytes = record.memory_bytes();
        // What memory it is counted with is never below its size in a batch.
        if HEADER_BYTES + memory_bytes > batch_bytes_max(&topic) {
            check_size(&topic, &new)?;
        }
        match shared.reserve_at_once(memory_bytes) {
            Some(memory) => shared.push((&topic, &record, &new), memory, now),
            None => {
                let memory = shared.reserve(&record, deadline).await?;
                shared.push((&topic, &record, &new), memory, shared.now())
            }
        }
    }

    /// Waits until every record sent before has its result, lingering ones included. Failures show in the deliveries
    /// and in [`Producer::close`].
    ///
    /// Cancel safe. Ends after the delivery timeout at the latest.
    pub async fn flush(&self) {
        let pledges = self.shared.queue.lock().accumulator.flush();
        self.shared.wake.notify_one();
        for pledge in pledges {
            // The result is the delivery's; here only its coming counts.
            let _ = pledge.await;
        }
    }

    /// How many records were delivered and how many failed so far.
    pub fn report(&self) -> CloseReport {
        CloseReport {
            delivered: self.shared.delivered.load(Ordering::Relaxed),
            failed: self.shared.failed.load(Ordering::Relaxed),
        }
    }

    /// Flushes, then ends the connection's stream. Says how many records were delivered and how many failed in the
    /// producer's whole life.
    pub async fn close(mut self) -> CloseReport {
        self.flush().await;
        self.shared.closing.store(true, Ordering::Release);
        self.shared.wake.notify_one();
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the producer's task failed");
        }
        self.report()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else { return };
        task.abort();
        let records = self.shared.queue.lock().accumulator.record_count();
        if records > 0 {
            tracing::warn!(
                records,
                "producer dropped before its records were acknowledged; await close() first"
            );
        }
    }
}

impl Shared {
    fn now(&self) -> Duration {
        self.parts.clock.monotonic()
    }

    /// Looks a topic up, again and again while the broker can't be reached.
    async fn look_up(&self, name: &str, deadline: Duration) -> Result<Arc<KnownTopic>, Error> {
        let mut failures = 0;
        loop {
            let error = match self.parts.metadata.topic(name).await {
                Ok(topic) => return Ok(topic),
                Err(error) => error,
            };
            failures += 1;
            let delay = self.backoff.delay(failures);
            if !error.kind.is_retriable() || self.now() + delay >= deadline {
                return Err(error);
            }
            if failures == 1 {
                tracing::warn!(topic = name, %error, "topic can't be looked up yet; trying again");
            }
            self.parts.clock.sleep(delay).await;
        }
    }

    /// The topic, looked up anew when it seems to lack the partition that the record names.
    async fn with_partition(
        &self,
        topic: Arc<KnownTopic>,
        record: &Record,
        deadline: Duration,
    ) -> Result<Arc<KnownTopic>, Error> {
        if check_partition(&topic, record).is_ok() {
            return Ok(topic);
        }
        self.parts.metadata.forget(&record.topic);
        let topic = self.look_up(&record.topic, deadline).await?;
        check_partition(&topic, record)?;
        Ok(topic)
    }

    /// Memory for a record, if it is there and nobody waits for it.
    fn reserve_at_once(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.memory.clone().try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }

    /// Memory for a record, waited for until `deadline`.
    async fn reserve(&self, record: &Record, deadline: Duration) -> Result<OwnedSemaphorePermit, Error> {
        let bytes = record.memory_bytes();
        let limit = self.options.buffer_memory;
        let permits = u32::try_from(bytes).ok().filter(|_| bytes <= limit);
        let permits =
            permits.ok_or_else(|| too_large(&record.topic, bytes, limit, "the producer's buffer_memory"))?;
        tokio::select! {
            permit = self.memory.clone().acquire_many_owned(permits) => {
                Ok(permit.expect("the semaphore is never closed"))
            }
            () = self.parts.clock.sleep(deadline.saturating_sub(self.now())) => Err(self.no_memory(&record.topic)),
        }
    }

    fn no_memory(&self, topic: &str) -> Error {
        let wait = print_ms(as_ms(self.options.delivery_timeout));
        let limit = print_bytes(self.options.buffer_memory as u64);
        let message = format!(
            "a record for topic '{topic}' waited {wait} for memory: {limit} of unacknowledged records; \
             check that the broker runs, or send more slowly"
        );
        Error::new(ErrorKind::TimedOut, message).with("topic", topic)
    }

    fn push(
        &self,
        (topic, record, new): (&Arc<KnownTopic>, &Record, &NewRecord<'_>),
        memory: OwnedSemaphorePermit,
        now: Duration,
    ) -> Result<Delivery, Error> {
        let pushed = {
            let mut queue = self.queue.lock();
            let partition = queue.partitioner.choose(topic, record);
            queue.accumulator.push(Place { topic, partition, memory }, new, now)
        };
        let pushed = pushed.map_err(|error| unsound(topic, &error))?;
        if pushed.wakes {
            self.wake.notify_one();
        }
        Ok(pushed.delivery)
    }

    /// Tells a batch's result to its deliveries and gives its memory back.
    fn settle(&self, batch: Batch, resolution: Resolution) {
        let counter = if resolution.is_ok() { &self.delivered } else { &self.failed };
        counter.fetch_add(u64::from(batch.record_count.unsigned_abs()), Ordering::Relaxed);
        self.queue.lock().accumulator.settled(batch.number, batch.record_count);
        batch.holder.resolve(resolution);
    }
}

/// Refuses a record that no batch of its topic can hold.
fn check_size(topic: &KnownTopic, record: &NewRecord<'_>) -> Result<(), Error> {
    let bytes = BatchBuilder::new().size_bytes_with(record);
    let limit = batch_bytes_max(topic);
    if bytes <= limit {
        return Ok(());
    }
    Err(too_large(&topic.name, bytes, limit, "the topic's max.message.bytes"))
}

fn too_large(topic: &str, bytes: usize, limit: usize, whose: &str) -> Error {
    let message = format!(
        "a record for topic '{topic}' takes {bytes} bytes, more than {whose} of {limit}; send a smaller one, or raise the limit"
    );
    Error::new(ErrorKind::RecordTooLarge, message)
        .with("topic", topic)
        .with("size", bytes)
        .with("limit", limit)
}

/// A record that the format can't hold.
fn unsound(topic: &KnownTopic, error: &crate::record::BuildError) -> Error {
    let kind = match error {
        crate::record::BuildError::Timestamp { .. } => ErrorKind::InvalidTimestamp,
        _ => ErrorKind::InvalidRecord,
    };
    let name = &topic.name;
    Error::new(kind, format!("a record for topic '{name}' can't be sent: {error}")).with("topic", name)
}

//! Reading records, without groups.
//!
//! A [`Consumer`] follows its partitions on one stream of whole batches, checks each batch, and hands out records. It holds
//! a [`cursor`] for each partition; after a lost connection it goes on from there. There is no task behind it: it works
//! while it is polled, so a caller that does not read holds the broker up, not its memory.

mod builder;
mod cursor;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;

use super::connection::Incoming;
use super::fault::from_item;
use super::handle::Parts;
use super::metadata::is_outdated;
use super::retry::{Attempt, Backoff};
use super::types::ConsumerRecord;
use crate::base::{Error, ErrorKind, Offset};
use crate::env::clock::Sleep;
use crate::proto::grpc;
use crate::record::BatchError;

pub use builder::ConsumerBuilder;
pub(super) use cursor::Cursor;

/// What a consumer has to tell.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// use std::collections::BTreeSet;
/// use weir::client::{Event, Start};
///
/// // Reads what is there at this moment, then ends.
/// let mut consumer = client.consumer().topic("orders").start(Start::Beginning).build().await?;
/// let mut open: BTreeSet<i32> = consumer.positions().map(|(_, partition, _)| partition).collect();
/// while !open.is_empty() {
///     match consumer.next_event().await {
///         Some(Event::Record(record)) => println!("{}@{}", record.partition, record.offset),
///         Some(Event::CaughtUp { partition, .. }) => drop(open.remove(&partition)),
///         Some(Event::Error(error)) => return Err(error),
///         None => break,
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub enum Event {
    /// The next record of some partition.
    Record(ConsumerRecord),
    /// Everything that was readable in a partition has been given.
    CaughtUp {
        /// Name of the topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
        /// Where it goes on.
        next_offset: Offset,
    },
    /// A partition failed for good (the error's facts name `topic` and `partition`) and stands still until
    /// [`Consumer::seek`]; the others go on.
    Error(Error),
}

/// Reads records from partitions; also a `Stream` of records and errors.
///
/// Records of one partition come in order, each once, whatever connections are lost meanwhile. DIVERGED, DAMAGED_RANGE,
/// OFFSET_OUT_OF_RANGE and UNKNOWN_TOPIC_ID stop their partition and come as an error item, never as a silent gap.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// use weir::client::Start;
///
/// let mut consumer = client.consumer().topic("orders").start(Start::Beginning).build().await?;
/// while let Some(next) = consumer.next().await {
///     match next {
///         Ok(record) => println!("{}@{} {:?}", record.partition, record.offset, record.value),
///         // Its partition stands still until a seek; the others go on.
///         Err(error) => println!("{error}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Consumer {
    parts: Parts,
    max_bytes: i32,
    /// By topic and partition.
    cursors: Vec<Cursor>,
    backoff: Backoff,
    opening: Attempt<Incoming<grpc::TailResponse>>,
    waiting: Option<Sleep>,
    call: Option<Incoming<grpc::TailResponse>>,
    unread: Option<Unread>,
    errors: VecDeque<Error>,
}

/// A response that is not given out yet.
struct Unread {
    /// Index of its cursor.
    cursor: usize,
    batches: Bytes,
    /// Decoded records, the first batches of the response.
    records: VecDeque<ConsumerRecord>,
    next_offset: Offset,
    leader_epoch: Option<i32>,
    error: Option<Error>,
    caught_up: bool,
}

impl Consumer {
    fn new(parts: Parts, mut cursors: Vec<Cursor>, max_bytes: i32) -> Self {
        cursors.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        let backoff = Backoff::new(parts.rng.clone());
        let opening = Attempt::new(backoff.clone());
        Self {
            parts,
            max_bytes,
            cursors,
            backoff,
            opening,
            waiting: None,
            call: None,
            unread: None,
            errors: VecDeque::new(),
        }
    }

    /// The next event, or `None` while every partition stands still after an error.
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    pub async fn next_event(&mut self) -> Option<Event> {
        poll_fn(|context| self.poll_event(context)).await
    }

    /// The next record or error, or `None` while every partition stands still after an error.
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<ConsumerRecord, Error>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Reads a partition on from `offset`; one that stood still after an error goes on. Takes effect with the next
    /// record.
    ///
    /// Errors: PARTITION_NOT_FOUND when the consumer does not read that partition.
    pub fn seek(&mut self, topic: &str, partition: i32, offset: Offset) -> Result<(), Error> {
        let index = self.find(topic, partition).ok_or_else(|| {
            let message = format!(
                "this consumer does not read topic '{topic}', partition {partition}; name it when building"
            );
            Error::new(ErrorKind::PartitionNotFound, message)
        })?;
        self.cursors[index].seek(offset);
        if self.unread.as_ref().is_some_and(|unread| unread.cursor == index) {
            self.unread = None;
        }
        // The stream follows the old places.
        self.call = None;
        self.opening.reset();
        self.waiting = None;
        Ok(())
    }

    /// Offset of the next record that a partition will give, or `None` when the consumer does not read it.
    pub fn position(&self, topic: &str, partition: i32) -> Option<Offset> {
        self.find(topic, partition).map(|index| self.cursors[index].position)
    }

    /// Every partition that is read, with the offset of its next record.
    pub fn positions(&self) -> impl Iterator<Item = (&Arc<str>, i32, Offset)> {
        self.cursors.iter().map(|cursor| (&cursor.topic, cursor.partition, cursor.position))
    }

    fn find(&self, topic: &str, partition: i32) -> Option<usize> {
        let key = (topic, partition);
        self.cursors.binary_search_by(|cursor| (&*cursor.topic, cursor.partition).cmp(&key)).ok()
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            if let Some(error) = self.errors.pop_front() {
                return Poll::Ready(Some(Event::Error(error)));
            }
            if let Some(event) = self.next_unread() {
                return Poll::Ready(Some(event));
            }
            if !self.errors.is_empty() {
                continue;
            }
            if self.cursors.iter().all(|cursor| cursor.stopped) {
                self.call = None;
                return Poll::Ready(None);
            }
            ready!(self.poll_connection(context));
        }
    }

    /// The next event of the response in hand.
    fn next_unread(&mut self) -> Option<Event> {
        loop {
            let unread = self.unread.as_mut()?;
            let cursor = &mut self.cursors[unread.cursor];
            if let Some(record) = unread.records.pop_front() {
                cursor.position = record.offset + 1;
                return Some(Event::Record(record));
            }
            if unread.batches.is_empty() {
                return self.finish_unread();
            }
            match cursor.read_batch(&mut unread.batches) {
                Ok(records) => unread.records = records,
                Err(error) => {
                    let index = unread.cursor;
                    self.unread = None;
                    self.doubt(index, error);
                    return None;
                }
            }
        }
    }

    fn finish_unread(&mut self) -> Option<Event> {
        let unread = self.unread.take()?;
        if let Some(error) = unread.error {
            self.partition_failed(unread.cursor, error);
            return None;
        }
        let cursor = &mut self.cursors[unread.cursor];
        cursor.skip_to(unread.next_offset, unread.leader_epoch);
        unread.caught_up.then(|| Event::CaughtUp {
            topic: cursor.topic.clone(),
            partition: cursor.partition,
            next_offset: cursor.position,
        })
    }

    /// Bytes did not pass their check: reads them once more, in case they were changed on the way.
    fn doubt(&mut self, index: usize, error: BatchError) {
        let cursor = &mut self.cursors[index];
        let (topic, partition, offset) = (cursor.topic.clone(), cursor.partition, cursor.read_offset);
        if cursor.doubted_offset != Some(offset) {
            cursor.doubted_offset = Some(offset);
            let message =
                format!("topic '{topic}', partition {partition}: the batch at offset {offset}: {error}");
            self.lost(Error::new(ErrorKind::Unavailable, message));
            return;
        }
        let message = format!(
            "topic '{topic}', partition {partition}: the batch at offset {offset} fails its check: {error}; \
             seek past it to go on, or to it to read it again"
        );
        let error = Error::new(ErrorKind::DamagedRange, message).with("first", offset);
        self.partition_failed(index, error);
    }

    /// Stops a partition whose error is final; else tries again later.
    fn partition_failed(&mut self, index: usize, error: Error) {
        let cursor = &mut self.cursors[index];
        let error = error.with("topic", &cursor.topic).with("partition", cursor.partition);
        if error.kind.is_retriable() {
            cursor.failures = cursor.failures.saturating_add(1);
            let failures = cursor.failures;
            if failures == 1 {
                tracing::warn!(%error, "a partition can't be read for now; trying again");
            }
            self.call = None;
            self.wait_for(failures);
            return;
        }
        cursor.stopped = true;
        if error.kind == ErrorKind::Diverged {
            let fact = |name| error.metadata.get(name)?.parse::<i64>().ok();
            let epoch = fact("epoch").and_then(|epoch| i32::try_from(epoch).ok());
            cursor.epoch_end = epoch.zip(fact("end"));
        }
        if is_outdated(error.kind) {
            self.parts.metadata.forget(&cursor.topic);
        }
        self.errors.push_back(error);
    }

    /// Opens the stream or takes its next response.
    fn poll_connection(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(call) = &mut self.call {
            match ready!(Pin::new(call).poll_next(context)) {
                Some(Ok(response)) => self.receive(response),
                Some(Err(error)) => self.lost(error),
                None => self.lost(Error::new(ErrorKind::Unavailable, "the broker ended the stream")),
            }
            return Poll::Ready(());
        }
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.as_mut().poll(context));
            self.waiting = None;
        }
        let Self { parts, cursors, max_bytes, opening, .. } = self;
        // The wait after a failure is over.
        opening.begin(Duration::MAX, || {
            let (connection, request) = (parts.connection.clone(), tail_request(cursors, *max_bytes));
            async move { connection.tail(request).await }
        });
        match ready!(self.opening.poll_finished(context)) {
            Ok(call) => self.call = Some(call),
            Err(error) => self.lost(error),
        }
        Poll::Ready(())
    }

    fn receive(&mut self, response: grpc::TailResponse) {
        self.opening.succeeded();
        let Some(partition) = response.partition else { return };
        let Some(index) = self.find(&partition.topic, partition.partition) else { return };
        let cursor = &self.cursors[index];
        if cursor.stopped {
            return;
        }
        let mut error = partition.error.map(from_item);
        if error.is_none() && partition.topic_id != cursor.topic_id.0[..] {
            let message = format!("topic '{}' was deleted and created again; look it up again", cursor.topic);
            error = Some(Error::new(ErrorKind::UnknownTopicId, message));
        }
        self.unread = Some(Unread {
            cursor: index,
            batches: if error.is_none() { partition.batches } else { Bytes::new() },
            records: VecDeque::new(),
            next_offset: partition.next_offset,
            leader_epoch: partition.leader_epoch,
            error,
            caught_up: response.caught_up,
        });
    }

    /// The stream is over: waits, then opens it again where each partition stands. An error that no retry can mend stops
    /// every partition.
    fn lost(&mut self, error: Error) {
        self.call = None;
        if !error.kind.is_retriable() {
            self.cursors.iter_mut().for_each(|cursor| cursor.stopped = true);
            self.errors.push_back(error);
            return;
        }
        let now = self.parts.clock.monotonic();
        self.opening.failed(now);
        if self.opening.failures() == 1 {
            tracing::warn!(%error, "reading was interrupted; going on where it was");
        }
        self.wait_for(self.opening.failures());
    }

    /// Waits before the stream is opened again.
    fn wait_for(&mut self, failures: u32) {
        self.waiting = Some(self.parts.clock.sleep(self.backoff.delay(failures)));
    }
}

/// Whole batches of every partition that does not stand still.
fn tail_request(cursors: &[Cursor], max_bytes: i32) -> grpc::TailRequest {
    let going = cursors.iter().filter(|cursor| !cursor.stopped);
    let form = grpc::RecordForm::Batch as i32;
    grpc::TailRequest { partitions: going.map(Cursor::request).collect(), form, max_bytes }
}

impl Stream for Consumer {
    type Item = Result<ConsumerRecord, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            return Poll::Ready(match ready!(self.poll_event(context)) {
                Some(Event::Record(record)) => Some(Ok(record)),
                Some(Event::Error(error)) => Some(Err(error)),
                Some(Event::CaughtUp { .. }) => continue,
                None => None,
            });
        }
    }
}

//! Writing: from items to appended batches, and from appended batches to answers.
//!
//! [`submit`] appends the items of one request in their order and does not wait for their end; [`Submitted::settle`]
//! waits for it. Requests that must stay in order are submitted one after the other and settled in any order.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{Map, Shared};

use super::encode::{Selection, encode_records, take_batch};
use super::stream_state::ProduceStream;
use crate::base::budget::Debit;
use crate::base::limits::REQUEST_ITEMS_MAX;
use crate::base::{Error, ErrorKind, Timestamp, TopicId, TopicPartition};
use crate::broker::Broker;
use crate::broker::errors::{Place, throttled};
use crate::broker::request::{Acks, Durability, Payload, ProduceItem, ProduceResult, Record, Stored};
use crate::broker::topics::names::{is_internal, refuse_internal};
use crate::log::{AppendError, Appended, Ticket};
use crate::record::{BatchHeader, ProducerFields, ValidBatch};
use crate::replica::Partition;

/// What a stream keeps in mind between its requests.
pub type StreamState = ProduceStream<Written>;

/// Resolves to whether an append was written.
pub type Written = Map<Shared<Ticket>, fn(Result<Appended, AppendError>) -> bool>;

/// The appended items of one request. They hold the request's bytes in the memory budget until they are settled.
pub struct Submitted {
    broker: Arc<Broker>,
    acks: Acks,
    parts: Vec<Part>,
    _debit: Option<Arc<Debit>>,
}

/// What one item gave to one partition.
struct Part {
    answer: Answer,
    fate: Fate,
}

/// The part of a result that is known at once.
struct Answer {
    item_index: usize,
    topic: String,
    partition: Option<i32>,
    record_indexes: Vec<u32>,
    record_count: i32,
    batch_bytes: u64,
}

enum Fate {
    /// The partition, where one was found: its answers keep their order, refused ones as well.
    Refused(Error, Option<TopicPartition>),
    Appended(Arc<Partition>, Append),
}

enum Append {
    Written(Appended),
    Queued(Ticket),
    Watched(Shared<Ticket>),
}

/// Memory that an item takes beside its bytes until it is answered: its ticket, its place in the inbox and in the answer. WHY: on a
/// slow disk, small batches that nobody waits for (acks 0) would take several times what they were debited.
const ITEM_BYTES: usize = 512;

/// Answers a request that is not part of a stream. With acks 0 the answer is empty.
pub async fn produce(broker: &Arc<Broker>, acks: Acks, items: Vec<ProduceItem>) -> Vec<ProduceResult> {
    submit(broker, acks, items, None).await.settle().await
}

/// Appends the items in their order; what is wrong with an item becomes its result.
///
/// Cost: a pass over the bytes for the checksum and one over the records, here and now; waits only where a partition
/// must be opened first, or where an earlier item of the stream has no end yet.
pub async fn submit(
    broker: &Arc<Broker>,
    acks: Acks,
    items: Vec<ProduceItem>,
    stream: Option<&mut StreamState>,
) -> Submitted {
    let size_bytes: usize = items.iter().map(|item| item.size_bytes + ITEM_BYTES).sum();
    let debit = broker.budget().try_debit(size_bytes as u64).map(Arc::new);
    let now_ms = broker.env().clock.now_ms();
    let parts = Vec::with_capacity(items.len());
    let mut submitter = Submitter { broker, acks, now_ms, stream, parts, debit: debit.clone() };
    for (index, item) in items.into_iter().enumerate() {
        submitter.take(index, item).await;
    }
    let parts = submitter.parts;
    Submitted { broker: broker.clone(), acks, parts, _debit: debit }
}

struct Submitter<'a> {
    broker: &'a Arc<Broker>,
    acks: Acks,
    now_ms: Timestamp,
    stream: Option<&'a mut StreamState>,
    parts: Vec<Part>,
    /// `None`: there is no budget for the request.
    debit: Option<Arc<Debit>>,
}

impl Submitter<'_> {
    async fn take(&mut self, item_index: usize, item: ProduceItem) {
        let ProduceItem { topic, partition, payload, topic_id, .. } = item;
        let is_guarded = self.acks != Acks::None && !has_producer(&payload);
        let target = Target { item_index, topic, topic_id, is_guarded };
        let taken = match self.admit(&target, partition).await {
            Ok(()) if self.debit.is_none() => Err(throttled()),
            Ok(()) => self.append_item(&target, partition, payload).await,
            Err(error) => Err(error),
        };
        if let Err(error) = taken {
            self.refuse(target.answer(partition, Vec::new()), is_guarded, error);
        }
    }

    /// Appends one item, in parts where the broker chooses the partitions. An error means that nothing was appended.
    async fn append_item(
        &mut self,
        target: &Target,
        partition: Option<i32>,
        payload: Payload,
    ) -> Result<(), Error> {
        if is_internal(&target.topic) {
            refuse_internal(&self.broker.image(), &target.topic)?;
        }
        match (payload, partition) {
            (Payload::Malformed(error), _) => Err(error),
            (Payload::Batch(bytes), Some(partition)) => {
                let partition = target.open(self.broker, partition).await?;
                let place = place_of(self.broker, &partition);
                let batch = take_batch(bytes, &partition.config(), self.now_ms, place, self.broker.budget())?;
                self.append(target, partition, Vec::new(), batch);
                Ok(())
            }
            (Payload::Batch(_), None) => {
                Err(invalid("an encoded batch needs a partition: set the field 'partition'"))
            }
            (Payload::Records { records, producer }, Some(partition)) => {
                let partition = target.open(self.broker, partition).await?;
                let selection = Selection { records: &records, indexes: None, producer };
                let batch = self.encode(&selection, &partition)?;
                self.append(target, partition, Vec::new(), batch);
                Ok(())
            }
            (Payload::Records { records, producer }, None) => {
                self.append_spread(target, &records, producer).await
            }
        }
    }

    /// Chooses the partition of each record; every partition becomes a part that succeeds or fails by itself.
    async fn append_spread(
        &mut self,
        target: &Target,
        records: &[Record],
        producer: ProducerFields,
    ) -> Result<(), Error> {
        if producer.producer_id >= 0 {
            return Err(invalid("records with a producer id need a partition: set the field 'partition'"));
        }
        if records.is_empty() {
            return Err(invalid("the field 'records' is empty: send at least one record"));
        }
        // Partition 0 says whether the topic is there and has the id that was asked for.
        let topic_id = target.open(self.broker, 0).await?.id().topic_id;
        let image = self.broker.image();
        let partition_count = image.topic_by_id(topic_id).map_or(1, |topic| topic.ready_count.max(1));
        let is_alive = |id| image.topic_by_id(id).is_some();
        let assigned = self.broker.spread().assign(topic_id, partition_count, records, is_alive);
        if self.parts.len() + assigned.len() > REQUEST_ITEMS_MAX {
            return Err(invalid("the records go to too many partitions for one request: send fewer at once"));
        }
        for (partition, indexes) in assigned {
            self.append_part(target, partition, records, indexes).await;
        }
        Ok(())
    }

    async fn append_part(&mut self, target: &Target, partition: i32, records: &[Record], indexes: Vec<u32>) {
        let selection = Selection { records, indexes: Some(&indexes), producer: ProducerFields::NONE };
        match self.build_part(target, partition, &selection).await {
            Ok((partition, batch)) => self.append(target, partition, indexes, batch),
            Err(error) => self.refuse(target.answer(Some(partition), indexes), target.is_guarded, error),
        }
    }

    async fn build_part(
        &mut self,
        target: &Target,
        partition: i32,
        selection: &Selection<'_>,
    ) -> Result<(Arc<Partition>, ValidBatch), Error> {
        self.admit(target, Some(partition)).await?;
        let partition = target.open(self.broker, partition).await?;
        let batch = self.encode(selection, &partition)?;
        Ok((partition, batch))
    }

    fn encode(&self, selection: &Selection<'_>, partition: &Partition) -> Result<ValidBatch, Error> {
        encode_records(selection, &partition.config(), self.now_ms, place_of(self.broker, partition))
    }

    async fn admit(&mut self, target: &Target, partition: Option<i32>) -> Result<(), Error> {
        match &mut self.stream {
            Some(stream) if target.is_guarded => stream.admit(&target.topic, partition).await,
            _ => Ok(()),
        }
    }

    /// Puts a batch into its log. Its end is mostly known at once, because the log is written by whoever comes first.
    fn append(&mut self, target: &Target, partition: Arc<Partition>, indexes: Vec<u32>, batch: ValidBatch) {
        let mut answer = target.answer(Some(partition.id().partition), indexes);
        answer.record_count = batch.record_count();
        answer.batch_bytes = batch.total_bytes() as u64;
        let mut ticket = partition.append(batch, self.debit.clone());
        let append = match (&mut ticket).now_or_never() {
            Some(Ok(appended)) => Append::Written(appended),
            Some(Err(error)) => {
                let error = place_of(self.broker, &partition).append_error(error);
                return self.refuse(answer, target.is_guarded, error);
            }
            None => self.queue(target, partition.id().partition, ticket),
        };
        self.parts.push(Part { answer, fate: Fate::Appended(partition, append) });
    }

    fn queue(&mut self, target: &Target, partition: i32, ticket: Ticket) -> Append {
        match &mut self.stream {
            Some(stream) if target.is_guarded => {
                let ticket = ticket.shared();
                stream.watch(&target.topic, partition, ticket.clone().map(|end| end.is_ok()));
                Append::Watched(ticket)
            }
            _ => Append::Queued(ticket),
        }
    }

    fn refuse(&mut self, answer: Answer, is_guarded: bool, error: Error) {
        if let Some(stream) = &mut self.stream
            && is_guarded
        {
            stream.fail(&answer.topic, answer.partition);
        }
        let image = self.broker.image();
        let topic = image.topic(&answer.topic).zip(answer.partition);
        let lane = topic.map(|(topic, partition)| TopicPartition { topic_id: topic.id, partition });
        self.parts.push(Part { answer, fate: Fate::Refused(error, lane) });
    }
}

/// What an item names.
struct Target {
    item_index: usize,
    topic: String,
    topic_id: Option<TopicId>,
    /// Whether an earlier failure on the stream holds the item back: it has no producer id and wants an answer.
    is_guarded: bool,
}

impl Target {
    async fn open(&self, broker: &Broker, partition: i32) -> Result<Arc<Partition>, Error> {
        broker.partition(&self.topic, self.topic_id, partition).await
    }

    fn answer(&self, partition: Option<i32>, record_indexes: Vec<u32>) -> Answer {
        let record_count = record_indexes.len() as i32;
        Answer {
            item_index: self.item_index,
            topic: self.topic.clone(),
            partition,
            record_indexes,
            record_count,
            batch_bytes: 0,
        }
    }
}

fn has_producer(payload: &Payload) -> bool {
    match payload {
        Payload::Records { producer, .. } => producer.producer_id >= 0,
        Payload::Batch(bytes) => BatchHeader::read(bytes).is_some_and(|header| header.has_producer()),
        Payload::Malformed(_) => false,
    }
}

fn place_of<'a>(broker: &Broker, partition: &'a Partition) -> Place<'a> {
    let stopping = *broker.stopping().borrow();
    Place { topic: partition.topic(), partition: partition.id().partition, stopping }
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, what)
}

impl Submitted {
    /// The partitions that the items went to, for answers in order; one may come twice.
    pub fn partitions(&self) -> impl Iterator<Item = TopicPartition> {
        self.parts.iter().filter_map(|part| match &part.fate {
            Fate::Appended(partition, _) => Some(partition.id()),
            Fate::Refused(_, lane) => *lane,
        })
    }

    /// Waits until every item has reached the durability that its topic asks for, or has failed. With acks 0 it waits
    /// until the items are written, and answers nothing.
    pub async fn settle(self) -> Vec<ProduceResult> {
        let mut results = Vec::with_capacity(self.parts.len());
        for part in self.parts {
            let result = part.settle(&self.broker, self.acks).await;
            if self.acks != Acks::None {
                results.push(result);
            }
        }
        results
    }
}

impl Part {
    async fn settle(self, broker: &Broker, acks: Acks) -> ProduceResult {
        let Part { answer, fate } = self;
        let (topic_id, result) = match fate {
            Fate::Refused(error, _) => (None, Err(error)),
            Fate::Appended(partition, append) => {
                let stored = stored(broker, &partition, append, acks).await;
                let stored = stored.map(|stored| Stored { record_count: answer.record_count, ..stored });
                if stored.as_ref().is_ok_and(|stored| !stored.duplicate) {
                    let records = u64::from(answer.record_count.unsigned_abs());
                    partition.counters().note_in(records, answer.batch_bytes);
                    broker.counters().traffic.note_in(records, answer.batch_bytes);
                }
                (Some(partition.id().topic_id), stored)
            }
        };
        ProduceResult {
            item_index: answer.item_index,
            topic: answer.topic,
            topic_id,
            partition: answer.partition,
            record_indexes: answer.record_indexes,
            result,
        }
    }
}

/// Waits for the end of one append: written, and committed where an answer is asked for.
async fn stored(broker: &Broker, partition: &Partition, append: Append, acks: Acks) -> Result<Stored, Error> {
    let appended = match append {
        Append::Written(appended) => Ok(appended),
        Append::Queued(ticket) => ticket.await,
        Append::Watched(ticket) => ticket.await,
    };
    let appended = appended.map_err(|error| place_of(broker, partition).append_error(error))?;
    let offsets = match acks {
        Acks::None => partition.offsets(),
        // One replica: what the leader has, every in-sync replica has.
        Acks::Leader | Acks::All => partition
            .committed(appended.last_offset)
            .await
            .map_err(|error| place_of(broker, partition).commit_error(error))?,
    };
    let is_flushed = offsets.flushed > appended.last_offset;
    Ok(Stored {
        base_offset: appended.base_offset,
        record_count: 0,
        append_time: appended.append_time,
        leader_epoch: appended.leader_epoch,
        durability: if is_flushed { Durability::Flushed } else { Durability::Written },
        duplicate: appended.duplicate,
        log_start: offsets.log_start,
    })
}

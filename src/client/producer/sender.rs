//! The task of a producer: seals batches, sends them on one stream, takes the results.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::super::connection::Incoming;
use super::super::fault::{from_item, malformed, repeat};
use super::super::metadata::is_outdated;
use super::super::retry::Attempt;
use super::super::types::{Acks, Durability};
use super::in_flight::{Answer, Identity, InFlight, Order, Settled, Verdict};
use super::{Batch, Shared, Stored};
use crate::base::time::{as_ms, print_ms};
use crate::base::{Error, ErrorKind, Outcome, TopicPartition};
use crate::proto::grpc;
use crate::record::ProducerFields;

/// Requests that wait for the connection: enough to keep it busy, few enough that later records still join a batch.
const REQUESTS_WAITING_MAX: usize = 8;
/// How long closing waits for the broker to take the last requests.
const HANG_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// An open stream.
struct Call {
    requests: mpsc::Sender<grpc::ProduceStreamRequest>,
    responses: Incoming<grpc::ProduceStreamResponse>,
}

/// What the task waits for.
enum Event {
    /// There is something to look at: records, room, or a time that has come.
    Woken,
    Opened(Result<Call, Error>),
    Identified(Result<Identity, Error>),
    Response(Option<Result<grpc::ProduceStreamResponse, Error>>),
}

struct Sender {
    shared: Arc<Shared>,
    in_flight: InFlight<Batch>,
    opening: Attempt<Call>,
    identifying: Attempt<Identity>,
    call: Option<Call>,
    /// Numbers of requests that get no answer.
    next_unanswered: i64,
    /// Why it did not work last time, for those whose time is over and that were never refused themselves.
    last_error: Option<Error>,
}

/// Runs until the producer is closed and nothing is left.
pub(super) async fn run(shared: Arc<Shared>) {
    let order = if shared.options.is_sequenced() { Order::Sequenced } else { Order::OneByOne };
    let mut sender = Sender {
        in_flight: InFlight::new(order, shared.backoff.clone()),
        opening: Attempt::new(shared.backoff.clone()),
        identifying: Attempt::new(shared.backoff.clone()),
        call: None,
        next_unanswered: 0,
        last_error: None,
        shared,
    };
    loop {
        let now = sender.shared.now();
        sender.expire(now);
        sender.prepare(now);
        let full = sender.fill(now);
        if sender.is_done() {
            break;
        }
        let event = sender.wait(full).await;
        sender.take(event);
    }
    sender.hang_up().await;
}

impl Sender {
    fn has_work(&self) -> bool {
        !self.in_flight.is_empty() || !self.shared.queue.lock().accumulator.is_empty()
    }

    fn is_done(&self) -> bool {
        self.shared.closing.load(Ordering::Acquire) && !self.has_work()
    }

    /// Begins to get what sending needs: a stream, a producer id.
    fn prepare(&mut self, now: Duration) {
        if !self.has_work() {
            return;
        }
        let connection = &self.shared.parts.connection;
        if self.call.is_none() {
            let connection = connection.clone();
            self.opening.begin(now, || async move {
                let (requests, waiting) = mpsc::channel(REQUESTS_WAITING_MAX);
                let responses = connection.produce_stream(ReceiverStream::new(waiting)).await?;
                Ok(Call { requests, responses })
            });
        }
        if self.in_flight.wants_identity() {
            let connection = connection.clone();
            self.identifying.begin(now, || async move {
                let reply = connection.init_producer(grpc::InitProducerRequest {}).await?;
                read_identity(&reply)
            });
        }
    }

    /// Sends what can be sent now. True when the stream has no room for more.
    fn fill(&mut self, now: Duration) -> bool {
        let Some(requests) = self.call.as_ref().map(|call| call.requests.clone()) else { return false };
        loop {
            let permit = match requests.try_reserve() {
                Ok(permit) => permit,
                Err(mpsc::error::TrySendError::Full(())) => return true,
                // The stream is over; its last response says why.
                Err(mpsc::error::TrySendError::Closed(())) => return false,
            };
            match self.next_request(now) {
                Some(request) => permit.send(request),
                None => return false,
            }
        }
    }

    fn next_request(&mut self, now: Duration) -> Option<grpc::ProduceStreamRequest> {
        if self.shared.options.acks == Acks::None {
            return self.next_unanswered(now);
        }
        if let Some(request) = self.next_in_flight(now) {
            return Some(request);
        }
        if self.in_flight.wants_identity() {
            return None;
        }
        let batch = {
            let mut queue = self.shared.queue.lock();
            queue.accumulator.take(now, |partition| self.in_flight.has_room(partition))
        }?;
        let partition = TopicPartition { topic_id: batch.topic.id, partition: batch.partition };
        let deadline = batch.created_at + self.shared.options.delivery_timeout;
        let record_count = batch.record_count;
        self.in_flight.add(partition, batch, record_count, deadline);
        self.next_in_flight(now)
    }

    fn next_in_flight(&mut self, now: Duration) -> Option<grpc::ProduceStreamRequest> {
        let sending = self.in_flight.next_to_send(now)?;
        let batch = proto_batch(sending.batch, &self.shared, sending.stamp);
        Some(grpc::ProduceStreamRequest {
            sequence: sending.request,
            acks: proto_acks(self.shared.options.acks) as i32,
            batches: vec![batch],
            // With one batch of a partition on its way, nothing stands behind a failed one.
            resume: !self.shared.options.idempotent,
        })
    }

    /// The next batch that nobody will answer for: it counts as delivered at once.
    fn next_unanswered(&mut self, now: Duration) -> Option<grpc::ProduceStreamRequest> {
        let mut batch = self.shared.queue.lock().accumulator.take(now, |_| true)?;
        let sequence = self.next_unanswered;
        self.next_unanswered += 1;
        let batches = vec![proto_batch(&mut batch, &self.shared, ProducerFields::NONE)];
        self.shared.settle(batch, Ok(Stored::UNANSWERED));
        let acks = grpc::Acks::None as i32;
        Some(grpc::ProduceStreamRequest { sequence, acks, batches, resume: false })
    }

    async fn wait(&mut self, full: bool) -> Event {
        let now = self.shared.now();
        let sleep = self.next_wake(now).map(|at| self.shared.parts.clock.sleep(at.saturating_sub(now)));
        let Self { shared, opening, identifying, call, .. } = self;
        let (requests, responses) = match call {
            Some(call) => (Some(&call.requests), Some(&mut call.responses)),
            None => (None, None),
        };
        tokio::select! {
            response = or_never(responses.map(StreamExt::next)) => Event::Response(response),
            result = opening.finished() => Event::Opened(result),
            result = identifying.finished() => Event::Identified(result),
            _ = or_never(requests.filter(|_| full).map(|requests| requests.reserve())) => Event::Woken,
            () = shared.wake.notified() => Event::Woken,
            () = or_never(sleep) => Event::Woken,
        }
    }

    /// When something is to be done though nothing happens.
    fn next_wake(&self, now: Duration) -> Option<Duration> {
        let timeout = self.shared.options.delivery_timeout;
        let of_records = self.shared.queue.lock().accumulator.next_wake(now, timeout);
        let of_batches = self.in_flight.next_wake(now);
        if of_records.is_none() && of_batches.is_none() {
            return None;
        }
        let of_opening = self.opening.next_begin().filter(|_| self.call.is_none());
        let of_identifying = self.identifying.next_begin().filter(|_| self.in_flight.wants_identity());
        [of_records, of_batches, of_opening, of_identifying].into_iter().flatten().min()
    }

    fn take(&mut self, event: Event) {
        let now = self.shared.now();
        match event {
            Event::Woken => {}
            Event::Opened(Ok(call)) => self.call = Some(call),
            Event::Opened(Err(error)) => {
                self.opening.failed(now);
                self.remember("the stream can't be opened", self.opening.failures(), &error);
            }
            Event::Identified(Ok(identity)) => {
                self.identifying.succeeded();
                self.in_flight.set_identity(identity);
            }
            Event::Identified(Err(error)) => {
                self.identifying.failed(now);
                self.remember("no producer id can be had", self.identifying.failures(), &error);
            }
            Event::Response(Some(Ok(response))) => {
                self.opening.succeeded();
                for result in response.results {
                    self.answered(result, now);
                }
            }
            Event::Response(Some(Err(error))) => self.lost(now, &error),
            Event::Response(None) => self.lost(now, &ended()),
        }
    }

    /// The stream is over: everything unanswered goes out again on the next one.
    fn lost(&mut self, now: Duration, error: &Error) {
        self.call = None;
        self.opening.failed(now);
        self.in_flight.disconnected();
        if self.has_work() {
            self.remember("the stream ended", self.opening.failures(), error);
        }
    }

    fn remember(&mut self, what: &str, failures: u32, error: &Error) {
        if failures == 1 {
            tracing::warn!(%error, "{what}; trying again");
        }
        self.last_error = Some(repeat(error));
    }

    fn answered(&mut self, result: grpc::ProduceStreamResult, now: Duration) {
        // A request holds one batch for one partition: it has one result.
        let reply = read_reply(result.results.into_iter().next());
        let answer = match &reply {
            Ok(_) => Answer::Stored,
            Err(Refusal { error, retriable }) => {
                Answer::Refused { kind: error.kind, retriable: *retriable, outcome: error.outcome }
            }
        };
        if let Err(refusal) = &reply
            && let Some(batch) = self.in_flight.sent_as(result.sequence)
        {
            batch.last_refusal = Some(repeat(&refusal.error));
        }
        let settled = self.in_flight.answered(result.sequence, answer, now);
        match (settled, reply) {
            (Some(Settled { batch, .. }), Ok(stored)) => self.shared.settle(batch, Ok(stored)),
            (Some(Settled { batch, verdict }), Err(refusal)) => self.refused(batch, verdict, refusal.error),
            (None, Err(refusal)) => self.last_error = Some(refusal.error),
            (None, Ok(_)) => {}
        }
    }

    fn refused(&mut self, batch: Batch, verdict: Verdict, mut error: Error) {
        let name = batch.topic.name.clone();
        if is_outdated(error.kind) {
            self.shared.parts.metadata.forget(&name);
        }
        if let Verdict::Refused(outcome) = verdict {
            error.outcome = outcome;
        }
        error.message = format!(
            "topic '{name}', partition {}, {}: {}",
            batch.partition,
            counted(batch.record_count),
            error.message
        );
        self.shared.settle(batch, Err(Arc::new(error.with("topic", name))));
    }

    /// Fails the batches whose time is over.
    fn expire(&mut self, now: Duration) {
        let timeout = self.shared.options.delivery_timeout;
        let unsent = self.shared.queue.lock().accumulator.take_older(now, timeout);
        for batch in unsent {
            self.expired(batch, Outcome::NotWritten);
        }
        for Settled { batch, verdict } in self.in_flight.expire(now) {
            let outcome = if let Verdict::Expired(outcome) = verdict { outcome } else { Outcome::Unknown };
            self.expired(batch, outcome);
        }
    }

    /// What it was last refused with is the cause; else the last trouble of this producer.
    fn expired(&self, mut batch: Batch, outcome: Outcome) {
        let cause = batch.last_refusal.take().or_else(|| self.last_error.as_ref().map(repeat));
        let Batch { topic, partition, record_count, .. } = &batch;
        let name = topic.name.clone();
        let wait = print_ms(as_ms(self.shared.options.delivery_timeout));
        let words = cause.as_ref().map_or(String::new(), |error| format!("; last error: {error}"));
        let message = format!(
            "topic '{name}', partition {partition}: no acknowledgement of {} within {wait}{words}",
            counted(*record_count)
        );
        let mut error = Error::new(ErrorKind::TimedOut, message).outcome(outcome).with("topic", name);
        error.source = cause.map(Into::into);
        self.shared.settle(batch, Err(Arc::new(error)));
    }

    /// Ends the stream so that the broker takes everything that was handed over.
    async fn hang_up(self) {
        let Some(Call { requests, mut responses }) = self.call else { return };
        drop(requests);
        let rest = async { while let Some(Ok(_)) = responses.next().await {} };
        tokio::select! {
            () = rest => {}
            () = self.shared.parts.clock.sleep(HANG_UP_TIMEOUT) => {}
        }
    }
}

/// Waits for a future that may not be there: then for ever.
async fn or_never<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

fn ended() -> Error {
    Error::new(ErrorKind::Unavailable, "the broker ended the stream; it may be stopping")
}

fn proto_acks(acks: Acks) -> grpc::Acks {
    match acks {
        Acks::None => grpc::Acks::None,
        Acks::Leader => grpc::Acks::Leader,
        Acks::All => grpc::Acks::All,
    }
}

fn proto_batch(batch: &mut Batch, shared: &Shared, producer: ProducerFields) -> grpc::ProduceBatch {
    let bytes = batch.encode(shared.options.codec, producer);
    grpc::ProduceBatch {
        topic: batch.topic.name.to_string(),
        topic_id: Some(bytes::Bytes::copy_from_slice(&batch.topic.id.0)),
        partition: Some(batch.partition),
        payload: Some(grpc::produce_batch::Payload::Batch(bytes)),
        ..Default::default()
    }
}

fn read_identity(reply: &grpc::InitProducerResponse) -> Result<Identity, Error> {
    let producer_epoch = i16::try_from(reply.producer_epoch);
    match producer_epoch {
        Ok(producer_epoch) if reply.producer_id >= 0 => {
            Ok(Identity { producer_id: reply.producer_id, producer_epoch })
        }
        _ => Err(malformed("a producer id or epoch out of range")),
    }
}

/// A batch that failed, and whether the broker advises to try again.
struct Refusal {
    error: Error,
    retriable: bool,
}

fn read_reply(result: Option<grpc::ProduceResult>) -> Result<Stored, Refusal> {
    let Some(result) = result else {
        return Err(Refusal { error: malformed("a produce without result"), retriable: false });
    };
    let durability = match result.durability() {
        grpc::Durability::Flushed => Some(Durability::Flushed),
        grpc::Durability::Written => Some(Durability::Written),
        grpc::Durability::Unspecified => None,
    };
    match result.error {
        Some(item) => Err(Refusal { retriable: item.retriable, error: from_item(item) }),
        None => Ok(Stored {
            base_offset: result.base_offset,
            append_time: result.append_time_ms,
            leader_epoch: result.leader_epoch,
            durability,
            duplicate: result.duplicate,
        }),
    }
}

fn counted(records: i32) -> String {
    if records == 1 { "1 record".to_owned() } else { format!("{records} records") }
}

//! One produce stream: requests are appended in their order as they come, and answered as they settle.
//!
//! Two loops in one task: [`read`] appends, [`settle`] answers. Between them lies what is appended but not settled, bounded
//! in bytes; when that is full, the stream is not read, and it empties without the client's help.

use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use futures_util::StreamExt;
use futures_util::future::try_join;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::call::{OpenStream, RequestId, note_answer, note_status};
use super::convert::stream_items;
use super::limits::STREAM_UNSETTLED_BYTES_MAX;
use super::outbox::Outbox;
use super::produce_replies::replies;
use super::status::{completed, status};
use crate::api::door::Door;
use crate::base::Error;
use crate::broker::Broker;
use crate::broker::errors::shutting_down;
use crate::broker::produce::{AnswerOrder, StreamState, Submitted, submit};
use crate::broker::request::{Acks, ProduceResult};
use crate::metrics::Method;
use crate::proto::grpc as pb;

/// A request whose items are appended.
struct InFlight {
    sequence: i64,
    acks: Acks,
    submitted: Submitted,
    room: OwnedSemaphorePermit,
    begun: Duration,
}

/// Serves one stream to its end: the client's half-close, its going away, or the stop of the broker. Everything that was
/// appended is answered before the stream ends.
pub(super) async fn run(
    door: Door,
    id: RequestId,
    requests: impl Stream<Item = Result<pb::ProduceStreamRequest, Status>> + Unpin,
    outbox: Outbox,
) {
    let broker = door.broker.clone();
    let _open = OpenStream::new(&broker, Method::ProduceStream);
    let (appended, in_flight) = unbounded_channel();
    let reading = async { Ok(read(door, requests, appended).await) };
    let ended = match try_join(reading, settle(in_flight, (&broker, &id), &outbox)).await {
        Ok((ended, ())) => ended,
        Err(error) => Err(status(error)),
    };
    if let Err(status) = &ended {
        note_status(&broker, &id, status);
    }
    outbox.end(ended);
}

async fn read(
    mut door: Door,
    mut requests: impl Stream<Item = Result<pb::ProduceStreamRequest, Status>> + Unpin,
    appended: UnboundedSender<InFlight>,
) -> Result<(), Status> {
    let room = Arc::new(Semaphore::new(STREAM_UNSETTLED_BYTES_MAX));
    let mut state = StreamState::default();
    loop {
        let request = tokio::select! {
            biased;
            _ = door.stopping.wait_for(|stopping| *stopping) => return Err(status(shutting_down())),
            request = requests.next() => request,
        };
        let request = match request {
            None => return Ok(()),
            Some(Err(broken)) => return Err(completed(broken)),
            Some(Ok(request)) => request,
        };
        if request.resume {
            state.resume();
        }
        let begun = door.broker.env().clock.monotonic();
        let sequence = request.sequence;
        let (acks, items) = stream_items(request);
        let bytes: usize = items.iter().map(|item| item.size_bytes).sum();
        let permits = bytes.clamp(1, STREAM_UNSETTLED_BYTES_MAX) as u32;
        let room = room.clone().acquire_many_owned(permits).await.expect("the semaphore is never closed");
        let submitted = submit(&door.broker, acks, items, Some(&mut state)).await;
        if appended.send(InFlight { sequence, acks, submitted, room, begun }).is_err() {
            return Ok(());
        }
    }
}

/// Answers requests as they settle, in order per partition.
///
/// Errors: the client does not read its results.
async fn settle(
    mut in_flight: UnboundedReceiver<InFlight>,
    (broker, id): (&Broker, &RequestId),
    outbox: &Outbox,
) -> Result<(), Error> {
    let mut order = AnswerOrder::default();
    let mut settling = FuturesUnordered::new();
    let mut is_open = true;
    let mut number = 0u64;
    loop {
        tokio::select! {
            next = in_flight.recv(), if is_open => match next {
                None => is_open = false,
                Some(next) => {
                    number += 1;
                    if next.acks != Acks::None {
                        order.enter(number, next.submitted.partitions());
                    }
                    settling.push(settle_one(number, next));
                }
            },
            Some((number, settled)) = settling.next(), if !settling.is_empty() => {
                let Settled { sequence, results, begun } = settled;
                let took = broker.env().clock.monotonic().saturating_sub(begun);
                note_answer(broker, Method::ProduceStream, took);
                if let Some(results) = results {
                    let result = pb::ProduceStreamResult { sequence, results: replies(broker, id, results) };
                    outbox.put(order.finish(number, result))?;
                }
            }
            else => return Ok(()),
        }
    }
}

/// A request whose end is known.
struct Settled {
    sequence: i64,
    /// `None` where no answer is asked for.
    results: Option<Vec<ProduceResult>>,
    begun: Duration,
}

/// Waits for one request.
async fn settle_one(number: u64, request: InFlight) -> (u64, Settled) {
    let results = request.submitted.settle().await;
    drop(request.room);
    let results = (request.acks != Acks::None).then_some(results);
    (number, Settled { sequence: request.sequence, results, begun: request.begun })
}

//! Results of a produce stream on their way to its client: whatever is unsent when the client can take more goes out in
//! one frame, so that a slow reader gets few large frames and never holds up the reading of its requests.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use parking_lot::Mutex;
use prost::Message;
use tonic::Status;

use super::limits::{RESULTS_FRAME_BYTES, STREAM_UNREAD_BYTES_MAX};
use super::reply_body::Unsent;
use crate::base::budget::{Budget, Debit};
use crate::base::{Error, ErrorKind};
use crate::proto::grpc as pb;

/// The end that results are put into.
pub struct Outbox {
    shared: Arc<Mutex<Shared>>,
    budget: Arc<Budget>,
}

/// The end that the client reads.
pub struct Outlet {
    shared: Arc<Mutex<Shared>>,
    /// Where the memory of results goes when they are on their way.
    unsent: Unsent,
    /// Ends the reading of requests when the client goes away.
    reader: Option<tokio::task::AbortHandle>,
}

#[derive(Default)]
struct Shared {
    unsent: VecDeque<Kept>,
    unsent_bytes: usize,
    end: Option<Result<(), Status>>,
    waker: Option<Waker>,
}

struct Kept {
    result: pb::ProduceStreamResult,
    bytes: usize,
    debit: Debit,
}

/// An empty outbox. Results are debited from `budget` until they are on their way, and then by `unsent`.
pub fn outbox(budget: Arc<Budget>, unsent: Unsent) -> (Outbox, Outlet) {
    let shared = Arc::<Mutex<Shared>>::default();
    (Outbox { shared: shared.clone(), budget }, Outlet { shared, unsent, reader: None })
}

impl Outbox {
    /// Puts results in, to be sent as soon as the client takes them.
    ///
    /// Errors: THROTTLED when the client leaves too many unread, or the memory budget is used up.
    pub fn put(&self, results: Vec<pb::ProduceStreamResult>) -> Result<(), Error> {
        let mut shared = self.shared.lock();
        for result in results {
            let bytes = result.encoded_len();
            shared.unsent_bytes += bytes;
            let debit = self.budget.try_debit(bytes as u64).ok_or_else(unread)?;
            if shared.unsent_bytes > STREAM_UNREAD_BYTES_MAX && !shared.unsent.is_empty() {
                return Err(unread());
            }
            shared.unsent.push_back(Kept { result, bytes, debit });
        }
        shared.wake();
        Ok(())
    }

    /// Ends the stream after what is in it.
    pub fn end(&self, end: Result<(), Status>) {
        let mut shared = self.shared.lock();
        shared.end = Some(end);
        shared.wake();
    }
}

fn unread() -> Error {
    let message = "the results of this stream are not read, and no more of them can be kept; read results while sending";
    Error::new(ErrorKind::Throttled, message)
}

impl Shared {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// As many results as share a frame; at least one if there is one.
    fn take_frame(&mut self, on_the_way: &Unsent) -> Vec<pb::ProduceStreamResult> {
        let mut frame = Vec::new();
        let mut frame_bytes = 0;
        let mut debits: Option<Debit> = None;
        while let Some(next) = self.unsent.front() {
            if !frame.is_empty() && frame_bytes + next.bytes > RESULTS_FRAME_BYTES {
                break;
            }
            frame_bytes += next.bytes;
            if let Some(next) = self.unsent.pop_front() {
                match &mut debits {
                    Some(sum) => sum.join(next.debit),
                    none => *none = Some(next.debit),
                }
                frame.push(next.result);
            }
        }
        self.unsent_bytes -= frame_bytes;
        on_the_way.add(debits);
        frame
    }
}

impl Outlet {
    /// Ties the task that reads requests to this stream: it ends when the client goes away.
    pub fn ends(mut self, reader: tokio::task::AbortHandle) -> Self {
        self.reader = Some(reader);
        self
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            reader.abort();
        }
    }
}

impl Stream for Outlet {
    type Item = Result<pb::ProduceStreamResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut shared = self.shared.lock();
        let results = shared.take_frame(&self.unsent);
        if !results.is_empty() {
            return Poll::Ready(Some(Ok(pb::ProduceStreamResponse { results })));
        }
        match &mut shared.end {
            None => {
                shared.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(end) => Poll::Ready(std::mem::replace(end, Ok(())).err().map(Err)),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    fn on_the_way() -> Unsent {
        Unsent::new(&http::Extensions::new(), Arc::new(crate::env::SimClock::new(0)))
    }

    fn result(sequence: i64) -> pb::ProduceStreamResult {
        pb::ProduceStreamResult { sequence, results: Vec::new() }
    }

    fn sequences(response: Option<Option<Result<pb::ProduceStreamResponse, Status>>>) -> Vec<i64> {
        let response = response.expect("ready").expect("not over").expect("no error");
        response.results.iter().map(|result| result.sequence).collect()
    }

    #[test]
    fn what_is_unsent_shares_a_frame_and_the_end_comes_last() {
        let (outbox, mut outlet) = outbox(Budget::new(1 << 20), on_the_way());
        assert!(outlet.next().now_or_never().is_none());
        outbox.put(vec![result(1), result(2)]).expect("room");
        outbox.put(vec![result(3)]).expect("room");
        outbox.end(Err(Status::unavailable("stop")));
        assert_eq!(sequences(outlet.next().now_or_never()), [1, 2, 3]);
        assert!(outlet.next().now_or_never().expect("ready").expect("not over").is_err());
        assert!(outlet.next().now_or_never().expect("ready").is_none());
    }

    #[test]
    fn frames_are_bounded_and_give_their_memory_back() {
        let budget = Budget::new(10 << 20);
        let (outbox, mut outlet) = outbox(budget.clone(), on_the_way());
        let error = pb::ItemError { message: "x".repeat(RESULTS_FRAME_BYTES / 2), ..Default::default() };
        let item = pb::ProduceResult { error: Some(error), ..Default::default() };
        let large = |sequence| pb::ProduceStreamResult { sequence, results: vec![item.clone()] };
        outbox.put(vec![large(1), large(2), large(3)]).expect("room");
        assert!(budget.used_bytes() > RESULTS_FRAME_BYTES as u64);
        assert_eq!(sequences(outlet.next().now_or_never()), [1]);
        assert_eq!(sequences(outlet.next().now_or_never()), [2]);
        assert_eq!(sequences(outlet.next().now_or_never()), [3]);
        assert!(budget.used_bytes() > RESULTS_FRAME_BYTES as u64, "they are on their way");
        drop(outlet);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn a_client_that_never_reads_is_told_so() {
        let (outbox, _outlet) = outbox(Budget::new(100), on_the_way());
        let full = (0..1_000).find_map(|sequence| outbox.put(vec![result(sequence + 1)]).err());
        assert_eq!(full.expect("the budget ends").kind, ErrorKind::Throttled);
    }
}

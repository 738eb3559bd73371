//! The body of a reply whose bytes count against the memory budget: they do so until the connection has sent them, and a
//! client that leaves them unread loses its stream.
//!
//! The debits ride in the bytes themselves, because only their last owner knows when they are gone: a connection takes a
//! piece and asks for the next before the client has room for the first. So one piece is under way at a time, and while it
//! is, the body has a timer of its own. A body whose stream has no window at all is not asked again: its connection keeps
//! the time of its piece as well, and ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, Response};
use http_body::Frame;
use parking_lot::Mutex;
use tonic::body::Body;

use super::caller::Caller;
use crate::api::under_way::{PATIENCE, UnderWay};
use crate::base::budget::Debit;
use crate::env::Clock;
use crate::env::clock::Sleep;

/// Most bytes under way at once: the largest frame.
const PIECE_BYTES: usize = 1 << 20;

/// What a call has encoded and its connection has not sent. Goes into the extensions of the reply; clones are the same.
#[derive(Clone)]
pub struct Unsent {
    shared: Arc<Mutex<Shared>>,
    under_way: Arc<UnderWay>,
    clock: Arc<dyn Clock>,
    /// Whether the client may leave it unread for as long as it likes.
    is_patient: bool,
}

#[derive(Default)]
struct Shared {
    /// Of what was encoded since the last piece of bytes was made.
    debit: Option<Debit>,
    /// When the piece began that is under way.
    since: Option<Duration>,
    waker: Option<Waker>,
}

impl Unsent {
    /// Nothing yet, for the reply to a request with these extensions.
    pub fn new(request: &Extensions, clock: Arc<dyn Clock>) -> Self {
        let under_way = request.get::<Caller>().map(|caller| caller.under_way.clone()).unwrap_or_default();
        Self { shared: Arc::default(), under_way, clock, is_patient: false }
    }

    /// The same for a client that may take its time: its memory is counted, its stream is not reset. For replies whose frames are small
    /// or asked for, and that are encoded only as the client takes them.
    pub fn patient(self) -> Self {
        Self { is_patient: true, ..self }
    }

    /// Adds the memory of what is encoded next.
    pub fn add(&self, debits: impl IntoIterator<Item = Debit>) {
        let mut shared = self.shared.lock();
        for debit in debits {
            match &mut shared.debit {
                Some(sum) => sum.join(debit),
                none => *none = Some(debit),
            }
        }
    }

    fn begin(&self) {
        if self.is_patient {
            return;
        }
        let now = self.clock.monotonic();
        self.shared.lock().since = Some(now);
        self.under_way.begin(now);
    }

    fn end(&self) {
        let (since, waker) = {
            let mut shared = self.shared.lock();
            (shared.since.take(), shared.waker.take())
        };
        if let Some(since) = since {
            self.under_way.end(since);
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// When the piece began that is under way, whose end wakes the caller; `None` when there is none.
    fn since(&self, cx: &mut Context<'_>) -> Option<Duration> {
        let mut shared = self.shared.lock();
        if shared.since.is_some() {
            shared.waker = Some(cx.waker().clone());
        }
        shared.since
    }
}

/// Watches over the body of a reply if the call left an [`Unsent`] with it.
pub fn watched(mut reply: Response<Body>) -> Response<Body> {
    match reply.extensions_mut().remove::<Unsent>() {
        Some(unsent) => reply.map(|body| Body::new(ReplyBody::new(body, unsent))),
        None => reply,
    }
}

struct ReplyBody {
    inner: Body,
    unsent: Unsent,
    /// What is left of the last bytes, and the memory that they take.
    rest: Bytes,
    debit: Option<Arc<Debit>>,
    patience: Option<Sleep>,
}

impl ReplyBody {
    fn new(inner: Body, unsent: Unsent) -> Self {
        Self { inner, unsent, rest: Bytes::new(), debit: None, patience: None }
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        let Some(since) = self.unsent.since(cx) else {
            self.patience = None;
            return Poll::Ready(Ok(()));
        };
        let clock = &self.unsent.clock;
        let left = || (since + PATIENCE).saturating_sub(clock.monotonic());
        let patience = self.patience.get_or_insert_with(|| clock.sleep(left()));
        ready!(patience.as_mut().poll(cx));
        tracing::warn!("a client read nothing of a reply for {} s: its stream is reset", PATIENCE.as_secs());
        // No words reach a client that does not read; this reason means RESOURCE_EXHAUSTED to gRPC.
        Poll::Ready(Err(h2::Reason::ENHANCE_YOUR_CALM.into()))
    }

    /// The next piece of what is left.
    fn piece(&mut self) -> Bytes {
        let bytes = self.rest.split_to(self.rest.len().min(PIECE_BYTES));
        let debit = if self.rest.is_empty() { self.debit.take() } else { self.debit.clone() };
        let Some(debit) = debit else { return bytes };
        self.unsent.begin();
        Bytes::from_owner(Piece { bytes, unsent: self.unsent.clone(), _debit: debit })
    }
}

impl http_body::Body for ReplyBody {
    type Data = Bytes;
    type Error = tonic::codegen::StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        ready!(self.poll_sent(cx))?;
        if self.rest.is_empty() {
            match ready!(http_body::Body::poll_frame(Pin::new(&mut self.inner), cx)?).map(Frame::into_data) {
                Some(Ok(bytes)) => self.rest = bytes,
                Some(Err(other)) => return Poll::Ready(Some(Ok(other))),
                None => return Poll::Ready(None),
            }
            let debit = self.unsent.shared.lock().debit.take();
            self.debit = debit.map(Arc::new);
        }
        Poll::Ready(Some(Ok(Frame::data(self.piece()))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }
}

/// Bytes under way; dropped by the connection when they are sent.
struct Piece {
    bytes: Bytes,
    unsent: Unsent,
    _debit: Arc<Debit>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.unsent.end();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use futures_util::FutureExt;
    use http_body::Body as _;
    use tonic::Status;

    use super::*;
    use crate::base::budget::Budget;
    use crate::env::SimClock;

    struct Made(VecDeque<Bytes>);

    impl http_body::Body for Made {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(self.0.pop_front().map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    fn body(clock: &SimClock, bytes: &[usize]) -> (Unsent, ReplyBody) {
        let unsent = Unsent::new(&Extensions::new(), Arc::new(clock.clone()));
        let made = bytes.iter().map(|count| Bytes::from(vec![7; *count])).collect();
        (unsent.clone(), ReplyBody::new(Body::new(Made(made)), unsent))
    }

    type Next = Option<Option<Result<Bytes, String>>>;

    fn next(body: &mut ReplyBody) -> Next {
        let frame = futures_util::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).now_or_never()?;
        Some(frame.map(|frame| {
            frame.map(|frame| frame.into_data().expect("bytes")).map_err(|error| error.to_string())
        }))
    }

    fn piece(next: Next) -> Bytes {
        next.expect("ready").expect("not over").expect("no error")
    }

    #[test]
    fn memory_is_counted_until_the_last_piece_is_gone() {
        let (budget, clock) = (Budget::new(10 << 20), SimClock::new(0));
        let (unsent, mut body) = body(&clock, &[PIECE_BYTES + 5, 9]);
        unsent.add([1_000_000, 48_581].map(|bytes| budget.try_debit(bytes).expect("there")));
        let first = piece(next(&mut body));
        assert_eq!((first.len(), next(&mut body)), (PIECE_BYTES, None), "one at a time");
        drop(first);
        let second = piece(next(&mut body));
        assert_eq!((second.len(), budget.used_bytes()), (5, 1_048_581));
        drop(second);
        assert_eq!(budget.used_bytes(), 0);
        let free = piece(next(&mut body));
        assert_eq!((free.len(), next(&mut body)), (9, Some(None)), "what costs nothing holds nothing up");
    }

    #[test]
    fn who_does_not_read_loses_the_stream_and_who_reads_slowly_does_not() {
        let (budget, clock) = (Budget::new(10 << 20), SimClock::new(0));
        let (unsent, mut body) = body(&clock, &[3 * PIECE_BYTES]);
        unsent.add(budget.try_debit(3 << 20));
        for _ in 0..2 {
            let slow = piece(next(&mut body));
            assert_eq!(next(&mut body), None);
            clock.advance(PATIENCE - Duration::from_millis(1));
            assert_eq!(next(&mut body), None);
            drop(slow);
        }
        let _never = piece(next(&mut body));
        assert_eq!(next(&mut body), None);
        clock.advance(PATIENCE);
        assert!(next(&mut body).expect("ready").expect("not over").is_err());
    }
}

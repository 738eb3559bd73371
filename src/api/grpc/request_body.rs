//! The body of a request: nothing of a message is read before there is memory for all of it.
//!
//! The decoder reserves the length that a message declares, and keeps that memory until the body is dropped: a stream
//! that is idle after a large message holds it still. So a body takes the largest message that it met out of a share of the
//! memory budget, and holds it to its end. Who waits for the share is not read on, so that flow control stops its client. What
//! was read and has to wait is counted in the rest of the budget, and so are small messages, which never wait: clients that
//! declare much and send nothing do not hold up those that declare little.
//! Everything that is held or waited for is bounded in time: a message of which no byte comes, a turn that does not come,
//! and an idle stream while others wait.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame};
use tonic::Status;
use tonic::body::Body;

use super::message_follower::{MessageFollower, Piece};
use super::status::status;
use crate::base::budget::{Budget, Debit};
use crate::base::share::{Portion, Share, Shortage};
use crate::base::{Error, ErrorKind};
use crate::env::Clock;
use crate::env::clock::Sleep;

/// How long a message may wait for memory, and an unfinished one for its next byte.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long an unfinished message may be silent while others wait for its memory.
const SILENT_WHILE_SHORT: Duration = Duration::from_secs(3);

/// How long a stream may be idle with memory that others wait for.
const IDLE_WHILE_SHORT: Duration = Duration::from_secs(10);

/// How often that is looked at. WHY: one timer that ticks, where one for each message would cost an allocation each.
const TICK: Duration = Duration::from_secs(1);

/// Messages up to this are small: most requests but those of producers with large batches.
const SMALL_BYTES: usize = 64 << 10;

/// Trailers, an error, or the end.
struct NotBytes(Option<Result<Frame<Bytes>, Status>>);

type Turn = Pin<Box<dyn Future<Output = Portion> + Send>>;

/// A request body that keeps within a share of memory.
pub struct RequestBody {
    inner: Body,
    share: Arc<Share>,
    budget: Arc<Budget>,
    clock: Arc<dyn Clock>,
    follower: MessageFollower,
    /// What the decoder may keep, and its portion of the share.
    held_bytes: usize,
    held: Option<Portion>,
    /// What the decoder may keep while there were only small messages.
    small: Option<Debit>,
    /// What was received, and its memory while it waits for its portion.
    parked: Bytes,
    parked_debit: Option<Debit>,
    turn: Option<Turn>,
    /// What it waits for.
    awaited_bytes: usize,
    /// Tells others that bytes are parked.
    shortage: Option<Shortage>,
    /// When something last changed, by the monotonic clock.
    changed: Duration,
    tick: Option<Sleep>,
}

impl RequestBody {
    /// A body whose messages take their memory from `share`; what is read of them before it is their turn, from `budget`.
    pub fn new(inner: Body, share: Arc<Share>, budget: Arc<Budget>, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner,
            share,
            budget,
            changed: clock.monotonic(),
            clock,
            follower: MessageFollower::default(),
            held_bytes: 0,
            held: None,
            small: None,
            parked: Bytes::new(),
            parked_debit: None,
            turn: None,
            awaited_bytes: 0,
            shortage: None,
            tick: None,
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            ready!(self.poll_turn(cx));
            if self.parked.is_empty()
                && let Some(NotBytes(end)) = ready!(self.poll_inner(cx))
            {
                return Poll::Ready(end);
            }
            let piece = self.follower.first_piece(&self.parked);
            match self.hold(piece) {
                Ok(true) => {
                    self.follower = piece.then;
                    return Poll::Ready(Some(Ok(Frame::data(self.parked.split_to(piece.pass_bytes)))));
                }
                Ok(false) => {}
                Err(refused) => return Poll::Ready(Some(Err(refused))),
            }
        }
    }

    /// Waits for the portion that was asked for, if any.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(turn) = &mut self.turn {
            let portion = ready!(turn.as_mut().poll(cx));
            self.take_in(portion, self.awaited_bytes);
            (self.turn, self.shortage, self.parked_debit) = (None, None, None);
            self.changed = self.clock.monotonic();
        }
        Poll::Ready(())
    }

    /// Parks the next bytes; what is no bytes is given back as it is.
    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<NotBytes>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        self.changed = self.clock.monotonic();
        Poll::Ready(match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => {
                    self.parked = bytes;
                    None
                }
                Err(other) => Some(NotBytes(Some(Ok(other)))),
            },
            end => Some(NotBytes(end)),
        })
    }

    /// What was read waits for its turn to take `missing` bytes.
    fn park(&mut self, missing: usize) -> Result<(), Status> {
        let debit = self.budget.try_debit(self.parked.len() as u64);
        self.parked_debit = Some(debit.ok_or_else(|| too_slow("there is no memory for the message"))?);
        self.awaited_bytes = missing;
        self.turn = Some(Box::pin(self.share.take(missing as u64)));
        self.shortage = Some(self.share.be_short());
        Ok(())
    }

    /// Makes sure that what the decoder keeps is counted; false when that has to wait.
    fn hold(&mut self, piece: Piece) -> Result<bool, Status> {
        let missing = piece.kept_bytes.saturating_sub(self.held_bytes);
        if missing == 0 || (self.held.is_none() && self.hold_small(piece.kept_bytes)) {
            return Ok(true);
        }
        match self.share.try_take(missing as u64) {
            Some(portion) => self.take_in(portion, missing),
            None => return self.park(missing).map(|()| false),
        }
        Ok(true)
    }

    /// Counts small messages in the budget, where it has room for them.
    fn hold_small(&mut self, bytes: usize) -> bool {
        let is_counted = self.small.as_ref().is_some_and(|small| small.bytes() >= bytes as u64);
        if bytes > SMALL_BYTES || is_counted {
            return is_counted;
        }
        self.small = self.budget.try_debit(bytes as u64).or(self.small.take());
        self.small.as_ref().is_some_and(|small| small.bytes() >= bytes as u64)
    }

    /// From now on all is counted in the share.
    fn take_in(&mut self, portion: Portion, bytes: usize) {
        self.small = None;
        self.held_bytes += bytes;
        match &mut self.held {
            Some(held) => held.join(portion),
            None => self.held = Some(portion),
        }
    }

    fn silence_allowed(&self) -> Duration {
        if self.share.is_short() { SILENT_WHILE_SHORT } else { PATIENCE }
    }

    /// Ends a body that takes too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        let is_idle = self.parked.is_empty() && !self.follower.is_within();
        if is_idle && self.turn.is_none() && self.held.is_none() {
            self.tick = None;
            return Poll::Pending;
        }
        loop {
            let tick = self.tick.get_or_insert_with(|| self.clock.sleep(TICK));
            ready!(tick.as_mut().poll(cx));
            self.tick = None;
            let silent = self.clock.monotonic().saturating_sub(self.changed);
            let refused = match (self.turn.is_some(), is_idle) {
                (true, _) if silent >= PATIENCE => Some("there was no memory for the message in time"),
                (false, false) if silent >= self.silence_allowed() => {
                    Some("the rest of the message did not come in time")
                }
                (false, true) if silent >= IDLE_WHILE_SHORT && self.share.is_short() => {
                    Some("the stream was idle while others waited for its memory")
                }
                _ => None,
            };
            if let Some(why) = refused {
                return Poll::Ready(too_slow(why));
            }
        }
    }
}

fn too_slow(why: &str) -> Status {
    let kind = ErrorKind::Throttled;
    status(Error::new(kind, format!("{why}; {}", kind.row().advice)))
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.poll_piece(cx) {
            Poll::Pending => self.poll_patience(cx).map(|refused| Some(Err(refused))),
            ready => ready,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.parked.is_empty() && self.inner.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
    use tonic::Code;

    use super::*;
    use crate::env::SimClock;

    const MIB: usize = 1 << 20;

    /// A body of what is sent into a channel.
    struct Fed(UnboundedReceiver<Bytes>);

    impl http_body::Body for Fed {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            self.0.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    struct World {
        share: Arc<Share>,
        budget: Arc<Budget>,
        clock: SimClock,
    }

    impl World {
        fn new(share_bytes: usize) -> Self {
            Self {
                share: Share::new(share_bytes as u64),
                budget: Budget::new(2 << 20),
                clock: SimClock::new(0),
            }
        }

        fn body(&self) -> (UnboundedSender<Bytes>, RequestBody) {
            let (feed, fed) = unbounded_channel();
            let clock = Arc::new(self.clock.clone());
            (feed, RequestBody::new(Body::new(Fed(fed)), self.share.clone(), self.budget.clone(), clock))
        }
    }

    /// `None`: nothing yet.
    fn next(body: &mut RequestBody) -> Option<Result<usize, Code>> {
        let frame = futures_util::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).now_or_never()?;
        let frame = frame.expect("not over").map_err(|status| status.code());
        Some(frame.map(|frame| frame.into_data().expect("bytes").len()))
    }

    /// The header of a message and so much of it.
    fn begun(length: usize, bytes: usize) -> Bytes {
        let mut begun = vec![0];
        begun.extend((length as u32).to_be_bytes());
        begun.resize(5 + bytes, 1);
        begun.into()
    }

    #[test]
    fn nothing_of_a_message_is_read_before_there_is_memory_for_all_of_it() {
        let world = World::new(4 * MIB);
        let ((feed_a, mut a), (feed_b, mut b)) = (world.body(), world.body());
        feed_a.send(begun(3 * MIB, 10)).unwrap();
        assert_eq!((next(&mut a), world.share.used_bytes()), (Some(Ok(15)), 3 << 20));
        feed_b.send(begun(2 * MIB, 10)).unwrap();
        assert_eq!(next(&mut b), None);
        feed_a.send(vec![1; 3 * MIB - 10].into()).unwrap();
        assert_eq!(next(&mut a), Some(Ok(3 * MIB - 10)));
        assert_eq!((next(&mut a), next(&mut b)), (None, None), "the decoder keeps its memory");
        drop(a);
        assert_eq!((next(&mut b), world.share.used_bytes()), (Some(Ok(15)), 2 << 20));
        drop(b);
        assert_eq!(world.share.used_bytes(), 0);
    }

    #[test]
    fn a_message_takes_memory_once_and_small_ones_after_it_none() {
        let world = World::new(4 * MIB);
        let (feed, mut body) = world.body();
        for message in [begun(1_000, 1_000), begun(100_000, 100_000), begun(7, 7)] {
            feed.send(message.clone()).unwrap();
            assert_eq!(next(&mut body), Some(Ok(message.len())));
        }
        assert_eq!(world.share.used_bytes(), 98 << 10);
    }

    #[test]
    fn who_waits_is_told_after_a_while_and_small_messages_do_not_wait() {
        let world = World::new(MIB);
        let all = world.share.try_take(MIB as u64).unwrap();
        let ((feed_a, mut a), (feed_b, mut b)) = (world.body(), world.body());
        feed_a.send(begun(MIB / 2, 10)).unwrap();
        assert_eq!(next(&mut a), None);
        feed_b.send(begun(10, 10)).unwrap();
        assert_eq!((next(&mut b), world.budget.used_bytes()), (Some(Ok(15)), 30), "parked, and small");
        world.clock.advance(PATIENCE);
        assert_eq!(next(&mut a), Some(Err(Code::ResourceExhausted)));
        drop((a, b, all));
        assert_eq!((world.budget.used_bytes(), world.share.used_bytes()), (0, 0));
    }

    #[test]
    fn a_message_that_is_declared_and_not_sent_gives_way_to_one_that_waits() {
        let world = World::new(4 * MIB);
        let ((feed_a, mut a), (feed_b, mut b)) = (world.body(), world.body());
        feed_a.send(begun(4 * MIB - 5, 11)).unwrap();
        assert_eq!((next(&mut a), next(&mut a)), (Some(Ok(16)), None));
        feed_b.send(begun(MIB, MIB)).unwrap();
        assert_eq!(next(&mut b), None);
        world.clock.advance(SILENT_WHILE_SHORT);
        assert_eq!(next(&mut a), Some(Err(Code::ResourceExhausted)));
        drop(a);
        assert_eq!(next(&mut b), Some(Ok(5 + MIB)));
    }

    #[test]
    fn a_message_of_which_nothing_comes_ends_and_one_that_comes_slowly_does_not() {
        let world = World::new(MIB);
        let (feed, mut body) = world.body();
        feed.send(begun(SMALL_BYTES + 1, 0)).unwrap();
        assert_eq!(next(&mut body), Some(Ok(5)));
        for _ in 0..3 {
            assert_eq!(next(&mut body), None);
            world.clock.advance(PATIENCE - TICK);
            feed.send(vec![1].into()).unwrap();
            assert_eq!(next(&mut body), Some(Ok(1)));
        }
        assert_eq!(next(&mut body), None);
        world.clock.advance(PATIENCE);
        assert_eq!(next(&mut body), Some(Err(Code::ResourceExhausted)));
    }

    /// Bodies that hold a MiB each and send another message of that size when told to.
    fn active(world: &World, count: usize) -> Vec<(UnboundedSender<Bytes>, RequestBody)> {
        let mut active: Vec<_> = (0..count).map(|_| world.body()).collect();
        send_all(&mut active);
        active
    }

    fn send_all(active: &mut [(UnboundedSender<Bytes>, RequestBody)]) {
        for (feed, body) in active {
            feed.send(begun(MIB - 5, MIB - 5)).unwrap();
            assert_eq!((next(body), next(body)), (Some(Ok(MIB)), None));
        }
    }

    #[test]
    fn streams_that_hold_the_whole_share_go_on_while_another_waits() {
        let world = World::new(4 * MIB);
        let mut active = active(&world, 4);
        let (feed, mut late) = world.body();
        feed.send(begun(MIB / 2, 10)).unwrap();
        for _ in 0..5 {
            assert_eq!(next(&mut late), None);
            world.clock.advance(TICK);
            send_all(&mut active);
        }
        active.pop();
        assert_eq!(next(&mut late), Some(Ok(15)), "its turn comes with the end of another");
        assert_eq!(world.share.used_bytes(), (3 << 20) + (512 << 10));
    }

    #[test]
    fn what_was_read_and_has_to_wait_is_counted() {
        let world = World::new(4 * MIB);
        let mut active = active(&world, 4);
        for (feed, body) in &mut active[..3] {
            feed.send(begun(2 * MIB, MIB - 5)).unwrap();
            let refused = (world.budget.used_bytes() == 2 << 20).then_some(Err(Code::ResourceExhausted));
            assert_eq!(next(body), refused, "within the budget it waits");
        }
        assert_eq!(world.budget.used_bytes(), 2 << 20);
        active.pop();
        assert_eq!((next(&mut active[0].1), next(&mut active[1].1)), (Some(Ok(MIB)), None));
        assert_eq!(world.budget.used_bytes(), 1 << 20);
        drop(active);
        assert_eq!((world.budget.used_bytes(), world.share.used_bytes()), (0, 0));
    }

    #[test]
    fn an_idle_stream_ends_only_while_others_wait() {
        let world = World::new(MIB);
        let ((feed, mut idle), (feed_b, mut b)) = (world.body(), world.body());
        feed.send(begun(MIB, MIB)).unwrap();
        assert_eq!((next(&mut idle), next(&mut idle)), (Some(Ok(5 + MIB)), None));
        world.clock.advance(Duration::from_secs(3_600));
        assert_eq!(next(&mut idle), None);
        feed_b.send(begun(MIB / 2, 10)).unwrap();
        assert_eq!(next(&mut b), None);
        world.clock.advance(IDLE_WHILE_SHORT);
        assert_eq!(next(&mut idle), Some(Err(Code::ResourceExhausted)));
        drop(idle);
        assert_eq!(next(&mut b), Some(Ok(15)));
    }
}

//! The marks of a log and those who wait for them.
//!
//! INVARIANT: `log_start ≤ stable ≤ high_watermark ≤ log_end` and `flushed ≤ log_end`; the high watermark never
//! moves back. One setter asserts the whole chain. The lock is never held over I/O.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::errors::AppendError;
use crate::base::Offset;

/// All marks at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogOffsets {
    /// First readable offset.
    pub log_start: Offset,
    /// Below it no transaction is open.
    pub stable: Offset,
    /// Consumers see what lies below.
    pub high_watermark: Offset,
    /// Next offset to be written.
    pub log_end: Offset,
    /// Everything below is on stable storage.
    pub flushed: Offset,
}

impl LogOffsets {
    fn assert_ordered(&self) {
        assert!(
            0 <= self.log_start
                && self.log_start <= self.stable
                && self.stable <= self.high_watermark
                && self.high_watermark <= self.log_end
                && self.flushed <= self.log_end,
            "marks out of order: {self:?}"
        );
    }
}

/// The marks with their waiters.
#[derive(Debug)]
pub struct Marks(Mutex<State>);

#[derive(Debug)]
struct State {
    offsets: LogOffsets,
    /// Whether the commit end is the flushed offset (`flush=ack`) or the log end.
    commit_is_flushed: bool,
    ended: Option<AppendError>,
    waiters: Vec<Waiter>,
    next_waiter: u64,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    at_least: Offset,
    waker: Waker,
}

impl Marks {
    /// Marks of a log that was just opened: all that it holds is flushed and readable.
    pub fn new(log_start: Offset, log_end: Offset, commit_is_flushed: bool) -> Arc<Self> {
        let offsets =
            LogOffsets { log_start, stable: log_end, high_watermark: log_end, log_end, flushed: log_end };
        offsets.assert_ordered();
        let waiters = Vec::new();
        Arc::new(Self(Mutex::new(State { offsets, commit_is_flushed, ended: None, waiters, next_waiter: 0 })))
    }

    /// The marks now.
    pub fn offsets(&self) -> LogOffsets {
        self.0.lock().offsets
    }

    /// Raises the log end after a write.
    pub fn set_log_end(&self, log_end: Offset) {
        self.change(|state| {
            assert!(log_end >= state.offsets.log_end, "the log end never moves back");
            state.offsets.log_end = log_end;
        });
    }

    /// Raises the flushed offset after a sync. Lower values change nothing.
    pub fn set_flushed(&self, flushed: Offset) {
        self.change(|state| state.offsets.flushed = state.offsets.flushed.max(flushed));
    }

    /// Raises the log start after a trim or retention. The other marks follow when they lie below, which only
    /// happens when nothing above them is readable.
    pub fn set_log_start(&self, log_start: Offset) {
        self.change(|state| state.offsets.log_start = state.offsets.log_start.max(log_start));
    }

    /// Says whether consumers wait for the flush. Going to `true` takes effect for what is appended from now on:
    /// the high watermark never moves back.
    pub fn set_commit_is_flushed(&self, commit_is_flushed: bool) {
        self.change(|state| state.commit_is_flushed = commit_is_flushed);
    }

    /// Ends all waiting, now and later, with this error.
    pub fn end(&self, error: AppendError) {
        let mut state = self.0.lock();
        state.ended.get_or_insert(error);
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        waiters.into_iter().for_each(|waiter| waiter.waker.wake());
    }

    /// Waits until the high watermark is at least `at_least`. Dropping it stops the waiting.
    pub fn wait_high_watermark(self: &Arc<Self>, at_least: Offset) -> MarkWait {
        MarkWait { marks: self.clone(), at_least, id: None }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.lock();
        change(&mut state);
        let commit_end = if state.commit_is_flushed { state.offsets.flushed } else { state.offsets.log_end };
        let high_watermark = commit_end.max(state.offsets.high_watermark);
        state.offsets.high_watermark = high_watermark;
        // WHY: without transactions nothing holds the stable offset back.
        state.offsets.stable = high_watermark;
        state.offsets.assert_ordered();
        if !state.waiters.iter().any(|waiter| waiter.at_least <= high_watermark) {
            return;
        }
        let waiters = std::mem::take(&mut state.waiters);
        let (due, rest) = waiters.into_iter().partition(|waiter| waiter.at_least <= high_watermark);
        state.waiters = rest;
        drop(state);
        let due: Vec<Waiter> = due;
        due.into_iter().for_each(|waiter| waiter.waker.wake());
    }
}

/// A wait for the high watermark; see [`Marks::wait_high_watermark`].
#[derive(Debug)]
#[must_use = "waiting happens when it is awaited"]
pub struct MarkWait {
    marks: Arc<Marks>,
    at_least: Offset,
    id: Option<u64>,
}

impl Future for MarkWait {
    type Output = Result<LogOffsets, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut state = this.marks.0.lock();
        if state.offsets.high_watermark >= this.at_least {
            // It was taken off the list when it was woken, or never put there.
            this.id = None;
            return Poll::Ready(Ok(state.offsets));
        }
        if let Some(error) = &state.ended {
            return Poll::Ready(Err(error.clone()));
        }
        let waker = context.waker();
        if let Some(waiter) = state.waiters.iter_mut().find(|waiter| Some(waiter.id) == this.id) {
            waiter.waker.clone_from(waker);
            return Poll::Pending;
        }
        let id = state.next_waiter;
        state.next_waiter += 1;
        state.waiters.push(Waiter { id, at_least: this.at_least, waker: waker.clone() });
        this.id = Some(id);
        Poll::Pending
    }
}

impl Drop for MarkWait {
    fn drop(&mut self) {
        if self.id.is_some() {
            self.marks.0.lock().waiters.retain(|waiter| Some(waiter.id) != self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(wait: &mut MarkWait) -> Poll<Result<LogOffsets, AppendError>> {
        Pin::new(wait).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn consumers_wait_for_the_flush_only_at_flush_ack() {
        let marks = Marks::new(0, 0, true);
        marks.set_log_end(5);
        assert_eq!(marks.offsets().high_watermark, 0);
        marks.set_flushed(3);
        assert_eq!(marks.offsets().high_watermark, 3);
        marks.set_commit_is_flushed(false);
        assert_eq!(marks.offsets().high_watermark, 5);
        marks.set_commit_is_flushed(true);
        marks.set_log_end(9);
        assert_eq!(marks.offsets().high_watermark, 5, "it never moves back and waits again");
    }

    #[test]
    fn waits_end_when_the_mark_passes_or_the_log_ends() {
        let marks = Marks::new(0, 0, true);
        let (mut near, mut far) = (marks.wait_high_watermark(2), marks.wait_high_watermark(9));
        assert!(poll(&mut near).is_pending() && poll(&mut far).is_pending());
        marks.set_log_end(2);
        marks.set_flushed(2);
        assert!(poll(&mut near).is_ready() && poll(&mut far).is_pending());
        marks.end(AppendError::Closed);
        assert!(matches!(poll(&mut far), Poll::Ready(Err(AppendError::Closed))));
    }

    #[test]
    fn a_dropped_wait_leaves_nothing_behind() {
        let marks = Marks::new(0, 0, true);
        let mut wait = marks.wait_high_watermark(1);
        assert!(poll(&mut wait).is_pending());
        drop(wait);
        assert!(marks.0.lock().waiters.is_empty());
    }

    #[test]
    #[should_panic(expected = "marks out of order")]
    fn a_mark_beyond_the_log_end_is_a_broken_invariant() {
        Marks::new(0, 0, true).set_flushed(1);
    }
}

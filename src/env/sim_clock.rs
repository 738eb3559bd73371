//! A clock that moves only when told.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;

use super::clock::{Clock, Sleep};
use crate::base::Timestamp;
use crate::base::time::as_ms;

/// A clock for simulation. Clones are the same clock.
#[derive(Clone)]
pub struct SimClock {
    state: Arc<Mutex<State>>,
}

struct State {
    start_ms: Timestamp,
    elapsed: Duration,
    jump_ms: i64,
    next_sleeper: u64,
    /// By deadline, then by the order of going to sleep.
    sleepers: BTreeMap<(Duration, u64), Waker>,
}

impl SimClock {
    /// A clock whose wall time begins at `start_ms` since 1970, and whose monotonic time begins at 0.
    pub fn new(start_ms: Timestamp) -> Self {
        let state = State {
            start_ms,
            elapsed: Duration::ZERO,
            jump_ms: 0,
            next_sleeper: 0,
            sleepers: BTreeMap::new(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Moves both times on, and wakes all whose sleep is over, the earliest first.
    pub fn advance(&self, duration: Duration) {
        let woken = {
            let mut state = self.state.lock();
            state.elapsed += duration;
            let reached = (state.elapsed, u64::MAX);
            let later = state.sleepers.split_off(&reached);
            std::mem::replace(&mut state.sleepers, later)
        };
        woken.into_values().for_each(Waker::wake);
    }

    /// Moves the wall time alone by so many ms from where it would be, as an operator or NTP would; replaces an
    /// earlier jump.
    pub fn set_jump_ms(&self, jump_ms: i64) {
        self.state.lock().jump_ms = jump_ms;
    }

    /// The monotonic time at which the next sleep ends, or `None` when nobody sleeps.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.state.lock().sleepers.keys().next().map(|key| key.0)
    }
}

impl Clock for SimClock {
    fn now_ms(&self) -> Timestamp {
        let state = self.state.lock();
        state.start_ms.saturating_add(as_ms(state.elapsed)).saturating_add(state.jump_ms)
    }

    fn monotonic(&self) -> Duration {
        self.state.lock().elapsed
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let mut state = self.state.lock();
        let key = (state.elapsed.saturating_add(duration), state.next_sleeper);
        state.next_sleeper += 1;
        Box::pin(SimSleep { clock: self.clone(), key })
    }
}

/// One sleep; giving it up takes it off the list.
struct SimSleep {
    clock: SimClock,
    key: (Duration, u64),
}

impl Future for SimSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.clock.state.lock();
        if state.elapsed >= self.key.0 {
            return Poll::Ready(());
        }
        state.sleepers.insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for SimSleep {
    fn drop(&mut self) {
        self.clock.state.lock().sleepers.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::{FutureExt, join};

    #[test]
    fn both_times_move_only_when_told() {
        let clock = SimClock::new(1_000);
        assert_eq!((clock.now_ms(), clock.monotonic()), (1_000, Duration::ZERO));
        clock.advance(Duration::from_millis(250));
        assert_eq!((clock.now_ms(), clock.monotonic()), (1_250, Duration::from_millis(250)));
    }

    #[test]
    fn a_jump_moves_the_wall_time_alone() {
        let clock = SimClock::new(1_000);
        clock.set_jump_ms(-400);
        clock.advance(Duration::from_millis(100));
        assert_eq!((clock.now_ms(), clock.monotonic()), (700, Duration::from_millis(100)));
        clock.set_jump_ms(0);
        assert_eq!(clock.now_ms(), 1_100);
    }

    #[tokio::test]
    async fn a_sleep_ends_when_its_time_has_come() {
        let clock = SimClock::new(0);
        let mut short = clock.sleep(Duration::from_millis(10));
        let mut long = clock.sleep(Duration::from_millis(20));
        assert!(short.as_mut().now_or_never().is_none() && long.as_mut().now_or_never().is_none());
        assert_eq!(clock.next_deadline(), Some(Duration::from_millis(10)));
        clock.advance(Duration::from_millis(10));
        assert!(short.now_or_never().is_some());
        assert!(long.as_mut().now_or_never().is_none());
        let waker = async { clock.advance(Duration::from_millis(10)) };
        join(long, waker).await;
        assert_eq!(clock.next_deadline(), None);
    }

    #[test]
    fn a_sleep_that_is_given_up_leaves_the_list() {
        let clock = SimClock::new(0);
        let mut sleep = clock.sleep(Duration::from_secs(1));
        assert!(sleep.as_mut().now_or_never().is_none());
        drop(sleep);
        assert_eq!(clock.next_deadline(), None);
    }
}

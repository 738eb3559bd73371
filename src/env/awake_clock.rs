//! A clock that stands still while the process does.
//!
//! Who waits for others to be heard measures their silence by it: a process that was stopped, or that waited for a disk, could hear
//! nobody. How long it stood still is known from a task that is to wake up often ([`AwakeClock::beat`]): what it is late by is
//! taken off, by whoever looks at the clock first. So the clock is right from the first look after a stall.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::clock::{Clock, Sleep};
use crate::base::Timestamp;

/// Time between two beats. Of each stall so much still passes at most.
const BEAT: Duration = Duration::from_millis(500);

/// A beat that is later than this was held up by a stall; less is the usual bustle.
const STALL: Duration = Duration::from_secs(1);

/// A clock without the time in which the process stood still.
pub struct AwakeClock {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When the next beat is due by the other clock; `None` while there is no beat.
    due: Option<Duration>,
    /// Time that did not count.
    lost: Duration,
    /// What the clock said last: it never goes back, also where it counted what turns out to be the begin of a stall.
    told: Duration,
}

impl AwakeClock {
    /// A clock that stalls are taken off from while it beats.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, state: Mutex::default() })
    }

    /// Beats until it is dropped. For one task at a time: only while it is polled are stalls noticed.
    pub async fn beat(&self) {
        let beating = Beating(self);
        loop {
            beating.0.state.lock().due = Some(self.clock.monotonic() + BEAT);
            self.clock.sleep(BEAT).await;
            self.monotonic();
        }
    }
}

/// Ends with the beat: what comes after is no stall.
struct Beating<'a>(&'a AwakeClock);

impl Drop for Beating<'_> {
    fn drop(&mut self) {
        self.0.monotonic();
        self.0.state.lock().due = None;
    }
}

impl Clock for AwakeClock {
    fn now_ms(&self) -> Timestamp {
        self.clock.now_ms()
    }

    fn monotonic(&self) -> Duration {
        let mut state = self.state.lock();
        let now = self.clock.monotonic();
        let late = state.due.map_or(Duration::ZERO, |due| now.saturating_sub(due));
        if late > STALL {
            state.lost += late;
            state.due = Some(now + BEAT);
        }
        state.told = state.told.max(now.saturating_sub(state.lost));
        state.told
    }

    /// Ends after `duration` by the other clock: after a stall that may be too early.
    fn sleep(&self, duration: Duration) -> Sleep {
        self.clock.sleep(duration)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::env::SimClock;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_stall_counts_for_no_more_than_a_beat_and_all_else_counts() {
        let clock = SimClock::new(0);
        let awake = AwakeClock::new(Arc::new(clock.clone()));
        clock.advance(ms(10_000));
        assert_eq!(awake.monotonic(), ms(10_000), "nobody was to be heard");
        let mut beat = Box::pin(awake.beat());
        let mut pass = |time| {
            clock.advance(ms(time));
            let seen = awake.monotonic();
            assert!(beat.as_mut().now_or_never().is_none());
            assert_eq!(awake.monotonic(), seen, "a stall is taken off once");
            seen
        };
        assert_eq!(pass(0), ms(10_000));
        for step in 1..=10 {
            assert_eq!(pass(400), ms(10_000 + 400 * step), "on time");
        }
        assert_eq!(pass(1_300), ms(15_300), "late, as happens");
        assert_eq!(pass(20_000), ms(15_800));
        assert_eq!(pass(0), ms(15_800));
        assert_eq!(pass(500), ms(16_300));
        clock.advance(ms(5_000));
        drop(beat);
        assert_eq!(awake.monotonic(), ms(16_800), "a stall before the last look");
        clock.advance(ms(5_000));
        assert_eq!(awake.monotonic(), ms(21_800));
    }

    #[test]
    fn it_never_goes_back() {
        let clock = SimClock::new(0);
        let awake = AwakeClock::new(Arc::new(clock.clone()));
        let mut beat = Box::pin(awake.beat());
        assert!(beat.as_mut().now_or_never().is_none());
        clock.advance(BEAT + ms(900));
        let seen = awake.monotonic();
        clock.advance(ms(200));
        assert_eq!(awake.monotonic(), seen, "the stall began before");
        clock.advance(ms(2_000));
        assert!(awake.monotonic() >= seen);
    }
}

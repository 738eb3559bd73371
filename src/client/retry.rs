//! Trying again: how long to wait, and what is under way.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::base::Error;
use crate::env::Rng;

/// Wait before the first retry.
const DELAY_MIN: Duration = Duration::from_millis(50);
/// Longest wait: a broker that is back is found within this time.
const DELAY_MAX: Duration = Duration::from_secs(1);

/// Exponential waits with jitter, so that many clients do not come back in the same moment.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    rng: Arc<Rng>,
}

impl Backoff {
    /// Waits drawn from `rng`.
    pub(super) fn new(rng: Arc<Rng>) -> Self {
        Self { rng }
    }

    /// The wait after `failures` failures in a row (at least 1): 50 ms, doubled each time up to 1 s, of which the
    /// second half is random.
    pub(super) fn delay(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let full = DELAY_MIN.saturating_mul(1 << doublings).min(DELAY_MAX);
        let half_micros = full.as_micros() as u64 / 2;
        Duration::from_micros(half_micros + self.rng.below(half_micros + 1))
    }
}

type Try<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// Something that is tried until it succeeds, at most once at a time.
pub(super) struct Attempt<T> {
    running: Option<Try<T>>,
    failures: u32,
    not_before: Duration,
    backoff: Backoff,
}

impl<T> Attempt<T> {
    /// Nothing was tried yet; the first try may begin at once.
    pub(super) fn new(backoff: Backoff) -> Self {
        Self { running: None, failures: 0, not_before: Duration::ZERO, backoff }
    }

    /// Begins a try, unless one is running or the wait after the last failure is not over.
    pub(super) fn begin<F>(&mut self, now: Duration, make: impl FnOnce() -> F)
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        if self.running.is_none() && self.not_before <= now {
            self.running = Some(Box::pin(make()));
        }
    }

    /// When the next try may begin, or `None` while one is running.
    pub(super) fn next_begin(&self) -> Option<Duration> {
        self.running.is_none().then_some(self.not_before)
    }

    /// Failures since the last success.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// The result of the try that is running; pending when there is none.
    pub(super) fn poll_finished(&mut self, context: &mut Context<'_>) -> Poll<Result<T, Error>> {
        let Some(running) = &mut self.running else { return Poll::Pending };
        let result = ready!(running.as_mut().poll(context));
        self.running = None;
        Poll::Ready(result)
    }

    /// The same as a future. Cancel safe: the try stays.
    pub(super) async fn finished(&mut self) -> Result<T, Error> {
        poll_fn(|context| self.poll_finished(context)).await
    }

    /// Counts a failure: the next try waits.
    pub(super) fn failed(&mut self, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = now + self.backoff.delay(self.failures);
    }

    /// Counts a success: the next try may begin at once.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.not_before = Duration::ZERO;
    }

    /// Drops what is running and all waits.
    pub(super) fn reset(&mut self) {
        self.running = None;
        self.succeeded();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_second_and_stay_within_their_half() {
        let backoff = Backoff::new(Arc::new(Rng::seeded(1)));
        for (failures, full_ms) in
            [(0, 50), (1, 50), (2, 100), (3, 200), (5, 800), (6, 1000), (u32::MAX, 1000)]
        {
            for _ in 0..100 {
                let delay = backoff.delay(failures);
                assert!(delay <= Duration::from_millis(full_ms), "{failures}: {delay:?}");
                assert!(delay >= Duration::from_millis(full_ms / 2), "{failures}: {delay:?}");
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_waits() {
        let waits = |seed| {
            let backoff = Backoff::new(Arc::new(Rng::seeded(seed)));
            (1..20).map(|failures| backoff.delay(failures)).collect::<Vec<_>>()
        };
        assert_eq!(waits(7), waits(7));
        assert_ne!(waits(7), waits(8));
    }
}

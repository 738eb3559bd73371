//! How fast retention by time goes after the wall clock leapt ahead.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::base::Timestamp;
use crate::env::rule::Rule;

/// The wall clock leaps where it gains more than this on the monotonic one between two looks, in ms: far more than a clock that is
/// set right by and by.
const LEAP_MS: i64 = 60_000;

/// How fast retention by time goes. WHY: a clock that leaps ahead, rightly or not, makes everything old at once; one segment of each
/// log at a time leaves somebody the time to see it.
pub struct Pace {
    /// Wall clock minus monotonic clock at the last look.
    lead_ms: Mutex<i64>,
    is_slow: AtomicBool,
    /// Whether a log had more to remove since the last look.
    is_behind: AtomicBool,
}

impl Pace {
    /// Full pace, from these times on.
    pub fn new(now_ms: Timestamp, monotonic_ms: i64) -> Self {
        let lead_ms = Mutex::new(now_ms.saturating_sub(monotonic_ms));
        Self { lead_ms, is_slow: AtomicBool::new(false), is_behind: AtomicBool::new(false) }
    }

    /// Looks at both clocks, before the logs are looked at. Slow from a leap on until no log has anything more to remove.
    pub fn look(&self, now_ms: Timestamp, monotonic_ms: i64) {
        let lead_ms = now_ms.saturating_sub(monotonic_ms);
        let before_ms = std::mem::replace(&mut *self.lead_ms.lock(), lead_ms);
        let was_behind = self.is_behind.swap(false, Ordering::Relaxed);
        let leapt_ms = lead_ms.saturating_sub(before_ms);
        if leapt_ms > LEAP_MS && Rule::GoSlow.holds() {
            tracing::warn!(
                leapt_ms,
                "the clock leapt ahead: retention removes one segment of each partition at a time"
            );
            self.is_slow.store(true, Ordering::Relaxed);
        } else if !was_behind && self.is_slow.swap(false, Ordering::Relaxed) {
            tracing::info!("retention has caught up with the clock");
        }
    }

    /// How many of `count` expired segments of a log may go now.
    pub fn allow(&self, count: usize) -> usize {
        if count > 1 && self.is_slow.load(Ordering::Relaxed) {
            self.is_behind.store(true, Ordering::Relaxed);
            return 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_leap_one_segment_goes_at_a_time_until_none_is_left_over() {
        let pace = Pace::new(1_000, 0);
        assert_eq!(pace.allow(5), 5);
        pace.look(31_000, 30_000);
        assert_eq!(pace.allow(5), 5, "time went by");
        pace.look(31_000 + LEAP_MS + 1, 30_000);
        assert_eq!((pace.allow(5), pace.allow(1), pace.allow(0)), (1, 1, 0));
        pace.look(61_000 + LEAP_MS + 1, 60_000);
        assert_eq!(pace.allow(4), 1, "there was more to remove");
        pace.look(91_000 + LEAP_MS + 1, 90_000);
        assert_eq!(pace.allow(1), 1);
        pace.look(121_000, 120_000);
        assert_eq!(pace.allow(9), 9, "it caught up, and a clock that is set back is no leap");
    }
}

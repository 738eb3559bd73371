//! Which segments may go, by time and by size, and how fast. Pure.
//!
//! Time counts from the append by the broker's clock: records with old timestamps that are replayed into a topic are not
//! deleted at once. Segments go from the front only, never a part of one.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::base::Timestamp;
use crate::config::TopicConfig;
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

/// Whether a segment whose last batch was appended then may go by `retention.ms`.
pub fn is_expired(last_append_ms: Timestamp, config: &TopicConfig, now_ms: Timestamp) -> bool {
    config.retention_ms >= 0 && now_ms.saturating_sub(last_append_ms) > config.retention_ms
}

/// How many segments of these sizes may go from the front by `retention.bytes`. Kafka's rule: a segment goes while what stays is
/// still at least that much; the last one stays.
pub fn expired_by_size(sizes: &[u64], config: &TopicConfig) -> usize {
    let Ok(keep) = u64::try_from(config.retention_bytes) else { return 0 };
    let mut left: u64 = sizes.iter().sum();
    let goes = |size: &&u64| {
        let fits = left.saturating_sub(**size) >= keep;
        left -= if fits { **size } else { 0 };
        fits
    };
    sizes.iter().take(sizes.len().saturating_sub(1)).take_while(goes).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(retention_ms: i64, retention_bytes: i64) -> TopicConfig {
        TopicConfig { retention_ms, retention_bytes, ..TopicConfig::default() }
    }

    #[test]
    fn time_counts_from_the_last_append() {
        assert!(!is_expired(100, &config(50, -1), 150));
        assert!(is_expired(100, &config(50, -1), 151));
        assert!(!is_expired(i64::MIN, &config(-1, -1), i64::MAX), "-1 keeps for ever");
        assert!(!is_expired(i64::MAX, &config(0, -1), 0), "a clock that jumped back deletes nothing");
    }

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

    #[test]
    fn size_keeps_at_least_the_bound_and_the_last_segment() {
        let sizes = [10, 10, 10];
        assert_eq!(expired_by_size(&sizes, &config(-1, 10)), 2);
        assert_eq!(expired_by_size(&sizes, &config(-1, 11)), 1);
        assert_eq!(expired_by_size(&sizes, &config(-1, 30)), 0);
        assert_eq!(expired_by_size(&sizes, &config(-1, 0)), 2);
        assert_eq!(expired_by_size(&sizes, &config(-1, -1)), 0);
    }
}

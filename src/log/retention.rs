//! Which segments may go, by time and by size. Pure.
//!
//! Time counts from the append by the broker's clock: records with old timestamps that are replayed into a topic are not
//! deleted at once. Segments go from the front only, never a part of one.

use crate::base::Timestamp;
use crate::config::TopicConfig;

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
    fn size_keeps_at_least_the_bound_and_the_last_segment() {
        let sizes = [10, 10, 10];
        assert_eq!(expired_by_size(&sizes, &config(-1, 10)), 2);
        assert_eq!(expired_by_size(&sizes, &config(-1, 11)), 1);
        assert_eq!(expired_by_size(&sizes, &config(-1, 30)), 0);
        assert_eq!(expired_by_size(&sizes, &config(-1, 0)), 2);
        assert_eq!(expired_by_size(&sizes, &config(-1, -1)), 0);
    }
}

//! Which segments may go, by time and by size. Pure.
//!
//! Time counts from the append by the broker's clock: records with old timestamps that are replayed into a topic are not
//! deleted at once. Segments go from the front only, never a part of one.

use crate::base::Timestamp;
use crate::config::TopicConfig;

/// What retention needs to know of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentSummary {
    /// Bytes of its log file.
    pub size_bytes: u64,
    /// When its last batch was appended.
    pub last_append_ms: Timestamp,
}

/// How many segments may go from the front; the last one is the segment that is written to. When all may go, an empty
/// one has to be begun before.
pub fn expired_segments(segments: &[SegmentSummary], config: &TopicConfig, now_ms: Timestamp) -> usize {
    by_time(segments, config, now_ms).max(by_size(segments, config))
}

fn by_time(segments: &[SegmentSummary], config: &TopicConfig, now_ms: Timestamp) -> usize {
    if config.retention_ms < 0 {
        return 0;
    }
    let expired =
        |segment: &&SegmentSummary| now_ms.saturating_sub(segment.last_append_ms) > config.retention_ms;
    let count = segments.iter().take_while(expired).count();
    // WHY: an empty last segment holds nothing that could go.
    if count == segments.len() && segments.last().is_some_and(|last| last.size_bytes == 0) {
        count - 1
    } else {
        count
    }
}

/// Kafka's rule: a segment goes while what stays is still at least `retention.bytes`; the last one stays.
fn by_size(segments: &[SegmentSummary], config: &TopicConfig) -> usize {
    let Ok(keep) = u64::try_from(config.retention_bytes) else { return 0 };
    let mut size: u64 = segments.iter().map(|segment| segment.size_bytes).sum();
    let goes = |segment: &&SegmentSummary| {
        let fits = size.saturating_sub(segment.size_bytes) >= keep;
        size -= if fits { segment.size_bytes } else { 0 };
        fits
    };
    segments.iter().take(segments.len().saturating_sub(1)).take_while(goes).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(list: &[(u64, i64)]) -> Vec<SegmentSummary> {
        list.iter()
            .map(|&(size_bytes, last_append_ms)| SegmentSummary { size_bytes, last_append_ms })
            .collect()
    }

    fn config(retention_ms: i64, retention_bytes: i64) -> TopicConfig {
        TopicConfig { retention_ms, retention_bytes, ..TopicConfig::default() }
    }

    #[test]
    fn time_takes_expired_segments_from_the_front_even_the_last_one() {
        let list = segments(&[(10, 100), (10, 200), (10, 150)]);
        assert_eq!(expired_segments(&list, &config(50, -1), 160), 1);
        assert_eq!(expired_segments(&list, &config(50, -1), 251), 3);
        assert_eq!(expired_segments(&list, &config(-1, -1), i64::MAX), 0);
        assert_eq!(expired_segments(&segments(&[(0, 0)]), &config(1, -1), 1_000), 0);
    }

    #[test]
    fn size_keeps_at_least_the_bound_and_the_last_segment() {
        let list = segments(&[(10, 0), (10, 0), (10, 0)]);
        assert_eq!(expired_segments(&list, &config(-1, 10), 0), 2);
        assert_eq!(expired_segments(&list, &config(-1, 11), 0), 1);
        assert_eq!(expired_segments(&list, &config(-1, 30), 0), 0);
        assert_eq!(expired_segments(&list, &config(-1, 0), 0), 2);
    }
}

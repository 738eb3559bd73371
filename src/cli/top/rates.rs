//! What two samples of a broker tell of the time between them.

use std::collections::HashMap;

use super::args::Sort;
use super::groups::GroupLag;
use crate::client::{Stats, TopicStats, Traffic};

/// Records and bytes in a second.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Rate {
    pub(super) records_in: f64,
    pub(super) bytes_in: f64,
    pub(super) records_out: f64,
    pub(super) bytes_out: f64,
}

impl Rate {
    fn between(before: Traffic, now: Traffic, span: Span) -> Self {
        Self {
            records_in: span.rate(before.records_in, now.records_in),
            bytes_in: span.rate(before.bytes_in, now.bytes_in),
            records_out: span.rate(before.records_out, now.records_out),
            bytes_out: span.rate(before.bytes_out, now.bytes_out),
        }
    }

    fn bytes(self) -> f64 {
        self.bytes_in + self.bytes_out
    }
}

/// The seconds between two samples; none where the broker was started again between them.
#[derive(Clone, Copy)]
struct Span(Option<f64>);

impl Span {
    fn rate(self, before: i64, now: i64) -> f64 {
        self.0.map_or(0.0, |seconds| now.saturating_sub(before).max(0) as f64 / seconds)
    }
}

/// A broker and what it did between two samples.
pub(super) struct Frame {
    pub(super) stats: Stats,
    pub(super) rate: Rate,
    pub(super) requests: f64,
    pub(super) errors: f64,
    pub(super) topics: Vec<(TopicStats, Rate)>,
    pub(super) groups: Vec<GroupLag>,
}

impl Frame {
    /// What happened between two samples; topics in the order asked for.
    pub(super) fn between(before: &Stats, mut now: Stats, sort: Sort) -> Self {
        let ms = now.uptime_ms - before.uptime_ms;
        let span = Span((ms > 0).then_some(ms as f64 / 1_000.0));
        let known: HashMap<&str, Traffic> =
            before.topic_stats.iter().map(|topic| (topic.name.as_str(), topic.traffic)).collect();
        let with_rate = |topic: TopicStats| {
            // A topic that was not there before had written nothing.
            let before = known.get(topic.name.as_str()).copied().unwrap_or_default();
            let rate = Rate::between(before, topic.traffic, span);
            (topic, rate)
        };
        let mut topics: Vec<_> = std::mem::take(&mut now.topic_stats).into_iter().map(with_rate).collect();
        topics.sort_by(|(a, rate_a), (b, rate_b)| {
            let by_rate = || rate_b.bytes().total_cmp(&rate_a.bytes());
            let first = match sort {
                Sort::Rate => by_rate(),
                Sort::Size => b.size_bytes.cmp(&a.size_bytes),
            };
            first.then_with(|| a.name.cmp(&b.name))
        });
        Self {
            rate: Rate::between(before.traffic, now.traffic, span),
            requests: span.rate(before.requests, now.requests),
            errors: span.rate(before.errors, now.errors),
            stats: now,
            topics,
            groups: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(in_: i64, out: i64) -> Traffic {
        Traffic { records_in: in_, bytes_in: in_ * 100, records_out: out, bytes_out: out * 100 }
    }

    fn stats(uptime_ms: i64, topics: &[(&str, i64, i64, i64)]) -> Stats {
        let topic = |(name, size_bytes, in_, out): &(&str, i64, i64, i64)| TopicStats {
            name: (*name).to_owned(),
            size_bytes: *size_bytes,
            traffic: traffic(*in_, *out),
            ..TopicStats::default()
        };
        let topic_stats: Vec<_> = topics.iter().map(topic).collect();
        Stats { uptime_ms, requests: uptime_ms, topic_stats, traffic: traffic(10, 0), ..Stats::default() }
    }

    fn names(frame: &Frame) -> Vec<&str> {
        frame.topics.iter().map(|(topic, _)| topic.name.as_str()).collect()
    }

    #[test]
    fn rates_are_differences_over_the_brokers_own_time() {
        let before = stats(1_000, &[("a", 50, 10, 0), ("b", 90, 10, 0)]);
        let now = || stats(3_000, &[("a", 50, 20, 4), ("b", 90, 10, 0), ("new", 60, 6, 0)]);
        let frame = Frame::between(&before, now(), Sort::Rate);
        assert_eq!(names(&frame), ["a", "new", "b"]);
        let rate = Rate { records_in: 5.0, bytes_in: 500.0, records_out: 2.0, bytes_out: 200.0 };
        assert_eq!((frame.topics[0].1, frame.requests), (rate, 1_000.0));
        assert_eq!(frame.topics[1].1.records_in, 3.0);
        assert_eq!(names(&Frame::between(&before, now(), Sort::Size)), ["b", "new", "a"]);
    }

    #[test]
    fn a_broker_that_was_started_again_has_no_rate() {
        let before = stats(60_000, &[("a", 1, 100, 0)]);
        let frame = Frame::between(&before, stats(500, &[("a", 1, 7, 0)]), Sort::Rate);
        assert_eq!((frame.topics[0].1, frame.rate, frame.requests), (Rate::default(), Rate::default(), 0.0));
        let again = Frame::between(&stats(500, &[("a", 1, 7, 0)]), stats(500, &[("a", 1, 9, 0)]), Sort::Rate);
        assert_eq!(again.topics[0].1, Rate::default(), "no time has passed");
    }
}

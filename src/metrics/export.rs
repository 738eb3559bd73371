//! The text form of Prometheus, version 0.0.4.
//!
//! ```text
//! # HELP weir_topic_produce_records_total Records written to a topic.
//! # TYPE weir_topic_produce_records_total counter
//! weir_topic_produce_records_total{topic="orders"} 12
//! ```
//!
//! Histograms have a line for each bucket (`_bucket{le="…"}`, cumulated, in seconds), `_sum` and `_count`.

use std::fmt::{Display, Write};

use super::counter::{BOUNDS_MICROS, Histogram};
use super::names::{METRICS, Metric, Snapshot};

/// What the answer says it is.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Every metric that has a value, in the order of the table.
pub fn text(snapshot: &Snapshot<'_>) -> String {
    let mut out = String::with_capacity(16 << 10);
    for metric in METRICS {
        let mut family = Family { metric, out: &mut out, has_head: false };
        (metric.read)(snapshot, &mut family);
    }
    out
}

/// The samples of one metric.
pub struct Family<'a> {
    metric: &'static Metric,
    out: &'a mut String,
    has_head: bool,
}

impl Family<'_> {
    /// Writes one sample; `labels` are the values of the metric's labels, in their order.
    pub fn sample(&mut self, labels: &[&str], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// Writes the lines of a histogram.
    pub fn histogram(&mut self, labels: &[&str], histogram: &Histogram) {
        let cumulated = histogram.cumulated();
        let sum = histogram.sum().as_secs_f64();
        for (bound, count) in BOUNDS_MICROS.iter().zip(cumulated) {
            let seconds = (*bound as f64 / 1e6).to_string();
            self.line("_bucket", labels, Some(&seconds), count);
        }
        let count = cumulated[BOUNDS_MICROS.len()];
        self.line("_bucket", labels, Some("+Inf"), count);
        self.line("_sum", labels, None, sum);
        self.line("_count", labels, None, count);
    }

    fn line(&mut self, suffix: &str, labels: &[&str], bound: Option<&str>, value: impl Display) {
        debug_assert_eq!(labels.len(), self.metric.labels.len(), "{}", self.metric.name);
        let Metric { name, kind, help, .. } = self.metric;
        // Writing to a string does not fail.
        if !std::mem::replace(&mut self.has_head, true) {
            let _ = write!(self.out, "# HELP {name} {help}\n# TYPE {name} {}\n", kind.word());
        }
        let _ = write!(self.out, "{name}{suffix}");
        let named = self.metric.labels.iter().copied().zip(labels.iter().copied());
        let mut before = '{';
        for (label, value) in named.chain(bound.map(|bound| ("le", bound))) {
            let _ = write!(self.out, "{before}{label}=\"");
            escape(value, self.out);
            self.out.push('"');
            before = ',';
        }
        let end = if before == ',' { "}" } else { "" };
        let _ = writeln!(self.out, "{end} {value}");
    }
}

/// The value of a label: backslash, quote and line feed are escaped.
fn escape(value: &str, out: &mut String) {
    for letter in value.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            letter => out.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::names::{Kind, State, TopicState};
    use crate::metrics::{Counters, LogCounters, Method, TopicCounters};

    fn all(counters: &Counters, topics: &[TopicState]) -> String {
        let (log, state) = (LogCounters::default(), State { version: "1.2.3", ..State::default() });
        text(&Snapshot { counters, log: &log, state: &state, topics })
    }

    #[test]
    fn lines_are_what_prometheus_reads() {
        let counters = Counters::default();
        counters.requests(Method::Fetch).add(7);
        counters.durations(Method::Fetch).record(Duration::from_micros(2_500));
        let topic = TopicState { name: "a\"b\\c\n".into(), ..TopicState::default() };
        let text = all(&counters, &[topic]);
        for line in [
            "# TYPE weir_requests_total counter",
            "weir_requests_total{method=\"Fetch\"} 7",
            "weir_request_duration_seconds_bucket{method=\"Fetch\",le=\"0.001\"} 0",
            "weir_request_duration_seconds_bucket{method=\"Fetch\",le=\"0.0025\"} 1",
            "weir_request_duration_seconds_bucket{method=\"Fetch\",le=\"+Inf\"} 1",
            "weir_request_duration_seconds_sum{method=\"Fetch\"} 0.0025",
            "weir_request_duration_seconds_count{method=\"Fetch\"} 1",
            "weir_topic_produce_records_total{topic=\"a\\\"b\\\\c\\n\"} 0",
            "weir_build_info{version=\"1.2.3\"} 1",
            "weir_memory_used_bytes 0",
        ] {
            assert!(text.lines().any(|found| found == line), "no line {line} in\n{text}");
        }
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn every_metric_of_the_table_has_one_head_and_its_samples_follow_it() {
        let counters = Counters::default();
        counters.durations(Method::Produce).record(Duration::ZERO);
        let text = all(&counters, &[TopicState::default()]);
        let mut heads = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        for metric in METRICS {
            assert_eq!(heads.next(), Some(&*format!("{} {}", metric.name, metric.kind.word())));
        }
        assert_eq!(heads.next(), None);
        let mut current = "";
        for line in text.lines() {
            match line.strip_prefix("# TYPE ") {
                Some(head) => current = head.split(' ').next().unwrap(),
                None if line.starts_with('#') => {}
                None => assert!(line.starts_with(current), "{line} stands under {current}"),
            }
        }
    }

    #[test]
    fn names_end_with_their_units() {
        for metric in METRICS {
            let name = metric.name;
            assert_eq!(metric.kind == Kind::Counter, name.ends_with("_total"), "{name}");
            let unit = metric.unit;
            let base = name.trim_end_matches("_total");
            assert!(!["bytes", "seconds"].contains(&unit) || base.ends_with(unit), "{name} is in {unit}");
            assert!(metric.help.ends_with('.') && !metric.help.contains(['\n', '\\']), "{name}");
        }
        let mut names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), METRICS.len(), "a name comes twice");
    }

    #[test]
    fn numbers_do_not_depend_on_the_shape_of_a_topic() {
        let counters = std::sync::Arc::new(TopicCounters::default());
        counters.note_out(3, 40);
        let topic = TopicState { name: "t".into(), counters, size_bytes: 9, ..TopicState::default() };
        let text = all(&Counters::default(), &[topic]);
        assert!(text.contains("weir_topic_fetch_bytes_total{topic=\"t\"} 40\n"), "{text}");
        assert!(text.contains("weir_topic_log_size_bytes{topic=\"t\"} 9\n"), "{text}");
    }
}

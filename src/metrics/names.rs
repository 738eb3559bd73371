//! The one table of all metrics: name, unit, kind, labels, help, and where each is read.
//!
//! `docs/reference/metrics.md` is made from it. Names follow Prometheus: base units, `_total` for counters. A name that was
//! released keeps its meaning.

use std::sync::Arc;

use super::counter::Counter;
use super::export::Family;
use super::registry::{Counters, LogCounters, Method, Protocol, Refusal, TopicCounters};
use crate::base::error::KINDS;

/// How a metric behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Rises until the broker restarts.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by duration.
    Histogram,
}

impl Kind {
    /// Prometheus' word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// Name.
    pub name: &'static str,
    /// What is counted.
    pub unit: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
    pub(super) read: fn(&Snapshot<'_>, &mut Family<'_>),
}

/// All that a reading of the metrics looks at.
pub struct Snapshot<'a> {
    /// What doors and broker counted.
    pub counters: &'a Counters,
    /// What the logs counted.
    pub log: &'a LogCounters,
    /// What there is at this moment.
    pub state: &'a State,
    /// Topics with series of their own, and what all others share.
    pub topics: &'a [TopicState],
}

/// What there is at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct State {
    /// Version of the broker.
    pub version: &'static str,
    /// Time since its start.
    pub uptime: std::time::Duration,
    /// Topics.
    pub topics: u64,
    /// Partitions.
    pub partitions: u64,
    /// Partitions that take no appends, because of a failed disk or a damaged folder.
    pub partitions_offline: u64,
    /// Partitions of the offsets topic whose groups can't be used, as what they hold can't be replayed.
    pub group_logs_damaged: u64,
    /// Bytes of all log files of topics.
    pub log_size_bytes: u64,
    /// Segments of all topics.
    pub segments: u64,
    /// Bytes that are written but not synced.
    pub unsynced_bytes: u64,
    /// Memory budget that is taken, and all of it.
    pub memory_used_bytes: u64,
    /// The whole memory budget.
    pub memory_limit_bytes: u64,
    /// Free space of the disk.
    pub disk_free_bytes: u64,
    /// All space of the disk.
    pub disk_total_bytes: u64,
    /// Space that producers can't use.
    pub disk_reserve_bytes: u64,
    /// Whether appends are refused because the free space is below the reserve.
    pub disk_full: bool,
    /// Resident memory of the process's own.
    pub resident_anon_bytes: u64,
    /// Resident pages of files.
    pub resident_file_bytes: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Descriptors that the process may open.
    pub descriptors_max: u64,
}

/// One topic, or what all topics share that have no series of their own.
#[derive(Clone, Debug, Default)]
pub struct TopicState {
    /// Its name.
    pub name: Arc<str>,
    /// What was written and read.
    pub counters: Arc<TopicCounters>,
    /// Partitions.
    pub partitions: u64,
    /// Partitions that are offline.
    pub partitions_offline: u64,
    /// Bytes of its log files.
    pub size_bytes: u64,
    /// Its segments.
    pub segments: u64,
}

impl TopicState {
    /// Adds what there is of another topic, whose counters are these as well.
    pub fn take_in(&mut self, other: &Self) {
        self.partitions += other.partitions;
        self.partitions_offline += other.partitions_offline;
        self.size_bytes += other.size_bytes;
        self.segments += other.segments;
    }
}

const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric { name, unit, kind: Kind::Counter, labels: &[], help, read: |_, _| {} }
}

const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric { kind: Kind::Gauge, ..counter(name, unit, help) }
}

const fn histogram(name: &'static str, help: &'static str) -> Metric {
    Metric { kind: Kind::Histogram, ..counter(name, "seconds", help) }
}

impl Metric {
    const fn by(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }

    const fn from(self, read: fn(&Snapshot<'_>, &mut Family<'_>)) -> Self {
        Self { read, ..self }
    }
}

/// Every metric, in the order in which it is written.
pub static METRICS: &[Metric] = &[
    counter(
        "weir_requests_total",
        "requests",
        "Requests that were answered; of ProduceStream each message counts, of Tail each answer.",
    )
    .by(&["method"])
    .from(|all, family| {
        for method in Method::ALL {
            family.sample(&[method.word()], all.counters.requests(*method).get());
        }
    }),
    histogram(
        "weir_request_duration_seconds",
        "Time from a request to its answer, waiting for records included; methods that were used.",
    )
    .by(&["method"])
    .from(|all, family| {
        let used = |method: &&Method| all.counters.durations(**method).count() > 0;
        for method in Method::ALL.iter().filter(used) {
            family.histogram(&[method.word()], all.counters.durations(*method));
        }
    }),
    counter(
        "weir_request_errors_total",
        "errors",
        "Errors that clients were told, of whole requests and of single items, by their reason.",
    )
    .by(&["reason"])
    .from(|all, family| {
        for row in KINDS {
            family.sample(&[row.reason], all.counters.errors(row.kind).get());
        }
    }),
    counter("weir_produce_records_total", "records", "Records that were written.")
        .from(|all, family| family.sample(&[], all.counters.traffic.records_in.get())),
    counter("weir_produce_bytes_total", "bytes", "Bytes of the batches that were written.")
        .from(|all, family| family.sample(&[], all.counters.traffic.bytes_in.get())),
    counter("weir_fetch_records_total", "records", "Records that were given to readers.")
        .from(|all, family| family.sample(&[], all.counters.traffic.records_out.get())),
    counter("weir_fetch_bytes_total", "bytes", "Bytes of records that were given to readers.")
        .from(|all, family| family.sample(&[], all.counters.traffic.bytes_out.get())),
    gauge("weir_connections", "connections", "Connections that are open.").by(&["protocol"]).from(
        |all, family| {
            for protocol in Protocol::ALL {
                family.sample(&[protocol.word()], all.counters.connections(*protocol).get());
            }
        },
    ),
    counter("weir_connections_accepted_total", "connections", "Connections that have begun to speak.")
        .by(&["protocol"])
        .from(|all, family| {
            for protocol in Protocol::ALL {
                family.sample(&[protocol.word()], all.counters.accepted(*protocol).get());
            }
        }),
    counter("weir_connections_refused_total", "connections", "Connections that were closed as they came.")
        .by(&["reason"])
        .from(|all, family| {
            for why in Refusal::ALL {
                family.sample(&[why.word()], all.counters.refused(*why).get());
            }
        }),
    gauge("weir_open_streams", "calls", "Streaming calls that are open.").by(&["method"]).from(
        |all, family| {
            for method in Method::ALL.iter().filter(|method| method.is_stream()) {
                family.sample(&[method.word()], all.counters.open_streams(*method).get());
            }
        },
    ),
    gauge("weir_topics", "topics", "Topics.").from(|all, family| family.sample(&[], all.state.topics)),
    gauge("weir_partitions", "partitions", "Partitions of all topics.")
        .from(|all, family| family.sample(&[], all.state.partitions)),
    gauge(
        "weir_partitions_offline",
        "partitions",
        "Partitions that take no appends, because of a failed disk or a damaged folder.",
    )
    .from(|all, family| family.sample(&[], all.state.partitions_offline)),
    gauge(
        "weir_group_logs_damaged",
        "partitions",
        "Partitions of the offsets topic whose groups can't be used, as what they hold can't be replayed.",
    )
    .from(|all, family| family.sample(&[], all.state.group_logs_damaged)),
    gauge("weir_log_size_bytes", "bytes", "Bytes of the log files of all topics.")
        .from(|all, family| family.sample(&[], all.state.log_size_bytes)),
    gauge("weir_log_segments", "segments", "Segments of the logs of all topics.")
        .from(|all, family| family.sample(&[], all.state.segments)),
    counter("weir_log_appends_total", "batches", "Batches that were written to logs, internal ones too.")
        .from(|all, family| family.sample(&[], all.log.appends.get())),
    counter("weir_log_append_bytes_total", "bytes", "Bytes that were written to logs, internal ones too.")
        .from(|all, family| family.sample(&[], all.log.append_bytes.get())),
    histogram(
        "weir_log_sync_duration_seconds",
        "Time of a round of syncs; many appends share one round, many logs too.",
    )
    .from(|all, family| family.histogram(&[], &all.log.sync_rounds)),
    counter(
        "weir_log_sync_failures_total",
        "syncs",
        "Syncs of a log that failed; each took its partition offline.",
    )
    .from(|all, family| family.sample(&[], all.log.sync_failures.get())),
    gauge("weir_log_unsynced_bytes", "bytes", "Bytes that are written to logs and not yet synced.")
        .from(|all, family| family.sample(&[], all.state.unsynced_bytes)),
    counter("weir_compaction_passes_total", "passes", "Passes of compaction over a log that came to their end.")
        .from(|all, family| family.sample(&[], all.log.compaction_passes.get())),
    counter(
        "weir_compaction_failures_total",
        "passes",
        "Passes of compaction that were given up, such as for a damaged segment or a full disk; the log goes on.",
    )
    .from(|all, family| family.sample(&[], all.log.compaction_failures.get())),
    counter("weir_compaction_read_bytes_total", "bytes", "Bytes of logs that compaction has read.")
        .from(|all, family| family.sample(&[], all.log.compaction_read_bytes.get())),
    counter("weir_compaction_written_bytes_total", "bytes", "Bytes of logs that compaction has written.")
        .from(|all, family| family.sample(&[], all.log.compaction_written_bytes.get())),
    counter("weir_compaction_removed_records_total", "records", "Records that compaction has removed.")
        .from(|all, family| family.sample(&[], all.log.compaction_removed_records.get())),
    gauge(
        "weir_compaction_dirty_bytes",
        "bytes",
        "Sealed bytes of compacted logs that were not compacted yet, at the last look.",
    )
    .from(|all, family| family.sample(&[], all.log.compaction_dirty_bytes.get())),
    gauge(
        "weir_compaction_dirty_ratio_max",
        "share",
        "Dirty share of the compacted log that has the greatest, 0 to 1, at the last look.",
    )
    .from(|all, family| {
        family.sample(&[], all.log.compaction_dirty_millionths.get() as f64 / 1_000_000.0);
    }),
    gauge(
        "weir_memory_used_bytes",
        "bytes",
        "Memory that connections, requests and replies have taken out of the budget.",
    )
    .from(|all, family| family.sample(&[], all.state.memory_used_bytes)),
    gauge("weir_memory_limit_bytes", "bytes", "The memory budget: what memory.bytes leaves for them.")
        .from(|all, family| family.sample(&[], all.state.memory_limit_bytes)),
    gauge("weir_disk_free_bytes", "bytes", "Free space where the data directory lies.")
        .from(|all, family| family.sample(&[], all.state.disk_free_bytes)),
    gauge("weir_disk_size_bytes", "bytes", "All space where the data directory lies.")
        .from(|all, family| family.sample(&[], all.state.disk_total_bytes)),
    gauge("weir_disk_reserve_bytes", "bytes", "Free space that producers can not use (disk.reserve.bytes).")
        .from(|all, family| family.sample(&[], all.state.disk_reserve_bytes)),
    gauge("weir_disk_full", "0 or 1", "1 while appends are refused because free space is below the reserve.")
        .from(|all, family| family.sample(&[], u8::from(all.state.disk_full))),
    counter("weir_topic_produce_records_total", "records", "Records written to a topic.")
        .by(&["topic"])
        .from(|all, family| each_topic(all, family, |counters| &counters.records_in)),
    counter("weir_topic_produce_bytes_total", "bytes", "Bytes of the batches written to a topic.")
        .by(&["topic"])
        .from(|all, family| each_topic(all, family, |counters| &counters.bytes_in)),
    counter("weir_topic_fetch_records_total", "records", "Records of a topic given to readers.")
        .by(&["topic"])
        .from(|all, family| each_topic(all, family, |counters| &counters.records_out)),
    counter("weir_topic_fetch_bytes_total", "bytes", "Bytes of a topic's records given to readers.")
        .by(&["topic"])
        .from(|all, family| each_topic(all, family, |counters| &counters.bytes_out)),
    gauge("weir_topic_log_size_bytes", "bytes", "Bytes of the log files of a topic.").by(&["topic"]).from(
        |all, family| {
            for topic in all.topics {
                family.sample(&[&topic.name], topic.size_bytes);
            }
        },
    ),
    gauge("weir_topic_partitions_offline", "partitions", "Partitions of a topic that take no appends.")
        .by(&["topic"])
        .from(|all, family| {
            for topic in all.topics {
                family.sample(&[&topic.name], topic.partitions_offline);
            }
        }),
    gauge("weir_uptime_seconds", "seconds", "Time since the broker started.")
        .from(|all, family| family.sample(&[], all.state.uptime.as_secs_f64())),
    gauge("weir_build_info", "always 1", "Always 1; the label tells the version.")
        .by(&["version"])
        .from(|all, family| family.sample(&[all.state.version], 1)),
    gauge("weir_process_resident_anon_bytes", "bytes", "Resident memory of the process's own (RssAnon).")
        .from(|all, family| family.sample(&[], all.state.resident_anon_bytes)),
    gauge(
        "weir_process_resident_file_bytes",
        "bytes",
        "Resident pages of files, which the kernel can drop (RssFile).",
    )
    .from(|all, family| family.sample(&[], all.state.resident_file_bytes)),
    gauge("process_open_fds", "descriptors", "Descriptors that are open.")
        .from(|all, family| family.sample(&[], all.state.descriptors)),
    gauge("process_max_fds", "descriptors", "Descriptors that the process may open.")
        .from(|all, family| family.sample(&[], all.state.descriptors_max)),
];

fn each_topic(all: &Snapshot<'_>, family: &mut Family<'_>, number: fn(&TopicCounters) -> &Counter) {
    for topic in all.topics {
        family.sample(&[&topic.name], number(&topic.counters).get());
    }
}

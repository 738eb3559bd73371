//! A frame of `weir top` as text and as JSON.

use serde_json::{Map, Value, json};

use super::groups;
use super::rates::{Frame, Rate};
use crate::base::size::print_bytes;
use crate::cli::cluster::Health;
use crate::cli::output::{Cell, Column, Table, count, duration_in_words, flowing, rate as per_second};
use crate::client::{Problem, TopicStats};

/// Three lines on the broker, a line for each problem, an empty line, and the topics.
pub(super) fn text(frame: &Frame, address: &str) -> String {
    let stats = &frame.stats;
    let mut text = flowing(&[
        format!("broker {} at {address}", stats.broker_id),
        format!("up {}", duration_in_words(stats.uptime_ms)),
        Health::of(stats).word().to_owned(),
    ]);
    text += &flowing(&[
        format!("in {}/s {}/s", per_second(frame.rate.records_in), bytes(frame.rate.bytes_in)),
        format!("out {}/s {}/s", per_second(frame.rate.records_out), bytes(frame.rate.bytes_out)),
        format!("requests {}/s", per_second(frame.requests)),
        format!("errors {}/s", per_second(frame.errors)),
    ]);
    text += &flowing(&[
        count(stats.connections, "connection"),
        count(stats.open_streams, "stream"),
        format!("memory {} of {}", size(stats.memory_used_bytes), size(stats.memory_limit_bytes)),
        format!("disk {} free", size(stats.disk_free_bytes)),
        format!("logs {} in {}", size(stats.size_bytes), count(stats.partitions, "partition")),
    ]);
    stats.problems.iter().for_each(|problem| text += &format!("! {}\n", problem.message));
    if !frame.topics.is_empty() {
        text += &format!("\n{}", table(frame).print());
    }
    if !frame.groups.is_empty() {
        text += &format!("\n{}", groups::table(&frame.groups).print());
    }
    text
}

/// A row for each topic.
pub(super) fn table(frame: &Frame) -> Table {
    let mut table = Table::new(&[
        Column::Left("TOPIC"),
        Column::Right("IN/s"),
        Column::Right("BYTES-IN/s"),
        Column::Right("OUT/s"),
        Column::Right("BYTES-OUT/s"),
        Column::Right("SIZE"),
        Column::Right("PARTITIONS"),
        Column::Left("HEALTH"),
    ]);
    for (topic, rate) in &frame.topics {
        table.row([
            Cell::Text(topic.name.clone()),
            Cell::Rate(rate.records_in),
            Cell::Bytes(rate.bytes_in.round() as u64),
            Cell::Rate(rate.records_out),
            Cell::Bytes(rate.bytes_out.round() as u64),
            Cell::Bytes(topic.size_bytes.unsigned_abs()),
            Cell::count(topic.partitions),
            Cell::Text(match topic.partitions_offline {
                0 => "ok".to_owned(),
                offline => format!("{offline} offline"),
            }),
        ]);
    }
    table
}

fn bytes(rate: f64) -> String {
    print_bytes(rate.round() as u64)
}

fn size(bytes: i64) -> String {
    print_bytes(bytes.unsigned_abs())
}

/// The fields of a document.
pub(super) fn fields(frame: &Frame, address: &str) -> Map<String, Value> {
    let stats = &frame.stats;
    let topic = |(topic, rate): &(TopicStats, Rate)| {
        let mut fields = rate_fields(*rate);
        fields["name"] = json!(topic.name);
        fields["partitions"] = json!(topic.partitions);
        fields["partitions_offline"] = json!(topic.partitions_offline);
        fields["size_bytes"] = json!(topic.size_bytes);
        fields
    };
    let problem = |problem: &Problem| json!({ "critical": problem.is_critical, "message": problem.message });
    let fields = [
        ("broker_id", json!(stats.broker_id)),
        ("address", json!(address)),
        ("uptime_ms", json!(stats.uptime_ms)),
        ("health", json!(Health::of(stats).word())),
        ("problems", stats.problems.iter().map(problem).collect()),
        ("rates", rate_fields(frame.rate)),
        ("requests_per_second", json!(frame.requests)),
        ("errors_per_second", json!(frame.errors)),
        ("connections", json!(stats.connections)),
        ("open_streams", json!(stats.open_streams)),
        ("memory_used_bytes", json!(stats.memory_used_bytes)),
        ("memory_limit_bytes", json!(stats.memory_limit_bytes)),
        ("disk_free_bytes", json!(stats.disk_free_bytes)),
        ("size_bytes", json!(stats.size_bytes)),
        ("topics", frame.topics.iter().map(topic).collect()),
        ("groups", groups::as_json(&frame.groups)),
    ];
    fields.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()
}

fn rate_fields(rate: Rate) -> Value {
    json!({
        "records_in_per_second": rate.records_in,
        "bytes_in_per_second": rate.bytes_in,
        "records_out_per_second": rate.records_out,
        "bytes_out_per_second": rate.bytes_out,
    })
}

#[cfg(test)]
mod tests {
    use super::super::args::Sort;
    use super::*;
    use crate::client::{Stats, Traffic};

    fn frame() -> Frame {
        let topic = |name: &str, records_in, partitions_offline| TopicStats {
            name: name.to_owned(),
            partitions: 6,
            partitions_offline,
            size_bytes: 25_900_000,
            traffic: Traffic { records_in, bytes_in: records_in * 1_000, ..Traffic::default() },
            ..TopicStats::default()
        };
        let before = Stats { uptime_ms: 1_000, ..Stats::default() };
        let now = Stats {
            broker_id: 1,
            uptime_ms: 2_000,
            connections: 1,
            partitions: 12,
            traffic: Traffic { records_in: 1_203, bytes_in: 1_203_000, ..Traffic::default() },
            problems: vec![Problem { is_critical: true, message: "1 partition offline: b[0]".to_owned() }],
            topic_stats: vec![topic("b", 3, 1), topic("orders", 1_200, 0)],
            ..Stats::default()
        };
        Frame::between(&before, now, Sort::Rate)
    }

    #[test]
    fn the_broker_comes_first_then_its_topics() {
        assert_eq!(
            text(&frame(), "h:1"),
            "\
broker 1 at h:1  up 2.0s  CRITICAL
in 1,203/s 1.1 MiB/s  out 0/s 0 B/s  requests 0/s  errors 0/s
1 connection  0 streams  memory 0 B of 0 B  disk 0 B free  logs 0 B in 12 partitions
! 1 partition offline: b[0]

TOPIC    IN/s  BYTES-IN/s  OUT/s  BYTES-OUT/s      SIZE  PARTITIONS  HEALTH
orders  1,200     1.1 MiB      0          0 B  24.7 MiB           6  ok
b         3.0     2.9 KiB      0          0 B  24.7 MiB           6  1 offline
"
        );
        let fields = fields(&frame(), "h:1");
        assert_eq!(fields["topics"][0]["records_in_per_second"], 1_200.0);
    }
}

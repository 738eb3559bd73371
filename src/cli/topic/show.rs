//! `weir topic list` and `weir topic describe`.

use serde_json::{Map, Value, json};

use super::args::{DescribeArgs, ListArgs, Section};
use super::found::{find, report};
use crate::base::Error;
use crate::base::size::print_bytes;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{
    Cell, Column, Form, Table, count, error_json, flowing, form, print, print_document,
};
use crate::client::{Admin, Partition, Topic, TopicRate};

/// Prints a line for each topic.
pub(super) async fn list(context: &Context, admin: &Admin, args: &ListArgs) -> Result<Exit, Failure> {
    let mut request = admin.list_topics();
    if let Some(glob) = &args.glob {
        request = request.matching(glob);
    }
    if args.internal {
        request = request.with_internal();
    }
    let topics = request.await?;
    if context.global.json {
        let topics: Vec<Value> = topics.iter().map(summary_json).collect();
        print_document("topic list", Map::from_iter([("topics".to_owned(), json!(topics))]))?;
        return Ok(Exit::Done);
    }
    if topics.is_empty() {
        context.hint(&match &args.glob {
            Some(glob) => format!("no topic matches '{glob}'; all of them: weir topic list"),
            None => "no topics; create one: weir topic create NAME".to_owned(),
        });
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[
        Column::Left("NAME"),
        Column::Right("PARTITIONS"),
        Column::Right("REPLICAS"),
        Column::Right("RECORDS"),
        Column::Right("SIZE"),
        Column::Right("IN/s"),
        Column::Left("POLICY"),
        Column::Left("HEALTH"),
        Column::Wide("OUT/s"),
        Column::Wide("RETENTION"),
        Column::Wide("FLUSH"),
        Column::Wide("ID"),
    ]);
    for topic in &topics {
        let setting = |key: &str| config(topic, key).unwrap_or("-").to_owned();
        table.row([
            Cell::Text(topic.name.clone()),
            Cell::count(topic.partitions.len() as i64),
            Cell::count(1),
            Cell::count(records(topic)),
            Cell::Bytes(size_bytes(topic)),
            rate(topic, |rate| rate.records_in),
            setting("cleanup.policy").into(),
            health(topic).into(),
            rate(topic, |rate| rate.records_out),
            Cell::Setting("retention.ms".to_owned(), setting("retention.ms")),
            setting("flush").into(),
            id(topic).into(),
        ]);
    }
    print(table.print())?;
    Ok(Exit::Done)
}

/// Prints what is known of topics, section by section.
pub(super) async fn describe(context: &Context, admin: &Admin, args: &DescribeArgs) -> Result<Exit, Failure> {
    let found = find(admin, &args.names).await?;
    if context.global.json {
        let topics: Vec<Value> = found.topics.iter().map(|topic| topic_json(topic, args)).collect();
        let fields = [("topics".to_owned(), json!(topics)), ("errors".to_owned(), found.errors_json())];
        print_document("topic describe", Map::from_iter(fields))?;
        return Ok(report(&found.missing));
    }
    if form() == Form::Name {
        let names: String = found.topics.iter().map(|topic| format!("{}\n", topic.name)).collect();
        print(names)?;
        return Ok(report(&found.missing));
    }
    for (at, topic) in found.topics.iter().enumerate() {
        let gap = if at > 0 && form() != Form::Plain { "\n" } else { "" };
        print(format!("{gap}{}", sections(topic, args, found.topics.len() > 1)))?;
    }
    Ok(report(&found.missing))
}

fn shows(args: &DescribeArgs, section: Section) -> bool {
    args.sections.is_empty() || args.sections.contains(&section)
}

fn sections(topic: &Topic, args: &DescribeArgs, several: bool) -> String {
    let is_plain = form() == Form::Plain;
    let table = |table: Table, section: &str| table.after([topic.name.as_str(), section]).print();
    let mut parts = Vec::new();
    if shows(args, Section::Summary) {
        parts.push(if is_plain { table(summary_table(topic), "summary") } else { summary(topic) });
    } else if several && !is_plain {
        parts.push(format!("{}\n", topic.name));
    }
    if shows(args, Section::Config) {
        parts.push(table(config_table(topic), "config"));
    }
    if shows(args, Section::Partitions) {
        parts.push(table(partition_table(&topic.partitions), "partitions"));
    }
    // WHY: their number stands in the table of partitions already.
    if args.sections.contains(&Section::Segments) {
        parts.push(table(segment_table(&topic.partitions), "segments"));
    }
    parts.join(if is_plain { "" } else { "\n" })
}

fn summary(topic: &Topic) -> String {
    flowing(&[
        topic.name.clone(),
        format!("id={}", id(topic)),
        count(topic.partitions.len() as i64, "partition"),
        "1 replica".to_owned(),
        count(records(topic), "record"),
        print_bytes(size_bytes(topic)),
        format!("health={}", health(topic)),
        if topic.internal { "internal".to_owned() } else { String::new() },
    ])
}

/// The same for scripts: id, partitions, replicas, records, size, health.
fn summary_table(topic: &Topic) -> Table {
    let columns = ["ID", "PARTITIONS", "REPLICAS", "RECORDS", "SIZE", "HEALTH"];
    let mut table = Table::new(&columns.map(Column::Left));
    table.row([
        Cell::Text(id(topic)),
        Cell::count(topic.partitions.len() as i64),
        Cell::count(1),
        Cell::count(records(topic)),
        Cell::Bytes(size_bytes(topic)),
        health(topic).into(),
    ]);
    table
}

fn id(topic: &Topic) -> String {
    topic.topic_id.map_or_else(|| "-".to_owned(), |id| id.to_string())
}

fn config_table(topic: &Topic) -> Table {
    let mut table = Table::new(&[Column::Left("KEY"), Column::Left("VALUE"), Column::Left("SOURCE")]);
    for setting in &topic.configs {
        let source = if setting.is_set { "topic" } else { "default" };
        let value = Cell::Setting(setting.key.clone(), setting.value.clone());
        table.row([Cell::Text(setting.key.clone()), value, source.to_owned().into()]);
    }
    table
}

fn partition_table(partitions: &[Partition]) -> Table {
    let mut table = Table::new(&[
        Column::Right("PARTITION"),
        Column::Right("EPOCH"),
        Column::Right("START"),
        Column::Right("HIGH-WATERMARK"),
        Column::Right("END"),
        Column::Right("FLUSHED"),
        Column::Right("SEGMENTS"),
        Column::Right("SIZE"),
        Column::Left("HEALTH"),
    ]);
    for partition in partitions {
        table.row([
            Cell::Text(partition.partition.to_string()),
            Cell::Text(partition.leader_epoch.to_string()),
            Cell::count(partition.log_start_offset),
            Cell::count(partition.high_watermark),
            Cell::count(partition.log_end_offset),
            Cell::count(partition.flushed_offset),
            Cell::count(partition.segment_count),
            Cell::Bytes(partition.size_bytes.unsigned_abs()),
            partition.error.as_ref().map_or_else(|| "ok".to_owned(), Error::to_string).into(),
        ]);
    }
    table
}

fn segment_table(partitions: &[Partition]) -> Table {
    let columns = ["PARTITION", "START", "END", "SEGMENTS", "SIZE", "EACH"];
    let mut table = Table::new(&columns.map(Column::Right));
    for partition in partitions {
        let size = partition.size_bytes.unsigned_abs();
        let each = size.checked_div(partition.segment_count.unsigned_abs().into());
        table.row([
            Cell::Text(partition.partition.to_string()),
            Cell::count(partition.log_start_offset),
            Cell::count(partition.log_end_offset),
            Cell::count(partition.segment_count),
            Cell::Bytes(size),
            each.map_or_else(|| Cell::Text("-".to_owned()), Cell::Bytes),
        ]);
    }
    table
}

fn topic_json(topic: &Topic, args: &DescribeArgs) -> Value {
    let mut fields =
        if shows(args, Section::Summary) { summary_json(topic) } else { json!({ "name": topic.name }) };
    if shows(args, Section::Config) {
        let setting = |value: &crate::client::ConfigValue| json!({ "key": value.key, "value": value.value, "source": if value.is_set { "topic" } else { "default" } });
        fields["configs"] = topic.configs.iter().map(setting).collect();
    }
    if shows(args, Section::Partitions) {
        fields["partitions"] = topic.partitions.iter().map(partition_json).collect();
    }
    if args.sections.contains(&Section::Segments) {
        fields["segments"] = topic.partitions.iter().map(segment_json).collect();
    }
    fields
}

fn summary_json(topic: &Topic) -> Value {
    json!({
        "name": topic.name,
        "topic_id": topic.topic_id.map(|id| id.to_string()),
        "internal": topic.internal,
        "partition_count": topic.partitions.len(),
        "replica_count": 1,
        "records": records(topic),
        "size_bytes": size_bytes(topic),
        "cleanup_policy": config(topic, "cleanup.policy"),
        "retention_ms": config(topic, "retention.ms").and_then(|ms| ms.parse::<i64>().ok()),
        "flush": config(topic, "flush"),
        "health": health(topic),
        "records_in_per_second": topic.rate.map(|rate| rate.records_in),
        "bytes_in_per_second": topic.rate.map(|rate| rate.bytes_in),
        "records_out_per_second": topic.rate.map(|rate| rate.records_out),
        "bytes_out_per_second": topic.rate.map(|rate| rate.bytes_out),
        "rate_window_ms": topic.rate.map(|rate| rate.window_ms),
    })
}

fn partition_json(partition: &Partition) -> Value {
    json!({
        "partition": partition.partition,
        "leader_epoch": partition.leader_epoch,
        "log_start_offset": partition.log_start_offset,
        "high_watermark": partition.high_watermark,
        "log_end_offset": partition.log_end_offset,
        "flushed_offset": partition.flushed_offset,
        "segment_count": partition.segment_count,
        "size_bytes": partition.size_bytes,
        "error": partition.error.as_ref().map(error_json),
    })
}

fn segment_json(partition: &Partition) -> Value {
    json!({
        "partition": partition.partition,
        "segment_count": partition.segment_count,
        "size_bytes": partition.size_bytes,
    })
}

/// Records a second, lately; a dash where the broker does not count the topic for itself.
fn rate(topic: &Topic, which: impl Fn(&TopicRate) -> f64) -> Cell {
    topic.rate.as_ref().map_or_else(|| Cell::Text("-".to_owned()), |rate| Cell::Rate(which(rate)))
}

/// Offsets between start and high watermark: records, as long as the topic was never compacted.
pub(super) fn records(topic: &Topic) -> i64 {
    topic.partitions.iter().map(|partition| partition.high_watermark - partition.log_start_offset).sum()
}

pub(super) fn size_bytes(topic: &Topic) -> u64 {
    topic.partitions.iter().map(|partition| partition.size_bytes.unsigned_abs()).sum()
}

/// The value of a config key.
pub(super) fn config<'a>(topic: &'a Topic, key: &str) -> Option<&'a str> {
    topic.configs.iter().find(|setting| setting.key == key).map(|setting| setting.value.as_str())
}

fn health(topic: &Topic) -> String {
    match topic.partitions.iter().filter(|partition| partition.error.is_some()).count() {
        0 => "ok".to_owned(),
        offline => format!("{offline} offline"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ErrorKind, TopicId};
    use crate::client::ConfigValue;

    fn topic() -> Topic {
        let partition = |partition: i32, error: Option<Error>| Partition {
            partition,
            leader_epoch: 3,
            log_start_offset: 1_000,
            high_watermark: 201_812,
            log_end_offset: 201_812,
            flushed_offset: 201_812,
            segment_count: 2,
            size_bytes: 25_900_000,
            error,
        };
        Topic {
            name: "orders".to_owned(),
            topic_id: Some(TopicId([0xab; 16])),
            internal: false,
            partitions: vec![
                partition(0, None),
                partition(1, Some(Error::new(ErrorKind::StorageError, "a sync failed"))),
            ],
            configs: vec![
                ConfigValue { key: "retention.ms".to_owned(), value: "604800000".to_owned(), is_set: true },
                ConfigValue { key: "flush".to_owned(), value: "ack".to_owned(), is_set: false },
            ],
            rate: Some(TopicRate { records_in: 812.4, window_ms: 7_000, ..TopicRate::default() }),
        }
    }

    fn args(sections: &[Section]) -> DescribeArgs {
        DescribeArgs { names: vec![], sections: sections.to_vec() }
    }

    #[test]
    fn partitions_are_a_table() {
        assert_eq!(
            sections(&topic(), &args(&[Section::Partitions]), false),
            "\
PARTITION  EPOCH  START  HIGH-WATERMARK      END  FLUSHED  SEGMENTS      SIZE  HEALTH
        0      3  1,000         201,812  201,812  201,812         2  24.7 MiB  ok
        1      3  1,000         201,812  201,812  201,812         2  24.7 MiB  a sync failed [STORAGE_ERROR]
"
        );
    }

    #[test]
    fn settings_tell_their_source() {
        assert_eq!(
            sections(&topic(), &args(&[Section::Config]), false),
            "\
KEY           VALUE           SOURCE
retention.ms  604800000 (7d)  topic
flush         ack             default
"
        );
    }

    #[test]
    fn the_summary_counts() {
        let text = sections(&topic(), &args(&[Section::Summary]), false);
        let id = "ab".repeat(16);
        assert_eq!(
            text,
            format!(
                "orders  id={id}  2 partitions  1 replica  401,624 records  49.4 MiB  health=1 offline\n"
            )
        );
        assert_eq!(sections(&topic(), &args(&[]), true).matches("\n\n").count(), 2, "three sections");
    }

    #[test]
    fn json_has_only_the_sections_asked_for() {
        let whole = topic_json(&topic(), &args(&[]));
        assert_eq!(whole["records"], 401_624);
        assert_eq!(
            (&whole["records_in_per_second"], &whole["rate_window_ms"]),
            (&json!(812.4), &json!(7_000))
        );
        assert_eq!(whole["partitions"][1]["error"]["reason"], "STORAGE_ERROR");
        assert_eq!(whole["configs"][0]["source"], "topic");
        let short = topic_json(&topic(), &args(&[Section::Config]));
        assert!(short.get("records").is_none() && short.get("partitions").is_none());
        assert_eq!(short["name"], "orders");
    }
}

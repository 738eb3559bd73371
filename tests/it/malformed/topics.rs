//! Names, counts and settings of topics.

use std::collections::HashMap;

use weir::proto::grpc as pb;
use weir::proto::grpc::ErrorReason as Reason;
use weir::proto::grpc::topic_service_client::TopicServiceClient;

use super::{Line, Target, assert_all, of_item, of_status};

fn create(name: &str) -> pb::CreateTopicRequest {
    pb::CreateTopicRequest { name: name.to_owned(), ..pb::CreateTopicRequest::default() }
}

fn with_config(key: &str, value: &str) -> pb::CreateTopicRequest {
    let configs = HashMap::from([(key.to_owned(), value.to_owned())]);
    pb::CreateTopicRequest { configs, ..create("new") }
}

#[tokio::test]
async fn topics_are_refused_with_the_reason() {
    let target = Target::start().await;
    let mut calls = TopicServiceClient::new(target.channel.clone());
    let long = "x".repeat(250);
    let huge = "y".repeat(100_000);
    let names: [(&str, &'static [&'static str]); 16] = [
        ("", &["empty"]),
        (".", &["'.'"]),
        ("..", &["'..'"]),
        ("../../etc/x", &["'/'"]),
        ("a/b", &["'/'"]),
        ("a\0b", &["\\0"]),
        ("a\nb", &["\\n"]),
        ("\u{1b}[31mred", &["\\u{1b}"]),
        (&long, &["249"]),
        (&huge, &["249"]),
        ("é", &["'é'"]),
        ("pаypal", &["'а'"]),
        ("a\u{202e}b", &["\\u{202e}"]),
        ("a b", &["' '"]),
        ("weir*", &["'*'"]),
        ("__cluster_metadata", &["'__'"]),
    ];
    let mut lines = Vec::new();
    for (name, says) in names {
        let answer = match calls.create_topic(create(name)).await {
            Ok(_) => Err("it was made".to_owned()),
            Err(status) => of_status(&status),
        };
        let shown: String = name.chars().take(20).collect();
        lines.push(Line { name: format!("topic {shown:?}"), answer, reason: Reason::InvalidTopic, says });
    }
    let of_counts = [0, -1, i32::MIN, 1_000_000_000].map(|count| {
        let request = pb::CreateTopicRequest { partition_count: count, ..create("new") };
        (format!("{count} partitions"), request, Reason::InvalidPartitions, &["1 to"][..])
    });
    let of_configs: [(&str, &str, &'static [&'static str]); 11] = [
        ("retention.ms", "abc", &["retention.ms", "'abc'"]),
        ("retention.ms", "-5", &["retention.ms", "-5"]),
        ("retention.mz", "1d", &["retention.mz", "Did you mean 'retention.ms'"]),
        ("segment.bytes", "1", &["segment.bytes", "1024"]),
        ("segment.bytes", "99999999999999999999", &["segment.bytes"]),
        ("segment.bytes", "", &["segment.bytes"]),
        ("cleanup.policy", "compost", &["cleanup.policy", "compact,delete"]),
        ("compression.type", "lzma", &["compression.type", "'lzma'", "zstd"]),
        ("flush", "sometimes", &["flush", "'sometimes'", "ack"]),
        ("message.timestamp.type", "Never", &["message.timestamp.type", "CreateTime"]),
        ("a\u{1b}[2J", "x", &["\\u{1b}"]),
    ];
    let of_configs = of_configs.map(|(key, value, says)| {
        (format!("{key:?}={value:?}"), with_config(key, value), Reason::InvalidConfig, says)
    });
    let counts = of_counts.into_iter().filter(|(_, request, ..)| request.partition_count != 0);
    for (name, request, reason, says) in counts.chain(of_configs) {
        let answer = match calls.create_topic(request).await {
            Ok(_) => Err("it was made".to_owned()),
            Err(status) => of_status(&status),
        };
        lines.push(Line { name, answer, reason, says });
    }
    assert_all("topics", &lines);
    target.assert_unharmed().await;
}

#[tokio::test]
async fn changes_of_topics_are_refused_with_the_reason() {
    let target = Target::start().await;
    let mut calls = TopicServiceClient::new(target.channel.clone());
    let mut lines = Vec::new();
    let update =
        |name: &str| pb::UpdateTopicRequest { name: name.to_owned(), ..pb::UpdateTopicRequest::default() };
    let updates: [(&str, pb::UpdateTopicRequest, Reason, &'static [&'static str]); 4] = [
        ("update of no topic", update("none"), Reason::TopicNotFound, &["'none'"]),
        (
            "fewer partitions",
            pb::UpdateTopicRequest { partition_count: Some(1), ..update("good") },
            Reason::InvalidPartitions,
            &["'good'", "2"],
        ),
        (
            "an unknown key put back",
            pb::UpdateTopicRequest { delete_configs: vec!["no.such".to_owned()], ..update("good") },
            Reason::InvalidConfig,
            &["no.such"],
        ),
        (
            "a setting of the broker's own topic",
            pb::UpdateTopicRequest {
                set_configs: HashMap::from([("flush".to_owned(), "os".to_owned())]),
                ..update("__cluster_metadata")
            },
            Reason::TopicNotFound,
            &["__cluster_metadata", "are the broker's own"],
        ),
    ];
    for (name, request, reason, says) in updates {
        let answer = match calls.update_topic(request).await {
            Ok(_) => Err("it was done".to_owned()),
            Err(status) => of_status(&status),
        };
        lines.push(Line { name: name.to_owned(), answer, reason, says });
    }
    for (topic, reason) in [("none", Reason::TopicNotFound), ("__cluster_metadata", Reason::TopicNotFound)] {
        let request = pb::DeleteTopicRequest { name: topic.to_owned(), validate_only: false };
        let answer = match calls.delete_topic(request).await {
            Ok(_) => Err("it was done".to_owned()),
            Err(status) => of_status(&status),
        };
        lines.push(Line { name: format!("delete of {topic}"), answer, reason, says: &[] });
    }
    let trims: [(&str, i32, i64, Reason); 4] = [
        ("trim of no partition", 7, 0, Reason::PartitionNotFound),
        ("trim of partition -1", -1, 0, Reason::PartitionNotFound),
        ("trim beyond the end", 0, 99, Reason::OffsetOutOfRange),
        ("trim to -5", 0, -5, Reason::OffsetOutOfRange),
    ];
    for (name, partition, offset, reason) in trims {
        let partitions = vec![pb::TrimPartition { partition, offset }];
        let request = pb::TrimTopicRequest { name: "good".to_owned(), partitions, validate_only: false };
        let answer = match calls.trim_topic(request).await {
            Ok(reply) => of_item(reply.into_inner().partitions[0].error.as_ref()),
            Err(status) => of_status(&status),
        };
        lines.push(Line { name: name.to_owned(), answer, reason, says: &["'good'"] });
    }
    assert_all("changes of topics", &lines);
    target.assert_unharmed().await;
}

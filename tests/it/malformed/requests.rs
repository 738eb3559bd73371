//! Requests of producers and consumers.

use weir::proto::grpc as pb;
use weir::proto::grpc::ErrorReason as Reason;
use weir::proto::grpc::consumer_service_client::ConsumerServiceClient;
use weir::proto::grpc::producer_service_client::ProducerServiceClient;

use super::{Answer, Line, TOPIC, Target, assert_all, of_item, of_status};

fn batch() -> pb::ProduceBatch {
    let record = pb::Record { value: Some("bad".into()), ..pb::Record::default() };
    let payload = Some(pb::produce_batch::Payload::Records(pb::RecordList { records: vec![record] }));
    pb::ProduceBatch { topic: TOPIC.to_owned(), payload, ..pb::ProduceBatch::default() }
}

type Produce = (&'static str, i32, pb::ProduceBatch, Reason, &'static [&'static str]);

fn produce_table() -> Vec<Produce> {
    let all = pb::Acks::All as i32;
    let good = batch;
    let empty = Some(pb::produce_batch::Payload::Records(pb::RecordList { records: Vec::new() }));
    vec![
        ("acks 7", 7, good(), Reason::InvalidRequest, &["acks", "7"]),
        ("acks -1", -1, good(), Reason::InvalidRequest, &["acks", "-1"]),
        (
            "no topic",
            all,
            pb::ProduceBatch { topic: String::new(), ..good() },
            Reason::InvalidRequest,
            &["'topic'", "empty"],
        ),
        (
            "an unknown topic",
            all,
            pb::ProduceBatch { topic: "goof".to_owned(), ..good() },
            Reason::TopicNotFound,
            &["'goof'"],
        ),
        (
            "an escape for a topic",
            all,
            pb::ProduceBatch { topic: "\u{1b}[2J".to_owned(), ..good() },
            Reason::TopicNotFound,
            &["\\u{1b}"],
        ),
        (
            "partition -1",
            all,
            pb::ProduceBatch { partition: Some(-1), ..good() },
            Reason::PartitionNotFound,
            &["-1", "'good'"],
        ),
        (
            "partition 2",
            all,
            pb::ProduceBatch { partition: Some(2), ..good() },
            Reason::PartitionNotFound,
            &["2", "0 to 1"],
        ),
        (
            "partition 2^31-1",
            all,
            pb::ProduceBatch { partition: Some(i32::MAX), ..good() },
            Reason::PartitionNotFound,
            &["2147483647"],
        ),
        (
            "no payload",
            all,
            pb::ProduceBatch { payload: None, ..good() },
            Reason::InvalidRequest,
            &["records"],
        ),
        (
            "no records",
            all,
            pb::ProduceBatch { payload: empty, ..good() },
            Reason::InvalidRequest,
            &["records"],
        ),
        (
            "a topic id of three bytes",
            all,
            pb::ProduceBatch { topic_id: Some(vec![1, 2, 3].into()), ..good() },
            Reason::InvalidRequest,
            &["16"],
        ),
        (
            "another topic id",
            all,
            pb::ProduceBatch { topic_id: Some(vec![7; 16].into()), ..good() },
            Reason::UnknownTopicId,
            &["'good'"],
        ),
        (
            "the broker's own topic",
            all,
            pb::ProduceBatch { topic: "__cluster_metadata".to_owned(), ..good() },
            Reason::TopicNotFound,
            &["__cluster_metadata", "are the broker's own"],
        ),
        (
            "a producer id alone",
            all,
            pb::ProduceBatch { producer_id: Some(1), ..good() },
            Reason::InvalidRequest,
            &["producer"],
        ),
        (
            "a negative sequence",
            all,
            pb::ProduceBatch {
                producer_id: Some(0),
                producer_epoch: Some(0),
                base_sequence: Some(-4),
                partition: Some(0),
                ..good()
            },
            Reason::InvalidRequest,
            &["sequence"],
        ),
    ]
}

#[tokio::test]
async fn requests_of_producers_are_refused_with_the_reason() {
    let target = Target::start().await;
    let mut calls = ProducerServiceClient::new(target.channel.clone());
    let mut lines = Vec::new();
    let nothing = pb::ProduceRequest { acks: pb::Acks::All.into(), batches: Vec::new() };
    let refused = calls.produce(nothing).await.expect_err("no batch");
    lines.push(Line {
        name: "no batch".to_owned(),
        answer: of_status(&refused),
        reason: Reason::InvalidRequest,
        says: &["batch"],
    });
    for (name, acks, batch, reason, says) in produce_table() {
        let answer = match calls.produce(pb::ProduceRequest { acks, batches: vec![batch] }).await {
            Ok(reply) => of_item(reply.into_inner().results[0].error.as_ref()),
            Err(status) => of_status(&status),
        };
        lines.push(Line { name: name.to_owned(), answer, reason, says });
    }
    let large = pb::Record { value: Some(vec![0; 8 << 20].into()), ..pb::Record::default() };
    let payload = Some(pb::produce_batch::Payload::Records(pb::RecordList { records: vec![large] }));
    let batches = vec![pb::ProduceBatch { payload, ..batch() }];
    let refused =
        calls.produce(pb::ProduceRequest { acks: 0, batches }).await.expect_err("8 MiB are too many");
    let code = refused.code();
    assert!(matches!(code, tonic::Code::OutOfRange | tonic::Code::ResourceExhausted), "{refused}");
    assert_all("requests of producers", &lines);
    target.assert_unharmed().await;
}

fn place() -> pb::FetchPartition {
    pb::FetchPartition { topic: TOPIC.to_owned(), ..pb::FetchPartition::default() }
}

type Fetch = (&'static str, pb::FetchPartition, Reason, &'static [&'static str]);

fn fetch_table() -> Vec<Fetch> {
    vec![
        (
            "offset -3",
            pb::FetchPartition { offset: -3, ..place() },
            Reason::OffsetOutOfRange,
            &["-3", "0 to 1"],
        ),
        (
            "an offset beyond the end",
            pb::FetchPartition { offset: 5, ..place() },
            Reason::OffsetOutOfRange,
            &["5", "0 to 1"],
        ),
        (
            "the last offset there is",
            pb::FetchPartition { offset: i64::MAX, ..place() },
            Reason::OffsetOutOfRange,
            &["0 to 1"],
        ),
        (
            "an unknown topic",
            pb::FetchPartition { topic: "goof".to_owned(), ..place() },
            Reason::TopicNotFound,
            &["'goof'"],
        ),
        ("partition -1", pb::FetchPartition { partition: -1, ..place() }, Reason::PartitionNotFound, &["-1"]),
        ("partition 2", pb::FetchPartition { partition: 2, ..place() }, Reason::PartitionNotFound, &["2"]),
        (
            "an epoch to come",
            pb::FetchPartition { leader_epoch: Some(99), ..place() },
            Reason::Diverged,
            &["epoch"],
        ),
        (
            "a topic id of no bytes",
            pb::FetchPartition { topic_id: Some(Vec::new().into()), ..place() },
            Reason::InvalidRequest,
            &["16"],
        ),
        (
            "another topic id",
            pb::FetchPartition { topic_id: Some(vec![9; 16].into()), ..place() },
            Reason::UnknownTopicId,
            &["'good'"],
        ),
    ]
}

#[tokio::test]
async fn requests_of_consumers_are_refused_with_the_reason() {
    let target = Target::start().await;
    let mut calls = ConsumerServiceClient::new(target.channel.clone());
    let mut lines = Vec::new();
    for (name, place, reason, says) in fetch_table() {
        let request = pb::FetchRequest { partitions: vec![place.clone()], ..pb::FetchRequest::default() };
        let answer = match calls.fetch(request).await {
            Ok(reply) => of_item(reply.into_inner().partitions[0].error.as_ref()),
            Err(status) => of_status(&status),
        };
        lines.push(Line { name: format!("fetch: {name}"), answer, reason, says });
        let request = pb::TailRequest { partitions: vec![place], ..pb::TailRequest::default() };
        let answer = first_of_tail(&mut calls, request).await;
        lines.push(Line { name: format!("tail: {name}"), answer, reason, says });
    }
    let bare = pb::FetchRequest { partitions: vec![place()], ..pb::FetchRequest::default() };
    let requests: [(&str, pb::FetchRequest, &'static [&'static str]); 5] = [
        ("no partition", pb::FetchRequest::default(), &["partition"]),
        ("max_bytes -1", pb::FetchRequest { max_bytes: -1, ..bare.clone() }, &["max_bytes", "-1"]),
        ("min_bytes -1", pb::FetchRequest { min_bytes: -1, ..bare.clone() }, &["min_bytes", "-1"]),
        ("max_wait_ms -1", pb::FetchRequest { max_wait_ms: -1, ..bare.clone() }, &["max_wait_ms", "-1"]),
        ("form 9", pb::FetchRequest { form: 9, ..bare }, &["form", "9"]),
    ];
    for (name, request, says) in requests {
        let answer = match calls.fetch(request).await {
            Ok(reply) => of_item(reply.into_inner().partitions.first().and_then(|one| one.error.as_ref())),
            Err(status) => of_status(&status),
        };
        lines.push(Line { name: format!("fetch: {name}"), answer, reason: Reason::InvalidRequest, says });
    }
    let at =
        |at| pb::ListOffsetsPartition { topic: TOPIC.to_owned(), at, ..pb::ListOffsetsPartition::default() };
    let timestamp = |ms| Some(pb::list_offsets_partition::At::TimestampMs(ms));
    let word = |word| Some(pb::list_offsets_partition::At::Word(word));
    let lookups: [(&str, pb::ListOffsetsPartition, Reason, &'static [&'static str]); 5] = [
        ("timestamp -7", at(timestamp(-7)), Reason::InvalidRequest, &["-7"]),
        ("no place", at(None), Reason::InvalidRequest, &["word"]),
        ("word 0", at(word(0)), Reason::InvalidRequest, &["word"]),
        ("word 77", at(word(77)), Reason::InvalidRequest, &["'at'", "MAX_TIMESTAMP"]),
        (
            "partition 9",
            pb::ListOffsetsPartition { partition: 9, ..at(word(1)) },
            Reason::PartitionNotFound,
            &["9"],
        ),
    ];
    for (name, lookup, reason, says) in lookups {
        let answer = match calls.list_offsets(pb::ListOffsetsRequest { partitions: vec![lookup] }).await {
            Ok(reply) => of_item(reply.into_inner().offsets[0].error.as_ref()),
            Err(status) => of_status(&status),
        };
        lines.push(Line { name: format!("offsets: {name}"), answer, reason, says });
    }
    assert_all("requests of consumers", &lines);
    target.assert_unharmed().await;
}

async fn first_of_tail(
    calls: &mut ConsumerServiceClient<tonic::transport::Channel>,
    request: pb::TailRequest,
) -> Result<Answer, String> {
    let mut stream = match calls.tail(request).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => return of_status(&status),
    };
    match stream.message().await {
        Ok(Some(first)) => of_item(first.partition.and_then(|partition| partition.error).as_ref()),
        Ok(None) => Err("the stream ended".to_owned()),
        Err(status) => of_status(&status),
    }
}

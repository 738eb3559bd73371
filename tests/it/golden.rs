//! A segment that Kafka's broker wrote, put under an empty partition without side files, is read as Weir's own.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use weir::Record;
use weir::cli::json::write_line;
use weir::client::{At, ConsumerRecord};
use weir::proto::grpc::consumer_service_client::ConsumerServiceClient;
use weir::proto::grpc::{FetchPartition, FetchRequest, RecordForm};
use weir::record::{Codec, RecordBatch};

use crate::whole::{Whole, read_all};

const TOPIC: &str = "golden";
const SEGMENT: &str = "00000000000000000000.log";
/// Far more than the segment holds.
const FETCH_BYTES: i32 = 1 << 20;

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/kafka-4.3")
}

fn golden_segment() -> Vec<u8> {
    fs::read(golden_folder().join(SEGMENT)).unwrap()
}

/// What Kafka's consumer read, a JSON value for each record.
fn expected_records() -> Vec<Value> {
    let lines = fs::read_to_string(golden_folder().join("expected.ndjson")).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Makes a broker's folder in which the segment is all that the partition holds beside its `partition.meta`.
async fn plant(folder: &Path) {
    let broker = Whole::start(folder).await;
    broker.client().await.admin().create_topic(TOPIC).await.unwrap();
    broker.stop().await;
    let partition = folder.join("golden-0");
    for entry in fs::read_dir(&partition).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() != "partition.meta" {
            fs::remove_file(path).unwrap();
        }
    }
    fs::write(partition.join(SEGMENT), golden_segment()).unwrap();
}

/// The stored batches as a stock client gets them.
async fn fetch_batches(broker: &Whole) -> Vec<u8> {
    let mut consumer = ConsumerServiceClient::connect(broker.url()).await.unwrap();
    let place = FetchPartition { topic: TOPIC.to_owned(), ..Default::default() };
    let request = FetchRequest {
        partitions: vec![place],
        max_bytes: FETCH_BYTES,
        form: RecordForm::Batch as i32,
        ..Default::default()
    };
    let mut reply = consumer.fetch(request).await.unwrap().into_inner();
    let partition = reply.partitions.remove(0);
    assert_eq!(partition.error, None);
    partition.batches.to_vec()
}

fn as_json(record: &ConsumerRecord) -> Value {
    let mut line = Vec::new();
    write_line(record, &mut line);
    serde_json::from_slice(&line).unwrap()
}

fn assert_same_records(read: &[ConsumerRecord]) {
    let expected = expected_records();
    assert_eq!(read.len(), expected.len());
    for (read, expected) in read.iter().zip(&expected) {
        assert_eq!(as_json(read), *expected);
    }
}

#[test]
fn the_golden_segment_holds_every_codec_with_and_without_producer() {
    let mut bytes = bytes::Bytes::from(golden_segment());
    let mut batches = Vec::new();
    while let Some(batch) = RecordBatch::take_first(&mut bytes).unwrap() {
        batches.push((batch.codec().unwrap(), batch.header().has_producer()));
    }
    for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        assert!(batches.contains(&(codec, true)), "{codec:?}");
    }
    assert_eq!((batches.len(), batches.last()), (11, Some(&(Codec::None, false))));
}

#[tokio::test]
async fn a_segment_of_kafka_is_consumed_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    plant(folder.path()).await;
    let broker = Whole::start(folder.path()).await;
    assert_eq!(fetch_batches(&broker).await, golden_segment());
    let client = broker.client().await;
    assert_same_records(&read_all(&client, TOPIC).await);
    drop(client);
    broker.stop().await;
    let stored = fs::read(folder.path().join("golden-0").join(SEGMENT)).unwrap();
    assert_eq!(stored, golden_segment(), "reading changes nothing");
}

#[tokio::test]
async fn timestamps_are_found_in_a_segment_of_kafka() {
    let folder = tempfile::tempdir().unwrap();
    plant(folder.path()).await;
    let broker = Whole::start(folder.path()).await;
    let client = broker.client().await;
    let times: Vec<i64> =
        expected_records().iter().map(|record| record["timestamp"].as_i64().unwrap()).collect();
    let first = *times.iter().min().unwrap();
    for asked in (first..=times.iter().max().unwrap() + 7).step_by(7) {
        let expected = times.iter().position(|time| *time >= asked).map(|offset| offset as i64);
        let found = client.admin().list_offsets(TOPIC, [(0, At::Timestamp(asked))]).await.unwrap().remove(0);
        assert_eq!(found.unwrap().offset, expected, "timestamp {asked}");
    }
    drop(client);
    broker.stop().await;
}

#[tokio::test]
async fn records_are_appended_behind_a_segment_of_kafka() {
    let folder = tempfile::tempdir().unwrap();
    plant(folder.path()).await;
    let broker = Whole::start(folder.path()).await;
    let client = broker.client().await;
    // WHY not idempotent: Weir's first producer id is one of those that Kafka handed out to the golden producers.
    let producer = client.producer().idempotent(false).compression(Codec::Zstd).build().await.unwrap();
    let stored = producer.send(Record::to(TOPIC).value("next")).await.unwrap().await.unwrap();
    assert_eq!(stored.offset, expected_records().len() as i64);
    producer.close().await;
    drop(client);
    broker.stop().await;
    let again = Whole::start(folder.path()).await;
    let client = again.client().await;
    let mut read = read_all(&client, TOPIC).await;
    let last = read.pop().unwrap();
    assert_eq!((last.offset, last.value.as_deref()), (stored.offset, Some(&b"next"[..])));
    assert_same_records(&read);
    assert!(fetch_batches(&again).await.starts_with(&golden_segment()));
    drop(client);
    again.stop().await;
}

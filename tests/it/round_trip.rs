//! What goes in comes out: records through JSON line, client, broker, consumer and back; keys land where Kafka puts them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use weir::base::hash::partition_of_key;
use weir::cli::json::{read_line, write_line};
use weir::client::{Codec, ConsumerRecord, Delivery, Producer, TimestampType};
use weir::proto::grpc;
use weir::proto::grpc::consumer_service_client::ConsumerServiceClient;
use weir::proto::grpc::producer_service_client::ProducerServiceClient;
use weir::{Client, Record};

use crate::whole::{Whole, read_all};

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

/// Cases of a property unless PROPTEST_CASES says otherwise: each talks to a broker once for every codec.
const CASES: u32 = 64;

/// Keys that clients of all kinds agree on; key, partition of 3, partition of 12. Computed by the Java client.
const VECTORS: [(&[u8], i32, i32); 13] = [
    (b"", 0, 9),
    (b"1", 0, 3),
    (b"21", 0, 0),
    (b"kafka", 1, 4),
    (b"foobar", 0, 6),
    (b"key", 1, 1),
    (b"user-42", 1, 4),
    (b"hello world", 1, 7),
    (b"abc", 0, 3),
    (b"giberish123456789", 2, 8),
    ("żółw".as_bytes(), 2, 8),
    (&[0, 0, 0, 0], 1, 4),
    (&[0xff; 5], 0, 6),
];

fn package(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The record of a JSON line, as `weir produce -J` sends it.
fn record_of(topic: &str, line: &[u8]) -> Record {
    let read = read_line(line).unwrap();
    Record {
        topic: topic.into(),
        partition: read.partition,
        key: read.key,
        value: read.value,
        headers: read.headers,
        timestamp: read.timestamp,
    }
}

fn line_of(record: &ConsumerRecord) -> String {
    let mut line = Vec::new();
    write_line(record, &mut line);
    String::from_utf8(line).unwrap()
}

/// Sends records in order, and gives each as its consumer must see it.
async fn send_all(producer: &Producer, records: Vec<Record>) -> Vec<ConsumerRecord> {
    let mut sent: Vec<(Record, Delivery)> = Vec::new();
    for record in records {
        let delivery = producer.send(record.clone()).await.unwrap();
        sent.push((record, delivery));
    }
    let mut expected = Vec::new();
    for (record, delivery) in sent {
        let stored = delivery.await.unwrap();
        expected.push(ConsumerRecord {
            topic: record.topic,
            partition: stored.partition,
            offset: stored.offset,
            timestamp: record.timestamp.unwrap_or(stored.timestamp),
            timestamp_type: TimestampType::Create,
            leader_epoch: stored.leader_epoch,
            key: record.key,
            value: record.value,
            headers: record.headers,
        });
    }
    expected
}

/// In the order of `read_all`.
fn sorted(mut records: Vec<ConsumerRecord>) -> Vec<ConsumerRecord> {
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}

/// Where Kafka's producer puts the keys of the sample data; key, partition of 6, partition of 12.
fn partitions_of_kafka() -> HashMap<String, (i32, i32)> {
    let table = package("tests/golden/kafka-4.3/key-partitions.tsv");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        (cells[0].to_owned(), (cells[1].parse().unwrap(), cells[2].parse().unwrap()))
    };
    table.lines().map(row).collect()
}

/// Sends one file of the sample data and gives what a consumer reads.
async fn load_sample(client: &Client, name: &str, partitions: i32) -> Vec<ConsumerRecord> {
    client.admin().create_topic(name).partitions(partitions).await.unwrap();
    let producer = client.producer().build().await.unwrap();
    let lines = package(&format!("data/{name}.ndjson"));
    let records: Vec<Record> = lines.lines().map(|line| record_of(name, line.as_bytes())).collect();
    let expected = sorted(send_all(&producer, records).await);
    let read = read_all(client, name).await;
    assert_eq!(read, expected);
    read
}

/// Records of one key, in the order in which they were given.
fn by_key<'a>(records: impl Iterator<Item = (Option<&'a Bytes>, &'a Bytes)>) -> HashMap<Bytes, Vec<Bytes>> {
    let mut values: HashMap<Bytes, Vec<Bytes>> = HashMap::new();
    for (key, value) in records {
        values.entry(key.unwrap().clone()).or_default().push(value.clone());
    }
    values
}

#[tokio::test]
async fn the_sample_data_comes_back_with_each_key_in_one_partition_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Whole::start(folder.path()).await;
    let client = broker.client().await;
    let of_kafka = partitions_of_kafka();
    let mut seen = HashSet::new();
    for (name, partitions) in [("products", 6), ("prices", 12), ("activity", 6)] {
        let read = load_sample(&client, name, partitions).await;
        for record in &read {
            let key = record.key.as_ref().unwrap();
            assert_eq!(record.partition, partition_of_key(key, partitions));
            let (of_6, of_12) = of_kafka[std::str::from_utf8(key).unwrap()];
            assert_eq!(record.partition, if partitions == 6 { of_6 } else { of_12 }, "{key:?}");
            seen.insert(key.clone());
        }
        let lines = package(&format!("data/{name}.ndjson"));
        let sent: Vec<Record> = lines.lines().map(|line| record_of(name, line.as_bytes())).collect();
        let sent = by_key(sent.iter().map(|record| (record.key.as_ref(), record.value.as_ref().unwrap())));
        let read = by_key(read.iter().map(|record| (record.key.as_ref(), record.value.as_ref().unwrap())));
        assert_eq!(read, sent, "{name}: a key's records are in order");
    }
    assert_eq!(seen.len(), of_kafka.len());
    let emails = load_sample(&client, "emails", 6).await;
    let used = emails.iter().map(|record| record.partition).collect::<HashSet<_>>();
    assert!(used.len() > 1, "records without key are spread: {used:?}");
    drop(client);
    broker.stop().await;
}

/// None, empty, text, and bytes that are not UTF-8.
fn part() -> impl Strategy<Value = Option<Bytes>> {
    prop_oneof![
        Just(None),
        Just(Some(Bytes::new())),
        "\\PC{0,12}".prop_map(|text| Some(Bytes::from(text))),
        vec(any::<u8>(), 1..40).prop_map(|bytes| Some(Bytes::from(bytes))),
        vec(any::<u8>(), 0..4)
            .prop_map(|bytes| Some(Bytes::from([&bytes[..], &[0xff, 0xc3, 0x28]].concat()))),
        "[ab]".prop_map(|text| Some(Bytes::from(text.repeat(3_000)))),
    ]
}

/// Few names, so that some come twice.
fn headers() -> impl Strategy<Value = Vec<(String, Option<Bytes>)>> {
    vec((prop_oneof!["[ab]", "[^\\x00]{1,8}"], part()), 0..4)
}

fn record(topic: &'static str) -> impl Strategy<Value = ConsumerRecord> {
    let timestamp = prop_oneof![Just(0), 0..4_102_444_800_000i64, 1_700_000_000_000..1_700_000_100_000i64];
    (part(), part(), headers(), timestamp).prop_map(move |(key, value, headers, timestamp)| ConsumerRecord {
        topic: topic.into(),
        partition: 0,
        offset: 0,
        timestamp,
        timestamp_type: TimestampType::Create,
        leader_epoch: 0,
        key,
        value,
        headers,
    })
}

/// Runs a property of records against one broker whose topic `t` has three partitions and takes any timestamp.
fn for_all(property: impl AsyncFn(&Whole, &Client, Vec<ConsumerRecord>) -> Result<(), TestCaseError>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (broker, client) = runtime.block_on(async {
        let broker = Whole::start(folder.path()).await;
        let client = broker.client().await;
        (broker, client)
    });
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { Config::default().cases } else { CASES };
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let result = runner.run(&vec(record("t"), 1..12), |records| {
        runtime.block_on(async {
            let topic = client.admin().create_topic("t").partitions(3).config("flush", "os");
            // WHY: the years up to 2100 are far above what a topic takes by default.
            topic.config("message.timestamp.after.max.ms", "36500d").await.unwrap();
            let held = property(&broker, &client, records).await;
            client.admin().delete_topic("t").await.unwrap();
            held
        })
    });
    result.unwrap();
    drop(client);
    runtime.block_on(broker.stop());
}

#[test]
fn any_record_comes_back_the_same_from_json_line_to_json_line_with_each_codec() {
    for_all(async |_, client, records| {
        let mut expected = Vec::new();
        for codec in CODECS {
            let producer = client.producer().compression(codec).build().await.unwrap();
            let lines = records.iter().map(line_of);
            let sent = lines.map(|line| Record { partition: None, ..record_of("t", line.as_bytes()) });
            let sent = send_all(&producer, sent.collect()).await;
            for (sent, given) in sent.iter().zip(&records) {
                let unplaced = ConsumerRecord { partition: 0, offset: 0, leader_epoch: 0, ..sent.clone() };
                prop_assert_eq!(&unplaced, given, "changed on the way into the client");
            }
            expected.extend(sent);
            producer.close().await;
        }
        let expected = sorted(expected);
        let read = read_all(client, "t").await;
        let lines = |records: &[ConsumerRecord]| records.iter().map(line_of).collect::<Vec<_>>();
        prop_assert_eq!(lines(&read), lines(&expected));
        Ok(())
    });
}

fn structured(record: &ConsumerRecord) -> grpc::Record {
    let header =
        |(key, value): &(String, Option<Bytes>)| grpc::Header { key: key.clone(), value: value.clone() };
    grpc::Record {
        key: record.key.clone(),
        value: record.value.clone(),
        headers: record.headers.iter().map(header).collect(),
        timestamp_ms: Some(record.timestamp),
        offset: 0,
    }
}

/// Lets the broker encode records and choose partitions, as a stock client does.
async fn produce(broker: &Whole, topic: &str, records: Vec<grpc::Record>) -> Vec<grpc::ProduceResult> {
    let payload = Some(grpc::produce_batch::Payload::Records(grpc::RecordList { records }));
    let batch = grpc::ProduceBatch { topic: topic.to_owned(), payload, ..Default::default() };
    let request = grpc::ProduceRequest { acks: grpc::Acks::All as i32, batches: vec![batch] };
    let mut producer = ProducerServiceClient::connect(broker.url()).await.unwrap();
    let results = producer.produce(request).await.unwrap().into_inner().results;
    assert!(results.iter().all(|result| result.error.is_none()), "{results:?}");
    results
}

/// Structured records of a partition, decoded by the broker.
async fn fetch(broker: &Whole, topic: &str, partition: i32) -> Vec<grpc::Record> {
    let place = grpc::FetchPartition { topic: topic.to_owned(), partition, ..Default::default() };
    let request = grpc::FetchRequest { partitions: vec![place], ..Default::default() };
    let mut consumer = ConsumerServiceClient::connect(broker.url()).await.unwrap();
    let mut fetched = consumer.fetch(request).await.unwrap().into_inner().partitions.remove(0);
    assert_eq!(fetched.error.take(), None);
    fetched.records
}

#[test]
fn any_structured_record_comes_back_the_same() {
    for_all(async |broker, _, records| {
        let records: Vec<grpc::Record> = records.iter().map(structured).collect();
        let results = produce(broker, "t", records.clone()).await;
        let mut indexes: Vec<i32> = Vec::new();
        for result in &results {
            let read = fetch(broker, "t", result.partition).await;
            prop_assert_eq!(read.len(), result.record_indexes.len());
            for ((read, index), offset) in read.iter().zip(&result.record_indexes).zip(result.base_offset..) {
                let expected = grpc::Record { offset, ..records[*index as usize].clone() };
                prop_assert_eq!(read, &expected);
            }
            indexes.extend(&result.record_indexes);
        }
        indexes.sort_unstable();
        prop_assert_eq!(indexes, (0..records.len() as i32).collect::<Vec<_>>());
        Ok(())
    });
}

#[tokio::test]
async fn the_broker_puts_keys_where_the_java_client_does() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Whole::start(folder.path()).await;
    let client = broker.client().await;
    for (topic, partitions) in [("of-3", 3), ("of-12", 12)] {
        client.admin().create_topic(topic).partitions(partitions).await.unwrap();
        let keyed = |(key, ..): &(&'static [u8], i32, i32)| grpc::Record {
            key: Some(Bytes::from_static(key)),
            value: Some(Bytes::from_static(b"v")),
            ..Default::default()
        };
        let results = produce(&broker, topic, VECTORS.iter().map(keyed).collect()).await;
        let mut placed = 0;
        for result in results {
            for index in result.record_indexes {
                let (key, of_3, of_12) = VECTORS[index as usize];
                assert_eq!(result.partition, if partitions == 3 { of_3 } else { of_12 }, "{key:?}");
                placed += 1;
            }
        }
        assert_eq!(placed, VECTORS.len());
        assert_stored_by_vector(&client, topic, partitions).await;
    }
    drop(client);
    broker.stop().await;
}

#[tokio::test]
async fn the_client_puts_keys_where_the_java_client_does() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Whole::start(folder.path()).await;
    let client = broker.client().await;
    let producer = client.producer().build().await.unwrap();
    for (topic, partitions) in [("of-3", 3), ("of-12", 12)] {
        client.admin().create_topic(topic).partitions(partitions).await.unwrap();
        let keyed = |(key, ..): &(&'static [u8], i32, i32)| Record::to(topic).key(*key).value("v");
        send_all(&producer, VECTORS.iter().map(keyed).collect()).await;
        assert_stored_by_vector(&client, topic, partitions).await;
    }
    producer.close().await;
    drop(client);
    broker.stop().await;
}

/// Each key of the vectors is stored once, in the partition that the vector names.
async fn assert_stored_by_vector(client: &Client, topic: &str, partitions: i32) {
    let read = read_all(client, topic).await;
    assert_eq!(read.len(), VECTORS.len());
    for (key, of_3, of_12) in VECTORS {
        let stored = read.iter().find(|record| record.key.as_deref() == Some(key)).unwrap();
        assert_eq!(stored.partition, if partitions == 3 { of_3 } else { of_12 }, "{topic} {key:?}");
    }
}

//! What readers and writers of a real broker are told of a damaged batch.

use std::path::{Path, PathBuf};

use weir::base::ErrorKind;
use weir::client::{Client, Event, Record, Start};
use weir::record::BatchHeader;

use super::super::number;
use crate::process::{BrokerProcess, free_port};
use crate::whole::read_all;

const TOPIC: &str = "rotten";
/// The one that is damaged.
const DAMAGED: i32 = 0;
const OTHER: i32 = 1;
/// Records of each partition, each in a batch of its own.
const RECORDS: i64 = 30;
/// A few batches.
const SEGMENT_BYTES: &str = "2KiB";
const FLIPS_DEFAULT: usize = 4;

fn value(partition: i32, offset: i64) -> String {
    format!("{partition} {offset} ").repeat(40)
}

async fn append(client: &Client, partition: i32, offsets: std::ops::Range<i64>) {
    let producer = client.producer().build().await.unwrap();
    for offset in offsets {
        let record = Record::to(TOPIC).partition(partition).value(value(partition, offset));
        assert_eq!(producer.send(record).await.unwrap().await.unwrap().offset, offset);
    }
    producer.close().await;
}

/// Some byte of the partition's log, and the offset of the record that it belongs to.
fn somewhere(folder: &Path, rng: &mut fastrand::Rng) -> (PathBuf, usize, i64) {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut logs: Vec<PathBuf> =
        names.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
    logs.retain(|path| path.metadata().unwrap().len() > 0);
    logs.sort();
    assert!(logs.len() > 3, "{logs:?}");
    let path = logs.swap_remove(rng.usize(..logs.len()));
    let bytes = std::fs::read(&path).unwrap();
    let byte = rng.usize(..bytes.len());
    let mut start = 0;
    loop {
        let header = BatchHeader::read(&bytes[start..]).unwrap();
        let end = start + header.total_bytes().unwrap();
        if byte < end {
            return (path, byte, header.base_offset);
        }
        start = end;
    }
}

fn flip(path: &Path, byte: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[byte] ^= 1 << (byte % 8);
    std::fs::write(path, bytes).unwrap();
}

/// Reads the damaged partition from the start to `end`, and is told of nothing but the damaged record.
async fn read_around(client: &Client, damaged: i64, end: i64) {
    let consumer = client.consumer().topic(TOPIC).partitions([DAMAGED]).start(Start::Beginning);
    let mut consumer = consumer.build().await.unwrap();
    let mut next = 0;
    while next < end {
        match consumer.next_event().await.unwrap() {
            Event::Record(record) => {
                assert_eq!(record.offset, next);
                assert_eq!(record.value.as_deref(), Some(value(DAMAGED, next).as_bytes()));
                next += 1;
            }
            Event::CaughtUp { .. } => {}
            Event::Error(error) => {
                assert_eq!((error.kind, next), (ErrorKind::DamagedRange, damaged), "{error}");
                let named = ["topic", "partition", "first", "end"].map(|name| error.metadata[name].clone());
                let (first, behind) = (damaged.to_string(), (damaged + 1).to_string());
                assert_eq!(named, [TOPIC, "0", &first, &behind], "{error}");
                for part in [format!("partition {DAMAGED} of topic '{TOPIC}'"), first] {
                    assert!(error.message.contains(&part), "{error}");
                }
                next = damaged + 1;
                consumer.seek(TOPIC, DAMAGED, next).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_real_broker_names_topic_partition_and_offsets_and_serves_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join(format!("data/{TOPIC}-{DAMAGED}"));
    let mut broker = BrokerProcess::start(folder.path(), free_port());
    broker.answers(None).await;
    let client = Client::connect(&broker.address()).await.unwrap();
    client.admin().create_topic(TOPIC).partitions(2).config("segment.bytes", SEGMENT_BYTES).await.unwrap();
    append(&client, DAMAGED, 0..RECORDS).await;
    append(&client, OTHER, 0..RECORDS).await;
    let mut rng = fastrand::Rng::with_seed(number("WEIR_SEED", 7) as u64);
    let (flips, mut end) = (number("WEIR_FLIPS", FLIPS_DEFAULT), RECORDS);
    for _ in 0..flips {
        let port = broker.port();
        broker.kill();
        let (path, byte, damaged) = somewhere(&log, &mut rng);
        flip(&path, byte);
        broker = BrokerProcess::start(folder.path(), port);
        broker.answers(Some(TOPIC)).await;
        read_around(&client, damaged, end).await;
        append(&client, DAMAGED, end..end + 1).await;
        end += 1;
        read_around(&client, damaged, end).await;
        let port = broker.port();
        broker.kill();
        flip(&path, byte);
        // WHY: it remembers the damage, also when the bytes come back.
        std::fs::remove_file(path.with_extension("index")).unwrap();
        broker = BrokerProcess::start(folder.path(), port);
        broker.answers(Some(TOPIC)).await;
        let all = read_all(&client, TOPIC).await;
        assert_eq!(all.len() as i64, end + RECORDS, "{} byte {byte}: nothing was cut", path.display());
    }
    broker.kill();
    println!(
        "damage: {flips} bits flipped under a real broker: each told by topic, partition and offset, all else served, nothing cut"
    );
}

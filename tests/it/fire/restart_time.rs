//! Time from a start after `kill -9` under load to the first right answers, with much data and with little: it must not grow with what
//! is stored, only with what was not durable.
//!
//! `WEIR_GIB=10` is the long form, and asserts that; the short form compares smaller logs, and asserts that the answers are right and that
//! a start does not read what is durable.

use std::path::Path;
use std::time::Duration;

use tokio::task::JoinSet;
use weir::client::{Client, Record, Start};

use super::number;
use crate::process::{BrokerProcess, free_port};

const TOPIC: &str = "large";
const PARTITIONS: i32 = 6;
const MIB: u64 = 1 << 20;
/// What the long form compares with.
const LITTLE: u64 = 10 * MIB;
/// What the short form compares.
const SHORT: (u64, u64) = (4 * MIB, 64 * MIB);
/// By so many more bytes that a start reads: a start reads what lies above the durable point and the last snapshot of the producers.
const READ_MORE_MAX: u64 = 24 * MIB;
/// Snapshots of the producers are taken at a roll, too.
const SEGMENT_BYTES: &str = "1MiB";
/// By so much more a restart with much data may take.
const MORE_MAX: Duration = Duration::from_millis(100);
/// Restarts of which the median counts.
const RESTARTS: usize = 5;
/// Sizes of values take turns, so that there are small and large batches.
const VALUE_BYTES: [usize; 4] = [100, 1 << 10, 8 << 10, 60 << 10];
const ON_THEIR_WAY: usize = 64;

/// Whose word recovery takes for the producers: snapshots of them, or that there are none.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Idempotent,
    Plain,
}

/// The value of the record at an offset: its number, and then more of it.
fn value_of(number: u64) -> Vec<u8> {
    let bytes = VALUE_BYTES[number as usize % VALUE_BYTES.len()];
    let mut value = number.to_be_bytes().repeat(bytes / 8 + 1);
    value.truncate(bytes.max(8));
    value
}

/// Writes to one partition for as long as the broker lives. Tells once so many `bytes` are acknowledged.
async fn write(
    address: String,
    kind: Kind,
    partition: i32,
    bytes: u64,
    written: tokio::sync::mpsc::Sender<()>,
) {
    let client = Client::connect(&address).await.unwrap();
    let producer = client.producer().idempotent(matches!(kind, Kind::Idempotent)).build().await.unwrap();
    let mut deliveries = std::collections::VecDeque::new();
    let (mut number, mut acknowledged, mut is_told) = (0, 0, false);
    loop {
        let value = value_of(number);
        let bytes_here = value.len() as u64;
        let record = Record::to(TOPIC).partition(partition).value(value);
        deliveries.push_back((number, bytes_here, producer.send(record).await.unwrap()));
        number += 1;
        if deliveries.len() >= ON_THEIR_WAY {
            let (expected, bytes_then, delivery) = deliveries.pop_front().expect("there are some");
            assert_eq!(delivery.await.unwrap().offset, expected as i64);
            acknowledged += bytes_then;
        }
        if acknowledged >= bytes && !is_told {
            is_told = true;
            written.send(()).await.unwrap();
        }
    }
}

/// Fills a data directory with about `bytes` and kills the broker under load.
async fn fill(folder: &Path, kind: Kind, bytes: u64) {
    let mut broker = BrokerProcess::start(folder, free_port());
    broker.answers(None).await;
    let address = broker.address();
    let client = Client::connect(&address).await.unwrap();
    let topic = client.admin().create_topic(TOPIC).partitions(PARTITIONS);
    match number("WEIR_GIB", 0) {
        0 => topic.config("segment.bytes", SEGMENT_BYTES).await.unwrap(),
        _ => topic.await.unwrap(),
    };
    let (written, mut all_written) = tokio::sync::mpsc::channel(PARTITIONS as usize);
    let mut writers = JoinSet::new();
    for partition in 0..PARTITIONS {
        writers.spawn(write(address.clone(), kind, partition, bytes / PARTITIONS as u64, written.clone()));
    }
    for _ in 0..PARTITIONS {
        all_written.recv().await.unwrap();
    }
    broker.kill();
    writers.shutdown().await;
}

/// The first record from `offset` on, in one batch: a consumer's megabytes ahead of it say nothing of a restart.
async fn fetch(client: &Client, partition: i32, offset: i64) {
    let consumer =
        client.consumer().topic(TOPIC).partitions([partition]).start(Start::Offset(offset)).max_bytes(1);
    let record = consumer.build().await.unwrap().next().await.unwrap().unwrap();
    assert_eq!(record.offset, offset);
    assert!(
        record.value.as_deref() == Some(&value_of(offset as u64)),
        "{partition}/{offset} is another record"
    );
}

/// Bytes that a process has read by system calls.
fn read_bytes(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("rchar: ")).expect("the kernel counts");
    line.parse().unwrap()
}

/// Starts, asks for the start, the middle and the end of every partition, and kills again. The time to the last right answer, and the
/// bytes that were read until every log was open.
async fn restart(folder: &Path) -> (Duration, u64) {
    let mut broker = BrokerProcess::start(folder, free_port());
    broker.answers(Some(TOPIC)).await;
    let read = read_bytes(broker.pid());
    let client = Client::connect(&broker.address()).await.unwrap();
    let ends = crate::process::ends(&client, TOPIC).await.unwrap();
    for (partition, end) in (0..).zip(ends) {
        for offset in [0, end / 2, end - 1] {
            fetch(&client, partition, offset).await;
        }
    }
    let age = broker.age();
    broker.kill();
    (age, read)
}

/// Several restarts after kills.
struct Measured {
    /// Of the first, that was killed under load.
    first: Duration,
    median: Duration,
    /// The most that one of them read.
    read: u64,
}

async fn measure(kind: Kind, bytes: u64) -> Measured {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), kind, bytes).await;
    let (first, mut read) = restart(folder.path()).await;
    let mut times = vec![first];
    for _ in 1..RESTARTS {
        let (time, read_now) = restart(folder.path()).await;
        times.push(time);
        read = read.max(read_now);
    }
    times.sort();
    Measured { first, median: times[RESTARTS / 2], read }
}

async fn prove(kind: Kind) {
    let gib = number("WEIR_GIB", 0) as u64;
    let (little, much) = if gib > 0 { (LITTLE, gib << 30) } else { SHORT };
    let of_little = measure(kind, little).await;
    let of_much = measure(kind, much).await;
    println!(
        "restart after kill -9, {kind:?}: to the right records at start, middle and end of {PARTITIONS} partitions {} ms with {} MiB, \
         {} ms with {} MiB; median of {RESTARTS}: {} ms and {} ms; {} and {} KiB read by a start",
        of_little.first.as_millis(),
        little / MIB,
        of_much.first.as_millis(),
        much / MIB,
        of_little.median.as_millis(),
        of_much.median.as_millis(),
        of_little.read >> 10,
        of_much.read >> 10,
    );
    assert!(gib > 0 || of_much.read <= of_little.read + READ_MORE_MAX, "the start reads what is durable");
    assert!(gib == 0 || of_much.first <= of_little.first + MORE_MAX, "the start takes longer with more data");
}

#[tokio::test]
async fn a_restart_takes_no_longer_with_more_data_of_producers_with_ids() {
    prove(Kind::Idempotent).await;
}

#[tokio::test]
async fn a_restart_takes_no_longer_with_more_data_of_producers_without_ids() {
    prove(Kind::Plain).await;
}

//! A compacted topic under `kill -9` during real passes: the last value of each key survives, and nothing else than what was sent.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;
use weir::client::{Client, ConsumerRecord, Record};

use super::number;
use crate::process::{BrokerProcess, free_port};
use crate::whole::read_all;

const TOPIC: &str = "compacted";
const KILLS_DEFAULT: usize = 6;
const KEYS: usize = 40;
/// Records that are under way at a time.
const WINDOW: usize = 50;
/// The broker is killed this soon after the load began, in ms.
const KILL_MS: std::ops::RangeInclusive<u64> = 20..=600;
const VALUE_BYTES: usize = 100;
const CONFIGS: [(&str, &str); 5] = [
    ("cleanup.policy", "compact"),
    ("min.cleanable.dirty.ratio", "0"),
    ("segment.bytes", "32KiB"),
    ("delete.retention.ms", "100ms"),
    ("compression.type", "producer"),
];

/// What was sent for one key, in order.
#[derive(Default)]
struct Sent {
    /// Numbers of values; `None` is a tombstone.
    values: Vec<Option<u64>>,
    /// How many of them are acknowledged for certain.
    acked: usize,
}

type Book = Arc<Mutex<HashMap<String, Sent>>>;

fn value_of(number: u64) -> String {
    format!("{number} {}", "x".repeat(VALUE_BYTES))
}

/// Sends until it is aborted or the broker is gone.
async fn send_on_and_on(client: Client, book: Book, seed: u64) {
    let producer = client.producer().build().await.unwrap();
    let mut rng = fastrand::Rng::with_seed(seed);
    for round in 0u64.. {
        let mut under_way = Vec::new();
        for place in 0..WINDOW as u64 {
            let key = format!("key {}", rng.usize(..KEYS));
            let number = (seed << 32) + round * WINDOW as u64 + place;
            let value = (rng.usize(..10) > 0).then_some(number);
            let at = {
                let mut book = book.lock().unwrap();
                let sent = book.entry(key.clone()).or_default();
                sent.values.push(value);
                sent.values.len()
            };
            let record = Record::to(TOPIC).key(key.clone());
            let record = match value {
                Some(number) => record.value(value_of(number)),
                None => record,
            };
            let Ok(delivery) = producer.send(record).await else { return };
            under_way.push((key, at, delivery));
        }
        for (key, at, delivery) in under_way {
            if delivery.await.is_err() {
                return;
            }
            let mut book = book.lock().unwrap();
            let sent = book.get_mut(&key).expect("it was sent");
            sent.acked = sent.acked.max(at);
        }
    }
}

/// Holds the log against what was sent, and forgets what did not get there.
fn hold(read: &[ConsumerRecord], book: &Book) {
    assert!(read.windows(2).all(|pair| pair[0].offset < pair[1].offset), "offsets rise");
    let mut found: HashMap<String, Vec<Option<u64>>> = HashMap::new();
    for record in read {
        let key = String::from_utf8(record.key.clone().expect("each has a key").to_vec()).unwrap();
        let value = record.value.as_ref().map(|value| {
            let text = String::from_utf8(value.to_vec()).unwrap();
            let number: u64 = text.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(text, value_of(number));
            number
        });
        found.entry(key).or_default().push(value);
    }
    for (key, sent) in book.lock().unwrap().iter_mut() {
        let found = found.remove(key).unwrap_or_default();
        let mut order = sent.values.iter();
        assert!(
            found.iter().all(|value| order.any(|sent| sent == value)),
            "{key}: {found:?} is not in the order of sending"
        );
        let last = found.last().copied().flatten();
        let least = sent.acked.saturating_sub(1);
        let is_known = |value: &Option<u64>| *value == last;
        let at = sent.values[least.min(sent.values.len())..].iter().rposition(is_known).map(|at| at + least);
        let is_nothing_sent = sent.acked == 0 && found.is_empty();
        assert!(
            at.is_some() || is_nothing_sent,
            "{key}: {last:?} is the last value, {:?} was acknowledged",
            sent.values[least]
        );
        sent.values.truncate(at.map_or(0, |at| at + 1));
        sent.acked = sent.values.len();
    }
    assert!(found.is_empty(), "nobody sent {:?}", found.keys());
}

/// Whether a pass was under way.
fn is_cut(folder: &Path) -> bool {
    let names = std::fs::read_dir(folder.join("data").join(format!("{TOPIC}-0"))).unwrap();
    names.flatten().any(|entry| entry.file_name().to_string_lossy().ends_with(".cleaned"))
}

#[tokio::test]
async fn the_last_value_of_each_key_survives_kills_during_passes() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ["log.retention.check.interval.ms=10", "compaction.memory.bytes=1MiB"];
    let (data, port) = (folder.path().join("data"), free_port());
    let start = || BrokerProcess::start_with(&data, folder.path(), port, &settings);
    let mut broker = start();
    broker.answers(None).await;
    let client = Client::connect(&broker.address()).await.unwrap();
    let create = client.admin().create_topic(TOPIC).partitions(1);
    CONFIGS.iter().fold(create, |create, (key, value)| create.config(*key, *value)).await.unwrap();
    let mut rng = fastrand::Rng::with_seed(number("WEIR_SEED", 7) as u64);
    let (kills, mut cut, book) = (number("WEIR_KILLS", KILLS_DEFAULT), 0, Book::default());
    for seed in 1..=kills as u64 {
        let load = tokio::spawn(send_on_and_on(
            Client::connect(&broker.address()).await.unwrap(),
            book.clone(),
            seed,
        ));
        sleep(Duration::from_millis(rng.u64(KILL_MS))).await;
        broker.kill();
        load.abort();
        let _ = load.await;
        cut += usize::from(is_cut(folder.path()));
        broker = start();
        broker.answers(Some(TOPIC)).await;
        let client = Client::connect(&broker.address()).await.unwrap();
        hold(&read_all(&client, TOPIC).await, &book);
    }
    let said = std::fs::read_to_string(folder.path().join("broker.log")).unwrap();
    let passes = said.lines().filter(|line| line.contains("stretches=")).count();
    let failed = said.lines().filter(|line| line.contains("a compaction was given up")).count();
    println!(
        "compaction: {kills} kills, {cut} of them during a pass, {passes} passes, {failed} given up; every last value is there"
    );
    assert!(passes > 0, "no pass came to its end:\n{said}");
    assert_eq!(failed, 0, "{said}");
    broker.kill();
}

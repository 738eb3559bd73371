//! What the scenarios leave to whoever runs them, in two files of the folder that the build gives to tests: which of them were skipped
//! and why, and how many records were refused as `not written`, and how many of these were ever read, over all of them.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use weir::base::{Error, Outcome};
use weir::client::{Client, Event, Producer, Record, Start};

fn append(name: &str, line: &str) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    // WHY one call: scenarios run at the same time.
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Says that a scenario can't run here.
pub(crate) fn skip(scenario: &str, reason: &str) {
    println!("skipped: {scenario}: {reason}");
    append("skipped", &format!("skipped: {scenario}: {reason}"));
}

/// Counts records that were refused in one history, and those of them that were read all the same.
pub(crate) fn count(refused: usize, read: usize) {
    let thread = std::thread::current();
    append("outcomes", &format!("{} {refused} {read}", thread.name().unwrap_or("fire")));
}

/// Records of a topic that nobody asks after, but for those that were refused: none of these may ever be read.
pub(crate) struct Refusals {
    topic: &'static str,
    next: AtomicU64,
    refused: Mutex<BTreeSet<u64>>,
}

impl Refusals {
    pub(crate) fn of(topic: &'static str) -> Arc<Self> {
        Arc::new(Self { topic, next: AtomicU64::new(0), refused: Mutex::default() })
    }

    /// Sends a record with a number of its own and `bytes` in all, and waits until it is stored. False: it is not, as far as is known.
    pub(crate) async fn store(&self, producer: &Producer, partition: i32, bytes: usize) -> bool {
        let (number, record) = self.record(partition, bytes);
        let stored = match producer.send(record).await {
            Ok(delivery) => delivery.await.map(drop),
            Err(error) => Err(error),
        };
        self.note(number, stored)
    }

    /// Sends a record and lets somebody else wait for what becomes of it. False: it never left.
    pub(crate) async fn send(self: &Arc<Self>, producer: &Producer, partition: i32, bytes: usize) -> bool {
        let (number, record) = self.record(partition, bytes);
        match producer.send(record).await {
            Ok(delivery) => {
                let this = self.clone();
                tokio::spawn(async move { this.note(number, delivery.await.map(drop)) });
                true
            }
            Err(error) => self.note(number, Err(error)),
        }
    }

    fn record(&self, partition: i32, bytes: usize) -> (u64, Record) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut value = number.to_be_bytes().to_vec();
        value.resize(bytes.max(value.len()), 7);
        (number, Record::to(self.topic).partition(partition).value(value))
    }

    fn note(&self, number: u64, stored: Result<(), Error>) -> bool {
        if stored.as_ref().is_err_and(|error| error.outcome == Outcome::NotWritten) {
            self.refused.lock().insert(number);
        }
        stored.is_ok()
    }

    /// Reads the whole topic, and counts.
    pub(crate) async fn check(&self, address: &str) {
        let client = Client::connect(address).await.unwrap();
        let partitions = client.admin().describe_topic(self.topic).await.unwrap().partitions;
        let mut consumer = client.consumer().topic(self.topic).start(Start::Beginning).build().await.unwrap();
        let refused = std::mem::take(&mut *self.refused.lock());
        let mut read = BTreeSet::new();
        while (0..)
            .zip(&partitions)
            .any(|(number, partition)| consumer.position(self.topic, number) < Some(partition.high_watermark))
        {
            match consumer.next_event().await.unwrap() {
                Event::Record(record) => {
                    let value = record.value.unwrap();
                    let number = u64::from_be_bytes(value[..8].try_into().unwrap());
                    read.extend(refused.contains(&number).then_some(number));
                }
                Event::CaughtUp { .. } => {}
                Event::Error(error) => panic!("{}: {error}", self.topic),
            }
        }
        count(refused.len(), read.len());
        assert!(read.is_empty(), "records of '{}' were refused and are there: {read:?}", self.topic);
    }
}

//! Producers and a reader that go on whatever happens to the broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use weir::base::Outcome;
use weir::client::{Client, CloseReport, Codec, ConsumerRecord, Delivery, Producer, Record, Start};

use super::history::{Fate, Found, Origin, Sent, origin_of, value_of};

pub(crate) const TOPIC: &str = "load";
pub(crate) const PARTITIONS: i32 = 4;

/// Producers that run to the end.
const PRODUCERS: u32 = 3;
/// Records that a producer sends before it takes a breath.
const BURST_MAX: usize = 8;
const BREATH: Duration = Duration::from_millis(1);
/// A reader that has not come to the end after this long will not.
const CATCH_UP_WAIT: Duration = Duration::from_secs(60);

/// What a reader has seen, by partition.
type Seen = Arc<Mutex<Vec<Vec<Found>>>>;

/// Load on one topic.
pub(crate) struct Load {
    address: String,
    sent: Arc<Mutex<Sent>>,
    stop: Arc<AtomicBool>,
    producers: Vec<JoinHandle<CloseReport>>,
    seen: Seen,
    reader: JoinHandle<String>,
    passing: u32,
}

/// What the load was told and has seen, after its end.
pub(crate) struct Ended {
    pub(crate) sent: Sent,
    pub(crate) seen: Vec<Vec<Found>>,
}

impl Load {
    /// Creates the topic and starts producers and reader.
    pub(crate) async fn start(address: &str, flush: &str) -> Self {
        let client = Client::connect(address).await.unwrap();
        let topic = client.admin().create_topic(TOPIC).partitions(PARTITIONS);
        // WHY small: a roll should often be under way when the broker dies.
        topic.config("flush", flush).config("segment.bytes", "256KiB").await.unwrap();
        let seen = Seen::new(Mutex::new(vec![Vec::new(); PARTITIONS as usize]));
        let mut load = Self {
            address: address.to_owned(),
            sent: Arc::default(),
            stop: Arc::default(),
            producers: Vec::new(),
            reader: tokio::spawn(read(address.to_owned(), seen.clone())),
            seen,
            passing: PRODUCERS,
        };
        load.producers = (0..PRODUCERS).map(|producer| load.spawn(producer)).collect();
        load
    }

    fn spawn(&self, producer: u32) -> JoinHandle<CloseReport> {
        tokio::spawn(produce(self.address.clone(), producer, self.sent.clone(), self.stop.clone()))
    }

    /// A producer of its own client that is to be aborted: what it was not told stays open.
    pub(crate) fn pass_by(&mut self) -> JoinHandle<CloseReport> {
        self.passing += 1;
        self.spawn(self.passing)
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.sent.lock().acknowledged()
    }

    /// Ends the producers; every record that they sent has its result then. Panics when one was refused.
    pub(crate) async fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for producer in self.producers.drain(..) {
            let report = producer.await.unwrap();
            assert_eq!(report.failed, 0, "deliveries failed although every broker came back");
        }
    }

    /// Waits until the reader has come to the ends, and takes everything apart.
    pub(crate) async fn end(self, ends: &[i64]) -> Ended {
        let begun = Instant::now();
        let is_behind =
            |seen: &Seen| seen.lock().iter().zip(ends).any(|(seen, end)| (seen.len() as i64) < *end);
        while is_behind(&self.seen) {
            assert!(!self.reader.is_finished(), "the reader ended: {:?}", self.reader.await);
            assert!(begun.elapsed() < CATCH_UP_WAIT, "the reader does not come to the ends {ends:?}");
            sleep(BREATH).await;
        }
        self.reader.abort();
        let sent = std::mem::take(&mut *self.sent.lock());
        let seen = std::mem::take(&mut *self.seen.lock());
        Ended { sent, seen }
    }
}

async fn produce(address: String, number: u32, sent: Arc<Mutex<Sent>>, stop: Arc<AtomicBool>) -> CloseReport {
    let producer = build(&address, number).await;
    let (deliveries, waiting) = unbounded_channel();
    // WHY a task of its own: it outlives this one when that is aborted, and takes what was acknowledged before.
    let resolving = tokio::spawn(resolve(waiting, sent.clone()));
    let mut rng = fastrand::Rng::with_seed(u64::from(number));
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..rng.usize(1..=BURST_MAX) {
            let partition = rng.i32(0..PARTITIONS);
            let origin = sent.lock().begin(number, partition);
            let record = Record::to(TOPIC).partition(partition).value(value_of(origin));
            let delivery = producer.send(record).await.unwrap();
            deliveries.send((origin, delivery)).unwrap();
        }
        sleep(BREATH).await;
    }
    drop(deliveries);
    let report = producer.close().await;
    resolving.await.unwrap();
    report
}

async fn build(address: &str, number: u32) -> Producer {
    let codec = [Codec::None, Codec::Lz4, Codec::Zstd][number as usize % 3];
    let client = Client::connect(address).await.unwrap();
    client.producer().compression(codec).batch_bytes(4 << 10).buffer_memory(256 << 10).build().await.unwrap()
}

/// Writes down what becomes of each record.
async fn resolve(mut waiting: UnboundedReceiver<(Origin, Delivery)>, sent: Arc<Mutex<Sent>>) {
    while let Some((origin, delivery)) = waiting.recv().await {
        let fate = match delivery.await {
            Ok(stored) => Fate::Stored(stored.offset),
            Err(error) if error.outcome == Outcome::NotWritten => Fate::NotWritten,
            Err(_) => Fate::Open,
        };
        sent.lock().set(origin, fate);
    }
}

/// Reads for ever; ends with the reason when something is wrong.
async fn read(address: String, seen: Seen) -> String {
    let client = Client::connect(&address).await.unwrap();
    let mut consumer = client.consumer().topic(TOPIC).start(Start::Beginning).build().await.unwrap();
    loop {
        match consumer.next().await {
            Some(Ok(record)) => seen.lock()[record.partition as usize].push(found(&record)),
            Some(Err(error)) => return error.to_string(),
            None => return "every partition stands still".to_owned(),
        }
    }
}

/// Everything from the start to `ends`, read anew.
pub(crate) async fn read_back(address: &str, ends: &[i64]) -> Vec<Vec<Found>> {
    let client = Client::connect(address).await.unwrap();
    let mut consumer = client.consumer().topic(TOPIC).start(Start::Beginning).build().await.unwrap();
    let mut log = vec![Vec::new(); PARTITIONS as usize];
    for _ in 0..ends.iter().sum() {
        let record = consumer.next().await.unwrap().unwrap();
        log[record.partition as usize].push(found(&record));
    }
    log
}

fn found(record: &ConsumerRecord) -> Found {
    let origin = record.value.as_deref().and_then(origin_of);
    Found { offset: record.offset, epoch: record.leader_epoch, origin }
}

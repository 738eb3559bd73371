//! Producers and readers that go on whatever happens to the broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use weir::base::{ErrorKind, Outcome};
use weir::client::{Acks, Client, Codec, Delivery, Producer, Record};
use weir::proto::grpc::ErrorReason;

use super::cursors::{self, Cursors};
use super::history::{
    Allowed, Fate, Findings, Found, Mark, Origin, Seen, Sent, Wrong, compare, records_of, value_of,
};
use super::readers::{CATCH_UP_WAIT, Reader, found, read_back};
use super::{assert_none, outcomes, stock};
use crate::process::ends;
use crate::whole::read_all;

pub(crate) const TOPIC: &str = "load";
pub(crate) const PARTITIONS: i32 = 4;

/// What the load is like.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    /// Setting `flush` of the topic.
    pub(crate) flush: &'static str,
    /// More settings of the topic.
    pub(crate) settings: &'static [(&'static str, &'static str)],
    /// Bundled producers with producer ids, that run to the end.
    pub(crate) idempotent: u32,
    /// Bundled producers without.
    pub(crate) plain: u32,
    /// Producers made of nothing but generated stubs, without producer ids.
    pub(crate) stock: u32,
    /// Bundled producers with acks 0. Of the others every second one has acks 1.
    pub(crate) silent: u32,
}

/// WHY: a roll should often be under way when the broker dies.
const SMALL_SEGMENTS: &[(&str, &str)] = &[("segment.bytes", "256KiB")];

impl Kind {
    /// Producers of every kind.
    pub(crate) fn all(flush: &'static str) -> Self {
        Self { flush, settings: SMALL_SEGMENTS, idempotent: 2, plain: 1, stock: 2, silent: 1 }
    }

    /// What may happen to such a load: the end of a partition is lost where a crash may take it.
    pub(crate) fn allowed(&self, lost_end: bool) -> Allowed {
        Allowed { lost_end, twice_from: FIRST_PLAIN }
    }
}

/// Numbers of producers with acks 0: what they send may be lost unseen, but is there once and in order.
const SILENT: std::ops::Range<u32> = 500_000..FIRST_PLAIN;
/// Numbers of producers without producer id begin here.
const FIRST_PLAIN: u32 = 1_000_000;
/// Those of stock producers here.
const FIRST_STOCK: u32 = 2_000_000;
/// Those of single records that a scenario asks for.
const FIRST_PROBE: u32 = 3_000_000;
/// A producer leaves a partition alone that owes it so many answers. WHY: one that is offline would fill the memory of
/// the producer, and the others would wait for that.
const UNANSWERED_MAX: usize = 400;
/// Records that a producer sends before it takes a breath.
const BURST_MAX: usize = 8;
/// Time for a delivery unless told otherwise: longer than any broker is away.
const PATIENCE: Duration = Duration::from_secs(120);
const BREATH: Duration = Duration::from_millis(1);
/// The same of a producer with acks 0. WHY longer: no answer holds it back, and what a slow disk is behind with others wait for.
const UNASKED_BREATH: Duration = Duration::from_millis(50);

/// Load on one topic.
pub(crate) struct Load {
    address: String,
    kind: Kind,
    sent: Arc<Mutex<Sent>>,
    stop: Arc<AtomicBool>,
    producers: Vec<JoinHandle<()>>,
    readers: [Reader; 2],
    passing: u32,
    patience: Duration,
}

impl Load {
    /// Creates the topic and starts producers and readers.
    pub(crate) async fn start(address: &str, kind: &Kind) -> Self {
        Self::start_with_patience(address, kind, PATIENCE).await
    }

    /// The same with bundled producers that give a record up after `patience`.
    pub(crate) async fn start_with_patience(address: &str, kind: &Kind, patience: Duration) -> Self {
        let client = Client::connect(address).await.unwrap();
        let topic = client.admin().create_topic(TOPIC).partitions(PARTITIONS);
        let topic = topic.config("flush", kind.flush);
        kind.settings.iter().fold(topic, |topic, (key, value)| topic.config(*key, *value)).await.unwrap();
        let mut load = Self {
            address: address.to_owned(),
            kind: kind.clone(),
            sent: Arc::default(),
            stop: Arc::default(),
            producers: Vec::new(),
            readers: Reader::both(address),
            passing: kind.idempotent,
            patience,
        };
        let silent = (0..kind.silent).map(|number| SILENT.start + number);
        let plain = (0..kind.plain).map(|number| FIRST_PLAIN + number);
        let bundled = (0..kind.idempotent).chain(silent).chain(plain);
        let bundled = bundled.map(|number| load.spawn(number));
        let stock =
            (0..kind.stock).map(|number| tokio::spawn(stock::produce(load.feed(FIRST_STOCK + number))));
        load.producers = bundled.chain(stock).collect();
        load
    }

    fn feed(&self, producer: u32) -> Feed {
        let (address, sent, stop) = (self.address.clone(), self.sent.clone(), self.stop.clone());
        Feed { address, producer, sent, stop, patience: self.patience }
    }

    fn spawn(&self, producer: u32) -> JoinHandle<()> {
        tokio::spawn(produce(self.feed(producer)))
    }

    /// A producer of its own client that is to be aborted: what it was not told stays open.
    pub(crate) fn pass_by(&mut self) -> JoinHandle<()> {
        self.passing += 1;
        assert!(self.passing < SILENT.start, "numbers of producers with ids end there");
        self.spawn(self.passing)
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.sent.lock().acknowledged()
    }

    /// Finds every record that was acknowledged up to now, and says how many. What is wrong beyond that [`Load::check`] tells.
    pub(crate) async fn find_acknowledged(&self) -> usize {
        let stored = self.sent.lock().stored();
        let client = Client::connect(&self.address).await.unwrap();
        // The load goes on, so partitions are read each to its own end.
        let there: BTreeMap<_, _> = read_all(&client, TOPIC)
            .await
            .iter()
            .map(|record| ((record.partition, record.offset), found(record)))
            .collect();
        for (origin, offset, _) in &stored {
            let found = there.get(&(origin.partition, *offset));
            let is_there = found.is_some_and(|found| found.origin == Some(*origin));
            assert!(is_there, "{origin:?} was acknowledged at {offset}, there is {found:?}");
        }
        stored.len()
    }

    /// Waits until each reader has seen a record of each partition: from then on the broker may go at any moment.
    pub(crate) async fn flows(&self) {
        for reader in &self.readers {
            reader.has_begun().await;
        }
    }

    /// This moment, for [`Self::acknowledged_since`].
    pub(crate) fn mark(&self) -> Mark {
        self.sent.lock().mark()
    }

    /// How many records of a partition that were sent after the mark are acknowledged.
    pub(crate) fn acknowledged_since(&self, mark: &Mark, partition: i32) -> usize {
        self.sent.lock().acknowledged_since(mark, partition)
    }

    /// Sends one record by a unary call of its own, once, and gives the broker's answer.
    pub(crate) async fn probe(&self, partition: i32) -> (Fate, Option<ErrorReason>) {
        let origin = self.sent.lock().begin(FIRST_PROBE, partition);
        let (fate, reason) = stock::ask(&self.address, origin).await;
        self.sent.lock().set(origin, fate);
        (fate, reason)
    }

    /// Ends the producers; every record that they sent has its result then.
    pub(crate) async fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for producer in self.producers.drain(..) {
            producer.await.unwrap();
        }
    }

    /// Asks for every place that anybody was told of, while nobody writes: cursors of what is gone must be refused.
    pub(crate) async fn check_cursors(&self) -> Cursors {
        let client = Client::connect(&self.address).await.unwrap();
        let log = read_back(&self.address, &ends(&client, TOPIC).await.unwrap()).await;
        let stored = self.sent.lock().stored();
        let told = stored
            .into_iter()
            .map(|(origin, offset, epoch)| (origin.partition, Found { offset, epoch, origin: Some(origin) }));
        let seen: Vec<_> = self.readers.iter().flat_map(|reader| (0..).zip(reader.seen())).collect();
        let seen = seen.iter().flat_map(|(partition, seen)| records_of(*partition, seen));
        cursors::check(&self.address, told.chain(seen), &log).await
    }

    /// Waits until all that was sent is flushed, though nobody asks for that any more, and gives the ends.
    pub(crate) async fn flushed(&self) -> Vec<i64> {
        let (client, begun) = (Client::connect(&self.address).await.unwrap(), Instant::now());
        loop {
            let partitions = client.admin().describe_topic(TOPIC).await.unwrap().partitions;
            if partitions.iter().all(|partition| partition.flushed_offset == partition.log_end_offset) {
                return partitions.iter().map(|partition| partition.log_end_offset).collect();
            }
            assert!(
                begun.elapsed() < CATCH_UP_WAIT,
                "what was sent is not flushed by itself: {partitions:?}"
            );
            sleep(BREATH).await;
        }
    }

    /// The ends of the partitions.
    pub(crate) async fn ends(&self) -> Vec<i64> {
        ends(&Client::connect(&self.address).await.unwrap(), TOPIC).await.unwrap()
    }

    /// What is wrong with what there is in the end, or with what producers were told.
    pub(crate) async fn check(self, lost_end: bool) -> Checked {
        let (address, allowed) = (self.address.clone(), self.kind.allowed(lost_end));
        let client = Client::connect(&address).await.unwrap();
        let ends = ends(&client, TOPIC).await.unwrap();
        let log = read_back(&address, &ends).await;
        // WHY before the reader: it may wait for what is lost.
        let lost = self.sent.lock().check(&log, allowed);
        assert_none(lost);
        let mut views = Vec::new();
        for reader in self.readers {
            views.push(reader.end(&log).await);
        }
        let sent = std::mem::take(&mut *self.sent.lock());
        let mut findings = sent.check(&log, allowed);
        for seen in &views {
            findings.extend(compare(seen, &log, allowed));
        }
        let shown = |partition: usize| views.iter().flat_map(|seen| seen[partition].clone()).collect();
        findings.extend(sent.check_shown(&(0..log.len()).map(shown).collect::<Vec<_>>()));
        let read = findings.iter().filter(|(wrong, _)| *wrong == Wrong::NotWritten).count();
        outcomes::count(sent.count(|fate| fate == Fate::NotWritten), read);
        let is_setback = |seen: &&Seen| matches!(seen, Seen::Setback(_));
        let setbacks = views.iter().flatten().flatten().filter(is_setback).count();
        let is_silent = |found: &&Found| found.origin.is_some_and(|origin| SILENT.contains(&origin.producer));
        let silent = log.iter().flatten().filter(is_silent).count();
        // Where the end may be lost a cut may have taken all of it.
        let is_shown = lost_end || self.kind.silent == 0 || silent > 0;
        assert!(is_shown, "nothing that was sent with acks 0 is there: this shows nothing");
        Checked { findings, log, setbacks, silent, sent }
    }
}

/// What a check has found.
pub(crate) struct Checked {
    pub(crate) findings: Findings,
    /// The records of each partition.
    pub(crate) log: Vec<Vec<Found>>,
    /// How often readers were told that something that they had read is gone.
    pub(crate) setbacks: usize,
    /// Records that are there though their producers asked for no answer.
    pub(crate) silent: usize,
    pub(crate) sent: Sent,
}

impl Checked {
    /// What was sent and found, in words.
    pub(crate) fn told(&self) -> String {
        format!(
            "{} records acknowledged, {} there of those with acks 0, {} refused, {} findings",
            self.sent.acknowledged(),
            self.silent,
            self.sent.count(|fate| fate == Fate::NotWritten),
            self.findings.len()
        )
    }
}

/// What a producer goes by.
pub(crate) struct Feed {
    pub(crate) address: String,
    pub(crate) producer: u32,
    pub(crate) sent: Arc<Mutex<Sent>>,
    pub(crate) stop: Arc<AtomicBool>,
    /// Time for a delivery.
    pub(crate) patience: Duration,
}

impl Feed {
    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

async fn produce(feed: Feed) {
    let producer = build(&feed).await;
    let (deliveries, waiting) = unbounded_channel();
    let unanswered = Unanswered::default();
    // WHY a task of its own: it outlives this one when that is aborted, and takes what was acknowledged before.
    let resolving = tokio::spawn(resolve(waiting, feed.sent.clone(), unanswered.clone()));
    let mut rng = fastrand::Rng::with_seed(u64::from(feed.producer));
    while !feed.is_over() {
        for _ in 0..rng.usize(1..=BURST_MAX) {
            let partition = rng.i32(0..PARTITIONS);
            if unanswered[partition as usize].load(Ordering::Relaxed) >= UNANSWERED_MAX {
                continue;
            }
            unanswered[partition as usize].fetch_add(1, Ordering::Relaxed);
            let origin = feed.sent.lock().begin(feed.producer, partition);
            let record = Record::to(TOPIC).partition(partition).value(value_of(origin));
            match producer.send(record).await {
                Ok(delivery) => deliveries.send((origin, delivery)).unwrap(),
                // No memory within the time: it never left.
                Err(error) => {
                    assert_eq!(error.kind, ErrorKind::TimedOut, "{error}");
                    feed.sent.lock().set(origin, Fate::NotWritten);
                    unanswered[partition as usize].fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
        sleep(if SILENT.contains(&feed.producer) { UNASKED_BREATH } else { BREATH }).await;
    }
    drop(deliveries);
    producer.close().await;
    resolving.await.unwrap();
}

async fn build(feed: &Feed) -> Producer {
    let codec = [Codec::None, Codec::Lz4, Codec::Zstd][feed.producer as usize % 3];
    let client = Client::connect(&feed.address).await.unwrap();
    let producer = client.producer().compression(codec).idempotent(feed.producer < FIRST_PLAIN);
    let producer = producer.delivery_timeout(feed.patience).acks(acks_of(feed.producer));
    producer.batch_bytes(4 << 10).buffer_memory(256 << 10).build().await.unwrap()
}

fn acks_of(producer: u32) -> Acks {
    match producer % 2 {
        _ if SILENT.contains(&producer) => Acks::None,
        0 => Acks::All,
        _ => Acks::Leader,
    }
}

/// Records without answer by partition.
type Unanswered = Arc<[AtomicUsize; PARTITIONS as usize]>;

/// Writes down what becomes of each record: each partition by itself, so that one that stands still holds up no other.
async fn resolve(
    mut waiting: UnboundedReceiver<(Origin, Delivery)>,
    sent: Arc<Mutex<Sent>>,
    unanswered: Unanswered,
) {
    let lane = |_| {
        let (lane, waiting) = unbounded_channel();
        (lane, tokio::spawn(resolve_lane(waiting, sent.clone(), unanswered.clone())))
    };
    let (lanes, tasks): (Vec<_>, Vec<_>) = (0..PARTITIONS).map(lane).unzip();
    while let Some((origin, delivery)) = waiting.recv().await {
        lanes[origin.partition as usize].send((origin, delivery)).unwrap();
    }
    drop(lanes);
    for task in tasks {
        task.await.unwrap();
    }
}

async fn resolve_lane(
    mut waiting: UnboundedReceiver<(Origin, Delivery)>,
    sent: Arc<Mutex<Sent>>,
    unanswered: Unanswered,
) {
    while let Some((origin, delivery)) = waiting.recv().await {
        let fate = match delivery.await {
            Ok(_) if SILENT.contains(&origin.producer) => Fate::Unasked,
            Ok(stored) => Fate::Stored(stored.offset, stored.leader_epoch),
            Err(error) if error.outcome == Outcome::NotWritten => Fate::NotWritten,
            Err(_) => Fate::Open,
        };
        sent.lock().set(origin, fate);
        unanswered[origin.partition as usize].fetch_sub(1, Ordering::Relaxed);
    }
}

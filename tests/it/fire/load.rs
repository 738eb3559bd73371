//! Producers and a reader that go on whatever happens to the broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use weir::base::{Error, ErrorKind, Outcome};
use weir::client::{Client, Codec, Consumer, ConsumerRecord, Delivery, Event, Producer, Record, Start};
use weir::proto::grpc::ErrorReason;

use super::cursors::{self, Cursors};
use super::history::{
    Allowed, Fate, Findings, Found, Mark, Origin, Seen, Sent, Wrong, compare, origin_of, records_of, value_of,
};
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
    /// Bundled producers with producer ids, that run to the end.
    pub(crate) idempotent: u32,
    /// Bundled producers without.
    pub(crate) plain: u32,
    /// Producers made of nothing but generated stubs, without producer ids.
    pub(crate) stock: u32,
}

impl Kind {
    /// What may happen to such a load: the end of a partition is lost where a crash may take it.
    pub(crate) fn allowed(&self, lost_end: bool) -> Allowed {
        Allowed { lost_end, twice_from: FIRST_PLAIN }
    }
}

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
/// A reader that has not come to the end after this long will not.
const CATCH_UP_WAIT: Duration = Duration::from_secs(60);

/// What a reader has seen, by partition.
type View = Arc<Mutex<Vec<Vec<Seen>>>>;

/// Load on one topic.
pub(crate) struct Load {
    address: String,
    kind: Kind,
    sent: Arc<Mutex<Sent>>,
    stop: Arc<AtomicBool>,
    producers: Vec<JoinHandle<()>>,
    seen: View,
    reader: JoinHandle<String>,
    passing: u32,
    patience: Duration,
}

/// What the load was told and has seen, after its end.
struct Ended {
    sent: Sent,
    seen: Vec<Vec<Seen>>,
}

impl Load {
    /// Creates the topic and starts producers and reader.
    pub(crate) async fn start(address: &str, kind: &Kind) -> Self {
        Self::start_with_patience(address, kind, PATIENCE).await
    }

    /// The same with bundled producers that give a record up after `patience`.
    pub(crate) async fn start_with_patience(address: &str, kind: &Kind, patience: Duration) -> Self {
        let client = Client::connect(address).await.unwrap();
        let topic = client.admin().create_topic(TOPIC).partitions(PARTITIONS);
        // WHY small: a roll should often be under way when the broker dies.
        topic.config("flush", kind.flush).config("segment.bytes", "256KiB").await.unwrap();
        let seen = View::new(Mutex::new(vec![Vec::new(); PARTITIONS as usize]));
        let mut load = Self {
            address: address.to_owned(),
            kind: kind.clone(),
            sent: Arc::default(),
            stop: Arc::default(),
            producers: Vec::new(),
            reader: tokio::spawn(read(address.to_owned(), seen.clone())),
            seen,
            passing: kind.idempotent,
            patience,
        };
        let bundled = (0..kind.idempotent).chain((0..kind.plain).map(|number| FIRST_PLAIN + number));
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
        assert!(self.passing < FIRST_PLAIN, "numbers of producers with ids end there");
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

    /// Waits until the reader has seen a record of each partition: from then on the broker may go at any moment.
    pub(crate) async fn flows(&self) {
        let begun = Instant::now();
        while self.seen.lock().iter().any(Vec::is_empty) {
            assert!(begun.elapsed() < CATCH_UP_WAIT, "the reader sees nothing");
            sleep(BREATH).await;
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
        let seen = self.seen.lock().clone();
        let seen = (0..).zip(&seen).flat_map(|(partition, seen)| records_of(partition, seen));
        cursors::check(&self.address, told.chain(seen), &log).await
    }

    /// Waits until the reader has come to the last record of each partition, and takes everything apart.
    async fn end(self, log: &[Vec<Found>]) -> Ended {
        let begun = Instant::now();
        // WHY not its offset alone: a reader that was not told yet of what is gone stands beyond the end.
        let is_there = |(seen, log): (&Vec<Seen>, &Vec<Found>)| match (seen.last(), log.last()) {
            (Some(Seen::Record(seen)), Some(last)) => seen == last,
            (Some(Seen::Setback(to)), _) => *to == log.len() as i64,
            (seen, last) => seen.is_none() && last.is_none(),
        };
        while !self.seen.lock().iter().zip(log).all(is_there) {
            assert!(!self.reader.is_finished(), "the reader ended: {:?}", self.reader.await);
            let last: Vec<Option<&Found>> = log.iter().map(|log| log.last()).collect();
            assert!(begun.elapsed() < CATCH_UP_WAIT, "the reader does not come to the ends {last:?}");
            sleep(BREATH).await;
        }
        self.reader.abort();
        let sent = std::mem::take(&mut *self.sent.lock());
        let seen = std::mem::take(&mut *self.seen.lock());
        Ended { sent, seen }
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
        let ended = self.end(&log).await;
        let mut findings = ended.sent.check(&log, allowed);
        findings.extend(compare(&ended.seen, &log, allowed));
        findings.extend(ended.sent.check_shown(&ended.seen));
        let read = findings.iter().filter(|(wrong, _)| *wrong == Wrong::NotWritten).count();
        outcomes::count(ended.sent.count(|fate| fate == Fate::NotWritten), read);
        let setbacks = ended.seen.iter().flatten().filter(|seen| matches!(seen, Seen::Setback(_))).count();
        Checked { findings, log, setbacks, sent: ended.sent }
    }
}

/// What a check has found.
pub(crate) struct Checked {
    pub(crate) findings: Findings,
    /// The records of each partition.
    pub(crate) log: Vec<Vec<Found>>,
    /// How often the reader was told that something that it had read is gone.
    pub(crate) setbacks: usize,
    pub(crate) sent: Sent,
}

impl Checked {
    /// What was sent and found, in words.
    pub(crate) fn told(&self) -> String {
        format!(
            "{} records acknowledged, {} refused, {} findings",
            self.sent.acknowledged(),
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
        sleep(BREATH).await;
    }
    drop(deliveries);
    producer.close().await;
    resolving.await.unwrap();
}

async fn build(feed: &Feed) -> Producer {
    let codec = [Codec::None, Codec::Lz4, Codec::Zstd][feed.producer as usize % 3];
    let client = Client::connect(&feed.address).await.unwrap();
    let producer = client.producer().compression(codec).idempotent(feed.producer < FIRST_PLAIN);
    let producer = producer.delivery_timeout(feed.patience);
    producer.batch_bytes(4 << 10).buffer_memory(256 << 10).build().await.unwrap()
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
            Ok(stored) => Fate::Stored(stored.offset, stored.leader_epoch),
            Err(error) if error.outcome == Outcome::NotWritten => Fate::NotWritten,
            Err(_) => Fate::Open,
        };
        sent.lock().set(origin, fate);
        unanswered[origin.partition as usize].fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reads for ever; ends with the reason when something is wrong. Where it is told that what it read is gone, it goes back.
async fn read(address: String, seen: View) -> String {
    let client = Client::connect(&address).await.unwrap();
    let mut consumer = client.consumer().topic(TOPIC).start(Start::Beginning).build().await.unwrap();
    loop {
        match consumer.next().await {
            Some(Ok(record)) => seen.lock()[record.partition as usize].push(Seen::Record(found(&record))),
            Some(Err(error)) if error.kind == ErrorKind::DamagedRange => pass_over(&mut consumer, &error),
            Some(Err(error)) => {
                let fact = |name: &str| error.metadata.get(name).and_then(|text| text.parse::<i64>().ok());
                let back = match error.kind {
                    ErrorKind::Diverged | ErrorKind::OffsetOutOfRange => fact("partition").zip(fact("end")),
                    _ => None,
                };
                let Some((partition, end)) = back else { return error.to_string() };
                seen.lock()[partition as usize].push(Seen::Setback(end));
                consumer.seek(TOPIC, partition as i32, end).unwrap();
            }
            None => return "every partition stands still".to_owned(),
        }
    }
}

/// Everything from the start to `ends`, read anew.
async fn read_back(address: &str, ends: &[i64]) -> Vec<Vec<Found>> {
    let client = Client::connect(address).await.unwrap();
    let mut consumer = client.consumer().topic(TOPIC).start(Start::Beginning).build().await.unwrap();
    let mut log = vec![Vec::new(); PARTITIONS as usize];
    while (0..).zip(ends).any(|(partition, end)| consumer.position(TOPIC, partition) < Some(*end)) {
        match consumer.next_event().await.unwrap() {
            Event::Record(record) => log[record.partition as usize].push(found(&record)),
            Event::CaughtUp { .. } => {}
            Event::Error(error) => pass_over(&mut consumer, &error),
        }
    }
    log
}

/// Goes on behind a damaged range: the checker finds what is missing.
fn pass_over(consumer: &mut Consumer, error: &Error) {
    assert_eq!(error.kind, ErrorKind::DamagedRange, "{error}");
    let fact = |name: &str| error.metadata[name].parse::<i64>().unwrap();
    consumer.seek(TOPIC, fact("partition") as i32, fact("end")).unwrap();
}

fn found(record: &ConsumerRecord) -> Found {
    let origin = record.value.as_deref().and_then(origin_of);
    Found { offset: record.offset, epoch: record.leader_epoch, origin }
}

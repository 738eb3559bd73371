//! Readers of the load's topic: two that go on whatever happens to the broker, and one that reads everything anew in the end.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use weir::base::{Error, ErrorKind};
use weir::client::{Client, Consumer, ConsumerRecord, Event, Start};

use super::history::{Found, Seen, origin_of};
use super::load::{PARTITIONS, TOPIC};
use super::stock_reader;

/// A reader that has not come to the end after this long will not.
pub(crate) const CATCH_UP_WAIT: Duration = Duration::from_secs(60);
const BREATH: Duration = Duration::from_millis(1);

/// What a reader has seen, by partition.
pub(crate) type View = Arc<Mutex<Vec<Vec<Seen>>>>;

/// A reader at work from offset 0 on. Where it is told that what it read is gone, it goes back.
pub(crate) struct Reader {
    name: &'static str,
    seen: View,
    /// Ends with the reason when something is wrong.
    task: JoinHandle<String>,
}

impl Reader {
    /// The bundled consumer, and one made of nothing but generated stubs.
    pub(crate) fn both(address: &str) -> [Self; 2] {
        let view = || View::new(Mutex::new(vec![Vec::new(); PARTITIONS as usize]));
        let (of_bundled, of_stock) = (view(), view());
        let bundled = tokio::spawn(read(address.to_owned(), of_bundled.clone()));
        let stock = tokio::spawn(stock_reader::read(address.to_owned(), of_stock.clone()));
        [
            Self { name: "bundled", seen: of_bundled, task: bundled },
            Self { name: "stock", seen: of_stock, task: stock },
        ]
    }

    /// What it has seen up to now.
    pub(crate) fn seen(&self) -> Vec<Vec<Seen>> {
        self.seen.lock().clone()
    }

    /// Waits until it has seen a record of each partition.
    pub(crate) async fn has_begun(&self) {
        let begun = Instant::now();
        while self.seen.lock().iter().any(Vec::is_empty) {
            assert!(begun.elapsed() < CATCH_UP_WAIT, "the {} reader sees nothing", self.name);
            sleep(BREATH).await;
        }
    }

    /// Waits until it has come to the last record of each partition, and gives all that it has seen.
    pub(crate) async fn end(self, log: &[Vec<Found>]) -> Vec<Vec<Seen>> {
        let (name, begun) = (self.name, Instant::now());
        // WHY not its offset alone: a reader that was not told yet of what is gone stands beyond the end.
        let is_there = |(seen, log): (&Vec<Seen>, &Vec<Found>)| match (seen.last(), log.last()) {
            (Some(Seen::Record(seen)), Some(last)) => seen == last,
            (Some(Seen::Setback(to)), _) => *to == log.len() as i64,
            (seen, last) => seen.is_none() && last.is_none(),
        };
        while !self.seen.lock().iter().zip(log).all(is_there) {
            assert!(!self.task.is_finished(), "the {name} reader ended: {:?}", self.task.await);
            let ends: Vec<Option<&Found>> = log.iter().map(|log| log.last()).collect();
            let stands = || self.seen.lock().iter().map(|seen| seen.last().copied()).collect::<Vec<_>>();
            assert!(
                begun.elapsed() < CATCH_UP_WAIT,
                "the {name} reader does not come to the ends {ends:?}: it stands at {:?}",
                stands()
            );
            sleep(BREATH).await;
        }
        self.task.abort();
        std::mem::take(&mut *self.seen.lock())
    }
}

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
pub(crate) async fn read_back(address: &str, ends: &[i64]) -> Vec<Vec<Found>> {
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

pub(crate) fn found(record: &ConsumerRecord) -> Found {
    let origin = record.value.as_deref().and_then(origin_of);
    Found { offset: record.offset, epoch: record.leader_epoch, origin }
}

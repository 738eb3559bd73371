//! Runs against a system in memory, which can be told to do wrong.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::driver::{Driver, Reader, Writer};
use super::*;
use crate::base::{Error, Offset, Timestamp};
use crate::client::{Acks, Codec};
use crate::env::Clock;
use crate::env::clock::Sleep;
use bytes::Bytes;

/// A clock on which each look takes a microsecond; who sleeps looks on.
#[derive(Clone, Default)]
struct TickingClock(std::sync::Arc<AtomicU64>);

const TICK: Duration = Duration::from_micros(1);

impl TickingClock {
    fn advance(&self, time: Duration) {
        self.0.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }
}

impl Clock for TickingClock {
    fn now_ms(&self) -> Timestamp {
        0
    }

    fn monotonic(&self) -> Duration {
        self.advance(TICK);
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let (clock, until) = (self.clone(), Duration::from_nanos(self.0.load(Ordering::Relaxed)) + duration);
        Box::pin(async move {
            while clock.monotonic() < until {
                tokio::task::yield_now().await;
            }
        })
    }
}

/// What becomes of the third record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Lost,
    Doubled,
    Changed,
    Slow,
}

#[derive(Clone)]
struct InMemory {
    clock: TickingClock,
    fate: Fate,
    records: Rc<RefCell<Vec<Bytes>>>,
}

struct Hand {
    system: InMemory,
    sent: u64,
    at: usize,
}

impl InMemory {
    fn new(fate: Fate) -> Self {
        Self { clock: TickingClock::default(), fate, records: Rc::default() }
    }

    fn hand(&self) -> Hand {
        Hand { system: self.clone(), sent: 0, at: 0 }
    }

    fn run(&self, plan: Plan) -> Run<'_, Self> {
        Run::new(self, plan, std::sync::Arc::new(self.clock.clone()), None)
    }
}

impl Driver for InMemory {
    type Writer = Hand;
    type Reader = Hand;

    fn name(&self) -> &'static str {
        "memory"
    }

    async fn version(&self) -> Result<String, Error> {
        Ok("1".to_owned())
    }

    async fn create(&self, _: &str, _: i32, _: Flush) -> Result<(), Error> {
        Ok(())
    }

    async fn delete(&self, _: &str) -> Result<(), Error> {
        Ok(())
    }

    async fn ends(&self, _: &str) -> Result<Vec<Offset>, Error> {
        Ok(vec![self.records.borrow().len() as Offset])
    }

    async fn writer(&self, _: &str, _: &WriteOptions) -> Result<Hand, Error> {
        Ok(self.hand())
    }

    async fn reader(&self, _: &str, _: &[Offset]) -> Result<Hand, Error> {
        Ok(self.hand())
    }
}

impl Writer for Hand {
    type Ack = Ready<Result<(), Error>>;

    async fn send(&mut self, _: i32, value: Bytes) -> Result<Self::Ack, Error> {
        self.sent += 1;
        self.system.clock.advance(TICK);
        let mut records = self.system.records.borrow_mut();
        let mut kept: VecDeque<Bytes> = [value.clone()].into();
        match self.system.fate {
            Fate::Lost if self.sent == 3 => kept.clear(),
            Fate::Doubled if self.sent == 3 => kept.push_back(value),
            Fate::Changed if self.sent == 3 => {
                let mut bytes = value.to_vec();
                *bytes.last_mut().unwrap() ^= 1;
                kept = [bytes.into()].into();
            }
            Fate::Slow if self.sent == 3 => self.system.clock.advance(Duration::from_millis(50)),
            _ => {}
        }
        records.extend(kept);
        Ok(ready(Ok(())))
    }

    fn acknowledged(&self) -> u64 {
        self.sent
    }

    async fn close(self) -> Result<u64, Error> {
        Ok(self.sent)
    }
}

impl Reader for Hand {
    async fn take(&mut self, each: &mut impl FnMut(i32, Offset, &[u8])) -> Result<(), Error> {
        while self.at == self.system.records.borrow().len() {
            tokio::task::yield_now().await;
        }
        let records: Vec<Bytes> = self.system.records.borrow()[self.at..].to_vec();
        for value in records {
            each(0, self.at as Offset, &value);
            self.at += 1;
        }
        Ok(())
    }
}

fn plan(rate: Rate) -> Plan {
    let options =
        WriteOptions { acks: Acks::All, batch_bytes: 1_024, linger: Duration::ZERO, codec: Codec::None };
    let (warm_up, duration) = (Duration::from_millis(10), Duration::from_millis(100));
    Plan {
        topic: "t".to_owned(),
        partitions: 1,
        flush: Flush::Os,
        writers: 1,
        size_bytes: 64,
        rate,
        warm_up,
        duration,
        options,
        seed: 1,
        spins: true,
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn records_that_are_lost_doubled_or_changed_make_a_run_invalid() {
    for rate in [Rate::Max, Rate::Lone, Rate::Steady(1_000.0)] {
        for (fate, word) in [
            (Fate::Lost, "follows a lost one"),
            (Fate::Doubled, "came twice"),
            (Fate::Changed, "other bytes"),
        ] {
            let system = InMemory::new(fate);
            let error = block_on(system.run(plan(rate)).produce(u64::MAX)).expect_err(word);
            assert!(error.message.contains(word), "{rate:?}: {error}");
            let system = InMemory::new(fate);
            let error = block_on(system.run(plan(rate)).end_to_end()).expect_err(word);
            assert!(error.message.contains(word), "{rate:?}: {error}");
        }
        let error =
            block_on(InMemory::new(Fate::Lost).run(plan(rate)).produce(0)).expect_err("one is missing");
        assert!(error.message.contains("were acknowledged"), "{error}");
        let right =
            block_on(InMemory::new(Fate::Kept).run(plan(rate)).produce(u64::MAX)).expect("all is well");
        assert!(right.records > 0 && right.verified == Depth::Bytes);
    }
    let error = block_on(InMemory::new(Fate::Changed).run(plan(Rate::Max)).consume(10)).expect_err("a bit");
    assert!(error.message.contains("other bytes"), "{error}");
    let read = block_on(InMemory::new(Fate::Kept).run(plan(Rate::Max)).consume(10)).expect("all is well");
    assert!(read.tally.read > 0 && read.records == 10);
}

/// At 1,000 a second a stall of 50 ms makes 50 records late: each of them counts from its own time.
#[test]
fn a_stall_is_charged_to_every_record_that_waited() {
    let stalled = |rate, fate| {
        let outcome =
            block_on(InMemory::new(fate).run(Plan { warm_up: Duration::ZERO, ..plan(rate) }).end_to_end());
        outcome.expect("all is well").tally
    };
    let late = |latencies: &super::super::Latencies| {
        let share = (1..=1_000).rev().find(|share| {
            latencies.percentile(f64::from(*share) / 1e3).is_some_and(|time| time < Duration::from_millis(5))
        });
        1_000 - share.unwrap_or(0)
    };
    let tally = stalled(Rate::Steady(1_000.0), Fate::Slow);
    assert_eq!(tally.ack.count(), 100);
    for latencies in [&tally.ack, &tally.delay, &tally.end_to_end] {
        let late = late(latencies);
        assert!((400..=500).contains(&late), "{late} of 1,000 are late");
    }
    let quiet = stalled(Rate::Steady(1_000.0), Fate::Kept);
    assert_eq!(late(&quiet.ack), 0);
    // In a closed loop only the one that met the stall knows of it.
    assert!(late(&stalled(Rate::Lone, Fate::Slow).ack) < 10);
}

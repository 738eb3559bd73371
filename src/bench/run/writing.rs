//! One writer at work: hands records over when they are due, and notes when they are acknowledged.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use futures_util::FutureExt;
use futures_util::future::poll_fn;
use futures_util::stream::FuturesUnordered;

use super::super::driver::Writer;
use super::super::schedule::Rate;
use super::super::workload::Values;
use super::Plan;
use super::lanes::Chains;
use super::tally::Tally;
use crate::base::Error;
use crate::env::Clock;

/// Where records have no times of their own, one of so many is timed: timing each would slow all of them.
const TIMED_EVERY: u64 = 64;
/// Most records that are handed over before others get their turn.
const BURST_MAX: u64 = 16_384;

/// Values end when a writer has written so many, or when the time is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Until {
    /// The plan's length is over.
    Time,
    /// So many records are written by each writer.
    Records(u64),
}

/// What writers share.
pub(super) struct Desk<'a> {
    pub(super) plan: &'a Plan,
    pub(super) clock: &'a dyn Clock,
    pub(super) tally: &'a RefCell<Tally>,
    pub(super) chains: &'a RefCell<Chains>,
    pub(super) until: Until,
}

/// One writer.
struct Writing<'a, W: Writer> {
    desk: &'a Desk<'a>,
    writer: W,
    lanes: Vec<(usize, i32)>,
    values: Values,
    /// Answers that are waited for, each with the time from which it counts.
    acks: FuturesUnordered<Timed<W::Ack>>,
    /// How many acknowledgements the tally knows of.
    told: u64,
}

impl Desk<'_> {
    /// Writes as the plan says, as number `number` of the writers.
    ///
    /// Errors: a record was not acknowledged.
    pub(super) async fn write<W: Writer>(&self, number: usize, writer: W) -> Result<(), Error> {
        let lanes = self.chains.borrow().of_writer(number, self.plan.writers);
        let values = Values::new(self.plan.seed, self.plan.size_bytes);
        let acks = FuturesUnordered::new();
        Writing { desk: self, writer, lanes, values, acks, told: 0 }.run().await
    }
}

impl<W: Writer> Writing<'_, W> {
    async fn run(mut self) -> Result<(), Error> {
        let burst = self.desk.plan.burst().min(BURST_MAX);
        for number in 0.. {
            if self.desk.until == Until::Records(number) {
                break;
            }
            let goes_on = match self.desk.plan.rate {
                Rate::Lone => self.send_one_and_wait(number).await?,
                Rate::Max => self.send_now(number, burst).await?,
                Rate::Steady(_) | Rate::Ramp(..) => self.send_when_due(number).await?,
            };
            if !goes_on {
                break;
            }
        }
        self.close().await
    }

    fn now(&self) -> Duration {
        self.desk.clock.monotonic()
    }

    fn end(&self) -> Duration {
        match self.desk.until {
            Until::Time => self.desk.tally.borrow().begun() + self.desk.plan.length(),
            Until::Records(_) => Duration::MAX,
        }
    }

    /// Hands the next record over.
    async fn send(&mut self, number: u64, due: Duration) -> Result<W::Ack, Error> {
        let (lane, partition) = self.lanes[(number % self.lanes.len() as u64) as usize];
        let value = {
            let mut chains = self.desk.chains.borrow_mut();
            let value = self.values.make(lane, chains.count_of(lane), due);
            chains.add(lane, &value);
            value
        };
        self.writer.send(partition, value).await
    }

    /// One record, and its answer.
    async fn send_one_and_wait(&mut self, number: u64) -> Result<bool, Error> {
        let sent_at = self.now();
        if sent_at >= self.end() {
            return Ok(false);
        }
        let mut ack = self.send(number, sent_at).await?;
        if self.desk.plan.spins {
            while (&mut ack).now_or_never().transpose()?.is_none() {
                tokio::task::yield_now().await;
            }
        } else {
            ack.await?;
        }
        let now = self.now();
        self.desk.tally.borrow_mut().add_ack(sent_at, now);
        self.tell(now);
        Ok(true)
    }

    /// A record at once; after each burst the others get their turn.
    async fn send_now(&mut self, number: u64, burst: u64) -> Result<bool, Error> {
        let is_timed = number.is_multiple_of(TIMED_EVERY);
        let sent_at = if is_timed { self.now() } else { Duration::ZERO };
        if is_timed && sent_at >= self.end() {
            return Ok(false);
        }
        let ack = self.send(number, sent_at).await?;
        if is_timed {
            self.acks.push(Timed { from: sent_at, ack });
        }
        if (number + 1).is_multiple_of(burst) {
            tokio::task::yield_now().await;
            self.take_acks().await?;
        }
        Ok(true)
    }

    /// A record at its time, whatever became of those before.
    async fn send_when_due(&mut self, number: u64) -> Result<bool, Error> {
        let plan = self.desk.plan;
        let begun = self.desk.tally.borrow().begun();
        let due = begun + plan.rate.due(number, plan.writers, plan.length());
        if due >= self.end() {
            return Ok(false);
        }
        while self.now() < due {
            self.take_acks().await?;
            self.pause(due).await;
        }
        let ack = self.send(number, due).await?;
        self.desk.tally.borrow_mut().add_delay(due, self.now());
        self.acks.push(Timed { from: due, ack });
        self.take_acks().await?;
        Ok(true)
    }

    /// Lets the others work until something may have happened.
    async fn pause(&mut self, until: Duration) {
        if self.desk.plan.spins {
            return tokio::task::yield_now().await;
        }
        let left = until.saturating_sub(self.now());
        if self.acks.is_empty() {
            return self.desk.clock.sleep(left).await;
        }
        // An answer that comes earlier is noted with its own time, so it need not wake anybody.
        self.desk.clock.sleep(left.min(Duration::from_millis(1))).await;
    }

    /// Notes the answers that have come.
    async fn take_acks(&mut self) -> Result<(), Error> {
        let came = poll_fn(|context| Poll::Ready(self.poll_acks(context))).await?;
        if came > 0 {
            self.tell(self.now());
        }
        Ok(())
    }

    fn poll_acks(&mut self, context: &mut Context<'_>) -> Result<u64, Error> {
        let mut came = 0;
        while let Poll::Ready(Some((from, result))) = Pin::new(&mut self.acks).poll_next(context) {
            result?;
            self.desk.tally.borrow_mut().add_ack(from, self.desk.clock.monotonic());
            came += 1;
        }
        Ok(came)
    }

    fn tell(&mut self, now: Duration) {
        let acknowledged = self.writer.acknowledged();
        self.desk.tally.borrow_mut().add_acknowledged(now, acknowledged - self.told);
        self.told = acknowledged;
    }

    /// Waits for what is under way.
    async fn close(mut self) -> Result<(), Error> {
        while let Some((from, result)) = futures_util::StreamExt::next(&mut self.acks).await {
            result?;
            self.desk.tally.borrow_mut().add_ack(from, self.desk.clock.monotonic());
        }
        self.tell(self.now());
        let (told, clock) = (self.told, self.desk.clock);
        let all = self.writer.close().await?;
        self.desk.tally.borrow_mut().add_acknowledged(clock.monotonic(), all - told);
        Ok(())
    }
}

/// An answer with the time from which it counts.
struct Timed<A> {
    from: Duration,
    ack: A,
}

impl<A: Future<Output = Result<(), Error>> + Unpin> Future for Timed<A> {
    type Output = (Duration, Result<(), Error>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let from = self.from;
        Pin::new(&mut self.ack).poll(context).map(|result| (from, result))
    }
}

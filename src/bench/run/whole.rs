//! Whole runs: produce, consume, end to end.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::{try_join, try_join_all};

use super::super::driver::Driver;
use super::super::schedule::Rate;
use super::Plan;
use super::lanes::{Chains, Depth};
use super::reading::{Reading, Written};
use super::shares::{Look, Shares};
use super::tally::Tally;
use super::writing::{Desk, Until};
use crate::base::{Error, ErrorKind, Offset};
use crate::env::Clock;

/// A run of a driver.
pub struct Run<'a, D: Driver> {
    driver: &'a D,
    plan: Plan,
    clock: Arc<dyn Clock>,
    /// The broker's process, if it is on this machine and can be looked at.
    broker: Option<u32>,
    tally: Rc<RefCell<Tally>>,
}

/// What came of a run. It was right: a wrong one is an error.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was seen.
    pub tally: Tally,
    /// How closely what was read has been held against what was written.
    pub verified: Depth,
    /// Records that were held against each other.
    pub records: u64,
    /// Who took what of the machine.
    pub shares: Shares,
}

impl<'a, D: Driver> Run<'a, D> {
    /// A run that has not begun.
    pub fn new(driver: &'a D, plan: Plan, clock: Arc<dyn Clock>, broker: Option<u32>) -> Self {
        Self { driver, plan, clock, broker, tally: Rc::default() }
    }

    /// What is seen, while it is seen.
    pub fn tally(&self) -> Rc<RefCell<Tally>> {
        self.tally.clone()
    }

    /// Writes; afterwards all of it is read back, unless its values take more than `read_back_max` bytes: then their number
    /// alone is asked for.
    ///
    /// Errors: a record is not acknowledged; what is read is not what was written.
    pub async fn produce(&self, read_back_max: u64) -> Result<Outcome, Error> {
        let from = self.driver.ends(&self.plan.topic).await?;
        let (written, shares) = self.measured(self.write(&self.plan, Until::Time)).await?;
        let bytes = written.count().saturating_mul(self.plan.size_bytes as u64);
        let depth = if bytes <= read_back_max { Depth::Bytes } else { Depth::Order };
        match depth {
            Depth::Bytes => self.read_back(&from, &written).await?,
            Depth::Order => self.count(&from, &written).await?,
        }
        Ok(self.outcome(depth, written.count(), shares))
    }

    /// Writes `records` as fast as it goes; then reads them, again and again, until the time is over. The first time
    /// all bytes are checked, later on the order alone.
    ///
    /// Errors: as [`Run::produce`].
    pub async fn consume(&self, records: u64) -> Result<Outcome, Error> {
        let from = self.driver.ends(&self.plan.topic).await?;
        let plan = Plan { rate: Rate::Max, writers: 1, ..self.plan.clone() };
        let written = self.write(&plan, Until::Records(records)).await?;
        self.read_back(&from, &written).await?;
        let ((), shares) = self.measured(self.read_again(&from, &written)).await?;
        Ok(self.outcome(Depth::Bytes, written.count(), shares))
    }

    /// Writes, and reads at the same time.
    ///
    /// Errors: as [`Run::produce`].
    pub async fn end_to_end(&self) -> Result<Outcome, Error> {
        let from = self.driver.ends(&self.plan.topic).await?;
        let mut reader = self.driver.reader(&self.plan.topic, &from).await?;
        let told = Written::default();
        let reading =
            Reading { clock: &*self.clock, tally: &self.tally, is_timed: true, depth: Depth::Bytes };
        let write = async {
            let written = self.write(&self.plan, Until::Time).await?;
            told.tell(written.count());
            Ok(written)
        };
        let both = try_join(write, reading.run(&mut reader, &told, self.nothing()));
        let ((written, read), shares) = self.measured(both).await?;
        read.check(&written, Depth::Bytes)?;
        Ok(self.outcome(Depth::Bytes, written.count(), shares))
    }

    fn nothing(&self) -> Chains {
        Chains::new(self.plan.partitions, self.plan.writers)
    }

    fn outcome(&self, verified: Depth, records: u64, shares: Shares) -> Outcome {
        let mut tally = self.tally.borrow().clone();
        tally.close_interval();
        Outcome { tally, verified, records, shares }
    }

    async fn write(&self, plan: &Plan, until: Until) -> Result<Chains, Error> {
        let chains = RefCell::new(Chains::new(plan.partitions, plan.writers));
        let open = (0..plan.writers).map(|_| self.driver.writer(&plan.topic, &plan.options));
        let writers = try_join_all(open).await?;
        self.begin();
        let desk = Desk { plan, clock: &*self.clock, tally: &self.tally, chains: &chains, until };
        try_join_all(writers.into_iter().enumerate().map(|(number, writer)| desk.write(number, writer)))
            .await?;
        Ok(chains.into_inner())
    }

    /// From now on it counts.
    fn begin(&self) {
        let now = self.clock.monotonic();
        *self.tally.borrow_mut() = Tally::new(now, self.plan.warm_up, self.plan.length());
    }

    async fn read_back(&self, from: &[Offset], written: &Chains) -> Result<(), Error> {
        let aside = RefCell::default();
        let reading = Reading { clock: &*self.clock, tally: &aside, is_timed: false, depth: Depth::Bytes };
        self.read_with(&reading, from, written).await
    }

    async fn read_with(&self, reading: &Reading<'_>, from: &[Offset], written: &Chains) -> Result<(), Error> {
        let mut reader = self.driver.reader(&self.plan.topic, from).await?;
        let nothing = written.emptied();
        let read = reading.run(&mut reader, &Written::of(written.count()), nothing).await?;
        read.check(written, reading.depth)
    }

    async fn read_again(&self, from: &[Offset], written: &Chains) -> Result<(), Error> {
        self.begin();
        let end = self.clock.monotonic() + self.plan.length();
        let depth = Depth::Order;
        let reading = Reading { clock: &*self.clock, tally: &self.tally, is_timed: false, depth };
        while self.clock.monotonic() < end {
            self.read_with(&reading, from, written).await?;
        }
        Ok(())
    }

    /// That as many records came as were written.
    async fn count(&self, from: &[Offset], written: &Chains) -> Result<(), Error> {
        let ends = self.driver.ends(&self.plan.topic).await?;
        let came: Offset = ends.iter().zip(from).map(|(end, from)| end - from).sum();
        if came.unsigned_abs() == written.count() {
            return Ok(());
        }
        let message = format!("the topic has {came} new records where {} were acknowledged", written.count());
        Err(Error::new(ErrorKind::DamagedRange, message))
    }

    /// Does `work`, and looks at what it takes between the end of the warm-up and that of the run.
    async fn measured<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<(T, Shares), Error> {
        let watch = async {
            self.clock.sleep(self.plan.warm_up).await;
            let before = Look::take(self.broker, &*self.clock);
            self.clock.sleep(self.plan.duration).await;
            Ok(before.shares(&Look::take(self.broker, &*self.clock)))
        };
        try_join(work, watch).await
    }
}

//! Carrying a run out: writers and readers side by side on one thread, what they saw, and whether it was right.
//!
//! Reading order: [`Plan`] and [`Tally`] here; [`lanes`] (who writes what), [`writing`], [`reading`], [`whole`].

mod lanes;
mod reading;
mod shares;
mod tally;
mod whole;
mod writing;

use std::time::Duration;

use super::driver::{Flush, WriteOptions};
use super::schedule::Rate;

pub use lanes::{Chains, Depth};
pub use shares::{Shares, Spent};
pub use tally::{Interval, Tally};
pub use whole::{Outcome, Run};

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The topic; it is there.
    pub topic: String,
    /// How many partitions it has.
    pub partitions: i32,
    /// What its acknowledgements mean.
    pub flush: Flush,
    /// Connections that write.
    pub writers: usize,
    /// Size of a value in bytes.
    pub size_bytes: usize,
    /// When records are due.
    pub rate: Rate,
    /// Nothing of this first time counts.
    pub warm_up: Duration,
    /// How long is measured.
    pub duration: Duration,
    /// How writers go about it.
    pub options: WriteOptions,
    /// What the values follow from.
    pub seed: u64,
    /// Whether the thread waits by looking again and again: a thread that sleeps is woken late, and the wake-up would be
    /// measured with every record.
    pub spins: bool,
}

impl Plan {
    /// From the begin to the end of what is measured.
    pub fn length(&self) -> Duration {
        self.warm_up + self.duration
    }

    /// Records that are handed over in one go where nobody waits for a time: a batch.
    fn burst(&self) -> u64 {
        (self.options.batch_bytes / self.size_bytes.max(1)).max(1) as u64
    }
}

#[cfg(test)]
mod tests;

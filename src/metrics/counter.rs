//! Counters, gauges and histograms. Recording costs relaxed atomics and nothing else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one, and gives the number with it.
    pub fn increment(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number of things that are there now.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// One more.
    pub fn enter(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less. Before: [`Self::enter`].
    pub fn leave(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// So many.
    pub fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the buckets of a histogram, in µs: from what a record in memory takes to what a sick disk takes.
pub const BOUNDS_MICROS: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// How long things took: a count for each bucket, and the sum.
#[derive(Debug, Default)]
pub struct Histogram {
    /// The last one is for what took longer than every bound.
    buckets: [Counter; BOUNDS_MICROS.len() + 1],
    sum_nanos: Counter,
}

impl Histogram {
    /// Records one duration. Cost: a look at the bounds, two relaxed additions.
    pub fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // WHY rounded up: a bound counts what took at most so long, and 100.5 µs are more than 100.
        let micros = micros.saturating_add(u64::from(!took.subsec_nanos().is_multiple_of(1_000)));
        self.buckets[BOUNDS_MICROS.partition_point(|bound| *bound < micros)].increment();
        self.sum_nanos.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How many took at most as long as each bound; the last number is how many there are.
    pub fn cumulated(&self) -> [u64; BOUNDS_MICROS.len() + 1] {
        let mut sum = 0;
        std::array::from_fn(|index| {
            sum += self.buckets[index].get();
            sum
        })
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(Counter::get).sum()
    }

    /// All durations together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        for nanos in [0, 100_000, 100_001, 250_000, 9_999_999_999, 10_000_000_000, 10_000_000_001] {
            histogram.record(Duration::from_nanos(nanos));
        }
        let cumulated = histogram.cumulated();
        assert_eq!(
            (cumulated[0], cumulated[1], cumulated[14], cumulated[15], cumulated[16]),
            (2, 4, 4, 6, 7)
        );
        assert_eq!(histogram.count(), 7);
        assert_eq!(histogram.sum(), Duration::from_nanos(30_000_450_001));
        histogram.record(Duration::MAX);
        assert_eq!(histogram.count(), 8);
    }

    #[test]
    fn gauges_come_back() {
        let (gauge, counter) = (Gauge::default(), Counter::default());
        gauge.enter();
        gauge.enter();
        gauge.leave();
        counter.increment();
        counter.add(4);
        assert_eq!((gauge.get(), counter.get()), (1, 5));
    }
}

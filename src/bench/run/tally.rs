//! What was seen so far. Pure.

use std::time::Duration;

use super::super::latency::Latencies;

/// Time of one interval.
const INTERVAL: Duration = Duration::from_secs(1);

/// Counts of a run; what belongs to its warm-up is left out of all but the intervals.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// When the run began, by the clock.
    begun: Duration,
    warm_up: Duration,
    length: Duration,
    /// Records that were acknowledged.
    pub acknowledged: u64,
    /// Records that were read.
    pub read: u64,
    /// From due (or sent, where records have no times of their own) to acknowledged.
    pub ack: Latencies,
    /// From due to sent.
    pub delay: Latencies,
    /// From due to read.
    pub end_to_end: Latencies,
    /// Second by second, warm-up included.
    pub intervals: Vec<Interval>,
    /// Latencies of the last one.
    last: Latencies,
}

/// One second of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Interval {
    /// Records that were acknowledged in it.
    pub acknowledged: u64,
    /// Records that were read in it.
    pub read: u64,
    /// Latencies of what ended in it, acknowledged and read alike: median, 99 of 100, and the longest; told when it is over.
    pub latencies: Option<[Duration; 3]>,
}

impl Tally {
    /// Of a run that begins at `begun`.
    pub(super) fn new(begun: Duration, warm_up: Duration, length: Duration) -> Self {
        Self { begun, warm_up, length, ..Self::default() }
    }

    /// When the run began, by the clock.
    pub fn begun(&self) -> Duration {
        self.begun
    }

    /// Whether what was due or sent at this moment counts.
    fn counts(&self, at: Duration) -> bool {
        let since = at.saturating_sub(self.begun);
        since >= self.warm_up && since < self.length
    }

    fn interval(&mut self, at: Duration) -> &mut Interval {
        let index = (at.saturating_sub(self.begun).as_nanos() / INTERVAL.as_nanos()) as usize;
        if self.intervals.len() <= index {
            self.close_interval();
            self.intervals.resize(index + 1, Interval::default());
        }
        &mut self.intervals[index]
    }

    /// Nothing more comes into the last interval.
    pub(super) fn close_interval(&mut self) {
        let Some(last) = self.intervals.last_mut() else { return };
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| self.last.percentile(share));
        last.latencies = p50.zip(p99).zip(max).map(|((p50, p99), max)| [p50, p99, max]);
        self.last.clear();
    }

    fn add_latency(&mut self, now: Duration, latency: Duration) {
        self.interval(now);
        self.last.add(latency);
    }

    /// So many more records were acknowledged by `now`.
    pub(super) fn add_acknowledged(&mut self, now: Duration, records: u64) {
        self.interval(now).acknowledged += records;
        if self.counts(now) {
            self.acknowledged += records;
        }
    }

    /// So many more records were read by `now`.
    pub(super) fn add_read(&mut self, now: Duration, records: u64) {
        self.interval(now).read += records;
        if self.counts(now) {
            self.read += records;
        }
    }

    /// A record that was due (or sent) at `from` was acknowledged `now`.
    pub(super) fn add_ack(&mut self, from: Duration, now: Duration) {
        let latency = now.saturating_sub(from);
        self.add_latency(now, latency);
        if self.counts(from) {
            self.ack.add(latency);
        }
    }

    /// A record that was due at `due` is sent `now`.
    pub(super) fn add_delay(&mut self, due: Duration, now: Duration) {
        if self.counts(due) {
            self.delay.add(now.saturating_sub(due));
        }
    }

    /// A record that was due at `due` was read `now`.
    pub(super) fn add_end_to_end(&mut self, due: Duration, now: Duration) {
        let latency = now.saturating_sub(due);
        self.add_latency(now, latency);
        if self.counts(due) {
            self.end_to_end.add(latency);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warm_up_and_what_comes_late_do_not_count() {
        let at = |ms: u64| Duration::from_millis(10_000 + ms);
        let mut tally = Tally::new(at(0), Duration::from_millis(1_000), Duration::from_millis(3_000));
        for (now, records) in [(at(10), 1), (at(999), 2), (at(1_000), 4), (at(2_999), 8), (at(3_000), 16)] {
            tally.add_acknowledged(now, records);
            tally.add_read(now, 2 * records);
        }
        assert_eq!((tally.acknowledged, tally.read), (12, 24));
        let seconds: Vec<u64> = tally.intervals.iter().map(|interval| interval.acknowledged).collect();
        assert_eq!(seconds, [3, 4, 8, 16]);
        // Due in time, however late the answer: it counts.
        tally.add_ack(at(500), at(3_500));
        tally.add_ack(at(2_000), at(9_000));
        assert_eq!(tally.ack.count(), 1);
        tally.add_ack(at(8_990), at(9_010));
        tally.close_interval();
        let last = tally.intervals.last().and_then(|last| last.latencies).expect("two ended in it");
        assert!(last[0] < Duration::from_millis(21) && last[2] >= Duration::from_millis(6_990), "{last:?}");
        assert_eq!(tally.intervals[3].latencies.map(|times| times[2].as_secs()), Some(3));
        assert!(tally.ack.percentile(1.0).expect("one") >= Duration::from_millis(6_990));
    }
}

//! Latencies of many records in little memory (HdrHistogram, three digits).

use std::time::Duration;

use hdrhistogram::Histogram;

/// Shortest time that is told apart.
const NANOS_MIN: u64 = 1;
/// Longest time; longer ones count as this.
const NANOS_MAX: u64 = 60 * 1_000_000_000;
/// Digits that are kept: an error below 0.1 %.
const DIGITS: u8 = 3;

/// Counts latencies.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(NANOS_MIN, NANOS_MAX, DIGITS).expect("the bounds are sound"))
    }
}

impl Latencies {
    /// Counts one latency.
    pub fn add(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts those of another one as well.
    pub fn join(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that `share` (0 to 1) of all do not exceed; `None` without any.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        (!self.0.is_empty()).then(|| Duration::from_nanos(self.0.value_at_quantile(share)))
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_known_series() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentile(0.5), None);
        let mut half = latencies.clone();
        for micros in 1..=1_000 {
            let to = if micros % 2 == 0 { &mut half } else { &mut latencies };
            to.add(Duration::from_micros(micros));
        }
        latencies.join(&half);
        assert_eq!(latencies.count(), 1_000);
        for (share, exact) in [(0.001, 1.0), (0.5, 500.0), (0.99, 990.0), (1.0, 1_000.0)] {
            let got = latencies.percentile(share).expect("not empty").as_nanos() as f64 / 1e3;
            assert!((got / exact - 1.0).abs() < 0.001, "{share}: {got}");
        }
        latencies.add(Duration::MAX);
        assert!(latencies.percentile(1.0).expect("not empty") >= Duration::from_secs(60));
        latencies.clear();
        assert_eq!(latencies.count(), 0);
    }
}

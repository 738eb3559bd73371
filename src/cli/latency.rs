//! Latencies of many requests in little memory: a histogram whose buckets grow with the value. Pure.

use std::time::Duration;

/// Buckets between two powers of two: the error of a percentile is below 1/32, about 3 %.
const STEPS: u64 = 32;
const STEP_BITS: u32 = STEPS.ilog2();
/// Buckets for every `u64` of microseconds.
const BUCKETS: usize = (64 - STEP_BITS as usize + 1) * STEPS as usize;

/// Counts latencies in microseconds.
#[derive(Clone, Debug)]
pub struct Latencies {
    buckets: Vec<u64>,
    count: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0 }
    }
}

impl Latencies {
    /// Counts one latency.
    pub fn add(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(micros)] += 1;
        self.count += 1;
    }

    /// The latency that `share` (0 to 1) of all do not exceed, rounded up to its bucket; `None` without any.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Some(Duration::from_micros(top_of(bucket)));
            }
        }
        None
    }
}

/// Below `STEPS` every value has its own bucket; above, each power of two has `STEPS` of them.
fn bucket_of(micros: u64) -> usize {
    if micros < STEPS {
        return micros as usize;
    }
    let shift = micros.ilog2() - STEP_BITS;
    ((u64::from(shift) * STEPS) + (micros >> shift)) as usize
}

/// Largest value of a bucket.
fn top_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    let from = bucket - shift * STEPS;
    ((u128::from(from) + 1) << shift).saturating_sub(1).min(u128::from(u64::MAX)) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentiles_of_a_known_series() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentile(0.5), None);
        for micros in 1..=1_000 {
            latencies.add(Duration::from_micros(micros));
        }
        for (share, exact) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1_000.0)] {
            let got = latencies.percentile(share).expect("not empty").as_micros() as f64;
            assert!(got >= exact && got <= exact * 1.04, "{share}: {got}");
        }
        assert_eq!(latencies.percentile(0.0), Some(Duration::from_micros(1)));
    }

    proptest! {
        #[test]
        fn a_bucket_holds_its_values(micros in any::<u64>()) {
            let bucket = bucket_of(micros);
            prop_assert!(bucket < BUCKETS);
            prop_assert!(top_of(bucket) >= micros);
            prop_assert!(bucket == 0 || top_of(bucket - 1) < micros);
        }
    }
}

//! When records are due. Pure.

use std::time::Duration;

/// How many records a second.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Rate {
    /// As many as the broker takes.
    Max,
    /// One at a time: the next when the one before is acknowledged.
    Lone,
    /// Steadily so many.
    Steady(f64),
    /// Rising or falling evenly from one to the other over the whole run.
    Ramp(f64, f64),
}

impl Rate {
    /// Whether records are due at times of their own, whatever became of those before.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Steady(_) | Self::Ramp(..))
    }

    /// When record `number` of one of `writers` is due, counted from the begin of a run of `length`; zero where records
    /// have no times of their own. Beyond the end of a ramp its last rate goes on.
    pub fn due(self, number: u64, writers: usize, length: Duration) -> Duration {
        let number = number as f64 * writers as f64;
        let seconds = match self {
            Self::Max | Self::Lone => 0.0,
            Self::Steady(rate) => number / rate,
            Self::Ramp(from, to) => ramp_seconds(number, from, to, length.as_secs_f64()),
        };
        Duration::from_secs_f64(seconds)
    }
}

/// The time at which `number` records are due: the root of `from·t + (to − from)/2·t²/length = number`.
fn ramp_seconds(number: f64, from: f64, to: f64, length: f64) -> f64 {
    let in_ramp = (from + to) / 2.0 * length;
    if number >= in_ramp {
        return length + (number - in_ramp) / to;
    }
    let slope = (to - from) / length;
    // WHY this form of the root: it holds for a slope of zero too.
    2.0 * number / (from + (from * from + 2.0 * slope * number).max(0.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Duration = Duration::from_secs(10);

    #[test]
    fn a_steady_rate_is_shared_by_the_writers() {
        assert_eq!(Rate::Steady(1_000.0).due(500, 1, TEN), Duration::from_millis(500));
        assert_eq!(Rate::Steady(1_000.0).due(500, 4, TEN), Duration::from_secs(2));
        assert_eq!(Rate::Max.due(500, 1, TEN), Duration::ZERO);
    }

    #[test]
    fn a_ramp_meets_its_rates_and_goes_on_after_its_end() {
        let ramp = Rate::Ramp(100.0, 300.0);
        let at = |number| ramp.due(number, 1, TEN).as_secs_f64();
        let rate_at = |number| 1.0 / (at(number + 1) - at(number));
        assert!((rate_at(1) - 100.0).abs() < 2.0 && (rate_at(1_990) - 300.0).abs() < 2.0);
        assert!((at(2_000) - 10.0).abs() < 0.01, "the mean rate is 200");
        assert!((rate_at(3_000) - 300.0).abs() < 0.01);
        let flat = Rate::Ramp(50.0, 50.0);
        assert_eq!(flat.due(100, 1, TEN), Duration::from_secs(2));
        let falling = Rate::Ramp(300.0, 100.0);
        assert!((0..2_500).all(|n| falling.due(n, 1, TEN) < falling.due(n + 1, 1, TEN)));
    }
}

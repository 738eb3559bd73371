//! Records and bytes a second over the last seconds: the counters are looked at every few seconds, and a rate is what was
//! counted since the look before the last one. Nothing is done where records are written or read.

use std::time::Duration;

use super::registry::TopicCounters;

/// Between two looks: a rate covers the last 5 to 10 s.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Records and bytes a second.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Rate {
    /// Records written.
    pub records_in: f64,
    /// Bytes of their batches.
    pub bytes_in: f64,
    /// Records given to readers.
    pub records_out: f64,
    /// Bytes of what was given.
    pub bytes_out: f64,
    /// The time that they cover, which ends now.
    pub window: Duration,
}

/// What counters said at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Counts {
    records_in: u64,
    bytes_in: u64,
    records_out: u64,
    bytes_out: u64,
}

impl Counts {
    /// Of this moment.
    pub(super) fn of(counters: &TopicCounters) -> Self {
        Self {
            records_in: counters.records_in.get(),
            bytes_in: counters.bytes_in.get(),
            records_out: counters.records_out.get(),
            bytes_out: counters.bytes_out.get(),
        }
    }

    /// What was counted since `before`, a second; nothing where no time has passed.
    pub(super) fn rate_since(self, before: Self, window: Duration) -> Rate {
        let seconds = window.as_secs_f64();
        let rate = |before: u64, now: u64| match seconds > 0.0 {
            true => now.saturating_sub(before) as f64 / seconds,
            false => 0.0,
        };
        Rate {
            records_in: rate(before.records_in, self.records_in),
            bytes_in: rate(before.bytes_in, self.bytes_in),
            records_out: rate(before.records_out, self.records_out),
            bytes_out: rate(before.bytes_out, self.bytes_out),
            window,
        }
    }
}

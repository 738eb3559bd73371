//! What became of the records of a `produce`: counts, latencies, the line at the end.

use std::time::Duration;

use crate::base::size::print_bytes;
use crate::base::{Error, ErrorKind};
use crate::bench::Latencies;
use crate::cli::exit::{Exit, Failure, reason};
use crate::cli::output::{count, thousands};

/// Different failures that are printed; the rest is counted.
const ERRORS_SHOWN_MAX: u64 = 10;

/// Counts of a run.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) delivered: u64,
    pub(super) failed: u64,
    bytes: u64,
    latencies: Latencies,
    exit: Exit,
    hopeless: Option<String>,
    first: Option<(ErrorKind, String)>,
    shown: u64,
    last_shown: String,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            delivered: 0,
            failed: 0,
            bytes: 0,
            latencies: Latencies::default(),
            exit: Exit::Done,
            hopeless: None,
            first: None,
            shown: 0,
            last_shown: String::new(),
        }
    }

    /// Counts a record of `bytes` that was acknowledged after `latency`.
    pub(super) fn delivered(&mut self, bytes: u64, latency: Duration) {
        self.delivered += 1;
        self.bytes += bytes;
        self.latencies.add(latency);
    }

    /// Counts a record that failed. True when its error is to be printed: the records of a batch fail alike.
    pub(super) fn failed(&mut self, error: &Error) -> bool {
        self.failed += 1;
        self.exit = self.exit.and(Exit::of_error(error));
        self.first.get_or_insert_with(|| (error.kind, error.message.clone()));
        self.hopeless = self.hopeless.take().or_else(|| hopeless(error));
        if self.shown == ERRORS_SHOWN_MAX || self.last_shown == error.message {
            return false;
        }
        self.shown += 1;
        self.last_shown.clone_from(&error.message);
        true
    }

    /// Why records that were not sent yet have no better chance, in words.
    pub(super) fn hopeless(&self) -> Option<&str> {
        self.hopeless.as_deref()
    }

    /// How many failures were not printed.
    pub(super) fn hidden(&self) -> u64 {
        self.failed - self.shown
    }

    /// What the document of the failure says: how many records failed, and why the first one did.
    pub(super) fn failure(&self) -> Option<Failure> {
        let (kind, first) = self.first.as_ref()?;
        let failed = count(self.failed, "record");
        Some(Failure::said(self.exit, Some(*kind), format!("{failed} failed; the first: {first}")))
    }

    /// The line at the end. Without acknowledgements (`acks=0`) there are no latencies to tell.
    pub(super) fn summary(&self, topic: &str, elapsed: Duration, acknowledged: bool) -> String {
        let seconds = elapsed.as_secs_f64();
        let rate = if seconds > 0.0 { self.delivered as f64 / seconds } else { 0.0 };
        let quantile = |share| self.latencies.percentile(share).filter(|_| acknowledged);
        let acks = match (quantile(0.5), quantile(0.99)) {
            (Some(p50), Some(p99)) => format!(", ack p50 {} p99 {}", millis(p50), millis(p99)),
            _ => String::new(),
        };
        format!(
            "produced {} ({}) to {topic} in {}: {}/s{acks}, {} failed",
            count(self.delivered, "record"),
            print_bytes(self.bytes),
            seconds_text(seconds),
            thousands(rate.round() as i64),
            thousands(self.failed),
        )
    }

    /// The line while it runs.
    pub(super) fn progress(&self, elapsed: Duration) -> String {
        let rate = self.delivered as f64 / elapsed.as_secs_f64().max(0.001);
        format!(
            "{} ({}), {}/s, {} failed",
            count(self.delivered, "record"),
            print_bytes(self.bytes),
            thousands(rate.round() as i64),
            thousands(self.failed)
        )
    }
}

/// A record whose time was over is a word about all that would follow: the broker is away, or refuses for a reason that
/// lasts.
fn hopeless(error: &Error) -> Option<String> {
    match (error.kind, reason(error)) {
        (ErrorKind::TimedOut, reason) if Exit::of_error(error) == Exit::Failed => {
            let row = reason.kind.row();
            Some(format!("the broker refuses records with {}; {}", row.reason, row.advice))
        }
        _ if Exit::of_error(error) == Exit::Unreachable => Some(
            "the broker can't be reached; check --bootstrap and that it runs, or give more time with --timeout"
                .to_owned(),
        ),
        _ => None,
    }
}

/// `50.0 s`, or `0.02 s` for what is short.
fn seconds_text(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.2} s") } else { format!("{seconds:.1} s") }
}

fn millis(latency: Duration) -> String {
    format!("{:.1} ms", latency.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_documentation() {
        let mut tally = Tally::new();
        for _ in 0..1_000 {
            tally.delivered(223, Duration::from_micros(1_100));
        }
        let line = tally.summary("orders", Duration::from_secs(50), true);
        assert_eq!(
            line,
            "produced 1,000 records (217.8 KiB) to orders in 50.0 s: 20/s, ack p50 1.1 ms p99 1.1 ms, 0 failed"
        );
        assert!(!tally.summary("orders", Duration::from_secs(50), false).contains("ack p50"));
    }

    #[test]
    fn nothing_at_all_is_told_too() {
        let line = Tally::new().summary("t", Duration::ZERO, true);
        assert_eq!(line, "produced 0 records (0 B) to t in 0.00 s: 0/s, 0 failed");
    }

    #[test]
    fn failures_are_counted_and_the_first_ones_shown() {
        let mut tally = Tally::new();
        let alike = (0..5).filter(|_| tally.failed(&Error::new(ErrorKind::TimedOut, "x"))).count();
        assert_eq!(alike, 1, "the same error once");
        let shown = (0..45).filter(|n| tally.failed(&Error::new(ErrorKind::TimedOut, n.to_string()))).count();
        assert_eq!((shown, tally.failed, tally.hidden(), tally.exit), (9, 50, 40, Exit::Unreachable));
        tally.failed(&Error::new(ErrorKind::DiskFull, "x"));
        assert_eq!(tally.exit, Exit::Failed);
    }

    #[test]
    fn what_lasts_stops_the_run_and_is_named() {
        let full = Error::new(ErrorKind::DiskFull, "no room");
        let mut tally = Tally::new();
        tally.failed(&Error::new(ErrorKind::RecordTooLarge, "x"));
        assert_eq!(tally.hopeless(), None, "the next record may be smaller");
        tally.failed(&Error::new(ErrorKind::TimedOut, "x").caused_by(full));
        let words = tally.hopeless().expect("no room for others either");
        assert!(words.starts_with("the broker refuses records with DISK_FULL; free space"), "{words}");
        assert_eq!(tally.exit, Exit::Failed);
        let mut tally = Tally::new();
        tally.failed(&Error::new(ErrorKind::TimedOut, "x"));
        assert!(tally.hopeless().expect("away").contains("can't be reached"));
        assert_eq!(tally.exit, Exit::Unreachable);
    }
}

//! The line that tells how a run fares while it runs.

use std::cell::RefCell;
use std::time::Duration;

use crate::base::time::print_ms;
use crate::bench::run::Tally;
use crate::cli::context::Context;
use crate::cli::output::thousands;
use crate::cli::progress::Progress;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Draws until it is dropped.
pub(super) async fn draw(context: &Context, tally: &RefCell<Tally>, length: Duration) {
    let mut progress = Progress::new(context.monotonic(), context.global.quiet);
    loop {
        context.sleep(LOOK_EVERY).await;
        let now = context.monotonic();
        progress.tick(now, || line(&tally.borrow(), now, length));
    }
}

fn line(tally: &Tally, now: Duration, length: Duration) -> String {
    let since = now.saturating_sub(tally.begun());
    let last = tally.intervals.iter().rev().nth(1).or(tally.intervals.last());
    let (written, read) = last.map_or((0, 0), |last| (last.acknowledged, last.read));
    let latencies = last.and_then(|last| last.latencies).map(times);
    format!(
        "{:.1}s/{}  in {}/s  out {}/s{}",
        since.as_secs_f64(),
        print_ms(crate::base::time::as_ms(length)),
        thousands(written as i128),
        thousands(read as i128),
        latencies.unwrap_or_default(),
    )
}

fn times(times: [Duration; 3]) -> String {
    let [p50, p99, max] = times.map(|time| time.as_secs_f64() * 1e3);
    format!("  p50 {p50:.2} p99 {p99:.2} max {max:.2} ms")
}

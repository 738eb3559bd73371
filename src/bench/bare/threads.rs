//! H: from one thread to another and back.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use super::super::latency::Latencies;
use crate::env::Clock;
use crate::env::threads::spawn;

/// Times round trips for `duration`.
///
/// Errors: the operating system refuses another thread.
pub fn round_trips(clock: &dyn Clock, duration: Duration) -> std::io::Result<Latencies> {
    let (to, other) = sync_channel::<()>(1);
    let (back, from) = sync_channel::<()>(1);
    // It ends when nobody asks any more.
    let echo = spawn("bench-echo", move || while other.recv().is_ok() && back.send(()).is_ok() {})?;
    let mut latencies = Latencies::default();
    let end = clock.monotonic() + duration;
    loop {
        let sent_at = clock.monotonic();
        if sent_at >= end {
            break;
        }
        let answered = to.send(()).is_ok() && from.recv().is_ok();
        debug_assert!(answered, "the other thread waits for this one");
        latencies.add(clock.monotonic() - sent_at);
    }
    drop(to);
    // It has no result, and does not panic.
    let _ = echo.join();
    Ok(latencies)
}

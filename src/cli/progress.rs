//! One line on stderr that is drawn again and again: only on a terminal, only for work that takes over a second.

use std::io::{self, IsTerminal, Write};
use std::pin::pin;
use std::time::Duration;

use super::context::Context;
use super::output::shown;

/// Shorter work shows nothing.
const SHOWN_AFTER: Duration = Duration::from_secs(1);
/// Time between two drawings.
const REDRAW_EVERY: Duration = Duration::from_millis(100);

/// A terminal that is too narrow cuts the line instead of breaking it: a broken one could not be taken away.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// A progress line.
#[derive(Debug)]
pub struct Progress {
    allowed: bool,
    begun: Duration,
    drawn: Option<Duration>,
}

/// Does `work`, which asks the broker; when that takes over a second, a line tells for how long it has waited.
pub async fn with_progress<T>(context: &Context, work: impl Future<Output = T>) -> T {
    let broker = &context.global.bootstrap;
    let begun = context.monotonic();
    let mut progress = Progress::new(begun, context.global.quiet);
    let mut work = pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                progress.clear();
                return done;
            }
            () = context.sleep(REDRAW_EVERY) => {
                let now = context.monotonic();
                let seconds = now.saturating_sub(begun).as_secs();
                progress.tick(now, || format!("waiting for the broker at {broker} ... {seconds} s"));
            }
        }
    }
}

impl Progress {
    /// A line for work that begins `now` (monotonic); drawn if stderr is a terminal and `quiet` is false.
    pub fn new(now: Duration, quiet: bool) -> Self {
        Self { allowed: !quiet && io::stderr().is_terminal(), begun: now, drawn: None }
    }

    /// Draws `line()` when it is time to.
    pub fn tick(&mut self, now: Duration, line: impl FnOnce() -> String) {
        if !self.is_due(now) {
            return;
        }
        self.drawn = Some(now);
        // WHY: stderr that is gone is no reason to stop the work.
        let _ = write!(io::stderr(), "\r\x1b[2K{NO_WRAP}{}{WRAP}", shown(&line()));
    }

    /// Takes the line away, before something else is printed.
    pub fn clear(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }

    fn is_due(&self, now: Duration) -> bool {
        self.allowed
            && now.saturating_sub(self.begun) >= SHOWN_AFTER
            && self.drawn.is_none_or(|drawn| now.saturating_sub(drawn) >= REDRAW_EVERY)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_after_a_second_and_then_ten_times_a_second() {
        let at = Duration::from_millis;
        let mut progress = Progress { allowed: true, begun: at(500), drawn: None };
        assert!(!progress.is_due(at(1_400)));
        assert!(progress.is_due(at(1_500)));
        progress.drawn = Some(at(1_500));
        assert!(!progress.is_due(at(1_599)));
        assert!(progress.is_due(at(1_600)));
        progress.allowed = false;
        assert!(!progress.is_due(at(9_999)));
    }
}

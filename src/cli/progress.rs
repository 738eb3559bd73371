//! One line on stderr that is drawn again and again: only on a terminal, only for work that takes over a second.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Shorter work shows nothing.
const SHOWN_AFTER: Duration = Duration::from_secs(1);
/// Time between two drawings.
const REDRAW_EVERY: Duration = Duration::from_millis(100);

/// A progress line.
#[derive(Debug)]
pub struct Progress {
    allowed: bool,
    begun: Duration,
    drawn: Option<Duration>,
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
        let _ = write!(io::stderr(), "\r\x1b[2K{}", line());
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

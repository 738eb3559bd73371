//! What happened, as a hash that tells whether two runs were the same, and on request as lines.

use std::fmt;
use std::time::Duration;

use crate::event::Event;

/// The story of a run.
pub(super) struct Trace {
    hash: u64,
    lines: u64,
    is_printed: bool,
}

impl Trace {
    pub(super) fn new(is_printed: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: 0, is_printed }
    }

    pub(super) fn add(&mut self, at: Duration, event: &Event) {
        self.note(at, format_args!("{event:?}"));
    }

    /// Something besides the events.
    pub(super) fn note(&mut self, at: Duration, what: fmt::Arguments<'_>) {
        let line = format!("{:>9} ms {what}", at.as_millis());
        // FNV-1a.
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.lines += 1;
        if self.is_printed {
            println!("{line}");
        }
    }

    /// The same for the same story.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn lines(&self) -> u64 {
        self.lines
    }
}

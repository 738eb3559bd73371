//! What is said on stderr. Nothing here fails: a line that nobody takes is lost, and costs nothing else.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::OnceLock;
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};

use super::output::shown;
use crate::env::LossyLines;

/// Most bytes that wait for a reader of stderr: some thousand lines.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// How long the end of the process waits for a reader of stderr.
const FLUSH_WAIT: Duration = Duration::from_secs(1);

/// Lines that wait, in a process that must not.
static QUEUE: OnceLock<LossyLines> = OnceLock::new();

/// Makes all that is said from now on wait for its reader in a bounded queue, and nobody else: for a process that serves.
pub fn never_wait() {
    // A process without another thread to spare waits for its reader.
    if let Ok(lines) = LossyLines::start(io::stderr(), WAITING_BYTES_MAX) {
        // Who was called before has made it so already.
        let _ = QUEUE.set(lines);
    }
}

/// Makes a panic say what it is through here, from now on in the whole process: a reader that is stuck holds its end up for a
/// second at most, where the standard library would wait for ever.
pub fn tell_panics() {
    panic::set_hook(Box::new(|what| {
        // A panic in this very thread of lines waits for itself no longer than for anybody else.
        never_wait();
        say(&panic_text(what));
        flush();
    }));
}

fn panic_text(what: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("(unnamed)").to_owned();
    let place = what.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let message = what.payload_as_str().unwrap_or("(no words)");
    let trace = Backtrace::capture();
    let trace = match trace.status() {
        BacktraceStatus::Captured => format!("\n{trace}"),
        _ => "\nRUST_BACKTRACE=1 tells how it came there".to_owned(),
    };
    format!(
        "weir {} has a bug and ends: thread '{name}' panicked at {place}:\n{message}\nplease report it with these lines{trace}",
        env!("CARGO_PKG_VERSION")
    )
}

/// Says a line: without its colours where those are not wanted.
pub fn say(line: &str) {
    let mut text = match AutoStream::choice(&io::stderr()) {
        ColorChoice::Never => anstream::adapter::strip_str(line).to_string(),
        _ => line.to_owned(),
    };
    text.push('\n');
    put(text.as_bytes());
}

/// Waits until everything is said, a second at most.
pub fn flush() {
    if let Some(lines) = QUEUE.get() {
        lines.flush(FLUSH_WAIT);
    }
}

fn put(lines: &[u8]) {
    match QUEUE.get() {
        Some(queue) => queue.put(lines),
        None => {
            // Nobody is left to tell that nobody listens.
            let _ = io::stderr().write_all(lines);
        }
    }
}

/// Lines of the log with what a terminal would obey made visible. Escapes stay: they are the log's own colours, it makes those of others
/// visible itself.
fn as_shown(lines: &[u8]) -> String {
    let lines = String::from_utf8_lossy(lines);
    lines.split('\x1b').map(shown).collect::<Vec<_>>().join("\x1b")
}

/// The log's way to stderr: takes everything, whatever becomes of it.
#[derive(Clone, Copy, Debug)]
pub struct Log;

impl Write for Log {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        put(as_shown(lines).as_bytes());
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_log_keep_their_colours_and_nothing_else() {
        let line = "\x1b[32mINFO\x1b[0m topic \u{9b}2J\u{202e} ż\n";
        assert_eq!(as_shown(line.as_bytes()), "\x1b[32mINFO\x1b[0m topic \\u{9b}2J\\u{202e} ż\n");
    }
}

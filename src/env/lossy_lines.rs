//! Lines for a writer that may block for ever, such as a pipe that nobody reads: whoever gives a line never waits.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::threads;

/// A bounded queue of lines before a writer, and a thread that empties it. What does not fit is left out; the writer is
/// told how many lines were. A writer that fails loses lines, and nothing else happens.
pub struct LossyLines {
    shared: Arc<Shared>,
}

struct Shared {
    bytes_max: usize,
    queue: Mutex<Queue>,
    /// There are lines, or none any more.
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    /// Lines that wait, one behind the other.
    waiting: Vec<u8>,
    /// Lines left out behind those that wait.
    left_out: u64,
    is_writing: bool,
}

impl LossyLines {
    /// A queue of at most `bytes_max` bytes, or of one line that is longer, before `writer`.
    ///
    /// Errors: the operating system refuses another thread.
    pub fn start(writer: impl Write + Send + 'static, bytes_max: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared { bytes_max, queue: Mutex::default(), changed: Condvar::new() });
        let theirs = shared.clone();
        // It lives as long as the process: a thread that is stuck in a write can't be ended.
        threads::spawn("lines", move || write_all_of(&theirs, writer))?;
        Ok(Self { shared })
    }

    /// Gives a line, with its newline. Cost: a copy; no I/O.
    pub fn put(&self, line: &[u8]) {
        let mut queue = self.shared.queue.lock();
        let fits = queue.waiting.is_empty() || queue.waiting.len() + line.len() <= self.shared.bytes_max;
        // WHY none after one that was left out: lines keep their order, and the gap its place.
        if fits && queue.left_out == 0 {
            queue.waiting.extend_from_slice(line);
            self.shared.changed.notify_all();
        } else {
            queue.left_out += 1;
        }
    }

    /// Waits until the writer has taken every line, `wait` at most. Says whether it has.
    pub fn flush(&self, wait: Duration) -> bool {
        let mut queue = self.shared.queue.lock();
        let is_busy = |queue: &mut Queue| queue.is_writing || !queue.waiting.is_empty();
        !self.shared.changed.wait_while_for(&mut queue, is_busy, wait).timed_out()
    }
}

fn write_all_of(shared: &Shared, mut writer: impl Write) {
    loop {
        let mut queue = shared.queue.lock();
        shared.changed.wait_while(&mut queue, |queue| queue.waiting.is_empty());
        let mut lines = std::mem::take(&mut queue.waiting);
        match std::mem::take(&mut queue.left_out) {
            0 => {}
            count => lines.extend_from_slice(gap(count).as_bytes()),
        }
        queue.is_writing = true;
        drop(queue);
        // A writer that refuses lines has lost them: there is nobody left to tell.
        let _ = writer.write_all(&lines).and_then(|()| writer.flush());
        shared.queue.lock().is_writing = false;
        shared.changed.notify_all();
    }
}

fn gap(count: u64) -> String {
    format!("... {count} lines are left out here: whoever reads this did not keep up\n")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Writes only when it is told to, and tells what it wrote.
    struct Slow {
        go: Receiver<()>,
        wrote: Sender<String>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.go.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            let _ = self.wrote.send(String::from_utf8(bytes.to_vec()).expect("text"));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_writer_that_is_stuck_costs_lines_and_no_time() {
        let ((go, told), (wrote, written)) = (channel(), channel());
        let lines = LossyLines::start(Slow { go: told, wrote }, 10).expect("a thread");
        lines.put(b"first\n");
        while !lines.shared.queue.lock().is_writing {
            std::thread::yield_now();
        }
        for line in ["12345\n", "too long\n", "x\n", "y\n"] {
            lines.put(line.as_bytes());
        }
        assert!(!lines.flush(Duration::ZERO), "nothing is written yet");
        go.send(()).expect("it waits");
        go.send(()).expect("it waits");
        assert!(lines.flush(LONG));
        let all: Vec<String> = written.try_iter().collect();
        assert_eq!(all, ["first\n".to_owned(), format!("12345\n{}", gap(3))]);
        go.send(()).expect("it waits");
        lines.put(b"after\n");
        assert!(lines.flush(LONG));
        assert_eq!(written.try_recv().expect("written"), "after\n");
    }

    #[test]
    fn a_writer_that_fails_loses_lines_and_nothing_else() {
        let ((go, told), (wrote, _written)) = (channel(), channel());
        drop(go);
        let lines = LossyLines::start(Slow { go: told, wrote }, 10).expect("a thread");
        for _ in 0..3 {
            lines.put(b"a line\n");
            assert!(lines.flush(LONG));
        }
    }
}

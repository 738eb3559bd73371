//! Lines of a file or of stdin, read on a thread of their own so that acknowledgements are seen meanwhile.
//!
//! A line ends at `\n` (a `\r` before it stays); a last line without one counts; an empty line is a line. Memory: a few
//! chunks of 64 KiB, or one line when that is longer.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use bytes::Bytes;
use tokio::sync::mpsc;

/// No topic takes a record of this size, however it is written down.
const LINE_BYTES_MAX: usize = 16 << 20;
/// Bytes asked from the file at once.
const READ_BYTES: usize = 64 << 10;
/// Chunks that wait for being sent.
const CHUNKS_MAX: usize = 4;

/// One line without its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    pub(super) text: Bytes,
}

/// Lines that came in one read, or why there are no more.
pub(super) type Chunk = Result<Vec<Line>, String>;

/// Opens a file (`-` or none: stdin) and begins to read it.
///
/// Errors: the file can't be opened.
pub(super) fn lines(file: Option<&Path>) -> Result<mpsc::Receiver<Chunk>, String> {
    let source: Box<dyn Read + Send> = match file.filter(|path| *path != Path::new("-")) {
        Some(path) => Box::new(open(path)?),
        None => Box::new(io::stdin()),
    };
    let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
    tokio::task::spawn_blocking(move || {
        read_lines(&mut BufReader::with_capacity(READ_BYTES, source), |chunk| {
            sender.blocking_send(chunk).is_ok()
        });
    });
    Ok(receiver)
}

#[allow(clippy::disallowed_methods, reason = "a file that the user names, not the broker's disk")]
fn open(path: &Path) -> Result<File, String> {
    File::open(path).map_err(|error| format!("can't read {}: {error}", path.display()))
}

/// Gives chunks of lines to `take` until there are no more, or `take` wants no more.
fn read_lines(source: &mut impl BufRead, mut take: impl FnMut(Chunk) -> bool) {
    let mut number = 0;
    let mut unfinished: Vec<u8> = Vec::new();
    loop {
        let bytes = match source.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                take(Err(format!("can't read on after line {number}: {error}")));
                return;
            }
        };
        let length = bytes.len();
        if length == 0 {
            break;
        }
        let chunk = split(bytes, &mut unfinished, &mut number);
        source.consume(length);
        if !chunk.is_empty() && !take(Ok(chunk)) {
            return;
        }
        if unfinished.len() > LINE_BYTES_MAX {
            take(Err(format!("line {} is longer than 16 MiB: no topic takes such a record", number + 1)));
            return;
        }
    }
    if !unfinished.is_empty() {
        take(Ok(vec![Line { number: number + 1, text: unfinished.into() }]));
    }
}

/// The lines that end in `bytes`; what is left over goes to `unfinished`.
fn split(bytes: &[u8], unfinished: &mut Vec<u8>, number: &mut u64) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let text = if unfinished.is_empty() {
            Bytes::copy_from_slice(&rest[..end])
        } else {
            unfinished.extend_from_slice(&rest[..end]);
            std::mem::take(unfinished).into()
        };
        *number += 1;
        lines.push(Line { number: *number, text });
        rest = &rest[end + 1..];
    }
    unfinished.extend_from_slice(rest);
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(input: &[u8], capacity: usize) -> Vec<Line> {
        let mut all = Vec::new();
        read_lines(&mut BufReader::with_capacity(capacity, input), |chunk| {
            all.extend(chunk.expect("memory is always read"));
            true
        });
        all
    }

    fn texts(input: &[u8], capacity: usize) -> Vec<String> {
        read(input, capacity).iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
    }

    #[test]
    fn the_last_line_counts_and_empty_lines_are_lines() {
        assert_eq!(texts(b"", 8), [""; 0]);
        assert_eq!(texts(b"\n", 8), [""]);
        assert_eq!(texts(b"a\n\nb", 8), ["a", "", "b"]);
        assert_eq!(texts(b"a\r\nb\n", 8), ["a\r", "b"]);
    }

    #[test]
    fn a_line_without_end_is_not_kept_in_memory() {
        let mut endless = BufReader::new(io::repeat(b'x'));
        let mut last = None;
        read_lines(&mut endless, |chunk| {
            last = Some(chunk);
            true
        });
        assert!(last.expect("an error").expect_err("too long").contains("line 1 is longer"));
    }

    #[test]
    fn a_taker_that_wants_no_more_ends_the_reading() {
        let mut calls = 0;
        read_lines(&mut BufReader::with_capacity(2, &b"a\nb\nc\n"[..]), |_| {
            calls += 1;
            false
        });
        assert_eq!(calls, 1);
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_they_arrive(input in "[ab\\n]{0,60}", capacity in 1usize..20) {
            let mut expected: Vec<&str> = input.split('\n').collect();
            if expected.last() == Some(&"") {
                expected.pop();
            }
            prop_assert_eq!(texts(input.as_bytes(), capacity), expected);
            let lines = read(input.as_bytes(), capacity);
            prop_assert!(lines.iter().zip(1..).all(|(line, number)| line.number == number));
        }
    }
}

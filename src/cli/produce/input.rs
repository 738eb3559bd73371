//! Lines of a file or of stdin, read on a thread of their own so that acknowledgements are seen meanwhile.
//!
//! A line ends at the delimiter (of `\r\n` the `\r` stays in the line where the delimiter is `\n`); a last line without one
//! counts; an empty line is a line. Without a delimiter the whole input is one line. Memory: a few chunks of 64 KiB, or one
//! line when that is longer.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::args::ProduceArgs;
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

/// Opens a file (`-` or none: stdin) and begins to read it; an empty `delimiter` is found nowhere.
///
/// Errors: the file can't be opened.
pub(super) fn lines(file: Option<&Path>, delimiter: Vec<u8>) -> Result<mpsc::Receiver<Chunk>, String> {
    let source: Box<dyn Read + Send> = match file.filter(|path| *path != Path::new("-")) {
        Some(path) => Box::new(open(path)?),
        None => Box::new(io::stdin()),
    };
    let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
    tokio::task::spawn_blocking(move || {
        let mut splitter = Splitter { delimiter, unfinished: Vec::new(), number: 0 };
        read_lines(&mut BufReader::with_capacity(READ_BYTES, source), &mut splitter, |chunk| {
            sender.blocking_send(chunk).is_ok()
        });
    });
    Ok(receiver)
}

#[allow(clippy::disallowed_methods, reason = "a file that the user names, not the broker's disk")]
fn open(path: &Path) -> Result<File, String> {
    File::open(path).map_err(|error| format!("can't read {}: {error}", path.display()))
}

/// What a message calls a record of the input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    /// One of the values on the command line.
    Value,
    /// A line.
    Line,
    /// What ends where `-D` says.
    Record,
    /// All of it.
    Whole,
}

impl Unit {
    /// As the arguments say.
    pub(super) fn of(args: &ProduceArgs) -> Self {
        match () {
            () if !args.values.is_empty() => Self::Value,
            () if args.whole => Self::Whole,
            () if args.delimiter.is_some() => Self::Record,
            () => Self::Line,
        }
    }

    /// The one with this number, counted from 1.
    pub(super) fn place(self, number: u64) -> String {
        match self {
            Self::Value => format!("value {number}"),
            Self::Line => format!("line {number}"),
            Self::Record => format!("record {number}"),
            Self::Whole => "the record".to_owned(),
        }
    }
}

/// Gives chunks of lines to `take` until there are no more, or `take` wants no more.
fn read_lines(source: &mut impl BufRead, splitter: &mut Splitter, mut take: impl FnMut(Chunk) -> bool) {
    loop {
        let bytes = match source.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                take(Err(format!("can't read on after line {}: {error}", splitter.number)));
                return;
            }
        };
        let length = bytes.len();
        if length == 0 {
            break;
        }
        let chunk = splitter.split(bytes);
        source.consume(length);
        if !chunk.is_empty() && !take(Ok(chunk)) {
            return;
        }
        if splitter.unfinished.len() > LINE_BYTES_MAX {
            let number = splitter.number + 1;
            take(Err(format!("line {number} is longer than 16 MiB: no topic takes such a record")));
            return;
        }
    }
    if let Some(last) = splitter.last() {
        take(Ok(vec![last]));
    }
}

/// Bytes as they come, into lines.
struct Splitter {
    /// Empty: everything is one line.
    delimiter: Vec<u8>,
    unfinished: Vec<u8>,
    number: u64,
}

impl Splitter {
    /// The lines that end in `bytes`; what is left over is kept.
    fn split(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut rest = bytes;
        while let Some(end) = self.end_of_line(rest) {
            let length = self.unfinished.len() + end;
            let text = if self.unfinished.is_empty() {
                Bytes::copy_from_slice(&rest[..length - self.delimiter.len()])
            } else {
                self.unfinished.extend_from_slice(&rest[..end]);
                self.unfinished.truncate(length - self.delimiter.len());
                std::mem::take(&mut self.unfinished).into()
            };
            self.number += 1;
            lines.push(Line { number: self.number, text });
            rest = &rest[end..];
        }
        self.unfinished.extend_from_slice(rest);
        lines
    }

    /// Where in `bytes`, which follow what is unfinished, the first line is over, delimiter included.
    fn end_of_line(&self, bytes: &[u8]) -> Option<usize> {
        let (last, before) = self.delimiter.split_last()?;
        let is_over = |end: &usize| {
            let here = &bytes[..*end];
            let missing = before.len().saturating_sub(here.len());
            let known = &before[missing..];
            here.ends_with(known) && self.unfinished.ends_with(&before[..missing])
        };
        let ends = bytes.iter().enumerate().filter(|(_, byte)| *byte == last).map(|(at, _)| at);
        ends.into_iter().find(is_over).map(|at| at + 1)
    }

    /// The line that no delimiter ended. An input that is one line has one even when it is empty.
    fn last(&mut self) -> Option<Line> {
        if self.unfinished.is_empty() && !self.delimiter.is_empty() {
            return None;
        }
        self.number += 1;
        Some(Line { number: self.number, text: std::mem::take(&mut self.unfinished).into() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn splitter(delimiter: &[u8]) -> Splitter {
        Splitter { delimiter: delimiter.to_vec(), unfinished: Vec::new(), number: 0 }
    }

    fn read_with(delimiter: &[u8], input: &[u8], capacity: usize) -> Vec<Line> {
        let mut all = Vec::new();
        read_lines(&mut BufReader::with_capacity(capacity, input), &mut splitter(delimiter), |chunk| {
            all.extend(chunk.expect("memory is always read"));
            true
        });
        all
    }

    fn read(input: &[u8], capacity: usize) -> Vec<Line> {
        read_with(b"\n", input, capacity)
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
        read_lines(&mut endless, &mut splitter(b"\n"), |chunk| {
            last = Some(chunk);
            true
        });
        assert!(last.expect("an error").expect_err("too long").contains("line 1 is longer"));
    }

    #[test]
    fn a_taker_that_wants_no_more_ends_the_reading() {
        let mut calls = 0;
        let mut input = BufReader::with_capacity(2, &b"a\nb\nc\n"[..]);
        read_lines(&mut input, &mut splitter(b"\n"), |_| {
            calls += 1;
            false
        });
        assert_eq!(calls, 1);
    }

    #[test]
    fn without_delimiter_all_is_one_line() {
        for capacity in [1, 3, 99] {
            let lines = read_with(b"", b"a\nb\n", capacity);
            assert_eq!(lines, [Line { number: 1, text: Bytes::from_static(b"a\nb\n") }]);
        }
        assert_eq!(read_with(b"", b"", 8).len(), 1, "an empty file is an empty record");
    }

    proptest! {
        #[test]
        fn long_delimiters_do_not_depend_on_how_they_arrive(
            delimiter in "[ab]{1,3}", input in "[abc]{0,40}", capacity in 1usize..9
        ) {
            let mut expected: Vec<&str> = input.split(&delimiter).collect();
            if expected.last() == Some(&"") {
                expected.pop();
            }
            let lines = read_with(delimiter.as_bytes(), input.as_bytes(), capacity);
            let texts: Vec<&[u8]> = lines.iter().map(|line| &line.text[..]).collect();
            prop_assert_eq!(texts, expected.iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
        }

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

//! What is printed: tables, numbers, JSON documents on stdout; words on stderr.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use clap::ValueEnum;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Map, Value, json};

use super::exit::Failure;
use super::stderr;
use super::yaml;
use crate::base::Error;
use crate::base::size::print_bytes;
use crate::base::time::print_ms;

mod shown;
mod table;

pub use shown::{is_all_shown, is_shown, shown, shown_json};
pub use table::{Cell, Column, Table, flowing, folded};

/// Version of the JSON documents; rises when a field changes its meaning or goes.
const DOCUMENT_VERSION: u32 = 1;

static FORM: OnceLock<Form> = OnceLock::new();

/// In which form a command prints.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Form {
    /// Columns with a header.
    Table,
    /// The same with more columns.
    Wide,
    /// One document.
    Json,
    /// The same document as YAML.
    Yaml,
    /// A line for each item, cells between tabs, numbers without separators or units, no header.
    Plain,
    /// The names alone, one a line.
    Name,
}

/// Sets the form for everything that this process prints; the first call counts.
pub fn set_form(form: Form) {
    // The command line is read once.
    let _ = FORM.set(form);
}

/// The form that was set.
pub fn form() -> Form {
    *FORM.get().unwrap_or(&Form::Table)
}

/// A number with separators: `1,204,331`.
pub fn thousands(number: impl Into<i128>) -> String {
    let number = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate with one digit behind the point while it is small: `0.3`, `812`.
pub fn rate(number: f64) -> String {
    match number {
        number if number > 0.0 && number < 10.0 => format!("{number:.1}"),
        number => thousands(number.round() as i64),
    }
}

/// A count with its noun: `1 record`, `1,204 records`.
pub fn count(number: impl Into<i128>, noun: &str) -> String {
    let number = number.into();
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(number))
}

/// A time in its two largest units, `3d 4h`; below a minute in one, `4.2s`.
pub fn duration_in_words(ms: i64) -> String {
    let ms = ms.max(0);
    match ms {
        0..1_000 => return format!("{ms}ms"),
        1_000..60_000 => return format!("{}.{}s", ms / 1_000, ms % 1_000 / 100),
        _ => {}
    }
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let largest = units.iter().position(|(unit, _)| ms >= *unit).expect("a minute or more");
    let [(large, word), (small, word_below)] = [units[largest], units[largest + 1]];
    format!("{}{word} {}{word_below}", ms / large, ms % large / small)
}

/// A config value as set and in words: `604800000 (7d)`.
pub fn config_value(key: &str, value: &str) -> String {
    let number: Option<i64> = value.parse().ok();
    let words = match number {
        Some(-1) if key.ends_with(".ms") || key.ends_with(".bytes") => "no limit".to_owned(),
        Some(ms) if key.ends_with(".ms") && ms >= 1_000 => print_ms(ms),
        Some(bytes) if key.ends_with(".bytes") && bytes >= 1_024 => print_bytes(bytes.unsigned_abs()),
        _ => return value.to_owned(),
    };
    format!("{value} ({words})")
}

/// Columns and rows of the terminal that stdout is; `None` where it is none, or does not tell.
pub fn size_of_terminal() -> Option<(usize, usize)> {
    let stdout = io::stdout();
    let size = rustix::termios::tcgetwinsize(&stdout).ok().filter(|_| stdout.is_terminal())?;
    Some((size.ws_col.into(), size.ws_row.into())).filter(|(columns, rows)| *columns > 0 && *rows > 0)
}

/// Columns of the terminal that stdout is; `None` where it is none, or does not tell.
pub fn columns_of_terminal() -> Option<usize> {
    size_of_terminal().map(|(columns, _)| columns)
}

/// Prints words to stdout, with nothing in them that a terminal would obey. Errors: as [`Failure::stdout`] reads them.
pub fn print(text: impl AsRef<str>) -> Result<(), Failure> {
    print_raw(shown(text.as_ref()))
}

/// Prints bytes as they are: records, and what draws on a terminal. Errors: as [`Failure::stdout`] reads them.
pub fn print_raw(bytes: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes.as_ref()).and_then(|()| stdout.flush()).map_err(|error| Failure::stdout(&error))
}

/// Whether whoever read stdout has gone, told without writing: a pipe without a reader.
pub fn is_stdout_gone() -> bool {
    let stdout = io::stdout();
    let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
    // A descriptor that can't be asked is found out by the next write.
    let ready = poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap_or(0);
    ready > 0 && watched[0].revents().contains(PollFlags::ERR)
}

/// Prints a JSON document: `fields` after the name of the command and the version of the form.
pub fn print_document(command: &str, fields: Map<String, Value>) -> Result<(), Failure> {
    print_raw(document(command, fields))
}

/// Prints the document of a command that failed: why, in place of what it would have told.
pub fn print_failure(command: &str, failure: &Failure) -> Result<(), Failure> {
    let error = json!({ "reason": failure.reason(), "message": failure.message });
    print_document(command, Map::from_iter([("error".to_owned(), error)]))
}

/// An error as JSON documents show it.
pub fn error_json(error: &Error) -> Value {
    json!({ "reason": error.kind.row().reason, "message": error.message })
}

/// A JSON document in the form that was set.
pub fn document(command: &str, fields: Map<String, Value>) -> String {
    let mut whole = Map::new();
    whole.insert("command".to_owned(), json!(command));
    whole.insert("version".to_owned(), json!(DOCUMENT_VERSION));
    whole.extend(fields);
    let whole = Value::Object(whole);
    shown_json(&if form() == Form::Yaml { yaml::write(&whole) } else { format!("{whole}\n") })
}

/// Prints an error to stderr; nothing when there is nothing to say.
pub fn print_error(message: &str) {
    if !message.is_empty() {
        stderr::say(&format!("\x1b[1;31merror:\x1b[0m {}", shown(message)));
    }
}

/// Prints a warning to stderr.
pub fn print_warning(message: &str) {
    stderr::say(&format!("\x1b[1;33mwarning:\x1b[0m {}", shown(message)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_separated() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_204_331, "1,204,331"),
            (-890, "-890"),
            (-1_000, "-1,000"),
        ] {
            assert_eq!(thousands(number), text);
        }
        assert_eq!(thousands(i64::MIN), "-9,223,372,036,854,775,808");
        let rates = [0.0, 0.25, 9.96, 812.4, 1_204.5].map(rate);
        assert_eq!(rates, ["0", "0.2", "10.0", "812", "1,205"]);
        assert_eq!((count(1, "record"), count(2, "record")), ("1 record".to_owned(), "2 records".to_owned()));
    }

    #[test]
    fn times_have_two_units() {
        for (ms, text) in [
            (-1, "0ms"),
            (12, "12ms"),
            (4_250, "4.2s"),
            (59_999, "59.9s"),
            (60_000, "1m 0s"),
            (3_725_000, "1h 2m"),
            (90_061_000, "1d 1h"),
            (26_853_240_000, "310d 19h"),
        ] {
            assert_eq!(duration_in_words(ms), text);
        }
    }

    #[test]
    fn config_values_are_told_in_words_where_that_helps() {
        assert_eq!(config_value("retention.ms", "604800000"), "604800000 (7d)");
        assert_eq!(config_value("retention.bytes", "-1"), "-1 (no limit)");
        assert_eq!(config_value("segment.bytes", "1073741824"), "1073741824 (1.0 GiB)");
        assert_eq!(config_value("flush.ms", "500"), "500");
        assert_eq!(config_value("flush", "ack"), "ack");
    }

    #[test]
    fn documents_say_what_they_are() {
        let mut fields = Map::new();
        fields.insert("topics".to_owned(), json!([]));
        assert_eq!(
            document("topic list", fields),
            "{\"command\":\"topic list\",\"topics\":[],\"version\":1}\n"
        );
    }
}

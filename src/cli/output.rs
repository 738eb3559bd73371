//! What is printed: tables, numbers, JSON documents on stdout; words on stderr.

use std::io::{self, Write};
use std::sync::OnceLock;

use clap::ValueEnum;
use comfy_table::{CellAlignment, ContentArrangement, Table as Grid, presets};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Map, Value, json};

use super::exit::Failure;
use super::stderr;
use super::yaml;
use crate::base::size::print_bytes;
use crate::base::time::print_ms;

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

/// Which way the cells of a column lean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Column {
    /// Words.
    Left(&'static str),
    /// Numbers.
    Right(&'static str),
    /// Words, shown by `--output wide` and `plain` only.
    Wide(&'static str),
}

/// What stands in a column of a row.
#[derive(Clone, PartialEq, Debug)]
pub enum Cell {
    /// Words, the same in every form.
    Text(String),
    /// A count: with separators where people read it.
    Count(i128),
    /// Bytes: with a unit where people read it.
    Bytes(u64),
    /// So many a second.
    Rate(f64),
}

impl Cell {
    /// A count.
    pub fn count(number: impl Into<i128>) -> Self {
        Self::Count(number.into())
    }

    fn for_people(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Count(number) => thousands(*number),
            Self::Bytes(bytes) => print_bytes(*bytes),
            Self::Rate(number) => rate(*number),
        }
    }

    fn for_scripts(&self) -> String {
        match self {
            Self::Text(text) => text.replace(['\t', '\n'], " "),
            Self::Count(number) => number.to_string(),
            Self::Bytes(bytes) => bytes.to_string(),
            Self::Rate(number) => format!("{number:.1}"),
        }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// A table without borders: columns two spaces apart.
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    indent: &'static str,
}

impl Table {
    /// A table with these columns and no rows.
    pub fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new(), indent: "" }
    }

    /// Begins every line with two spaces.
    #[must_use]
    pub fn indented(mut self) -> Self {
        self.indent = "  ";
        self
    }

    /// Adds a row of as many cells as there are columns.
    pub fn row<I: IntoIterator<Item: Into<Cell>>>(&mut self, cells: I) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The lines in the form that was set, each with its newline.
    pub fn print(&self) -> String {
        self.print_as(form())
    }

    fn print_as(&self, form: Form) -> String {
        let tabs = |row: &Vec<Cell>| row.iter().map(Cell::for_scripts).collect::<Vec<_>>().join("\t") + "\n";
        match form {
            Form::Plain => self.rows.iter().map(tabs).collect(),
            Form::Name => self.rows.iter().map(|row| row[0].for_scripts() + "\n").collect(),
            Form::Wide => self.grid(true),
            Form::Table | Form::Json | Form::Yaml => self.grid(false),
        }
    }

    /// Aligned columns, without blanks at the end of a line.
    fn grid(&self, wide: bool) -> String {
        let shown = |column: &Column| wide || !matches!(column, Column::Wide(_));
        let columns: Vec<Column> = self.columns.iter().copied().filter(shown).collect();
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        grid.set_header(columns.iter().map(|column| match column {
            Column::Left(name) | Column::Right(name) | Column::Wide(name) => *name,
        }));
        for row in &self.rows {
            let cells = self.columns.iter().zip(row).filter(|(column, _)| shown(column));
            grid.add_row(cells.map(|(_, cell)| cell.for_people()));
        }
        for (at, column) in columns.iter().enumerate() {
            let cells = grid.column_mut(at).expect("the header made the column");
            cells.set_padding((0, 2));
            if matches!(column, Column::Right(_)) {
                cells.set_cell_alignment(CellAlignment::Right);
            }
        }
        grid.lines().map(|line| format!("{}{}\n", self.indent, line.trim_end())).collect()
    }
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

/// Prints `text` as it is to stdout. Errors: as [`Failure::stdout`] reads them.
pub fn print(text: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_ref()).and_then(|()| stdout.flush()).map_err(|error| Failure::stdout(&error))
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
    print(document(command, fields))
}

fn document(command: &str, fields: Map<String, Value>) -> String {
    let mut whole = Map::new();
    whole.insert("command".to_owned(), json!(command));
    whole.insert("version".to_owned(), json!(DOCUMENT_VERSION));
    whole.extend(fields);
    let whole = Value::Object(whole);
    if form() == Form::Yaml { yaml::write(&whole) } else { format!("{whole}\n") }
}

/// Prints an error to stderr; nothing when there is nothing to say.
pub fn print_error(message: &str) {
    if !message.is_empty() {
        stderr::say(&format!("\x1b[1;31merror:\x1b[0m {}", harmless(message)));
    }
}

/// Prints a warning to stderr.
pub fn print_warning(message: &str) {
    stderr::say(&format!("\x1b[1;33mwarning:\x1b[0m {}", harmless(message)));
}

/// A message without what a terminal would carry out or turn around: control characters and marks of direction that stood in a name.
fn harmless(message: &str) -> String {
    let turns = |letter: char| matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut shown = String::with_capacity(message.len());
    for letter in message.chars() {
        match letter {
            '\n' | '\t' => shown.push(letter),
            letter if letter.is_control() || turns(letter) => shown.extend(letter.escape_unicode()),
            letter => shown.push(letter),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_carry_nothing_that_a_terminal_obeys() {
        let shown = harmless("topic '\x1b[31mX\u{9b}1m\u{202e}' é\nnext");
        assert_eq!(shown, "topic '\\u{1b}[31mX\\u{9b}1m\\u{202e}' é\nnext");
    }

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
    fn config_values_are_told_in_words_where_that_helps() {
        assert_eq!(config_value("retention.ms", "604800000"), "604800000 (7d)");
        assert_eq!(config_value("retention.bytes", "-1"), "-1 (no limit)");
        assert_eq!(config_value("segment.bytes", "1073741824"), "1073741824 (1.0 GiB)");
        assert_eq!(config_value("flush.ms", "500"), "500");
        assert_eq!(config_value("flush", "ack"), "ack");
    }

    #[test]
    fn tables_have_no_borders_and_no_blanks_at_the_end() {
        let mut table = Table::new(&[Column::Left("NAME"), Column::Right("RECORDS"), Column::Left("HEALTH")]);
        table.row(["orders".to_owned(), "1,204,331".to_owned(), "ok".to_owned()]);
        table.row(["p".to_owned(), "96".to_owned(), String::new()]);
        assert_eq!(table.print(), "NAME      RECORDS  HEALTH\norders  1,204,331  ok\np              96\n");
        assert!(table.indented().print().starts_with("  NAME"));
    }

    #[test]
    fn every_form_shows_the_same_rows() {
        let mut table = Table::new(&[Column::Left("NAME"), Column::Right("SIZE"), Column::Wide("ID")]);
        table.row([Cell::Text("a\tb".to_owned()), Cell::Bytes(2_048), Cell::Count(1_000)]);
        assert_eq!(table.print_as(Form::Plain), "a b\t2048\t1000\n");
        assert_eq!(table.print_as(Form::Name), "a b\n");
        assert!(table.print_as(Form::Wide).ends_with("2.0 KiB  1,000\n"), "{}", table.print_as(Form::Wide));
    }

    #[test]
    fn long_cells_are_not_wrapped() {
        let mut table = Table::new(&[Column::Left("NAME")]);
        table.row(["x".repeat(500)]);
        assert_eq!(table.print().lines().count(), 2);
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

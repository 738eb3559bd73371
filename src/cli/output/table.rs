//! Rows for people and for scripts: aligned columns, a block for each row where a terminal is too narrow, or tabs.

use comfy_table::{CellAlignment, ContentArrangement, Table as Grid, presets};

use super::shown::shown;
use super::{Form, columns_of_terminal, config_value, form, rate, thousands};
use crate::base::size::print_bytes;

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

impl Column {
    fn name(self) -> &'static str {
        match self {
            Self::Left(name) | Self::Right(name) | Self::Wide(name) => name,
        }
    }
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
    /// The value of this config key: with its meaning where people read it.
    Setting(String, String),
    /// What people read, and what scripts read.
    Both(String, String),
}

impl Cell {
    /// A count.
    pub fn count(number: impl Into<i128>) -> Self {
        Self::Count(number.into())
    }

    fn for_people(&self) -> String {
        match self {
            Self::Text(text) | Self::Both(text, _) => shown(&text.replace(['\t', '\n'], " ")),
            Self::Count(number) => thousands(*number),
            Self::Bytes(bytes) => print_bytes(*bytes),
            Self::Rate(number) => rate(*number),
            Self::Setting(key, value) => shown(&config_value(key, value)),
        }
    }

    fn for_scripts(&self) -> String {
        match self {
            Self::Text(text) | Self::Both(_, text) | Self::Setting(_, text) => {
                shown(&text.replace(['\t', '\n'], " "))
            }
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
    /// What stands before the cells of each row where scripts read it.
    before: Vec<String>,
}

impl Table {
    /// A table with these columns and no rows.
    pub fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new(), before: Vec::new() }
    }

    /// Begins every row with these cells where scripts read it: a command that prints several tables tells them apart so.
    #[must_use]
    pub fn after<const N: usize>(mut self, cells: [&str; N]) -> Self {
        self.before = cells.map(shown).to_vec();
        self
    }

    /// Adds a row of as many cells as there are columns.
    pub fn row<I: IntoIterator<Item: Into<Cell>>>(&mut self, cells: I) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The lines in the form that was set, each with its newline.
    pub fn print(&self) -> String {
        self.print_as(form(), columns_of_terminal())
    }

    /// The same, but with a block for each row where people read it, however wide the terminal is.
    pub fn print_blocks(&self) -> String {
        match form() {
            Form::Plain | Form::Name => self.print(),
            form => self.blocks(form == Form::Wide, columns_of_terminal().unwrap_or(usize::MAX)),
        }
    }

    /// In this form, on a terminal of so many columns; `None` is none that would break lines.
    fn print_as(&self, form: Form, width: Option<usize>) -> String {
        match form {
            Form::Plain => self.rows.iter().map(|row| self.tabs(row)).collect(),
            Form::Name => self.rows.iter().map(|row| row[0].for_scripts() + "\n").collect(),
            Form::Wide => self.for_people(true, width),
            Form::Table | Form::Json | Form::Yaml => self.for_people(false, width),
        }
    }

    fn tabs(&self, row: &[Cell]) -> String {
        let cells = self.before.iter().cloned().chain(row.iter().map(Cell::for_scripts));
        cells.collect::<Vec<_>>().join("\t") + "\n"
    }

    fn for_people(&self, wide: bool, width: Option<usize>) -> String {
        let grid = self.grid(wide);
        match width {
            Some(width) if grid.lines().any(|line| line.chars().count() > width) => self.blocks(wide, width),
            _ => grid,
        }
    }

    fn is_shown(column: Column, wide: bool) -> bool {
        wide || !matches!(column, Column::Wide(_))
    }

    /// Aligned columns, without blanks at the end of a line.
    fn grid(&self, wide: bool) -> String {
        let columns: Vec<Column> =
            self.columns.iter().copied().filter(|column| Self::is_shown(*column, wide)).collect();
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        grid.set_header(columns.iter().map(|column| column.name()));
        for row in &self.rows {
            let cells = self.columns.iter().zip(row).filter(|(column, _)| Self::is_shown(**column, wide));
            grid.add_row(cells.map(|(_, cell)| cell.for_people()));
        }
        for (at, column) in columns.iter().enumerate() {
            let cells = grid.column_mut(at).expect("the header made the column");
            cells.set_padding((0, 2));
            if matches!(column, Column::Right(_)) {
                cells.set_cell_alignment(CellAlignment::Right);
            }
        }
        grid.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    /// A block for each row: its first cell, then the others with their names, as many on a line as it holds.
    fn blocks(&self, wide: bool, width: usize) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let cells = self.columns.iter().zip(row).filter(|(column, _)| Self::is_shown(**column, wide));
            let named = cells.map(|(column, cell)| format!("{} {}", column.name(), cell.for_people()));
            let named: Vec<String> = named.map(|named| named.trim_end().to_owned()).collect();
            text += &flow(&named[..1], width, "");
            text += &flow(&named[1..], width, "  ");
        }
        text
    }
}

/// Words two blanks apart, as many on a line as a terminal of the command holds.
pub fn flowing(words: &[String]) -> String {
    flow(words, columns_of_terminal().unwrap_or(usize::MAX), "")
}

/// Words two blanks apart on lines of `width` columns. What is longer than a line is broken: nothing is left out.
fn flow(words: &[String], width: usize, indent: &str) -> String {
    // WHY: a terminal that claims to have no columns still gets a letter on each line.
    let room = width.saturating_sub(indent.len()).max(1);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in words.iter().filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        if used > 0 && used + 2 + length <= room {
            let line = lines.last_mut().expect("there is one");
            *line += "  ";
            *line += word;
            used += 2 + length;
            continue;
        }
        for piece in pieces(word, room) {
            used = piece.chars().count();
            lines.push(piece);
        }
    }
    lines.iter().skip(1).map(|line| format!("{indent}{line}\n")).collect()
}

/// A text in pieces of at most `room` letters, parted at blanks where there are any.
fn pieces(text: &str, room: usize) -> Vec<String> {
    let mut rest: Vec<char> = text.chars().collect();
    let mut pieces = Vec::new();
    while rest.len() > room {
        let blank = rest[..=room].iter().rposition(|letter| *letter == ' ').filter(|at| *at > 0);
        let behind = rest.split_off(blank.unwrap_or(room));
        pieces.push(std::mem::replace(&mut rest, behind).into_iter().collect());
        if blank.is_some() {
            rest.remove(0);
        }
    }
    pieces.push(rest.into_iter().collect());
    pieces
}

/// A sentence on as many lines as a terminal of the command needs, parted at blanks, each begun with `indent`.
pub fn folded(sentence: &str, indent: &str) -> String {
    flow(&[sentence.to_owned()], columns_of_terminal().unwrap_or(usize::MAX), indent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_no_borders_and_no_blanks_at_the_end() {
        let mut table = Table::new(&[Column::Left("NAME"), Column::Right("RECORDS"), Column::Left("HEALTH")]);
        table.row(["orders".to_owned(), "1,204,331".to_owned(), "ok".to_owned()]);
        table.row(["p".to_owned(), "96".to_owned(), String::new()]);
        assert_eq!(table.print(), "NAME      RECORDS  HEALTH\norders  1,204,331  ok\np              96\n");
    }

    fn of_every_kind() -> Table {
        let columns = ["NAME", "SIZE", "RECORDS", "RETENTION", "UP"].map(Column::Left);
        let mut table = Table::new(&[&columns[..], &[Column::Wide("ID")]].concat());
        let setting = Cell::Setting("retention.ms".to_owned(), "604800000".to_owned());
        let up = Cell::Both("1d 1h".to_owned(), "90061000".to_owned());
        let id = Cell::Text("x".to_owned());
        table.row([
            Cell::Text("a\tb\x1b".to_owned()),
            Cell::Bytes(2_048),
            Cell::Count(1_000),
            setting,
            up,
            id,
        ]);
        table
    }

    #[test]
    fn every_form_shows_the_same_rows() {
        let table = of_every_kind();
        assert_eq!(table.print_as(Form::Plain, None), "a b\\u{1b}\t2048\t1000\t604800000\t90061000\tx\n");
        assert_eq!(table.print_as(Form::Name, None), "a b\\u{1b}\n");
        let wide = table.print_as(Form::Wide, None);
        assert!(wide.ends_with("a b\\u{1b}  2.0 KiB  1,000    604800000 (7d)  1d 1h  x\n"), "{wide}");
        let table = table.after(["orders", "config"]);
        assert!(
            table.print_as(Form::Plain, Some(1)).starts_with("orders\tconfig\ta b"),
            "scripts have no width"
        );
        assert!(table.print_as(Form::Table, None).starts_with("NAME"));
    }

    #[test]
    fn a_narrow_terminal_gets_blocks_and_no_line_that_breaks() {
        let table = of_every_kind();
        assert_eq!(
            table.print_as(Form::Table, Some(40)),
            "NAME a b\\u{1b}\n  SIZE 2.0 KiB  RECORDS 1,000\n  RETENTION 604800000 (7d)  UP 1d 1h\n"
        );
        for width in 0..80 {
            let text = table.print_as(Form::Wide, Some(width));
            assert!(text.lines().all(|line| line.chars().count() <= width.max(3)), "{width}: {text}");
            let letters = |text: &str| text.chars().filter(|letter| !letter.is_whitespace()).count();
            assert!(letters(&text) >= letters("a b\\u{1b}2.0KiB1,000604800000(7d)1d1hx"), "{width}: {text}");
        }
    }

    #[test]
    fn long_cells_are_not_wrapped_where_nobody_has_a_width() {
        let mut table = Table::new(&[Column::Left("NAME")]);
        table.row(["x".repeat(500)]);
        assert_eq!(table.print_as(Form::Table, None).lines().count(), 2);
        assert_eq!(flow(&["abcde".to_owned(), "f".to_owned()], 4, " "), " abc\n de\n f\n");
        assert_eq!(pieces("ab cd ef", 5), ["ab cd", "ef"]);
        assert_eq!(pieces("abcdef g", 3), ["abc", "def", "g"]);
        assert_eq!(folded("a b", "  "), "  a b\n");
    }
}

//! What the demo shows while records flow: a table that is drawn again on a terminal, plain lines otherwise.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cli::exit::Failure;
use crate::cli::output::{Column, Form, Table, count, form, print_raw, size_of_terminal, thousands};
use crate::client::ConsumerRecord;

/// Time between two drawings on a terminal.
const REDRAW_EVERY: Duration = Duration::from_millis(200);
/// Time between two lines elsewhere.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// Columns of a terminal that holds the table whatever the counts become.
const COLUMNS_MIN: usize = 60;

/// One partition on the screen.
#[derive(Clone, Copy, Default, Debug)]
struct Row {
    acknowledged: u64,
    read: u64,
    offset: i64,
    read_before: u64,
}

impl Row {
    /// Records that are stored: one that was read is, though its acknowledgement may be on its way.
    fn written(&self) -> u64 {
        self.acknowledged.max(self.read)
    }
}

/// Counts of every partition, and when they were last shown.
#[derive(Debug)]
pub(super) struct Live {
    rows: BTreeMap<(String, i32), Row>,
    begun: Duration,
    shown_at: Option<Duration>,
    /// Whether stdout is a terminal that holds the table.
    on_terminal: bool,
    /// Nothing is drawn: a document at the end tells it all.
    is_silent: bool,
    lines_up: usize,
}

impl Live {
    /// Of these topics with their partition counts, beginning `now` (monotonic).
    pub(super) fn new(topics: &[(&str, i32)], now: Duration) -> Self {
        let row = |(topic, count): &(&str, i32)| {
            let topic = (*topic).to_owned();
            (0..*count).map(move |partition| ((topic.clone(), partition), Row::default()))
        };
        let rows: BTreeMap<_, _> = topics.iter().flat_map(row).collect();
        Self {
            begun: now,
            shown_at: None,
            on_terminal: size_of_terminal()
                .is_some_and(|(columns, height)| columns >= COLUMNS_MIN && height > rows.len() + 1),
            is_silent: matches!(form(), Form::Json | Form::Yaml),
            lines_up: 0,
            rows,
        }
    }

    /// A record was acknowledged.
    pub(super) fn written(&mut self, topic: &str, partition: i32) {
        self.rows.entry((topic.to_owned(), partition)).or_default().acknowledged += 1;
    }

    /// A record was read.
    pub(super) fn read(&mut self, record: &ConsumerRecord) {
        let row = self.rows.entry((record.topic.to_string(), record.partition)).or_default();
        row.read += 1;
        row.offset = record.offset;
    }

    /// Shows the counts when it is time to.
    pub(super) fn tick(&mut self, now: Duration) -> Result<(), Failure> {
        let every = if self.on_terminal { REDRAW_EVERY } else { LINE_EVERY };
        let since = now.saturating_sub(self.shown_at.unwrap_or(self.begun));
        if since < every {
            return Ok(());
        }
        self.show(now)
    }

    /// Shows the counts now.
    pub(super) fn show(&mut self, now: Duration) -> Result<(), Failure> {
        let since = now.saturating_sub(self.shown_at.unwrap_or(self.begun)).as_secs_f64().max(0.001);
        self.shown_at = Some(now);
        let elapsed = now.saturating_sub(self.begun);
        let text = if self.on_terminal { self.redraw(since) } else { self.line(elapsed) };
        for row in self.rows.values_mut() {
            row.read_before = row.read;
        }
        if self.is_silent { Ok(()) } else { print_raw(text) }
    }

    fn line(&self, elapsed: Duration) -> String {
        let sum = |pick: fn(&Row) -> u64| self.rows.values().map(pick).sum::<u64>();
        let written = sum(Row::written);
        let rate = written as f64 / elapsed.as_secs_f64().max(0.001);
        format!(
            "{:.1} s: {} written, {} read, {} partitions, {}/s\n",
            elapsed.as_secs_f64(),
            count(written, "record"),
            thousands(sum(|row| row.read)),
            self.rows.len(),
            thousands(rate.round() as i64)
        )
    }

    fn redraw(&mut self, since: f64) -> String {
        let table = self.table(since).print();
        let up = if self.lines_up > 0 { format!("\x1b[{}A\x1b[J", self.lines_up) } else { String::new() };
        self.lines_up = table.lines().count();
        up + &table
    }

    fn table(&self, since: f64) -> Table {
        let mut table = Table::new(&[
            Column::Left("TOPIC"),
            Column::Right("PARTITION"),
            Column::Right("WRITTEN"),
            Column::Right("READ"),
            Column::Right("OFFSET"),
            Column::Right("READ/s"),
        ]);
        for ((topic, partition), row) in &self.rows {
            let rate = (row.read - row.read_before) as f64 / since;
            table.row([
                topic.clone(),
                partition.to_string(),
                thousands(row.written()),
                thousands(row.read),
                if row.read > 0 { thousands(row.offset) } else { "-".to_owned() },
                thousands(rate.round() as i64),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> Live {
        let mut live = Live::new(&[("prices", 2)], Duration::ZERO);
        for _ in 0..1_500 {
            live.written("prices", 1);
        }
        live
    }

    #[test]
    fn a_line_tells_what_flowed() {
        let line = live().line(Duration::from_secs(3));
        assert_eq!(line, "3.0 s: 1,500 records written, 0 read, 2 partitions, 500/s\n");
    }

    #[test]
    fn what_was_read_is_written() {
        let row = |acknowledged, read| Row { acknowledged, read, ..Row::default() };
        assert_eq!((row(2, 3).written(), row(3, 2).written()), (3, 3));
    }

    #[test]
    fn the_table_has_a_row_for_each_partition() {
        let table = live().table(1.0).print();
        assert_eq!(
            table,
            "\
TOPIC   PARTITION  WRITTEN  READ  OFFSET  READ/s
prices          0        0     0       -       0
prices          1    1,500     0       -       0
"
        );
    }

    #[test]
    fn a_second_drawing_covers_the_first() {
        let mut live = live();
        assert!(!live.redraw(1.0).contains('\x1b'));
        assert!(live.redraw(1.0).starts_with("\x1b[3A\x1b[J"));
    }
}

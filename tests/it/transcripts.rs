//! Every block of the README and of `docs/` that is marked `console` is run and compared with what it shows.
//!
//! A block is a session: a line that begins with `$ ` is a command for `sh`, the lines below it are what it prints, errors
//! included. The blocks of a page share a broker on a free port and a folder in which `data` leads to the samples, as they do
//! for who follows the page; in `docs/reference` each block has its own. `weir` is on the path. In what a block shows:
//!
//! - a line `^C` is Ctrl-C, given when the lines above it were printed;
//! - a line `…` stands for any lines, also none;
//! - `…` within a line stands for any text of that line;
//! - a number before ` ms`, ` s` or `/s` stands for any number: times and rates differ from run to run;
//! - in a table columns of rates and those of [`VARIES`] stand for any value, and columns may be wider.

use std::path::Path;

use crate::documents::{Block, blocks};
use crate::served::{Served, WEIR, command};

/// Columns that differ from run to run.
const VARIES: &[&str] = &["ADDRESS", "BEHIND", "DISK-FREE", "MEMORY", "SIZE", "UPTIME"];
/// Here a block is an example of its own; on all other pages a reader goes from one to the next.
const LOOKED_UP: &str = "docs/reference/";

/// A script that prints each command before it runs it; `$?` is that of the command before.
pub(crate) fn script(lines: &[String]) -> String {
    let mut script = "exec 2>&1\ncode=0\n".to_owned();
    for (at, command) in
        lines.iter().enumerate().filter_map(|(at, line)| Some((at, line.strip_prefix("$ ")?)))
    {
        let quoted = command.replace('\'', r"'\''");
        let printed = lines[at + 1..].iter().take_while(|line| !line.starts_with("$ "));
        let run = match printed.clone().position(|line| line == "^C") {
            Some(above) => interrupted(&quoted, above),
            None => command.to_owned(),
        };
        script.push_str(&format!("printf '%s\\n' '$ {quoted}'\n(exit $code)\n{run}\ncode=$?\n"));
    }
    script
}

/// Runs a command until it has printed so many lines, gives it Ctrl-C, and waits for its end.
fn interrupted(quoted: &str, lines: usize) -> String {
    format!(
        "mkfifo told; sh -c 'exec {quoted}' >told 2>&1 & count=0
while IFS= read -r line; do
    printf '%s\\n' \"$line\"; count=$((count + 1))
    [ $count -ne {lines} ] || {{ kill -INT $!; echo '^C'; }}
done <told
rm told; wait $!"
    )
}

fn run(broker: &Served, block: &Block) -> Vec<String> {
    let folder_of_weir = Path::new(WEIR).parent().unwrap().display();
    let output = command("sh", broker.folder.path())
        .args(["-c", &script(&block.lines)])
        .env("WEIR_BOOTSTRAP", &broker.address)
        .env("PATH", format!("{folder_of_weir}:{}", std::env::var("PATH").unwrap()))
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.trim_end().to_owned()).collect()
}

/// The line with `0` for every number that differs from run to run.
pub(crate) fn without_times(line: &str) -> String {
    let is_number = |letter: char| letter.is_ascii_digit() || letter == ',' || letter == '.';
    let mut plain = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(|letter: char| letter.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let (number, after) = from.split_at(from.find(|letter| !is_number(letter)).unwrap_or(from.len()));
        let ends_there = |rest: &str| !rest.starts_with(char::is_alphanumeric);
        let varies = [" ms", " s", "/s"].iter().any(|unit| after.strip_prefix(unit).is_some_and(ends_there));
        plain.push_str(before);
        plain.push_str(if varies { "0" } else { number });
        rest = after;
    }
    plain + rest
}

/// Whether a line is what the pattern shows.
fn fits(pattern: &str, line: &str) -> bool {
    let (pattern, line) = (without_times(pattern), without_times(line));
    let mut parts = pattern.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The lines with tables reduced to their cells, and these to what is the same each time.
fn without_widths(lines: &[String]) -> Vec<String> {
    let is_heading = |cell: &&str| {
        cell.trim_end_matches("/s").chars().all(|letter| letter.is_uppercase() || "-…/".contains(letter))
    };
    let mut varies: Vec<bool> = Vec::new();
    let mut plain = Vec::new();
    for line in lines {
        let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let is_header = cells.len() > 2 && cells.iter().all(is_heading);
        if is_header {
            varies = cells.iter().map(|cell| VARIES.contains(cell) || cell.ends_with("/s")).collect();
        }
        if cells.len() != varies.len() {
            plain.push(line.clone());
            continue;
        }
        let shown = |(cell, varies): (&&str, &bool)| {
            if *varies && !is_header { "0".to_owned() } else { (*cell).to_owned() }
        };
        plain.push(cells.iter().zip(&varies).map(shown).collect::<Vec<_>>().join("  "));
    }
    plain
}

fn all_fit(patterns: &[String], lines: &[String]) -> bool {
    match patterns.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first == "…" => {
            (0..=lines.len()).any(|skipped| all_fit(rest, &lines[skipped..]))
        }
        Some((first, rest)) => {
            lines.split_first().is_some_and(|(line, others)| fits(first, line) && all_fit(rest, others))
        }
    }
}

#[test]
fn every_session_of_the_docs_is_true() {
    let blocks = blocks("console");
    let goes_on = |a: &Block, b: &Block| a.page == b.page && !a.page.starts_with(LOOKED_UP);
    let mut findings = Vec::new();
    for page in blocks.chunk_by(goes_on) {
        let broker = Served::start();
        for block in page {
            let lines = run(&broker, block);
            if !all_fit(&without_widths(&block.lines), &without_widths(&lines)) {
                let (shown, is) = (block.lines.join("\n"), lines.join("\n"));
                findings.push(format!("{} shows\n{shown}\nbut it is\n{is}", block.place));
            }
        }
    }
    let (wrong, count) = (findings.len(), blocks.len());
    assert!(findings.is_empty(), "{wrong} of {count} sessions differ:\n\n{}", findings.join("\n\n"));
    assert!(count > 0, "no session was found");
    println!("{count} sessions");
}

#[test]
fn a_session_that_differs_is_found() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let shown = lines("$ a\nready in 31 ms\n…\nid=… ok\n");
    assert!(all_fit(&shown, &lines("$ a\nready in 7 ms\nid=77 ok")));
    assert!(all_fit(&shown, &lines("$ a\nready in 7 ms\nx\ny\nid= ok")));
    for wrong in
        ["$ a\nready in 7 ms\nid=77 bad", "$ a\nready in 7 s\nid=7 ok", "$ a\nready in 7 ms", "$ a\nid=7 ok"]
    {
        assert!(!all_fit(&shown, &lines(wrong)), "{wrong}");
    }
    assert!(!all_fit(&lines("5 records"), &lines("6 records")));
    let table = |text: &str| without_widths(&lines(text));
    let shown = table("NAME  RECORDS     SIZE  IN/s\na           2  1.0 KiB    7\nall there");
    assert!(all_fit(&shown, &table("NAME  RECORDS   SIZE  IN/s\na           2  9 B   1,700\nall there")));
    assert!(!all_fit(&shown, &table("NAME  RECORDS     SIZE  IN/s\na           3  1.0 KiB    7\nall there")));
    assert_eq!(
        without_times("in 0.02 s: 63,823/s, 20 x 1 B, p99 23.0 ms, 0 sat"),
        "in 0 s: 0/s, 20 x 1 B, p99 0 ms, 0 sat"
    );
}

//! What pages show and no session runs is at least sound: commands that are to be typed, settings, names of metrics.

use std::fs;

use clap::Parser;
use weir::cli::args::Cli;
use weir::metrics::names::METRICS;

use crate::documents::blocks;
use crate::served::Served;

/// Its blocks have no mark; what stands behind two blanks is a remark.
const CHEAT_SHEET: &str = "docs/cheatsheet.md";

/// Calls of `weir` in a line of shell, word by word. What other commands, files and remarks say is left out.
fn calls(line: &str) -> Vec<Vec<String>> {
    let mut calls: Vec<Vec<String>> = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in line.chars().chain([' ']) {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ' | '|' | '&' | ';' | '>' | '(' | ')') => {
                calls.last_mut().expect("one is open").extend(word.take());
                if letter != ' ' {
                    calls.push(Vec::new());
                }
            }
            _ => word.get_or_insert_default().push(letter),
        }
    }
    calls.retain(|call| call.first().is_some_and(|name| name == "weir"));
    calls
}

#[test]
fn commands_to_be_typed_are_commands() {
    let mut findings = Vec::new();
    let mut count = 0;
    let cheats = blocks("").into_iter().filter(|block| block.page == CHEAT_SHEET);
    for block in blocks("sh").into_iter().chain(cheats) {
        let lines = block.lines.iter().map(|line| line.split("  ").next().unwrap_or_default());
        for call in lines.flat_map(calls) {
            count += 1;
            if let Err(error) = Cli::try_parse_from(&call)
                && error.use_stderr()
            {
                findings.push(format!("{}: {}: {error}", block.place, call.join(" ")));
            }
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert!(count > 30, "only {count} commands are found");
}

#[test]
fn calls_are_found_between_other_words() {
    let found = calls("printf 'a | b' | weir produce x -f '%k=%v' && weir top --once > \"a b\" # weir no");
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(found, [words("weir produce x -f %k=%v"), words("weir top --once")]);
    assert!(Cli::try_parse_from(words("weir produce --no-such x")).is_err());
}

#[test]
fn settings_in_a_file_are_what_a_start_takes() {
    let served = Served::start();
    let files = blocks("toml");
    assert!(!files.is_empty());
    for block in files {
        fs::write(served.folder.path().join("weir.toml"), block.lines.join("\n")).unwrap();
        let ran = served.run(&["serve", "-c", "weir.toml", "--check"]);
        assert_eq!(ran.code, 0, "{}: {}", block.place, ran.err);
    }
}

#[test]
fn metrics_that_rules_speak_of_are_there() {
    let is_there = |name: &str| METRICS.iter().any(|metric| metric.name == name);
    let mut count = 0;
    for block in blocks("yaml") {
        let text = block.lines.join("\n");
        let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
        for name in words.filter(|word| word.starts_with("weir_")) {
            count += 1;
            assert!(is_there(name.trim_end_matches("_bucket")), "{}: {name}", block.place);
        }
    }
    assert!(count > 5, "only {count} names are found");
}

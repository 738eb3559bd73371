//! `weir cheat`: the cheat sheet of the docs.

use serde_json::{Map, Value, json};

use super::args::CheatArgs;
use crate::base::closest::did_you_mean;
use crate::cli::exit::{Exit, Failure};
use crate::cli::global::Global;
use crate::cli::output::{print, print_document};

const SHEET: &str = include_str!("../../../docs/cheatsheet.md");

/// Prints the whole sheet, or the section whose title is the subject.
pub(in crate::cli) fn run(global: &Global, args: &CheatArgs) -> Result<Exit, Failure> {
    let mut sections: Vec<Section> = SHEET.split("\n## ").skip(1).map(Section::parse).collect();
    if let Some(subject) = &args.subject {
        let known: Vec<&str> = sections.iter().map(|section| section.title).collect();
        sections.retain(|section| section.title.eq_ignore_ascii_case(subject));
        if sections.is_empty() {
            let hint = did_you_mean(subject, known.iter().copied());
            let known = known.join(", ");
            return Err(Failure::usage(format!("there is no subject '{subject}'.{hint} Known: {known}")));
        }
    }
    if global.json {
        let show = |section: &Section| json!({ "title": section.title, "lines": section.lines });
        let sections: Vec<Value> = sections.iter().map(show).collect();
        print_document("cheat", Map::from_iter([("sections".to_owned(), json!(sections))]))?;
    } else {
        let all: Vec<String> = sections.iter().map(Section::text).collect();
        print(all.join("\n"))?;
    }
    Ok(Exit::Done)
}

/// The subjects.
pub(super) fn titles() -> impl Iterator<Item = &'static str> {
    SHEET.split("\n## ").skip(1).map(|text| Section::parse(text).title)
}

/// A subject with its lines.
struct Section {
    title: &'static str,
    lines: Vec<&'static str>,
}

impl Section {
    fn parse(text: &'static str) -> Self {
        let (title, body) = text.split_once('\n').unwrap_or((text, ""));
        let lines = body.lines().filter(|line| !line.starts_with("```") && !line.is_empty());
        Self { title, lines: lines.collect() }
    }

    /// As a terminal shows it.
    fn text(&self) -> String {
        let lines: String = self.lines.iter().map(|line| format!("  {line}\n")).collect();
        format!("{}\n{lines}", self.title)
    }
}

//! `weir cheat`: the cheat sheet of the docs.

use super::args::CheatArgs;
use crate::base::closest::did_you_mean;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::print;

const SHEET: &str = include_str!("../../../docs/cheatsheet.md");

/// Prints the whole sheet, or the section whose title is the subject.
pub(in crate::cli) fn run(args: &CheatArgs) -> Result<Exit, Failure> {
    let sections: Vec<(&str, String)> = SHEET.split("\n## ").skip(1).map(section).collect();
    let Some(subject) = &args.subject else {
        let all: Vec<String> = sections.into_iter().map(|(_, text)| text).collect();
        print(all.join("\n"))?;
        return Ok(Exit::Done);
    };
    let titles: Vec<&str> = sections.iter().map(|(title, _)| *title).collect();
    let found = sections.iter().find(|(title, _)| title.eq_ignore_ascii_case(subject));
    let Some((_, text)) = found else {
        let hint = did_you_mean(subject, titles.iter().copied());
        let known = titles.join(", ");
        return Err(Failure::usage(format!("there is no subject '{subject}'.{hint} Known: {known}")));
    };
    print(text)?;
    Ok(Exit::Done)
}

/// Title, and the title with the lines below it as a terminal shows them.
fn section(text: &str) -> (&str, String) {
    let (title, body) = text.split_once('\n').unwrap_or((text, ""));
    let lines = body.lines().filter(|line| !line.starts_with("```") && !line.is_empty());
    let lines: String = lines.map(|line| format!("  {line}\n")).collect();
    (title, format!("{title}\n{lines}"))
}

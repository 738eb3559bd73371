//! `weir man`: manual pages from the tree of commands.

use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use serde_json::{Map, json};

use super::args::ManArgs;
use crate::cli::args::Cli;
use crate::cli::exit::{Exit, Failure};
use crate::cli::global::Global;
use crate::cli::output::{print, print_document};

/// What stands at the foot and at the head of each page.
const SOURCE: &str = concat!("weir ", env!("CARGO_PKG_VERSION"));
const MANUAL: &str = "Weir Manual";

/// Prints the page of `weir`, or writes a page for each command into a folder.
pub(in crate::cli) fn run(global: &Global, args: &ManArgs) -> Result<Exit, Failure> {
    let pages = pages().map_err(|error| Failure::failed(format!("the pages can't be made: {error}")))?;
    let Some(folder) = &args.dir else {
        let (_, page) = &pages[0];
        match global.json {
            true => print_document("man", Map::from_iter([("page".to_owned(), json!(page))]))?,
            false => print(page)?,
        }
        return Ok(Exit::Done);
    };
    write_all(folder, &pages)
        .map_err(|error| Failure::failed(format!("can't write to {}: {error}", folder.display())))?;
    if global.json {
        let files: Vec<&String> = pages.iter().map(|(name, _)| name).collect();
        let fields = [("dir", json!(folder.display().to_string())), ("files", json!(files))];
        print_document("man", fields.map(|(key, value)| (key.to_owned(), value)).into_iter().collect())?;
    }
    Ok(Exit::Done)
}

/// Name and text of every page, the one of `weir` first.
fn pages() -> io::Result<Vec<(String, String)>> {
    let mut root = Cli::command();
    // Every name, alias and global flag is where it belongs only after this.
    root.build();
    let mut pages = Vec::new();
    add(&root, "weir", &mut pages)?;
    Ok(pages)
}

fn add(command: &Command, name: &str, pages: &mut Vec<(String, String)>) -> io::Result<()> {
    pages.push((format!("{name}.1"), page(command, name)?));
    for below in command.get_subcommands() {
        add(below, &format!("{name}-{}", below.get_name()), pages)?;
    }
    Ok(())
}

/// A page with its examples behind the description: what a reader looks for.
fn page(command: &Command, name: &str) -> io::Result<String> {
    let text = |text: Option<&clap::builder::StyledStr>| text.map(ToString::to_string).unwrap_or_default();
    let (examples, more) = (text(command.get_before_help()), text(command.get_after_help()));
    let man = Man::new(command.clone());
    // WHY not the library's: it leaves an empty date out, and what follows it moves to its place.
    let title = name.to_uppercase();
    let mut page = format!(".TH {title} 1 \"\" \"{SOURCE}\" \"{MANUAL}\"\n").into_bytes();
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    page.extend(as_typed("EXAMPLES", examples.strip_prefix("Examples:\n").unwrap_or(&examples)));
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    page.extend(as_typed("NOTES", &more));
    String::from_utf8(page).map_err(io::Error::other)
}

/// A section of lines that stay as they are; nothing where there are none.
fn as_typed(title: &str, lines: &str) -> Vec<u8> {
    if lines.is_empty() {
        return Vec::new();
    }
    let mut section = Roff::new();
    section.control("SH", [title]).control("nf", []).text([roman(lines)]).control("fi", []);
    section.to_roff().into_bytes()
}

#[allow(clippy::disallowed_methods, reason = "a folder that the user names, not the broker's disk")]
fn write_all(folder: &Path, pages: &[(String, String)]) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    pages.iter().try_for_each(|(name, page)| std::fs::write(folder.join(name), page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_title_and_examples_before_the_options() {
        let pages = pages().expect("made");
        let page = |name: &str| &pages.iter().find(|(file, _)| file == name).expect(name).1;
        for name in ["weir.1", "weir-topic-create.1", "weir-help.1", "weir-version.1", "weir-context--.1"] {
            let title = name.trim_end_matches(".1").to_uppercase();
            assert!(page(name).starts_with(&format!(".TH {title} 1 \"\" \"weir ")), "{}", page(name));
        }
        for (name, page) in &pages {
            let at = |words: &str| page.find(words).unwrap_or_else(|| panic!("{name} lacks {words}: {page}"));
            assert!(at(".SH EXAMPLES\n.nf") < at(".SH OPTIONS"), "{name}");
        }
        assert!(page("weir-completions.1").contains(".SH NOTES"));
    }
}

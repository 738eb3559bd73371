//! `docs/reference/cli.md` says what the tree of commands says. `WEIR_BLESS=1` writes it anew.

use std::fmt::Write;
use weir::cli::about::{Argument, Command, tree};

use crate::pages;

const HEAD: &str = "\
# Command line

Made from the tree of commands by `WEIR_BLESS=1 cargo test --test it reference`; a test compares them, and another runs every example.
`weir help -J` prints the same tree as JSON.

stdout holds what was asked for, stderr messages and progress. Exit codes: 0 done, 1 an item failed, 2 usage, 3 unreachable or timed
out (a retry makes sense), 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP; `serve` ends with 78 when its settings or its data directory have to be
changed first. What `-J` prints is described by the schemas in [json-schemas](json-schemas).

";

fn flag(argument: &Argument) -> String {
    let names: Vec<&str> =
        [&argument.short, &argument.long].into_iter().flatten().map(String::as_str).collect();
    let value = argument.value.as_deref().map_or_else(String::new, |value| format!("<{value}>"));
    let name = match (names.is_empty(), value.is_empty()) {
        (true, _) => value,
        (false, true) => names.join(", "),
        (false, false) => format!("{} {value}", names.join(", ")),
    };
    let dots = if argument.repeatable { "..." } else { "" };
    let choices = argument.choices.as_ref().filter(|_| !argument.help.contains(": "));
    let choices = choices.map_or_else(String::new, |choices| format!("; one of {}", choices.join(", ")));
    let default =
        argument.default.as_ref().map_or_else(String::new, |default| format!(" [default: {default}]"));
    let help = argument.help.replace('\n', " ");
    format!("| `{name}`{dots} | {}{choices}{default} |", help.replace('|', "\\|").replace('<', "\\<"))
}

fn section(path: &str, command: &Command, page: &mut String) {
    let marks = "#".repeat(2 + path.matches(' ').count());
    writeln!(page, "{marks} {path}\n\n{}.", command.about).unwrap();
    if !command.aliases.is_empty() {
        writeln!(page, "Also: `{}`.", command.aliases.join("`, `")).unwrap();
    }
    writeln!(page, "\n```\n{}\n```\n", command.usage).unwrap();
    writeln!(page, "```\n{}\n```\n", command.examples.join("\n")).unwrap();
    if !command.arguments.is_empty() {
        page.push_str("| | |\n|---|---|\n");
        for argument in &command.arguments {
            writeln!(page, "{}", flag(argument)).unwrap();
        }
        page.push('\n');
    }
    for below in &command.commands {
        section(&format!("{path} {}", below.name), below, page);
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    section("weir", &tree(), &mut page);
    page.trim_end().to_owned() + "\n"
}

#[test]
fn the_page_of_the_command_line_is_true() {
    pages::assert_is("docs/reference/cli.md", &page(), "the commands");
}

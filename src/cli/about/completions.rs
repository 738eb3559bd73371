//! `weir completions`, and what a shell that uses them asks for: commands, flags, and what [`candidates`](super::candidates) knows.

use std::ffi::OsString;
use std::io;

use clap::{Command, CommandFactory};
use clap_complete::env::{CompleteEnv, Shells};
use serde_json::{Map, json};

use super::args::{CompletionsArgs, Shell};
use crate::cli::args::Cli;
use crate::cli::exit::{Exit, Failure};
use crate::cli::global::Global;
use crate::cli::output::{print_document, print_raw};

/// The variable by which the script of a shell asks.
const VARIABLE: &str = "COMPLETE";

/// Prints the script that makes a shell ask this program.
pub(in crate::cli) fn run(global: &Global, args: &CompletionsArgs) -> Result<Exit, Failure> {
    let name = match args.shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
        Shell::Powershell => "powershell",
        Shell::Elvish => "elvish",
    };
    let script =
        script(name).map_err(|error| Failure::failed(format!("the script can't be made: {error}")))?;
    if global.json {
        let script = String::from_utf8_lossy(&script);
        let fields = [("shell".to_owned(), json!(name)), ("script".to_owned(), json!(script))];
        print_document("completions", Map::from_iter(fields))?;
    } else {
        print_raw(script)?;
    }
    Ok(Exit::Done)
}

/// WHY our own: the library's own hands on `-b host:7070` and `-c key=value` in the pieces into which bash cuts them.
const BASH: &str = include_str!("completion.bash");

fn script(shell: &str) -> io::Result<Vec<u8>> {
    if shell == "bash" {
        return Ok(BASH.into());
    }
    let shells = Shells::builtins();
    let shell = shells.completer(shell).expect("every shell of the list is built in");
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "weir", "weir", "weir", &mut script)?;
    Ok(script)
}

/// Answers a shell and ends the process; does nothing when no shell asks.
pub(in crate::cli) fn complete() {
    let folder = std::env::current_dir().ok();
    let words = with_names(Cli::command(), std::env::args_os().collect());
    let env = CompleteEnv::with_factory(|| without_aliases(Cli::command())).var(VARIABLE);
    if env.try_complete(words, folder.as_deref()).unwrap_or_else(|error| error.exit()) {
        std::process::exit(0);
    }
}

/// The words of a line with the names of commands in place of their aliases; the last one is not finished, and stays.
fn with_names(mut here: Command, mut words: Vec<OsString>) -> Vec<OsString> {
    let finished = words.len().saturating_sub(1);
    for word in &mut words[..finished] {
        if let Some(below) = here.find_subcommand(&*word) {
            *word = below.get_name().into();
            here = below.clone();
        }
    }
    words
}

/// Aliases are understood, but what a shell is offered is the name, and nothing where no name fits.
fn without_aliases(command: Command) -> Command {
    command.mut_subcommands(|below| without_aliases(below.visible_alias(None::<&'static str>)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_a_script() {
        for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
            let script = String::from_utf8(script(shell).expect("made")).expect("text");
            assert!(script.contains("weir") && script.contains(VARIABLE), "{shell}: {script}");
        }
    }

    #[test]
    fn aliases_are_read_as_names_but_for_the_last_word() {
        let read = |line: &str| {
            let words = line.split(' ').map(OsString::from).collect();
            let words = with_names(Cli::command(), words).into_iter();
            words.map(|word| word.into_string().expect("text")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(read("weir -- weir g rm x"), "weir -- weir group delete x");
        assert_eq!(read("weir -- weir consume c c"), "weir -- weir consume c c");
        assert_eq!(read("weir -- weir topic r"), "weir -- weir topic r");
    }
}

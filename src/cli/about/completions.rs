//! `weir completions`, and what a shell that uses them asks for: commands, flags, and what [`candidates`](super::candidates) knows.

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

fn script(shell: &str) -> io::Result<Vec<u8>> {
    let shells = Shells::builtins();
    let shell = shells.completer(shell).expect("every shell of the list is built in");
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "weir", "weir", "weir", &mut script)?;
    Ok(script)
}

/// Answers a shell and ends the process; does nothing when no shell asks.
pub(in crate::cli) fn complete() {
    CompleteEnv::with_factory(|| with_hidden_aliases(Cli::command())).var(VARIABLE).complete();
}

/// Aliases are understood, but the word that is offered is the name: of the two, a shell would be given only the shorter.
fn with_hidden_aliases(command: Command) -> Command {
    command.mut_subcommands(|below| {
        // They live as long as the process, which ends with its answer.
        let aliases: Vec<&'static str> =
            below.get_all_aliases().map(|alias| &*alias.to_owned().leak()).collect();
        with_hidden_aliases(below.visible_alias(None::<&'static str>).aliases(aliases))
    })
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
}

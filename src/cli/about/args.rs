//! Arguments of the commands about the command line itself.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use super::candidates::{command_names, subjects};

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  weir completions bash > weir.bash          then, in ~/.bashrc: source weir.bash
  weir completions zsh > _weir               into a folder of $fpath
  weir completions fish > weir.fish          into ~/.config/fish/completions";

const COMPLETIONS_NOTE: &str = "\
Names of topics come from the broker where it answers within 150 ms;
the variable WEIR_COMPLETION_TIMEOUT gives it more.";

/// `weir completions`.
#[derive(Args, Debug)]
#[command(before_help = COMPLETIONS_EXAMPLES, after_help = COMPLETIONS_NOTE)]
pub struct CompletionsArgs {
    /// The shell: bash, zsh, fish, powershell or elvish
    #[arg(value_enum, hide_possible_values = true)]
    pub shell: Shell,
}

/// A shell that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Shell {
    /// bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
    /// PowerShell.
    Powershell,
    /// Elvish.
    Elvish,
}

const MAN_EXAMPLES: &str = "\
Examples:
  weir man > weir.1                          man -l weir.1 shows it
  weir man --dir man1                        a page for each command";

/// `weir man`.
#[derive(Args, Debug)]
#[command(before_help = MAN_EXAMPLES)]
pub struct ManArgs {
    /// Write a page for each command into this folder
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

const CHEAT_EXAMPLES: &str = "\
Examples:
  weir cheat
  weir cheat offsets";

/// `weir cheat`.
#[derive(Args, Debug)]
#[command(before_help = CHEAT_EXAMPLES)]
pub struct CheatArgs {
    /// Only this subject
    #[arg(add = ArgValueCompleter::new(subjects))]
    pub subject: Option<String>,
}

const HELP_EXAMPLES: &str = "\
Examples:
  weir help topic create
  weir help -J                               the tree of commands with every flag";

/// `weir help`.
#[derive(Args, Debug)]
#[command(before_help = HELP_EXAMPLES)]
pub struct HelpArgs {
    /// The command
    #[arg(value_name = "COMMAND", add = ArgValueCompleter::new(command_names))]
    pub path: Vec<String>,
}

const VERSION_EXAMPLES: &str = "\
Examples:
  weir version
  weir version -J";

/// `weir version`.
#[derive(Args, Debug)]
#[command(before_help = VERSION_EXAMPLES)]
pub struct VersionArgs {}

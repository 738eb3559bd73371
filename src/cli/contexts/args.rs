//! Arguments of `weir context`.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;

use crate::cli::about::context_names;

const EXAMPLES: &str = "\
Examples:
  weir context add prod -b weir1.example.org:7070
  weir context use prod
  weir topic list -C prod                    this command alone
  weir context -                             back to the one before";

/// `weir context`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct ContextArgs {
    /// What to do with contexts.
    #[command(subcommand)]
    pub command: ContextCommand,
}

/// What to do with contexts.
#[derive(Subcommand, Debug)]
pub enum ContextCommand {
    /// Name the broker of --bootstrap, or give a name another one
    Add(AddArgs),
    /// Make a context the one that commands use
    Use(UseArgs),
    /// List contexts
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one context
    Show(ShowArgs),
    /// Remove contexts
    #[command(visible_alias = "rm")]
    Remove(RemoveArgs),
    /// Go back to the context before
    #[command(name = "-")]
    Back(BackArgs),
}

const ADD_EXAMPLES: &str = "\
Examples:
  weir context add local
  weir context add prod -b weir1.example.org:7070";

/// `weir context add`.
#[derive(Args, Debug)]
#[command(before_help = ADD_EXAMPLES)]
pub struct AddArgs {
    /// Name of the context; the first one is used at once
    pub name: String,
}

const USE_EXAMPLES: &str = "\
Examples:
  weir context use prod";

/// `weir context use`.
#[derive(Args, Debug)]
#[command(before_help = USE_EXAMPLES)]
pub struct UseArgs {
    /// Name of the context
    #[arg(add = ArgValueCompleter::new(context_names))]
    pub name: String,
}

const LIST_EXAMPLES: &str = "\
Examples:
  weir context list
  weir context list -J";

/// `weir context list`.
#[derive(Args, Debug)]
#[command(before_help = LIST_EXAMPLES)]
pub struct ListArgs {}

const SHOW_EXAMPLES: &str = "\
Examples:
  weir context show
  weir context show prod -J";

/// `weir context show`.
#[derive(Args, Debug)]
#[command(before_help = SHOW_EXAMPLES)]
pub struct ShowArgs {
    /// Name of the context [default: the one in use]
    #[arg(add = ArgValueCompleter::new(context_names))]
    pub name: Option<String>,
}

const REMOVE_EXAMPLES: &str = "\
Examples:
  weir context remove prod";

/// `weir context remove`.
#[derive(Args, Debug)]
#[command(before_help = REMOVE_EXAMPLES)]
pub struct RemoveArgs {
    /// Names of the contexts
    #[arg(required = true, value_name = "NAME", add = ArgValueCompleter::new(context_names))]
    pub names: Vec<String>,
}

const BACK_EXAMPLES: &str = "\
Examples:
  weir context -";

/// `weir context -`.
#[derive(Args, Debug)]
#[command(before_help = BACK_EXAMPLES)]
pub struct BackArgs {}

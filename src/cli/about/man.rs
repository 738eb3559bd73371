//! `weir man`: manual pages from the tree of commands.

use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::args::ManArgs;
use crate::cli::args::Cli;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::print;

/// Prints the page of `weir`, or writes a page for each command into a folder.
pub(in crate::cli) fn run(args: &ManArgs) -> Result<Exit, Failure> {
    match &args.dir {
        None => print(page().map_err(|error| Failure::failed(format!("the page can't be made: {error}")))?)?,
        Some(folder) => write_all(folder)
            .map_err(|error| Failure::failed(format!("can't write to {}: {error}", folder.display())))?,
    }
    Ok(Exit::Done)
}

fn page() -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(with_examples(Cli::command())).render(&mut page)?;
    Ok(page)
}

#[allow(clippy::disallowed_methods, reason = "a folder that the user names, not the broker's disk")]
fn write_all(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(with_examples(Cli::command()), folder)
}

/// Puts the examples where manual pages show them.
fn with_examples(command: Command) -> Command {
    let examples = command.get_before_help().map(ToString::to_string).unwrap_or_default();
    command.after_help(examples).mut_subcommands(with_examples)
}

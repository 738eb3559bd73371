//! `weir help`: a help page, or the tree of commands.

use serde_json::{Map, json};

use super::args::HelpArgs;
use super::tree::{Command, tree};
use crate::base::closest::did_you_mean;
use crate::cli::args::command;
use crate::cli::exit::{Exit, Failure};
use crate::cli::global::Global;
use crate::cli::output::{print, print_document};

/// Prints the page of a command, with -J its part of the tree.
pub(in crate::cli) fn run(global: &Global, args: &HelpArgs) -> Result<Exit, Failure> {
    let found = find(tree(), &args.path).map_err(Failure::usage)?;
    if global.json {
        print_document("help", Map::from_iter([("tree".to_owned(), json!(found))]))?;
        return Ok(Exit::Done);
    }
    let line = ["weir"].into_iter().chain(args.path.iter().map(String::as_str)).chain(["--help"]);
    match command().try_get_matches_from(line) {
        Err(page) => print(page.to_string())?,
        Ok(_) => unreachable!("--help is never a command"),
    }
    Ok(Exit::Done)
}

fn find(root: Command, path: &[String]) -> Result<Command, String> {
    let mut here = root;
    for (at, word) in path.iter().enumerate() {
        let Some(next) = here.commands.iter().find(|command| command.is_called(word)) else {
            let hint = did_you_mean(word, here.commands.iter().map(|command| command.name.as_str()));
            let above: String = path[..at].iter().map(|word| format!(" {word}")).collect();
            return Err(format!(
                "there is no command '{word}' below weir{above}.{hint} `weir help{above}` lists them"
            ));
        };
        here = next.clone();
    }
    Ok(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_by_their_path() {
        let path = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let name = |words: &[&str]| find(tree(), &path(words)).map(|command| command.name);
        assert_eq!(name(&[]), Ok("weir".to_owned()));
        assert_eq!(name(&["topic", "ls"]), Ok("list".to_owned()));
        let error = name(&["topic", "creat"]).expect_err("none");
        assert!(
            error.contains("below weir topic. Did you mean 'create'? `weir help topic` lists them"),
            "{error}"
        );
        assert!(name(&["topic", "topic"]).expect_err("none").contains("'topic' below weir topic."));
    }
}

//! The tree of commands as values: what `weir help -J` prints and the reference page is made from. Pure.

use clap::{Arg, ArgAction, CommandFactory};
use serde::Serialize;

use crate::cli::args::Cli;

/// A command.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Command {
    /// The word that calls it.
    pub name: String,
    /// What it does.
    pub about: String,
    /// How a line with it looks.
    pub usage: String,
    /// Other words that call it.
    pub aliases: Vec<String>,
    /// Lines that show it, some with a remark behind two blanks.
    pub examples: Vec<String>,
    /// Its own flags and arguments; those that every command takes stand at the root.
    pub arguments: Vec<Argument>,
    /// The commands below it.
    pub commands: Vec<Command>,
}

impl Command {
    /// Whether this word calls it.
    pub fn is_called(&self, word: &str) -> bool {
        self.name == word || self.aliases.iter().any(|alias| alias == word)
    }
}

/// A flag or argument.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// What it means.
    pub help: String,
    /// Whether a line is wrong without it.
    pub required: bool,
    /// Whether it may be given more than once.
    pub repeatable: bool,
    /// With the hyphen, `-p`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short: Option<String>,
    /// With the hyphens, `--partitions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long: Option<String>,
    /// What its value is called; switches have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Its value where none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The values that it takes, where they are few.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<String>>,
}

/// The whole tree.
pub fn tree() -> Command {
    let mut root = Cli::command();
    root.build();
    command(&root, true)
}

fn command(command: &clap::Command, is_root: bool) -> Command {
    let shown = |arg: &&Arg| {
        let is_own = is_root || !arg.is_global_set();
        is_own && !arg.is_hide_set() && !matches!(arg.get_action(), ArgAction::Help | ArgAction::Version)
    };
    let text = |text: Option<&clap::builder::StyledStr>| text.map(ToString::to_string).unwrap_or_default();
    Command {
        name: command.get_name().to_owned(),
        about: text(command.get_about()),
        usage: usage(command),
        aliases: command.get_visible_aliases().map(str::to_owned).collect(),
        examples: examples(&text(command.get_before_help())),
        arguments: command.get_arguments().filter(shown).map(argument).collect(),
        commands: command.get_subcommands().map(|below| self::command(below, false)).collect(),
    }
}

fn usage(command: &clap::Command) -> String {
    let text = command.clone().render_usage().to_string();
    text.trim_start_matches("Usage: ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn examples(text: &str) -> Vec<String> {
    let lines = text.lines().skip(1).take_while(|line| line.starts_with("  "));
    lines.map(|line| line.trim().to_owned()).collect()
}

fn argument(arg: &Arg) -> Argument {
    let takes_value = arg.get_action().takes_values();
    let value = || {
        let names = arg.get_value_names().unwrap_or_default();
        names.first().map_or_else(|| arg.get_id().to_string().to_uppercase(), ToString::to_string)
    };
    let mut defaults = arg.get_default_values().iter().filter(|value| !value.is_empty());
    let choices: Vec<String> = match takes_value {
        true => arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect(),
        false => Vec::new(),
    };
    Argument {
        name: arg.get_id().to_string(),
        help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
        required: arg.is_required_set(),
        repeatable: matches!(arg.get_action(), ArgAction::Append | ArgAction::Count),
        short: arg.get_short().map(|letter| format!("-{letter}")),
        long: arg.get_long().map(|word| format!("--{word}")),
        value: takes_value.then(value),
        default: defaults.next().filter(|_| takes_value).map(|value| value.to_string_lossy().into_owned()),
        choices: Some(choices).filter(|choices| !choices.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_has_every_command_with_examples() {
        fn visit(command: &Command) {
            assert!(!command.about.is_empty(), "{}", command.name);
            assert!(!command.examples.is_empty(), "{} has no example", command.name);
            for argument in &command.arguments {
                assert!(!argument.help.is_empty(), "{} {}", command.name, argument.name);
            }
            command.commands.iter().for_each(visit);
        }
        visit(&tree());
    }

    #[test]
    fn flags_are_told_with_all_that_they_take() {
        let tree = tree();
        let produce = tree.commands.iter().find(|command| command.name == "produce").expect("is there");
        assert!(produce.usage.starts_with("weir produce [OPTIONS] <TOPIC>"), "{}", produce.usage);
        assert_eq!(produce.aliases, ["p"]);
        let find = |name: &str| produce.arguments.iter().find(|arg| arg.name == name).expect(name);
        let acks = find("acks");
        assert_eq!((acks.short.as_deref(), acks.default.as_deref()), (Some("-a"), Some("all")));
        assert_eq!(acks.choices.as_ref().map(Vec::len), Some(3));
        assert!(find("topic").required && find("headers").repeatable && find("tee").value.is_none());
        assert!(produce.arguments.iter().all(|arg| arg.name != "json"), "global flags stand at the root");
        assert!(tree.arguments.iter().any(|arg| arg.name == "json"));
    }
}

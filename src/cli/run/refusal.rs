//! A command line that makes no sense, told to whoever knows another tool: what its word is called here.

use clap::Command;
use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Commands of other tools, with the command below which they were looked for.
const COMMANDS: &[(&str, &[&str], &str)] = &[
    ("weir", &["topics", "list", "ls"], "`weir topic list` lists topics"),
    (
        "weir",
        &["create", "describe", "alter", "delete", "rm", "trim"],
        "topics have commands of their own: `weir topic --help`",
    ),
    (
        "weir",
        &["cat", "read", "tail", "get", "sub", "subscribe", "consumer"],
        "`weir consume TOPIC` reads records",
    ),
    ("weir", &["write", "send", "put", "pub", "publish", "producer"], "`weir produce TOPIC` writes records"),
    ("weir", &["server", "broker", "start", "run"], "`weir serve --dev` runs a broker"),
    (
        "weir",
        &["status", "info", "brokers", "health", "ping"],
        "`weir cluster status` and `weir cluster health` tell how the broker fares",
    ),
    (
        "weir",
        &["inspect", "verify", "segments", "dump", "dump-log"],
        "`weir log --help` shows what looks at stored logs",
    ),
    (
        "weir",
        &["config", "configs"],
        "`weir topic config-keys` lists settings of topics, `weir serve --print-config` those of the broker",
    ),
    ("weir", &["profile", "ctx", "use"], "`weir context --help` shows how brokers get names"),
    (
        "weir",
        &["group", "groups", "lag"],
        "this version has no consumer groups; `weir consume -o` says where to begin",
    ),
    ("topic", &["show", "get", "info"], "`weir topic describe NAME` shows one"),
    ("topic", &["add", "new", "make"], "`weir topic create NAME` makes one"),
    ("topic", &["remove", "drop"], "`weir topic delete NAME` deletes one"),
    (
        "topic",
        &["update", "set", "edit", "add-partitions"],
        "`weir topic alter NAME` changes settings and partitions",
    ),
    (
        "topic",
        &["config", "configs", "options"],
        "`weir topic config-keys` lists the settings, `weir topic alter NAME -c KEY=VALUE` sets one",
    ),
    (
        "topic",
        &["purge", "truncate", "empty", "trim-prefix"],
        "`weir topic trim NAME --to end` removes what is there",
    ),
    ("log", &["dump", "show"], "`weir log inspect PATH` shows what log files hold"),
];

/// Flags of other tools.
const FLAGS: &[(&[&str], &str)] = &[
    (&["-t", "--topic"], "the topic stands alone, as in `weir consume orders`"),
    (&["-g", "-G", "--group"], "this version has no consumer groups; -o says where to begin"),
    (&["-P"], "`weir produce TOPIC` writes records"),
    (&["-L"], "`weir topic list` lists topics, `weir cluster status` shows the broker"),
    (
        &["--bootstrap-server", "--brokers", "--broker-list"],
        "-b HOST:PORT names the broker, as does the variable WEIR_BOOTSTRAP",
    ),
    (&["--follow"], "consume follows by itself; -e ends at the end"),
    (
        &["--create", "--list", "--describe", "--alter", "--delete"],
        "`weir topic --help` shows the commands of topics",
    ),
];

/// The same error; with the words of this tool where those of another one were used, and without the variables among the
/// arguments that it shows. `words` are those of the command line, `root` is the tree.
pub(super) fn explain(mut error: Error, words: &[String], mut root: Command) -> Error {
    root.build();
    let command = command_of(&mut root, words);
    if error.kind() == ErrorKind::MissingRequiredArgument {
        error.insert(ContextKind::Usage, ContextValue::StyledStr(command.render_usage()));
    }
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    };
    let advice = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            word(ContextKind::InvalidSubcommand).and_then(|word| of_command(command.get_name(), word))
        }
        ErrorKind::UnknownArgument => word(ContextKind::InvalidArg).and_then(of_flag),
        _ => None,
    };
    if let Some(advice) = advice {
        for other in [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg] {
            error.remove(other);
        }
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![advice.into()]));
    }
    error
}

/// The command that the words reach.
fn command_of<'a>(root: &'a mut Command, words: &[String]) -> &'a mut Command {
    let mut found = root;
    for word in words {
        if found.find_subcommand(word).is_some() {
            found = found.find_subcommand_mut(word).expect("it was found");
        }
    }
    found
}

fn of_command(below: &str, word: &str) -> Option<&'static str> {
    let fits = |(parent, words, _): &&(&str, &[&str], &str)| *parent == below && words.contains(&word);
    COMMANDS.iter().find(fits).map(|(_, _, advice)| *advice)
}

fn of_flag(word: &str) -> Option<&'static str> {
    FLAGS.iter().find(|(words, _)| words.contains(&word)).map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::args::Cli;

    fn refused(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let error = Cli::try_parse_from(&words).expect_err(line);
        explain(error, &words[1..], Cli::command()).to_string()
    }

    #[test]
    fn words_of_other_tools_are_translated() {
        for (line, words) in [
            ("weir topics", "tip: `weir topic list` lists topics"),
            ("weir list", "tip: `weir topic list`"),
            ("weir cat orders", "tip: `weir consume TOPIC`"),
            ("weir group list", "no consumer groups"),
            ("weir topic show orders", "tip: `weir topic describe NAME`"),
            ("weir topic --create --topic orders", "tip: `weir topic --help`"),
            ("weir consume -t orders", "tip: the topic stands alone"),
            ("weir consume -b x:1 orders -g g1", "no consumer groups"),
            ("weir --bootstrap-server x:1 topic list", "tip: -b HOST:PORT"),
        ] {
            let told = refused(line);
            assert!(told.contains(words) && told.matches("tip:").count() == 1, "{line}: {told}");
        }
        assert!(refused("weir consum orders").contains("'consume'"), "clap's own advice stays");
        assert!(refused("weir produce orders --nope").contains("--nope"));
    }

    #[test]
    fn only_what_does_not_exist_is_translated_and_only_into_what_exists() {
        let mut root = Cli::command();
        root.build();
        for (parent, words, advice) in COMMANDS {
            let below = if *parent == "weir" { &root } else { root.find_subcommand(parent).expect(parent) };
            for word in *words {
                assert!(below.find_subcommand(word).is_none(), "{parent} {word}");
            }
            for line in advice.split('`').filter(|part| part.starts_with("weir ")) {
                let kind = Cli::try_parse_from(line.split(' ')).err().map(|error| error.kind());
                let is_wrong =
                    [ErrorKind::InvalidSubcommand, ErrorKind::UnknownArgument].map(Some).contains(&kind);
                assert!(!is_wrong, "{line}");
            }
        }
    }

    #[test]
    fn the_usage_shown_has_no_variables() {
        let told = refused("weir topic describe");
        assert!(told.contains("Usage: weir topic describe [OPTIONS] <NAME>..."), "{told}");
    }
}

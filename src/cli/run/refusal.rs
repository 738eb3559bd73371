//! A command line that makes no sense, told to whoever knows another tool: what its word is called here.

use std::io::Write;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Command, Error};

use super::other_tools::{of_command, of_flag, of_value_missing};
use super::tell;
use crate::cli::about::version;
use crate::cli::args::command;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Form, is_shown, set_form, shown};
use crate::cli::stderr;

/// The names of the command that was called and of those above it, such as `topic alter`; empty for `weir` itself.
pub(super) fn path_of(matches: &ArgMatches) -> String {
    let mut names = Vec::new();
    let mut here = matches;
    while let Some((name, below)) = here.subcommand() {
        names.push(name);
        here = below;
    }
    names.join(" ")
}

/// Tells what is wrong with the arguments of the process, or shows the help that they ask for; and how that ends it.
pub(super) fn refuse(error: Error) -> Exit {
    let words: Vec<String> = std::env::args_os().skip(1).filter_map(|word| word.into_string().ok()).collect();
    if !error.use_stderr() {
        return show(&error, form_asked(&words)).unwrap_or_else(|failure| tell("", &failure));
    }
    let mut root = command();
    let path = command_of(&mut root, &words).1;
    if let Some(form) = form_asked(&words) {
        set_form(form);
        let told = explain(error, &words, root).to_string();
        return tell(&path, &Failure::usage(in_short(&told)));
    }
    if path == crate::cli::cluster::CHECK {
        return tell(&path, &Failure::usage(in_short(&explain(error, &words, root).to_string())));
    }
    if error.kind() == ErrorKind::MissingSubcommand {
        root.build();
        let page = command_of(&mut root, &words).0.render_help();
        stderr::say(page.to_string().trim_end());
        return Exit::Usage;
    }
    let told = explain(error, &words, root);
    // WHY words, not what is told: the library takes escapes out of its text, and prints them with its colours.
    match words.iter().all(|word| word.chars().all(is_shown)) {
        true => drop(told.print()),
        false => stderr::say(shown(&told.to_string()).trim_end()),
    }
    Exit::Usage
}

/// Shows the help or the version that was asked for.
fn show(error: &Error, form: Option<Form>) -> Result<Exit, Failure> {
    match form {
        Some(form) if error.kind() == ErrorKind::DisplayVersion => {
            set_form(form);
            version::run_as_document()
        }
        _ => {
            let printed = error.print().and_then(|()| std::io::stdout().flush());
            printed.map(|()| Exit::Done).map_err(|error| Failure::stdout(&error))
        }
    }
}

/// What is wrong, without the word before it and the usage behind it.
fn in_short(told: &str) -> String {
    let message = told.strip_prefix("error: ").unwrap_or(told);
    let message = message.split("\n\nUsage:").next().unwrap_or(message);
    message.split("\n\nFor more information").next().unwrap_or(message).trim_end().to_owned()
}

/// The form of documents that a line asks for which can't be parsed.
fn form_asked(words: &[String]) -> Option<Form> {
    let words: Vec<&str> = words.iter().map(String::as_str).take_while(|word| *word != "--").collect();
    let named = |word: &str| match word {
        "json" => Some(Form::Json),
        "yaml" => Some(Form::Yaml),
        _ => None,
    };
    // Letters before J that take no value: a J behind another one belongs to that one's value.
    let is_json = |word: &&&str| {
        let before = word.strip_prefix('-').and_then(|letters| letters.split_once('J'));
        **word == "--json"
            || before.is_some_and(|(before, _)| before.chars().all(|letter| "qvyeZuT".contains(letter)))
    };
    if words.iter().any(|word| is_json(&word)) {
        return Some(Form::Json);
    }
    let behind = words.windows(2).filter(|pair| pair[0] == "--output").find_map(|pair| named(pair[1]));
    behind.or_else(|| words.iter().find_map(|word| named(word.strip_prefix("--output=")?)))
}

/// The same error; with the words of this tool where those of another one were used, and without the variables among the
/// arguments that it shows. `words` are those of the command line, `root` is the tree.
pub(super) fn explain(mut error: Error, words: &[String], mut root: Command) -> Error {
    root.build();
    show_all(&mut error);
    let (command, path) = command_of(&mut root, words);
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
        ErrorKind::UnknownArgument => word(ContextKind::InvalidArg).and_then(|flag| of_flag(&path, flag)),
        ErrorKind::InvalidValue if word(ContextKind::InvalidValue) == Some("") => {
            word(ContextKind::InvalidArg).and_then(of_value_missing)
        }
        _ => None,
    };
    let advice = advice.map(str::to_owned).or_else(|| match error.kind() {
        ErrorKind::UnknownArgument => of_value(command, words, word(ContextKind::InvalidArg)?),
        _ => None,
    });
    if word(ContextKind::SuggestedArg).is_some_and(|flag| is_hidden(command, flag)) {
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Usage, ContextValue::StyledStr(command.render_usage()));
    }
    if let Some(advice) = advice {
        for other in [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg] {
            error.remove(other);
        }
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![advice.into()]));
    }
    error
}

/// Makes what the error repeats of the command line visible.
fn show_all(error: &mut Error) {
    let hidden = |(kind, value): (ContextKind, &ContextValue)| match value {
        ContextValue::String(text) if !text.chars().all(is_shown) => Some((kind, shown(text))),
        _ => None,
    };
    let hidden: Vec<(ContextKind, String)> = error.context().filter_map(hidden).collect();
    for (kind, text) in hidden {
        error.insert(kind, ContextValue::String(text));
    }
}

/// The command that the words reach, and its path.
fn command_of<'a>(root: &'a mut Command, words: &[String]) -> (&'a mut Command, String) {
    let mut found = root;
    let mut path = Vec::new();
    for word in words {
        if found.find_subcommand(word).is_some() {
            found = found.find_subcommand_mut(word).expect("it was found");
            path.push(found.get_name().to_owned());
        }
    }
    (found, path.join(" "))
}

/// What to write where a value begins like a flag: `flag` is how it begins.
fn of_value(command: &Command, words: &[String], flag: &str) -> Option<String> {
    let at = words.iter().position(|word| word.starts_with(flag))?;
    let (before, value) = (words.get(at.checked_sub(1)?)?, &words[at]);
    let is_it = |arg: &&Arg| {
        let is_long = arg.get_long().is_some_and(|long| *before == format!("--{long}"));
        is_long || arg.get_short().is_some_and(|short| *before == format!("-{short}"))
    };
    let takes_one = command.get_arguments().find(is_it).is_some_and(|arg| arg.get_action().takes_values());
    takes_one.then(|| format!("to pass '{value}' as the value of {before}, write {before}={value}"))
}

/// Whether no help shows a flag.
fn is_hidden(command: &Command, flag: &str) -> bool {
    let name = flag.trim_start_matches('-');
    command.get_arguments().any(|arg| arg.get_long() == Some(name) && arg.is_hide_set())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::super::other_tools::{COMMANDS, FLAGS};
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
            ("weir groups", "tip: `weir group list`"),
            ("weir group show billing", "tip: `weir group describe GROUP`"),
            ("weir topic show orders", "tip: `weir topic describe NAME`"),
            ("weir topic produce orders x", "tip: `weir produce TOPIC`"),
            ("weir topic consume orders", "tip: `weir consume TOPIC`"),
            ("weir log verify d --repair", "tip: nothing is to be done by hand"),
            ("weir consume orders --where 'a'", "tip: there is no language of conditions yet; --grep"),
            ("weir queue list", "tip: this version does not have it yet"),
            ("weir cluster info", "tip: `weir cluster status`"),
            ("weir topic --create --topic orders", "tip: `weir topic --help`"),
            ("weir consume -t orders", "tip: the topic stands alone"),
            ("weir group reset-offsets g --to start --dry-run", "shows a plan until --execute is given"),
            ("weir produce orders x --dry-run", "tip: topic create, alter, delete and trim take it"),
            ("weir group delete g --execute", "this command does at once what it says"),
            ("weir -C -b h:1 -t orders", "tip: -C names a context here; `weir consume TOPIC` reads"),
            ("weir produce orders -l x", "tip: -F FILE reads a record from each line"),
            ("weir group lag --group shop", "tip: the group stands alone, as in `weir group lag billing`"),
            ("weir group describe --group x", "tip: the group stands alone"),
            ("weir group describe --all-groups", "tip: name the groups; `weir group list`"),
            ("weir group reset-offsets g --to-earliest", "tip: --to says where: start, end"),
            ("weir consume orders --property print.key=true", "tip: -f '%k %v\\n' prints key and value"),
            ("weir produce orders --property parse.key=true", "tip: -K : splits each line"),
            ("weir produce orders --producer-property a=b", "tip: -a sets the acks"),
            ("weir consume orders --consumer-property a=b", "tip: -g names the group, -o the place"),
            ("weir consume orders --isolation-level read_committed", "tip: this version has no transactions"),
            ("weir consume orders --timeout-ms 10", "tip: --idle-timeout 10s"),
            ("weir topic describe --topic orders", "tip: the topic stands alone, as in `weir topic describe"),
            ("weir topic alter-config orders --set a=b", "tip: `weir topic alter NAME`"),
            ("weir topic alter orders --add-config a=b", "tip: `weir topic alter NAME -c KEY=VALUE`"),
            ("weir topic list -g g1", "tip: `weir consume TOPIC -g GROUP`"),
            ("weir --bootstrap-server x:1 topic list", "tip: -b HOST:PORT"),
        ] {
            let told = refused(line);
            assert!(told.contains(words) && told.matches("tip:").count() == 1, "{line}: {told}");
        }
        assert!(refused("weir consum orders").contains("'consume'"), "clap's own advice stays");
        assert!(refused("weir produce orders --nope").contains("--nope"));
    }

    #[test]
    fn a_value_that_begins_like_a_flag_is_told_how_to_be_one() {
        let refused = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let error = command().try_get_matches_from(&words).expect_err(line);
            explain(error, &words[1..], command()).to_string()
        };
        for (line, words) in [
            (
                "weir produce orders x -p -1",
                "'-1' for '--partition <N>': it takes the number of a partition, 0 or more",
            ),
            (
                "weir consume orders -p -1 -e",
                "'-1' for '--partitions <N,..>': it takes the number of a partition",
            ),
            ("weir topic list --timeout -1s", "'-1s' for '--timeout <TIME>'"),
            ("weir log inspect d --from -1", "it takes an offset, 0 or more"),
            ("weir topic create x -p -3", "it takes a number of partitions, 1 to 10000"),
            ("weir produce orders -r -5", "it takes records a second, 1 to"),
            ("weir top -d -1s", "'-1s' for '--delay <TIME>'"),
            ("weir group lag g --warn -1", "it takes a number of records, 0 or more"),
            ("weir demo --seed -1", "it takes a whole number, 0 or more"),
            ("weir demo --speed -1", "give a number from 0.01 to 1000"),
            ("weir consume orders -g -x", "tip: to pass '-x' as the value of -g, write -g=-x"),
            ("weir produce orders --key -x", "tip: to pass '-x' as the value of --key, write --key=-x"),
        ] {
            let told = refused(line);
            assert!(told.contains(words) && !told.contains("'-- -"), "{line}: {told}");
        }
        let told = refused("weir consume orders -e --no-inptu");
        assert!(!told.contains("--no-input") && told.contains("Usage: weir consume [OPTIONS]"), "{told}");
        let node = command().try_get_matches_from("weir serve --node-id -1 --check".split(' '));
        assert!(node.is_ok(), "the settings tell its range");
    }

    /// The lines that a piece of advice shows.
    fn are_understood(advice: &str) {
        for line in advice.split('`').filter(|part| part.starts_with("weir ")) {
            let kind = Cli::try_parse_from(line.split(' ')).err().map(|error| error.kind());
            let is_wrong =
                [ErrorKind::InvalidSubcommand, ErrorKind::UnknownArgument].map(Some).contains(&kind);
            assert!(!is_wrong, "{line}");
        }
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
            are_understood(advice);
        }
        FLAGS.iter().for_each(|(_, _, advice)| are_understood(advice));
    }

    #[test]
    fn documents_are_known_to_be_asked_for_in_a_line_that_is_wrong() {
        let asked = |line: &str| form_asked(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        for line in ["topic lst -J", "topic -qJ lst", "--json x", "x --output json", "x --output=json"] {
            assert_eq!(asked(line), Some(Form::Json), "{line}");
        }
        assert_eq!(asked("x --output yaml"), Some(Form::Yaml));
        for line in ["topic lst", "produce t -- -J", "produce t -kJ", "x --output table", "-b-J"] {
            assert_eq!(asked(line), None, "{line}");
        }
        let told = in_short(&refused("weir topic lst -J"));
        assert!(told.starts_with("unrecognized subcommand 'lst'") && !told.contains("Usage"), "{told}");
    }

    #[test]
    fn the_usage_shown_has_no_variables() {
        let told = refused("weir topic describe");
        assert!(told.contains("Usage: weir topic describe [OPTIONS] <NAME>..."), "{told}");
    }
}

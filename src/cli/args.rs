//! The command tree.

use std::ffi::OsString;

use clap::{CommandFactory, Parser, Subcommand};

use super::about::{CheatArgs, CompletionsArgs, HelpArgs, ManArgs, VersionArgs};
use super::bench::BenchArgs;
use super::cluster::ClusterArgs;
use super::consume::ConsumeArgs;
use super::contexts::ContextArgs;
use super::demo::DemoArgs;
use super::global::Global;
use super::group::GroupArgs;
use super::log::LogArgs;
use super::output::columns_of_terminal;
use super::produce::ProduceArgs;
use super::serve::ServeArgs;
use super::top::TopArgs;
use super::topic::TopicArgs;

/// Examples come first in every help page; the rest is looked up.
const EXAMPLES: &str = "\
Examples:
  weir demo                                  a broker with records, checked
  weir serve --dev                           on 127.0.0.1:7070, in ./weir-dev
  weir topic create orders -p 6
  weir produce orders 'first record'
  weir consume orders -o start -e            everything there is, then exit";

/// Weir: a partitioned commit log.
#[derive(Parser, Debug)]
#[command(name = "weir", version, before_help = EXAMPLES, disable_help_subcommand = true, max_term_width = 110)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run a broker
    Serve(ServeArgs),
    /// Run a broker with sample records of its own and check them
    Demo(DemoArgs),
    /// Create, list, describe, alter, delete and trim topics
    Topic(TopicArgs),
    /// Write records
    #[command(visible_alias = "p")]
    Produce(ProduceArgs),
    /// Read records
    #[command(visible_alias = "c")]
    Consume(ConsumeArgs),
    /// Show consumer groups, and set where they go on
    #[command(visible_alias = "g")]
    Group(GroupArgs),
    /// Look at stored logs: files, or the segments of a broker
    Log(LogArgs),
    /// Show how the broker fares, and check its health
    Cluster(ClusterArgs),
    /// Show topics with their rates, live
    Top(TopArgs),
    /// Measure what a broker takes and gives, and how fast
    Bench(BenchArgs),
    /// Give brokers names, and choose one
    Context(ContextArgs),
    /// Print what makes a shell complete commands and topics
    Completions(CompletionsArgs),
    /// Print or write the manual pages
    // WHY hidden: packages need it, people seldom, and the page is to fit a screen.
    #[command(hide = true)]
    Man(ManArgs),
    /// Show examples of a subject
    Cheat(CheatArgs),
    /// Show the help of a command, or the whole tree as JSON
    // WHY hidden: its flag is told.
    #[command(hide = true)]
    Help(HelpArgs),
    /// Print the version
    #[command(hide = true)]
    Version(VersionArgs),
}

/// Names of values that are numbers or times: a wrong one may begin with a hyphen, and is to be told what is right.
const NUMBERS: [&str; 6] = ["N", "N,..", "OFFSET", "RATE", "TIME", "X"];

/// Columns below which help of a flag has no room beside it.
const NARROW: usize = 40;

/// The tree of commands as the process parses it.
pub fn command() -> clap::Command {
    for_columns(with_negative_numbers(Cli::command()), columns_of_terminal())
}

/// WHY: the library puts help beside its flag again where a terminal is narrower than the flags, a word on each line.
fn for_columns(command: clap::Command, columns: Option<usize>) -> clap::Command {
    match columns {
        Some(columns) if columns < NARROW => command.next_line_help(true),
        _ => command,
    }
}

fn with_negative_numbers(command: clap::Command) -> clap::Command {
    let is_number = |arg: &clap::Arg| {
        let names = arg.get_value_names().unwrap_or_default();
        !arg.is_positional() && names.iter().any(|name| NUMBERS.contains(&name.as_str()))
    };
    let command = command.mut_args(|arg| if is_number(&arg) { arg.allow_hyphen_values(true) } else { arg });
    command.mut_subcommands(with_negative_numbers)
}

/// The arguments of the process. `--output json` is another spelling of `--json`: what excludes one excludes the other.
pub fn words() -> Vec<OsString> {
    in_one_spelling(std::env::args_os())
}

fn in_one_spelling(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut found: Vec<OsString> = Vec::new();
    let mut is_over = false;
    for word in words {
        is_over |= word == "--";
        match found.last_mut() {
            Some(before) if !is_over && before == "--output" && word == "json" => *before = "--json".into(),
            _ if !is_over && word == "--output=json" => found.push("--json".into()),
            _ => found.push(word),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::topic::TopicCommand;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    fn consume(line: &str) -> ConsumeArgs {
        match parse(line).expect(line).command {
            Command::Consume(args) => args,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn produce(line: &str) -> ProduceArgs {
        match parse(line).expect(line).command {
            Command::Produce(args) => args,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn errors_advise_only_commands_that_exist() {
        let advice = crate::base::error::KINDS.iter().map(|row| row.advice);
        let mut count = 0;
        for line in advice.flat_map(|text| text.split('`')).filter(|part| part.starts_with("weir ")) {
            count += 1;
            let kind = parse(line).err().map(|error| error.kind());
            assert_ne!(kind, Some(clap::error::ErrorKind::InvalidSubcommand), "{line}");
        }
        assert!(count > 0, "no advice names a command");
    }

    #[test]
    fn the_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_page_begins_with_examples_and_fits_a_screen() {
        fn visit(command: &clap::Command, path: &str) {
            let help = parse(&format!("{path} --help")).expect_err("help is shown").to_string();
            let lines_max = if path == "weir" { 40 } else { 60 };
            assert!(help.lines().count() <= lines_max, "{path}: {} lines\n{help}", help.lines().count());
            assert!(help.starts_with("Examples:\n  "), "{path}\n{help}");
            assert!(help.lines().all(|line| line.chars().count() <= 120), "{path}\n{help}");
            for sub in command.get_subcommands() {
                visit(sub, &format!("{path} {}", sub.get_name()));
            }
        }
        visit(&Cli::command(), "weir");
        let slim = for_columns(Cli::command().term_width(30), Some(30));
        let slim = slim.try_get_matches_from(["weir", "topic", "create", "--help"]);
        let slim = slim.expect_err("help is shown").to_string();
        assert!(slim.contains("\n          Broker\n          [$WEIR_BOOTSTRAP,\n"), "{slim}");
        let narrow = Cli::command().term_width(80).try_get_matches_from(["weir", "--help"]);
        let narrow = narrow.expect_err("help is shown").to_string();
        assert!(narrow.lines().count() <= 40, "{} lines\n{narrow}", narrow.lines().count());
    }

    #[test]
    fn offsets_may_begin_with_a_hyphen() {
        assert_eq!(consume("weir consume t -o -100").offset, ["-100"]);
        assert_eq!(consume("weir consume t -o @-1h:@now").offset, ["@-1h:@now"]);
        assert_eq!(consume("weir consume t -o-5 -e").offset, ["-5"]);
        assert_eq!(consume("weir consume a b --offset=-5:end").topics, ["a", "b"]);
        assert_eq!(consume("weir consume t -o s@1 -o e@2").offset, ["s@1", "e@2"]);
        let Command::Topic(args) = parse("weir topic trim t --to -5 -p 0,2").expect("parses").command else {
            panic!("not a topic command");
        };
        let TopicCommand::Trim(trim) = args.command else { panic!("not a trim") };
        assert_eq!((trim.to.as_str(), trim.partitions), ("-5", vec![0, 2]));
    }

    #[test]
    fn sample_lines() {
        for line in [
            "weir serve --dev",
            "weir serve --data-dir d -c weir.toml --node-id 3 --listen 127.0.0.1:0 --insecure-no-auth -X a=b -X c=d",
            "weir demo --once --seed 7 --speed 2.5",
            "weir topic create a b -p 6 -c retention.ms=7d -c flush=os --if-not-exists --dry-run",
            "weir topic list",
            "weir group list --state Stable,empty",
            "weir topic ls or* --internal -J",
            "weir topic describe orders --section partitions --section config",
            "weir topic alter orders -c retention.ms=1d -d segment.ms -p 12 --dry-run",
            "weir topic rm orders --if-exists",
            "weir topic rm orders -y --no-input",
            "weir -b h:1 produce orders a b -k key -H a=b -H a= -p 3 -a all -z zstd --report %o\\n",
            "weir produce orders -F f.ndjson -K, -r 20000 -n 5",
            "weir produce orders -K: -a 0 -a 1",
            "weir produce orders -J --repartition -F -",
            "weir c orders -e -n 5 -f %v --tail 3 -p 0,1 -p 2",
            "weir consume orders -J --timeout 3s -q -vv --color never",
            "weir cluster status -J",
            "weir cluster health --watch --exit-when-healthy -d 500ms",
            "weir top --once -J --sort size -d 5s",
        ] {
            let parsed = parse(line);
            assert!(parsed.is_ok() || line.contains("-a 0 -a 1"), "{line}: {parsed:?}");
        }
        assert_eq!(consume("weir c t -p 0,1 -p 2").partitions, [0, 1, 2]);
        assert_eq!(produce("weir produce t -K: -H a=b=c").headers, [("a".to_owned(), "b=c".to_owned())]);
        assert_eq!(produce("weir produce t -- -1 -x").values, ["-1", "-x"]);
    }

    #[test]
    fn wrong_lines_are_usage_errors() {
        for line in [
            "weir",
            "weir consum t",
            "weir consume",
            "weir produce",
            "weir produce t -J -K:",
            "weir produce t -J -k x",
            "weir produce t -J -p 1",
            "weir produce t v -F f",
            "weir produce t --repartition",
            "weir produce t -K: -k x",
            "weir produce t -a 2",
            "weir produce t -z brotli",
            "weir produce t -p -1",
            "weir produce t -r 0",
            "weir consume t -p x",
            "weir consume t -J -f %v",
            "weir consume t --tail 5 -o start",
            "weir consume t --timeout never",
            "weir topic create",
            "weir topic trim t",
            "weir topic alter t -c novalue",
            "weir demo --speed 0",
        ] {
            let error = parse(line).expect_err(line);
            let code = error.exit_code();
            assert_eq!(code, 2, "{line}: {error}");
        }
    }

    #[test]
    fn version_and_help_are_no_errors() {
        for line in ["weir --version", "weir -V", "weir --help", "weir consume -h"] {
            assert_eq!(parse(line).expect_err(line).exit_code(), 0, "{line}");
        }
    }
}

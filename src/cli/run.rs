//! From arguments to an exit code.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{ArgMatches, FromArgMatches};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use super::about::{cheat, completions, help, man, version};
use super::args::{self, Cli, Command};
use super::context::Context;
use super::exit::{Exit, Failure};
use super::global::{Color, Global};
use super::output::{Form, form, print, print_error, print_failure};
use super::{bench, cluster, consume, contexts, demo, group, log, produce, serve, stderr, top, topic};

mod other_tools;
mod refusal;

/// Parses the arguments of the process and runs the command. Prints its own errors. A shell that asks for completions
/// gets them instead.
pub fn main() -> ExitCode {
    stderr::tell_panics();
    completions::complete();
    let parsed = args::command().try_get_matches_from(args::words());
    let parsed = parsed.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let end = match parsed {
        Ok((cli, matches)) => {
            set_colours(cli.global.color);
            let command = refusal::path_of(&matches);
            run(cli, &matches).unwrap_or_else(|failure| tell(&command, &failure))
        }
        Err(error) => refusal::refuse(error),
    };
    stderr::flush();
    ExitCode::from(end as u8)
}

/// Tells why a command failed, in the form in which it prints, and how it ends with that.
fn tell(command: &str, failure: &Failure) -> Exit {
    if failure.message.is_empty() {
        return failure.exit;
    }
    let command = if command.is_empty() { "weir" } else { command };
    let exit = match command {
        // WHY: to whoever runs it as a check, 2 is the broker's fault.
        cluster::CHECK => Exit::Unreachable,
        _ => failure.exit,
    };
    if !failure.is_said() {
        print_error(&failure.in_words());
    }
    // A reader of stdout that has gone changes nothing about the failure.
    drop(match form() {
        Form::Json | Form::Yaml => print_failure(command, failure),
        _ if command == cluster::CHECK => print(format!("UNKNOWN: {}\n", failure.in_words())),
        _ => Ok(()),
    });
    exit
}

fn run(mut cli: Cli, matches: &ArgMatches) -> Result<Exit, Failure> {
    cli.global.settle_form();
    cli.global.settle_broker(matches)?;
    if let Some(end) = run_alone(&cli) {
        return end;
    }
    contexts::resolve(&mut cli.global)?;
    start_log(&cli.global)?;
    let context = Context::new(cli.global);
    let runtime = runtime()?;
    let end = match cli.command {
        Command::Demo(args) => {
            stderr::never_wait();
            runtime.block_on(demo::run(&context, &args))
        }
        Command::Topic(args) => runtime.block_on(until_interrupted(topic::run(&context, &args))),
        Command::Produce(args) => runtime.block_on(produce::run(&context, &args)),
        // A member that is asked to stop commits and leaves.
        Command::Consume(args) if args.group.is_some() => runtime.block_on(consume::run(&context, &args)),
        Command::Consume(args) => runtime.block_on(until_interrupted(consume::run(&context, &args))),
        Command::Group(args) => runtime.block_on(until_interrupted(group::run(&context, &args))),
        Command::Cluster(args) => runtime.block_on(until_interrupted(cluster::run(&context, &args))),
        Command::Top(args) => runtime.block_on(until_interrupted(top::run(&context, &args))),
        // Its topic goes whatever ends it.
        Command::Bench(args) => runtime.block_on(bench::run(&context, &args)),
        Command::Log(args) => runtime.block_on(until_interrupted(log::run_remote(&context, &args))),
        _ => unreachable!("the others were run alone"),
    };
    // WHY: a thread may still wait for a line of stdin; nobody wants that line any more.
    runtime.shutdown_background();
    end
}

/// Runs a command that talks to no broker; `None` for the others.
fn run_alone(cli: &Cli) -> Option<Result<Exit, Failure>> {
    let global = &cli.global;
    Some(match &cli.command {
        Command::Serve(args) => serve::run(global, args),
        Command::Log(args) if log::is_remote(args) => return None,
        Command::Log(args) => start_log(global).and_then(|()| log::run(&Context::new(global.clone()), args)),
        Command::Context(args) => contexts::run(global, args),
        Command::Completions(args) => completions::run(global, args),
        Command::Man(args) => man::run(global, args),
        Command::Cheat(args) => cheat::run(global, args),
        Command::Help(args) => help::run(global, args),
        Command::Version(_) => version::run(global),
        _ => return None,
    })
}

/// A runtime on this thread.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Failure::failed(format!("the operating system gives no event loop: {error}")))
}

/// Ctrl-C ends a command at once.
async fn until_interrupted(work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    tokio::select! {
        end = work => end,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    }
}

fn set_colours(when: Color) {
    let choice = match when {
        Color::Auto => return,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}

/// Warnings of the client library, such as a lost connection, are for the eye as well.
fn start_log(global: &Global) -> Result<(), Failure> {
    let level = match global.verbose {
        0 if global.quiet => tracing::Level::ERROR,
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    log_to_stderr(global, level.into(), LogForm::Short)
}

/// Libraries of which the debug lines are left out.
const LIBRARIES: &[&str] = &["h2", "hyper", "hyper_util", "tonic", "tower"];

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LogForm {
    /// Level and message, for commands that end soon.
    Short,
    /// With time and place, for what runs for long.
    Text,
    /// Each line a JSON object.
    Json,
}

/// Starts the log: in colour where that is wanted. What is written is what `-v` or `-q` says, else `RUST_LOG`, else `level`.
///
/// Errors: usage, when `RUST_LOG` can't be read.
pub(super) fn log_to_stderr(global: &Global, level: LevelFilter, form: LogForm) -> Result<(), Failure> {
    let is_asked = global.verbose > 0 || global.quiet;
    let variable = std::env::var("RUST_LOG").ok().filter(|text| !is_asked && !text.trim().is_empty());
    let filter = match &variable {
        Some(text) => text.parse::<Targets>().map_err(|error| {
            Failure::usage(format!("RUST_LOG: '{text}' is no filter such as debug or weir=debug: {error}"))
        })?,
        // What libraries say of each frame buries the rest; RUST_LOG shows it.
        None => LIBRARIES.iter().fold(Targets::new().with_default(level), |filter, library| {
            filter.with_target(*library, level.min(LevelFilter::INFO))
        }),
    };
    let in_colour = match global.color {
        Color::Auto => std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        Color::Always => true,
        Color::Never => false,
    };
    let lines = fmt::layer()
        .with_ansi(in_colour && form != LogForm::Json)
        .log_internal_errors(false)
        .with_writer(|| stderr::Log);
    let lines = match form {
        LogForm::Short => lines.with_target(false).without_time().boxed(),
        LogForm::Text => lines.boxed(),
        LogForm::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).init();
    Ok(())
}

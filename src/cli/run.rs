//! From arguments to an exit code.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::filter::LevelFilter;

use super::args::{Cli, Command};
use super::context::Context;
use super::exit::{Exit, Failure};
use super::global::{Color, Global};
use super::output::print_error;
use super::{cluster, consume, demo, log, produce, serve, top, topic};

/// Parses the arguments of the process and runs the command. Prints its own errors.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    set_colours(cli.global.color);
    let end = run(cli).unwrap_or_else(|failure| {
        print_error(&failure.message);
        failure.exit
    });
    ExitCode::from(end as u8)
}

fn run(cli: Cli) -> Result<Exit, Failure> {
    if let Command::Serve(args) = cli.command {
        return serve::run(&cli.global, &args);
    }
    start_log(&cli.global);
    let context = Context::new(cli.global);
    if let Command::Log(args) = &cli.command {
        return log::run(&context, args);
    }
    let runtime = runtime()?;
    let end = match cli.command {
        Command::Serve(_) | Command::Log(_) => unreachable!("handled above"),
        Command::Demo(args) => runtime.block_on(demo::run(&context, &args)),
        Command::Topic(args) => runtime.block_on(until_interrupted(topic::run(&context, &args))),
        Command::Produce(args) => runtime.block_on(until_interrupted(produce::run(&context, &args))),
        Command::Consume(args) => runtime.block_on(until_interrupted(consume::run(&context, &args))),
        Command::Cluster(args) => runtime.block_on(until_interrupted(cluster::run(&context, &args))),
        Command::Top(args) => runtime.block_on(until_interrupted(top::run(&context, &args))),
    };
    // WHY: a thread may still wait for a line of stdin; nobody wants that line any more.
    runtime.shutdown_background();
    end
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
fn start_log(global: &Global) {
    let level = match global.verbose {
        0 if global.quiet => tracing::Level::ERROR,
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    log_to_stderr(global, level.into(), false);
}

/// Starts the log: with times for what runs for long, in colour where that is wanted.
pub(super) fn log_to_stderr(global: &Global, level: LevelFilter, with_time: bool) {
    let in_colour = match global.color {
        Color::Auto => std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        Color::Always => true,
        Color::Never => false,
    };
    let log =
        tracing_subscriber::fmt().with_max_level(level).with_ansi(in_colour).with_writer(std::io::stderr);
    if with_time { log.init() } else { log.with_target(false).without_time().init() }
}

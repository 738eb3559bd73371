//! The order of events: a topic, the run, what came of it, and the topic gone again.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use tracing::subscriber::NoSubscriber;

use super::args::{BatchArgs, BenchArgs, BenchCommand, CommonArgs};
use super::live;
use super::result::{Kind, Told};
use super::{ceilings, sink};
use crate::base::{Error, ErrorKind};
use crate::bench::Rate;
use crate::bench::driver::{Driver, Flush, WeirDriver};
use crate::bench::run::{Plan, Run};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{document, print, print_document, print_warning};
use crate::cli::progress::with_progress;
use crate::cli::signals::Signals;
use crate::env::RealClock;
use crate::env::other_process::listener;

/// More than this is not read back after it was written: its number alone is asked for.
const READ_BACK_BYTES_MAX: u64 = 1 << 30;

/// Runs `weir bench`.
pub async fn run(context: &Context, args: &BenchArgs) -> Result<Exit, Failure> {
    match &args.command {
        BenchCommand::Ceilings(args) if args.sink => sink::run(context).await,
        BenchCommand::Ceilings(args) => ceilings::run(context, args).await,
        BenchCommand::Produce(args) => {
            let plan = plan(&args.common, &args.batches, args.rate);
            measure(context, Kind::Produce, &args.common, Plan { writers: args.writers, ..plan }).await
        }
        BenchCommand::Consume(args) => {
            let plan = plan(&args.common, &BatchArgs::FILL, Rate::Max);
            measure(context, Kind::Consume { fill_bytes: args.fill }, &args.common, plan).await
        }
        BenchCommand::Latency(args) => {
            let plan = plan(&args.common, &args.batches, args.rate);
            measure(context, Kind::Latency, &args.common, Plan { spins: !args.sleep, ..plan }).await
        }
        BenchCommand::EndToEnd(args) => {
            let plan = plan(&args.common, &args.batches, args.rate);
            measure(context, Kind::EndToEnd, &args.common, Plan { spins: !args.sleep, ..plan }).await
        }
    }
}

async fn measure(context: &Context, kind: Kind, common: &CommonArgs, plan: Plan) -> Result<Exit, Failure> {
    let mut signals = Signals::caught();
    // WHY here: an address that can't be read is a mistake in the command line.
    drop(context.client().await?);
    let driver = WeirDriver::new(context.global.bootstrap.as_str(), context.global.timeout);
    if let Some(folder) = &common.out {
        // WHY now: nobody wants to hear of it after the run.
        std::fs::create_dir_all(folder).map_err(|error| cannot_write(folder, &error))?;
    }
    let topic = Topic::new(context, common);
    let mut work = Box::pin(carry_out(context, &driver, (kind, plan), &topic));
    let end = tokio::select! {
        told = &mut work => told.map(Ok),
        exit = signals.next() => Ok(Err(exit)),
    };
    // Who stops a run knows that records are under way.
    tracing::subscriber::with_default(NoSubscriber::new(), || drop(work));
    topic.remove(&driver, &mut signals).await;
    match end? {
        Ok(told) => tell(context, &told, common.out.as_deref()).map(|()| Exit::Done),
        Err(exit) => Ok(exit),
    }
}

async fn carry_out(
    context: &Context,
    driver: &WeirDriver,
    (kind, mut plan): (Kind, Plan),
    topic: &Topic,
) -> Result<Told, Failure> {
    let version = with_progress(context, driver.version()).await?;
    plan.topic.clone_from(&topic.name);
    topic.prepare(context, driver, &mut plan).await?;
    let run = Run::new(driver, plan.clone(), Arc::new(RealClock::new()), broker_process(context));
    let tally = run.tally();
    let work = async {
        match kind {
            Kind::Produce | Kind::Latency => run.produce(READ_BACK_BYTES_MAX).await,
            Kind::Consume { fill_bytes } => run.consume((fill_bytes / plan.size_bytes as u64).max(1)).await,
            Kind::EndToEnd => run.end_to_end().await,
        }
    };
    let outcome = tokio::select! {
        outcome = work => outcome.map_err(wrong)?,
        () = live::draw(context, &tally, plan.length()) => unreachable!("it draws for ever"),
    };
    Ok(Told { kind, system: (driver.name().to_owned(), version), plan, outcome })
}

/// A run that was not right says so in large letters: its figures would be worth nothing.
fn wrong(error: Error) -> Failure {
    match error.kind {
        ErrorKind::DamagedRange => Failure::failed(format!("INVALID RUN: {}", error.message)),
        _ => Failure::from(error),
    }
}

/// The broker's process, where it runs on this machine.
fn broker_process(context: &Context) -> Option<u32> {
    let first = context.global.bootstrap.split(',').next()?;
    let (host, port) = first.rsplit_once(':').unwrap_or((first, "7070"));
    let host = host.rsplit('/').next()?.trim_matches(['[', ']']);
    let is_here = matches!(host, "localhost" | "::1") || host.starts_with("127.");
    if is_here { listener(port.trim_end_matches('/').parse().ok()?) } else { None }
}

fn plan(common: &CommonArgs, batches: &BatchArgs, rate: Rate) -> Plan {
    Plan {
        topic: String::new(),
        partitions: common.partitions,
        flush: common.flush.into(),
        writers: 1,
        size_bytes: common.size,
        rate,
        warm_up: common.warmup,
        duration: common.duration,
        options: batches.options(),
        seed: common.seed,
        spins: false,
    }
}

/// Where the records of a run go.
struct Topic {
    name: String,
    is_new: bool,
    /// Whether it may be there because of us.
    is_made: Cell<bool>,
}

impl Topic {
    /// The one that is named, or a new one.
    fn new(context: &Context, args: &CommonArgs) -> Self {
        // Two runs at once, or one after another that was killed, do not meet.
        let own = || format!("bench-{}-{}", context.now_ms(), std::process::id());
        let name = args.topic.clone().unwrap_or_else(own);
        Self { name, is_new: args.topic.is_none(), is_made: Cell::new(false) }
    }

    /// Makes it as the plan says, or looks up what it is.
    async fn prepare(&self, context: &Context, driver: &impl Driver, plan: &mut Plan) -> Result<(), Failure> {
        if self.is_new {
            self.is_made.set(true);
            return Ok(driver.create(&self.name, plan.partitions, plan.flush).await?);
        }
        let found = context.client().await?.admin().describe_topic(&self.name).await?;
        let flush = found.configs.iter().find(|set| set.key == "flush").map(|set| set.value.as_str());
        plan.flush = if flush == Some("ack") { Flush::Ack } else { Flush::Os };
        plan.partitions = found.partitions.len() as i32;
        Ok(())
    }

    /// Removes it, if it was made for the run; says so when that can't be done. A signal cuts it short.
    async fn remove(&self, driver: &impl Driver, signals: &mut Signals) {
        if !self.is_made.get() {
            return;
        }
        let name = &self.name;
        let why = tokio::select! {
            removed = driver.delete(name) => match removed {
                Ok(()) => return,
                Err(error) if error.kind == ErrorKind::TopicNotFound => return,
                Err(error) => error.message,
            },
            _ = signals.next() => "the command was stopped".to_owned(),
        };
        print_warning(&format!("topic {name} may be left: {why}; remove it by: weir topic delete {name}"));
    }
}

#[allow(clippy::disallowed_methods, reason = "a folder that the user names, not the broker's disk")]
fn write_file(folder: &Path, name: &str, text: String) -> Result<(), Failure> {
    let path = folder.join(name);
    let written = std::fs::write(&path, text);
    written.map_err(|error| cannot_write(&path, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("--out: can't write {}: {error}", path.display()))
}

fn tell(context: &Context, told: &Told, out: Option<&Path>) -> Result<(), Failure> {
    if let Some(doubt) = told.doubt().filter(|_| !context.global.quiet) {
        print_warning(&doubt);
    }
    let command = format!("bench {}", told.kind.name());
    if let Some(folder) = out {
        write_file(folder, "result.json", document(&command, told.fields()))?;
    }
    match context.global.json {
        true => print_document(&command, told.fields()),
        false => print(told.text()),
    }
}

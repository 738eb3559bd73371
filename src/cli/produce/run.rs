//! Sends the records and watches over them.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::Duration;

use tokio::sync::mpsc;

use super::args::{Acks, ProduceArgs};
use super::flights::{Echo, Flights};
use super::input::{Chunk, Line, Unit, lines};
use super::parse::{Parser, delimiter};
use crate::base::topic_name::fault;
use crate::base::{Error, ErrorKind};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::format::Format;
use crate::cli::output::{Form, count, print_error, thousands};
use crate::cli::progress::with_progress;
use crate::client::{Client, Producer, Record};

/// After Ctrl-C: how long what is under way may take.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Runs `weir produce`. Ctrl-C ends it with its summary; a second one at once.
pub async fn run(context: &Context, args: &ProduceArgs) -> Result<Exit, Failure> {
    // A document or JSON on its input is asked for with `-J`, and `--output json` is that.
    if !matches!(context.global.output, None | Some(Form::Table)) {
        return Err(Failure::usage(
            "--output: produce prints what --report or -T say; json (-J) says that its input is JSON",
        ));
    }
    let begun = tokio::select! {
        begun = with_progress(context, begin(context, args)) => begun?,
        () = ctrl_c() => return Ok(Exit::Interrupted),
    };
    let (mut work, source) = begun;
    let stopped = tokio::select! {
        stopped = work.send_all(source) => stopped,
        () = ctrl_c() => Stopped::Interrupted,
    };
    work.finish(stopped).await
}

/// Resolves at Ctrl-C; where that can't be caught, it ends the process anyway.
async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

/// Looks everything up that sending needs.
async fn begin<'a>(context: &'a Context, args: &'a ProduceArgs) -> Result<(Work<'a>, Source), Failure> {
    let echo = echo(args)?;
    let client = context.client().await?;
    let topic = client
        .admin()
        .describe_topic(&args.topic)
        .await
        .map_err(|error| missing_topic(error, &args.topic))?;
    let parser =
        Parser::new(args, context.global.json, topic.partitions.len() as i32).map_err(Failure::usage)?;
    // Only the broker knows the partitions: no usage error.
    parser.check_chosen()?;
    let source = Source::open(context, args)?;
    let producer = producer(context, args, &client).await?;
    let flights = Flights::new(context, echo, Unit::of(args));
    Ok((Work { args, parser, producer, flights, sent: 0 }, source))
}

fn echo(args: &ProduceArgs) -> Result<Echo, Failure> {
    match &args.report {
        Some(report) => {
            let format = Format::parse(report);
            format.map(Echo::Report).map_err(|error| Failure::usage(format!("--report: {error}")))
        }
        None if args.tee => Ok(Echo::Tee(delimiter(args).map_err(Failure::usage)?)),
        None => Ok(Echo::Nothing),
    }
}

fn missing_topic(mut error: Error, topic: &str) -> Failure {
    if error.kind == ErrorKind::TopicNotFound && fault(topic).is_none() {
        error.message += &format!(" (`weir topic create {topic}` creates it)");
    }
    error.into()
}

async fn producer(context: &Context, args: &ProduceArgs, client: &Client) -> Result<Producer, Failure> {
    let settings = context.settings()?;
    let mut builder = client
        .producer()
        .acks(args.acks.into())
        .compression(args.compression.into())
        .delivery_timeout(context.global.timeout);
    if let Some(linger) = settings.get("linger.ms") {
        builder = builder.linger(Duration::from_millis(linger));
    }
    if let Some(batch) = settings.size("batch.bytes") {
        builder = builder.batch_bytes(batch);
    }
    if let Some(buffer) = settings.size("buffer.bytes") {
        builder = builder.buffer_memory(buffer);
    }
    // The library speaks of its methods, which are called as the keys are but for the dot.
    let told = |error: Error| {
        error.message.replace("batch_bytes", "batch.bytes").replace("buffer_memory", "buffer.bytes")
    };
    builder.build().await.map_err(|error| Failure::usage(format!("-X: {}", told(error))))
}

/// Where lines come from.
enum Source {
    Values(VecDeque<Line>),
    Lines(mpsc::Receiver<Chunk>),
}

impl Source {
    fn open(context: &Context, args: &ProduceArgs) -> Result<Self, Failure> {
        if !args.values.is_empty() {
            let line = |(value, number): (&String, u64)| Line { number, text: value.clone().into() };
            return Ok(Self::Values(args.values.iter().zip(1..).map(line).collect()));
        }
        let from_stdin = args.file.as_deref().is_none_or(|path| path.as_os_str() == "-");
        if from_stdin && std::io::stdin().is_terminal() {
            let what = if args.whole { "one record" } else { "records" };
            let each = if args.whole || args.delimiter.is_some() { "" } else { ", one a line" };
            context.hint(&format!("reading {what} from this terminal{each}; Ctrl-D ends"));
        }
        let delimiter = delimiter(args).map_err(Failure::usage)?;
        lines(args.file.as_deref(), delimiter).map(Self::Lines).map_err(Failure::failed)
    }

    /// The next lines; `None` at the end.
    async fn next(&mut self) -> Option<Chunk> {
        match self {
            Self::Values(values) if values.is_empty() => None,
            Self::Values(values) => Some(Ok(values.drain(..).collect())),
            Self::Lines(lines) => lines.recv().await,
        }
    }
}

/// One run of `produce`.
struct Work<'a> {
    args: &'a ProduceArgs,
    parser: Parser,
    producer: Producer,
    flights: Flights<'a>,
    sent: u64,
}

/// Why no more is sent.
enum Stopped {
    /// The input is over, or the limit is reached.
    Done,
    /// The input, or a line of it, makes no sense; or the broker takes nothing.
    Failed(Failure),
    /// Ctrl-C.
    Interrupted,
}

impl Work<'_> {
    /// Sends every record of the source.
    async fn send_all(&mut self, mut source: Source) -> Stopped {
        let limit = self.args.count.unwrap_or(u64::MAX);
        while self.sent < limit {
            let chunk = match self.flights.meanwhile(source.next()).await {
                None => break,
                Some(Err(error)) => return Stopped::Failed(Failure::failed(error)),
                Some(Ok(chunk)) => chunk,
            };
            for line in chunk {
                if self.sent == limit {
                    break;
                }
                match self.parser.record(&line) {
                    Ok(Some(record)) => self.send(&line, record).await,
                    Ok(None) => {}
                    Err(failure) => return Stopped::Failed(failure),
                }
                if let Some(reason) = self.flights.tally.hopeless() {
                    return Stopped::Failed(Failure::failed(format!(
                        "stopped at {}: {reason}",
                        self.flights.unit.place(line.number)
                    )));
                }
            }
            // WHY: the producer's task shares this thread; without this it would wait until memory is used up.
            tokio::task::yield_now().await;
        }
        Stopped::Done
    }

    async fn send(&mut self, line: &Line, record: Record) {
        self.pace().await;
        self.flights.wait_for_room().await;
        self.sent += 1;
        let order = self.flights.prepare(line, &record);
        match self.flights.meanwhile(self.producer.send(record)).await {
            Ok(delivery) => self.flights.begin(order, delivery),
            Err(error) => self.flights.count_failure(line.number, &error),
        }
    }

    /// Waits until the rate allows one more record; it is kept over the whole run, not between two records.
    async fn pace(&mut self) {
        let Some(rate) = self.args.rate else { return };
        let due = self.flights.begun + Duration::from_secs_f64(self.sent as f64 / rate as f64);
        let context = self.flights.context;
        let ahead = due.saturating_sub(context.monotonic());
        if !ahead.is_zero() {
            self.flights.meanwhile(context.sleep(ahead)).await;
        }
    }

    /// Waits for everything that was sent, and tells what became of it.
    async fn finish(mut self, stopped: Stopped) -> Result<Exit, Failure> {
        let stopped = match stopped {
            Stopped::Interrupted => stopped,
            stopped => tokio::select! {
                () = self.flights.wait_for_all() => stopped,
                () = ctrl_c() => Stopped::Interrupted,
            },
        };
        if let Stopped::Interrupted = stopped {
            self.wait_a_little().await;
            self.tell(&stopped);
            return Ok(Exit::Interrupted);
        }
        self.tell(&stopped);
        self.producer.close().await;
        let failure = match (self.flights.tally.failure(), stopped) {
            (Some(failure), _) => Some(failure),
            (None, Stopped::Failed(failure)) => Some(failure.after_all_is_said()),
            (None, _) => self.flights.unprinted,
        };
        failure.map_or(Ok(Exit::Done), Err)
    }

    async fn wait_a_little(&mut self) {
        let wait = self.flights.context.sleep(LAST_WAIT);
        tokio::select! {
            () = self.flights.wait_for_all() => {}
            () = wait => {}
            () = ctrl_c() => {}
        }
    }

    fn tell(&mut self, stopped: &Stopped) {
        self.flights.clear();
        let Flights { tally, context, echo, .. } = &self.flights;
        if tally.hidden() > 0 {
            print_error(&format!("{} more failed", count(tally.hidden(), "record")));
        }
        if let Stopped::Failed(failure) = stopped {
            print_error(&failure.in_words());
        }
        let interrupted = matches!(stopped, Stopped::Interrupted);
        if matches!(echo, Echo::Nothing) || tally.failed > 0 || interrupted {
            let acknowledged = self.args.acks != Acks::None;
            let summary = tally.summary(&self.args.topic, self.flights.elapsed(), acknowledged);
            let word = if interrupted { "interrupted: " } else { "" };
            let open = match self.flights.running() as u64 {
                0 => String::new(),
                open => format!(", {} not known: no answer yet", thousands(open)),
            };
            context.hint(&format!("{word}{summary}{open}"));
        }
    }
}

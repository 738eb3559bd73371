//! Sends the records and watches over them.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::Duration;

use tokio::sync::mpsc;

use super::args::{Acks, Codec, ProduceArgs};
use super::flights::Flights;
use super::input::{Chunk, Line, lines};
use super::parse::Parser;
use crate::base::size::parse_bytes;
use crate::base::time::parse_ms;
use crate::base::{Error, ErrorKind};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::format::Format;
use crate::cli::output::{count, print_error};
use crate::client::{Client, Producer, Record};

/// Runs `weir produce`.
pub async fn run(context: &Context, args: &ProduceArgs) -> Result<Exit, Failure> {
    let report = args.report.as_deref().map(Format::parse).transpose();
    let report = report.map_err(|error| Failure::usage(format!("--report: {error}")))?;
    let client = context.client().await?;
    let topic = client
        .admin()
        .describe_topic(&args.topic)
        .await
        .map_err(|error| missing_topic(error, &args.topic))?;
    let parser =
        Parser::new(args, context.global.json, topic.partitions.len() as i32).map_err(Failure::usage)?;
    let source = Source::open(context, args)?;
    let producer = producer(context, args, &client).await?;
    let flights = Flights::new(context, report);
    let mut work = Work { args, parser, producer, flights, sent: 0 };
    let stopped = work.send_all(source).await?;
    work.finish(stopped).await
}

fn missing_topic(error: Error, topic: &str) -> Failure {
    let missing = error.kind == ErrorKind::TopicNotFound;
    let mut failure = Failure::from(error);
    if missing {
        failure.message += &format!("   create it: weir topic create {topic}");
    }
    failure
}

async fn producer(context: &Context, args: &ProduceArgs, client: &Client) -> Result<Producer, Failure> {
    let bytes = |text: &str| {
        parse_bytes(text).and_then(|bytes| usize::try_from(bytes).map_err(|error| error.to_string()))
    };
    let time =
        |text: &str| parse_ms(text).and_then(|ms| u64::try_from(ms).map_err(|error| error.to_string()));
    let mut builder = client
        .producer()
        .acks(match args.acks {
            Acks::All => crate::client::Acks::All,
            Acks::Leader => crate::client::Acks::Leader,
            Acks::None => crate::client::Acks::None,
        })
        .compression(match args.compression {
            Codec::None => crate::client::Codec::None,
            Codec::Gzip => crate::client::Codec::Gzip,
            Codec::Snappy => crate::client::Codec::Snappy,
            Codec::Lz4 => crate::client::Codec::Lz4,
            Codec::Zstd => crate::client::Codec::Zstd,
        })
        .delivery_timeout(context.global.timeout);
    if let Some(linger) = context.setting("linger.ms", time)? {
        builder = builder.linger(Duration::from_millis(linger));
    }
    if let Some(batch) = context.setting("batch.bytes", bytes)? {
        builder = builder.batch_bytes(batch);
    }
    if let Some(buffer) = context.setting("buffer.bytes", bytes)? {
        builder = builder.buffer_memory(buffer);
    }
    builder.build().await.map_err(|error| Failure::usage(format!("-X: {}", error.message)))
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
            context.hint("reading records from this terminal, one a line; Ctrl-D ends");
        }
        lines(args.file.as_deref()).map(Self::Lines).map_err(Failure::failed)
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

impl Work<'_> {
    /// Sends every record of the source. Gives what made it stop early.
    async fn send_all(&mut self, mut source: Source) -> Result<Option<String>, Failure> {
        let limit = self.args.count.unwrap_or(u64::MAX);
        while self.sent < limit {
            let chunk = match self.flights.meanwhile(source.next()).await? {
                None => break,
                Some(Err(error)) => return Ok(Some(error)),
                Some(Ok(chunk)) => chunk,
            };
            for line in chunk {
                if self.sent == limit {
                    break;
                }
                match self.parser.record(&line) {
                    Ok(Some(record)) => self.send(&line, record).await?,
                    Ok(None) => {}
                    Err(error) => return Ok(Some(error)),
                }
                if self.flights.tally.exit() == Exit::Unreachable {
                    return Ok(Some(format!("stopped at line {}: the broker can't be reached", line.number)));
                }
            }
            // WHY: the producer's task shares this thread; without this it would wait until memory is used up.
            tokio::task::yield_now().await;
        }
        Ok(None)
    }

    async fn send(&mut self, line: &Line, record: Record) -> Result<(), Failure> {
        self.pace().await?;
        self.flights.wait_for_room().await?;
        self.sent += 1;
        let order = self.flights.prepare(line.number, &record);
        match self.flights.meanwhile(self.producer.send(record)).await? {
            Ok(delivery) => self.flights.begin(order, delivery),
            Err(error) => self.flights.count_failure(line.number, &error),
        }
        Ok(())
    }

    /// Waits until the rate allows one more record; it is kept over the whole run, not between two records.
    async fn pace(&mut self) -> Result<(), Failure> {
        let Some(rate) = self.args.rate else { return Ok(()) };
        let due = self.flights.begun + Duration::from_secs_f64(self.sent as f64 / rate as f64);
        let context = self.flights.context;
        let ahead = due.saturating_sub(context.monotonic());
        if !ahead.is_zero() {
            self.flights.meanwhile(context.sleep(ahead)).await?;
        }
        Ok(())
    }

    /// Waits for everything that was sent, and tells what became of it.
    async fn finish(mut self, stopped: Option<String>) -> Result<Exit, Failure> {
        self.flights.wait_for_all().await?;
        self.producer.close().await;
        let report = &self.flights.report;
        let tally = &self.flights.tally;
        if tally.hidden() > 0 {
            print_error(&format!("{} more failed", count(tally.hidden(), "record")));
        }
        if let Some(reason) = &stopped {
            print_error(reason);
        }
        if report.is_none() || tally.failed > 0 {
            let acknowledged = self.args.acks != Acks::None;
            let summary = tally.summary(&self.args.topic, self.flights.elapsed(), acknowledged);
            self.flights.context.hint(&summary);
        }
        let end = if stopped.is_some() && tally.failed == 0 { Exit::Failed } else { Exit::Done };
        Ok(end.and(tally.exit()))
    }
}

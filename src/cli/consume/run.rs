//! Reads and prints.

use std::io::IsTerminal;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{SelectAll, select_all, unfold};
use futures_util::{FutureExt, StreamExt, stream::Stream};

use super::args::ConsumeArgs;
use super::goal::{Goal, Step};
use super::plan::{Plan, Planned, plan, span};
use crate::base::size::print_bytes;
use crate::base::time::{as_ms, print_ms};
use crate::base::{Error, ErrorKind, Offset};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, in_words};
use crate::cli::format::{Format, Target, unescape};
use crate::cli::json;
use crate::cli::output::{self, count, print_error, print_raw, thousands};
use crate::cli::progress::{Progress, with_progress};
use crate::client::{Client, Consumer, ConsumerRecord, Event, Start};

/// Bytes printed by one write, as long as more records are at hand.
const PRINT_BYTES: usize = 64 << 10;

/// Between two looks at the progress line.
const RECORDS_BETWEEN_TICKS: u64 = 1 << 10;

/// Runs `weir consume`.
pub async fn run(context: &Context, args: &ConsumeArgs) -> Result<Exit, Failure> {
    let span = span(args, context.now_ms())?;
    let form = form(context, args)?;
    let begun = context.monotonic();
    let client = context.client().await?;
    let admin = client.admin();
    let Plan { partitions, errors } = with_progress(context, plan(&admin, args, span)).await?;
    let goal =
        Goal::new(partitions.iter().map(|planned| (planned.topic.clone(), planned.partition, planned.reach)));
    let mut reading = Reading {
        context,
        args,
        form,
        goal,
        out: Vec::new(),
        read: 0,
        last_at: begun,
        records: 0,
        value_bytes: 0,
        exit: Exit::Done,
        first_error: None,
        target: Target::stdout(),
        progress: Progress::new(begun, context.global.quiet || std::io::stdout().is_terminal()),
    };
    errors.iter().for_each(|error| reading.report(error));
    if partitions.is_empty() {
        return reading.end();
    }
    let mut events = events(context, &client, &partitions).await?;
    let ended = reading.read_all(&mut events).await;
    reading.progress.clear();
    reading.flush()?;
    let ended = ended?;
    if ended == Ended::Idle {
        // WHY: silence of a broker that is gone is no end.
        client.admin().cluster().await?;
    }
    reading.say_end(ended, context.monotonic().saturating_sub(begun));
    reading.end()
}

/// Why the reading is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    /// Every partition is where it was to be read to.
    Reached,
    /// So many records as were asked for.
    Counted,
    /// No record came for the idle timeout.
    Idle,
    /// Every partition failed.
    Lost,
}

/// How records are printed.
enum Form {
    Json,
    Text(Format),
}

fn form(context: &Context, args: &ConsumeArgs) -> Result<Form, Failure> {
    if !matches!(context.global.output, None | Some(output::Form::Json | output::Form::Plain)) {
        return Err(Failure::usage("--output: records are printed as json (-J) or plain (-f FORMAT)"));
    }
    match &args.format {
        _ if context.global.json => Ok(Form::Json),
        Some(format) => {
            let format = Format::parse(format).map_err(|error| Failure::usage(format!("-f: {error}")))?;
            Ok(Form::Text(with_null(format, args)))
        }
        None => {
            let bytes = |flag: &str, text: &str| {
                unescape(text).map_err(|error| Failure::usage(format!("{flag}: {error}")))
            };
            let separator = args.key_separator.as_deref().map(|text| bytes("-K", text)).transpose()?;
            let end = bytes("-D", args.delimiter.as_deref().unwrap_or("\\n"))?;
            Ok(Form::Text(with_null(Format::plain(separator, end), args)))
        }
    }
}

fn with_null(format: Format, args: &ConsumeArgs) -> Format {
    if args.null { format.with_null("NULL") } else { format }
}

/// What [`Reading::next`] gives.
enum Next {
    Event(Event),
    /// Every partition stands still after an error.
    Over,
    /// No record came for the idle timeout.
    Idle,
}

type Events = SelectAll<Pin<Box<dyn Stream<Item = Event>>>>;

/// Events of every partition that is not over from the beginning: a consumer for each topic.
async fn events(context: &Context, client: &Client, partitions: &[Planned]) -> Result<Events, Failure> {
    let mut streams = Vec::new();
    for of_topic in partitions.chunk_by(|a, b| a.topic == b.topic) {
        let going: Vec<&Planned> = of_topic.iter().filter(|planned| !planned.reach.is_over()).collect();
        if going.is_empty() {
            continue;
        }
        let mut builder = client.consumer().topic(&*going[0].topic);
        if let Some(bytes) = context.settings()?.size("fetch.max.bytes") {
            builder = builder.max_bytes(bytes);
        }
        for planned in going {
            let start = Start::Offset(planned.reach.from);
            builder =
                builder.partitions([planned.partition]).start_at(&*planned.topic, planned.partition, start);
        }
        streams.push(as_stream(builder.build().await?));
    }
    Ok(select_all(streams))
}

fn as_stream(consumer: Consumer) -> Pin<Box<dyn Stream<Item = Event>>> {
    Box::pin(unfold(consumer, |mut consumer| async move {
        let event = consumer.next_event().await?;
        Some((event, consumer))
    }))
}

/// One run of `consume`.
struct Reading<'a> {
    context: &'a Context,
    args: &'a ConsumeArgs,
    form: Form,
    goal: Goal,
    out: Vec<u8>,
    /// Records that came, printed or not.
    read: u64,
    /// When the last one came, or the command began.
    last_at: Duration,
    /// Records printed.
    records: u64,
    value_bytes: u64,
    exit: Exit,
    first_error: Option<(ErrorKind, String)>,
    target: Target,
    progress: Progress,
}

impl Reading<'_> {
    /// Reads until the goal, the limit, or nothing more can come.
    ///
    /// Errors: stdout is gone; with `-e` (everything to read is there), the broker says nothing for too long.
    async fn read_all(&mut self, events: &mut Events) -> Result<Ended, Failure> {
        let limit = self.args.count.unwrap_or(u64::MAX);
        let mut step = self.goal.begin();
        while self.records < limit {
            match step {
                Step::Over => return Ok(Ended::Reached),
                Step::CaughtUp => self.say_waiting()?,
                Step::On => {}
            }
            step = match self.next(events).await? {
                Next::Event(event) => self.take(event)?,
                Next::Over => return Ok(Ended::Lost),
                Next::Idle => return Ok(Ended::Idle),
            };
        }
        Ok(Ended::Counted)
    }

    /// The next event. What was read is printed before waiting.
    async fn next(&mut self, events: &mut Events) -> Result<Next, Failure> {
        let as_next = |event: Option<Event>| event.map_or(Next::Over, Next::Event);
        if let Some(event) = events.next().now_or_never() {
            return Ok(as_next(event));
        }
        self.flush()?;
        let context = self.context;
        let timeout = context.global.timeout;
        let idle = self.args.idle_timeout;
        let idle_left =
            idle.unwrap_or_default().saturating_sub(context.monotonic().saturating_sub(self.last_at));
        tokio::select! {
            event = events.next() => Ok(as_next(event)),
            () = context.reader_gone() => Err(Failure::enough()),
            () = context.sleep(idle_left), if idle.is_some() => Ok(Next::Idle),
            () = context.sleep(timeout), if self.args.exit => {
                let message = format!("nothing came for {}; check that the broker runs", print_ms(as_ms(timeout)));
                Err(Error::new(ErrorKind::TimedOut, message).into())
            }
        }
    }

    fn take(&mut self, event: Event) -> Result<Step, Failure> {
        match event {
            Event::Record(record) => self.take_record(&record),
            Event::CaughtUp { topic, partition, next_offset } => {
                Ok(self.goal.advance(&topic, partition, next_offset))
            }
            Event::Error(error) => {
                self.flush()?;
                self.report(&error);
                Ok(self.give_up(&error))
            }
        }
    }

    fn take_record(&mut self, record: &ConsumerRecord) -> Result<Step, Failure> {
        let ConsumerRecord { topic, partition, offset, .. } = record;
        if !self.goal.wants(topic, *partition, *offset) {
            return Ok(self.goal.advance(topic, *partition, *offset));
        }
        self.read += 1;
        if self.args.grep.iter().all(|pattern| pattern.lets(record)) {
            self.print_record(record);
        }
        if self.out.len() >= PRINT_BYTES || self.args.unbuffered {
            self.flush()?;
        }
        if self.read.is_multiple_of(RECORDS_BETWEEN_TICKS) || self.args.idle_timeout.is_some() {
            self.last_at = self.context.monotonic();
            let (records, bytes) = (self.counted(), self.value_bytes);
            self.progress.tick(self.last_at, || format!("{records}, {}", print_bytes(bytes)));
        }
        Ok(self.goal.advance(topic, *partition, offset + 1))
    }

    fn print_record(&mut self, record: &ConsumerRecord) {
        match &self.form {
            Form::Json => json::write_line(record, &mut self.out),
            Form::Text(format) => format.write(record, self.target, &mut self.out),
        }
        self.records += 1;
        self.value_bytes += record.value.as_ref().map_or(0, |value| value.len() as u64);
    }

    /// Records printed; where a condition kept some back, out of how many.
    fn counted(&self) -> String {
        if self.args.grep.is_empty() {
            return count(self.records, "record");
        }
        format!("{} of {}", thousands(self.records), count(self.read, "record"))
    }

    fn give_up(&mut self, error: &Error) -> Step {
        let partition = error.metadata.get("partition").and_then(|partition| partition.parse().ok());
        match (error.metadata.get("topic"), partition) {
            (Some(topic), Some(partition)) => self.goal.give_up(&topic.as_str().into(), partition),
            _ => Step::On,
        }
    }

    fn report(&mut self, error: &Error) {
        self.progress.clear();
        self.exit = self.exit.and(Exit::of(error.kind));
        self.first_error.get_or_insert_with(|| (error.kind, error.message.clone()));
        let damaged: Option<(Offset, Offset)> = range_of(error);
        let next = damaged.map_or_else(String::new, |(_, end)| format!("   to go on behind it: -o {end}"));
        print_error(&format!("{}{next}", in_words(error)));
    }

    /// How it ends: with the first of the errors that were said, if there was one.
    fn end(self) -> Result<Exit, Failure> {
        match self.first_error {
            None => Ok(self.exit),
            Some((kind, first)) => Err(Failure::said(self.exit, Some(kind), first)),
        }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if self.out.is_empty() {
            return Ok(());
        }
        let printed = print_raw(&self.out);
        self.out.clear();
        printed
    }

    fn say_waiting(&mut self) -> Result<(), Failure> {
        self.flush()?;
        self.progress.clear();
        let partitions = count(self.goal.partition_count() as i64, "partition");
        self.context.hint(&format!(
            "waiting for new records at the end of {partitions} \
             (Ctrl-C stops; -e exits at the end; -o start reads from the beginning)"
        ));
        Ok(())
    }

    /// Silent when every partition failed: their errors were the end.
    fn say_end(&self, ended: Ended, elapsed: Duration) {
        let what = match ended {
            Ended::Reached if self.args.exit && self.goal.partition_count() > 0 => {
                format!("reached end of {}", count(self.goal.partition_count() as i64, "partition"))
            }
            Ended::Idle => {
                let idle = self.args.idle_timeout.unwrap_or_default();
                format!("no record came for {}", print_ms(as_ms(idle)))
            }
            _ => return,
        };
        let (counted, bytes) = (self.counted(), print_bytes(self.value_bytes));
        self.context.hint(&format!("{what}: {counted}, {bytes}, {:.2} s", elapsed.as_secs_f64()));
    }
}

/// First and end offset of a damaged range, when the broker tells them.
fn range_of(error: &Error) -> Option<(Offset, Offset)> {
    let number = |name| error.metadata.get(name)?.parse().ok();
    Some((number("first")?, number("end")?)).filter(|_| error.kind == ErrorKind::DamagedRange)
}

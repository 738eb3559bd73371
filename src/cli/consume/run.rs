//! Reads and prints.

use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{SelectAll, select_all, unfold};
use futures_util::{FutureExt, StreamExt, stream::Stream};

use super::args::ConsumeArgs;
use super::goal::{Goal, Step};
use super::member;
use super::plan::{Plan, Planned, plan, span};
use super::printing::{Printing, form};
use crate::base::size::print_bytes;
use crate::base::time::{as_ms, print_ms};
use crate::base::{Error, ErrorKind};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::count;
use crate::cli::progress::with_progress;
use crate::client::{Client, Consumer, ConsumerRecord, Event, Start};

/// Runs `weir consume`.
pub async fn run(context: &Context, args: &ConsumeArgs) -> Result<Exit, Failure> {
    if let Some(group) = &args.group {
        return member::run(context, args, group).await;
    }
    let span = span(args, context.now_ms())?;
    let form = form(context, args)?;
    let begun = context.monotonic();
    let client = context.client().await?;
    let admin = client.admin();
    let Plan { partitions, errors } = with_progress(context, plan(&admin, args, span)).await?;
    let goal =
        Goal::new(partitions.iter().map(|planned| (planned.topic.clone(), planned.partition, planned.reach)));
    let mut reading = Reading { context, args, goal, printing: Printing::new(context, args, form, begun) };
    errors.iter().for_each(|error| reading.printing.report(error));
    if partitions.is_empty() {
        return reading.printing.end();
    }
    let mut events = events(context, &client, &partitions).await?;
    let ended = reading.read_all(&mut events).await;
    reading.printing.progress.clear();
    reading.printing.flush()?;
    let ended = ended?;
    if ended == Ended::Idle {
        // WHY: silence of a broker that is gone is no end.
        client.admin().cluster().await?;
    }
    reading.say_end(ended, context.monotonic().saturating_sub(begun));
    reading.printing.end()
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
    goal: Goal,
    printing: Printing<'a>,
}

impl Reading<'_> {
    /// Reads until the goal, the limit, or nothing more can come.
    ///
    /// Errors: stdout is gone; with `-e` (everything to read is there), the broker says nothing for too long.
    async fn read_all(&mut self, events: &mut Events) -> Result<Ended, Failure> {
        let limit = self.args.count.unwrap_or(u64::MAX);
        let mut step = self.goal.begin();
        while self.printing.records < limit {
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
        self.printing.flush()?;
        let context = self.context;
        let timeout = context.global.timeout;
        let idle = self.args.idle_timeout;
        let idle_left = idle
            .unwrap_or_default()
            .saturating_sub(context.monotonic().saturating_sub(self.printing.last_at));
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
                self.printing.flush()?;
                self.printing.report(&error);
                Ok(self.give_up(&error))
            }
        }
    }

    fn take_record(&mut self, record: &ConsumerRecord) -> Result<Step, Failure> {
        let ConsumerRecord { topic, partition, offset, .. } = record;
        if !self.goal.wants(topic, *partition, *offset) {
            return Ok(self.goal.advance(topic, *partition, *offset));
        }
        self.printing.take(record)?;
        Ok(self.goal.advance(topic, *partition, offset + 1))
    }

    fn give_up(&mut self, error: &Error) -> Step {
        let partition = error.metadata.get("partition").and_then(|partition| partition.parse().ok());
        match (error.metadata.get("topic"), partition) {
            (Some(topic), Some(partition)) => self.goal.give_up(&topic.as_str().into(), partition),
            _ => Step::On,
        }
    }

    fn say_waiting(&mut self) -> Result<(), Failure> {
        self.printing.flush()?;
        self.printing.progress.clear();
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
        let (counted, bytes) = (self.printing.counted(), print_bytes(self.printing.value_bytes));
        self.context.hint(&format!("{what}: {counted}, {bytes}, {:.2} s", elapsed.as_secs_f64()));
    }
}

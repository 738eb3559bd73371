//! Records that were sent and have no result yet.

use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;

use super::input::{Line, Unit};
use super::report::Tally;
use crate::base::Error;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, in_words};
use crate::cli::format::{Format, Target, write_bytes};
use crate::cli::output::{print_error, print_raw};
use crate::cli::progress::Progress;
use crate::client::{ConsumerRecord, Delivery, Record, RecordMetadata, TimestampType};

/// Records on their way at a time: bounds memory however large the input is.
const IN_FLIGHT_MAX: usize = 10_000;

/// Records on their way, in the order in which they were sent.
pub(super) struct Flights<'a> {
    pub(super) context: &'a Context,
    pub(super) echo: Echo,
    /// Why [`Echo`] could not be printed any more, unless its reader had enough.
    pub(super) unprinted: Option<Failure>,
    pub(super) tally: Tally,
    /// What errors call a record.
    pub(super) unit: Unit,
    pub(super) begun: Duration,
    running: FuturesOrdered<Pin<Box<dyn Future<Output = Landed> + 'a>>>,
    progress: Progress,
    target: Target,
}

/// What is printed of a record that was written.
pub(super) enum Echo {
    /// Nothing.
    Nothing,
    /// Where it is, in this format.
    Report(Format),
    /// Its line, and this behind it.
    Tee(Vec<u8>),
    /// Nothing any more: who read it has gone.
    Unread,
}

/// What is remembered of a record while it is on its way.
pub(super) struct Sent {
    line: u64,
    value_bytes: u64,
    sent_at: Duration,
    shown: Shown,
}

/// What [`Echo`] needs of a record.
enum Shown {
    Nothing,
    Record(Record),
    Line(Bytes),
}

/// A record with its result.
struct Landed {
    sent: Sent,
    landed_at: Duration,
    result: Result<RecordMetadata, Error>,
}

impl<'a> Flights<'a> {
    /// Nothing on its way; `echo` is printed for each record that lands.
    pub(super) fn new(context: &'a Context, echo: Echo, unit: Unit) -> Self {
        let begun = context.monotonic();
        Self {
            context,
            echo,
            unprinted: None,
            tally: Tally::new(),
            unit,
            begun,
            running: FuturesOrdered::new(),
            progress: Progress::new(begun, context.global.quiet),
            target: Target::stdout(),
        }
    }

    /// What to remember of a record that is about to be sent.
    pub(super) fn prepare(&self, line: &Line, record: &Record) -> Sent {
        Sent {
            line: line.number,
            value_bytes: record.value.as_ref().map_or(0, |value| value.len() as u64),
            sent_at: self.context.monotonic(),
            shown: match &self.echo {
                Echo::Nothing | Echo::Unread => Shown::Nothing,
                Echo::Report(_) => Shown::Record(record.clone()),
                Echo::Tee(_) => Shown::Line(line.text.clone()),
            },
        }
    }

    /// Watches over a record that was sent.
    pub(super) fn begin(&mut self, sent: Sent, delivery: Delivery) {
        let context = self.context;
        let land = async move {
            let result = delivery.await;
            Landed { sent, landed_at: context.monotonic(), result }
        };
        self.running.push_back(Box::pin(land));
    }

    /// Does `work`, counting results as they come.
    pub(super) async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                Some(landed) = self.running.next(), if !self.running.is_empty() => self.settle(landed),
            }
        }
    }

    /// Waits until another record may be sent.
    pub(super) async fn wait_for_room(&mut self) {
        self.wait_for_fewer_than(IN_FLIGHT_MAX).await;
    }

    /// How many records have no result yet.
    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    /// Waits until every record has its result.
    pub(super) async fn wait_for_all(&mut self) {
        self.wait_for_fewer_than(1).await;
    }

    /// Takes the progress line away.
    pub(super) fn clear(&mut self) {
        self.progress.clear();
    }

    async fn wait_for_fewer_than(&mut self, count: usize) {
        while self.running.len() >= count
            && let Some(landed) = self.running.next().await
        {
            self.settle(landed);
        }
    }

    /// Time since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        self.context.monotonic().saturating_sub(self.begun)
    }

    fn settle(&mut self, landed: Landed) {
        let Landed { sent, landed_at, result } = landed;
        match result {
            Ok(stored) => {
                self.tally.delivered(sent.value_bytes, landed_at.saturating_sub(sent.sent_at));
                self.show(sent.shown, stored);
            }
            Err(error) => self.count_failure(sent.line, &error),
        }
        let (tally, elapsed) = (&self.tally, self.elapsed());
        self.progress.tick(self.begun + elapsed, || tally.progress(elapsed));
    }

    fn show(&mut self, shown: Shown, stored: RecordMetadata) {
        let mut out = Vec::new();
        match (&self.echo, shown) {
            (Echo::Report(format), Shown::Record(record)) => {
                format.write(&as_stored(record, stored), self.target, &mut out);
            }
            (Echo::Tee(end), Shown::Line(line)) => {
                write_bytes(&line, self.target, &mut out);
                out.extend_from_slice(end);
            }
            _ => return,
        }
        self.progress.clear();
        if let Err(failure) = print_raw(out) {
            // WHY it goes on: what is printed is a courtesy, the records are not.
            self.echo = Echo::Unread;
            self.unprinted = Some(failure).filter(|failure| failure.exit != Exit::Done);
        }
    }

    /// Counts a record that failed, and prints why.
    pub(super) fn count_failure(&mut self, line: u64, error: &Error) {
        if self.tally.failed(error) {
            self.progress.clear();
            print_error(&format!("{}: {}", self.unit.place(line), in_words(error)));
        }
    }
}

/// What was sent, as the log now has it.
fn as_stored(record: Record, stored: RecordMetadata) -> ConsumerRecord {
    ConsumerRecord {
        topic: stored.topic,
        partition: stored.partition,
        offset: stored.offset,
        timestamp: stored.timestamp,
        timestamp_type: TimestampType::Create,
        leader_epoch: stored.leader_epoch,
        key: record.key,
        value: record.value,
        headers: record.headers,
    }
}

//! The second scene: what users do goes on, and a group reads it that grows and shrinks meanwhile.

use std::fmt;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;

use super::args::DemoArgs;
use super::flow::{ACTIVITY_PARTITIONS, RATE, record};
use super::order::{OrderCheck, OrderVerdict};
use super::owners::{Owners, Tally};
use super::readers::Readers;
use super::run::say;
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::sample::{SampleKind, events};
use crate::cli::signals::Signals;
use crate::client::{Client, Delivery, GroupEvent, Producer, Record};

/// The topic; the first scene has made it, and sent the first records of each user.
const KIND: SampleKind = SampleKind::Activity;
/// Records that flow between two changes.
const RECORDS_PER_CHANGE: usize = 750;
/// How long the group may take to settle, and the last records to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What happens to the group.
#[derive(Clone, Copy)]
enum Change {
    /// A reader joins.
    Join,
    /// The oldest reader commits and leaves.
    Leave,
    /// The oldest reader goes without a commit.
    DropOut,
}

/// From one reader to four, and down to two.
const CHANGES: [Change; 8] = [
    Change::Join,
    Change::Join,
    Change::Join,
    Change::Join,
    Change::Leave,
    Change::DropOut,
    Change::Join,
    Change::Leave,
];

/// How the scene ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) order: OrderVerdict,
    pub(super) partitions: Tally,
}

/// Plays the scene; `None` when a signal came before its end.
///
/// Errors: the broker refuses a record or a reader, or can't be reached; the group does not settle.
pub(super) async fn run(
    context: &Context,
    args: &DemoArgs,
    client: &Client,
    signals: &mut Signals,
) -> Result<Option<Ending>, Failure> {
    let mut scene = Scene {
        context,
        client,
        producer: client.producer().delivery_timeout(context.global.timeout).build().await?,
        readers: Readers::default(),
        order: OrderCheck::default(),
        owners: Owners::new(ACTIVITY_PARTITIONS),
        running: FuturesUnordered::new(),
        begun: context.monotonic(),
    };
    let is_over = tokio::select! {
        played = scene.play(args) => played.map(|()| true),
        _ = signals.next() => Ok(false),
    };
    // As in the first scene; a second signal changes nothing.
    scene.producer.close().await;
    Ok(is_over?.then(|| Ending { order: scene.order.verdict(), partitions: scene.owners.tally() }))
}

/// The group, and records on their way to it.
struct Scene<'a> {
    context: &'a Context,
    client: &'a Client,
    producer: Producer,
    readers: Readers,
    order: OrderCheck,
    owners: Owners,
    running: FuturesUnordered<Delivery>,
    begun: Duration,
}

impl Scene<'_> {
    async fn play(&mut self, args: &DemoArgs) -> Result<(), Failure> {
        let known = KIND.file_records();
        let samples = events(KIND, args.seed, known + CHANGES.len() * RECORDS_PER_CHANGE);
        let records: Vec<Record> = samples.into_iter().map(|sample| record(KIND.name(), sample)).collect();
        let (before, rest) = records.split_at(known);
        before.iter().for_each(|record| self.note(record));
        for (change, records) in CHANGES.into_iter().zip(rest.chunks(RECORDS_PER_CHANGE)) {
            self.change(change, records, RATE * args.speed).await?;
        }
        self.take_until(PATIENCE, |scene| scene.order.is_complete() && scene.running.is_empty()).await?;
        self.readers.leave_all().await
    }

    /// Lets the change happen and records flow, until these are sent and the group has settled.
    async fn change(&mut self, change: Change, records: &[Record], rate: f64) -> Result<(), Failure> {
        let begun = self.context.monotonic();
        let (reader, what) = match change {
            Change::Join => (self.readers.join(self.client, KIND.name()).await?, "joined"),
            Change::Leave => (self.readers.leave().await?, "left"),
            Change::DropOut => (self.readers.drop_out(), "left without a commit"),
        };
        for (number, record) in records.iter().enumerate() {
            let due = begun + Duration::from_secs_f64(number as f64 / rate);
            self.take_until(due.saturating_sub(self.context.monotonic()), |_| false).await?;
            self.note(record);
            self.running.push(self.producer.send(record.clone()).await?);
        }
        let is_settled = |scene: &Self| scene.owners.is_settled(&scene.readers.numbers());
        if !self.take_until(PATIENCE, is_settled).await? {
            let readers = self.readers.numbers();
            let message = format!(
                "reader {reader} {what}, and {PATIENCE:?} later partitions are not shared among {readers:?}"
            );
            return Err(Failure::failed(message));
        }
        let change = self.owners.end_change();
        self.tell(reader, what, change)
    }

    fn note(&mut self, record: &Record) {
        self.order.send(record.value.as_deref().unwrap_or_default());
    }

    /// Takes events and acknowledgements as they come, until it is done or the time is over; tells whether it is done.
    async fn take_until(&mut self, time: Duration, is_done: impl Fn(&Self) -> bool) -> Result<bool, Failure> {
        let until = self.context.monotonic() + time;
        loop {
            let left = until.saturating_sub(self.context.monotonic());
            if is_done(self) {
                return Ok(true);
            } else if left.is_zero() {
                return Ok(false);
            }
            tokio::select! {
                event = self.readers.next() => {
                    let (reader, event) = event?;
                    self.take(reader, event);
                }
                Some(stored) = self.running.next(), if !self.running.is_empty() => drop(stored?),
                () = self.context.sleep(left) => {}
            }
        }
    }

    fn take(&mut self, reader: usize, event: GroupEvent) {
        match event {
            GroupEvent::Record(record) => {
                self.order.read(reader, record.value.as_deref().unwrap_or_default())
            }
            GroupEvent::Assigned(partitions) => {
                partitions.iter().for_each(|owned| self.owners.assign(owned.partition, reader));
            }
            _ => {}
        }
    }

    fn tell(&self, reader: usize, what: &str, change: Tally) -> Result<(), Failure> {
        let seconds = self.context.monotonic().saturating_sub(self.begun).as_secs_f64();
        let Tally { moved, stayed } = change;
        let partitions = match moved + stayed {
            0 => format!("it reads all {ACTIVITY_PARTITIONS} partitions"),
            _ => format!("{moved} moved, {stayed} stayed"),
        };
        say(self.context, format!("{seconds:.1} s: reader {reader} {what}: {partitions}\n"))
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { moved, stayed } = self.partitions;
        write!(f, "partitions moved {moved} times, stayed {stayed} times\n{}", self.order)
    }
}

impl Ending {
    /// A part of a document.
    pub(super) fn document(&self) -> Value {
        let mut document = self.order.document();
        document["partitions"] = self.partitions.document();
        document
    }
}

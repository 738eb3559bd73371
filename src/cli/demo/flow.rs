//! The first scene: sample records into the broker and out of it again, at the same time.

use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::args::DemoArgs;
use super::check::{Check, Verdict};
use super::live::Live;
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::sample::{SampleKind, SampleRecord, events};
use crate::cli::signals::Signals;
use crate::client::{Client, Consumer, Delivery, Producer, Record, Start};

/// Topics of the demo with their partitions: two with keys, one without.
pub(super) const TOPICS: [(SampleKind, i32); 3] =
    [(SampleKind::Prices, 3), (SampleKind::Activity, ACTIVITY_PARTITIONS), (SampleKind::Emails, 3)];

/// Partitions of the topic that the second scene goes on with.
pub(super) const ACTIVITY_PARTITIONS: i32 = 6;
/// Records a second at speed 1.
pub(super) const RATE: f64 = 1_000.0;
/// After the last acknowledgement, records that do not come for this long are lost.
const LOST_AFTER: Duration = Duration::from_secs(10);
/// After the last record, a double would come within this time.
const DOUBLES_WITHIN: Duration = Duration::from_millis(200);

/// Makes the topics.
pub(super) async fn create_topics(client: &Client) -> Result<(), Failure> {
    for (kind, partitions) in TOPICS {
        client.admin().create_topic(kind.name()).partitions(partitions).await?;
    }
    Ok(())
}

/// Sends every sample record and reads it back; `None` when a signal came before the end.
///
/// Errors: the broker refuses a record, or can't be reached.
pub(super) async fn run(
    context: &Context,
    args: &DemoArgs,
    client: &Client,
    signals: &mut Signals,
) -> Result<Option<Verdict>, Failure> {
    let names = TOPICS.map(|(kind, partitions)| (kind.name(), partitions));
    let topics = names.map(|(name, _)| name);
    let mut flow = Flow {
        context,
        producer: client.producer().delivery_timeout(context.global.timeout).build().await?,
        consumer: client.consumer().topics(topics).start(Start::Beginning).build().await?,
        check: Check::default(),
        live: Live::new(&names, context.monotonic()),
        running: FuturesUnordered::new(),
    };
    let is_over = tokio::select! {
        worked = flow.work(args) => worked.map(|()| true),
        _ = signals.next() => Ok(false),
    };
    // What is under way is written, or known not to be, before the broker goes: nobody is warned of records in doubt.
    flow.producer.close().await;
    Ok(is_over?.then(|| flow.check.verdict()))
}

/// Records of all topics in the order of their timestamps. They are sent with the time at which they are sent.
fn samples(seed: u64) -> Vec<Record> {
    let of_kind = |(kind, _): (SampleKind, i32)| {
        events(kind, seed, kind.file_records()).into_iter().map(move |sample| (kind.name(), sample))
    };
    let mut all: Vec<(&str, SampleRecord)> = TOPICS.into_iter().flat_map(of_kind).collect();
    all.sort_by_key(|(_, sample)| sample.timestamp_ms);
    all.into_iter().map(|(topic, sample)| record(topic, sample)).collect()
}

/// A sample as it is sent.
pub(super) fn record(topic: &str, sample: SampleRecord) -> Record {
    let mut record = Record::to(topic).value(sample.value);
    record.key = sample.key.map(Into::into);
    record.headers = sample.headers.into_iter().map(|(key, value)| (key, Some(value.into()))).collect();
    record
}

type Acknowledged = Pin<Box<dyn Future<Output = Result<(String, i32), Failure>>>>;

/// Records on their way in and out.
struct Flow<'a> {
    context: &'a Context,
    producer: Producer,
    consumer: Consumer,
    check: Check,
    live: Live,
    running: FuturesUnordered<Acknowledged>,
}

impl Flow<'_> {
    async fn work(&mut self, args: &DemoArgs) -> Result<(), Failure> {
        self.send_all(samples(args.seed), RATE * args.speed).await?;
        self.read_rest().await?;
        self.live.show(self.context.monotonic())
    }

    async fn send_all(&mut self, records: Vec<Record>, rate: f64) -> Result<(), Failure> {
        let begun = self.context.monotonic();
        for (number, record) in records.into_iter().enumerate() {
            let due = begun + Duration::from_secs_f64(number as f64 / rate);
            self.read_until(due).await?;
            let record = self.check.send(record);
            let delivery = self.producer.send(record).await?;
            self.running.push(Box::pin(acknowledged(delivery)));
        }
        Ok(())
    }

    /// Reads what was sent and not read yet.
    async fn read_rest(&mut self) -> Result<(), Failure> {
        let mut last = (self.check.read_count(), self.context.monotonic());
        while self.check.read_count() < self.check.sent_count() || !self.running.is_empty() {
            let now = self.context.monotonic();
            if self.check.read_count() > last.0 || !self.running.is_empty() {
                last = (self.check.read_count(), now);
            } else if now.saturating_sub(last.1) >= LOST_AFTER {
                return Ok(());
            }
            self.read_until(now + DOUBLES_WITHIN).await?;
        }
        self.read_until(self.context.monotonic() + DOUBLES_WITHIN).await
    }

    /// Takes records and acknowledgements as they come until `due` (monotonic).
    async fn read_until(&mut self, due: Duration) -> Result<(), Failure> {
        loop {
            let left = due.saturating_sub(self.context.monotonic());
            if left.is_zero() {
                return Ok(());
            }
            tokio::select! {
                record = self.consumer.next() => match record {
                    Some(record) => {
                        let record = record?;
                        self.check.read(&record);
                        self.live.read(&record);
                    }
                    None => return Err(Failure::failed("the consumer stands still; see the error above")),
                },
                Some(acknowledged) = self.running.next(), if !self.running.is_empty() => {
                    let (topic, partition) = acknowledged?;
                    self.live.written(&topic, partition);
                }
                () = self.context.sleep(left) => {}
            }
            self.live.tick(self.context.monotonic())?;
        }
    }
}

async fn acknowledged(delivery: Delivery) -> Result<(String, i32), Failure> {
    let stored = delivery.await?;
    Ok((stored.topic.to_string(), stored.partition))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_all_topics_are_mixed_and_keyed_as_the_topics_say() {
        let records = samples(7);
        assert_eq!(records.len(), 4_000);
        assert!(records.iter().all(|record| record.key.is_some() == (&*record.topic != "emails")));
        let first: std::collections::HashSet<_> =
            records[..200].iter().map(|record| record.topic.clone()).collect();
        assert_eq!(first.len(), 3);
        assert_eq!(samples(7), records);
        assert_ne!(samples(8), records);
    }
}

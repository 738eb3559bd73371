//! Large records that fill a disk, with the history of their topic.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tonic::transport::{Channel, Endpoint};
use weir::base::{ErrorKind, Outcome};
use weir::client::{Client, Consumer, ConsumerRecord, Event, Record, Start};
use weir::proto::grpc as pb;
use weir::proto::grpc::producer_service_client::ProducerServiceClient;

const TOPIC: &str = "filler";
const PARTITIONS: i32 = 2;
/// Words of 8 bytes in a record.
const WORDS: usize = 4 << 10;
/// Records on their way at a time.
const AT_ONCE: usize = 16;
/// A record that is not stored after this long is given up.
const PATIENCE: Duration = Duration::from_millis(300);
const WAIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

/// A topic of large records, numbered; the number is all that a record holds, again and again.
pub(super) struct Filler {
    address: String,
    client: Client,
    calls: ProducerServiceClient<Channel>,
    next: u64,
    /// Partition and offset of each record that was acknowledged.
    stored: BTreeMap<(i32, i64), u64>,
    not_written: BTreeSet<u64>,
    acknowledged: usize,
}

fn value_of(number: u64) -> Vec<u8> {
    number.to_be_bytes().repeat(WORDS)
}

fn number_of(record: &ConsumerRecord) -> u64 {
    let value = record.value.as_deref().unwrap();
    let number = u64::from_be_bytes(value[..8].try_into().unwrap());
    assert!(value == value_of(number), "offset {} of the filler was changed", record.offset);
    number
}

impl Filler {
    pub(super) async fn start(address: &str) -> Self {
        let client = Client::connect(address).await.unwrap();
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
        let calls = ProducerServiceClient::new(channel);
        let (address, stored, not_written) = (address.to_owned(), BTreeMap::new(), BTreeSet::new());
        let this = Self { address, client, calls, next: 0, stored, not_written, acknowledged: 0 };
        this.create().await;
        this
    }

    async fn create(&self) {
        let create = self.client.admin().create_topic(TOPIC).partitions(PARTITIONS);
        create.config("segment.bytes", "1MiB").config("retention.ms", "-1").await.unwrap();
    }

    pub(super) fn topic(&self) -> &'static str {
        TOPIC
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    pub(super) fn refusals(&self) -> usize {
        self.not_written.len()
    }

    /// The topic was deleted: makes it again, with none of its records.
    pub(super) async fn begin_again(&mut self) {
        self.stored.clear();
        self.create().await;
    }

    /// Sends records until the bundled client says that the disk is full.
    pub(super) async fn fill(&mut self, idempotent: bool) {
        // A client of its own: it looks the topic up anew.
        let client = Client::connect(&self.address).await.unwrap();
        let producer =
            client.producer().idempotent(idempotent).delivery_timeout(PATIENCE).build().await.unwrap();
        let begun = Instant::now();
        let mut is_full = false;
        while !is_full {
            assert!(begun.elapsed() < WAIT, "the disk does not get full");
            let mut deliveries = Vec::new();
            for _ in 0..AT_ONCE {
                let number = self.next;
                self.next += 1;
                let partition = (number % PARTITIONS as u64) as i32;
                let record = Record::to(TOPIC).partition(partition).value(value_of(number));
                deliveries.push((partition, number, producer.send(record).await.unwrap()));
            }
            for (partition, number, delivery) in deliveries {
                match delivery.await {
                    Ok(stored) => self.note_stored(partition, stored.offset, number),
                    Err(error) => {
                        is_full |= error.message.contains("[DISK_FULL]");
                        if error.outcome == Outcome::NotWritten {
                            self.not_written.insert(number);
                        }
                    }
                }
            }
        }
        producer.close().await;
    }

    fn note_stored(&mut self, partition: i32, offset: i64, number: u64) {
        self.acknowledged += 1;
        self.stored.insert((partition, offset), number);
    }

    /// One record by a plain call, with a producer id or without. Says what the broker says.
    async fn call(&mut self, idempotent: bool) -> Result<(), pb::ItemError> {
        let number = self.next;
        self.next += 1;
        let record = pb::Record { value: Some(value_of(number).into()), ..pb::Record::default() };
        let records = pb::RecordList { records: vec![record] };
        let mut batch = pb::ProduceBatch {
            topic: TOPIC.to_owned(),
            partition: Some(0),
            payload: Some(pb::produce_batch::Payload::Records(records)),
            ..pb::ProduceBatch::default()
        };
        if idempotent {
            let id = self.calls.init_producer(pb::InitProducerRequest {}).await.unwrap().into_inner();
            batch.producer_id = Some(id.producer_id);
            batch.producer_epoch = Some(id.producer_epoch);
            batch.base_sequence = Some(0);
        }
        let request = pb::ProduceRequest { acks: pb::Acks::All.into(), batches: vec![batch] };
        let mut reply = self.calls.produce(request).await.unwrap().into_inner();
        let result = reply.results.remove(0);
        match result.error {
            None => self.note_stored(0, result.base_offset, number),
            Some(error) => {
                assert_eq!(error.outcome(), pb::Outcome::NotWritten, "{error:?}");
                self.not_written.insert(number);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Sends single records until one is refused, as it should be: what is left may have room for some.
    pub(super) async fn refused(&mut self, idempotent: bool) {
        let begun = Instant::now();
        let error = loop {
            match self.call(idempotent).await {
                Ok(()) => assert!(begun.elapsed() < WAIT, "a full disk takes everything"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.reason(), pb::ErrorReason::DiskFull, "{error:?}");
        assert!(error.retriable, "{error:?}");
    }

    /// Sends single records until one is taken.
    pub(super) async fn accepted(&mut self) {
        let begun = Instant::now();
        while let Err(error) = self.call(false).await {
            assert_eq!(error.reason(), pb::ErrorReason::DiskFull, "{error:?}");
            assert!(begun.elapsed() < WAIT, "nothing is written though there is room");
            sleep(PAUSE).await;
        }
    }

    /// Reads everything: what was acknowledged and not removed is there, what was refused is not.
    pub(super) async fn check(&self) {
        let client = Client::connect(&self.address).await.unwrap();
        let mut found = BTreeMap::new();
        for record in read_what_stays(&client).await {
            let number = number_of(&record);
            assert!(!self.not_written.contains(&number), "record {number} was refused and is there");
            found.insert((record.partition, record.offset), number);
        }
        let partitions = client.admin().describe_topic(TOPIC).await.unwrap().partitions;
        for (place, number) in &self.stored {
            let is_gone = place.1 < partitions[place.0 as usize].log_start_offset;
            assert!(
                is_gone || found.get(place) == Some(number),
                "{place:?}: {number} became {:?}",
                found.get(place)
            );
        }
    }
}

/// Every record of the topic. Retention may still be at work: where it is ahead of the reader, the reader follows.
async fn read_what_stays(client: &Client) -> Vec<ConsumerRecord> {
    let partitions = client.admin().describe_topic(TOPIC).await.unwrap().partitions;
    let ends: Vec<i64> = partitions.iter().map(|partition| partition.high_watermark).collect();
    let mut consumer = client.consumer().topic(TOPIC).start(Start::Beginning).build().await.unwrap();
    let mut records = Vec::new();
    let is_behind = |consumer: &Consumer| {
        (0..).zip(&ends).any(|(partition, end)| consumer.position(TOPIC, partition) < Some(*end))
    };
    while is_behind(&consumer) {
        match consumer.next_event().await.unwrap() {
            Event::Record(record) => records.push(record),
            Event::CaughtUp { .. } => {}
            Event::Error(error) => {
                assert_eq!(error.kind, ErrorKind::OffsetOutOfRange, "{error}");
                let fact = |name: &str| error.metadata[name].parse::<i64>().unwrap();
                consumer.seek(TOPIC, fact("partition") as i32, fact("start")).unwrap();
            }
        }
    }
    records
}

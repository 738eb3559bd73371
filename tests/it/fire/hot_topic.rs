//! One hot topic: producers and consumers that take all of the broker that they get, and small requests about other topics.
//!
//! Each small request is answered, none later than a group would wait for a heartbeat; and many are while one fetch reads thousands of
//! places.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tonic::transport::Endpoint;
use weir::client::{Client, Record, Start};
use weir::proto::grpc as pb;
use weir::proto::grpc::consumer_service_client::ConsumerServiceClient;

use super::number;
use super::small::{Counts, Small};
use crate::process::{BrokerProcess, free_port};

const TOPIC: &str = "hot";
const PARTITIONS: i32 = 4;
/// Of each size of record.
const PRODUCERS: usize = 2;
const RECORD_BYTES: [usize; 2] = [100, 100_000];
const CONSUMERS: usize = 2;
/// Records of a producer that are on their way at a time.
const ON_THEIR_WAY: usize = 500;
/// Answers to each kind of small request where `$WEIR_ANSWERS` does not say.
const ANSWERS_DEFAULT: usize = 25;
/// What takes longer for one small request is not answered in time: a group gives a member up after longer.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// Whoever gets no answer for so long gets none.
const PATIENCE: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_millis(20);

/// Places that one large fetch asks for, each of which gives a record.
const PLACES: usize = 5_000;
/// So many large fetches must let small requests in, out of so many.
const LARGE: (usize, usize) = (5, 50);
/// So many small requests have their turns between the places: one or two get in before and behind them all.
const ANSWERED_MIN: usize = 10;

/// Bytes that the producers of each size got acknowledged, and bytes that were read.
#[derive(Default)]
struct Heat {
    written: [AtomicUsize; RECORD_BYTES.len()],
    read: AtomicUsize,
}

impl Heat {
    fn written(&self) -> [usize; RECORD_BYTES.len()] {
        std::array::from_fn(|size| self.written[size].load(Ordering::Relaxed))
    }

    fn is_on(&self) -> bool {
        self.written().iter().all(|bytes| *bytes > 0) && self.read.load(Ordering::Relaxed) > 0
    }
}

/// Sends records of one size as fast as they are taken.
async fn write(address: String, size: usize, heat: Arc<Heat>) {
    let client = Client::connect(&address).await.unwrap();
    let producer = client.producer().build().await.unwrap();
    let value = vec![7; RECORD_BYTES[size]];
    loop {
        let mut deliveries = Vec::with_capacity(ON_THEIR_WAY);
        for _ in 0..ON_THEIR_WAY {
            let record = Record::to(TOPIC).partition(fastrand::i32(0..PARTITIONS)).value(value.clone());
            deliveries.push(producer.send(record).await.unwrap());
        }
        for delivery in deliveries {
            delivery.await.unwrap();
            heat.written[size].fetch_add(RECORD_BYTES[size], Ordering::Relaxed);
        }
    }
}

/// Reads what comes. Where retention overtakes it, it begins again at the end.
async fn read(address: String, heat: Arc<Heat>) {
    let client = Client::connect(&address).await.unwrap();
    loop {
        let mut consumer = client.consumer().topic(TOPIC).start(Start::End).build().await.unwrap();
        while let Some(Ok(record)) = consumer.next().await {
            heat.read.fetch_add(record.value.map_or(0, |value| value.len()), Ordering::Relaxed);
        }
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not come");
        sleep(PAUSE).await;
    }
}

async fn prove(flush: &str) {
    let folder = tempfile::tempdir().unwrap();
    let settings = ["log.retention.check.interval.ms=100"];
    let mut broker =
        BrokerProcess::start_with(&folder.path().join("data"), folder.path(), free_port(), &settings);
    broker.answers(None).await;
    let address = broker.address();
    let client = Client::connect(&address).await.unwrap();
    // WHY retention: the load is as fast as the disk, for as long as somebody likes.
    let topic = client.admin().create_topic(TOPIC).partitions(PARTITIONS).config("flush", flush);
    topic.config("segment.bytes", "16MiB").config("retention.bytes", "64MiB").await.unwrap();
    let small = Small::start(&address).await;
    let answers = number("WEIR_ANSWERS", ANSWERS_DEFAULT);
    let alone = Counts::default();
    until("answers without load", || small.has_more(&alone, answers)).await;
    let of_alone = small.waits_since(&alone);

    let (heat, begun) = (Arc::new(Heat::default()), Instant::now());
    let sizes = (0..RECORD_BYTES.len()).flat_map(|size| [size; PRODUCERS]);
    let mut load: Vec<JoinHandle<()>> =
        sizes.map(|size| tokio::spawn(write(address.clone(), size, heat.clone()))).collect();
    load.extend((0..CONSUMERS).map(|_| tokio::spawn(read(address.clone(), heat.clone()))));
    let goes_on = || assert!(!load.iter().any(JoinHandle::is_finished), "the load of the hot topic ended");
    until("records of the hot topic", || {
        goes_on();
        heat.is_on()
    })
    .await;
    let beside = small.counts();
    until("answers beside the hot topic", || {
        goes_on();
        small.has_more(&beside, answers)
    })
    .await;
    load.iter().for_each(JoinHandle::abort);
    let [of_small, of_large] = heat.written().map(|bytes| bytes >> 20);
    println!(
        "hot topic, flush={flush}: {of_small} MiB in small and {of_large} MiB in large records written and {} MiB read in {:.1} s; \
         answers, median and longest wait: {}; before: {of_alone}",
        heat.read.load(Ordering::Relaxed) >> 20,
        begun.elapsed().as_secs_f64(),
        small.waits_since(&beside),
    );
    let longest = small.longest_since(&beside);
    assert!(longest < WAIT_MAX, "a small request waited {longest:?} beside the hot topic");
    small.end(&address).await;
    broker.kill();
}

#[tokio::test]
async fn a_hot_topic_at_flush_os_does_not_hold_up_small_requests() {
    prove("os").await;
}

#[tokio::test]
async fn a_hot_topic_at_flush_ack_does_not_hold_up_small_requests() {
    prove("ack").await;
}

/// A fetch of so many places; its answer fits into the window of the connection.
async fn fetch_many(address: &str) -> impl AsyncFnMut() {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.initial_stream_window_size(8 << 20).initial_connection_window_size(16 << 20);
    let mut calls = ConsumerServiceClient::new(channel.connect().await.unwrap());
    let place =
        pb::FetchPartition { topic: TOPIC.to_owned(), max_bytes: 1 << 10, ..pb::FetchPartition::default() };
    let form = pb::RecordForm::Batch.into();
    let request = pb::FetchRequest { partitions: vec![place; PLACES], form, ..pb::FetchRequest::default() };
    async move || {
        let reply = calls.fetch(request.clone()).await.unwrap().into_inner();
        let given = reply.partitions.iter().filter(|partition| !partition.batches.is_empty()).count();
        assert_eq!(given, PLACES);
    }
}

#[tokio::test]
async fn a_fetch_of_many_places_gives_way_to_small_requests() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker =
        BrokerProcess::start_with(&folder.path().join("data"), folder.path(), free_port(), &["shards=1"]);
    broker.answers(None).await;
    let address = broker.address();
    let client = Client::connect(&address).await.unwrap();
    client.admin().create_topic(TOPIC).partitions(1).await.unwrap();
    let producer = client.producer().build().await.unwrap();
    producer.send(Record::to(TOPIC).value("x")).await.unwrap().await.unwrap();
    let answered = Arc::new(AtomicUsize::new(0));
    let count = answered.clone();
    let asking = tokio::spawn(async move {
        loop {
            client.admin().cluster().await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut fetch = fetch_many(&address).await;
    let (mut during, mut many) = (Vec::new(), 0);
    while many < LARGE.0 && during.len() < LARGE.1 {
        let before = answered.load(Ordering::Relaxed);
        fetch().await;
        let here = answered.load(Ordering::Relaxed) - before;
        many += usize::from(here >= ANSWERED_MIN);
        during.push(here);
    }
    asking.abort();
    println!("hot topic: small requests answered during fetches of {PLACES} places: {during:?}");
    assert!(many == LARGE.0, "a large fetch lets nobody have a turn");
    broker.kill();
}

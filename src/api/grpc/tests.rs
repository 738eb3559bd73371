//! A whole broker on the in-memory disk, behind a real socket, used through the generated clients.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::api::windows::WIDE;
use crate::api::{Serving, serve};
use crate::broker::Broker;
use crate::config::{BrokerSettings, Machine};
use crate::env::{Clock, Env, RealClock, Rng, SimClock, SimDisk};
use crate::proto::grpc as pb;
use crate::proto::grpc::cluster_service_client::ClusterServiceClient;
use crate::proto::grpc::consumer_service_client::ConsumerServiceClient;
use crate::proto::grpc::producer_service_client::ProducerServiceClient;
use crate::proto::grpc::topic_service_client::TopicServiceClient;
use crate::record::{BatchBuilder, Codec, NewRecord, ProducerFields};

mod calls;

struct World {
    broker: Arc<Broker>,
    channel: Channel,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<std::io::Result<Serving>>,
}

impl World {
    async fn start(shards: usize) -> Self {
        Self::start_with(|settings| settings.shards = shards).await
    }

    async fn start_with(change: impl FnOnce(&mut BrokerSettings)) -> Self {
        Self::start_at(Arc::new(RealClock::new()), change).await
    }

    async fn start_at(clock: Arc<dyn Clock>, change: impl FnOnce(&mut BrokerSettings)) -> Self {
        let env = Env { disk: Arc::new(SimDisk::default()), clock, rng: Arc::new(Rng::seeded(7)) };
        let machine = Machine { memory_bytes: 1 << 30, cores: 1, descriptors_max: 1024 };
        let mut settings = BrokerSettings::defaults(&machine);
        settings.data_dir = "/data".into();
        change(&mut settings);
        let broker = Broker::start(env, settings).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = stopped.await;
        };
        let served = tokio::spawn(serve(broker.clone(), listener, shutdown, Duration::from_secs(20)));
        let channel = Channel::from_shared(address).unwrap().connect_lazy();
        Self { broker, channel, stop, served }
    }

    async fn with_topic(partition_count: i32) -> Self {
        let world = Self::start(1).await;
        world.create("t", partition_count).await;
        world
    }

    async fn create(&self, name: &str, partition_count: i32) {
        let request = pb::CreateTopicRequest { name: name.to_owned(), partition_count, ..Default::default() };
        TopicServiceClient::new(self.channel.clone()).create_topic(request).await.unwrap();
    }

    fn producer(&self) -> ProducerServiceClient<Channel> {
        ProducerServiceClient::new(self.channel.clone())
    }

    fn consumer(&self) -> ConsumerServiceClient<Channel> {
        ConsumerServiceClient::new(self.channel.clone())
    }

    async fn produce(&self, batches: Vec<pb::ProduceBatch>) -> Vec<pb::ProduceResult> {
        let request = pb::ProduceRequest { acks: 0, batches };
        self.producer().produce(request).await.unwrap().into_inner().results
    }

    /// Stops serving, then the broker.
    async fn end(self) -> Serving {
        self.stop.send(()).unwrap();
        drop(self.channel);
        let served = self.served.await.unwrap().unwrap();
        assert!(self.broker.stop(Duration::from_secs(20)).await);
        served
    }
}

fn record(key: Option<&'static str>, value: &str) -> pb::Record {
    let value = Some(Bytes::copy_from_slice(value.as_bytes()));
    pb::Record { key: key.map(Bytes::from), value, ..Default::default() }
}

fn records(topic: &str, partition: Option<i32>, records: Vec<pb::Record>) -> pb::ProduceBatch {
    let payload = Some(pb::produce_batch::Payload::Records(pb::RecordList { records }));
    pb::ProduceBatch { topic: topic.to_owned(), partition, payload, ..Default::default() }
}

fn encoded(partition: i32, values: &[&str], codec: Codec, producer: ProducerFields) -> pb::ProduceBatch {
    let mut builder = BatchBuilder::new();
    for value in values {
        let record = NewRecord { timestamp: 5, key: None, value: Some(value.as_bytes()), headers: &[] };
        builder.append(&record).unwrap();
    }
    let payload = Some(pb::produce_batch::Payload::Batch(builder.build(codec, producer).unwrap()));
    pb::ProduceBatch { topic: "t".to_owned(), partition: Some(partition), payload, ..Default::default() }
}

fn place(partition: i32, offset: i64) -> pb::FetchPartition {
    pb::FetchPartition { topic: "t".to_owned(), partition, offset, ..Default::default() }
}

fn values(partition: &pb::FetchedPartition) -> Vec<String> {
    let text = |record: &pb::Record| String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap();
    partition.records.iter().map(text).collect()
}

fn reason(error: &Option<pb::ItemError>) -> &'static str {
    error.as_ref().map_or("", |error| error.reason().as_str_name().trim_start_matches("ERROR_REASON_"))
}

fn status_reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().expect("every error has its ErrorInfo");
    assert_eq!(info.domain, "weir");
    info.reason.clone()
}

#[tokio::test]
async fn records_of_both_forms_come_back_in_both_forms() {
    let world = World::with_topic(1).await;
    let results = world
        .produce(vec![
            records("t", Some(0), vec![record(None, "a"), record(Some("k"), "b")]),
            encoded(0, &["c", "d"], Codec::Zstd, ProducerFields::NONE),
        ])
        .await;
    assert_eq!(results.iter().map(|result| result.base_offset).collect::<Vec<_>>(), [0, 2]);
    assert!(results.iter().all(|result| result.error.is_none() && result.record_count == 2));
    assert!(results.iter().all(|result| result.durability() == pb::Durability::Flushed), "flush=ack");
    let fetch = |form| pb::FetchRequest { partitions: vec![place(0, 1)], form, ..Default::default() };
    let reply = world.consumer().fetch(fetch(1)).await.unwrap().into_inner();
    let fetched = &reply.partitions[0];
    assert_eq!(values(fetched), ["b", "c", "d"]);
    assert_eq!((fetched.next_offset, fetched.high_watermark, fetched.records[0].offset), (4, 4, 1));
    let reply = world.consumer().fetch(fetch(2)).await.unwrap().into_inner();
    let mut run = reply.partitions[0].batches.clone();
    let first = crate::record::RecordBatch::take_first(&mut run).unwrap().unwrap();
    assert_eq!((first.header().base_offset, first.header().record_count), (0, 2));
    assert_eq!(world.end().await, Serving::Drained);
}

#[tokio::test]
async fn keys_choose_their_partition_and_each_part_tells_its_records() {
    let world = World::with_topic(12).await;
    let sent = vec![record(Some("key"), "a"), record(Some("user-42"), "b"), record(Some("key"), "c")];
    let results = world.produce(vec![records("t", None, sent)]).await;
    let told: Vec<_> =
        results.iter().map(|result| (result.partition, result.record_indexes.clone())).collect();
    assert_eq!(told, [(1, vec![0, 2]), (4, vec![1])]);
    world.end().await;
}

#[tokio::test]
async fn errors_of_calls_and_items_are_typed() {
    let world = World::with_topic(1).await;
    let wrong_id = pb::ProduceBatch {
        topic_id: Some(Bytes::from_static(&[9; 16])),
        ..encoded(0, &["x"], Codec::None, ProducerFields::NONE)
    };
    let mut damaged = encoded(0, &["x"], Codec::None, ProducerFields::NONE);
    if let Some(pb::produce_batch::Payload::Batch(bytes)) = &mut damaged.payload {
        let mut changed = bytes.to_vec();
        *changed.last_mut().unwrap() ^= 1;
        *bytes = changed.into();
    }
    let results = world
        .produce(vec![
            records("tt", Some(0), vec![record(None, "x")]),
            records("t", Some(7), vec![record(None, "x")]),
            records("__cluster_metadata", Some(0), vec![record(None, "x")]),
            wrong_id,
            damaged,
            records("t", Some(0), Vec::new()),
            records("", Some(0), Vec::new()),
            records("t", Some(0), vec![record(None, "fine")]),
        ])
        .await;
    let reasons: Vec<_> = results.iter().map(|result| reason(&result.error)).collect();
    let expected = [
        "TOPIC_NOT_FOUND",
        "PARTITION_NOT_FOUND",
        "TOPIC_NOT_FOUND",
        "UNKNOWN_TOPIC_ID",
        "CORRUPT_BATCH",
        "INVALID_RECORD",
        "INVALID_REQUEST",
        "",
    ];
    assert_eq!(reasons, expected);
    let failed = results.iter().filter_map(|result| result.error.as_ref());
    failed.for_each(|error| assert_eq!(error.outcome(), pb::Outcome::NotWritten));
    let nothing = world.producer().produce(pb::ProduceRequest::default()).await.unwrap_err();
    assert_eq!(
        (nothing.code(), status_reason(&nothing).as_str()),
        (Code::InvalidArgument, "INVALID_REQUEST")
    );
    let get = pb::GetTopicRequest { name: "nope".to_owned() };
    let missing = TopicServiceClient::new(world.channel.clone()).get_topic(get).await.unwrap_err();
    assert_eq!((missing.code(), status_reason(&missing).as_str()), (Code::NotFound, "TOPIC_NOT_FOUND"));
    let huge = records("t", Some(0), vec![record(None, &"x".repeat(5 << 20))]);
    let huge = pb::ProduceRequest { acks: 0, batches: vec![huge] };
    let huge = world.producer().produce(huge).await.unwrap_err();
    assert_eq!(status_reason(&huge), "RECORD_TOO_LARGE");
    world.end().await;
}

#[tokio::test]
async fn a_fetch_waits_for_records_and_ends_when_the_broker_stops() {
    let world = World::with_topic(2).await;
    let request = |offset| pb::FetchRequest {
        partitions: vec![place(0, 0), place(1, offset)],
        max_wait_ms: 60_000,
        ..Default::default()
    };
    let mut consumer = world.consumer();
    let parked = tokio::spawn(async move { consumer.fetch(request(0)).await.unwrap().into_inner() });
    tokio::task::yield_now().await;
    world.produce(vec![records("t", Some(1), vec![record(None, "x")])]).await;
    let reply = parked.await.unwrap();
    assert_eq!(values(&reply.partitions[1]), ["x"]);
    let mut consumer = world.consumer();
    let parked = tokio::spawn(async move { consumer.fetch(request(1)).await });
    // Something that is answered after the fetch has come in.
    world.produce(vec![records("t", Some(0), Vec::new())]).await;
    assert_eq!(world.end().await, Serving::Drained);
    let reply = parked.await.unwrap().unwrap().into_inner();
    assert_eq!(reply.partitions.len(), 2);
    assert!(reply.partitions.iter().all(|partition| partition.records.is_empty()));
}

#[tokio::test]
async fn cursors_that_do_not_fit_get_typed_facts() {
    let world = World::with_topic(1).await;
    world.produce(vec![records("t", Some(0), vec![record(None, "x")])]).await;
    let diverged = pb::FetchPartition { leader_epoch: Some(99), ..place(0, 1) };
    let request = pb::FetchRequest {
        partitions: vec![place(0, 5), place(0, -3), diverged, place(9, 0)],
        max_wait_ms: 60_000,
        ..Default::default()
    };
    let reply = world.consumer().fetch(request).await.unwrap().into_inner();
    let reasons: Vec<_> = reply.partitions.iter().map(|partition| reason(&partition.error)).collect();
    assert_eq!(reasons, ["OFFSET_OUT_OF_RANGE", "OFFSET_OUT_OF_RANGE", "DIVERGED", "PARTITION_NOT_FOUND"]);
    let facts = &reply.partitions[0].error.as_ref().unwrap().metadata;
    assert_eq!((facts["start"].as_str(), facts["end"].as_str()), ("0", "1"));
    world.end().await;
}

#[tokio::test]
async fn offsets_are_found_by_word_and_by_time() {
    use pb::list_offsets_partition::At;
    let world = World::with_topic(1).await;
    let timed = |timestamp| pb::Record { timestamp_ms: Some(timestamp), ..record(None, "x") };
    world.produce(vec![records("t", Some(0), vec![timed(10), timed(30), timed(20)])]).await;
    let at = |at| pb::ListOffsetsPartition { topic: "t".to_owned(), at: Some(at), ..Default::default() };
    let partitions = vec![
        at(At::Word(pb::OffsetWord::Start.into())),
        at(At::Word(pb::OffsetWord::End.into())),
        at(At::Word(pb::OffsetWord::MaxTimestamp.into())),
        at(At::TimestampMs(15)),
        at(At::TimestampMs(31)),
        at(At::TimestampMs(-7)),
    ];
    let reply =
        world.consumer().list_offsets(pb::ListOffsetsRequest { partitions }).await.unwrap().into_inner();
    let offsets: Vec<_> = reply.offsets.iter().map(|listed| listed.offset).collect();
    assert_eq!(offsets, [Some(0), Some(3), Some(1), Some(1), None, None]);
    assert_eq!(reason(&reply.offsets[4].error), "");
    assert_eq!(reason(&reply.offsets[5].error), "INVALID_REQUEST");
    world.end().await;
}

type StreamEnds = (mpsc::Sender<pb::ProduceStreamRequest>, tonic::Streaming<pb::ProduceStreamResponse>);

async fn open_stream(world: &World) -> StreamEnds {
    let (requests, incoming) = mpsc::channel(1_000);
    let results = world.producer().produce_stream(ReceiverStream::new(incoming)).await.unwrap().into_inner();
    (requests, results)
}

fn stream_request(sequence: i64, acks: pb::Acks, batch: pb::ProduceBatch) -> pb::ProduceStreamRequest {
    pb::ProduceStreamRequest { sequence, acks: acks.into(), batches: vec![batch], resume: false }
}

async fn all_results(
    mut results: tonic::Streaming<pb::ProduceStreamResponse>,
) -> Vec<pb::ProduceStreamResult> {
    let mut all = Vec::new();
    while let Some(response) = results.message().await.unwrap() {
        all.extend(response.results);
    }
    all
}

#[tokio::test]
async fn every_request_of_a_stream_is_answered_once_and_in_order() {
    let world = World::with_topic(3).await;
    let (requests, results) = open_stream(&world).await;
    for sequence in 0..300 {
        let acks = if sequence % 10 == 9 { pb::Acks::None } else { pb::Acks::All };
        let batch = encoded((sequence % 3) as i32, &["x"], Codec::None, ProducerFields::NONE);
        requests.send(stream_request(sequence, acks, batch)).await.unwrap();
    }
    drop(requests);
    let results = all_results(results).await;
    assert_eq!(results.len(), 270);
    for partition in 0..3 {
        let of_one: Vec<_> =
            results.iter().filter(|result| result.results[0].partition == partition).collect();
        assert!(of_one.is_sorted_by_key(|result| result.sequence));
        assert!(of_one.is_sorted_by_key(|result| result.results[0].base_offset));
        assert!(of_one.iter().all(|result| result.results[0].error.is_none()));
    }
    world.end().await;
}

#[tokio::test]
async fn after_a_failed_item_its_partition_waits_for_resume() {
    let world = World::with_topic(2).await;
    let (requests, results) = open_stream(&world).await;
    let good = |partition| encoded(partition, &["x"], Codec::None, ProducerFields::NONE);
    let bad = pb::ProduceBatch { payload: None, ..good(0) };
    let mut resumed = stream_request(6, pb::Acks::All, good(0));
    resumed.resume = true;
    for request in [
        stream_request(1, pb::Acks::All, good(0)),
        stream_request(2, pb::Acks::All, bad),
        stream_request(3, pb::Acks::All, good(0)),
        stream_request(4, pb::Acks::All, good(1)),
        stream_request(5, pb::Acks::None, good(0)),
        resumed,
    ] {
        requests.send(request).await.unwrap();
    }
    drop(requests);
    let mut told: Vec<_> = all_results(results)
        .await
        .iter()
        .map(|result| (result.sequence, reason(&result.results[0].error), result.results[0].base_offset))
        .collect();
    told.sort_unstable();
    let expected = [
        (1, "", 0),
        (2, "INVALID_REQUEST", -1),
        (3, "PRECEDING_FAILED", -1),
        (4, "", 0),
        // acks=0 is not held back: offset 1 is its.
        (6, "", 2),
    ];
    assert_eq!(told, expected);
    world.end().await;
}

#[tokio::test]
async fn a_retry_of_an_idempotent_producer_is_answered_as_the_first_time() {
    let world = World::with_topic(1).await;
    let init = world.producer().init_producer(pb::InitProducerRequest {}).await.unwrap().into_inner();
    let fields = |base_sequence| ProducerFields {
        producer_id: init.producer_id,
        producer_epoch: init.producer_epoch as i16,
        base_sequence,
    };
    let send = |sequence| world.produce(vec![encoded(0, &["a"], Codec::None, fields(sequence))]);
    let (first, again, gap) = (send(0).await, send(0).await, send(5).await);
    assert_eq!((first[0].base_offset, first[0].duplicate), (0, false));
    assert_eq!((again[0].base_offset, again[0].duplicate), (0, true));
    assert_eq!(reason(&gap[0].error), "OUT_OF_ORDER_SEQUENCE");
    world.end().await;
}

#[tokio::test]
async fn a_tail_follows_from_its_place_until_the_broker_stops() {
    let world = World::with_topic(2).await;
    world.produce(vec![records("t", Some(0), vec![record(None, "a")])]).await;
    let request =
        pb::TailRequest { partitions: vec![place(0, 0), place(1, 0), place(5, 0)], ..Default::default() };
    let mut tail = world.consumer().tail(request).await.unwrap().into_inner();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let answer = tail.message().await.unwrap().unwrap();
        let partition = answer.partition.unwrap();
        seen.push((
            partition.partition,
            reason(&partition.error),
            values(&partition).join(","),
            answer.caught_up,
        ));
    }
    seen.sort();
    let text = str::to_owned;
    assert_eq!(
        seen,
        [(0, "", text("a"), true), (1, "", text(""), true), (5, "PARTITION_NOT_FOUND", text(""), false)]
    );
    for value in ["b", "c"] {
        world.produce(vec![records("t", Some(1), vec![record(None, value)])]).await;
        let answer = tail.message().await.unwrap().unwrap();
        assert_eq!((values(&answer.partition.unwrap()), answer.caught_up), (vec![text(value)], true));
    }
    assert_eq!(world.end().await, Serving::Drained);
    let ended = tail.message().await.unwrap_err();
    assert_eq!((ended.code(), status_reason(&ended).as_str()), (Code::Unavailable, "SHUTTING_DOWN"));
}

/// Waits until what is taken of the memory budget beside the windows of one connection holds; the test's own time limit ends it otherwise.
async fn until_used(broker: &Broker, holds: impl Fn(u64) -> bool) {
    while !holds(used_bytes(broker)) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn used_bytes(broker: &Broker) -> u64 {
    broker.budget().used_bytes() - WIDE.memory_bytes()
}

#[tokio::test]
async fn a_tail_that_is_not_read_is_held_against_the_memory_budget() {
    let world = World::with_topic(1).await;
    for _ in 0..8 {
        world.produce(vec![records("t", Some(0), vec![record(None, &"x".repeat(1_000_000))])]).await;
    }
    until_used(&world.broker, |bytes| bytes == 0).await;
    let request = pb::TailRequest { partitions: vec![place(0, 0)], ..Default::default() };
    let mut tail = world.consumer().tail(request).await.unwrap().into_inner();
    // The client's window takes less than one answer: the rest of it waits in the broker, and is counted.
    tokio::time::timeout(Duration::from_secs(20), until_used(&world.broker, |bytes| bytes >= 1_000_000))
        .await
        .expect("an answer that waits to be sent is counted");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(used_bytes(&world.broker) >= 1_000_000, "it is counted as long as it waits");
    for _ in 0..8 {
        tail.message().await.unwrap().unwrap();
    }
    tokio::time::timeout(Duration::from_secs(20), until_used(&world.broker, |bytes| bytes == 0))
        .await
        .expect("what was sent is given back");
    world.end().await;
}

#[tokio::test]
async fn a_tail_that_is_not_read_for_long_ends_and_gives_its_memory_back() {
    let clock = SimClock::new(1_000);
    let world = World::start_at(Arc::new(clock.clone()), |_| {}).await;
    world.create("t", 1).await;
    for _ in 0..4 {
        world.produce(vec![records("t", Some(0), vec![record(None, &"x".repeat(1_000_000))])]).await;
    }
    let request = pb::TailRequest { partitions: vec![place(0, 0)], ..Default::default() };
    let mut tail = world.consumer().tail(request).await.unwrap().into_inner();
    let soon = |holds: fn(u64) -> bool| {
        tokio::time::timeout(Duration::from_secs(20), until_used(&world.broker, holds))
    };
    soon(|bytes| bytes >= 1_000_000).await.expect("an answer waits to be sent");
    tokio::time::sleep(Duration::from_millis(100)).await;
    clock.advance(Duration::from_secs(31));
    soon(|bytes| bytes == 0).await.expect("its memory comes back");
    let ended = loop {
        match tail.message().await {
            Ok(answer) => assert!(answer.is_some(), "it ends with a reason"),
            Err(status) => break status,
        }
    };
    assert_eq!(ended.code(), Code::ResourceExhausted, "{ended}");
    let results = world.produce(vec![records("t", Some(0), vec![record(None, "a")])]).await;
    assert_eq!(results[0].base_offset, 4, "the connection lives on");
}

#[tokio::test]
async fn several_shards_serve_the_same_broker() {
    let world = World::start(2).await;
    world.create("t", 1).await;
    let results = world.produce(vec![records("t", Some(0), vec![record(None, "a")])]).await;
    assert_eq!(results[0].base_offset, 0);
    let metadata = pb::GetMetadataRequest::default();
    let reply =
        ClusterServiceClient::new(world.channel.clone()).get_metadata(metadata).await.unwrap().into_inner();
    assert_eq!(reply.topics.iter().map(|topic| topic.name.as_str()).collect::<Vec<_>>(), ["t"]);
    assert!(reply.brokers[0].address.starts_with("127.0.0.1:"));
    assert_eq!(world.end().await, Serving::Drained);
}

#[tokio::test]
async fn a_peer_that_is_silent_or_one_too_many_holds_nothing_up() {
    let world = World::start_with(|settings| settings.connections_max = 1).await;
    world.create("t", 1).await;
    let cluster =
        ClusterServiceClient::new(world.channel.clone()).get_cluster(pb::GetClusterRequest {}).await.unwrap();
    let address = cluster.into_inner().brokers[0].address.clone();
    let mut refused = tokio::net::TcpStream::connect(&address).await.unwrap();
    let mut bytes = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut refused, &mut bytes).await;
    assert!(read.is_err() || bytes.is_empty(), "closed without a word");
    world.end().await;
    let world = World::start(1).await;
    let cluster =
        ClusterServiceClient::new(world.channel.clone()).get_cluster(pb::GetClusterRequest {}).await.unwrap();
    let address = cluster.into_inner().brokers[0].address.clone();
    let _silent = tokio::net::TcpStream::connect(&address).await.unwrap();
    assert_eq!(world.end().await, Serving::Drained, "it is closed before the deadline");
}

#[tokio::test]
async fn health_and_reflection_are_served() {
    use tonic_health::pb::health_client::HealthClient;
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let world = World::start(1).await;
    let check = tonic_health::pb::HealthCheckRequest { service: "weir.v1.ProducerService".to_owned() };
    let mut watched =
        HealthClient::new(world.channel.clone()).watch(check.clone()).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status, 1);
    let list = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let asked = tokio_stream::once(list);
    let mut client = ServerReflectionClient::new(world.channel.clone());
    let mut replies = client.server_reflection_info(asked).await.unwrap().into_inner();
    let reply = replies.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = reply else { panic!("another reply") };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in ["ProducerService", "ConsumerService", "TopicService", "ClusterService"] {
        assert!(names.contains(&format!("weir.v1.{name}").as_str()), "{names:?}");
    }
    assert!(names.contains(&"grpc.health.v1.Health"), "{names:?}");
    drop(replies);
    assert_eq!(world.end().await, Serving::Drained, "a watcher of health holds nothing up");
}

/// A connection of its own to the broker, whose calls have windows of so many bytes.
async fn with_windows(world: &World, stream_bytes: u32) -> ConsumerServiceClient<Channel> {
    let cluster =
        ClusterServiceClient::new(world.channel.clone()).get_cluster(pb::GetClusterRequest {}).await.unwrap();
    let address = format!("http://{}", cluster.into_inner().brokers[0].address);
    let endpoint = Channel::from_shared(address).unwrap().initial_stream_window_size(stream_bytes);
    ConsumerServiceClient::new(endpoint.connect().await.unwrap())
}

#[tokio::test]
async fn replies_that_have_no_window_give_their_memory_back_as_well() {
    for (stream_bytes, calls, bytes_max) in [(0, 10, 0), (65_535, 20, WIDE.memory_bytes())] {
        let clock = SimClock::new(1_000);
        let world = World::start_at(Arc::new(clock.clone()), |_| {}).await;
        world.create("t", 1).await;
        world.produce(vec![records("t", Some(0), vec![record(None, &"x".repeat(1_000_000))])]).await;
        let client = with_windows(&world, stream_bytes).await;
        let request = pb::TailRequest { partitions: vec![place(0, 0)], ..Default::default() };
        let mut tails = Vec::new();
        for _ in 0..calls {
            tails.push(client.clone().tail(request.clone()).await.unwrap().into_inner());
        }
        let soon = async |holds: &dyn Fn(u64) -> bool| {
            tokio::time::timeout(Duration::from_secs(20), until_used(&world.broker, holds)).await
        };
        soon(&|bytes| bytes >= calls * 1_000_000).await.expect("all of them wait to be sent");
        tokio::time::sleep(Duration::from_millis(100)).await;
        for seconds in [31, 5] {
            clock.advance(Duration::from_secs(seconds));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        soon(&|bytes| bytes <= bytes_max).await.expect("their memory comes back");
        let results = world.produce(vec![records("t", Some(0), vec![record(None, "a")])]).await;
        assert_eq!(results[0].base_offset, 1, "other connections live on");
    }
}

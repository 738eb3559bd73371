//! A broker in memory that speaks the produce, consume and metadata calls, and misbehaves on demand.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};
use weir::base::ErrorKind;
use weir::proto::grpc::cluster_service_server::{ClusterService, ClusterServiceServer};
use weir::proto::grpc::consumer_service_server::{ConsumerService, ConsumerServiceServer};
use weir::proto::grpc::producer_service_server::{ProducerService, ProducerServiceServer};
use weir::proto::grpc::*;
use weir::record::{BatchHeader, RecordBatch};

pub(super) const TOPIC: &str = "orders";
const TOPIC_ID: [u8; 16] = [9; 16];
pub(super) const PARTITIONS: i32 = 2;
pub(super) const MAX_MESSAGE_BYTES: i32 = 10_000;

/// How often something goes wrong, in percent of batches.
#[derive(Clone, Copy, Default)]
pub(super) struct Trouble {
    /// The stream ends before the batch is stored.
    pub(super) lost_before: u32,
    /// The stream ends after the batch is stored and before it is answered.
    pub(super) lost_after: u32,
    /// The disk is full.
    pub(super) disk_full: u32,
    /// The disk stays full.
    pub(super) disk_always_full: bool,
    /// A tail ends after a batch.
    pub(super) tail_lost: u32,
    /// A tail sends a changed bit, once for each batch; always when 100.
    pub(super) tail_damaged: u32,
    /// Each batch takes a millisecond.
    pub(super) slow: bool,
}

#[derive(Default)]
struct Log {
    batches: Vec<Bytes>,
    end: i64,
    /// Last sequence of each producer id.
    last: HashMap<i64, i32>,
    /// Base offset of each batch by producer id and base sequence.
    stored: HashMap<(i64, i32), i64>,
}

struct State {
    logs: Vec<Log>,
    rng: fastrand::Rng,
    trouble: Trouble,
    next_producer: i64,
    streams: u32,
    refused: u32,
    damaged: HashSet<(i32, i64)>,
}

#[derive(Clone)]
pub(super) struct Fake(Arc<Mutex<State>>);

impl Fake {
    /// Serves on a free port until the runtime ends.
    pub(super) async fn start(trouble: Trouble) -> (Self, SocketAddr) {
        let logs = (0..PARTITIONS).map(|_| Log::default()).collect();
        let rng = fastrand::Rng::with_seed(11);
        let fake = Self(Arc::new(Mutex::new(State {
            logs,
            rng,
            trouble,
            next_producer: 1,
            streams: 0,
            refused: 0,
            damaged: HashSet::new(),
        })));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder()
            .add_service(ProducerServiceServer::new(fake.clone()))
            .add_service(ConsumerServiceServer::new(fake.clone()))
            .add_service(ClusterServiceServer::new(fake.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        (fake, address)
    }

    pub(super) fn set_trouble(&self, trouble: Trouble) {
        self.0.lock().trouble = trouble;
    }

    /// How many produce streams were opened.
    pub(super) fn streams(&self) -> u32 {
        self.0.lock().streams
    }

    /// How many batches were refused because the disk is full.
    pub(super) fn refused(&self) -> u32 {
        self.0.lock().refused
    }

    /// Values stored in a partition, in order.
    pub(super) fn values(&self, partition: i32) -> Vec<Bytes> {
        let state = self.0.lock();
        let mut values = Vec::new();
        for batch in &state.logs[partition as usize].batches {
            let batch = RecordBatch::parse(batch.clone()).unwrap();
            let records = batch.records(1 << 20).unwrap();
            for record in &records {
                values.push(Bytes::copy_from_slice(record.unwrap().value.unwrap()));
            }
        }
        values
    }

    fn lucky(&self, percent: impl Fn(&Trouble) -> u32) -> bool {
        let mut state = self.0.lock();
        let percent = percent(&state.trouble);
        state.rng.u32(..100) < percent
    }

    fn damages(&self, partition: i32, offset: i64) -> bool {
        let always = self.0.lock().trouble.tail_damaged == 100;
        always
            || self.lucky(|trouble| trouble.tail_damaged) && self.0.lock().damaged.insert((partition, offset))
    }

    fn append(&self, batch: &ProduceBatch) -> Result<i64, ErrorKind> {
        let Some(produce_batch::Payload::Batch(bytes)) = &batch.payload else { panic!("an encoded batch") };
        assert!(bytes.len() <= MAX_MESSAGE_BYTES as usize);
        assert_eq!(batch.topic_id.as_deref(), Some(&TOPIC_ID[..]));
        let header = *RecordBatch::parse(bytes.clone()).unwrap().header();
        let mut state = self.0.lock();
        if state.trouble.disk_always_full || state.rng.u32(..100) < state.trouble.disk_full {
            state.refused += 1;
            return Err(ErrorKind::DiskFull);
        }
        let log = &mut state.logs[batch.partition.unwrap() as usize];
        if header.has_producer() {
            let last = log.last.get(&header.producer_id).copied().unwrap_or(-1);
            if header.last_sequence() <= last {
                return Ok(log.stored[&(header.producer_id, header.base_sequence)]);
            }
            if header.base_sequence != last + 1 {
                return Err(ErrorKind::OutOfOrderSequence);
            }
            log.last.insert(header.producer_id, header.last_sequence());
            log.stored.insert((header.producer_id, header.base_sequence), log.end);
        }
        Ok(log.push(bytes, header))
    }

    /// Answers one request; `None` ends the stream.
    fn serve(&self, request: ProduceStreamRequest) -> Option<Option<ProduceStreamResult>> {
        if self.lucky(|trouble| trouble.lost_before) {
            return None;
        }
        assert_eq!(request.batches.len(), 1);
        let batch = &request.batches[0];
        let result = self.append(batch);
        if self.lucky(|trouble| trouble.lost_after) {
            return None;
        }
        if request.acks == Acks::None as i32 {
            return Some(None);
        }
        let mut reply = ProduceResult {
            durability: Durability::Flushed as i32,
            partition: batch.partition(),
            ..Default::default()
        };
        match result {
            Ok(base_offset) => reply.base_offset = base_offset,
            Err(kind) => reply.error = Some(item_error(kind)),
        }
        Some(Some(ProduceStreamResult { sequence: request.sequence, results: vec![reply] }))
    }
}

impl Log {
    fn push(&mut self, bytes: &Bytes, mut header: BatchHeader) -> i64 {
        header.base_offset = self.end;
        header.leader_epoch = 1;
        let stored = [&header.write()[..], &bytes[header.write().len()..]].concat();
        self.batches.push(stored.into());
        self.end += i64::from(header.record_count);
        header.base_offset
    }
}

fn item_error(kind: ErrorKind) -> ItemError {
    let reason = ErrorReason::from_str_name(&format!("ERROR_REASON_{}", kind.row().reason)).unwrap();
    ItemError {
        reason: reason as i32,
        message: format!("the fake says {}", kind.row().reason),
        retriable: kind.is_retriable(),
        outcome: Outcome::NotWritten as i32,
        ..Default::default()
    }
}

#[tonic::async_trait]
impl ProducerService for Fake {
    type ProduceStreamStream = ReceiverStream<Result<ProduceStreamResponse, Status>>;

    async fn init_producer(
        &self,
        _: Request<InitProducerRequest>,
    ) -> Result<Response<InitProducerResponse>, Status> {
        let mut state = self.0.lock();
        state.next_producer += 1;
        Ok(Response::new(InitProducerResponse { producer_id: state.next_producer, producer_epoch: 0 }))
    }

    async fn produce(&self, _: Request<ProduceRequest>) -> Result<Response<ProduceResponse>, Status> {
        Err(Status::unimplemented("the client uses the stream"))
    }

    async fn produce_stream(
        &self,
        requests: Request<Streaming<ProduceStreamRequest>>,
    ) -> Result<Response<Self::ProduceStreamStream>, Status> {
        let (responses, outgoing) = mpsc::channel(4);
        let fake = self.clone();
        self.0.lock().streams += 1;
        let mut requests = requests.into_inner();
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                if fake.0.lock().trouble.slow {
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                }
                let Some(result) = fake.serve(request) else {
                    let _ = responses.send(Err(Status::unavailable("the fake broke off"))).await;
                    return;
                };
                if let Some(result) = result {
                    let _ = responses.send(Ok(ProduceStreamResponse { results: vec![result] })).await;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

#[tonic::async_trait]
impl ConsumerService for Fake {
    type TailStream = ReceiverStream<Result<TailResponse, Status>>;
    type ConsumeStream = ReceiverStream<Result<ConsumeResponse, Status>>;

    async fn consume(
        &self,
        _: Request<Streaming<ConsumeRequest>>,
    ) -> Result<Response<Self::ConsumeStream>, Status> {
        Err(Status::unimplemented("the client tails"))
    }

    async fn fetch(&self, _: Request<FetchRequest>) -> Result<Response<FetchResponse>, Status> {
        Err(Status::unimplemented("the client tails"))
    }

    async fn list_offsets(
        &self,
        request: Request<ListOffsetsRequest>,
    ) -> Result<Response<ListOffsetsResponse>, Status> {
        let state = self.0.lock();
        let listed = |place: ListOffsetsPartition| ListedOffset {
            topic: place.topic,
            topic_id: TOPIC_ID.to_vec().into(),
            partition: place.partition,
            offset: match place.at.unwrap() {
                list_offsets_partition::At::Word(word) if word == OffsetWord::Start as i32 => Some(0),
                list_offsets_partition::At::Word(_) => Some(state.logs[place.partition as usize].end),
                list_offsets_partition::At::TimestampMs(_) => None,
            },
            ..Default::default()
        };
        let offsets = request.into_inner().partitions.into_iter().map(listed).collect();
        Ok(Response::new(ListOffsetsResponse { offsets }))
    }

    async fn tail(&self, request: Request<TailRequest>) -> Result<Response<Self::TailStream>, Status> {
        let (responses, outgoing) = mpsc::channel(1);
        for place in request.into_inner().partitions {
            tokio::spawn(tail_partition(self.clone(), place, responses.clone()));
        }
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

/// Sends one batch a response; the first one begins below the asked offset where the log has it so.
async fn tail_partition(
    fake: Fake,
    place: FetchPartition,
    responses: mpsc::Sender<Result<TailResponse, Status>>,
) {
    let mut offset = place.offset;
    let reply = FetchedPartition {
        topic: place.topic,
        topic_id: TOPIC_ID.to_vec().into(),
        partition: place.partition,
        ..Default::default()
    };
    loop {
        let (end, batch) = {
            let state = fake.0.lock();
            let log = &state.logs[place.partition as usize];
            let holds = |batch: &&Bytes| BatchHeader::read(batch).unwrap().last_offset() >= offset;
            (log.end, log.batches.iter().find(holds).cloned())
        };
        if offset > end {
            let error = Some(item_error(ErrorKind::OffsetOutOfRange));
            let partition = Some(FetchedPartition { error, ..reply });
            let _ = responses.send(Ok(TailResponse { partition, caught_up: false })).await;
            return;
        }
        let Some(mut batch) = batch else {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            continue;
        };
        let header = BatchHeader::read(&batch).unwrap();
        offset = header.last_offset() + 1;
        if fake.damages(place.partition, offset) {
            let mut changed = batch.to_vec();
            *changed.last_mut().unwrap() ^= 1;
            batch = changed.into();
        }
        let partition = Some(FetchedPartition {
            batches: batch,
            next_offset: offset,
            leader_epoch: Some(header.leader_epoch),
            ..reply.clone()
        });
        if responses.send(Ok(TailResponse { partition, caught_up: offset == end })).await.is_err() {
            return;
        }
        if fake.lucky(|trouble| trouble.tail_lost) {
            let _ = responses.send(Err(Status::unavailable("the fake broke off"))).await;
            return;
        }
    }
}

#[tonic::async_trait]
impl ClusterService for Fake {
    async fn get_cluster(
        &self,
        _: Request<GetClusterRequest>,
    ) -> Result<Response<GetClusterResponse>, Status> {
        Ok(Response::new(GetClusterResponse { version: "fake".into(), ..Default::default() }))
    }

    async fn get_metadata(
        &self,
        request: Request<GetMetadataRequest>,
    ) -> Result<Response<GetMetadataResponse>, Status> {
        let topic = |name: String| TopicMetadata {
            exists: name == TOPIC,
            closest: if name == TOPIC { String::new() } else { TOPIC.to_owned() },
            name,
            topic_id: TOPIC_ID.to_vec().into(),
            partitions: vec![PartitionMetadata::default(); PARTITIONS as usize],
            max_message_bytes: MAX_MESSAGE_BYTES,
            ..Default::default()
        };
        let topics = request.into_inner().topics.into_iter().map(topic).collect();
        Ok(Response::new(GetMetadataResponse { topics, ..Default::default() }))
    }

    async fn get_stats(
        &self,
        _: Request<weir::proto::grpc::GetStatsRequest>,
    ) -> Result<Response<weir::proto::grpc::GetStatsResponse>, Status> {
        Err(Status::unimplemented("not needed here"))
    }
}

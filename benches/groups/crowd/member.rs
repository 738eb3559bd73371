//! A member made of nothing but the generated stubs: it takes what it is assigned, lets go of what is revoked, and reads nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;
use weir::proto::grpc as pb;
use weir::proto::grpc::consume_request::Frame;
use weir::proto::grpc::consume_response::Frame as Told;
use weir::proto::grpc::consumer_service_client::ConsumerServiceClient;

/// Members that share one connection; a connection takes 128 streams.
const A_CONNECTION: usize = 100;

/// Connections for so many members.
pub(crate) async fn connect(address: &str, members: usize) -> Vec<Channel> {
    let mut channels = Vec::new();
    for _ in 0..members.div_ceil(A_CONNECTION) {
        let endpoint = Channel::from_shared(format!("http://{address}")).expect("an address");
        channels.push(endpoint.connect().await.expect("the broker is there"));
    }
    channels
}

/// What a member asks for.
pub(crate) fn options(topic: &str) -> pb::MemberOptions {
    let subscription = pb::Subscription { topics: vec![topic.to_owned()], ..Default::default() };
    pb::MemberOptions { subscription: Some(subscription), session_timeout_ms: 120_000, ..Default::default() }
}

/// A member on its stream. Dropped it leaves the group.
pub(crate) struct Member {
    held: Arc<AtomicUsize>,
    _task: Task,
}

struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Member {
    /// Joins; what it is to hold comes later.
    pub(crate) fn join(channel: &Channel, group: String, topic: &str) -> Self {
        let held = Arc::new(AtomicUsize::new(0));
        let join = pb::ConsumeJoin {
            group,
            options: Some(options(topic)),
            credit_bytes: Some(0),
            ..Default::default()
        };
        let live = live(ConsumerServiceClient::new(channel.clone()), join, held.clone());
        Self { held, _task: Task(tokio::spawn(live)) }
    }

    /// Partitions that it holds.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

async fn live(mut client: ConsumerServiceClient<Channel>, join: pb::ConsumeJoin, held: Arc<AtomicUsize>) {
    let (said, saying) = unbounded_channel();
    said.send(pb::ConsumeRequest { frame: Some(Frame::Join(join)) }).expect("both ends are here");
    let told = client.consume(UnboundedReceiverStream::new(saying)).await.expect("it may join");
    let mut told: Streaming<pb::ConsumeResponse> = told.into_inner();
    while let Some(told) = told.message().await.expect("the stream goes on") {
        take(told, &said, &held);
    }
}

fn take(told: pb::ConsumeResponse, said: &UnboundedSender<pb::ConsumeRequest>, held: &AtomicUsize) {
    match told.frame {
        Some(Told::Assigned(assigned)) => drop(held.fetch_add(assigned.partitions.len(), Ordering::Relaxed)),
        Some(Told::Revoke(revoke)) => {
            held.fetch_sub(revoke.partitions.len(), Ordering::Relaxed);
            let frame = Frame::Revoked(pb::ConsumeRevoked { partitions: revoke.partitions });
            said.send(pb::ConsumeRequest { frame: Some(frame) }).expect("the stream is open");
        }
        Some(Told::Lost(lost)) => panic!("{} partitions were lost", lost.partitions.len()),
        _ => {}
    }
}

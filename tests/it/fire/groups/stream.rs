//! A member made of nothing but the generated stubs: one stream, which it opens again when it is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;
use weir::proto::grpc as pb;
use weir::proto::grpc::consume_request::Frame;
use weir::proto::grpc::consume_response::Frame as Told;
use weir::proto::grpc::consumer_service_client::ConsumerServiceClient;

use super::PATIENCE;

/// How long a lost member lies still so that its end is no goodbye.
const STILL: Duration = Duration::from_secs(5);

/// One open stream.
pub(super) struct Stream {
    said: UnboundedSender<pb::ConsumeRequest>,
    told: Streaming<pb::ConsumeResponse>,
    pub(super) id: String,
    pub(super) epoch: i32,
    pub(super) held: BTreeMap<i32, pb::GroupPartition>,
}

/// What a member asks for when it joins.
pub(super) fn joining(group: &str, topic: &str, session_ms: i32) -> pb::ConsumeJoin {
    let subscription = pb::Subscription { topics: vec![topic.to_owned()], ..Default::default() };
    let options = pb::MemberOptions {
        subscription: Some(subscription),
        session_timeout_ms: session_ms,
        ..Default::default()
    };
    pb::ConsumeJoin { group: group.to_owned(), options: Some(options), ..Default::default() }
}

impl Stream {
    /// Opens it. Errors: the broker is not there, or refuses.
    pub(super) async fn join(address: &str, join: pb::ConsumeJoin) -> Result<Self, tonic::Status> {
        let down = |error: tonic::transport::Error| tonic::Status::unavailable(error.to_string());
        let mut client = ConsumerServiceClient::connect(format!("http://{address}")).await.map_err(down)?;
        let (said, saying) = unbounded_channel();
        said.send(pb::ConsumeRequest { frame: Some(Frame::Join(join)) }).expect("both ends are here");
        let mut told = client.consume(UnboundedReceiverStream::new(saying)).await?.into_inner();
        let first = tokio::time::timeout(PATIENCE, told.message()).await.expect("an answer comes")?;
        match first.and_then(|first| first.frame) {
            Some(Told::Joined(joined)) => Ok(Self {
                said,
                told,
                id: joined.member_id,
                epoch: joined.member_epoch,
                held: BTreeMap::new(),
            }),
            None => Err(tonic::Status::unavailable("the stream ended")),
            other => panic!("the first answer is {other:?}"),
        }
    }

    /// The next answer, as long as it takes. Cancel safe. Errors: the stream is over.
    pub(super) async fn next(&mut self) -> Result<Told, tonic::Status> {
        let told = self.told.message().await?.and_then(|told| told.frame);
        let told = told.ok_or_else(|| tonic::Status::unavailable("the stream ended"))?;
        match &told {
            Told::Assigned(assigned) => {
                let partitions = assigned.partitions.iter().filter_map(|one| one.partition.clone());
                self.held.extend(partitions.map(|one| (one.partition, one)));
            }
            Told::Revoke(pb::ConsumeRevoke { partitions, .. })
            | Told::Lost(pb::ConsumeLost { partitions }) => {
                self.held.retain(|number, _| partitions.iter().all(|gone| gone.partition != *number));
            }
            _ => {}
        }
        Ok(told)
    }

    pub(super) fn say(&self, frame: Frame) {
        // A stream that is lost says so when it is read.
        let _ = self.said.send(pb::ConsumeRequest { frame: Some(frame) });
    }

    /// Answers a revoke.
    pub(super) fn let_go(&self, revoke: &pb::ConsumeRevoke) {
        self.say(Frame::Revoked(pb::ConsumeRevoked { partitions: revoke.partitions.clone() }));
    }

    /// Takes what comes and lets go of what it is told to, until it holds what is wanted.
    pub(super) async fn until(&mut self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let all = async {
            while !wanted(self) {
                if let Told::Revoke(revoke) = self.next().await.unwrap() {
                    self.let_go(&revoke);
                }
            }
        };
        assert!(tokio::time::timeout(PATIENCE, all).await.is_ok(), "it never comes: {what}");
    }

    /// Commits one offset and waits for the answer; what is told before it is taken as by [`Self::until`], but revokes are given back.
    pub(super) async fn commit(&mut self, offset: pb::PartitionOffset) -> Option<pb::ItemError> {
        self.say(Frame::Commit(pb::ConsumeCommit { sequence: 1, offsets: vec![offset] }));
        loop {
            let told = tokio::time::timeout(PATIENCE, self.next()).await.expect("an answer comes").unwrap();
            match told {
                Told::Committed(committed) => return committed.partitions.into_iter().next().unwrap().error,
                Told::Revoke(revoke) => self.let_go(&revoke),
                _ => {}
            }
        }
    }

    /// Leaves the group: with a frame, or by the end of its requests.
    pub(super) async fn leave(self, says_so: bool) {
        if says_so {
            self.say(Frame::Leave(pb::ConsumeLeave {}));
        }
        let Self { said, mut told, .. } = self;
        drop(said);
        let end = async { while let Ok(Some(_)) = told.message().await {} };
        assert!(tokio::time::timeout(PATIENCE, end).await.is_ok(), "the stream never ends");
    }

    /// Is gone without a goodbye: its requests do not end before its connection is lost.
    pub(super) fn crash(self) {
        let Self { said, told, .. } = self;
        drop(told);
        tokio::spawn(async move {
            tokio::time::sleep(STILL).await;
            drop(said);
        });
    }
}

//! A member as any stock gRPC client can be one: nothing but the stream.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;
use weir::proto::grpc as pb;
use weir::proto::grpc::consume_request::Frame;
use weir::proto::grpc::consume_response::Frame as Told;
use weir::proto::grpc::consumer_service_client::ConsumerServiceClient;

/// Longest wait for anything: a hang is a failure, and no test is about time.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What a narrow connection takes before somebody reads.
const NARROW_BYTES: u32 = 64 << 10;

/// One open stream.
pub(super) struct Member {
    said: UnboundedSender<pb::ConsumeRequest>,
    told: Streaming<pb::ConsumeResponse>,
    pub(super) id: String,
    pub(super) epoch: i32,
    /// Partitions that it owns, with where it stands.
    pub(super) owned: BTreeMap<i32, pb::GroupPartition>,
    /// Values that it read, in order.
    pub(super) read: Vec<(i32, i64, String)>,
    /// Partitions that it was ever told to give up.
    pub(super) revoked: BTreeSet<i32>,
}

/// What a member asks for when it joins.
pub(super) fn join(group: &str, topic: &str) -> pb::ConsumeJoin {
    let subscription = pb::Subscription { topics: vec![topic.to_owned()], ..Default::default() };
    let options = pb::MemberOptions { subscription: Some(subscription), ..Default::default() };
    pb::ConsumeJoin { group: group.to_owned(), options: Some(options), ..Default::default() }
}

impl Member {
    pub(super) async fn join(url: &str, join: pb::ConsumeJoin) -> Result<Self, tonic::Status> {
        Self::join_through(Endpoint::from_shared(url.to_owned()).unwrap(), join).await
    }

    /// Joins over a connection that takes little: a few records fill it.
    pub(super) async fn join_narrow(url: &str, join: pb::ConsumeJoin) -> Result<Self, tonic::Status> {
        let wide = Endpoint::from_shared(url.to_owned()).unwrap();
        Self::join_through(wide.initial_stream_window_size(NARROW_BYTES), join).await
    }

    async fn join_through(door: Endpoint, join: pb::ConsumeJoin) -> Result<Self, tonic::Status> {
        let mut client = ConsumerServiceClient::new(door.connect().await.unwrap());
        let (said, saying) = unbounded_channel();
        said.send(pb::ConsumeRequest { frame: Some(Frame::Join(join)) }).unwrap();
        let told = client.consume(UnboundedReceiverStream::new(saying)).await?.into_inner();
        let mut member = Self {
            said,
            told,
            id: String::new(),
            epoch: 0,
            owned: BTreeMap::new(),
            read: Vec::new(),
            revoked: BTreeSet::new(),
        };
        match member.next().await? {
            Told::Joined(joined) => (member.id, member.epoch) = (joined.member_id, joined.member_epoch),
            other => panic!("the first answer is {other:?}"),
        }
        Ok(member)
    }

    /// The next answer.
    pub(super) async fn next(&mut self) -> Result<Told, tonic::Status> {
        let next = tokio::time::timeout(PATIENCE, self.told.message()).await.expect("an answer comes");
        Ok(next?.expect("the stream goes on").frame.expect("an answer says something"))
    }

    pub(super) fn say(&self, frame: Frame) {
        self.said.send(pb::ConsumeRequest { frame: Some(frame) }).unwrap();
    }

    /// Takes one answer as a good member does: it gives up at once what it is told to.
    pub(super) async fn step(&mut self) -> Result<Told, tonic::Status> {
        let told = self.next().await?;
        match &told {
            Told::Assigned(assigned) => {
                for assigned in &assigned.partitions {
                    let partition = assigned.partition.clone().unwrap();
                    self.owned.insert(partition.partition, partition);
                }
            }
            Told::Revoke(revoke) => {
                self.forget(&revoke.partitions);
                self.say(Frame::Revoked(pb::ConsumeRevoked { partitions: revoke.partitions.clone() }));
            }
            Told::Lost(lost) => self.forget(&lost.partitions),
            Told::Records(records) => {
                let partition = records.partition.as_ref().unwrap();
                assert!(partition.error.is_none(), "{partition:?}");
                for record in &partition.records {
                    let value = String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap();
                    self.read.push((partition.partition, record.offset, value));
                }
            }
            _ => {}
        }
        Ok(told)
    }

    fn forget(&mut self, partitions: &[pb::GroupPartition]) {
        for partition in partitions {
            self.owned.remove(&partition.partition);
            self.revoked.insert(partition.partition);
        }
    }

    /// Steps until something holds.
    pub(super) async fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            let told = self.step().await;
            assert!(told.is_ok(), "before {what}: {told:?}");
        }
    }

    /// Commits an offset, and waits for the result.
    pub(super) async fn commit(&mut self, topic: &str, partition: i32, offset: i64) -> Option<pb::ItemError> {
        let offset = pb::PartitionOffset { topic: topic.to_owned(), partition, offset, ..Default::default() };
        self.say(Frame::Commit(pb::ConsumeCommit { sequence: 7, offsets: vec![offset] }));
        loop {
            if let Told::Committed(committed) = self.step().await.unwrap() {
                assert_eq!(committed.sequence, 7);
                return committed.partitions.into_iter().next().unwrap().error;
            }
        }
    }

    /// Ends its requests, which leaves the group.
    pub(super) async fn leave(self) {
        let Self { said, mut told, .. } = self;
        drop(said);
        while let Ok(Some(_)) = tokio::time::timeout(PATIENCE, told.message()).await.expect("it ends") {}
    }
}

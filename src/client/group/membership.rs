//! The stream of a member: how it is opened, and what the broker's frames mean.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::super::connection::{Connection, Incoming};
use super::super::fault::malformed;
use super::holding::Arrival;
use crate::base::{Error, TopicId};
use crate::proto::grpc;
use crate::proto::grpc::consume_request::Frame;

/// An open stream. Dropping the requests leaves the group.
pub(super) struct Call {
    requests: mpsc::UnboundedSender<grpc::ConsumeRequest>,
    pub(super) responses: Incoming<grpc::ConsumeResponse>,
    /// Whether the broker has answered the join.
    pub(super) is_joined: bool,
}

impl Call {
    /// Opens a stream that begins with `join`.
    pub(super) async fn open(connection: Connection, join: grpc::ConsumeJoin) -> Result<Self, Error> {
        // Bounded by what the application asks for and the broker allows: commits, seeks, credit.
        let (requests, waiting) = mpsc::unbounded_channel();
        let call = |responses| Self { requests: requests.clone(), responses, is_joined: false };
        // It can't be closed: the other end is here.
        let _ = requests.send(grpc::ConsumeRequest { frame: Some(Frame::Join(join)) });
        Ok(call(connection.consume(UnboundedReceiverStream::new(waiting)).await?))
    }

    /// Sends a frame; what is sent on a stream that is over shows in its last response.
    pub(super) fn say(&self, frame: Frame) {
        let _ = self.requests.send(grpc::ConsumeRequest { frame: Some(frame) });
    }

    /// Says no more, which leaves the group; gives the rest of the answers.
    pub(super) fn hang_up(self) -> Incoming<grpc::ConsumeResponse> {
        self.responses
    }
}

/// Partitions that came.
///
/// Errors: INTERNAL where the frame makes no sense.
pub(super) fn arrivals(assigned: grpc::ConsumeAssigned) -> Result<Vec<Arrival>, Error> {
    let arrival = |assigned: grpc::AssignedPartition| {
        let partition = assigned.partition.ok_or_else(|| malformed("an assigned partition without name"))?;
        Ok(Arrival {
            topic_id: topic_id(&partition.topic_id)?,
            topic: partition.topic.into(),
            partition: partition.partition,
            ownership_epoch: partition.ownership_epoch,
            offset: assigned.offset,
            committed: assigned.committed,
        })
    };
    assigned.partitions.into_iter().map(arrival).collect()
}

fn topic_id(bytes: &Bytes) -> Result<TopicId, Error> {
    TopicId::from_slice(bytes).ok_or_else(|| malformed("a topic id that is not 16 bytes"))
}

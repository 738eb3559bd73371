//! What is under way in a broker: a future that the world polls by hand, and whoever waits for its answer.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use weir::base::{GroupId, TopicPartition};
use weir::coordinator::group::assign::AssignmentInput;
use weir::coordinator::group::{GroupError, GroupReply};
use weir::coordinator::runtime::RunError;
use weir::log::{AppendError, Appended};

/// Who waits.
#[derive(Clone, Debug)]
pub(super) enum Of {
    /// Nobody: the connection is gone, or the broker asks itself.
    Nobody,
    /// A producer, for a batch to a place.
    Producer(usize, TopicPartition),
    /// A member, of which this is the so-manyth connection.
    Member(usize, u32, Ask),
    /// The broker: a group's input, and its target.
    Target(GroupId),
    /// The broker: topics that changed.
    Topics,
}

/// What a member asked for.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Join,
    Heartbeat,
    Positions(Vec<TopicPartition>),
    Commit(u64),
    Leave,
}

/// What came of it.
pub(super) enum Answer {
    Appended(Result<Appended, AppendError>),
    Group(Result<GroupReply, RunError<GroupError>>),
    Input(Result<Option<AssignmentInput>, RunError<GroupError>>),
    /// State of the machine, for comparison.
    State(Option<String>),
    Done,
}

/// A request that has not been answered.
pub(super) struct Call {
    pub(super) of: Of,
    pub(super) future: Pin<Box<dyn Future<Output = Answer>>>,
}

impl Call {
    /// Lets it go on as far as it can.
    pub(super) fn poll(&mut self) -> Option<Answer> {
        match self.future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }
    }
}

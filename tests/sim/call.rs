//! What is under way in a broker: a future that the world polls by hand, and whoever waits for its answer.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use weir::base::{GroupId, TopicPartition};
use weir::coordinator::group::assign::AssignmentInput;
use weir::coordinator::group::commands::Owned;
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
    /// A member that joins with its so-manyth connection, and says that it still holds this.
    Join(usize, u32, Vec<Owned>),
    /// A member's stream.
    Stream(u32, Ask),
    /// The broker: a group's input, and its target.
    Target(GroupId),
    /// The broker: topics that changed.
    Topics,
}

/// What a stream asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    Heartbeat,
    Positions,
    Commit,
    Leave,
    Disconnect,
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

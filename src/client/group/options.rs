//! How a member of a group behaves.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::super::types::Start;
use super::revocation::Revocation;
use crate::base::{Error, ErrorKind};
use crate::proto::grpc;

/// What happens where the group's offset is not in its partition any more, because retention or a trim took it. In each case the
/// error comes first, with the range that is left.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// use weir::client::OutOfRange;
///
/// let consumer = client.consumer().group("billing").topics(["orders"]).out_of_range(OutOfRange::Earliest);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OutOfRange {
    /// The partition stands still until it is sought.
    #[default]
    Error,
    /// It goes on at its first record.
    Earliest,
    /// It goes on behind its last record.
    Latest,
}

/// When offsets are committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CommitMode {
    /// What is finished, this often.
    After(Duration),
    /// Before records are given out.
    Before,
    /// When the application says so.
    Manual,
}

/// Called when partitions are to be given up.
pub(super) type OnRevoke = Box<dyn Fn(Revocation) -> BoxFuture<'static, ()> + Send + Sync>;

/// Everything that was asked for.
pub(super) struct Options {
    pub(super) group: String,
    pub(super) topics: Vec<String>,
    pub(super) pattern: String,
    pub(super) instance_id: String,
    pub(super) client_id: String,
    pub(super) assignor: String,
    pub(super) session_timeout: Duration,
    pub(super) rebalance_timeout: Duration,
    pub(super) start: Start,
    pub(super) out_of_range: OutOfRange,
    pub(super) max_bytes: i32,
    pub(super) buffer_bytes: i64,
    pub(super) commit: CommitMode,
    pub(super) on_revoke: Option<OnRevoke>,
}

impl Options {
    /// What the member says of itself.
    ///
    /// Errors: INVALID_REQUEST for a start at an offset, which would be another place in each partition.
    pub(super) fn member(&self) -> Result<grpc::MemberOptions, Error> {
        let subscription = grpc::Subscription { topics: self.topics.clone(), pattern: self.pattern.clone() };
        let ms = |timeout: Duration| i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        Ok(grpc::MemberOptions {
            subscription: Some(subscription),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            assignor: self.assignor.clone(),
            session_timeout_ms: ms(self.session_timeout),
            rebalance_timeout_ms: ms(self.rebalance_timeout),
            start: Some(grpc::GroupStart { at: Some(proto_start(self.start)?) }),
        })
    }

    /// The policy as the wire has it.
    pub(super) fn out_of_range(&self) -> grpc::OutOfRangePolicy {
        match self.out_of_range {
            OutOfRange::Error => grpc::OutOfRangePolicy::Error,
            OutOfRange::Earliest => grpc::OutOfRangePolicy::Earliest,
            OutOfRange::Latest => grpc::OutOfRangePolicy::Latest,
        }
    }
}

fn proto_start(start: Start) -> Result<grpc::group_start::At, Error> {
    use grpc::group_start::At;
    match start {
        Start::Beginning => Ok(At::Word(grpc::GroupStartWord::Earliest as i32)),
        Start::End => Ok(At::Word(grpc::GroupStartWord::Latest as i32)),
        Start::Timestamp(ms) => Ok(At::TimestampMs(ms)),
        Start::Offset(offset) => {
            let message = format!(
                "a group can't start at offset {offset} of every partition; start at the beginning, the end or a \
                 timestamp, and seek once partitions are assigned"
            );
            Err(Error::new(ErrorKind::InvalidRequest, message))
        }
    }
}

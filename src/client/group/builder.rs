//! Options of a member of a group.

use std::time::Duration;

use futures_util::FutureExt;

use super::super::handle::Parts;
use super::super::types::Start;
use super::GroupConsumer;
use super::options::{CommitMode, Options, OutOfRange};
use super::revocation::Revocation;
use crate::base::limits::FETCH_BYTES_DEFAULT;
use crate::base::{Error, ErrorKind};

/// Bytes of records that may wait for the application.
const BUFFER_BYTES_DEFAULT: usize = 8 << 20;
/// Bytes of one frame with records.
const FRAME_BYTES_DEFAULT: usize = 256 << 10;
/// How often finished records are committed.
const COMMIT_INTERVAL_DEFAULT: Duration = Duration::from_secs(1);

/// Sets a member of a group up; made by [`crate::client::ConsumerBuilder::group`].
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// use std::time::Duration;
/// use weir::client::Start;
///
/// let builder = client.consumer().group("billing").topics(["orders", "payments"]).start(Start::Beginning);
/// // At least once, and the choice of most: what is finished is committed every second.
/// let consumer = builder.commit_interval(Duration::from_secs(1)).build().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "there is no member before build()"]
pub struct GroupConsumerBuilder {
    parts: Parts,
    options: Options,
    buffer_bytes: usize,
    max_bytes: usize,
}

impl GroupConsumerBuilder {
    pub(in crate::client) fn new(parts: Parts, group: String, topics: Vec<String>) -> Self {
        let options = Options {
            group,
            topics,
            pattern: String::new(),
            instance_id: String::new(),
            client_id: String::new(),
            assignor: String::new(),
            session_timeout: Duration::ZERO,
            rebalance_timeout: Duration::ZERO,
            start: Start::Beginning,
            out_of_range: OutOfRange::Error,
            max_bytes: 0,
            buffer_bytes: 0,
            commit: CommitMode::After(COMMIT_INTERVAL_DEFAULT),
            on_revoke: None,
        };
        Self { parts, options, buffer_bytes: BUFFER_BYTES_DEFAULT, max_bytes: FRAME_BYTES_DEFAULT }
    }

    /// Reads this topic, beside those named before. It need not exist yet.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.options.topics.push(topic.into());
        self
    }

    /// Reads these topics, beside those named before.
    pub fn topics<T: Into<String>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.options.topics.extend(topics.into_iter().map(Into::into));
        self
    }

    /// Reads every topic whose whole name fits this regular expression as well, whenever it is created.
    pub fn pattern(mut self, pattern: impl Into<String>) -> Self {
        self.options.pattern = pattern.into();
        self
    }

    /// Where the group begins in topics that it has not read before; at the first record unless told. The first member of a group
    /// decides. Partitions that appear later always begin at their first record.
    pub fn start(mut self, start: Start) -> Self {
        self.options.start = start;
        self
    }

    /// A name that the member keeps over restarts: it gets its partitions again when it comes back within the session timeout, and
    /// nobody else's move.
    pub fn instance_id(mut self, name: impl Into<String>) -> Self {
        self.options.instance_id = name.into();
        self
    }

    /// What people call this program.
    pub fn client_id(mut self, name: impl Into<String>) -> Self {
        self.options.client_id = name.into();
        self
    }

    /// Who reads what: "sticky" (unless told), "range" or "round-robin"; that of most members counts.
    pub fn assignor(mut self, name: impl Into<String>) -> Self {
        self.options.assignor = name.into();
        self
    }

    /// How long the member keeps its partitions without a connection; 10 s unless told, 1 s to 30 min.
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.options.session_timeout = timeout;
        self
    }

    /// How long the member may take to give up a partition; 60 s unless told, 1 s to 1 h. Work that takes longer than four fifths of
    /// it loses the partition.
    pub fn rebalance_timeout(mut self, timeout: Duration) -> Self {
        self.options.rebalance_timeout = timeout;
        self
    }

    /// What happens where the group's offset is gone; the partition stands still unless told.
    pub fn out_of_range(mut self, policy: OutOfRange) -> Self {
        self.options.out_of_range = policy;
        self
    }

    /// Commits what is finished this often; every second unless told. A record is finished when the next one is asked for, so each
    /// is processed at least once.
    pub fn commit_interval(mut self, interval: Duration) -> Self {
        self.options.commit = CommitMode::After(interval);
        self
    }

    /// Commits nothing but what [`GroupConsumer::commit`] and [`GroupConsumer::commit_all`] say.
    pub fn manual_commit(mut self) -> Self {
        self.options.commit = CommitMode::Manual;
        self
    }

    /// Commits records before they are given out, so each is processed at most once. Costs a commit for each frame of records.
    pub fn commit_before_processing(mut self) -> Self {
        self.options.commit = CommitMode::Before;
        self
    }

    /// Called when partitions are to be given up, after their records in work are finished and before they are committed; may take
    /// its time within the rebalance timeout. Other partitions go on meanwhile.
    pub fn on_revoke<F, Fut>(mut self, callback: F) -> Self
    where
        F: Fn(Revocation) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.options.on_revoke = Some(Box::new(move |revocation| callback(revocation).boxed()));
        self
    }

    /// Bytes of records that may wait for the application; 8 MiB unless told.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.buffer_bytes = bytes;
        self
    }

    /// Bytes of records that one frame may hold; 256 KiB unless told. At least one batch always comes.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Joins the group. What the member is to read is told later, as events.
    ///
    /// Errors: INVALID_REQUEST without anything to read or with a size out of range; INVALID_GROUP, GROUP_FULL; UNAVAILABLE, TIMED_OUT.
    pub async fn build(mut self) -> Result<GroupConsumer, Error> {
        self.check()?;
        self.options.max_bytes = i32::try_from(self.max_bytes).expect("check has bounded it");
        self.options.buffer_bytes = i64::try_from(self.buffer_bytes).unwrap_or(i64::MAX);
        GroupConsumer::join(self.parts, self.options).await
    }

    fn check(&self) -> Result<(), Error> {
        let message = if self.options.topics.is_empty() && self.options.pattern.is_empty() {
            "a member of a group needs something to read; name it with topic() or pattern()".to_owned()
        } else if self.max_bytes == 0 || self.max_bytes > FETCH_BYTES_DEFAULT {
            format!("max_bytes is {}; give 1 to {FETCH_BYTES_DEFAULT}", self.max_bytes)
        } else if self.buffer_bytes == 0 {
            "buffer_bytes is 0; give the member room for records".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::InvalidRequest, message))
    }
}

//! What becomes of a record: the caller's [`Delivery`], and the promise that all records of a batch share.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;
use futures_util::future::Shared;
use tokio::sync::oneshot;

use super::super::fault::repeat;
use super::super::metadata::KnownTopic;
use super::super::types::Durability;
use crate::base::offset::{NO_EPOCH, NO_OFFSET};
use crate::base::{Error, ErrorKind, LeaderEpoch, Offset, Outcome, Timestamp};

/// Where a batch was stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::client) struct Stored {
    /// −1: not known.
    pub(in crate::client) base_offset: Offset,
    pub(in crate::client) append_time: Option<Timestamp>,
    pub(in crate::client) leader_epoch: LeaderEpoch,
    pub(in crate::client) durability: Option<Durability>,
    pub(in crate::client) duplicate: bool,
}

impl Stored {
    /// Handed to the connection, and nobody will say more.
    pub(in crate::client) const UNANSWERED: Self = Self {
        base_offset: NO_OFFSET,
        append_time: None,
        leader_epoch: NO_EPOCH,
        durability: None,
        duplicate: false,
    };
}

/// The result of a batch.
pub(in crate::client) type Resolution = Result<Stored, Arc<Error>>;

/// Where the result of a batch will be; a clone shares it.
pub(in crate::client) type Pledge = Shared<oneshot::Receiver<Resolution>>;

/// Keeps a promise, once. Dropped without that, its deliveries fail with an unknown outcome.
#[derive(Debug)]
pub(in crate::client) struct PledgeHolder(oneshot::Sender<Resolution>);

impl PledgeHolder {
    /// A promise, and the one who has to keep it.
    pub(in crate::client) fn new() -> (Self, Pledge) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver.shared())
    }

    /// Tells the result to whoever still waits for it.
    pub(in crate::client) fn resolve(self, resolution: Resolution) {
        // Nobody may be waiting: a dropped delivery does not cancel its record.
        let _ = self.0.send(resolution);
    }
}

/// Where a record was stored.
///
/// ```no_run
/// # async fn example(producer: weir::client::Producer) -> Result<(), weir::Error> {
/// let stored = producer.send(weir::Record::to("orders").value("hi")).await?.await?;
/// println!("{}[{}]@{}", stored.topic, stored.partition, stored.offset);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordMetadata {
    /// Name of the topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The record's offset; −1 with `Acks::None`, and for a retry whose first attempt was stored too long ago to tell.
    pub offset: Offset,
    /// The record's time in ms since 1970 as stored: the broker's where the topic says so.
    pub timestamp: Timestamp,
    /// Leadership under which it was stored; −1 with `Acks::None`.
    pub leader_epoch: LeaderEpoch,
    /// How safe it is; `None` with `Acks::None`.
    pub durability: Option<Durability>,
    /// True when an earlier attempt had stored it and this is the answer to a retry.
    pub duplicate: bool,
}

/// The future of one record that was sent. Dropping it does not take the record back.
///
/// Errors: TIMED_OUT after the delivery timeout, its source the [`Error`] that the last attempt failed with; whatever the broker refused the record with. `Error::outcome` says
/// whether the record is in the log.
///
/// ```no_run
/// # async fn example(producer: weir::client::Producer) -> Result<(), weir::Error> {
/// use weir::Record;
///
/// // Sent without waiting for each other, so that they share batches and syncs.
/// let mut deliveries = Vec::new();
/// for n in 0..100 {
///     deliveries.push(producer.send(Record::to("orders").value(n.to_string())).await?);
/// }
/// for delivery in deliveries {
///     println!("{}", delivery.await?.offset);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a delivery tells whether the record was stored; await it, or flush and look at close()"]
pub struct Delivery {
    pledge: Pledge,
    topic: Arc<str>,
    partition: i32,
    index: i32,
    timestamp: Timestamp,
}

impl Delivery {
    /// Of the record at `index` of a batch.
    pub(in crate::client) fn new(
        pledge: Pledge,
        topic: &KnownTopic,
        partition: i32,
        index: i32,
        timestamp: Timestamp,
    ) -> Self {
        Self { pledge, topic: topic.name.clone(), partition, index, timestamp }
    }

    /// Name of the topic.
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// The partition that was chosen.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    fn stored(&self, stored: Stored) -> RecordMetadata {
        let known = stored.base_offset >= 0;
        RecordMetadata {
            topic: self.topic.clone(),
            partition: self.partition,
            offset: if known { stored.base_offset + i64::from(self.index) } else { NO_OFFSET },
            timestamp: stored.append_time.unwrap_or(self.timestamp),
            leader_epoch: stored.leader_epoch,
            durability: stored.durability,
            duplicate: stored.duplicate,
        }
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let resolution = ready!(self.pledge.poll_unpin(context));
        Poll::Ready(match resolution {
            Ok(Ok(stored)) => Ok(self.stored(stored)),
            Ok(Err(error)) => Err(repeat(&error)),
            Err(_) => Err(dropped(&self.topic, self.partition)),
        })
    }
}

fn dropped(topic: &str, partition: i32) -> Error {
    let message = format!(
        "the producer was dropped before a record for topic '{topic}', partition {partition} was acknowledged; \
         await close() first"
    );
    Error::new(ErrorKind::Unavailable, message).with("topic", topic).outcome(Outcome::Unknown)
}

#[cfg(test)]
mod tests {
    use super::super::super::metadata::known_topic;
    use super::*;

    fn resolved(resolution: Resolution) -> Result<RecordMetadata, Error> {
        let (holder, pledge) = PledgeHolder::new();
        let delivery = Delivery::new(pledge, &known_topic("t", 1, 1), 0, 2, 77);
        holder.resolve(resolution);
        delivery.now_or_never().expect("it is resolved")
    }

    #[test]
    fn offsets_count_from_the_batch() {
        let stored = Stored { base_offset: 10, ..Stored::UNANSWERED };
        let record = resolved(Ok(stored)).expect("stored");
        assert_eq!((record.offset, record.timestamp), (12, 77));
        let record = resolved(Ok(Stored { append_time: Some(5), ..stored })).expect("stored");
        assert_eq!(record.timestamp, 5);
        assert_eq!(resolved(Ok(Stored::UNANSWERED)).expect("stored").offset, NO_OFFSET);
    }

    #[test]
    fn a_dropped_promise_is_an_error_of_unknown_outcome() {
        let (holder, pledge) = PledgeHolder::new();
        let delivery = Delivery::new(pledge, &known_topic("t", 1, 1), 0, 0, 0);
        drop(holder);
        let error = delivery.now_or_never().expect("it is resolved").expect_err("dropped");
        assert_eq!(error.outcome, Outcome::Unknown);
        assert!(error.message.contains("'t'"), "{error}");
    }
}

//! What a member of a group has to tell.

use std::sync::Arc;

use super::super::types::ConsumerRecord;
use crate::base::{Error, Offset};

/// What a [`super::GroupConsumer`] has to tell.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// use weir::client::GroupEvent;
///
/// let mut consumer = client.consumer().group("billing").topics(["orders"]).build().await?;
/// while let Some(event) = consumer.next_event().await {
///     match event {
///         GroupEvent::Record(record) => println!("{}@{}", record.partition, record.offset),
///         GroupEvent::Assigned(partitions) => println!("{} partitions came", partitions.len()),
///         GroupEvent::Revoked(partitions) => println!("{} were given up, committed", partitions.len()),
///         GroupEvent::Lost(partitions) => println!("{} were lost: others read them again", partitions.len()),
///         GroupEvent::CaughtUp { partition, .. } => println!("{partition}: nothing more at this moment"),
///         GroupEvent::Error(error) => println!("{error}"),
///         _ => {} // later versions may tell more
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum GroupEvent {
    /// The next record of some partition.
    Record(ConsumerRecord),
    /// The member reads these too from here on.
    Assigned(Vec<OwnedPartition>),
    /// The member gave these up in good order: what was finished is committed.
    Revoked(Vec<OwnedPartition>),
    /// The member has lost these: what was not committed before is read again by others.
    Lost(Vec<OwnedPartition>),
    /// Everything that was readable in a partition has been given.
    CaughtUp {
        /// Name of the topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
        /// Where it goes on.
        next_offset: Offset,
    },
    /// Something failed. A partition whose error is final (the error's facts name `topic` and `partition`) stands still until
    /// [`super::GroupConsumer::seek`]. UNKNOWN_MEMBER: the group gave the member up, and it joins anew by itself. MEMBER_FENCED:
    /// another took its place; nothing follows. PARTITION_NOT_OWNED: a record was in work for longer than the rebalance timeout,
    /// and its partition went to another.
    Error(Error),
}

/// A partition that a member owns or owned.
///
/// ```no_run
/// # async fn example(consumer: weir::client::GroupConsumer) {
/// for owned in consumer.assignment() {
///     println!("{}/{} goes on at {}", owned.topic, owned.partition, owned.position);
/// }
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnedPartition {
    /// Name of the topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// Offset of the next record that is given out.
    pub position: Offset,
    /// What the group has committed, as far as this member knows; `None` where it has nothing.
    pub committed: Option<Offset>,
}

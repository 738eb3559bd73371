//! Finding offsets by word or by time.

use std::sync::Arc;

use crate::base::{Error, ErrorKind};
use crate::broker::Broker;
use crate::broker::errors::Place;
use crate::broker::request::{FoundAt, ListedOffset, OffsetAt, OffsetQuestion};
use crate::env::threads::off_shard;
use crate::log::{FoundOffset, ReadError};
use crate::replica::Partition;

/// Answers one question. Words for the ends come from the marks; times are looked up off the shard.
pub async fn list_offset(broker: &Broker, question: OffsetQuestion) -> ListedOffset {
    let result = find(broker, &question).await;
    ListedOffset { topic: question.topic, partition: question.partition, result }
}

async fn find(broker: &Broker, question: &OffsetQuestion) -> Result<FoundAt, Error> {
    let partition = broker.partition(&question.topic, question.topic_id, question.partition).await?;
    let stopping = *broker.stopping().borrow();
    let place = Place { topic: &question.topic, partition: question.partition, stopping };
    let nothing =
        FoundAt { topic_id: partition.id().topic_id, offset: None, timestamp: None, leader_epoch: None };
    let looked_up = match question.at {
        OffsetAt::Start => return Ok(FoundAt { offset: Some(partition.offsets().log_start), ..nothing }),
        OffsetAt::End => {
            let (offset, leader_epoch) =
                (Some(partition.offsets().high_watermark), Some(partition.leader_epoch()));
            return Ok(FoundAt { offset, leader_epoch, ..nothing });
        }
        OffsetAt::Timestamp(at) if at < 0 => return Err(negative(at)),
        OffsetAt::Timestamp(at) => look_up(&partition, move |log| log.offset_for_timestamp(at)).await,
        OffsetAt::MaxTimestamp => look_up(&partition, Partition::offset_of_max_timestamp).await,
    };
    let found = looked_up.map_err(|error| place.read_error(error))?;
    Ok(found.map_or(nothing, |found| FoundAt {
        offset: Some(found.offset),
        timestamp: Some(found.timestamp),
        leader_epoch: Some(found.leader_epoch),
        ..nothing
    }))
}

async fn look_up(
    partition: &Arc<Partition>,
    find: impl FnOnce(&Partition) -> Result<Option<FoundOffset>, ReadError> + Send + 'static,
) -> Result<Option<FoundOffset>, ReadError> {
    let partition = partition.clone();
    off_shard(move || find(&partition)).await
}

fn negative(at: i64) -> Error {
    let message =
        format!("the field 'timestamp_ms' is {at}: give ms since 1970, or use 'word' for start and end");
    Error::new(ErrorKind::InvalidRequest, message).with("field", "timestamp_ms")
}

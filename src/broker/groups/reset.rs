//! Setting where a group goes on: in all partitions that are named, or in none.

use std::sync::Arc;

use super::errors::position_error;
use super::offsets::OffsetCommit;
use crate::base::{Error, ErrorKind, GroupId};
use crate::broker::Broker;
use crate::broker::errors::Place;
use crate::broker::lookup::shown;
use crate::coordinator::group::position::check_metadata;
use crate::log::ReadError;

impl Broker {
    /// Sets where a group without members goes on. Each place is looked at before any is set: one that no reader could go on at leaves all
    /// as they are.
    ///
    /// Holds after: all are set, durably, or none is. Errors: of all, GROUP_NOT_EMPTY and those of the offsets topic's log; of one,
    /// OFFSET_OUT_OF_RANGE with the range, TOPIC_NOT_FOUND, UNKNOWN_TOPIC_ID, PARTITION_NOT_FOUND, INVALID_REQUEST, also where only others
    /// are wrong; those of the partition's log.
    pub async fn reset_offsets(
        self: &Arc<Self>,
        group: &GroupId,
        places: Vec<OffsetCommit>,
    ) -> Result<Vec<Result<(), Error>>, Error> {
        let mut checked = Vec::with_capacity(places.len());
        for place in &places {
            checked.push(self.check_place(place).await);
        }
        let Some(wrong) = checked.iter().find_map(|checked| checked.as_ref().err()) else {
            return self.commit_offsets(group, None, places).await;
        };
        let wrong = wrong.message.clone();
        let left = |place: &OffsetCommit| not_set(place, &wrong);
        let results = checked.into_iter().zip(&places);
        Ok(results.map(|(checked, place)| checked.and_then(|()| Err(left(place)))).collect())
    }

    /// Whether a reader could go on there: at a record, or at the end.
    async fn check_place(&self, place: &OffsetCommit) -> Result<(), Error> {
        let OffsetCommit { topic, topic_id, partition: number, offset, metadata, .. } = place;
        check_metadata(metadata).map_err(|error| position_error(topic, *number, &error))?;
        let partition = self.partition(topic, *topic_id, *number).await?;
        let offsets = partition.offsets();
        let (start, end) = (offsets.log_start, offsets.high_watermark);
        if (start..=end).contains(offset) {
            return Ok(());
        }
        let at = Place { topic, partition: *number, stopping: *self.stopping().borrow() };
        Err(at.read_error(ReadError::OutOfRange { offset: *offset, start, end }))
    }
}

/// A place that is right, beside one that is not.
fn not_set(place: &OffsetCommit, wrong: &str) -> Error {
    let (topic, partition) = (shown(&place.topic), place.partition);
    let message = format!(
        "partition {partition} of topic '{topic}': not set, because another place of the request is wrong: {wrong}; \
         put that right and send all again"
    );
    Error::new(ErrorKind::InvalidRequest, message).with("topic", topic).with("partition", partition)
}

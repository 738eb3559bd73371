//! Setting where a group goes on: in all partitions that are named, or in none.

use std::collections::HashSet;
use std::sync::Arc;

use super::errors::position_error;
use super::offsets::OffsetCommit;
use crate::base::{Error, ErrorKind, GroupId, Outcome, TopicPartition};
use crate::broker::Broker;
use crate::broker::errors::Place;
use crate::broker::lookup::find_partition;
use crate::coordinator::group::commands::Reset;
use crate::coordinator::group::position::{Position, check_metadata};
use crate::coordinator::group::{GroupCommand, GroupReply};
use crate::env::rule::Rule;
use crate::log::ReadError;

/// Places that are looked at in one go. WHY: partitions that are open are found without ever waiting, and a reset may name thousands.
const AT_ONCE: usize = 16;

impl Broker {
    /// Sets where a group without members goes on. Each place is looked at before any is set: one that no reader could go on at leaves all
    /// as they are.
    ///
    /// Holds after: all are set, durably, or none is. Errors: of all, GROUP_NOT_EMPTY, INVALID_REQUEST where one batch can't hold them, and
    /// those of the offsets topic's log; of one, OFFSET_OUT_OF_RANGE with the range, TOPIC_NOT_FOUND, UNKNOWN_TOPIC_ID,
    /// PARTITION_NOT_FOUND, INVALID_REQUEST, those of the partition's log; of those that are right beside it, with the fact `wrong`,
    /// INVALID_REQUEST or, where all that is wrong may pass by itself, its reason.
    pub async fn reset_offsets(
        self: &Arc<Self>,
        group: &GroupId,
        places: Vec<OffsetCommit>,
    ) -> Result<Vec<Result<(), Error>>, Error> {
        let found = self.resolve(&places).await;
        if found.iter().any(Result::is_err) {
            return Ok(none_set(found));
        }
        let positions = found.into_iter().flatten().collect();
        let reset = Reset { group: group.clone(), positions };
        match self.run_for(group, GroupCommand::Reset(reset)).await? {
            GroupReply::Committed(set) => {
                let named = set.into_iter().zip(&places);
                let told = |(set, place): (Result<(), _>, &OffsetCommit)| {
                    set.map_err(|error| position_error(&place.topic, place.partition, &error))
                };
                Ok(named.map(told).collect())
            }
            other => unreachable!("a reset is answered position by position, not by {other:?}"),
        }
    }

    /// The places as they are to be kept, or what is wrong with them, all as things stand at one moment.
    async fn resolve(&self, places: &[OffsetCommit]) -> Vec<Result<Position, Error>> {
        let mut checked = Vec::with_capacity(places.len());
        for place in places {
            checked.push(self.check_place(place).await);
            if checked.len().is_multiple_of(AT_ONCE) && Rule::GiveWay.holds() {
                tokio::task::yield_now().await;
            }
        }
        // WHY once more: a topic that was looked at may be gone by now, or another of its name be there.
        let (image, mut seen) = (self.image(), HashSet::new());
        let resolved = checked.into_iter().zip(places).map(|(checked, place)| {
            let id = checked?;
            let (topic, id) = find_partition(&image, &place.topic, Some(id.topic_id), id.partition)?;
            if !seen.insert(id) {
                return Err(named_twice(place));
            }
            Ok(place.position(topic, id))
        });
        resolved.map(|place| place.map_err(|error: Error| error.outcome(Outcome::NotWritten))).collect()
    }

    /// The partition, if a reader could go on there: at a record, or at the end.
    async fn check_place(&self, place: &OffsetCommit) -> Result<TopicPartition, Error> {
        let OffsetCommit { topic, topic_id, partition: number, offset, metadata, .. } = place;
        check_metadata(metadata).map_err(|error| position_error(topic, *number, &error))?;
        let partition = self.partition(topic, *topic_id, *number).await?;
        let offsets = partition.offsets();
        let (start, end) = (offsets.log_start, offsets.high_watermark);
        if (start..=end).contains(offset) {
            return Ok(partition.id());
        }
        let at = Place { topic, partition: *number, stopping: *self.stopping().borrow() };
        let range = ReadError::OutOfRange { offset: *offset, start, end };
        Err(at.read_error_for(range, "set one of these, or leave the partition out"))
    }
}

/// One of two places of a partition would be told to be set, and not be.
fn named_twice(place: &OffsetCommit) -> Error {
    let (topic, partition) = (&place.topic, place.partition);
    let message = format!("topic '{topic}', partition {partition} stands in the request twice; name it once");
    Error::new(ErrorKind::InvalidRequest, message).with("topic", topic).with("partition", partition)
}

/// What is answered where something is wrong: the errors of the wrong places, and a short one for each of the others.
fn none_set(found: Vec<Result<Position, Error>>) -> Vec<Result<(), Error>> {
    let kinds: Vec<ErrorKind> =
        found.iter().filter_map(|found| found.as_ref().err()).map(|wrong| wrong.kind).collect();
    let lasting = kinds.iter().any(|kind| !kind.is_retriable());
    let (kind, why) = match lasting {
        true => (
            ErrorKind::InvalidRequest,
            "not set: another place of the request is wrong; correct what is wrong and send all again",
        ),
        false => {
            (kinds[0], "not set: another place of the request could not be looked at; send all again later")
        }
    };
    let left = || Error::new(kind, why).outcome(Outcome::NotWritten).with("wrong", kinds.len());
    found.into_iter().map(|found| Err(found.err().unwrap_or_else(left))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::TopicId;

    fn right() -> Result<Position, Error> {
        let topic_id = TopicId([1; 16]);
        let (topic, metadata) = ("orders".into(), "".into());
        Ok(Position { topic_id, topic, partition: 0, offset: 0, leader_epoch: 0, metadata })
    }

    fn wrong(kind: ErrorKind) -> Result<Position, Error> {
        Err(Error::new(kind, "w".repeat(1_000)))
    }

    #[test]
    fn a_right_place_is_told_briefly_whether_another_try_may_do() {
        let told = |wrong_ones: Vec<Result<Position, Error>>| {
            let found = std::iter::once(right()).chain(wrong_ones).collect();
            none_set(found).remove(0).expect_err("none is set")
        };
        let passing = told(vec![wrong(ErrorKind::Throttled)]);
        assert_eq!(passing.kind, ErrorKind::Throttled);
        assert!(passing.message.ends_with("send all again later"), "{passing}");
        let lasting = told(vec![wrong(ErrorKind::StorageError), wrong(ErrorKind::OffsetOutOfRange)]);
        assert_eq!(
            (lasting.kind, lasting.outcome, &*lasting.metadata["wrong"]),
            (ErrorKind::InvalidRequest, Outcome::NotWritten, "2")
        );
        assert!(
            lasting.message.len() < 100 && lasting.message.contains("correct what is wrong"),
            "{lasting}"
        );
    }
}

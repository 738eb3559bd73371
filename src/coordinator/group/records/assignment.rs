//! Lists of partitions by topic, with and without ownership epochs.

use std::collections::{BTreeMap, BTreeSet};

use super::reader::Reader;
use super::writer::Writer;
use crate::base::{MemberEpoch, TopicPartition};
use crate::coordinator::group::assign::Assignment;

const EPOCHS_TAG: usize = 0;

/// Partitions with the epoch since which they are owned.
pub(super) type Owned = BTreeMap<TopicPartition, MemberEpoch>;

pub(super) fn write(out: &mut Writer, assignment: &Assignment) {
    out.count(assignment.len());
    for (topic_id, partitions) in assignment {
        out.topic_id(*topic_id);
        out.count(partitions.len());
        partitions.iter().for_each(|partition| out.i32(*partition));
        out.tags(&[]);
    }
}

pub(super) fn read(from: &mut Reader<'_>) -> Option<Assignment> {
    let topics = from.list(|from| {
        let topic_id = from.topic_id()?;
        let partitions: BTreeSet<i32> = from.list(Reader::i32)?.into_iter().collect();
        from.tags(|_, _| Some(false))?;
        Some((topic_id, partitions))
    })?;
    Some(topics.into_iter().filter(|(_, partitions)| !partitions.is_empty()).collect())
}

pub(super) fn write_owned(out: &mut Writer, owned: &Owned) {
    let owned: Vec<(TopicPartition, MemberEpoch)> = owned.iter().map(|(id, epoch)| (*id, *epoch)).collect();
    let topics: Vec<_> = owned.chunk_by(|(a, _), (b, _)| a.topic_id == b.topic_id).collect();
    out.count(topics.len());
    for topic in topics {
        out.topic_id(topic[0].0.topic_id);
        out.count(topic.len());
        topic.iter().for_each(|(id, _)| out.i32(id.partition));
        let mut epochs = Writer::new();
        epochs.count(topic.len());
        topic.iter().for_each(|(_, epoch)| epochs.i32(*epoch));
        out.tags(&[(EPOCHS_TAG, epochs.finish())]);
    }
}

/// Reads partitions with their epochs; where Kafka wrote none, `member_epoch` is as good a guess as its own.
pub(super) fn read_owned(from: &mut Reader<'_>, member_epoch: MemberEpoch) -> Option<Owned> {
    let topics = from.list(|from| {
        let topic_id = from.topic_id()?;
        let partitions = from.list(Reader::i32)?;
        let mut epochs = vec![member_epoch; partitions.len()];
        from.tags(|tag, field| {
            let known = tag as usize == EPOCHS_TAG;
            if known {
                epochs = field.list(Reader::i32)?;
            }
            Some(known)
        })?;
        let ids = partitions.iter().map(|&partition| TopicPartition { topic_id, partition });
        (epochs.len() == partitions.len()).then(|| ids.zip(epochs).collect::<Vec<_>>())
    })?;
    Some(topics.into_iter().flatten().collect())
}

//! The stored form of an [`Image`]: the body of the file `metadata.snapshot`.
//!
//! Its format is `Snapshot` in `proto/weir/storage/v1/metadata.proto`, wrapped as every checkpoint file is
//! ([`crate::log::flush::checkpoint`]).

use prost::Message;

use super::command::{configs_from_stored, configs_to_stored, id_bytes, topic_id};
use super::image::{Facts, Image, PartitionState, Topic, typed};
use crate::log::flush::checkpoint::FileKind;
use crate::proto::storage as stored;

/// Name of the file in the data directory.
pub const SNAPSHOT_FILE: &str = "metadata.snapshot";

/// How the file begins.
pub const SNAPSHOT_KIND: FileKind = FileKind { magic: *b"WEIRSNAP", version: 1 };

/// The stored form of an image.
pub fn encode(image: &Image) -> Vec<u8> {
    stored::Snapshot {
        next_offset: image.next_offset(),
        broker_epoch: image.broker_epoch(),
        next_producer_id: image.next_producer_id(),
        topics: image.topics_with_deleted().map(|topic| topic_to_stored(topic)).collect(),
    }
    .encode_to_vec()
}

/// Reads the stored form.
///
/// Errors: what is wrong with it, in words.
pub fn decode(bytes: &[u8]) -> Result<Image, String> {
    let snapshot = stored::Snapshot::decode(bytes).map_err(|error| error.to_string())?;
    let topics = snapshot.topics.into_iter().map(topic_from_stored).collect::<Result<Vec<_>, _>>()?;
    let facts = Facts {
        broker_epoch: snapshot.broker_epoch,
        next_producer_id: snapshot.next_producer_id,
        next_offset: snapshot.next_offset,
    };
    Image::from_parts(facts, topics).map_err(|error| error.to_string())
}

fn topic_to_stored(topic: &Topic) -> stored::SnapshotTopic {
    stored::SnapshotTopic {
        topic_id: id_bytes(topic.id),
        name: topic.name.to_string(),
        ready_count: topic.ready_count,
        deleting: topic.deleting,
        created: topic.created,
        configs: configs_to_stored(&topic.configs),
        partitions: topic.partitions.iter().map(partition_to_stored).collect(),
    }
}

fn partition_to_stored(state: &PartitionState) -> stored::SnapshotPartition {
    stored::SnapshotPartition { leader_epoch: state.leader_epoch, trim_offset: state.trim_offset }
}

fn topic_from_stored(topic: stored::SnapshotTopic) -> Result<Topic, String> {
    let configs = configs_from_stored(topic.configs);
    let partitions: Vec<PartitionState> = topic
        .partitions
        .iter()
        .map(|p| PartitionState { leader_epoch: p.leader_epoch, trim_offset: p.trim_offset })
        .collect();
    if topic.ready_count < 0 || topic.ready_count as usize > partitions.len() {
        return Err(format!("topic '{}' has {} ready partitions", topic.name, topic.ready_count));
    }
    Ok(Topic {
        id: topic_id(&topic.topic_id).map_err(|error| error.to_string())?,
        config: typed(&topic.name, &configs).map_err(|error| error.to_string())?,
        name: topic.name.into(),
        partitions,
        ready_count: topic.ready_count,
        configs,
        deleting: topic.deleting,
        created: topic.created,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::command::tests::any_command;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn images_round_trip(commands in proptest::collection::vec(any_command(), 0..60)) {
            let mut image = Image::default();
            for command in &commands {
                image = image.apply(command, image.next_offset()).unwrap_or(image);
            }
            prop_assert_eq!(decode(&encode(&image)), Ok(image));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&bytes);
        }
    }
}

//! Finds topics and partitions by name in an image, and says helpfully when there are none.

use std::sync::Arc;

use crate::base::closest::closest;
use crate::base::topic_name::not_found;
pub use crate::base::topic_name::shown;
use crate::base::{Error, ErrorKind, Outcome, TopicId, TopicPartition};
use crate::cluster::{Image, Topic};

/// The living topic of this name.
///
/// Errors: TOPIC_NOT_FOUND, with the name that is most like it.
pub fn find_topic<'a>(image: &'a Image, name: &str) -> Result<&'a Arc<Topic>, Error> {
    image.topic(name).ok_or_else(|| not_found(name, closest_topic(image, name)))
}

/// The identity of a partition that can be used, and its topic.
///
/// Cost: no allocation but in errors. Errors: TOPIC_NOT_FOUND, UNKNOWN_TOPIC_ID, PARTITION_NOT_FOUND; UNAVAILABLE while
/// the folders of a new topic are being made. Nothing was written in any of these cases.
pub fn find_partition<'a>(
    image: &'a Image,
    name: &str,
    topic_id: Option<TopicId>,
    partition: i32,
) -> Result<(&'a Arc<Topic>, TopicPartition), Error> {
    let topic = find_topic(image, name)?;
    match topic_id {
        Some(asked) if asked != topic.id => return Err(wrong_id(topic, asked)),
        _ => {}
    }
    if topic.ready_partition(partition).is_none() {
        return Err(no_partition(topic, partition));
    }
    Ok((topic, TopicPartition { topic_id: topic.id, partition }))
}

/// The existing topic whose name is most like `name`.
pub fn closest_topic<'a>(image: &'a Image, name: &str) -> Option<&'a str> {
    closest(name, image.topics().map(|topic| &*topic.name))
}

fn wrong_id(topic: &Topic, asked: TopicId) -> Error {
    let message = format!(
        "topic '{}' has id {} now, not {asked}: it was deleted and created again; {}",
        topic.name,
        topic.id,
        ErrorKind::UnknownTopicId.row().advice
    );
    Error::new(ErrorKind::UnknownTopicId, message).with("topic", &topic.name).with("topic_id", topic.id)
}

fn no_partition(topic: &Topic, partition: i32) -> Error {
    if !topic.is_ready() {
        let message = format!("topic '{}' is being created; try again", topic.name);
        return Error::new(ErrorKind::Unavailable, message)
            .outcome(Outcome::NotWritten)
            .with("topic", &topic.name);
    }
    let message = format!(
        "topic '{}' has no partition {partition}; it has partitions 0 to {}",
        topic.name,
        topic.ready_count - 1
    );
    Error::new(ErrorKind::PartitionNotFound, message)
        .with("topic", &topic.name)
        .with("partition", partition)
        .with("partition_count", topic.ready_count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Command, Configs};

    const ID: TopicId = TopicId([1; 16]);

    fn image(ready_count: i32) -> Image {
        let create = Command::CreateTopic {
            topic_id: ID,
            name: "orders".to_owned(),
            partition_count: 3,
            configs: Configs::new(),
        };
        let image = Image::default().apply(&create, 0).expect("new");
        image
            .apply(&Command::PartitionsReady { topic_id: ID, partition_count: ready_count }, 1)
            .expect("lives")
    }

    fn kind(image: &Image, name: &str, topic_id: Option<TopicId>, partition: i32) -> Option<ErrorKind> {
        find_partition(image, name, topic_id, partition).err().map(|error| error.kind)
    }

    #[test]
    fn partitions_are_found_or_the_reason_is_told() {
        let image = image(2);
        assert_eq!(kind(&image, "orders", None, 1), None);
        assert_eq!(kind(&image, "orders", Some(ID), 0), None);
        assert_eq!(kind(&image, "orders", Some(TopicId([2; 16])), 0), Some(ErrorKind::UnknownTopicId));
        for partition in [-1, 2, i32::MAX, i32::MIN] {
            assert_eq!(kind(&image, "orders", None, partition), Some(ErrorKind::PartitionNotFound));
        }
        let error = find_partition(&image, "orders", None, 9).expect_err("too high");
        assert!(error.message.ends_with("has no partition 9; it has partitions 0 to 1"), "{error}");
    }

    #[test]
    fn a_topic_whose_folders_are_being_made_is_worth_another_try() {
        let error = find_partition(&image(0), "orders", None, 0).expect_err("not ready");
        assert_eq!((error.kind, error.outcome), (ErrorKind::Unavailable, Outcome::NotWritten));
        assert!(error.kind.is_retriable());
    }

    #[test]
    fn a_mistyped_name_gets_a_suggestion() {
        let error = find_topic(&image(1), "ordres").expect_err("mistyped");
        assert_eq!(error.message, "topic 'ordres' does not exist. Did you mean 'orders'?");
        assert_eq!(error.metadata["closest"], "orders");
        let error = find_topic(&image(1), "\x1b[31m\n").expect_err("unknown");
        assert!(
            error.message.starts_with("topic '\\u{1b}[31m\\n' does not exist, and none can have"),
            "{error}"
        );
    }
}

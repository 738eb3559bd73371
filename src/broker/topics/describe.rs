//! Looks at topics: one by name, or a page of them.

use std::sync::Arc;

use super::glob;
use super::names::is_internal;
use super::request::{ListTopics, PartitionDescription, TopicDescription, TopicPage};
use crate::base::{Error, ErrorKind, TopicId, TopicPartition};
use crate::broker::Broker;
use crate::broker::errors::Place;
use crate::broker::lookup::find_topic;
use crate::broker::partitions::Partitions;
use crate::cluster::{Command, Image, PartitionState, Topic};
use crate::env::threads::off_shard;
use crate::log::{LogOffsets, LogSize};

/// Topics of a page whose request names no size.
const PAGE_SIZE_DEFAULT: usize = 1_000;
/// Most topics of a page.
const PAGE_SIZE_MAX: usize = 10_000;

impl Broker {
    /// Describes a topic. Its logs are opened for that, off the shard.
    ///
    /// Errors: TOPIC_NOT_FOUND. A partition that is offline is described with its error.
    pub async fn get_topic(self: &Arc<Self>, name: &str) -> Result<TopicDescription, Error> {
        self.refuse_when_stopping()?;
        let topic = find_topic(&self.image(), name)?.clone();
        let partitions = self.partitions.clone();
        Ok(off_shard(move || describe(&partitions, &topic)).await)
    }

    /// Describes the topics of one page, by name. Their logs are opened for that, off the shard.
    ///
    /// Errors: INVALID_REQUEST for a negative page size.
    pub async fn list_topics(self: &Arc<Self>, request: ListTopics) -> Result<TopicPage, Error> {
        self.refuse_when_stopping()?;
        let (topics, next_page_token) = plan_page(&self.image(), &request)?;
        let partitions = self.partitions.clone();
        let described = off_shard(move || topics.iter().map(|topic| describe(&partitions, topic)).collect());
        Ok(TopicPage { topics: described.await, next_page_token })
    }

    pub(super) async fn describe_by_id(self: &Arc<Self>, id: TopicId) -> Result<TopicDescription, Error> {
        let image = self.image();
        let topic = image.topic_by_id(id).cloned();
        let Some(topic) = topic else {
            let message = "the topic was deleted meanwhile; create it again";
            return Err(Error::new(ErrorKind::TopicNotFound, message));
        };
        let partitions = self.partitions.clone();
        Ok(off_shard(move || describe(&partitions, &topic)).await)
    }
}

/// The topics of a page and the token of the next one.
fn plan_page(image: &Image, request: &ListTopics) -> Result<(Vec<Arc<Topic>>, String), Error> {
    let size = match usize::try_from(request.page_size) {
        Ok(0) => PAGE_SIZE_DEFAULT,
        Ok(size) => size.min(PAGE_SIZE_MAX),
        Err(_) => {
            let message = format!("page size {} is negative; use 0 for the default", request.page_size);
            return Err(Error::new(ErrorKind::InvalidRequest, message).with("field", "page_size"));
        }
    };
    let is_asked = |topic: &&Arc<Topic>| {
        topic.is_ready()
            && (request.include_internal || !is_internal(&topic.name))
            && glob::matches(&request.name_glob, &topic.name)
    };
    let mut found = image.topics_after(&request.page_token).filter(is_asked).cloned();
    let page: Vec<_> = found.by_ref().take(size).collect();
    let next_page_token = match (page.last(), found.next()) {
        (Some(last), Some(_)) => last.name.to_string(),
        _ => String::new(),
    };
    Ok((page, next_page_token))
}

/// What clients see of a topic. May block: its logs are opened.
pub(super) fn describe(partitions: &Partitions, topic: &Topic) -> TopicDescription {
    let states = topic.partitions.iter().zip(0..topic.partition_count());
    let ready = topic.ids(0, topic.ready_count).map(|id| describe_partition(partitions, id));
    // Partitions beyond those are there only in a change that was asked for with `validate_only`.
    let planned = states.skip(topic.ready_count as usize).map(|(state, partition)| empty(partition, *state));
    TopicDescription {
        name: topic.name.to_string(),
        topic_id: Some(topic.id),
        internal: is_internal(&topic.name),
        partitions: ready.chain(planned).collect(),
        configs: topic.config.to_pairs(&topic.configs),
        rate: partitions.rate(topic.id),
    }
}

/// The topic as a command that was planned from this image would make it.
pub(super) fn describe_planned(image: &Image, command: &Command, id: TopicId) -> TopicDescription {
    let topic = changed_topic(image, std::slice::from_ref(command), id);
    TopicDescription {
        name: topic.name.to_string(),
        topic_id: None,
        internal: is_internal(&topic.name),
        partitions: topic
            .partitions
            .iter()
            .zip(0..)
            .map(|(state, partition)| empty(partition, *state))
            .collect(),
        configs: topic.config.to_pairs(&topic.configs),
        rate: None,
    }
}

/// The topic after commands that were planned from this image. Panics: they were planned from another one.
pub(super) fn changed_topic(image: &Image, commands: &[Command], id: TopicId) -> Arc<Topic> {
    let changed = commands.iter().fold(image.clone(), |image, command| {
        image.apply(command, image.next_offset()).expect("commands are planned from this image")
    });
    changed.topic_by_id(id).expect("planned commands leave the topic alive").clone()
}

fn describe_partition(partitions: &Partitions, id: TopicPartition) -> PartitionDescription {
    match partitions.open(id) {
        Ok(partition) => PartitionDescription {
            partition: id.partition,
            leader_epoch: partition.leader_epoch(),
            offsets: partition.offsets(),
            size: partition.size(),
            error: partition.offline_reason().map(|reason| {
                Place { topic: partition.topic(), partition: id.partition, stopping: false }.failed(&reason)
            }),
        },
        Err(error) => {
            PartitionDescription { error: Some(error), ..empty(id.partition, PartitionState::default()) }
        }
    }
}

fn empty(partition: i32, state: PartitionState) -> PartitionDescription {
    let zero = state.trim_offset;
    PartitionDescription {
        partition,
        leader_epoch: state.leader_epoch,
        offsets: LogOffsets {
            log_start: zero,
            stable: zero,
            high_watermark: zero,
            log_end: zero,
            flushed: zero,
        },
        size: LogSize { segment_count: 0, size_bytes: 0 },
        error: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Configs;

    fn image(names: &[&str]) -> Image {
        let mut image = Image::default();
        for (name, number) in names.iter().zip(1u8..) {
            let topic_id = TopicId([number; 16]);
            let create = Command::CreateTopic {
                topic_id,
                name: (*name).to_owned(),
                partition_count: 1,
                configs: Configs::new(),
            };
            let ready = Command::PartitionsReady { topic_id, partition_count: 1 };
            for command in [create, ready] {
                image = image.apply(&command, image.next_offset()).expect("fits");
            }
        }
        image
    }

    fn page(image: &Image, request: &ListTopics) -> (Vec<String>, String) {
        let (topics, token) = plan_page(image, request).expect("good");
        (topics.iter().map(|topic| topic.name.to_string()).collect(), token)
    }

    #[test]
    fn pages_follow_one_another_without_gap_or_repeat() {
        let image = image(&["d", "b", "a", "__x", "c", "e"]);
        let mut request = ListTopics { page_size: 2, ..ListTopics::default() };
        let mut all = Vec::new();
        loop {
            let (names, token) = page(&image, &request);
            assert!(names.len() <= 2);
            all.extend(names);
            if token.is_empty() {
                break;
            }
            request.page_token = token;
        }
        assert_eq!(all, ["a", "b", "c", "d", "e"]);
        let all = ListTopics { include_internal: true, ..ListTopics::default() };
        assert_eq!(page(&image, &all).0.len(), 6);
    }

    #[test]
    fn a_full_last_page_has_no_next_one() {
        let request = ListTopics { page_size: 2, name_glob: "or*".to_owned(), ..ListTopics::default() };
        assert_eq!(
            page(&image(&["orders", "origin", "zebra"]), &request),
            (vec!["orders".to_owned(), "origin".to_owned()], String::new())
        );
    }

    #[test]
    fn a_negative_page_size_is_refused() {
        let request = ListTopics { page_size: -1, ..ListTopics::default() };
        assert_eq!(plan_page(&image(&[]), &request).expect_err("negative").kind, ErrorKind::InvalidRequest);
    }

    #[test]
    fn a_planned_topic_is_shown_whole() {
        let id = TopicId([9; 16]);
        let create = Command::CreateTopic {
            topic_id: id,
            name: "orders".to_owned(),
            partition_count: 3,
            configs: Configs::from([("flush".to_owned(), "os".to_owned())]),
        };
        let shown = describe_planned(&image(&[]), &create, id);
        assert_eq!((shown.partitions.len(), shown.topic_id), (3, None));
        assert!(shown.configs.iter().any(|config| config.key == "flush" && config.is_set));
    }
}

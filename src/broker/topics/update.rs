//! Changes configs and raises the partition count, both or neither.

use std::sync::Arc;

use super::create::detached;
use super::describe::{changed_topic, describe};
use super::names::refuse_internal;
use super::request::{UpdateTopic, UpdatedTopic};
use super::settings::{changed_configs, check_partition_count};
use crate::base::{Error, ErrorKind};
use crate::broker::Broker;
use crate::broker::lookup::find_topic;
use crate::cluster::{Command, Image, Topic};
use crate::env::threads::off_shard;

impl Broker {
    /// Changes a topic. Asking for what is there already changes nothing, and makes partitions ready that an earlier call
    /// could not.
    ///
    /// Holds after: the change is durable and in use. Errors: POLICY_VIOLATION for internal topics, TOPIC_NOT_FOUND,
    /// INVALID_CONFIG, INVALID_PARTITIONS, INVALID_REQUEST; DISK_FULL or STORAGE_ERROR when folders can't be made: then
    /// the topic has the partitions that it had before.
    pub async fn update_topic(self: &Arc<Self>, request: UpdateTopic) -> Result<UpdatedTopic, Error> {
        self.refuse_when_stopping()?;
        let image = self.image();
        let commands = plan_update(&image, &request)?;
        let previous = find_topic(&image, &request.name)?.clone();
        if request.validate_only {
            let planned = changed_topic(&image, &commands, previous.id);
            return self.describe_change(planned, previous).await;
        }
        let broker = self.clone();
        detached(async move {
            let _turn = broker.take_topic_turn().await?;
            let previous = find_topic(&broker.image(), &request.name)?.clone();
            broker.metadata.commit_with(|image: &Image| plan_update(image, &request)).await?;
            let id = previous.id;
            let partitions = broker.partitions.clone();
            off_shard(move || partitions.reconfigure(id)).await;
            broker.make_ready(id).await?;
            let current = find_topic(&broker.image(), &request.name)?.clone();
            broker.describe_change(current, previous).await
        })
        .await
    }

    async fn describe_change(
        self: &Arc<Self>,
        current: Arc<Topic>,
        previous: Arc<Topic>,
    ) -> Result<UpdatedTopic, Error> {
        let partitions = self.partitions.clone();
        let described = off_shard(move || [current, previous].map(|topic| describe(&partitions, &topic)));
        let [topic, previous] = described.await;
        Ok(UpdatedTopic { topic, previous })
    }
}

fn plan_update(image: &Image, request: &UpdateTopic) -> Result<Vec<Command>, Error> {
    refuse_internal(image, &request.name)?;
    let topic = find_topic(image, &request.name)?;
    let mut commands = Vec::new();
    let configs = changed_configs(topic, &request.set_configs, &request.delete_configs)?;
    if configs != topic.configs {
        commands.push(Command::SetConfigs { topic_id: topic.id, configs });
    }
    if let Some(partition_count) = request.partition_count {
        check_partition_count(&topic.name, partition_count)?;
        refuse_fewer(topic, partition_count)?;
        if partition_count > topic.partition_count() {
            commands.push(Command::AddPartitions { topic_id: topic.id, partition_count });
        }
    }
    Ok(commands)
}

fn refuse_fewer(topic: &Topic, partition_count: i32) -> Result<(), Error> {
    let current = topic.partition_count();
    if partition_count >= current {
        return Ok(());
    }
    let message = format!(
        "topic '{}' has {current} partitions, which can't become {partition_count}: the count may only rise; \
         create another topic instead",
        topic.name
    );
    Err(Error::new(ErrorKind::InvalidPartitions, message)
        .with("topic", &topic.name)
        .with("partition_count", current))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::TopicId;
    use crate::cluster::Configs;

    fn configs(pairs: &[(&str, &str)]) -> Configs {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn image() -> Image {
        let create = Command::CreateTopic {
            topic_id: TopicId([1; 16]),
            name: "orders".to_owned(),
            partition_count: 3,
            configs: configs(&[("retention.ms", "1000"), ("flush", "os")]),
        };
        Image::default().apply(&create, 0).expect("new")
    }

    fn request(name: &str) -> UpdateTopic {
        UpdateTopic { name: name.to_owned(), ..UpdateTopic::default() }
    }

    fn kind(request: UpdateTopic) -> ErrorKind {
        plan_update(&image(), &request).expect_err("refused").kind
    }

    #[test]
    fn configs_and_partitions_change_together() {
        let request = UpdateTopic {
            set_configs: configs(&[("retention.ms", "7d")]),
            delete_configs: ["flush".to_owned()].into(),
            partition_count: Some(5),
            ..request("orders")
        };
        let commands = plan_update(&image(), &request).expect("good");
        let topic_id = TopicId([1; 16]);
        assert_eq!(
            commands,
            [
                Command::SetConfigs { topic_id, configs: configs(&[("retention.ms", "7d")]) },
                Command::AddPartitions { topic_id, partition_count: 5 },
            ]
        );
    }

    #[test]
    fn what_is_there_already_needs_no_command() {
        let same = UpdateTopic {
            set_configs: configs(&[("flush", "os")]),
            delete_configs: ["segment.ms".to_owned()].into(),
            partition_count: Some(3),
            ..request("orders")
        };
        assert_eq!(plan_update(&image(), &same).expect("good"), []);
    }

    #[test]
    fn bad_changes_are_refused_whole() {
        let good = configs(&[("retention.ms", "7d")]);
        let fewer = UpdateTopic { set_configs: good.clone(), partition_count: Some(2), ..request("orders") };
        assert_eq!(kind(fewer), ErrorKind::InvalidPartitions);
        let none = UpdateTopic { partition_count: Some(0), ..request("orders") };
        assert_eq!(kind(none), ErrorKind::InvalidPartitions);
        let both = UpdateTopic {
            set_configs: good,
            delete_configs: ["retention.ms".to_owned()].into(),
            ..request("orders")
        };
        assert_eq!(kind(both), ErrorKind::InvalidRequest);
        let unknown = UpdateTopic {
            delete_configs: ["flsh".to_owned()].into(),
            set_configs: configs(&[("flush.ms", "never")]),
            ..request("orders")
        };
        let told = plan_update(&image(), &unknown).expect_err("two mistakes").message;
        assert!(told.contains("flsh: ") && told.contains("flush.ms: "), "{told}");
        assert_eq!(kind(unknown), ErrorKind::InvalidConfig);
        assert_eq!(kind(request("ordres")), ErrorKind::TopicNotFound);
        assert_eq!(kind(request("__consumer_offsets")), ErrorKind::TopicNotFound, "no group made it yet");
    }
}

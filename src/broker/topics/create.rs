//! Makes a topic: the command is durable, then its folders, then that they are ready; only then is it answered.

use std::sync::Arc;

use super::describe::describe_planned;
use super::folders;
use super::names::check_new;
use super::request::{CreateTopic, TopicDescription};
use super::settings::{check_configs, check_partition_count};
use crate::base::{Error, ErrorKind, Outcome, TopicId};
use crate::broker::Broker;
use crate::broker::errors::shutting_down;
use crate::cluster::{Command, Configs, Image, Topic};
use crate::env::threads::off_shard;
use crate::env::{DiskError, DiskErrorKind};
use crate::log::folder::FolderError;

/// Partitions of a topic whose request names no count.
const PARTITION_COUNT_DEFAULT: i32 = 1;

impl Broker {
    /// Makes a topic. Once the request was found right, it is carried out even if nobody waits.
    ///
    /// Holds after: topic and folders are durable. Errors: INVALID_TOPIC, TOPIC_EXISTS, INVALID_PARTITIONS,
    /// INVALID_CONFIG; DISK_FULL or STORAGE_ERROR when the folders can't be made, and then there is no such topic.
    pub async fn create_topic(self: &Arc<Self>, request: CreateTopic) -> Result<TopicDescription, Error> {
        self.refuse_when_stopping()?;
        let topic_id = TopicId(self.env.rng.id());
        let image = self.image();
        let planned = plan_create(&image, &request, topic_id)?;
        if request.validate_only {
            return Ok(describe_planned(&image, &planned, topic_id));
        }
        let broker = self.clone();
        detached(async move {
            broker
                .make_topic(&request.name, topic_id, |image| plan_create(image, &request, topic_id))
                .await?;
            broker.describe_by_id(topic_id).await
        })
        .await
    }

    /// Makes a topic of the broker's own unless it is there. Carried out even if nobody waits.
    ///
    /// Errors: SHUTTING_DOWN; DISK_FULL or STORAGE_ERROR when the folders can't be made, and then there is no such topic.
    pub(in crate::broker) async fn create_internal_topic(
        self: &Arc<Self>,
        name: &'static str,
        partition_count: i32,
        configs: Configs,
    ) -> Result<(), Error> {
        self.refuse_when_stopping()?;
        let topic_id = TopicId(self.env.rng.id());
        let command = Command::CreateTopic { topic_id, name: name.to_owned(), partition_count, configs };
        let broker = self.clone();
        detached(async move {
            let made = broker.make_topic(name, topic_id, |image| match image.topic(name) {
                Some(_) => Err(Error::new(ErrorKind::TopicExists, "another request made it")),
                None => Ok(command),
            });
            match made.await {
                Err(error) if error.kind == ErrorKind::TopicExists => Ok(()),
                made => made,
            }
        })
        .await
    }

    /// Commits the command that makes a topic, if it still holds in its turn, and makes the folders.
    async fn make_topic(
        self: &Arc<Self>,
        name: &str,
        topic_id: TopicId,
        plan: impl FnOnce(&Image) -> Result<Command, Error>,
    ) -> Result<(), Error> {
        let _turn = self.take_topic_turn().await?;
        self.free_name(name).await?;
        self.metadata.commit_with(|image: &Image| plan(image).map(|command| vec![command])).await?;
        if let Err(error) = self.make_ready(topic_id).await {
            self.take_back(topic_id).await;
            return Err(error);
        }
        Ok(())
    }

    /// Makes the folders of a topic's partitions that are not ready, and says so in the metadata.
    pub(super) async fn make_ready(self: &Arc<Self>, id: TopicId) -> Result<(), Error> {
        let image = self.image();
        let Some(topic) = image.topic_by_id(id).cloned() else { return Ok(()) };
        let partition_count = topic.partition_count();
        if topic.ready_count == partition_count {
            return Ok(());
        }
        let broker = self.clone();
        off_shard(move || {
            folders::create(&broker, &topic).map_err(|error| folder_error(&topic.name, "made", error))
        })
        .await?;
        self.metadata.commit(Command::PartitionsReady { topic_id: id, partition_count }).await?;
        Ok(())
    }

    /// Moves away what deleted topics of this name left, where that failed before.
    async fn free_name(self: &Arc<Self>, name: &str) -> Result<(), Error> {
        let image = self.image();
        let is_older = |topic: &&Arc<Topic>| topic.deleting && *topic.name == *name;
        for topic in image.topics_with_deleted().filter(is_older).cloned() {
            let broker = self.clone();
            off_shard(move || {
                let moved = folders::retire(&broker, &topic);
                moved.map_err(|error| folder_error(&topic.name, "moved away", error.into()))
            })
            .await?;
        }
        Ok(())
    }

    /// Deletes a topic whose folders could not be made. What fails here is finished by the next start.
    async fn take_back(self: &Arc<Self>, id: TopicId) {
        let result = self.metadata.commit(Command::DeleteTopic { topic_id: id }).await;
        let image = self.image();
        match (result, image.topic_by_id(id)) {
            (Ok(_), Some(topic)) => {
                if let Err(error) = self.remove_folders(topic.clone()).await {
                    tracing::warn!(topic = %topic.name, %error, "folders of a failed create are still there");
                }
            }
            (Ok(_), None) => {}
            (Err(error), _) => tracing::error!(topic_id = %id, %error, "a failed create can't be taken back"),
        }
    }
}

/// The command that makes the topic, or why it can't be made.
fn plan_create(image: &Image, request: &CreateTopic, topic_id: TopicId) -> Result<Command, Error> {
    check_new(image, &request.name)?;
    let partition_count = match request.partition_count {
        0 => PARTITION_COUNT_DEFAULT,
        count => count,
    };
    check_partition_count(&request.name, partition_count)?;
    check_configs(&request.name, &request.configs)?;
    Ok(Command::CreateTopic {
        topic_id,
        name: request.name.clone(),
        partition_count,
        configs: request.configs.clone(),
    })
}

/// Folders that could not be made or moved, as a public error.
pub(super) fn folder_error(topic: &str, verb: &str, error: FolderError) -> Error {
    let (kind, advice) = match &error {
        FolderError::Disk(DiskError { kind: DiskErrorKind::Full, .. }) => {
            (ErrorKind::DiskFull, ErrorKind::DiskFull.row().advice)
        }
        _ => (ErrorKind::StorageError, "correct that and try again"),
    };
    let message = format!("the folders of topic '{topic}' can't be {verb}: {error}; {advice}");
    Error::new(kind, message).outcome(Outcome::NotWritten).with("topic", topic).caused_by(error)
}

/// Carries work out to its end, whether or not the caller still waits.
pub(super) async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) if error.is_cancelled() => Err(shutting_down().outcome(Outcome::Unknown)),
        Err(error) => Err(Error::new(ErrorKind::Internal, format!("the request ended early: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::TOPIC_PARTITIONS_MAX;
    use crate::env::OpKind;

    fn plan(partition_count: i32, configs: &[(&str, &str)]) -> Result<Command, Error> {
        let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let request =
            CreateTopic { name: "orders".to_owned(), partition_count, configs, validate_only: false };
        plan_create(&Image::default(), &request, TopicId([1; 16]))
    }

    #[test]
    fn a_good_request_becomes_a_command_that_fits() {
        let command = plan(0, &[("retention.ms", "7d")]).expect("good");
        let image = Image::default().apply(&command, 0).expect("fits");
        let topic = image.topic("orders").expect("made");
        assert_eq!((topic.partition_count(), topic.config.retention_ms), (1, 604_800_000));
    }

    #[test]
    fn partition_counts_out_of_range_are_refused() {
        for count in [-1, TOPIC_PARTITIONS_MAX + 1, 1_000_000_000, i32::MIN] {
            let error = plan(count, &[]).expect_err("out of range");
            assert_eq!(error.kind, ErrorKind::InvalidPartitions);
            assert!(error.message.ends_with("give a count from 1 to 10000"), "{error}");
        }
        plan(TOPIC_PARTITIONS_MAX, &[]).expect("the most");
    }

    #[test]
    fn all_config_mistakes_are_named() {
        let error = plan(1, &[("retention.ms", "abc"), ("retention_bytes", "1")]).expect_err("two mistakes");
        assert_eq!(error.kind, ErrorKind::InvalidConfig);
        assert!(error.message.contains("retention.ms: 'abc'"), "{error}");
        assert!(error.message.contains("Did you mean 'retention.bytes'?"), "{error}");
        assert_eq!(error.metadata["keys"], "retention.ms,retention_bytes");
    }

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        let error = |kind| {
            FolderError::Disk(DiskError {
                kind,
                operation: OpKind::SyncData,
                path: "x".into(),
                detail: "no".to_owned(),
            })
        };
        assert_eq!(folder_error("t", "made", error(DiskErrorKind::Full)).kind, ErrorKind::DiskFull);
        assert_eq!(folder_error("t", "made", error(DiskErrorKind::Io)).kind, ErrorKind::StorageError);
    }
}

//! Deletes a topic: the command is durable, then its folders are out of the way, then it is answered; they are unlinked
//! afterwards.

use std::sync::Arc;

use super::create::{detached, folder_error};
use super::folders;
use super::names::refuse_internal;
use super::request::DeleteTopic;
use crate::base::{Error, TopicId};
use crate::broker::Broker;
use crate::broker::lookup::find_topic;
use crate::cluster::{Command, CommitError, Image, Topic};
use crate::env::rule::Rule;
use crate::env::threads::off_shard;

impl Broker {
    /// Deletes a topic. Its name is free when this returns.
    ///
    /// Errors: POLICY_VIOLATION for internal topics, TOPIC_NOT_FOUND; STORAGE_ERROR when its folders can't be moved: then
    /// the topic is deleted, and the next start or create of that name tries again.
    pub async fn delete_topic(self: &Arc<Self>, request: DeleteTopic) -> Result<(), Error> {
        self.refuse_when_stopping()?;
        plan_delete(&self.image(), &request)?;
        if request.validate_only {
            return Ok(());
        }
        let broker = self.clone();
        detached(async move {
            let _turn = broker.take_topic_turn().await?;
            let mut deleted = None;
            let image = broker
                .metadata
                .commit_with(|image: &Image| {
                    let topic_id = plan_delete(image, &request)?;
                    deleted = Some(topic_id);
                    Ok::<_, Error>(vec![Command::DeleteTopic { topic_id }])
                })
                .await?;
            match deleted.and_then(|id| image.topic_by_id(id)) {
                Some(topic) => broker.remove_folders(topic.clone()).await,
                None => Ok(()),
            }
        })
        .await
    }

    /// Moves the folders of a deleted topic away, and unlinks them in the background.
    pub(super) async fn remove_folders(self: &Arc<Self>, topic: Arc<Topic>) -> Result<(), Error> {
        let (broker, retired) = (self.clone(), topic.clone());
        if !Rule::MoveDeleted.holds() {
            return Ok(());
        }
        off_shard(move || {
            folders::retire(&broker, &retired)
                .map_err(|error| folder_error(&retired.name, "moved away", error.into()))
        })
        .await?;
        tokio::spawn(purge(self.clone(), topic));
        Ok(())
    }
}

/// What fails here is finished by the next start.
async fn purge(broker: Arc<Broker>, topic: Arc<Topic>) {
    let (purger, purged) = (broker.clone(), topic.clone());
    let unlinked = off_shard(move || {
        folders::purge(&purger, &purged).map_err(|error| folder_error(&purged.name, "unlinked", error.into()))
    })
    .await;
    let result = match unlinked {
        Ok(()) => broker.metadata.commit(Command::TopicPurged { topic_id: topic.id }).await,
        Err(error) => {
            tracing::warn!(topic = %topic.name, %error, "deleted topic is still on disk");
            return;
        }
    };
    match result {
        Ok(_) | Err(CommitError::Closed) => {}
        Err(error) => tracing::warn!(topic = %topic.name, %error, "deleted topic is not marked as purged"),
    }
}

fn plan_delete(image: &Image, request: &DeleteTopic) -> Result<TopicId, Error> {
    refuse_internal(image, &request.name)?;
    Ok(find_topic(image, &request.name)?.id)
}

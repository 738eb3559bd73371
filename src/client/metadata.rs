//! What the client remembers of topics.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use parking_lot::RwLock;

use super::connection::Connection;
use super::fault::malformed;
use crate::base::topic_name::not_found;
use crate::base::{Error, ErrorKind, TopicId};
use crate::env::Clock;
use crate::proto::grpc::{GetMetadataRequest, TopicMetadata};

/// A topic is looked up again after this long, so that new partitions are found.
const FRESH_FOR: Duration = Duration::from_secs(5 * 60);

/// A topic as it was when it was looked up.
#[derive(Debug)]
pub(super) struct KnownTopic {
    pub(super) name: Arc<str>,
    pub(super) id: TopicId,
    pub(super) partition_count: i32,
    /// Largest batch that the topic takes.
    pub(super) max_message_bytes: usize,
    fetched_at: Duration,
}

// WHY another hasher: a lookup for each record, by names that this process gives.
type ByName = HashMap<Arc<str>, Arc<KnownTopic>, RandomState>;

/// Topics by name, shared by everything that one client made. Cheap to clone.
#[derive(Clone)]
pub(super) struct Metadata {
    connection: Connection,
    clock: Arc<dyn Clock>,
    topics: Arc<RwLock<ByName>>,
    /// Held by whoever is asking the broker, so that many waiters ask once.
    asking: Arc<tokio::sync::Mutex<()>>,
}

impl Metadata {
    /// Knows nothing yet.
    pub(super) fn new(connection: Connection, clock: Arc<dyn Clock>) -> Self {
        Self { connection, clock, topics: Arc::default(), asking: Arc::default() }
    }

    /// The topic if it is known and fresh at `now` (monotonic). Cost: a read lock.
    pub(super) fn known(&self, name: &str, now: Duration) -> Option<Arc<KnownTopic>> {
        let topic = self.topics.read().get(name).cloned()?;
        (now.saturating_sub(topic.fetched_at) < FRESH_FOR).then_some(topic)
    }

    /// The topic, asked from the broker when it is not known or not fresh.
    ///
    /// Errors: TOPIC_NOT_FOUND with the closest name; UNAVAILABLE, TIMED_OUT.
    pub(super) async fn topic(&self, name: &str) -> Result<Arc<KnownTopic>, Error> {
        if let Some(topic) = self.known(name, self.clock.monotonic()) {
            return Ok(topic);
        }
        let _asking = self.asking.lock().await;
        if let Some(topic) = self.known(name, self.clock.monotonic()) {
            return Ok(topic);
        }
        let reply =
            self.connection.get_metadata(GetMetadataRequest { topics: vec![name.to_owned()] }).await?;
        let found = reply.topics.into_iter().find(|topic| topic.name == name);
        let found = found.ok_or_else(|| malformed("the topic that was asked for is missing"))?;
        let topic = Arc::new(read_topic(found, self.clock.monotonic())?);
        self.topics.write().insert(topic.name.clone(), topic.clone());
        Ok(topic)
    }

    /// Forgets a topic that turned out to be another one, or to have other partitions, than is known here.
    pub(super) fn forget(&self, name: &str) {
        self.topics.write().remove(name);
    }
}

/// Whether an error says that what is remembered of a topic is no longer true.
pub(super) fn is_outdated(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::TopicNotFound | ErrorKind::PartitionNotFound | ErrorKind::UnknownTopicId)
}

fn read_topic(topic: TopicMetadata, now: Duration) -> Result<KnownTopic, Error> {
    if !topic.exists {
        let closest = Some(&*topic.closest).filter(|closest| !closest.is_empty());
        return Err(not_found(&topic.name, closest));
    }
    let partition_count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    let max_message_bytes = usize::try_from(topic.max_message_bytes).unwrap_or(0);
    if partition_count == 0 || max_message_bytes == 0 {
        return Err(malformed("a topic without partitions or batch size"));
    }
    Ok(KnownTopic {
        id: TopicId::from_slice(&topic.topic_id)
            .ok_or_else(|| malformed("a topic id that is not 16 bytes"))?,
        name: topic.name.into(),
        partition_count,
        max_message_bytes,
        fetched_at: now,
    })
}

/// A topic for the tests of other files.
#[cfg(test)]
pub(super) fn known_topic(name: &str, partition_count: i32, max_message_bytes: usize) -> Arc<KnownTopic> {
    let id = TopicId([7; 16]);
    Arc::new(KnownTopic {
        name: name.into(),
        id,
        partition_count,
        max_message_bytes,
        fetched_at: Duration::ZERO,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::grpc::PartitionMetadata;

    fn orders() -> TopicMetadata {
        TopicMetadata {
            name: "orders".into(),
            topic_id: vec![1; 16].into(),
            partitions: vec![PartitionMetadata::default(); 3],
            max_message_bytes: 1000,
            exists: true,
            ..Default::default()
        }
    }

    #[test]
    fn a_topic_is_read() {
        let topic = read_topic(orders(), Duration::ZERO).expect("well-formed");
        assert_eq!((topic.partition_count, topic.max_message_bytes), (3, 1000));
        assert_eq!(topic.id, TopicId([1; 16]));
    }

    #[test]
    fn a_missing_topic_names_the_closest() {
        let missing = TopicMetadata { exists: false, closest: "order".into(), ..orders() };
        let error = read_topic(missing, Duration::ZERO).expect_err("it does not exist");
        assert_eq!(error.kind, ErrorKind::TopicNotFound);
        assert!(error.message.contains("'orders'") && error.message.contains("'order'?"), "{error}");
    }

    #[test]
    fn replies_that_make_no_sense_are_errors() {
        for wrong in [
            TopicMetadata { topic_id: vec![1; 3].into(), ..orders() },
            TopicMetadata { partitions: vec![], ..orders() },
            TopicMetadata { max_message_bytes: -1, ..orders() },
        ] {
            assert_eq!(read_topic(wrong, Duration::ZERO).expect_err("malformed").kind, ErrorKind::Internal);
        }
    }
}

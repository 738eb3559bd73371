//! Options of a consumer, and where it begins.

use std::collections::BTreeMap;

use super::super::admin::list_offsets;
use super::super::fault::malformed;
use super::super::group::GroupConsumerBuilder;
use super::super::handle::Parts;
use super::super::metadata::KnownTopic;
use super::super::types::{At, Start};
use super::Consumer;
use super::cursor::Cursor;
use crate::base::limits::{FETCH_BYTES_DEFAULT, GRPC_MESSAGE_BYTES_MAX};
use crate::base::{Error, ErrorKind, Offset};

/// Sets a consumer up; made by [`crate::client::Client::consumer`].
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// use weir::client::Start;
///
/// let builder = client.consumer().topics(["orders", "payments"]).partitions([0, 1]);
/// let builder = builder.start(Start::End).start_at("orders", 1, Start::Offset(42));
/// let consumer = builder.build().await?;
/// assert_eq!(consumer.position("orders", 1), Some(42));
/// # Ok(())
/// # }
/// ```
#[must_use = "there is no consumer before build()"]
pub struct ConsumerBuilder {
    parts: Parts,
    topics: Vec<String>,
    partitions: Vec<i32>,
    start: Start,
    starts: BTreeMap<(String, i32), Start>,
    max_bytes: usize,
}

impl ConsumerBuilder {
    pub(in crate::client) fn new(parts: Parts) -> Self {
        Self {
            parts,
            topics: Vec::new(),
            partitions: Vec::new(),
            start: Start::End,
            starts: BTreeMap::new(),
            max_bytes: FETCH_BYTES_DEFAULT,
        }
    }

    /// Reads as a member of this consumer group: the members share the partitions, and the group remembers how far it got. Of what was
    /// said before only the topics count.
    pub fn group(self, group: impl Into<String>) -> GroupConsumerBuilder {
        GroupConsumerBuilder::new(self.parts, group.into(), self.topics)
    }

    /// Reads this topic, beside those named before.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topics.push(topic.into());
        self
    }

    /// Reads these topics, beside those named before.
    pub fn topics<T: Into<String>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.topics.extend(topics.into_iter().map(Into::into));
        self
    }

    /// Reads only these partitions of each topic; all unless told.
    pub fn partitions(mut self, partitions: impl IntoIterator<Item = i32>) -> Self {
        self.partitions.extend(partitions);
        self
    }

    /// Where each partition begins; at its end unless told.
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Where one partition begins, whatever [`ConsumerBuilder::start`] says.
    pub fn start_at(mut self, topic: impl Into<String>, partition: i32, start: Start) -> Self {
        self.starts.insert((topic.into(), partition), start);
        self
    }

    /// Bytes of records that one response may hold; 1 MiB unless told. At least one batch always comes.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// The consumer, its places looked up: `Start::End` is the end at this moment.
    ///
    /// Errors: INVALID_REQUEST without a topic or with a size out of range; TOPIC_NOT_FOUND, PARTITION_NOT_FOUND;
    /// UNAVAILABLE, TIMED_OUT.
    pub async fn build(self) -> Result<Consumer, Error> {
        self.check()?;
        let mut topics = self.topics.clone();
        topics.sort();
        topics.dedup();
        let mut cursors = Vec::new();
        for name in &topics {
            let topic = self.parts.metadata.topic(name).await?;
            let starts = self.starts_of(&topic)?;
            for (partition, offset) in resolve(&self.parts, &topic, &starts).await? {
                cursors.push(Cursor::new(topic.name.clone(), topic.id, partition, offset));
            }
        }
        let max_bytes = i32::try_from(self.max_bytes).expect("check has bounded it");
        Ok(Consumer::new(self.parts, cursors, max_bytes))
    }

    fn check(&self) -> Result<(), Error> {
        let message = if self.topics.is_empty() {
            "a consumer needs a topic; name one with topic()".to_owned()
        } else if self.max_bytes == 0 || self.max_bytes > GRPC_MESSAGE_BYTES_MAX {
            format!("max_bytes is {}; give 1 to {GRPC_MESSAGE_BYTES_MAX}", self.max_bytes)
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::InvalidRequest, message))
    }

    /// The partitions to read, in order, each with its start.
    fn starts_of(&self, topic: &KnownTopic) -> Result<Vec<(i32, Start)>, Error> {
        let all: Vec<i32> = (0..topic.partition_count).collect();
        let mut chosen = if self.partitions.is_empty() { all } else { self.partitions.clone() };
        chosen.sort_unstable();
        chosen.dedup();
        if let Some(wrong) = chosen.iter().find(|partition| !(0..topic.partition_count).contains(*partition))
        {
            let (name, last) = (&topic.name, topic.partition_count - 1);
            let message = format!("topic '{name}' has no partition {wrong}; its partitions are 0 to {last}");
            let error = Error::new(ErrorKind::PartitionNotFound, message);
            return Err(error.with("topic", name).with("partition", wrong));
        }
        let start_of = |partition| {
            let own = self.starts.get(&(topic.name.to_string(), partition));
            (partition, own.copied().unwrap_or(self.start))
        };
        Ok(chosen.into_iter().map(start_of).collect())
    }
}

/// Makes offsets of starts.
async fn resolve(
    parts: &Parts,
    topic: &KnownTopic,
    starts: &[(i32, Start)],
) -> Result<Vec<(i32, Offset)>, Error> {
    let mut offsets: BTreeMap<i32, Offset> = BTreeMap::new();
    let mut asked: Vec<(i32, At)> = Vec::new();
    for (partition, start) in starts {
        match start {
            Start::Offset(offset) => drop(offsets.insert(*partition, *offset)),
            Start::Beginning => asked.push((*partition, At::Start)),
            Start::End => asked.push((*partition, At::End)),
            Start::Timestamp(timestamp) => asked.push((*partition, At::Timestamp(*timestamp))),
        }
    }
    let mut missing = Vec::new();
    for (partition, offset) in look_up(parts, topic, asked).await? {
        match offset {
            Some(offset) => drop(offsets.insert(partition, offset)),
            // Nothing is at or after the timestamp.
            None => missing.push((partition, At::End)),
        }
    }
    for (partition, offset) in look_up(parts, topic, missing).await? {
        offsets.insert(partition, offset.ok_or_else(|| malformed("a partition without end"))?);
    }
    Ok(offsets.into_iter().collect())
}

async fn look_up(
    parts: &Parts,
    topic: &KnownTopic,
    places: Vec<(i32, At)>,
) -> Result<Vec<(i32, Option<Offset>)>, Error> {
    let id = bytes::Bytes::copy_from_slice(&topic.id.0);
    let listed = list_offsets(&parts.connection, &topic.name, Some(id), places.iter().copied()).await?;
    let pairs = places.into_iter().zip(listed);
    pairs.map(|((partition, _), listed)| Ok((partition, listed?.offset))).collect()
}

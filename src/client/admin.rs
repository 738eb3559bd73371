//! Administers topics and groups and asks what the broker is. Requests are small builders: set what matters, then await.

mod groups;

use std::future::IntoFuture;

use super::connection::Connection;
use super::convert::{read_cluster, read_config_key, read_listed_offset, read_topic, read_trimmed};
use super::fault::malformed;
use super::metadata::Metadata;
use super::reply::{Reply, has_next};
use super::segments::ListSegments;
use super::stats::{Stats, read_stats};
use super::types::{At, Cluster, ConfigKey, ListedOffset, Topic, TrimmedPartition, UpdatedTopic};
use crate::base::{Error, Offset};
use crate::proto::grpc;

pub use groups::{ChangedOffset, Group, GroupListing, GroupMember, GroupOffset, GroupState, ListedGroups};

/// Topics asked for at a time.
const PAGE_TOPICS: i32 = 1_000;

/// Administers topics and groups. Cheap to clone. No call is tried again by itself.
///
/// Every call fails with UNAVAILABLE when the broker can't be reached and TIMED_OUT after the client's request timeout;
/// whether a change was made is then not known.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// let admin = client.admin();
/// for topic in admin.list_topics().await? {
///     println!("{}: {} partitions", topic.name, topic.partitions.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Admin {
    connection: Connection,
    metadata: Metadata,
}

impl Admin {
    pub(super) fn new(connection: Connection, metadata: Metadata) -> Self {
        Self { connection, metadata }
    }

    /// Creates a topic, with one partition and default configs unless told. It can be used when the call returns.
    ///
    /// Errors: TOPIC_EXISTS, INVALID_TOPIC, INVALID_PARTITIONS, INVALID_CONFIG.
    pub fn create_topic(&self, name: impl Into<String>) -> CreateTopic {
        let request = grpc::CreateTopicRequest { name: name.into(), ..Default::default() };
        CreateTopic { connection: self.connection.clone(), request }
    }

    /// Changes configs and raises the partition count.
    ///
    /// Errors: TOPIC_NOT_FOUND, INVALID_PARTITIONS, INVALID_CONFIG, POLICY_VIOLATION.
    pub fn update_topic(&self, name: impl Into<String>) -> UpdateTopic {
        let request = grpc::UpdateTopicRequest { name: name.into(), ..Default::default() };
        UpdateTopic { connection: self.connection.clone(), metadata: self.metadata.clone(), request }
    }

    /// Deletes a topic with all its records.
    ///
    /// Errors: TOPIC_NOT_FOUND, POLICY_VIOLATION.
    pub fn delete_topic(&self, name: impl Into<String>) -> DeleteTopic {
        let request = grpc::DeleteTopicRequest { name: name.into(), validate_only: false };
        DeleteTopic { connection: self.connection.clone(), metadata: self.metadata.clone(), request }
    }

    /// Removes the records of partitions below an offset each, or with −1 all that can be read at this moment. Durable
    /// when the call returns.
    ///
    /// Errors: TOPIC_NOT_FOUND; what is wrong with one partition is in its result.
    pub fn trim_topic(
        &self,
        name: impl Into<String>,
        before: impl IntoIterator<Item = (i32, Offset)>,
    ) -> TrimTopic {
        let partition = |(partition, offset)| grpc::TrimPartition { partition, offset };
        let partitions = before.into_iter().map(partition).collect();
        let request = grpc::TrimTopicRequest { name: name.into(), partitions, validate_only: false };
        TrimTopic { connection: self.connection.clone(), request }
    }

    /// Lists topics with their partitions and configs, by name; all but the broker's own unless told.
    pub fn list_topics(&self) -> ListTopics {
        let request = grpc::ListTopicsRequest { page_size: PAGE_TOPICS, ..Default::default() };
        ListTopics { connection: self.connection.clone(), request }
    }

    /// A topic with its partitions and configs.
    ///
    /// Errors: TOPIC_NOT_FOUND.
    pub async fn describe_topic(&self, name: &str) -> Result<Topic, Error> {
        let reply = self.connection.get_topic(grpc::GetTopicRequest { name: name.to_owned() }).await?;
        read_topic(reply.topic)
    }

    /// Looks offsets up: one result for each partition, in their order.
    ///
    /// Errors of one partition: TOPIC_NOT_FOUND, PARTITION_NOT_FOUND, STORAGE_ERROR.
    pub async fn list_offsets(
        &self,
        topic: &str,
        places: impl IntoIterator<Item = (i32, At)>,
    ) -> Result<Vec<Result<ListedOffset, Error>>, Error> {
        list_offsets(&self.connection, topic, None, places).await
    }

    /// The segments of every partition of a topic, as the broker that holds them tells.
    ///
    /// Errors: TOPIC_NOT_FOUND; what is wrong with one partition is in its entry.
    pub fn list_segments(&self, topic: impl Into<String>) -> ListSegments {
        ListSegments::new(self.connection.clone(), topic.into())
    }

    /// The catalogue of topic configs.
    pub async fn config_keys(&self) -> Result<Vec<ConfigKey>, Error> {
        let reply = self.connection.list_config_keys(grpc::ListConfigKeysRequest {}).await?;
        Ok(reply.keys.into_iter().map(read_config_key).collect())
    }

    /// Version, identity and settings of the broker.
    pub async fn cluster(&self) -> Result<Cluster, Error> {
        Ok(read_cluster(self.connection.get_cluster(grpc::GetClusterRequest {}).await?))
    }

    /// How the broker fares, topic by topic. Two answers give rates.
    pub async fn stats(&self) -> Result<Stats, Error> {
        Ok(read_stats(self.connection.get_stats(grpc::GetStatsRequest { include_topics: true }).await?))
    }
}

/// Looks up one offset for each place; the results are in the same order.
pub(super) async fn list_offsets(
    connection: &Connection,
    topic: &str,
    topic_id: Option<bytes::Bytes>,
    places: impl IntoIterator<Item = (i32, At)>,
) -> Result<Vec<Result<ListedOffset, Error>>, Error> {
    let partition = |(partition, at)| grpc::ListOffsetsPartition {
        topic: topic.to_owned(),
        partition,
        topic_id: topic_id.clone(),
        at: Some(proto_at(at)),
    };
    let partitions: Vec<_> = places.into_iter().map(partition).collect();
    let asked = partitions.len();
    if asked == 0 {
        return Ok(Vec::new());
    }
    let reply = connection.list_offsets(grpc::ListOffsetsRequest { partitions }).await?;
    if reply.offsets.len() != asked {
        return Err(malformed("not one offset for each partition"));
    }
    Ok(reply.offsets.into_iter().map(read_listed_offset).collect())
}

fn proto_at(at: At) -> grpc::list_offsets_partition::At {
    use grpc::list_offsets_partition::At as Proto;
    match at {
        At::Start => Proto::Word(grpc::OffsetWord::Start as i32),
        At::End => Proto::Word(grpc::OffsetWord::End as i32),
        At::MaxTimestamp => Proto::Word(grpc::OffsetWord::MaxTimestamp as i32),
        At::Timestamp(ms) => Proto::TimestampMs(ms),
    }
}

/// Creates a topic; see [`Admin::create_topic`].
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// let orders = client.admin().create_topic("orders").partitions(6).config("retention.ms", "7d").await?;
/// println!("{} partitions", orders.partitions.len());
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is sent before it is awaited"]
pub struct CreateTopic {
    connection: Connection,
    request: grpc::CreateTopicRequest,
}

impl CreateTopic {
    /// How many partitions; the broker's default (1) unless told.
    pub fn partitions(mut self, count: i32) -> Self {
        self.request.partition_count = count;
        self
    }

    /// Sets a config; sizes as `64MiB`, durations as `7d`.
    pub fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.request.configs.insert(key.into(), value.into());
        self
    }

    /// Checks everything and creates nothing.
    pub fn validate_only(mut self) -> Self {
        self.request.validate_only = true;
        self
    }
}

impl IntoFuture for CreateTopic {
    type Output = Result<Topic, Error>;
    type IntoFuture = Reply<Topic>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { read_topic(self.connection.create_topic(self.request).await?.topic) })
    }
}

/// Changes a topic; see [`Admin::update_topic`].
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// client.admin().update_topic("orders").set_config("retention.ms", "1d").delete_config("flush").await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is sent before it is awaited"]
pub struct UpdateTopic {
    connection: Connection,
    metadata: Metadata,
    request: grpc::UpdateTopicRequest,
}

impl UpdateTopic {
    /// Sets a config; sizes as `64MiB`, durations as `7d`.
    pub fn set_config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.request.set_configs.insert(key.into(), value.into());
        self
    }

    /// Puts a config back to its default.
    pub fn delete_config(mut self, key: impl Into<String>) -> Self {
        self.request.delete_configs.push(key.into());
        self
    }

    /// Raises the partition count. Keys go to other partitions from then on.
    pub fn partitions(mut self, count: i32) -> Self {
        self.request.partition_count = Some(count);
        self
    }

    /// Checks everything and changes nothing.
    pub fn validate_only(mut self) -> Self {
        self.request.validate_only = true;
        self
    }
}

impl IntoFuture for UpdateTopic {
    type Output = Result<UpdatedTopic, Error>;
    type IntoFuture = Reply<UpdatedTopic>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let name = self.request.name.clone();
            let reply = self.connection.update_topic(self.request).await?;
            self.metadata.forget(&name);
            Ok(UpdatedTopic { topic: read_topic(reply.topic)?, previous: read_topic(reply.previous)? })
        })
    }
}

/// Deletes a topic; see [`Admin::delete_topic`].
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// use weir::ErrorKind;
///
/// match client.admin().delete_topic("orders").await {
///     Err(error) if error.kind == ErrorKind::TopicNotFound => println!("there was none"),
///     deleted => deleted?,
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is sent before it is awaited"]
pub struct DeleteTopic {
    connection: Connection,
    metadata: Metadata,
    request: grpc::DeleteTopicRequest,
}

impl DeleteTopic {
    /// Checks everything and deletes nothing.
    pub fn validate_only(mut self) -> Self {
        self.request.validate_only = true;
        self
    }
}

impl IntoFuture for DeleteTopic {
    type Output = Result<(), Error>;
    type IntoFuture = Reply<()>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let name = self.request.name.clone();
            self.connection.delete_topic(self.request).await?;
            self.metadata.forget(&name);
            Ok(())
        })
    }
}

/// Removes old records; see [`Admin::trim_topic`].
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// // Partition 0 up to offset 1000, all of partition 1.
/// for trimmed in client.admin().trim_topic("orders", [(0, 1_000), (1, -1)]).await? {
///     println!("partition {} begins at {}", trimmed.partition, trimmed.log_start_offset?);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is sent before it is awaited"]
pub struct TrimTopic {
    connection: Connection,
    request: grpc::TrimTopicRequest,
}

impl TrimTopic {
    /// Checks everything and removes nothing; the results say what the first offsets would be.
    pub fn validate_only(mut self) -> Self {
        self.request.validate_only = true;
        self
    }
}

impl IntoFuture for TrimTopic {
    type Output = Result<Vec<TrimmedPartition>, Error>;
    type IntoFuture = Reply<Vec<TrimmedPartition>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let reply = self.connection.trim_topic(self.request).await?;
            Ok(reply.partitions.into_iter().map(read_trimmed).collect())
        })
    }
}

/// Lists topics; see [`Admin::list_topics`].
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// for topic in client.admin().list_topics().matching("shop.*").await? {
///     println!("{}", topic.name);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is sent before it is awaited"]
pub struct ListTopics {
    connection: Connection,
    request: grpc::ListTopicsRequest,
}

impl ListTopics {
    /// Only names that match a glob with `*` and `?`.
    pub fn matching(mut self, glob: impl Into<String>) -> Self {
        self.request.name_glob = glob.into();
        self
    }

    /// The broker's own topics as well.
    pub fn with_internal(mut self) -> Self {
        self.request.include_internal = true;
        self
    }
}

impl IntoFuture for ListTopics {
    type Output = Result<Vec<Topic>, Error>;
    type IntoFuture = Reply<Vec<Topic>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { connection, mut request } = self;
            let mut topics = Vec::new();
            loop {
                let reply = connection.list_topics(request.clone()).await?;
                for topic in reply.topics {
                    topics.push(read_topic(Some(topic))?);
                }
                if !has_next(&mut request.page_token, reply.next_page_token) {
                    return Ok(topics);
                }
            }
        })
    }
}

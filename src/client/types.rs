//! What the client hands out and takes: plain structs, no wire types.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::{Error, LeaderEpoch, Offset, Timestamp, TopicId};
use crate::record::{BatchHeader, RecordView, Records};

/// When a produce is answered.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// use weir::Acks;
///
/// let producer = client.producer().acks(Acks::None).build().await?; // for what may be lost unseen
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Acks {
    /// Never. A delivery resolves when its batch was handed to the connection; records can be lost unseen.
    None,
    /// When the leader has it, as durable as the topic's `flush` setting says.
    Leader,
    /// When every in-sync replica has it.
    #[default]
    All,
}

/// How safe an acknowledged record is.
///
/// ```no_run
/// # async fn example(producer: weir::client::Producer) -> Result<(), weir::Error> {
/// use weir::client::Durability;
///
/// let stored = producer.send(weir::Record::to("orders").value("hi")).await?.await?;
/// if stored.durability != Some(Durability::Flushed) {
///     println!("a power cut may take it back: the topic is not flush=ack");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Durability {
    /// In the operating system's memory: survives a killed broker, not a power cut.
    Written,
    /// On stable storage: survives a power cut.
    Flushed,
}

/// Whose clock a record's timestamp tells.
///
/// ```
/// use weir::client::{ConsumerRecord, TimestampType};
///
/// fn is_broker_time(record: &ConsumerRecord) -> bool {
///     record.timestamp_type == TimestampType::Append
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TimestampType {
    /// The producer's, or what the producer set.
    Create,
    /// The broker's at the append.
    Append,
}

/// Where a consumer begins in a partition.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// use weir::client::Start;
///
/// let since = Start::Timestamp(1_767_268_801_000); // ms since 1970
/// let consumer = client.consumer().topic("orders").start(since).build().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Start {
    /// At the first record that is still there.
    Beginning,
    /// After the last record that is there when the consumer is built.
    End,
    /// At this offset.
    Offset(Offset),
    /// At the first record whose timestamp (ms since 1970) is at or after this; at the end when there is none.
    Timestamp(Timestamp),
}

/// Which offset to look up.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// use weir::client::At;
///
/// // Where partition 0 begins and ends.
/// for listed in client.admin().list_offsets("orders", [(0, At::Start), (0, At::End)]).await? {
///     println!("{:?}", listed?.offset);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum At {
    /// Of the first readable record.
    Start,
    /// After the last readable record.
    End,
    /// Of the first record with the greatest timestamp.
    MaxTimestamp,
    /// Of the first record whose timestamp (ms since 1970) is at or after this.
    Timestamp(Timestamp),
}

/// A record as it was read.
///
/// ```
/// use weir::client::ConsumerRecord;
///
/// /// The value as text, and the first header `source`.
/// fn read(record: &ConsumerRecord) -> (Option<&str>, Option<&[u8]>) {
///     let text = record.value.as_deref().and_then(|value| std::str::from_utf8(value).ok());
///     let source = record.headers.iter().find(|(key, _)| key == "source");
///     (text, source.and_then(|(_, value)| value.as_deref()))
/// }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerRecord {
    /// Name of its topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
    /// Its place in the partition.
    pub offset: Offset,
    /// Its time in ms since 1970; −1 for none.
    pub timestamp: Timestamp,
    /// Whose clock that is.
    pub timestamp_type: TimestampType,
    /// Leadership under which it was appended.
    pub leader_epoch: LeaderEpoch,
    /// `None`: no key, which differs from an empty one.
    pub key: Option<Bytes>,
    /// `None`: no value (a tombstone in a compacted topic), which differs from an empty one.
    pub value: Option<Bytes>,
    /// In the order in which the producer gave them; keys may repeat.
    pub headers: Vec<(String, Option<Bytes>)>,
}

impl ConsumerRecord {
    /// A stored record of a batch, at topic and partition. Key and values are slices of `records`; no copy.
    pub(crate) fn of(
        (topic, partition): (&Arc<str>, i32),
        batch: &BatchHeader,
        records: &Records,
        record: &RecordView<'_>,
    ) -> Self {
        let slice = |part: Option<&[u8]>| part.map(|part| records.slice_ref(part));
        let is_append_time = batch.is_append_time();
        Self {
            topic: topic.clone(),
            partition,
            offset: record.offset,
            timestamp: record.timestamp,
            timestamp_type: if is_append_time { TimestampType::Append } else { TimestampType::Create },
            leader_epoch: batch.leader_epoch,
            key: slice(record.key),
            value: slice(record.value),
            headers: record.headers.map(|(key, value)| (key.to_owned(), slice(value))).collect(),
        }
    }
}

/// A topic with its partitions and configs.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// let topic = client.admin().describe_topic("orders").await?;
/// let bytes: i64 = topic.partitions.iter().map(|partition| partition.size_bytes).sum();
/// println!("{}: {} partitions, {bytes} bytes", topic.name, topic.partitions.len());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its identity: another one after the topic was deleted and created again. `None` when it was only checked.
    pub topic_id: Option<TopicId>,
    /// Whether it is the broker's own.
    pub internal: bool,
    /// In order, from 0.
    pub partitions: Vec<Partition>,
    /// Every config key, set or default.
    pub configs: Vec<ConfigValue>,
    /// What is written and read lately; `None` when the broker does not count the topic for itself, or it was only checked.
    pub rate: Option<TopicRate>,
}

/// Records and bytes a second, lately.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// for topic in client.admin().list_topics().await? {
///     let rate = topic.rate.unwrap_or_default();
///     println!("{}: {:.0} records/s in, {:.0} out", topic.name, rate.records_in, rate.records_out);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct TopicRate {
    /// Records written.
    pub records_in: f64,
    /// Bytes of their batches.
    pub bytes_in: f64,
    /// Records given to readers.
    pub records_out: f64,
    /// Bytes of what was given.
    pub bytes_out: f64,
    /// The time in ms that they cover, which ended when the broker answered.
    pub window_ms: i64,
}

/// State of one partition.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// for partition in client.admin().describe_topic("orders").await?.partitions {
///     match partition.error {
///         Some(error) => println!("{} is offline: {error}", partition.partition),
///         None => println!("{} to {}", partition.log_start_offset, partition.high_watermark),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Partition {
    /// Its number.
    pub partition: i32,
    /// Number of its leadership.
    pub leader_epoch: LeaderEpoch,
    /// First offset that can be read.
    pub log_start_offset: Offset,
    /// Records below it can be read.
    pub high_watermark: Offset,
    /// Offset of the next record to be written.
    pub log_end_offset: Offset,
    /// Records below it are on stable storage.
    pub flushed_offset: Offset,
    /// Files that it consists of.
    pub segment_count: i32,
    /// Their size in bytes.
    pub size_bytes: i64,
    /// Why it is offline, if it is.
    pub error: Option<Error>,
}

/// A config value of a topic.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// let topic = client.admin().describe_topic("orders").await?;
/// for config in topic.configs.iter().filter(|config| config.is_set) {
///     println!("{}={}", config.key, config.value);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigValue {
    /// The key.
    pub key: String,
    /// Sizes in bytes, durations in ms.
    pub value: String,
    /// False for the default.
    pub is_set: bool,
}

/// A row of the catalogue of topic configs.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// for key in client.admin().config_keys().await? {
///     println!("{} ({}, default {}): {}", key.key, key.value_type, key.default_value, key.doc);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigKey {
    /// The key.
    pub key: String,
    /// "bytes", "duration", "integer", "ratio" or "word".
    pub value_type: String,
    /// Value where a topic sets none.
    pub default_value: String,
    /// What is allowed.
    pub range: String,
    /// What it does.
    pub doc: String,
}

/// A topic before and after a change.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// let updated = client.admin().update_topic("orders").partitions(12).await?;
/// println!("{} partitions, then {}", updated.previous.partitions.len(), updated.topic.partitions.len());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct UpdatedTopic {
    /// As it is now (or would be, for a validation).
    pub topic: Topic,
    /// As it was.
    pub previous: Topic,
}

/// What a trim did to one partition.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// for trimmed in client.admin().trim_topic("orders", [(0, 1_000)]).validate_only().await? {
///     match trimmed.log_start_offset {
///         Ok(offset) => println!("partition {} would begin at {offset}", trimmed.partition),
///         Err(error) => println!("{error}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TrimmedPartition {
    /// Its number.
    pub partition: i32,
    /// Its first offset now, or why it was not trimmed.
    pub log_start_offset: Result<Offset, Error>,
}

/// An offset that was looked up.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// use weir::client::At;
///
/// for listed in client.admin().list_offsets("orders", [(0, At::Timestamp(1_767_268_801_000))]).await? {
///     match listed?.offset {
///         Some(offset) => println!("from then on: {offset}"),
///         None => println!("nothing since then"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ListedOffset {
    /// Name of the topic.
    pub topic: String,
    /// Its identity.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: i32,
    /// `None` when no record is at or after the timestamp.
    pub offset: Option<Offset>,
    /// Time of the record found, where one was looked for.
    pub timestamp: Option<Timestamp>,
    /// Leadership under which the record before the offset, or the one found, was appended.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// What runs at the other end.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// let cluster = client.admin().cluster().await?;
/// println!("{} runs {} since {} ms", cluster.cluster_id, cluster.version, cluster.uptime_ms);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cluster {
    /// Identity of the cluster.
    pub cluster_id: String,
    /// Version of the broker.
    pub version: String,
    /// Number of the broker that answered.
    pub broker_id: i32,
    /// Number of its starts so far.
    pub broker_epoch: i32,
    /// Every broker with its address.
    pub brokers: Vec<Broker>,
    /// Settings of the broker that answered.
    pub settings: Vec<BrokerSetting>,
    /// How long it runs, in ms.
    pub uptime_ms: i64,
    /// Its resident anonymous memory.
    pub rss_anon_bytes: i64,
    /// Its resident memory that maps files.
    pub rss_file_bytes: i64,
}

/// One broker of a cluster.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// for broker in client.admin().cluster().await?.brokers {
///     println!("{} at {}", broker.broker_id, broker.address);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broker {
    /// Its number.
    pub broker_id: i32,
    /// Host and port.
    pub address: String,
}

/// One setting of a broker.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// let settings = client.admin().cluster().await?.settings;
/// for setting in settings.iter().filter(|setting| setting.source != "default") {
///     println!("{}={} ({})", setting.key, setting.value, setting.source);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerSetting {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
    /// "default", "file", "environment" or "flag".
    pub source: String,
}

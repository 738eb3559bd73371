//! The client library: [`Client`] with its producer, consumer and admin.
//!
//! It uses only the words, the record format and the wire types, never the broker's parts. Reading order: `handle`,
//! `producer`, `consumer`, `group`, `admin`; underneath `connection` (the only file that knows the gRPC library), `metadata`,
//! `retry`.
//!
//! ```no_run
//! use weir::client::{Event, Start};
//! use weir::{Client, Record};
//!
//! # async fn example() -> Result<(), weir::Error> {
//! let client = Client::connect("weir://127.0.0.1:7070").await?;
//! let producer = client.producer().build().await?;
//! // Sending waits only for memory; the deliveries tell what became of the records.
//! let first = producer.send(Record::to("orders").key("u1").value("one")).await?;
//! let second = producer.send(Record::to("orders").key("u1").value("two")).await?;
//! println!("{} {}", first.await?.offset, second.await?.offset);
//! producer.close().await;
//!
//! let mut consumer = client.consumer().topic("orders").start(Start::Beginning).build().await?;
//! while let Some(event) = consumer.next_event().await {
//!     match event {
//!         Event::Record(record) => println!("{}@{}", record.partition, record.offset),
//!         Event::CaughtUp { partition, .. } => println!("{partition}: nothing more at this moment"),
//!         Event::Error(error) => return Err(error),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod accumulator;
mod admin;
mod connection;
mod consumer;
mod convert;
mod dial;
mod fault;
mod group;
mod handle;
mod metadata;
mod partitioner;
mod producer;
mod reply;
mod retry;
mod segments;
mod stats;
mod types;

pub use crate::record::Codec;
pub use admin::{
    Admin, ChangedOffset, CreateTopic, DeleteTopic, Group, GroupListing, GroupMember, GroupOffset,
    GroupState, ListTopics, ListedGroups, TrimTopic, UpdateTopic,
};
pub(crate) use connection::read_addresses;
pub use consumer::{Consumer, ConsumerBuilder, Event};
pub use group::{GroupConsumer, GroupConsumerBuilder, GroupEvent, OutOfRange, OwnedPartition, Revocation};
pub use handle::{Client, ClientBuilder};
pub use producer::{CloseReport, Delivery, Producer, ProducerBuilder, Record, RecordMetadata};
pub use segments::{ListSegments, PartitionSegments, Segment, SegmentState};
pub use stats::{Problem, Stats, TopicStats, Traffic};
pub use types::{
    Acks, At, Broker, BrokerSetting, Cluster, ConfigKey, ConfigValue, ConsumerRecord, Durability,
    ListedOffset, Partition, Start, TimestampType, Topic, TopicRate, TrimmedPartition, UpdatedTopic,
};

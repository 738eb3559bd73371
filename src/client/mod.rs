//! The client library: [`Client`] with its producer, consumer and admin.
//!
//! It uses only the words, the record format and the wire types, never the broker's parts. Reading order: `handle`,
//! `producer`, `consumer`, `admin`; underneath `connection` (the only file that knows the gRPC library), `metadata`,
//! `retry`.

mod accumulator;
mod admin;
mod connection;
mod consumer;
mod convert;
mod fault;
mod handle;
mod metadata;
mod partitioner;
mod producer;
mod retry;
mod types;

pub use crate::record::Codec;
pub use admin::{Admin, CreateTopic, DeleteTopic, ListTopics, TrimTopic, UpdateTopic};
pub use consumer::{Consumer, ConsumerBuilder, Event};
pub use handle::{Client, ClientBuilder};
pub use producer::{CloseReport, Delivery, Producer, ProducerBuilder, Record, RecordMetadata};
pub use types::{
    Acks, At, Broker, BrokerSetting, Cluster, ConfigKey, ConfigValue, ConsumerRecord, Durability,
    ListedOffset, Partition, Start, TimestampType, Topic, TrimmedPartition, UpdatedTopic,
};

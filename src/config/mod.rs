//! Settings of topics and of the broker: what keys there are, and how text becomes typed settings.
//!
//! Pure: the text of a file and the environment come in as values. Reading order: [`def`] (what a key is), [`topic`],
//! [`broker`], then [`mod@load`] (which source wins).

pub mod broker;
pub mod def;
pub mod kafka;
pub mod load;
pub mod properties;
pub mod topic;

pub use broker::{BrokerSettings, Machine};
pub use def::ConfigError;
pub use load::{Source, load};
pub use topic::{CleanupPolicy, CompressionType, FlushMode, TimestampType, TopicConfig};

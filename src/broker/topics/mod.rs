//! Topics: made, looked at, changed, trimmed, deleted.
//!
//! Each request is first checked as a whole against the image, by a pure function that gives the commands or the reason
//! why not; `validate_only` ends there. Then the commands are committed, then folders and logs follow. What a client no
//! longer waits for is finished all the same. Reading order: [`request`], [`names`], [`create`], then the rest.

pub mod create;
pub mod delete;
pub mod describe;
pub mod folders;
pub mod glob;
pub mod names;
pub mod request;
pub mod segments;
pub mod settings;
pub mod trim;
pub mod update;

pub use request::{
    CreateTopic, DeleteTopic, ListTopics, PartitionDescription, TopicDescription, TopicPage, TrimTopic,
    TrimmedPartition, UpdateTopic, UpdatedTopic,
};
pub use segments::ListSegments;

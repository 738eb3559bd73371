//! Copies of partitions. One broker keeps one copy of each so far; [`partition`] is what everything above uses.

pub mod partition;

pub use partition::{Diverged, Partition, WrongTopicId};

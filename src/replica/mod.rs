//! Copies of partitions. One broker keeps one copy of each so far; [`partition`] is what everything above uses.

pub mod partition;

/// What the log says to whoever uses a partition.
pub use crate::log::{AppendError, ReadError, Ticket, Wait};
pub use partition::{Diverged, Partition, WrongTopicId};

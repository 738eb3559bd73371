//! Words that every layer uses: identifiers, offsets, times, sizes, names, limits, errors, the memory budget.
//!
//! Nothing here does I/O, reads a clock or draws randomness. Reading order: [`ids`], [`offset`],
//! [`error`], then the rest as needed.

pub mod budget;
pub mod closest;
pub mod error;
pub mod hash;
pub mod ids;
pub mod keyed_hash;
pub mod limits;
pub mod offset;
pub mod partitioner;
pub mod rules;
pub mod share;
pub mod size;
pub mod time;
pub mod topic_name;
pub mod varint;

pub use error::{Error, ErrorKind, Outcome};
pub use ids::{ClusterId, GroupId, InstanceId, MemberId, ProducerId, TopicId, TopicPartition};
pub use offset::{BytePosition, LeaderEpoch, MemberEpoch, Offset};
pub use time::Timestamp;

//! Reading as a member of a consumer group.
//!
//! A [`GroupConsumer`] shares the partitions of its topics with the other members of its group. A task holds the stream to the broker:
//! it takes records into a bounded queue, gives up partitions when the broker asks for them, commits, and comes back as the same member
//! after a lost connection, whether or not the application asks for records.
//!
//! INVARIANT: nothing of a partition is given out after it was revoked or lost, and a commit names the ownership epoch under which its
//! record was given out.
//!
//! Reading order: `event` (what the application sees), `consumer` (its calls), `state` (what it shares with the task) with `holding`
//! and `progress` (one partition), `giving` and `ownership` (what comes and goes); then `task` with `membership`, `commits` and
//! `revocation`; last `by_key`.

mod builder;
mod by_key;
mod commits;
mod consumer;
mod event;
mod giving;
mod holding;
mod lanes;
mod membership;
mod options;
mod ownership;
mod progress;
mod revocation;
mod state;
mod task;

pub use builder::GroupConsumerBuilder;
pub use consumer::GroupConsumer;
pub use event::{GroupEvent, OwnedPartition};
pub use options::OutOfRange;
pub use revocation::Revocation;

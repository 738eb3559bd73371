//! The group machine: consumer groups and their offsets, as records of one partition of `__consumer_offsets`.
//!
//! It follows Kafka's KIP-848. The broker computes who is to read what (the *target*); each member goes there by itself: it
//! lets go of what is not in its target, takes what is free, and keeps the rest without a pause ([`reconcile`]). Three numbers
//! guard this. The *group epoch* rises when members, subscriptions or topics change; the *target epoch* is the group epoch that
//! the target was computed for; the *ownership epoch* of a partition is the target epoch at which its owner took it, so it
//! rises with each owner, and a commit that names an older one is refused.
//!
//! Differences to Kafka: a member gets free partitions while it still lets go of others; each partition is free as soon as it is
//! let go; a member whose assignment does not change keeps its epoch; a static member's successor gets a new epoch.
//!
//! Invariants: a partition has at most one owner, and each owner an epoch of its own; a committed offset changes only by a commit or by the
//! end of its topic or group; a member whose target is the same keeps what it has; what a member has to let go, it lets go within its
//! rebalance timeout or is no longer a member.
//!
//! Reading order: [`command`], [`commands`], [`state`], [`reconcile`], [`shard`], [`assign`], [`records`].

pub mod assign;
mod changes;
mod claims;
pub mod command;
pub mod commands;
pub mod errors;
mod memory;
pub mod placement;
pub mod position;
mod reconcile;
pub mod records;
pub mod rules;
pub mod shard;
pub mod start;
mod state;
pub mod subscription;
pub mod topics;
pub mod views;
mod wanted;

pub use command::{GroupCommand, GroupReply, GroupSignal, GroupTimer};
pub use errors::GroupError;
pub use placement::coordinator_partition;
pub use shard::{GroupCounts, GroupShard};
pub use topics::{TopicFacts, Topics};

#[cfg(test)]
mod tests;

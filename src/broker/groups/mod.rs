//! Consumer groups: requests become commands of the group machine, and its signals reach those whom they concern.
//!
//! Everything that a group is lies in one partition of [`offsets_topic`]; [`hosts`] runs the machines over these partitions, and does
//! what they can't do themselves: arm timers, run assignors, look offsets up. Reading order: [`offsets_topic`], [`hosts`],
//! [`background`], [`membership`], [`offsets`], [`reset`], [`admin`], then [`session`] (one open stream of a member).

mod admin;
pub mod background;
pub mod errors;
pub mod frames;
mod hosts;
pub mod listeners;
mod membership;
mod offsets;
pub mod offsets_topic;
mod reset;
pub mod session;
#[cfg(test)]
mod tests;
pub mod topics_view;
mod turns;

pub use hosts::Groups;
pub use listeners::Listening;
pub use membership::{HeartbeatRequest, JoinRequest, parse_group, parse_member, subscription};
pub use offsets::OffsetCommit;
pub use session::Session;

/// Words of the group machine that doors need.
pub use crate::coordinator::group::commands::Owned;
pub use crate::coordinator::group::coordinator_partition;
pub use crate::coordinator::group::position::Committed;
pub use crate::coordinator::group::start::Start;
pub use crate::coordinator::group::views::{
    GroupDescription, GroupState, GroupSummary, MemberDescription as Member, MemberView,
};

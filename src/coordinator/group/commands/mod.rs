//! The commands of the group machine, one a file: what it carries, and how it is decided.
//!
//! Reading order: [`join`], [`heartbeat`], [`leave`], [`install_target`], [`topics_changed`], [`commit`], [`reset`], then the rest.

pub mod commit;
pub mod delete_group;
pub mod delete_offsets;
pub mod describe_group;
pub mod disconnect;
pub mod get_offsets;
pub mod heartbeat;
pub mod install_target;
pub mod join;
pub mod leave;
pub mod list_groups;
pub mod reset;
pub mod topics_changed;

pub use commit::Commit;
pub use delete_group::DeleteGroup;
pub use delete_offsets::DeleteOffsets;
pub use describe_group::DescribeGroup;
pub use disconnect::Disconnect;
pub use get_offsets::GetOffsets;
pub use heartbeat::Heartbeat;
pub use install_target::InstallTarget;
pub use join::{Join, Owned};
pub use leave::Leave;
pub use list_groups::ListGroups;
pub use reset::Reset;
pub use topics_changed::TopicsChanged;

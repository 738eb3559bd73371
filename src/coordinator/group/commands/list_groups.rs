//! List groups: which there are.

use super::super::shard::GroupShard;
use super::super::state::Group;
use super::super::views::GroupSummary;
use crate::base::GroupId;

/// Asks for all groups of the shard.
///
/// Errors: none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListGroups;

impl ListGroups {
    /// All groups, by name.
    pub(in super::super) fn decide(self, shard: &GroupShard) -> Vec<GroupSummary> {
        let summary = |(id, group): (&GroupId, &Group)| GroupSummary {
            group: id.clone(),
            state: group.state(),
            members: group.member_count(),
            offsets: group.offsets.len(),
        };
        shard.groups.iter().map(summary).collect()
    }
}

//! Delete offsets: a group forgets its place in some partitions.

use super::super::errors::{AdminError, DeleteOffsetError};
use super::super::position::PartitionName;
use super::super::records::GroupRecord;
use super::super::shard::GroupShard;
use crate::base::GroupId;
use crate::coordinator::Effects;

/// Deletes committed offsets, each by itself; refused for topics that members are subscribed to.
///
/// Errors: [`AdminError::NotFound`] for all,
/// [`DeleteOffsetError`] for one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeleteOffsets {
    /// The group.
    pub group: GroupId,
    /// By name, so that those of topics that are gone can be named as well.
    pub partitions: Vec<PartitionName>,
}

impl DeleteOffsets {
    /// Ends the offsets that may go; one result for each.
    pub(in super::super) fn decide(
        self,
        shard: &GroupShard,
        out: &mut Effects<GroupShard>,
    ) -> Result<Vec<Result<(), DeleteOffsetError>>, AdminError> {
        let Some(at) = shard.group(&self.group) else {
            return Err(AdminError::NotFound { group: self.group });
        };
        let mut delete = |name: PartitionName| {
            if at.group.wanted.has(&name.topic) {
                return Err(DeleteOffsetError::Subscribed);
            }
            if !at.group.offsets.contains_key(&name) {
                return Err(DeleteOffsetError::NotFound);
            }
            out.records.push(GroupRecord::Offset(at.id.clone(), name, None).encode());
            Ok(())
        };
        Ok(self.partitions.into_iter().map(&mut delete).collect())
    }
}

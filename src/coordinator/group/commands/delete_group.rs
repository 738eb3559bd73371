//! Delete group: a group without members goes, and its offsets with it.

use super::super::command::GroupReply;
use super::super::errors::AdminError;
use super::super::records::GroupRecord;
use super::super::shard::GroupShard;
use crate::base::GroupId;
use crate::coordinator::Effects;

/// Deletes a group with all its offsets.
///
/// Errors: [`AdminError`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeleteGroup {
    /// The group.
    pub group: GroupId,
}

impl DeleteGroup {
    /// Ends every record of the group.
    pub(in super::super) fn decide(
        self,
        shard: &GroupShard,
        out: &mut Effects<GroupShard>,
    ) -> Result<GroupReply, AdminError> {
        let id = || self.group.clone();
        let Some(at) = shard.group(&self.group) else { return Err(AdminError::NotFound { group: id() }) };
        match at.group.member_count() {
            0 => {}
            members => return Err(AdminError::NotEmpty { members }),
        }
        let mut ends = Vec::new();
        ends.extend(at.group.offsets.keys().map(|name| GroupRecord::Offset(id(), name.clone(), None)));
        for member in at.group.row_ids() {
            ends.push(GroupRecord::Current(id(), member.clone(), None));
            ends.push(GroupRecord::Target(id(), member.clone(), None));
        }
        ends.extend(at.group.target_epoch.map(|_| GroupRecord::TargetEpoch(id(), None)));
        ends.extend(at.group.head.map(|_| GroupRecord::Group(id(), None)));
        out.records.extend(ends.iter().map(GroupRecord::encode));
        Ok(GroupReply::Done)
    }
}

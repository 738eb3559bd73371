//! Leave: a member says goodbye.

use super::super::command::GroupReply;
use super::super::errors::MemberError;
use super::super::shard::GroupShard;
use crate::base::{GroupId, MemberId};
use crate::coordinator::Effects;

/// A member leaves: what it owned is free at once.
///
/// Errors: [`MemberError`], unknown only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leave {
    /// The group.
    pub group: GroupId,
    /// The member.
    pub member_id: MemberId,
    /// A static member keeps its assignment for its session timeout, for a successor; others leave all the same.
    pub keep: bool,
}

impl Leave {
    /// Ends the member, or runs the session timer of one that keeps its place.
    pub(in super::super) fn decide(
        self,
        shard: &GroupShard,
        out: &mut Effects<GroupShard>,
    ) -> Result<GroupReply, MemberError> {
        let (at, member) = shard.member(&self.group, &self.member_id)?;
        if self.keep && member.membership.instance_id.is_some() {
            at.hear(member, false, out);
            // WHY: as of a lost stream, its word may come after the member opened another one.
            at.wake(member.id, out);
        } else {
            at.remove(member, out);
        }
        Ok(GroupReply::Done)
    }
}

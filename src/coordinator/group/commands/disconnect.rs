//! Disconnect: the stream behind a member was lost.

use super::super::command::GroupReply;
use super::super::errors::MemberError;
use super::super::shard::GroupShard;
use crate::base::{GroupId, MemberId};
use crate::coordinator::Effects;

/// The stream of a member was lost: it keeps everything, and has its session timeout to come back. Writes nothing.
///
/// Errors: [`MemberError`], unknown only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Disconnect {
    /// The group.
    pub group: GroupId,
    /// The member.
    pub member_id: MemberId,
}

impl Disconnect {
    /// Runs the session timer.
    pub(in super::super) fn decide(
        self,
        shard: &GroupShard,
        out: &mut Effects<GroupShard>,
    ) -> Result<GroupReply, MemberError> {
        let (at, member) = shard.member(&self.group, &self.member_id)?;
        at.hear(member, false, out);
        // WHY: the word of a lost stream may come after the member opened another one.
        at.wake(member.id, out);
        Ok(GroupReply::Done)
    }
}

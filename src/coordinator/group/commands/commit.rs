//! Commit: a group's place in partitions is kept.

use super::super::changes::GroupRef;
use super::super::errors::{CommitError, MemberError, PositionError};
use super::super::position::{Committed, Position, check_metadata};
use super::super::records::{Current, GroupRecord};
use super::super::rules::GroupRule;
use super::super::shard::GroupShard;
use crate::base::{GroupId, MemberEpoch, MemberId};
use crate::coordinator::{Effects, Now};

/// Keeps offsets, each by itself: one that is refused holds no other back. A later commit replaces an earlier one, to whichever side.
///
/// Of a member: it has to own the partition, or to be letting it go, and to name an epoch that is not older than its ownership. Without
/// member: while the group has none; a group that does not exist is made.
///
/// Errors: [`CommitError`] for all,
/// [`PositionError`] for one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commit {
    /// The group.
    pub group: GroupId,
    /// Who commits, and the epoch at which it read.
    pub member: Option<(MemberId, MemberEpoch)>,
    /// What to keep.
    pub positions: Vec<Position>,
}

/// Who commits.
enum Committer {
    /// A member that owns this, with the epoch that it named.
    Member(Current, MemberEpoch),
    /// Somebody from outside, while there is no member.
    Outsider,
}

impl Commit {
    /// Writes the offsets that are in order; one result for each.
    pub(in super::super) fn decide(
        self,
        shard: &GroupShard,
        now: Now,
        out: &mut Effects<GroupShard>,
    ) -> Result<Vec<Result<(), PositionError>>, CommitError> {
        let at = shard.group(&self.group);
        let committer = self.committer(shard, at)?;
        let may_be_old = at.is_some_and(|at| !at.holds(GroupRule::CommitInEpoch));
        let may_be_others = at.is_some_and(|at| !at.holds(GroupRule::CommitAsOwner));
        let mut results = Vec::with_capacity(self.positions.len());
        for position in self.positions {
            let result = match check(&position).and_then(|()| committer.check(&position)) {
                Err(PositionError::Stale { .. }) if may_be_old => Ok(()),
                Err(PositionError::NotOwner) if may_be_others => Ok(()),
                result => result,
            };
            if result.is_ok() {
                let name = position.name();
                let committed = Committed { position, committed: now.wall };
                out.records.push(GroupRecord::Offset(self.group.clone(), name, Some(committed)).encode());
            }
            results.push(result);
        }
        Ok(results)
    }

    /// Whether an offset is the first of its partition, or its text is longer than the one before.
    pub(in super::super) fn adds(&self, shard: &GroupShard) -> bool {
        adds(shard, &self.group, &self.positions)
    }

    fn committer(&self, shard: &GroupShard, at: Option<GroupRef<'_>>) -> Result<Committer, CommitError> {
        let Some((id, epoch)) = &self.member else {
            let members = at.map_or(0, |at| at.group.member_count());
            let alone = members == 0 || at.is_some_and(|at| !at.holds(GroupRule::CommitAlone));
            return if alone { Ok(Committer::Outsider) } else { Err(CommitError::NotEmpty { members }) };
        };
        let (_, member) = shard.member(&self.group, id).map_err(CommitError::Member)?;
        let current = member.current();
        if *epoch > current.epoch {
            let fenced = MemberError::Fenced { current: current.epoch, given: *epoch };
            return Err(CommitError::Member(fenced));
        }
        Ok(Committer::Member(current, *epoch))
    }
}

impl Committer {
    /// Whether it may commit for this partition.
    fn check(&self, position: &Position) -> Result<(), PositionError> {
        let Self::Member(current, given) = self else { return Ok(()) };
        let owned_since = current.owned_since(&position.id()).ok_or(PositionError::NotOwner)?;
        if *given < owned_since {
            return Err(PositionError::Stale { owned_since, given: *given });
        }
        Ok(())
    }
}

/// Whether a position is the first of its partition, or its text is longer than the one before.
pub(super) fn adds(shard: &GroupShard, group: &GroupId, positions: &[Position]) -> bool {
    let Some(at) = shard.group(group) else { return true };
    positions.iter().any(|position| {
        let kept = at.group.offsets.get(&position.name());
        kept.is_none_or(|kept| kept.position.metadata.len() < position.metadata.len())
    })
}

fn check(position: &Position) -> Result<(), PositionError> {
    if position.offset < 0 {
        return Err(PositionError::Offset { offset: position.offset });
    }
    check_metadata(&position.metadata)
}

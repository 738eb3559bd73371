//! Reset: where a group goes on is set from outside, in all partitions or in none.

use super::super::errors::{CommitError, PositionError};
use super::super::position::Position;
use super::super::shard::GroupShard;
use super::commit::{Commit, adds};
use crate::base::GroupId;
use crate::coordinator::{Effects, Now};

/// Keeps all these offsets, or none: one that is refused holds the others back, and they go in one batch, of which a crash leaves all or
/// nothing. While the group has no members; a group that does not exist is made.
///
/// Errors: [`CommitError`] for all,
/// [`PositionError`] for one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reset {
    /// The group.
    pub group: GroupId,
    /// What to keep.
    pub positions: Vec<Position>,
}

impl Reset {
    /// Writes the offsets where all are in order; one result for each.
    pub(in super::super) fn decide(
        self,
        shard: &GroupShard,
        now: Now,
        out: &mut Effects<GroupShard>,
    ) -> Result<Vec<Result<(), PositionError>>, CommitError> {
        let commit = Commit { group: self.group, member: None, positions: self.positions };
        let results = commit.decide(shard, now, out)?;
        if results.iter().any(Result::is_err) {
            out.records.clear();
        }
        out.in_one_batch = true;
        Ok(results)
    }

    /// Whether an offset is the first of its partition, or its text is longer than the one before.
    pub(in super::super) fn adds(&self, shard: &GroupShard) -> bool {
        adds(shard, &self.group, &self.positions)
    }
}

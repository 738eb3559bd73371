//! Commits that are carried out at once: each offset is checked by itself, and each frame is answered by itself.

use super::held::Holdings;
use crate::base::{Error, ErrorKind};
use crate::broker::groups::errors::position_error;
use crate::broker::groups::frames::{CommitFrame, CommitResult};
use crate::broker::groups::offsets::OffsetCommit;

/// Some commits of a member, in the order in which they came.
pub struct Commits {
    results: Vec<CommitResult>,
    /// What may be kept: one for each result that is `Ok` so far, in their order.
    offsets: Vec<OffsetCommit>,
}

impl Commits {
    /// Checks what the member may commit.
    pub(super) fn new(frames: Vec<CommitFrame>, holdings: &Holdings) -> Self {
        let mut offsets = Vec::new();
        let mut check = |(commit, epoch): (OffsetCommit, _)| {
            let (topic, partition) = (commit.topic.clone(), commit.partition);
            let checked = holdings.check_owner(&topic, partition, epoch);
            let result = checked.map_err(|error| position_error(&topic, partition, &error));
            offsets.extend(result.is_ok().then_some(commit));
            (topic, partition, result)
        };
        let results = frames.into_iter().map(|frame| CommitResult {
            sequence: frame.sequence,
            size_bytes: frame.size_bytes(),
            partitions: frame.offsets.into_iter().map(&mut check).collect(),
        });
        Self { results: results.collect(), offsets }
    }

    /// What is to be kept, in its order.
    pub fn take_offsets(&mut self) -> Vec<OffsetCommit> {
        std::mem::take(&mut self.offsets)
    }

    /// What became of each frame, once what was to be kept came to this. Where all of it failed, each offset is told so: it may be
    /// sent again.
    ///
    /// Errors: the committer is no member any more, or the broker stops.
    pub(super) fn settle(mut self, outcome: Outcome) -> Result<Vec<CommitResult>, Error> {
        let asked = self.results.iter_mut().flat_map(|frame| &mut frame.partitions);
        let kept = asked.map(|(_, _, result)| result).filter(|result| result.is_ok());
        match outcome {
            Ok(outcome) => kept.zip(outcome).for_each(|(result, outcome)| *result = outcome),
            Err(error) if is_the_end(&error) => return Err(error),
            Err(error) => kept.for_each(|result| *result = Err(again(&error))),
        }
        Ok(self.results)
    }
}

/// What a commit came to: one result for each offset, or why none was kept.
pub type Outcome = Result<Vec<Result<(), Error>>, Error>;

/// Whether nothing that the member says counts any more.
fn is_the_end(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::UnknownMember | ErrorKind::MemberFenced | ErrorKind::ShuttingDown)
}

/// The same error once more, without what caused it.
fn again(error: &Error) -> Error {
    let mut again = Error::new(error.kind, error.message.clone()).outcome(error.outcome);
    again.metadata = error.metadata.clone();
    again
}

//! Rules that a test can take out, to show that it would notice: those of the log, and how those of a machine are named.
//!
//! Only with the cargo feature `fault`, which no build for users has: the environment variable `RULE_OUT` names the rule that
//! does not hold then. Without the feature every rule holds, and asking costs nothing.

use crate::base::rules::Rules;

/// A rule that keeps a promise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// Log files are synced before an acknowledgement at `flush=ack`.
    SyncLog,
    /// Sequences of producers are checked before an append.
    CheckSequence,
    /// A start after an unclean end raises the leader epochs.
    RaiseEpoch,
    /// Stored bytes are checked the first time that they are read.
    CheckInterval,
    /// After a failed write the file is cut back before the answer `not written`.
    CutBack,
    /// A failed sync takes the partition offline.
    GoOffline,
    /// After a failed sync of the file system each file is synced by itself.
    SyncEachFile,
    /// A round of syncs in which a file could not even be opened is tried again.
    TryAgain,
    /// Connections leave descriptors for files.
    SpareDescriptors,
    /// User appends are refused while free space is below the reserve.
    KeepReserve,
    /// While the disk stands still appends are left to the writer thread.
    LeaveToWriter,
    /// A fetch lets others have their turn after each partition.
    GiveWay,
    /// The writer thread writes a part for each log in turn.
    TakeTurns,
    /// A deleted topic's folders are moved away before the reply.
    MoveDeleted,
    /// The folders that deletes and strangers are moved to are there before anybody needs them.
    MakePlaces,
    /// Folders of deleted topics that could not be moved away are left for the next start to try again.
    KeepDeleting,
    /// What recovery sets aside takes the place of nothing.
    KeepSetAside,
    /// Append time never goes back within a log.
    KeepTimesInOrder,
    /// After a leap of the wall clock retention by time goes one segment at a time.
    GoSlow,
    /// A start after an unclean end reads what lies above the durable point only.
    TrustDurablePoint,
    /// Below the durable point nothing is cut.
    KeepBelowPoint,
    /// Leader epochs that were not written down truly are made again from the batches.
    RebuildEpochs,
    /// What is not synced before its acknowledgement is synced when it is due.
    SyncWhenDue,
    /// Retention takes the segment that is written to as well.
    ExpireActive,
    /// An offset by time is looked for from the last entry of the time index below that time.
    SearchByTime,
    /// A partition whose folder is missing is offline, and not made anew.
    MissFolder,
    /// A trim is in the metadata before its reply.
    NoteTrim,
    /// A file of Weir's own is taken for damaged where its checksum does not fit.
    CheckFile,
    /// A slot of the flush journal is taken for true only where its checksum fits.
    CheckJournal,
    /// A first start marks its directory before it makes anything else there.
    MarkFormatting,
    /// What compaction has written is synced before it takes the place of what it replaces.
    SyncCleaned,
    /// Side files of a segment go before another log file takes its place.
    UnlinkSides,
    /// What a coordinator answers is committed first.
    AwaitCommit,
    /// A stop leaves peers that say nothing behind, at its deadline everybody.
    KeepDeadline,
}

impl Rule {
    /// Whether it holds.
    pub fn holds(self) -> bool {
        !is_out(&self)
    }
}

/// The rules of a machine that hold in this process: of `all`, but for the one that the environment names.
pub fn rules_of<R: Copy + PartialEq + std::fmt::Debug>(all: &[R]) -> Rules<R> {
    Rules::without(all.iter().copied().find(|rule| is_out(rule)))
}

#[cfg(not(feature = "fault"))]
const fn is_out<R>(_rule: &R) -> bool {
    false
}

/// Whether it is the one that is named, here or of another machine.
#[cfg(feature = "fault")]
fn is_out(rule: &impl std::fmt::Debug) -> bool {
    static OUT: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let out = OUT.get_or_init(|| std::env::var("RULE_OUT").ok());
    out.as_deref() == Some(&*format!("{rule:?}"))
}

//! Rules of the group machine that a test can take out, to show that it would notice.
//!
//! Only in unit tests and with the cargo feature `fault`, which no build for users has. Else every rule holds, and asking costs nothing.

/// A rule that keeps a promise.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum GroupRule {
    /// A partition is taken only when nobody owns it.
    TakeFreeOnly,
    /// A member keeps what its target has.
    KeepAssigned,
    /// What is to be let go stays its owner's until it says so.
    WaitForRelease,
    /// A release wakes the member whose target has the partition.
    WakeNext,
    /// A member that does not let go in time is removed.
    FenceSlow,
    /// A member that is silent for too long is removed.
    ExpireSilent,
    /// A target for an older group epoch is dropped.
    DropOldTarget,
    /// Members commit for partitions that they own.
    CommitAsOwner,
    /// A commit names an epoch that is not older than the ownership.
    CommitInEpoch,
    /// Without being a member one commits only while there are none.
    CommitAlone,
    /// An offset counts only for the topic that it was committed for.
    MatchTopicId,
    /// The member before a static member's successor is removed.
    FenceReplaced,
    /// A successor owns what it takes over in an epoch of its own.
    RaiseForSuccessor,
    /// A load arms all timers.
    ArmOnLoad,
    /// A load asks for targets that are missing.
    AssignOnLoad,
}

impl GroupRule {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::TakeFreeOnly,
        Self::KeepAssigned,
        Self::WaitForRelease,
        Self::WakeNext,
        Self::FenceSlow,
        Self::ExpireSilent,
        Self::DropOldTarget,
        Self::CommitAsOwner,
        Self::CommitInEpoch,
        Self::CommitAlone,
        Self::MatchTopicId,
        Self::FenceReplaced,
        Self::RaiseForSuccessor,
        Self::ArmOnLoad,
        Self::AssignOnLoad,
    ];
}

//! What a run may do without, to show that the invariants would notice.

use weir::coordinator::group::rules::GroupRule;
use weir::env::sim_disk::Ignore;

/// A rule that does not hold in a run.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum SimRule {
    /// One of the group machine.
    Group(GroupRule),
    /// Syncs do nothing.
    Disk(Ignore),
    /// A member commits what it has worked on, not more.
    CommitAfterWork,
    /// A member begins where the group stands.
    BeginAtCommitted,
    /// A member that has joined asks again before it reads: it may be a member no more.
    AskAfterJoin,
    /// A member with a stream says so with every heartbeat: nobody waits for it.
    SayConnected,
    /// Members answer for their own partitions only: who lost its stream does not read on.
    StopWhenLost,
}

impl SimRule {
    /// Those that this build can take out: the group machine's with the feature `fault` only.
    pub(super) fn all() -> Vec<Self> {
        let groups = GroupRule::ALL.into_iter().filter(|_| cfg!(feature = "fault")).map(Self::Group);
        let others = [
            Self::Disk(Ignore::SyncData),
            Self::CommitAfterWork,
            Self::BeginAtCommitted,
            Self::AskAfterJoin,
            Self::SayConnected,
            Self::StopWhenLost,
        ];
        groups.chain(others).collect()
    }
}

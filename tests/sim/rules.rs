//! What a run may do without, to show that the invariants would notice.

use weir::broker::groups::session::rules::SessionRule;
use weir::coordinator::group::rules::GroupRule;
use weir::env::sim_disk::Ignore;

/// A rule that does not hold in a run.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum SimRule {
    /// One of the group machine.
    Group(GroupRule),
    /// One of the broker's half of a member's stream.
    Session(SessionRule),
    /// Syncs do nothing.
    Disk(Ignore),
    /// A member commits what it has worked on, not more.
    CommitAfterWork,
    /// A member begins where the group stands.
    BeginAtCommitted,
    /// A member with a stream says so with every heartbeat: nobody waits for it.
    SayConnected,
    /// Members answer for their own partitions only: who lost its stream does not read on.
    StopWhenLost,
}

impl SimRule {
    /// Whether a world that notices it is one of hundreds or thousands: runs of fewer leave it out.
    pub(super) fn is_rare(self) -> bool {
        let rare = [
            Self::Group(GroupRule::MatchTopicId),
            Self::Session(SessionRule::CommitSince),
            Self::Session(SessionRule::MissWhoStays),
        ];
        rare.contains(&self)
    }

    /// Those that this build can take out: those of the group machine and of streams with the feature `fault` only.
    pub(super) fn all() -> Vec<Self> {
        let groups = GroupRule::ALL.into_iter().filter(|_| cfg!(feature = "fault")).map(Self::Group);
        let streams = SessionRule::ALL.into_iter().filter(|_| cfg!(feature = "fault")).map(Self::Session);
        let others = [
            Self::Disk(Ignore::SyncData),
            Self::CommitAfterWork,
            Self::BeginAtCommitted,
            Self::SayConnected,
            Self::StopWhenLost,
        ];
        groups.chain(streams).chain(others).collect()
    }
}

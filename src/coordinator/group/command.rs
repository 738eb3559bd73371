//! What the group machine is asked, what it answers, its timers and its signals.

use super::commands::{
    Commit, DeleteGroup, DeleteOffsets, DescribeGroup, Disconnect, GetOffsets, Heartbeat, InstallTarget,
    Join, Leave, ListGroups, Reset, TopicsChanged,
};
use super::errors::{DeleteOffsetError, PositionError};
use super::position::Committed;
use super::views::{GroupDescription, GroupSummary, MemberView};
use crate::base::{GroupId, MemberId};

/// A command to the group machine; each is described where its fields are.
#[derive(Clone)]
pub enum GroupCommand {
    /// Answered by [`GroupReply::Member`].
    Join(Join),
    /// Answered by [`GroupReply::Member`].
    Heartbeat(Heartbeat),
    /// Answered by [`GroupReply::Done`].
    Disconnect(Disconnect),
    /// Answered by [`GroupReply::Done`].
    Leave(Leave),
    /// Answered by [`GroupReply::Done`].
    InstallTarget(InstallTarget),
    /// Answered by [`GroupReply::Done`].
    TopicsChanged(TopicsChanged),
    /// Answered by [`GroupReply::Committed`].
    Commit(Commit),
    /// Answered by [`GroupReply::Committed`].
    Reset(Reset),
    /// Answered by [`GroupReply::Offsets`].
    GetOffsets(GetOffsets),
    /// Answered by [`GroupReply::Groups`].
    ListGroups(ListGroups),
    /// Answered by [`GroupReply::Group`].
    DescribeGroup(DescribeGroup),
    /// Answered by [`GroupReply::Done`].
    DeleteGroup(DeleteGroup),
    /// Answered by [`GroupReply::Deleted`].
    DeleteOffsets(DeleteOffsets),
}

/// An answer of the group machine. Those to commands that only read are true of everything that was replayed; they too wait
/// until what they saw is committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupReply {
    /// What the member has to know.
    Member(MemberView),
    /// It is so.
    Done,
    /// One result for each position, in the order of the command.
    Committed(Vec<Result<(), PositionError>>),
    /// Those that there are, by topic name and partition.
    Offsets(Vec<Committed>),
    /// By name.
    Groups(Vec<GroupSummary>),
    /// The group.
    Group(GroupDescription),
    /// One result for each partition, in the order of the command.
    Deleted(Vec<Result<(), DeleteOffsetError>>),
}

/// A timer of the group machine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum GroupTimer {
    /// The member was not heard of for its session timeout.
    Session {
        /// The group.
        group: GroupId,
        /// The member.
        member: MemberId,
    },
    /// The member did not let go within its rebalance timeout.
    Revocation {
        /// The group.
        group: GroupId,
        /// The member.
        member: MemberId,
    },
}

/// What others are to know of.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum GroupSignal {
    /// A new target is to be computed: ask [`GroupShard::assignment_input`](super::GroupShard::assignment_input), run
    /// [`assign`](super::assign::assign) elsewhere, come back with [`InstallTarget`].
    Assign {
        /// The group.
        group: GroupId,
    },
    /// The member's next heartbeat counts: it has to let go of something, or what it waits for is free, or nobody knows here that its
    /// stream stands.
    Wake {
        /// The group.
        group: GroupId,
        /// The member.
        member: MemberId,
    },
    /// The member is no longer one: it left, was silent for too long, or another took its place. Its stream, if there is one, ends.
    Fenced {
        /// The group.
        group: GroupId,
        /// The member.
        member: MemberId,
    },
}

//! What happens in a run, as the invariants see it.

use weir::base::{GroupId, MemberEpoch, MemberId, Offset, TopicPartition};

/// A group's place: who reads it is what groups are about.
pub(super) type GroupPlace = (GroupId, TopicPartition);

/// Who owns a partition, and since which epoch.
pub(super) type Owner = (MemberId, MemberEpoch);

/// Who commits without being a member, as an operator does.
pub(super) const OUTSIDER: &str = "outsider";

/// One thing that happened. Nothing in it comes from the reasons of the machine that is tested, but for [`Event::Owned`],
/// [`Event::Committed`] and what follows from them, which are read from the coordinator's log once it is durable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Event {
    /// A producer sends a record. `value` is in no other record, and rises.
    Sent { place: TopicPartition, key: u32, value: u64 },
    /// A producer was told where its record is.
    Acknowledged { place: TopicPartition, offset: Offset, key: u32, value: u64 },
    /// A producer was told that its record is not written.
    NotWritten { place: TopicPartition, value: u64 },
    /// Records below were removed on purpose, or may have been.
    Removed { place: TopicPartition, below: Offset },
    /// The topic of the partition is gone.
    Gone { place: TopicPartition },
    /// The coordinator's log says who owns a partition.
    Owned { place: GroupPlace, owner: Option<Owner> },
    /// The coordinator's log holds a committed offset; `commit` is the one that asked for it, `None` a start of the broker's own.
    Committed { place: GroupPlace, offset: Offset, commit: Option<u64> },
    /// The coordinator's log holds no offset any more.
    Forgotten { place: GroupPlace },
    /// The coordinator's log holds nothing of a group any more.
    Ended { group: GroupId },
    /// A member asks for an offset to be kept.
    Commits { commit: u64, place: GroupPlace, owner: Owner, offset: Offset },
    /// The member is told that it is kept.
    CommitAccepted { commit: u64 },
    /// A member begins to read; `committed` is what the broker said.
    Begun { place: GroupPlace, owner: Owner, offset: Offset, committed: Option<Offset> },
    /// A member goes on behind records that were removed.
    Skipped { place: GroupPlace, to: Offset },
    /// A record was given to a member, which has worked on it.
    Processed { place: GroupPlace, owner: Owner, offset: Offset, value: u64 },
    /// A member is told to let go; `is_target`: it is to own the partition all the same.
    Revoked { place: GroupPlace, member: MemberId, is_target: bool },
    /// A member with a stream learns that a partition of a living topic is not its own any more, and was not asked to let go.
    Lost { place: GroupPlace, member: MemberId },
    /// A member was removed though it did not leave and nobody took its place.
    Expired {
        member: MemberId,
        was_connected: bool,
        silent_ms: u64,
        session_timeout_ms: u64,
        revoking_ms: u64,
        rebalance_timeout_ms: u64,
    },
    /// What the coordinator knows, and what follows from all records of its log that ever were.
    Compared { live: String, history: String },
    /// All faults are over, everybody had time: what a group still has to read.
    Drained { place: GroupPlace, owners: usize, lag: i64 },
    /// A stored record, read at the end; places in turn, offsets rising.
    Stored { place: TopicPartition, offset: Offset, key: u32, value: Option<u64>, is_compacted: bool },
    /// Everything stored was told.
    End,
}

//! Offsets, byte positions and epochs.
//!
//! They are plain integers because they live in stored formats and in arithmetic on every record; the
//! names keep signatures readable, and overflow is checked by the compiler in every build profile.

/// Number of a record in its partition, from 0. The next record to be written has the log end offset.
pub type Offset = i64;

/// Byte in a file, from 0.
pub type BytePosition = u64;

/// Number of a leadership of a partition. Rises at every unclean start and every change of leader; a
/// pair (leader epoch, offset) never names two records.
pub type LeaderEpoch = i32;

/// Number of a group's membership, of an assignment, or of what a member has taken over of it. Rises only.
pub type MemberEpoch = i32;

/// Stands for "no offset known" in replies.
pub const NO_OFFSET: Offset = -1;

/// Stands for "no leader epoch known" in requests and replies.
pub const NO_EPOCH: LeaderEpoch = -1;

//! Why the group machine refuses: one small enum for each kind of command.

use std::fmt;
use std::sync::Arc;

use crate::base::limits::{
    GROUP_MEMBERS_MAX, OFFSET_METADATA_BYTES_MAX, PATTERN_BYTES_MAX, REBALANCE_TIMEOUT_MS_MAX,
    SESSION_TIMEOUT_MS_MAX, SESSION_TIMEOUT_MS_MIN, SUBSCRIPTION_TOPICS_MAX, TOPIC_NAME_BYTES_MAX,
};
use crate::base::{GroupId, MemberEpoch, MemberId, Offset};

/// Why a subscription is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InvalidSubscription {
    /// It has neither names nor a pattern.
    Empty,
    /// It has too many names.
    TooMany {
        /// How many.
        names: usize,
    },
    /// A name can't be that of a topic.
    Name {
        /// The name.
        name: Arc<str>,
    },
    /// The pattern is empty or too long.
    PatternLength {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The pattern is no regular expression, or takes too much memory.
    Pattern {
        /// What the parser says.
        reason: String,
    },
}

impl fmt::Display for InvalidSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the subscription names no topic and has no pattern"),
            Self::TooMany { names } => write!(
                f,
                "the subscription names {names} topics, at most {SUBSCRIPTION_TOPICS_MAX} are allowed; use a pattern"
            ),
            Self::Name { name } => {
                let bytes = name.len();
                write!(
                    f,
                    "a topic name has 1 to {TOPIC_NAME_BYTES_MAX} bytes, one of those subscribed to has {bytes}"
                )
            }
            Self::PatternLength { bytes } => {
                write!(f, "a pattern has 1 to {PATTERN_BYTES_MAX} bytes, this one has {bytes}")
            }
            Self::Pattern { reason } => write!(f, "the pattern is no regular expression: {reason}"),
        }
    }
}

/// Why a join is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JoinError {
    /// The subscription breaks a rule.
    Subscription(InvalidSubscription),
    /// The session timeout is out of range.
    SessionTimeout {
        /// What was asked for, in ms.
        ms: i32,
    },
    /// The rebalance timeout is out of range.
    RebalanceTimeout {
        /// What was asked for, in ms.
        ms: i32,
    },
    /// The group has as many members as it may have.
    Full,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscription(reason) => reason.fmt(f),
            Self::SessionTimeout { ms } => write!(
                f,
                "a session timeout lies between {SESSION_TIMEOUT_MS_MIN} and {SESSION_TIMEOUT_MS_MAX} ms, {ms} does not"
            ),
            Self::RebalanceTimeout { ms } => write!(
                f,
                "a rebalance timeout lies between {SESSION_TIMEOUT_MS_MIN} and {REBALANCE_TIMEOUT_MS_MAX} ms, {ms} does not"
            ),
            Self::Full => write!(f, "the group has {GROUP_MEMBERS_MAX} members, more are not allowed"),
        }
    }
}

/// Why a member is not heard: heartbeat, disconnect, leave, commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MemberError {
    /// The group has no such member: it left, was taken for dead, or another took its place. It may join anew.
    Unknown {
        /// The group.
        group: GroupId,
        /// Who asked.
        member: MemberId,
    },
    /// The epoch is not the member's: what it believes to own may be another's. It has to join again.
    Fenced {
        /// Its epoch here.
        current: MemberEpoch,
        /// The one that it named.
        given: MemberEpoch,
    },
    /// The new subscription breaks a rule.
    Subscription(InvalidSubscription),
}

impl fmt::Display for MemberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { group, member } => {
                write!(f, "group '{group}' has no member '{member}' any more; join again")
            }
            Self::Fenced { current, given } => {
                write!(f, "the member's epoch is {current}, not {given}; join again")
            }
            Self::Subscription(reason) => reason.fmt(f),
        }
    }
}

/// Why a commit as a whole is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CommitError {
    /// The member is unknown or fenced.
    Member(MemberError),
    /// Only members commit while there are any.
    NotEmpty {
        /// How many there are.
        members: usize,
    },
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(reason) => reason.fmt(f),
            Self::NotEmpty { members } => {
                write!(f, "the group has {members} members: only they commit; stop them first")
            }
        }
    }
}

/// Why one offset of a commit is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PositionError {
    /// The member does not own the partition.
    NotOwner,
    /// The partition has come to the member again since: what it read before may have been read by another.
    Stale {
        /// Epoch from which on the member owns it.
        owned_since: MemberEpoch,
        /// The one that the commit named.
        given: MemberEpoch,
    },
    /// Offsets are not negative.
    Offset {
        /// The offset.
        offset: Offset,
    },
    /// The text beside it is too long.
    Metadata {
        /// Its length in bytes.
        bytes: usize,
    },
}

impl fmt::Display for PositionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOwner => write!(f, "the partition is not the member's"),
            Self::Stale { owned_since, given } => {
                write!(
                    f,
                    "the member owns the partition since epoch {owned_since}, the commit is of epoch {given}"
                )
            }
            Self::Offset { offset } => write!(f, "{offset} is no offset"),
            Self::Metadata { bytes } => {
                write!(f, "the metadata has {bytes} bytes, at most {OFFSET_METADATA_BYTES_MAX} are allowed")
            }
        }
    }
}

/// Why a group is not described or deleted, or its offsets not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AdminError {
    /// There is no such group.
    NotFound {
        /// The group.
        group: GroupId,
    },
    /// It has members.
    NotEmpty {
        /// How many.
        members: usize,
    },
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { group } => write!(f, "there is no group '{group}'"),
            Self::NotEmpty { members } => write!(f, "the group has {members} members; stop them first"),
        }
    }
}

/// Why one committed offset is not deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeleteOffsetError {
    /// A member is subscribed to the topic.
    Subscribed,
    /// There is none.
    NotFound,
}

impl fmt::Display for DeleteOffsetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscribed => {
                write!(f, "members of the group are subscribed to the topic; stop them first")
            }
            Self::NotFound => write!(f, "the group has committed no offset there"),
        }
    }
}

/// Why a command is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupError {
    /// Of a join.
    Join(JoinError),
    /// Of what a member asked.
    Member(MemberError),
    /// Of a commit.
    Commit(CommitError),
    /// Of describing and deleting.
    Admin(AdminError),
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Join(reason) => reason.fmt(f),
            Self::Member(reason) => reason.fmt(f),
            Self::Commit(reason) => reason.fmt(f),
            Self::Admin(reason) => reason.fmt(f),
        }
    }
}

impl std::error::Error for GroupError {}

impl From<JoinError> for GroupError {
    fn from(reason: JoinError) -> Self {
        Self::Join(reason)
    }
}

impl From<MemberError> for GroupError {
    fn from(reason: MemberError) -> Self {
        Self::Member(reason)
    }
}

impl From<CommitError> for GroupError {
    fn from(reason: CommitError) -> Self {
        Self::Commit(reason)
    }
}

impl From<AdminError> for GroupError {
    fn from(reason: AdminError) -> Self {
        Self::Admin(reason)
    }
}

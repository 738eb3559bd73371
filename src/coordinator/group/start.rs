//! Where a group begins to read a topic that it has no offset for.

use std::fmt;

use crate::base::Timestamp;

/// Where a group begins. It holds for topics that were there when the group's subscription changed last; topics and
/// partitions that came later are read from their first record, or records between two looks would be lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Start {
    /// At the first record.
    #[default]
    Earliest,
    /// Behind the last record.
    Latest,
    /// At the first record that is not older, in ms.
    Timestamp(Timestamp),
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => write!(f, "earliest"),
            Self::Latest => write!(f, "latest"),
            Self::Timestamp(ms) => write!(f, "timestamp {ms}"),
        }
    }
}

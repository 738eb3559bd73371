//! Rules of a session that a test can take out, to show that it would notice.
//!
//! Only in unit tests and with the cargo feature `fault`, which no build for users has. Else every rule holds, and asking costs nothing.

/// A rule that keeps a promise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionRule {
    /// A member that has joined asks once more before it reads anything: it may be a member no more.
    AskFirst,
    /// What is to be given up is read no further.
    StopRevoked,
    /// What was opened is read only where it is due still.
    OpenIfDue,
    /// A commit counts for the ownership under which it was read.
    CommitSince,
    /// A member that could not leave is missed after its session timeout.
    MissWhoStays,
    /// Of a member that is back on another stream the one before takes no leave.
    StayForNext,
}

impl SessionRule {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AskFirst,
        Self::StopRevoked,
        Self::OpenIfDue,
        Self::CommitSince,
        Self::MissWhoStays,
        Self::StayForNext,
    ];
}

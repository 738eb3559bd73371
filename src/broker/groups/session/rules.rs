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
}

impl SessionRule {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::AskFirst, Self::StopRevoked, Self::OpenIfDue, Self::CommitSince, Self::MissWhoStays];
}

/// The rules that hold: all, but for the one that a test took out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SessionRules {
    #[cfg(any(test, feature = "fault"))]
    out: Option<SessionRule>,
}

#[cfg(any(test, feature = "fault"))]
impl SessionRules {
    /// All but this one.
    pub fn without(rule: SessionRule) -> Self {
        Self { out: Some(rule) }
    }

    /// Whether the rule holds.
    pub(super) fn hold(self, rule: SessionRule) -> bool {
        self.out != Some(rule)
    }
}

#[cfg(not(any(test, feature = "fault")))]
impl SessionRules {
    /// Whether the rule holds.
    pub(super) const fn hold(self, _rule: SessionRule) -> bool {
        true
    }
}

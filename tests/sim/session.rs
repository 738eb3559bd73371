//! When members were heard of last: whether the broker may take them for dead.

use std::collections::BTreeMap;
use std::time::Duration;

use weir::base::{InstanceId, MemberId};

/// Session timeout of all members of a world, in ms.
pub(super) const SESSION_TIMEOUT_MS: i32 = 10_000;

/// Rebalance timeout of all members of a world, in ms.
pub(super) const REBALANCE_TIMEOUT_MS: i32 = 20_000;

#[derive(Clone, Debug, Default)]
struct Session {
    instance: Option<InstanceId>,
    /// Since when there is no stream; `None` while there is one.
    silent_since: Option<Duration>,
    /// At the earliest it was told then to let go of something.
    revoking_since: Option<Duration>,
    /// It left, or somebody may have taken its place.
    may_end: bool,
}

/// All members that there ever were.
#[derive(Default)]
pub(super) struct Sessions(BTreeMap<MemberId, Session>);

/// For how long a member was not heard of, and took to let go.
pub(super) struct Silence {
    pub(super) is_connected: bool,
    pub(super) silent: Duration,
    pub(super) revoking: Duration,
}

impl Sessions {
    /// A member joins, under the id that it had or the fresh one: whoever has its instance id may be replaced.
    pub(super) fn joins(&mut self, ids: &[MemberId], instance: Option<&InstanceId>, now: Duration) {
        for (other, session) in &mut self.0 {
            let has_name = instance.is_some() && session.instance.as_ref() == instance;
            session.may_end |= has_name && !ids.contains(other);
        }
        for id in ids {
            self.0.entry(id.clone()).or_default().instance = instance.cloned();
            self.speaks(id, now);
        }
    }

    /// A stream of the member stands.
    pub(super) fn stands(&mut self, id: &MemberId) {
        let session = self.0.entry(id.clone()).or_default();
        (session.silent_since, session.may_end) = (None, false);
    }

    /// What it says may make the broker tell it to let go of something.
    pub(super) fn speaks(&mut self, id: &MemberId, now: Duration) {
        let session = self.0.entry(id.clone()).or_default();
        session.revoking_since = session.revoking_since.or(Some(now));
    }

    /// It has nothing to let go of.
    pub(super) fn is_done(&mut self, id: &MemberId) {
        self.0.entry(id.clone()).or_default().revoking_since = None;
    }

    /// The broker is told that the stream is lost.
    pub(super) fn falls_silent(&mut self, id: &MemberId, now: Duration) {
        let session = self.0.entry(id.clone()).or_default();
        session.silent_since = session.silent_since.or(Some(now));
    }

    /// It asks to be no member any more.
    pub(super) fn leaves(&mut self, id: &MemberId) {
        self.0.entry(id.clone()).or_default().may_end = true;
    }

    /// A broker that starts begins to wait for everybody.
    pub(super) fn restart(&mut self, now: Duration) {
        for session in self.0.values_mut() {
            session.silent_since = Some(now);
            session.revoking_since = session.revoking_since.map(|_| now);
        }
    }

    /// What speaks for taking the member for dead; `None` where it may end for another reason.
    pub(super) fn silence(&self, id: &MemberId, now: Duration) -> Option<Silence> {
        let session = self.0.get(id).cloned().unwrap_or_default();
        let since = |at: Option<Duration>| at.map_or(Duration::ZERO, |at| now.saturating_sub(at));
        (!session.may_end).then(|| Silence {
            is_connected: session.silent_since.is_none(),
            silent: since(session.silent_since),
            revoking: since(session.revoking_since),
        })
    }
}

//! Which stream speaks for which member: who is told when something changes for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dashmap::DashMap;
use tokio::sync::Notify;

use crate::base::{GroupId, MemberId};

/// Told of what happens to one member, until it drops.
pub struct Listening {
    ears: Arc<Ears>,
    listeners: Arc<Listeners>,
    member: (GroupId, MemberId),
}

#[derive(Default)]
struct Ears {
    changed: Notify,
    is_fenced: AtomicBool,
}

/// The streams of members. INVARIANT: no guard of the map leaves this file.
#[derive(Default)]
pub struct Listeners(DashMap<(GroupId, MemberId), Arc<Ears>>);

impl Listeners {
    /// Listens for a member from here on. A stream that spoke for it before is fenced.
    pub fn listen(self: &Arc<Self>, group: GroupId, member: MemberId) -> Listening {
        let ears = Arc::<Ears>::default();
        let member = (group, member);
        if let Some(before) = self.0.insert(member.clone(), ears.clone()) {
            before.fence();
        }
        Listening { ears, listeners: self.clone(), member }
    }

    /// Something changed for a member.
    pub fn wake(&self, group: GroupId, member: MemberId) {
        if let Some(ears) = self.get(&(group, member)) {
            ears.changed.notify_one();
        }
    }

    /// Another took a member's place, or it took too long.
    pub fn fence(&self, group: GroupId, member: MemberId) {
        if let Some(ears) = self.get(&(group, member)) {
            ears.fence();
        }
    }

    fn get(&self, member: &(GroupId, MemberId)) -> Option<Arc<Ears>> {
        self.0.get(member).map(|entry| entry.value().clone())
    }
}

impl Ears {
    fn fence(&self) {
        self.is_fenced.store(true, Ordering::Release);
        self.changed.notify_one();
    }
}

impl Listening {
    /// Resolves when something changed since the last time. Cancel safe.
    pub async fn changed(&self) {
        self.ears.changed.notified().await;
    }

    /// Whether another stream or member has taken this one's place.
    pub fn is_fenced(&self) -> bool {
        self.ears.is_fenced.load(Ordering::Acquire)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // The one who took the place stays.
        self.listeners.0.remove_if(&self.member, |_, ears| Arc::ptr_eq(ears, &self.ears));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn a_second_stream_takes_the_place_of_the_first() {
        let listeners = Arc::<Listeners>::default();
        let (group, member) = (GroupId::stored("g"), MemberId::stored("m"));
        let first = listeners.listen(group.clone(), member.clone());
        assert!(first.changed().now_or_never().is_none());
        let second = listeners.listen(group.clone(), member.clone());
        assert!(first.is_fenced() && first.changed().now_or_never().is_some());
        drop(first);
        listeners.wake(group, member);
        assert!(!second.is_fenced() && second.changed().now_or_never().is_some(), "it is still told");
    }
}

//! Members: clients that believe what they are told, read what they own, and commit what they have worked on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use weir::base::{GroupId, InstanceId, MemberEpoch, MemberId, Offset, TopicPartition};
use weir::coordinator::group::position::Committed;
use weir::coordinator::group::start::Start;
use weir::coordinator::group::subscription::Subscription;
use weir::coordinator::group::views::MemberView;

/// What a member holds.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) epoch: MemberEpoch,
    /// Where it reads on; `None` until it was told where the group stands.
    pub(super) at: Option<Offset>,
    /// It has asked where the group stands.
    is_asked: bool,
    /// What it has asked to be committed.
    pub(super) committed: Offset,
}

impl Held {
    /// What an outsider commits: the beginning.
    pub(super) fn outsiders() -> Self {
        Self { epoch: -1, at: Some(0), is_asked: true, committed: 0 }
    }

    /// Whether it has to be asked where the group stands; once.
    pub(super) fn ask(&mut self, id: TopicPartition) -> Option<TopicPartition> {
        let is_due = self.at.is_none() && !self.is_asked;
        self.is_asked |= is_due;
        is_due.then_some(id)
    }
}

/// A client.
pub(super) struct Member {
    pub(super) group: GroupId,
    pub(super) instance: Option<InstanceId>,
    pub(super) subscription: Subscription,
    pub(super) start: Start,
    pub(super) id: Option<MemberId>,
    pub(super) epoch: MemberEpoch,
    /// A stream stands.
    pub(super) is_connected: bool,
    /// Counts streams: what was asked on one is not answered on the next.
    pub(super) connection: u32,
    pub(super) held: BTreeMap<TopicPartition, Held>,
    /// Told to be let go of, and not let go of yet.
    pub(super) revoking: BTreeMap<TopicPartition, Held>,
    /// The broker has news.
    pub(super) is_woken: bool,
    pub(super) is_joining: bool,
    pub(super) has_heartbeat: bool,
    pub(super) commits: BTreeSet<u64>,
    /// Until then it does not let go of anything.
    pub(super) mute_until: Duration,
    /// Until then it works on nothing.
    pub(super) slow_until: Duration,
}

/// Somebody who is a member no more and does not know it.
#[derive(Clone, Debug)]
pub(super) struct Zombie {
    pub(super) group: GroupId,
    pub(super) id: MemberId,
    pub(super) epoch: MemberEpoch,
    pub(super) held: BTreeMap<TopicPartition, Held>,
}

/// Those of a world: two groups, one with static members and with two clients of one instance id.
pub(super) fn members() -> Vec<Member> {
    let names = |names: &[&str]| Subscription {
        names: names.iter().map(|name| Arc::from(*name)).collect(),
        pattern: None,
    };
    let pattern = Subscription { names: BTreeSet::new(), pattern: Some("t.*".into()) };
    let of = |group: &str, instance: Option<&str>, subscription: &Subscription, start| Member {
        group: GroupId::stored(group),
        instance: instance.map(InstanceId::stored),
        subscription: subscription.clone(),
        start,
        id: None,
        epoch: 0,
        is_connected: false,
        connection: 0,
        held: BTreeMap::new(),
        revoking: BTreeMap::new(),
        is_woken: false,
        is_joining: false,
        has_heartbeat: false,
        commits: BTreeSet::new(),
        mute_until: Duration::ZERO,
        slow_until: Duration::ZERO,
    };
    let both = names(&["t0", "t1"]);
    vec![
        of("a", None, &both, Start::Earliest),
        of("a", None, &both, Start::Earliest),
        of("a", Some("i"), &both, Start::Earliest),
        of("a", Some("i"), &both, Start::Earliest),
        of("b", None, &pattern, Start::Latest),
        of("b", None, &pattern, Start::Latest),
        of("b", Some("j"), &pattern, Start::Latest),
    ]
}

impl Member {
    /// The stream is lost; what the member holds it still holds.
    pub(super) fn lose_connection(&mut self) {
        self.is_connected = false;
        self.connection += 1;
        (self.is_woken, self.is_joining, self.has_heartbeat) = Default::default();
        self.commits.clear();
        for held in self.held_mut() {
            // Nobody knows what became of the last commit.
            held.committed = 0;
            held.is_asked = false;
        }
    }

    /// All that it holds, also what it is to let go of.
    pub(super) fn held_mut(&mut self) -> impl Iterator<Item = &mut Held> {
        self.held.values_mut().chain(self.revoking.values_mut())
    }

    /// It is nobody any more: what it knew of itself is what a zombie knows.
    pub(super) fn forget(&mut self) -> Option<Zombie> {
        self.lose_connection();
        let (held, mut all) = (std::mem::take(&mut self.held), std::mem::take(&mut self.revoking));
        all.extend(held);
        let (group, epoch) = (self.group.clone(), self.epoch);
        self.id.take().map(|id| Zombie { group, id, epoch, held: all })
    }

    /// Takes in what it is to know. Gives what it was told to let go of, and what it lost all the same.
    pub(super) fn take_view(&mut self, view: &MemberView) -> (Vec<TopicPartition>, Vec<TopicPartition>) {
        if self.id.as_ref() != Some(&view.member_id) {
            self.held.clear();
            self.revoking.clear();
        }
        self.id = Some(view.member_id.clone());
        self.epoch = view.member_epoch;
        let mut before = std::mem::take(&mut self.held);
        let mut revoking = std::mem::take(&mut self.revoking);
        let told: Vec<TopicPartition> =
            view.pending_revocation.iter().filter(|id| before.contains_key(id)).copied().collect();
        for id in &view.pending_revocation {
            if let Some(held) = before.remove(id).or_else(|| revoking.remove(id)) {
                self.revoking.insert(*id, held);
            }
        }
        for (id, epoch) in &view.assigned {
            let kept = before.remove(id).or_else(|| revoking.remove(id)).filter(|held| held.epoch == *epoch);
            let begun = Held { epoch: *epoch, at: None, is_asked: false, committed: 0 };
            self.held.insert(*id, kept.unwrap_or(begun));
        }
        (told, before.into_keys().collect())
    }

    /// Where the group stands in what it begins to hold.
    pub(super) fn committed(&self, id: &TopicPartition, known: &[Committed]) -> Option<Offset> {
        known
            .iter()
            .find(|committed| committed.position.id() == *id)
            .map(|committed| committed.position.offset)
    }
}

//! Members: clients that believe what they are told, read what they own, and commit what they have worked on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use weir::base::{GroupId, InstanceId, MemberEpoch, MemberId, Offset, TopicPartition};
use weir::broker::groups::session::OutOfRange;
use weir::coordinator::group::commands::Owned;
use weir::coordinator::group::start::Start;
use weir::coordinator::group::subscription::Subscription;

/// What a member holds.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) epoch: MemberEpoch,
    /// Where it reads on.
    pub(super) at: Offset,
    /// What it has asked to be committed.
    pub(super) committed: Offset,
    /// Of its newest seek.
    pub(super) seek_sequence: i64,
}

impl Held {
    /// It begins there.
    pub(super) fn new(epoch: MemberEpoch, at: Offset) -> Self {
        Self { epoch, at, committed: at, seek_sequence: 0 }
    }

    /// What an outsider commits: the beginning.
    pub(super) fn outsiders() -> Self {
        Self::new(-1, 0)
    }
}

/// A client.
pub(super) struct Member {
    pub(super) group: GroupId,
    pub(super) instance: Option<InstanceId>,
    pub(super) subscription: Subscription,
    pub(super) start: Start,
    /// What happens where the group's offset is gone.
    pub(super) out_of_range: OutOfRange,
    /// It says how many bytes it can take.
    pub(super) has_credit: bool,
    pub(super) id: Option<MemberId>,
    /// The stream that it hears.
    pub(super) stream: Option<u32>,
    /// Counts connections: who joined on one is not told on the next.
    pub(super) connection: u32,
    pub(super) held: BTreeMap<TopicPartition, Held>,
    /// Told to be let go of, and not let go of yet.
    pub(super) revoking: BTreeMap<TopicPartition, Held>,
    /// What it came back with, and was told nothing of so far.
    pub(super) claimed: BTreeSet<TopicPartition>,
    /// Paused with the broker.
    pub(super) paused: BTreeSet<TopicPartition>,
    /// What it let go of, and may commit too late on the same stream.
    pub(super) late: BTreeMap<TopicPartition, Held>,
    pub(super) is_joining: bool,
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
    pub(super) held: BTreeMap<TopicPartition, Held>,
}

/// Those of a world: two groups, one with static members and with two clients of one instance id.
pub(super) fn members() -> Vec<Member> {
    let names = |names: &[&str]| Subscription {
        names: names.iter().map(|name| Arc::from(*name)).collect(),
        pattern: None,
    };
    let pattern = Subscription { names: BTreeSet::new(), pattern: Some("t.*".into()) };
    let both = names(&["t0", "t1"]);
    let of_a = |instance| Member::new("a", instance, &both, Start::Earliest);
    let of_b = |instance| Member {
        out_of_range: OutOfRange::Earliest,
        has_credit: true,
        ..Member::new("b", instance, &pattern, Start::Latest)
    };
    vec![of_a(None), of_a(None), of_a(Some("i")), of_a(Some("i")), of_b(None), of_b(None), of_b(Some("j"))]
}

impl Member {
    fn new(group: &str, instance: Option<&str>, subscription: &Subscription, start: Start) -> Self {
        Self {
            group: GroupId::stored(group),
            instance: instance.map(InstanceId::stored),
            subscription: subscription.clone(),
            start,
            out_of_range: OutOfRange::Error,
            has_credit: false,
            id: None,
            stream: None,
            connection: 0,
            held: BTreeMap::new(),
            revoking: BTreeMap::new(),
            claimed: BTreeSet::new(),
            paused: BTreeSet::new(),
            late: BTreeMap::new(),
            is_joining: false,
            commits: BTreeSet::new(),
            mute_until: Duration::ZERO,
            slow_until: Duration::ZERO,
        }
    }

    /// The stream is lost; what the member holds it still holds.
    pub(super) fn lose_connection(&mut self) {
        self.connection += 1;
        (self.stream, self.is_joining) = (None, false);
        self.commits.clear();
        self.claimed.clear();
        self.paused.clear();
        self.late.clear();
        for held in self.held.values_mut().chain(self.revoking.values_mut()) {
            // Nobody knows what became of the last commit; seeks are counted anew.
            (held.committed, held.seek_sequence) = (0, 0);
        }
    }

    /// All that it holds, also what it is to let go of.
    pub(super) fn all_held(&self) -> impl Iterator<Item = (&TopicPartition, &Held)> {
        self.held.iter().chain(&self.revoking)
    }

    /// What it holds of a partition, also where it is to let go of it.
    pub(super) fn held_mut(&mut self, id: &TopicPartition) -> Option<&mut Held> {
        self.held.get_mut(id).or(self.revoking.get_mut(id))
    }

    /// What it says that it holds when it comes back.
    pub(super) fn claims(&self) -> Vec<Owned> {
        self.all_held().map(|(id, held)| Owned { id: *id, epoch: held.epoch }).collect()
    }

    /// It is nobody any more: what it knew of itself is what a zombie knows.
    pub(super) fn forget(&mut self) -> Option<Zombie> {
        self.lose_connection();
        let (held, mut all) = (std::mem::take(&mut self.held), std::mem::take(&mut self.revoking));
        all.extend(held);
        let group = self.group.clone();
        self.id.take().map(|id| Zombie { group, id, held: all })
    }
}

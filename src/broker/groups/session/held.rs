//! What a member holds, and where it reads there: what a view changes of it, and what the member's own words do.
//!
//! Decides only: whoever holds this reads, asks and tells.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::rules::SessionRule;
use crate::base::offset::NO_EPOCH;
use crate::base::rules::Rules;
use crate::base::{LeaderEpoch, MemberEpoch, Offset, TopicId, TopicPartition};
use crate::broker::groups::frames::{AssignedPartition, RevokedPartition};
use crate::coordinator::group::commands::Owned;
use crate::coordinator::group::errors::PositionError;
use crate::coordinator::group::position::Position;
use crate::coordinator::group::views::MemberView;

/// A place in a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Next record to read.
    pub offset: Offset,
    /// Leader epoch of the record before it, where that is known.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// How the reading of a partition stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reading {
    /// Where the group stands is being looked up.
    Asked,
    /// To be opened there, or paused there.
    At(Place),
    /// Read; or it gave an error, and waits for the member to seek.
    Open,
}

#[derive(Debug)]
struct Held {
    topic: Arc<str>,
    ownership_epoch: MemberEpoch,
    reading: Reading,
    /// The member knows of it.
    is_told: bool,
    is_paused: bool,
    /// Of the newest seek.
    seek_sequence: i64,
}

impl Held {
    fn new(topic: Arc<str>, ownership_epoch: MemberEpoch) -> Self {
        let reading = Reading::Asked;
        Self { topic, ownership_epoch, reading, is_told: false, is_paused: false, seek_sequence: 0 }
    }
}

/// Told to be given up.
#[derive(Debug)]
struct Leaving {
    topic: Arc<str>,
    ownership_epoch: MemberEpoch,
    /// The member has said that it gives it up.
    is_answered: bool,
}

/// What a view takes and brings.
#[derive(Default, Debug)]
pub struct Change {
    /// To be given up.
    pub revoked: Vec<RevokedPartition>,
    /// To be given up at once: the member never heard that it had them, and is told nothing.
    pub untold: Vec<TopicPartition>,
    /// Gone already.
    pub lost: Vec<RevokedPartition>,
    /// Owned from here on; where the group stands there has to be looked up.
    pub new: Vec<Owned>,
}

/// Where a group stands in a partition that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Begun {
    /// The partition, and the ownership that it was looked up for.
    pub owned: Owned,
    /// Where reading begins.
    pub place: Place,
    /// What the group has committed, if anything.
    pub committed: Option<Offset>,
}

impl Begun {
    /// Begins where the group stands; where it stands nowhere, where the partition begins.
    pub fn new(owned: Owned, stands: Option<&Position>, log_start: Offset) -> Self {
        let offset = stands.map_or(log_start, |position| position.offset);
        let epoch = stands.map(|position| position.leader_epoch);
        let place = Place { offset, leader_epoch: epoch.filter(|epoch| *epoch != NO_EPOCH) };
        Self { owned, place, committed: stands.map(|position| position.offset) }
    }
}

/// All that a member holds.
#[derive(Default, Debug)]
pub struct Holdings {
    held: BTreeMap<TopicPartition, Held>,
    /// Told to be given up, and not given up yet.
    leaving: BTreeMap<TopicPartition, Leaving>,
    rules: Rules<SessionRule>,
}

impl Holdings {
    /// Nothing is held, under these rules.
    pub fn under(rules: Rules<SessionRule>) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Takes what a member that comes back still holds. What is its own still, it knows; gives what is not, or is to be given up.
    pub fn take_claims(
        &mut self,
        claimed: &[Owned],
        view: &MemberView,
        name_of: impl Fn(TopicId) -> Option<Arc<str>>,
    ) -> Change {
        let mut change = Change::default();
        for Owned { id, epoch } in claimed {
            // Of a topic that is gone nobody needs the name.
            let topic = name_of(id.topic_id).unwrap_or_else(|| "".into());
            let held = Held { is_told: true, ..Held::new(topic, *epoch) };
            if view.assigned.get(id) == Some(epoch) {
                self.held.insert(*id, held);
                change.new.push(Owned { id: *id, epoch: *epoch });
            } else {
                self.end(*id, held, view, &mut change);
            }
        }
        change
    }

    /// Goes from what the member held to what it is to hold.
    pub fn take_view(&mut self, view: &MemberView, name_of: impl Fn(TopicId) -> Option<Arc<str>>) -> Change {
        let mut change = Change::default();
        let stays = |id: &TopicPartition, held: &Held| view.assigned.get(id) == Some(&held.ownership_epoch);
        let gone: Vec<_> = self.held.extract_if(.., |id, held| !stays(id, held)).collect();
        for (id, held) in gone {
            self.end(id, held, view, &mut change);
        }
        self.leaving.retain(|id, _| view.pending_revocation.contains(id));
        for (id, ownership_epoch) in &view.assigned {
            let is_known = self.held.contains_key(id) || self.leaving.contains_key(id);
            // A topic that is being deleted: the group is told soon.
            let Some(topic) = name_of(id.topic_id).filter(|_| !is_known) else { continue };
            self.held.insert(*id, Held::new(topic, *ownership_epoch));
            change.new.push(Owned { id: *id, epoch: *ownership_epoch });
        }
        // What it does not hold any more, as after it lost its memory, it need not be asked for.
        for id in &view.pending_revocation {
            if !self.leaving.contains_key(id) {
                let (topic, ownership_epoch) = (name_of(id.topic_id).unwrap_or_default(), view.member_epoch);
                self.leaving.insert(*id, Leaving { topic, ownership_epoch, is_answered: true });
                change.untold.push(*id);
            }
        }
        change
    }

    fn end(&mut self, id: TopicPartition, held: Held, view: &MemberView, change: &mut Change) {
        let Held { topic, ownership_epoch, is_told, .. } = held;
        let told = RevokedPartition { topic: topic.clone(), id };
        match (view.pending_revocation.contains(&id), is_told) {
            (true, true) => change.revoked.push(told),
            (true, false) => change.untold.push(id),
            (false, true) => change.lost.push(told),
            (false, false) => {}
        }
        if view.pending_revocation.contains(&id) {
            self.leaving.insert(id, Leaving { topic, ownership_epoch, is_answered: !is_told });
        }
    }

    /// All that it owns, also what it is to give up.
    pub fn owned(&self) -> impl Iterator<Item = TopicPartition> {
        self.held.keys().chain(self.leaving.keys()).copied()
    }

    /// The topic of a partition that it holds.
    pub fn topic(&self, id: TopicPartition) -> Option<&Arc<str>> {
        self.held.get(&id).map(|held| &held.topic)
    }

    /// The partition of this name, if it is held. Cost: a look at one partition of each topic.
    pub fn find(&self, topic: &str, partition: i32) -> Option<TopicPartition> {
        find(&self.held, |held| &*held.topic, topic, partition).map(|(id, _)| id)
    }

    /// The sequence of the newest seek of a partition; 0 before the first.
    pub fn seek_sequence(&self, id: TopicPartition) -> i64 {
        self.held.get(&id).map_or(0, |held| held.seek_sequence)
    }

    /// Of these, what it was told to give up and had not answered yet: it answers once.
    pub fn answer(&mut self, partitions: &[TopicPartition]) -> Vec<TopicPartition> {
        let mut answers = |id: &&TopicPartition| {
            let leaving = self.leaving.get_mut(id).filter(|leaving| !leaving.is_answered);
            leaving.map(|leaving| leaving.is_answered = true).is_some()
        };
        partitions.iter().filter(|id| answers(id)).copied().collect()
    }

    /// These are given up.
    pub fn give_up(&mut self, partitions: &[TopicPartition]) {
        for id in partitions {
            self.leaving.remove(id);
        }
    }

    /// Whether the partition is the member's, since the epoch under which it was read. WHY here: the machine knows the member's
    /// epoch of now; what the member read before it lost the partition and got it again is an old commit all the same.
    pub fn check_owner(
        &self,
        topic: &str,
        partition: i32,
        epoch: Option<MemberEpoch>,
    ) -> Result<(), PositionError> {
        let held = find(&self.held, |held| &*held.topic, topic, partition);
        let leaving = || find(&self.leaving, |leaving| &*leaving.topic, topic, partition);
        let mine = held.map(|(_, held)| held.ownership_epoch);
        let is_checked = self.rules.hold(SessionRule::CommitSince);
        match (mine.or_else(|| leaving().map(|(_, leaving)| leaving.ownership_epoch)), epoch) {
            (None, _) => Err(PositionError::NotOwner),
            (Some(owned_since), Some(given)) if given != owned_since && is_checked => {
                Err(PositionError::Stale { owned_since, given })
            }
            _ => Ok(()),
        }
    }

    /// It is known where the group stands in partitions that came. Gives what the member is told: of those that it still holds.
    /// One that was sought meanwhile goes on there: the member knows where it stands.
    pub fn begin(&mut self, begun: &[Begun]) -> Vec<AssignedPartition> {
        let mut assigned = Vec::new();
        for Begun { owned: Owned { id, epoch }, place, committed } in begun {
            let held = self.held.get_mut(id).filter(|held| held.ownership_epoch == *epoch);
            let Some(held) = held else { continue };
            if held.reading == Reading::Asked {
                held.reading = Reading::At(*place);
            }
            held.is_told = true;
            assigned.push(AssignedPartition {
                topic: held.topic.clone(),
                id: *id,
                ownership_epoch: held.ownership_epoch,
                offset: place.offset,
                committed: *committed,
            });
        }
        assigned
    }

    /// Goes on at another place; whether it is held.
    pub fn seek(&mut self, id: TopicPartition, place: Place, sequence: i64) -> bool {
        let Some(held) = self.held.get_mut(&id).filter(|held| held.is_told) else { return false };
        (held.reading, held.seek_sequence) = (Reading::At(place), sequence);
        true
    }

    /// Reading ended here by itself, and goes on there.
    pub fn go_on(&mut self, id: TopicPartition, place: Place) {
        if let Some(held) = self.held.get_mut(&id) {
            held.reading = Reading::At(place);
        }
    }

    /// Nothing is sent of it until it is resumed; `place` is where it was read, if it was.
    pub fn pause(&mut self, id: TopicPartition, place: Option<Place>) {
        let Some(held) = self.held.get_mut(&id) else { return };
        held.is_paused = true;
        held.reading = place.map_or(held.reading, Reading::At);
    }

    /// It may be sent again.
    pub fn resume(&mut self, id: TopicPartition) {
        if let Some(held) = self.held.get_mut(&id) {
            held.is_paused = false;
        }
    }

    /// What is to be opened, and where.
    pub fn to_open(&self) -> impl Iterator<Item = (TopicPartition, Arc<str>, Place)> {
        self.held.iter().filter_map(|(id, held)| match held.reading {
            Reading::At(place) if !held.is_paused => Some((*id, held.topic.clone(), place)),
            _ => None,
        })
    }

    /// It was opened at this place; whether it is to be read there still.
    pub fn open(&mut self, id: TopicPartition, place: Place) -> bool {
        let held = self.held.get_mut(&id);
        let is_due = |held: &&mut Held| !held.is_paused && held.reading == Reading::At(place);
        held.filter(is_due).map(|held| held.reading = Reading::Open).is_some()
    }
}

/// The partition of this name. WHY topic by topic: a member may hold thousands of partitions, and commit as many at once.
fn find<'a, T>(
    all: &'a BTreeMap<TopicPartition, T>,
    name_of: impl Fn(&T) -> &str,
    topic: &str,
    partition: i32,
) -> Option<(TopicPartition, &'a T)> {
    let mut from = all.first_key_value();
    while let Some((first, value)) = from {
        let id = TopicPartition { partition, ..*first };
        if let Some(found) = all.get(&id).filter(|_| name_of(value) == topic) {
            return Some((id, found));
        }
        let last = TopicPartition { partition: i32::MAX, ..*first };
        from = all.range((Bound::Excluded(last), Bound::Unbounded)).next();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::MemberId;

    const FIRST: TopicPartition = TopicPartition { topic_id: TopicId([1; 16]), partition: 0 };
    const SECOND: TopicPartition = TopicPartition { topic_id: TopicId([1; 16]), partition: 1 };

    fn view(assigned: &[TopicPartition], pending: &[TopicPartition]) -> MemberView {
        MemberView {
            member_id: MemberId::stored("m"),
            member_epoch: 1,
            assigned: assigned.iter().map(|id| (*id, 1)).collect(),
            pending_revocation: pending.iter().copied().collect(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 60_000,
            heartbeat_interval_ms: 3_000,
        }
    }

    fn named(_: TopicId) -> Option<Arc<str>> {
        Some("orders".into())
    }

    #[test]
    fn what_the_member_never_heard_of_is_given_up_without_a_word() {
        let mut holdings = Holdings::default();
        let both = holdings.take_view(&view(&[FIRST, SECOND], &[]), named).new;
        let place = Place { offset: 0, leader_epoch: None };
        assert_eq!(both.len(), 2);
        let told = Begun { owned: Owned { id: FIRST, epoch: 1 }, place, committed: None };
        assert_eq!(holdings.begin(&[told]).len(), 1, "it is told of the first");
        let change = holdings.take_view(&view(&[], &[FIRST, SECOND]), named);
        assert_eq!(change.revoked, [RevokedPartition { topic: "orders".into(), id: FIRST }]);
        assert_eq!((change.untold, change.lost), (vec![SECOND], vec![]));
        assert_eq!(holdings.owned().count(), 2, "until the machine is told, too");
        assert_eq!(
            holdings.answer(&[FIRST, SECOND]),
            [FIRST],
            "nothing of the second is the member's to say"
        );
        holdings.give_up(&[FIRST, SECOND]);
        assert_eq!(holdings.owned().count(), 0);
    }

    #[test]
    fn what_a_member_came_back_with_it_is_asked_for() {
        let mut holdings = Holdings::default();
        let claims = [Owned { id: FIRST, epoch: 1 }];
        let back = holdings.take_claims(&claims, &view(&[FIRST], &[]), named);
        assert_eq!(back.new, claims, "it is told where it goes on");
        assert!(holdings.take_view(&view(&[FIRST], &[]), named).new.is_empty());
        let change = holdings.take_view(&view(&[], &[FIRST]), named);
        assert_eq!(change.revoked, [RevokedPartition { topic: "orders".into(), id: FIRST }]);
        assert_eq!(change.untold, []);
    }

    #[test]
    fn what_a_member_came_back_without_is_given_up_for_it() {
        let mut holdings = Holdings::default();
        let change = holdings.take_view(&view(&[SECOND], &[FIRST]), named);
        assert_eq!((change.untold, change.revoked), (vec![FIRST], vec![]));
        assert!(holdings.take_view(&view(&[SECOND], &[FIRST]), named).untold.is_empty(), "once");
        holdings.give_up(&[FIRST]);
        assert_eq!(holdings.owned().collect::<Vec<_>>(), [SECOND]);
        let place = Place { offset: 5, leader_epoch: None };
        assert!(!holdings.seek(SECOND, place, 1), "it has not heard of it");
    }
}

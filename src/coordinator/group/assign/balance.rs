//! Balance where members want different topics.
//!
//! Everybody keeps what they have; what is free goes to the subscriber with the fewest, topics with few subscribers first. Then, as long as
//! somebody has at least two more than somebody else that partitions can be passed on to, over others if need be, one is passed on. When
//! no such way is left, no other assignment is more even (Harvey et al., *Semi-matchings for bipartite graphs and load balancing*).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::input::{AssignmentInput, Target, give};
use crate::base::{MemberId, TopicId, TopicPartition};

/// Steps of the search for ways after which an assignment counts as even enough: seconds of work for one group.
const STEPS_MAX: usize = 50_000_000;

/// Hands by index of their member.
struct Table<'a> {
    members: Vec<&'a MemberId>,
    hands: Vec<BTreeMap<TopicId, BTreeSet<i32>>>,
    counts: Vec<usize>,
    subscribers: BTreeMap<TopicId, Vec<usize>>,
    steps: usize,
}

/// The most even assignment, found from the present one by the shortest ways.
pub(super) fn balanced(input: &AssignmentInput) -> Target {
    let mut table = Table::of(input);
    table.deal(input);
    table.even_out();
    let mut target = Target::new();
    for (member, hand) in table.members.iter().zip(&table.hands) {
        for (&topic_id, partitions) in hand {
            partitions.iter().for_each(|&partition| {
                give(&mut target, member, TopicPartition { topic_id, partition });
            });
        }
    }
    target
}

impl<'a> Table<'a> {
    fn of(input: &'a AssignmentInput) -> Self {
        let mut subscribers: BTreeMap<TopicId, Vec<usize>> = BTreeMap::new();
        for (index, member) in input.members.values().enumerate() {
            member.topics.iter().for_each(|id| subscribers.entry(*id).or_default().push(index));
        }
        Self {
            members: input.members.keys().collect(),
            hands: vec![BTreeMap::new(); input.members.len()],
            counts: vec![0; input.members.len()],
            subscribers,
            steps: 0,
        }
    }

    fn take(&mut self, index: usize, id: TopicPartition) {
        self.hands[index].entry(id.topic_id).or_default().insert(id.partition);
        self.counts[index] += 1;
    }

    /// Everybody keeps what they have and want; the rest goes to those with the fewest.
    fn deal(&mut self, input: &AssignmentInput) {
        let mut free: BTreeSet<TopicPartition> =
            self.subscribers.keys().flat_map(|id| input.partitions(*id)).collect();
        for (index, member) in input.members.values().enumerate() {
            let wanted = member.partitions().filter(|id| member.topics.contains(&id.topic_id));
            for id in wanted.collect::<Vec<_>>() {
                if free.remove(&id) {
                    self.take(index, id);
                }
            }
        }
        let mut free: Vec<TopicPartition> = free.into_iter().collect();
        free.sort_by_key(|id| self.subscribers[&id.topic_id].len());
        for id in free {
            let fewest =
                self.subscribers[&id.topic_id].iter().min_by_key(|index| (self.counts[**index], **index));
            if let Some(&index) = fewest {
                self.take(index, id);
            }
        }
    }

    /// Passes partitions on until no way is left.
    fn even_out(&mut self) {
        loop {
            let mut order: Vec<usize> = (0..self.members.len()).collect();
            order.sort_by_key(|index| std::cmp::Reverse(self.counts[*index]));
            let mut found = false;
            for from in order {
                while let Some(way) = self.way_from(from) {
                    self.pass_on(from, &way);
                    found = true;
                }
            }
            if !found || self.steps > STEPS_MAX {
                return;
            }
        }
    }

    /// The shortest way to a member with at least two fewer: each step a topic, and who gets a partition of it.
    fn way_from(&mut self, from: usize) -> Option<Vec<(TopicId, usize)>> {
        let mut came: Vec<Option<(usize, TopicId)>> = vec![None; self.members.len()];
        let mut seen = BTreeSet::new();
        let mut waiting = VecDeque::from([from]);
        while let Some(giver) = waiting.pop_front() {
            for topic_id in self.hands[giver].keys().filter(|id| seen.insert(**id)) {
                let subscribers = &self.subscribers[topic_id];
                self.steps += subscribers.len();
                if self.steps > STEPS_MAX {
                    return None;
                }
                for &taker in subscribers {
                    if taker == from || came[taker].is_some() {
                        continue;
                    }
                    came[taker] = Some((giver, *topic_id));
                    if self.counts[taker] + 2 <= self.counts[from] {
                        return Some(way_to(taker, from, &came));
                    }
                    waiting.push_back(taker);
                }
            }
        }
        None
    }

    /// Each on the way gives one partition to the next.
    fn pass_on(&mut self, from: usize, way: &[(TopicId, usize)]) {
        let mut giver = from;
        for &(topic_id, taker) in way {
            let hand = self.hands[giver].get_mut(&topic_id).expect("the way leads over what they have");
            let partition = hand.pop_last().expect("a topic stays in a hand as long as a partition does");
            if hand.is_empty() {
                self.hands[giver].remove(&topic_id);
            }
            self.counts[giver] -= 1;
            self.take(taker, TopicPartition { topic_id, partition });
            giver = taker;
        }
    }
}

/// The way from `from` to `to`, by who came from whom.
fn way_to(to: usize, from: usize, came: &[Option<(usize, TopicId)>]) -> Vec<(TopicId, usize)> {
    let mut way = Vec::new();
    let mut at = to;
    while at != from {
        let (giver, topic_id) = came[at].expect("the search came here from somebody");
        way.push((topic_id, at));
        at = giver;
    }
    way.reverse();
    way
}

//! Tests of the assignors: whole, fair, sticky.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::super::start::Start;
use super::super::topics::TopicFacts;
use super::*;
use crate::base::{GroupId, MemberId, TopicId, TopicPartition};

fn topic(index: u8) -> TopicId {
    TopicId([index; 16])
}

fn member(index: usize) -> MemberId {
    MemberId::stored(&format!("m{index:04}"))
}

/// A group whose topics have these partitions, and whose members are subscribed to these topics.
fn group(assignor: AssignorName, partitions: &[i32], members: &[BTreeSet<u8>]) -> AssignmentInput {
    let facts = |index: usize| TopicFacts {
        id: topic(index as u8),
        name: format!("t{index}").into(),
        partition_count: partitions[index],
        created: 0,
    };
    let subscribed: BTreeSet<u8> = members.iter().flatten().copied().collect();
    let member_input = |topics: &BTreeSet<u8>| MemberInput {
        instance_id: None,
        topics: Arc::new(topics.iter().map(|index| topic(*index)).collect()),
        target: Assignment::new(),
    };
    AssignmentInput {
        group: GroupId::stored("g"),
        group_epoch: 1,
        assignor,
        members: members
            .iter()
            .enumerate()
            .map(|(index, topics)| (member(index), member_input(topics)))
            .collect(),
        topics: subscribed.iter().map(|index| (topic(*index), facts(*index as usize))).collect(),
        topics_hash: 0,
        start: Start::Earliest,
        to_start: Vec::new(),
    }
}

/// Members that are all subscribed to all topics.
fn alike(partitions: &[i32], members: usize) -> AssignmentInput {
    let all: BTreeSet<u8> = (0..partitions.len() as u8).collect();
    group(AssignorName::Sticky, partitions, &vec![all; members])
}

fn owners(target: &Target) -> BTreeMap<TopicPartition, MemberId> {
    let mut owners = BTreeMap::new();
    for (member, assignment) in target {
        for id in super::super::state::partitions(assignment) {
            let before = owners.insert(id, member.clone());
            assert_eq!(before, None, "{id} is given twice");
        }
    }
    owners
}

/// Every partition goes to a subscriber, and nothing else does.
fn assert_whole(input: &AssignmentInput, target: &Target) {
    let owners = owners(target);
    let all: BTreeSet<TopicPartition> = input.topics.keys().flat_map(|id| input.partitions(*id)).collect();
    assert_eq!(owners.keys().copied().collect::<BTreeSet<_>>(), all);
    for (id, owner) in &owners {
        assert!(input.members[owner].topics.contains(&id.topic_id), "{owner} does not want {id}");
    }
}

fn counts(input: &AssignmentInput, target: &Target) -> Vec<usize> {
    let count = |id| target.get(id).map_or(0, |hand| hand.values().map(BTreeSet::len).sum());
    input.members.keys().map(count).collect()
}

fn spread(counts: &[usize]) -> usize {
    counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0)
}

/// Partitions that have another owner, of those that had one who is still there.
fn moves(before: &Target, after: &Target) -> usize {
    let after_owners = owners(after);
    owners(before).iter().filter(|(id, owner)| after_owners.get(id) != Some(owner)).count()
}

fn settle(input: &mut AssignmentInput, target: &Target) {
    for (id, member) in &mut input.members {
        member.target = target.get(id).cloned().unwrap_or_default();
    }
}

fn squares(counts: &[usize]) -> usize {
    counts.iter().map(|count| count * count).sum()
}

/// The least sum of squares that any assignment has: each partition tried with each subscriber.
fn least_squares(input: &AssignmentInput) -> usize {
    let all: Vec<TopicPartition> = input.topics.keys().flat_map(|id| input.partitions(*id)).collect();
    let members: Vec<&MemberInput> = input.members.values().collect();
    let mut reached = BTreeSet::from([vec![0; members.len()]]);
    for id in all {
        let mut next = BTreeSet::new();
        for counts in &reached {
            for (index, _) in members.iter().enumerate().filter(|(_, m)| m.topics.contains(&id.topic_id)) {
                let mut counts = counts.clone();
                counts[index] += 1;
                next.insert(counts);
            }
        }
        reached = next;
    }
    reached.iter().map(|counts| squares(counts)).min().unwrap_or(0)
}

fn any_group() -> impl Strategy<Value = (Vec<i32>, Vec<BTreeSet<u8>>)> {
    (
        proptest::collection::vec(1i32..5, 4),
        proptest::collection::vec(proptest::collection::btree_set(0u8..4, 1..4), 1..6),
    )
}

proptest! {
    #[test]
    fn everything_is_assigned_once_to_a_subscriber((partitions, members) in any_group()) {
        for assignor in AssignorName::ALL {
            let input = group(assignor, &partitions, &members);
            let target = assign(&input);
            assert_whole(&input, &target);
            prop_assert_eq!(assign(&input), target);
        }
    }

    #[test]
    fn sticky_is_as_even_as_can_be_and_then_stays((partitions, members) in any_group()) {
        let mut input = group(AssignorName::Sticky, &partitions[..3], &members.iter().map(|topics| {
            topics.iter().map(|topic| topic % 3).collect()
        }).collect::<Vec<_>>());
        let target = assign(&input);
        prop_assert_eq!(squares(&counts(&input, &target)), least_squares(&input));
        settle(&mut input, &target);
        prop_assert_eq!(assign(&input), target);
    }

    #[test]
    fn sticky_stays_even_from_any_assignment_before(
        (partitions, members) in any_group(),
        before in proptest::collection::vec((0usize..6, 0u8..4, 0i32..6), 0..16),
    ) {
        let mut input = group(AssignorName::Sticky, &partitions, &members);
        for (owner, index, partition) in before {
            if let Some(member) = input.members.get_mut(&member(owner)) {
                member.target.entry(topic(index)).or_default().insert(partition);
            }
        }
        let target = assign(&input);
        assert_whole(&input, &target);
        let fresh = assign(&group(AssignorName::Sticky, &partitions, &members));
        prop_assert_eq!(squares(&counts(&input, &target)), squares(&counts(&input, &fresh)));
    }

    #[test]
    fn a_leave_moves_only_what_the_leaver_had(
        partitions in proptest::collection::vec(1i32..9, 1..4), members in 2usize..8, leaver in 0usize..8,
    ) {
        let mut input = alike(&partitions, members);
        let before = assign(&input);
        settle(&mut input, &before);
        let gone = member(leaver % members);
        input.members.remove(&gone);
        let after = assign(&input);
        assert_whole(&input, &after);
        prop_assert!(spread(&counts(&input, &after)) <= 1);
        let had = before.get(&gone).map_or(0, |hand| hand.values().map(BTreeSet::len).sum());
        prop_assert_eq!(moves(&before, &after), had);
    }

    #[test]
    fn a_join_moves_one_share_at_most(
        partitions in proptest::collection::vec(1i32..9, 1..4), members in 1usize..8,
    ) {
        let mut input = alike(&partitions, members + 1);
        let newcomer = input.members.remove(&member(members)).expect("the last one");
        let before = assign(&input);
        prop_assert!(spread(&counts(&input, &before)) <= 1);
        settle(&mut input, &before);
        input.members.insert(member(members), newcomer);
        let after = assign(&input);
        assert_whole(&input, &after);
        prop_assert!(spread(&counts(&input, &after)) <= 1);
        let all: i32 = partitions.iter().sum();
        prop_assert!(moves(&before, &after) <= (all as usize).div_ceil(members + 1));
        let taken: usize = after.get(&member(members)).map_or(0, |hand| hand.values().map(BTreeSet::len).sum());
        prop_assert_eq!(moves(&before, &after), taken, "others change nothing among themselves");
    }
}

#[test]
fn range_keeps_numbers_together_and_round_robin_deals() {
    let all = BTreeSet::from([0, 1]);
    let hand = |assignor| {
        let target = assign(&group(assignor, &[3, 3], &[all.clone(), all.clone()]));
        target[&member(0)].values().cloned().collect::<Vec<_>>()
    };
    assert_eq!(hand(AssignorName::Range), [BTreeSet::from([0, 1]), BTreeSet::from([0, 1])]);
    assert_eq!(hand(AssignorName::RoundRobin), [BTreeSet::from([0, 2]), BTreeSet::from([1])]);
    assert_eq!(hand(AssignorName::Sticky), [BTreeSet::from([0, 2]), BTreeSet::from([1])]);
}

#[test]
fn what_is_given_up_comes_from_all_topics() {
    let mut input = alike(&[4, 4], 2);
    let newcomer = input.members.remove(&member(1)).expect("the last one");
    let before = assign(&input);
    settle(&mut input, &before);
    input.members.insert(member(1), newcomer);
    let after = assign(&input);
    let half = BTreeSet::from([2, 3]);
    assert_eq!(after[&member(1)], Assignment::from([(topic(0), half.clone()), (topic(1), half)]));
}

#[test]
fn names_of_assignors_are_read_back() {
    for name in AssignorName::ALL {
        assert_eq!(AssignorName::parse(name.as_str()), Some(name));
    }
    assert_eq!(AssignorName::parse("uniform"), None);
}

#[test]
fn large_groups_are_assigned_without_end() {
    let mut input = alike(&[1_000], 1_000);
    let target = assign(&input);
    assert_eq!(spread(&counts(&input, &target)), 0);
    // The same with two kinds of members, half of whom want one topic more.
    let kinds = [BTreeSet::from([0]), BTreeSet::from([0, 1])];
    let members: Vec<BTreeSet<u8>> = (0..1_000).map(|index| kinds[index % 2].clone()).collect();
    input = group(AssignorName::Sticky, &[1_000, 1_000], &members);
    let target = assign(&input);
    assert_whole(&input, &target);
    assert_eq!(spread(&counts(&input, &target)), 0);
}

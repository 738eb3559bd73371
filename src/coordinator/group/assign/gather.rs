//! Makes an assignor's input from a group.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::start::Start;
use super::super::state::Group;
use super::super::subscription::Subscription;
use super::super::topics::{TopicFacts, Topics};
use super::super::wanted::topics_hash;
use super::input::{AssignmentInput, AssignorName, MemberInput};
use crate::base::{GroupId, MemberId, TopicId};

/// The group as an assignor sees it.
pub(in super::super) fn input_of(id: &GroupId, group: &Group, topics: &dyn Topics) -> AssignmentInput {
    let resolved = group.wanted.resolve(topics);
    let start = group.head.map_or(Start::Earliest, |head| head.start);
    AssignmentInput {
        group: id.clone(),
        group_epoch: group.epoch(),
        assignor: elected(group),
        members: members(group, &resolved),
        to_start: to_start(group, start, &resolved),
        start,
        topics_hash: topics_hash(&resolved),
        topics: resolved,
    }
}

fn members(group: &Group, resolved: &BTreeMap<TopicId, TopicFacts>) -> BTreeMap<MemberId, MemberInput> {
    // Members with the same subscription share what it means.
    let mut meanings: BTreeMap<&Subscription, Arc<BTreeSet<TopicId>>> = BTreeMap::new();
    let mut members = BTreeMap::new();
    for member in group.members() {
        let subscription = &member.membership.subscription;
        let meaning = || Arc::new(group.wanted.of_member(subscription, resolved).collect());
        let input = MemberInput {
            instance_id: member.membership.instance_id.clone(),
            topics: meanings.entry(subscription).or_insert_with(meaning).clone(),
            target: member.target.clone(),
        };
        members.insert(member.id.clone(), input);
    }
    members
}

/// Topics that begin where the group does: they were there when the group asked for them, and nobody read them so far.
fn to_start(group: &Group, start: Start, resolved: &BTreeMap<TopicId, TopicFacts>) -> Vec<TopicFacts> {
    let before = group.head.map_or(-1, |head| head.start_before);
    let is_new = |facts: &&TopicFacts| {
        facts.created <= before
            && !group.has_offset_of(facts.id, &facts.name)
            && !group.targets.has_topic(facts.id)
    };
    let begins = start != Start::Earliest;
    resolved.values().filter(|_| begins).filter(is_new).cloned().collect()
}

/// The assignor that most members name; of several the first, and the first of all where nobody names one.
pub(in super::super) fn elected(group: &Group) -> AssignorName {
    let mut votes = AssignorName::ALL.map(|name| (0, name));
    for name in group.members().filter_map(|member| member.membership.assignor) {
        votes.iter_mut().filter(|(_, other)| *other == name).for_each(|(votes, _)| *votes += 1);
    }
    let most = votes.iter().map(|(votes, _)| *votes).max().unwrap_or(0);
    votes.iter().find(|(votes, _)| *votes == most).map_or(AssignorName::Sticky, |(_, name)| *name)
}

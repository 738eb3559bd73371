//! Sticky: as balanced as possible, with the fewest moves.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::balance::balanced;
use super::input::{AssignmentInput, Target, give};
use crate::base::{MemberId, TopicPartition};

/// Where all members want the same, counts differ by one at most: a member keeps what it has up to its share; what nobody keeps goes to
/// those with the fewest.
pub(super) fn sticky(input: &AssignmentInput) -> Target {
    let mut meanings = input.members.values().map(|member| &member.topics);
    let Some(first) = meanings.next() else { return Target::new() };
    if meanings.any(|other| other != first) {
        return balanced(input);
    }
    let mut free: BTreeSet<TopicPartition> = first.iter().flat_map(|id| input.partitions(*id)).collect();
    let hands = keep(input, &mut free);
    let mut target = Target::new();
    let mut fewest: BinaryHeap<_> =
        hands.iter().enumerate().map(|(index, (_, kept))| Reverse((kept.len(), index))).collect();
    for (member, kept) in &hands {
        kept.iter().for_each(|id| give(&mut target, member, *id));
    }
    for id in free {
        let Some(mut top) = fewest.peek_mut() else { break };
        let Reverse((count, index)) = *top;
        give(&mut target, hands[index].0, id);
        *top = Reverse((count + 1, index));
    }
    target
}

/// What each member keeps: up to its share, which is one more for so many members as it does not come out even for, first for those
/// that have more. What is kept is no longer free.
fn keep<'a>(
    input: &'a AssignmentInput,
    free: &mut BTreeSet<TopicPartition>,
) -> Vec<(&'a MemberId, Vec<TopicPartition>)> {
    let share = free.len() / input.members.len();
    let mut one_more = free.len() % input.members.len();
    let mut hands = Vec::with_capacity(input.members.len());
    for (id, member) in &input.members {
        let mut kept: Vec<TopicPartition> = member.partitions().filter(|id| free.contains(id)).collect();
        if kept.len() > share {
            // WHY by number first: what is given up comes from all topics alike.
            kept.sort_unstable_by_key(|id| (id.partition, id.topic_id));
            kept.truncate(share + usize::from(one_more > 0));
            one_more -= usize::from(kept.len() > share);
        }
        kept.iter().for_each(|id| assert!(free.remove(id), "it was free above"));
        hands.push((id, kept));
    }
    hands
}

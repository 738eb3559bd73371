//! Round-robin: all partitions are dealt in turn.

use super::input::{AssignmentInput, Target, give};

/// Topics by name, partitions by number; a member that is not subscribed is passed over and gets the next one that it is subscribed to.
pub(super) fn round_robin(input: &AssignmentInput) -> Target {
    let members = input.in_order();
    let mut topics: Vec<_> = input.topics.values().collect();
    topics.sort_by_key(|facts| (&facts.name, facts.id));
    let mut target = Target::new();
    let mut next = 0;
    for id in topics.into_iter().flat_map(|facts| input.partitions(facts.id)) {
        let turns = (0..members.len()).map(|step| (next + step) % members.len());
        let mut takers = turns.filter(|turn| members[*turn].1.topics.contains(&id.topic_id));
        if let Some(taker) = takers.next() {
            give(&mut target, members[taker].0, id);
            next = taker + 1;
        }
    }
    target
}

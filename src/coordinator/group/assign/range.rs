//! Range: each topic is cut into as many ranges as it has subscribers.

use super::input::{AssignmentInput, Target, give};

/// The first subscribers get one partition more where it does not come out even. Partitions of one number of topics with the same count and
/// subscribers meet in one member.
pub(super) fn range(input: &AssignmentInput) -> Target {
    let members = input.in_order();
    let mut target = Target::new();
    for topic_id in input.topics.keys() {
        let subscribers: Vec<_> =
            members.iter().filter(|(_, member)| member.topics.contains(topic_id)).collect();
        let count = input.partitions(*topic_id).count();
        let mut partitions = input.partitions(*topic_id);
        for (index, (id, _)) in subscribers.iter().enumerate() {
            let share = count / subscribers.len() + usize::from(index < count % subscribers.len());
            partitions.by_ref().take(share).for_each(|partition| give(&mut target, id, partition));
        }
    }
    target
}

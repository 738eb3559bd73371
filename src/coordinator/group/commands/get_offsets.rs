//! Get offsets: where a group stands.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::position::{Committed, PartitionName};
use super::super::rules::GroupRule;
use super::super::shard::GroupShard;
use super::super::topics::Topics;
use crate::base::{GroupId, TopicPartition};

/// Asks for committed offsets. One whose topic was deleted, created again or not, is none. A group that does not exist has none.
///
/// Cost: grows with what is asked for, not with what the group has.
/// Errors: none.
#[derive(Clone)]
pub struct GetOffsets {
    /// The group.
    pub group: GroupId,
    /// Of these partitions; `None`: all that there are.
    pub partitions: Option<BTreeSet<TopicPartition>>,
    /// The topics at this moment.
    pub topics: Arc<dyn Topics>,
}

impl GetOffsets {
    /// Those that there are.
    pub(in super::super) fn decide(self, shard: &GroupShard) -> Vec<Committed> {
        let Some(at) = shard.group(&self.group) else { return Vec::new() };
        let is_live = |committed: &&Committed| {
            let live = self.topics.by_name(&committed.position.topic);
            let has_id = live.is_some_and(|facts| facts.id == committed.position.topic_id);
            has_id || !at.holds(GroupRule::MatchTopicId)
        };
        let Some(asked) = &self.partitions else {
            return at.group.offsets.values().filter(is_live).cloned().collect();
        };
        // WHY not a look at all: in a large group each of many members asks for the little that came to it.
        let found = asked.iter().filter_map(|id| {
            let topic = self.topics.by_id(id.topic_id)?.name;
            let committed = at.group.offsets.get(&PartitionName { topic, partition: id.partition })?;
            (committed.position.id() == *id).then(|| committed.clone())
        });
        found.collect()
    }
}

//! Which member has a claim to a partition: as its owner, or by its target.

use std::collections::BTreeMap;

use crate::base::{MemberId, TopicId, TopicPartition};

/// One member for each partition.
///
/// Holds after each record of a log, compacted or not: the last one that claimed a partition and did not give it back has it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Claims {
    by_partition: BTreeMap<TopicPartition, MemberId>,
}

impl Claims {
    /// Who has a claim.
    pub(super) fn get(&self, id: &TopicPartition) -> Option<&MemberId> {
        self.by_partition.get(id)
    }

    /// Whether a partition of the topic is claimed.
    pub(super) fn has_topic(&self, topic_id: TopicId) -> bool {
        let first = TopicPartition { topic_id, partition: i32::MIN };
        let last = TopicPartition { topic_id, partition: i32::MAX };
        self.by_partition.range(first..=last).next().is_some()
    }

    /// The member claims these from now on.
    pub(super) fn claim(&mut self, member: &MemberId, ids: impl Iterator<Item = TopicPartition>) {
        for id in ids {
            self.by_partition.insert(id, member.clone());
        }
    }

    /// The member gives these back. WHY not those of others: in a compacted log the next claim may come before the record
    /// that gives back.
    pub(super) fn give_back(&mut self, member: &MemberId, ids: impl Iterator<Item = TopicPartition>) {
        for id in ids {
            if self.by_partition.get(&id) == Some(member) {
                self.by_partition.remove(&id);
            }
        }
    }
}

//! Spreads records over the partitions of a topic when their producer names none.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

use crate::base::TopicId;
use crate::base::partitioner::{StickyRoundRobin, choose_partition};
use crate::broker::request::Record;

/// Whose turn it is in each topic: one for the whole broker, so that records without key go round however many
/// requests they come in.
#[derive(Debug, Default)]
pub struct Spread {
    turns: Mutex<HashMap<TopicId, StickyRoundRobin>>,
}

impl Spread {
    /// Indexes of `records` by the partition that each goes to, in order within a partition. At the first use of a topic,
    /// those that are no longer `is_alive` are forgotten.
    ///
    /// Cost: one hash per key, a lock for the whole list.
    /// Panics: when `partition_count` is not positive.
    pub fn assign(
        &self,
        topic: TopicId,
        partition_count: i32,
        records: &[Record],
        is_alive: impl Fn(TopicId) -> bool,
    ) -> BTreeMap<i32, Vec<u32>> {
        let mut turns = self.turns.lock();
        if !turns.contains_key(&topic) {
            turns.retain(|topic, _| is_alive(*topic));
        }
        let turn = turns.entry(topic).or_insert(StickyRoundRobin::starting_at(0));
        let mut assigned = BTreeMap::<i32, Vec<u32>>::new();
        for (index, record) in records.iter().enumerate() {
            let value_bytes = record.value.as_ref().map_or(0, |value| value.len());
            let partition = choose_partition(record.key.as_deref(), value_bytes, partition_count, turn);
            assigned.entry(partition).or_default().push(index as u32);
        }
        assigned
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::base::partitioner::STICKY_BYTES;

    fn record(key: Option<&'static str>, value_bytes: usize) -> Record {
        Record { key: key.map(Bytes::from), value: Some(vec![0; value_bytes].into()), ..Record::default() }
    }

    #[test]
    fn turns_go_on_from_request_to_request_for_each_topic() {
        let spread = Spread::default();
        let (a, b) = (TopicId([1; 16]), TopicId([2; 16]));
        let one = [record(None, STICKY_BYTES)];
        let chosen = |topic| spread.assign(topic, 3, &one, |_| true).into_keys().next();
        assert_eq!([chosen(a), chosen(a), chosen(b), chosen(a), chosen(a)], [0, 1, 0, 2, 0].map(Some));
        spread.assign(TopicId([3; 16]), 3, &one, |topic| topic == b);
        assert_eq!([chosen(a), chosen(b)], [0, 1].map(Some));
    }

    #[test]
    fn keys_go_where_they_belong_and_keep_their_order() {
        let spread = Spread::default();
        let records = [record(Some("key"), 1), record(Some("user-42"), 1), record(Some("key"), 1)];
        let assigned = spread.assign(TopicId([0; 16]), 12, &records, |_| true);
        assert_eq!(assigned, BTreeMap::from([(1, vec![0, 2]), (4, vec![1])]));
    }
}

//! Chooses partitions for records, with the functions that the broker uses as well.

use std::collections::HashMap;
use std::sync::Arc;

use super::metadata::KnownTopic;
use super::producer::Record;
use crate::base::partitioner::{StickyRoundRobin, choose_partition};
use crate::base::{Error, ErrorKind, TopicId};
use crate::env::Rng;

/// Remembers for each topic whose turn it is.
pub(super) struct Partitioner {
    rng: Arc<Rng>,
    turns: HashMap<TopicId, StickyRoundRobin>,
}

impl Partitioner {
    /// Each topic begins at a random partition, which keeps many producers apart.
    pub(super) fn new(rng: Arc<Rng>) -> Self {
        Self { rng, turns: HashMap::new() }
    }

    /// The partition that the record names, else by its key as the Java client does, else by turns.
    ///
    /// Holds: the record names none, or one that [`check_partition`] has let through.
    pub(super) fn choose(&mut self, topic: &KnownTopic, record: &Record) -> i32 {
        if let Some(partition) = record.partition {
            return partition;
        }
        let random = || StickyRoundRobin::starting_at(self.rng.below(u64::from(u32::MAX)) as u32);
        let turns = self.turns.entry(topic.id).or_insert_with(random);
        choose_partition(record.key.as_deref(), record.payload_bytes(), topic.partition_count, turns)
    }
}

/// Checks the partition that a record names.
///
/// Errors: PARTITION_NOT_FOUND.
pub(super) fn check_partition(topic: &KnownTopic, record: &Record) -> Result<(), Error> {
    let count = topic.partition_count;
    match record.partition {
        Some(partition) if partition < 0 || partition >= count => {
            let name = &topic.name;
            let message = format!(
                "topic '{name}' has no partition {partition}; use 0 to {}, or leave the choice to the key",
                count - 1
            );
            Err(Error::new(ErrorKind::PartitionNotFound, message)
                .with("topic", name)
                .with("partition", partition))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::metadata::known_topic;
    use super::*;

    fn partitioner() -> Partitioner {
        Partitioner::new(Arc::new(Rng::seeded(1)))
    }

    #[test]
    fn keys_land_where_the_java_client_puts_them() {
        let topic = known_topic("t", 12, 1000);
        for (key, partition) in [("user-42", 4), ("hello world", 7), ("", 9)] {
            assert_eq!(partitioner().choose(&topic, &Record::to("t").key(key)), partition, "{key}");
        }
    }

    #[test]
    fn a_named_partition_goes_before_the_key() {
        let topic = known_topic("t", 12, 1000);
        assert_eq!(partitioner().choose(&topic, &Record::to("t").key("user-42").partition(3)), 3);
    }

    #[test]
    fn records_without_key_go_round_and_stay_a_while() {
        let topic = known_topic("t", 4, 1000);
        let mut partitioner = partitioner();
        let chosen: Vec<i32> =
            (0..1000).map(|_| partitioner.choose(&topic, &Record::to("t").value(vec![0u8; 1000]))).collect();
        let changes = chosen.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!((4..100).contains(&changes), "{changes} changes of partition");
        assert!((0..4).all(|partition| chosen.contains(&partition)));
    }

    #[test]
    fn partitions_that_do_not_exist_are_refused() {
        let topic = known_topic("t", 4, 1000);
        assert!(check_partition(&topic, &Record::to("t").partition(3)).is_ok());
        for partition in [-1, 4] {
            let error =
                check_partition(&topic, &Record::to("t").partition(partition)).expect_err("out of range");
            assert_eq!(error.kind, ErrorKind::PartitionNotFound);
            assert!(error.message.contains("use 0 to 3"), "{error}");
        }
    }
}

//! The topic that holds all groups: its name, its settings, and which of its partitions a group lives in.

use crate::base::GroupId;
use crate::cluster::Configs;

/// Name of the topic.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Its partitions; never changes, because a group's place follows from it. Kafka's default.
pub const OFFSETS_PARTITIONS: i32 = 50;

/// Its settings: only the newest record of each key counts. Segments are small, because what lies in the segment that is written to
/// is not compacted, and a start replays it.
pub fn configs() -> Configs {
    [("cleanup.policy", "compact"), ("segment.bytes", "4194304"), ("min.cleanable.dirty.ratio", "0.2")]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// The partition that holds a group: Java's hash of its name modulo the partitions, the smallest integer counting as 0.
///
/// Source: Kafka's `Utils.abs(groupId.hashCode()) % 50`.
pub fn partition_of(group: &GroupId) -> i32 {
    let hash = group
        .as_str()
        .encode_utf16()
        .fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    hash.checked_abs().unwrap_or(0) % OFFSETS_PARTITIONS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_lie_where_kafka_would_look_for_them() {
        // Java's hashCode for each, from a JVM.
        let known = [
            ("g1", 42),
            ("my-group", 12),
            ("orders-service", 17),
            ("console-consumer-12345", 6),
            ("polygenelubricants", 0),
            ("żółw", 4),
        ];
        for (name, partition) in known {
            assert_eq!(partition_of(&GroupId::stored(name)), partition, "{name}");
        }
    }
}

//! Which partition of `__consumer_offsets` holds a group: the one that Kafka would choose.

use crate::base::GroupId;
use crate::base::limits::OFFSETS_PARTITIONS;

/// The partition that holds the group's records.
pub fn coordinator_partition(group: &GroupId) -> i32 {
    match java_hash(group.as_str()).checked_abs() {
        Some(hash) => hash % OFFSETS_PARTITIONS,
        // Kafka's answer for the one number that has no absolute value.
        None => 0,
    }
}

/// Java's `String.hashCode`, over UTF-16 units.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_lie_where_kafka_puts_them() {
        assert_eq!(java_hash("g1"), 3242);
        assert_eq!(java_hash("my-group"), -1_906_497_762);
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
        assert_eq!(java_hash("żółw"), 11_564_204);
        let vectors = [
            ("g1", 42),
            ("my-group", 12),
            ("orders-service", 17),
            ("console-consumer-12345", 6),
            ("polygenelubricants", 0),
            ("żółw", 4),
            ("", 0),
            ("tx-1", 20),
        ];
        for (group, partition) in vectors {
            assert_eq!(coordinator_partition(&GroupId::stored(group)), partition, "{group}");
        }
    }
}

//! Which partition a record goes to when its producer names none. Client and broker use the same functions.

use super::hash::partition_of_key;

/// Bytes of records without key that stay with one partition before the next one's turn (Kafka's `batch.size`): large
/// enough to fill batches, small enough to spread load.
pub const STICKY_BYTES: usize = 16 << 10;

/// Round-robin over the partitions of one topic that stays with a partition for [`STICKY_BYTES`], so that records
/// without key still come in batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StickyRoundRobin {
    turn: u32,
    used_bytes: usize,
}

impl StickyRoundRobin {
    /// Begins with partition `start` modulo the partition count; a random start keeps many producers apart.
    pub fn starting_at(start: u32) -> Self {
        Self { turn: start, used_bytes: 0 }
    }

    /// Partition for the next record of `record_bytes`, key and value together.
    ///
    /// Holds: partitions are visited in turn; each gets the records up to and including the one that reaches
    /// [`STICKY_BYTES`].
    /// Panics: when `partition_count` is not positive.
    pub fn choose(&mut self, record_bytes: usize, partition_count: i32) -> i32 {
        assert!(partition_count > 0, "a topic has at least one partition");
        let chosen = (self.turn % partition_count as u32) as i32;
        self.used_bytes = self.used_bytes.saturating_add(record_bytes);
        if self.used_bytes >= STICKY_BYTES {
            self.turn = chosen as u32 + 1;
            self.used_bytes = 0;
        }
        chosen
    }
}

/// Partition of a record among `partition_count`: by its key as the Java client does, else by turns.
///
/// Panics: when `partition_count` is not positive.
pub fn choose_partition(
    key: Option<&[u8]>,
    value_bytes: usize,
    partition_count: i32,
    turns: &mut StickyRoundRobin,
) -> i32 {
    match key {
        Some(key) => partition_of_key(key, partition_count),
        None => turns.choose(value_bytes, partition_count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_stay_for_the_sticky_bytes_and_then_go_round() {
        let mut turns = StickyRoundRobin::starting_at(2);
        let half = STICKY_BYTES / 2;
        let chosen: Vec<i32> = (0..8).map(|_| turns.choose(half, 3)).collect();
        assert_eq!(chosen, [2, 2, 0, 0, 1, 1, 2, 2]);
    }

    #[test]
    fn one_large_record_uses_up_a_turn() {
        let mut turns = StickyRoundRobin::starting_at(u32::MAX);
        let first = turns.choose(usize::MAX, 4);
        assert_eq!(first, 3);
        assert_eq!(turns.choose(1, 4), 0);
        assert_eq!(turns.choose(1, 4), 0);
    }

    #[test]
    fn fewer_or_more_partitions_than_before_are_fine() {
        let mut turns = StickyRoundRobin::starting_at(9);
        assert_eq!(turns.choose(STICKY_BYTES, 10), 9);
        assert_eq!(turns.choose(STICKY_BYTES, 2), 0);
        assert_eq!(turns.choose(STICKY_BYTES, 5), 1);
    }

    #[test]
    fn a_key_decides_alone_even_when_it_is_empty() {
        let mut turns = StickyRoundRobin::starting_at(0);
        assert_eq!(choose_partition(Some(b""), 1 << 20, 12, &mut turns), 9);
        assert_eq!(choose_partition(Some(b"user-42"), 1 << 20, 12, &mut turns), 4);
        assert_eq!(choose_partition(None, 1, 12, &mut turns), 0, "keys do not use up turns");
    }
}

//! Random histories: appends with tombstones under every codec and by several producers, restarts, kills, passes, waits, changes of
//! policy; after each step the log is held against all that was written.

use std::time::Duration;

use super::world::{World, compacted};
use crate::config::{CleanupPolicy, TopicConfig};
use crate::env::Rng;
use crate::record::Codec;
use crate::record::builder::ProducerFields;

const HISTORIES: u64 = 60;
const STEPS: usize = 60;

struct Player {
    rng: Rng,
    world: World,
    /// Next sequence of each producer.
    sequences: [i32; 3],
}

impl Player {
    fn new(seed: u64) -> Self {
        let rng = Rng::seeded(seed);
        // From one key a stretch up to all of them.
        let memory_bytes = [0, 24 * 8, 1 << 20][rng.below(3) as usize];
        let world = World::with_memory(compacted(), memory_bytes);
        Self { rng, world, sequences: [0; 3] }
    }

    fn is_one_in(&self, count: u64) -> bool {
        self.rng.below(count) == 0
    }

    fn append(&mut self) {
        let keys: Vec<_> = (0..1 + self.rng.below(5)).map(|_| format!("key {}", self.rng.below(8))).collect();
        let value = "v".repeat(self.rng.below(120) as usize);
        let pairs: Vec<_> =
            keys.iter().map(|key| (key.as_str(), (!self.is_one_in(4)).then_some(value.as_str()))).collect();
        let codec = Codec::ALL[self.rng.below(5) as usize];
        let producer = self.rng.below(6) as usize;
        let Some(sequence) = self.sequences.get_mut(producer) else {
            self.world.put_as(&pairs, codec, ProducerFields::NONE);
            return;
        };
        let fields =
            ProducerFields { producer_id: producer as i64, producer_epoch: 0, base_sequence: *sequence };
        *sequence += pairs.len() as i32;
        let first = self.world.put_as(&pairs, codec, fields);
        // The last batch of a producer is known whatever became of its records.
        assert_eq!(self.world.put_as(&pairs, codec, fields), first, "a duplicate");
    }

    fn step(&mut self) {
        match self.rng.below(20) {
            0 => self.world.kill(),
            1 => self.world.stop(),
            2..=4 => {
                self.world.compact();
            }
            5 => self.world.clock.advance(Duration::from_millis(self.rng.below(800))),
            6 => {
                let cleanup = if self.is_one_in(3) { CleanupPolicy::Delete } else { CleanupPolicy::Compact };
                let min_dirty_millionths = if self.is_one_in(2) { 0 } else { 500_000 };
                let segment_bytes = 1_024 << self.rng.below(3);
                let base = self.world.config.clone();
                self.world.set(TopicConfig { cleanup, min_dirty_millionths, segment_bytes, ..base });
            }
            _ => self.append(),
        }
        self.world.check();
    }
}

#[test]
fn final_values_are_the_last_of_each_key() {
    for seed in 0..HISTORIES {
        let mut player = Player::new(seed);
        (0..STEPS).for_each(|_| player.step());
        player.world.set(compacted());
        player.world.roll();
        player.world.compact();
        player.world.check();
        let read = player.world.read();
        let base = player.world.log.writer.lock().active.base_offset();
        let mut keys: Vec<_> =
            read.iter().filter(|record| record.offset < base).map(|record| &record.key).collect();
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count, "each key is there once below the segment that is written to");
    }
}

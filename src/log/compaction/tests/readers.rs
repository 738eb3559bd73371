//! Readers while passes run: no gap, no error, no other bytes. What a record must be follows from its offset alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::world::{START_MS, World, batch, compacted};
use crate::base::Offset;
use crate::env::{Rng, threads};
use crate::log::{PartitionLog, ReadError, Wait};
use crate::record::builder::ProducerFields;
use crate::record::{Codec, RecordBatch};

const READERS: u64 = 3;
const ROUNDS: Offset = 60;
const PER_ROUND: Offset = 20;
const KEYS: Offset = 7;

fn key_of(offset: Offset) -> String {
    format!("key {}", offset * offset % KEYS)
}

fn value_of(offset: Offset) -> String {
    format!("value {offset}, {}", "x".repeat((offset * 37 % 90) as usize))
}

/// Reads from `next` on up to the high watermark, and checks each record.
fn walk(log: &PartitionLog, mut next: Offset, max_bytes: usize, rng: &Rng) {
    let end = log.offsets().high_watermark;
    while next < end {
        let wait = if rng.below(2) == 0 { Wait::Never } else { Wait::Allowed };
        let slice = match log.read(next, end, max_bytes, wait) {
            Err(ReadError::WouldBlock) => continue,
            slice => slice.expect("readable"),
        };
        assert!(slice.next_offset > next, "nothing at {next} of {end}");
        let mut rest = slice.bytes;
        while let Some(batch) = RecordBatch::take_first(&mut rest).expect("whole batches") {
            assert!(batch.header().last_offset() >= next, "{:?} again, at {next}", batch.header());
            for record in &batch.records(1 << 20).expect("valid") {
                let record = record.expect("valid");
                assert_eq!(record.key, Some(key_of(record.offset).as_bytes()));
                assert_eq!(record.value, Some(value_of(record.offset).as_bytes()));
            }
            next = batch.header().last_offset() + 1;
        }
        assert_eq!(next, slice.next_offset);
    }
}

fn read_on_and_on(log: &PartitionLog, is_done: &AtomicBool, seed: u64) -> u64 {
    let rng = Rng::seeded(seed);
    let mut walks = 0;
    while !is_done.load(Ordering::Relaxed) {
        let end = log.offsets().high_watermark;
        walk(log, rng.below(end as u64 + 1) as Offset, 1 + rng.below(3_000) as usize, &rng);
        if end > 0 {
            let at = rng.below(end as u64) as Offset;
            let found =
                log.offset_for_timestamp(START_MS + at).expect("readable").expect("a newer one is there");
            assert!(found.offset >= at && found.timestamp == START_MS + found.offset);
        }
        walks += 1;
    }
    walks
}

#[test]
fn readers_are_undisturbed() {
    let world = World::new(compacted());
    let is_done = Arc::new(AtomicBool::new(false));
    let reader = |seed| {
        let (log, is_done) = (world.log.clone(), is_done.clone());
        threads::spawn("reader", move || assert!(read_on_and_on(&log, &is_done, seed) > 0)).expect("a thread")
    };
    let readers: Vec<_> = (0..READERS).map(reader).collect();
    let (mut passes, mut offset) = (0, 0);
    for _ in 0..ROUNDS {
        for _ in 0..PER_ROUND {
            let (key, value) = (key_of(offset), value_of(offset));
            let batch = batch(&[(&key, Some(&value))], Codec::None, ProducerFields::NONE, START_MS + offset);
            world.log.append(batch).peek().expect("drained at once").expect("appends");
            offset += 1;
        }
        passes += world.compact();
    }
    is_done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join().expect("a reader failed");
    }
    assert!(passes > ROUNDS as usize / 2, "{passes} passes");
    walk(&world.log, 0, 100, &Rng::seeded(0));
    assert!(world.batches().len() < 60, "{} batches are left", world.batches().len());
}

//! Tests of batching.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::super::metadata::known_topic;
use super::*;
use crate::record::{Codec, ProducerFields, RecordBatch};

const NOW: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

struct Setup {
    accumulator: Accumulator,
    topic: Arc<KnownTopic>,
    memory: Arc<Semaphore>,
}

impl Setup {
    fn new(linger: Duration, batch_bytes: usize) -> Self {
        Self {
            accumulator: Accumulator::new(linger, batch_bytes),
            topic: known_topic("t", 4, 1000),
            memory: Arc::new(Semaphore::new(1 << 20)),
        }
    }

    fn push(&mut self, partition: i32, value: &[u8], now: Duration) -> Pushed {
        let memory = self.memory.clone().try_acquire_many_owned(100).expect("enough memory");
        let record = NewRecord { timestamp: 5, key: None, value: Some(value), headers: &[] };
        let topic = self.topic.clone();
        self.accumulator.push(Place { topic: &topic, partition, memory }, &record, now).expect("sound")
    }

    fn take(&mut self, now: Duration) -> Option<(i32, i32)> {
        self.accumulator.take(now, |_| true).map(|batch| (batch.partition, batch.record_count))
    }
}

#[test]
fn records_share_a_batch_until_somebody_takes_it() {
    let mut setup = Setup::new(Duration::ZERO, 1000);
    assert!(setup.push(0, b"a", NOW).wakes);
    assert!(!setup.push(0, b"b", NOW).wakes);
    assert_eq!(setup.take(NOW), Some((0, 2)));
    assert!(setup.push(0, b"c", NOW).wakes);
    assert_eq!(setup.take(NOW), Some((0, 1)));
    assert_eq!(setup.take(NOW), None);
    assert!(setup.accumulator.is_empty());
}

#[test]
fn a_lingering_batch_is_due_when_its_time_is_over_or_it_is_full() {
    let mut setup = Setup::new(5 * MS, 400);
    setup.push(0, b"a", NOW);
    assert_eq!(setup.take(NOW + 4 * MS), None);
    assert_eq!(setup.accumulator.next_wake(NOW, NOW), Some(NOW + 5 * MS));
    assert_eq!(setup.take(NOW + 5 * MS), Some((0, 1)));
    setup.push(1, &[0; 250], NOW);
    let second = setup.push(1, &[0; 250], NOW);
    assert!(second.wakes, "the first batch is full now");
    assert_eq!(setup.take(NOW), Some((1, 1)));
    assert_eq!(setup.take(NOW), None, "the second lingers");
    assert_eq!(setup.accumulator.flush().len(), 3, "two taken without result, one waiting");
    assert_eq!(setup.take(NOW), Some((1, 1)));
}

#[test]
fn no_batch_is_larger_than_its_topic_allows() {
    let mut setup = Setup::new(Duration::ZERO, 1 << 20);
    for size in [300, 300, 300, 900, 100] {
        setup.push(0, &vec![3u8; size], NOW);
    }
    let mut sizes = Vec::new();
    while let Some(mut batch) = setup.accumulator.take(NOW, |_| true) {
        let Body::Open(builder) = &mut batch.body else { panic!("not sealed yet") };
        let bytes = builder.build(Codec::None, ProducerFields::NONE).expect("sound");
        assert!(bytes.len() <= 1000, "{}", bytes.len());
        sizes.push(RecordBatch::parse(bytes).expect("valid").header().record_count);
    }
    assert_eq!(sizes, [3, 1, 1]);
}

#[test]
fn partitions_take_turns_and_one_without_room_waits() {
    let mut setup = Setup::new(Duration::ZERO, 150);
    for partition in [0, 0, 1] {
        setup.push(partition, &[0; 100], NOW);
    }
    assert_eq!(setup.take(NOW), Some((0, 1)));
    assert_eq!(setup.take(NOW), Some((1, 1)));
    assert!(setup.accumulator.take(NOW, |key| key.partition != 0).is_none());
    assert_eq!(setup.take(NOW), Some((0, 1)));
}

#[test]
fn old_batches_are_taken_out_and_others_keep_their_turn() {
    let mut setup = Setup::new(Duration::ZERO, 1000);
    setup.push(0, b"old", NOW);
    setup.push(1, b"new", NOW + MS);
    let old = setup.accumulator.take_older(NOW + 10 * MS, 10 * MS);
    assert_eq!(old.iter().map(|batch| batch.partition).collect::<Vec<_>>(), [0]);
    setup.push(0, b"again", NOW + 10 * MS);
    assert_eq!(setup.take(NOW + 10 * MS), Some((1, 1)));
    assert_eq!(setup.take(NOW + 10 * MS), Some((0, 1)));
}

#[test]
fn records_count_and_hold_memory_until_they_have_a_result() {
    let mut setup = Setup::new(Duration::ZERO, 1000);
    setup.push(0, b"a", NOW);
    setup.push(0, b"b", NOW);
    let batch = setup.accumulator.take(NOW, |_| true).expect("due");
    assert_eq!(setup.accumulator.record_count(), 2);
    assert_eq!(setup.memory.available_permits(), (1 << 20) - 200);
    setup.accumulator.settled(batch.number, batch.record_count);
    drop(batch);
    assert_eq!(setup.accumulator.record_count(), 0);
    assert_eq!(setup.memory.available_permits(), 1 << 20);
    assert!(setup.accumulator.flush().is_empty());
}

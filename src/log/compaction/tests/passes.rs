//! Single passes.

use super::world::{World, compacted};
use crate::config::{CleanupPolicy, TopicConfig};
use crate::env::sim_disk::{Effect, Fault, OpKind};
use crate::env::{Disk, DiskErrorKind};
use crate::log::{ReadError, Wait};
use crate::record::Codec;
use crate::record::builder::ProducerFields;

#[test]
fn the_newest_record_of_each_key_stays_at_its_offset() {
    let mut world = World::new(compacted());
    for round in 0..20 {
        let value = format!("value {round}");
        world.put(&[("a", Some(&value)), ("b", Some(&value)), (&format!("only {}", round / 5), Some("x"))]);
    }
    world.roll();
    let before = world.log.size();
    assert_eq!(world.compact(), 1);
    let after = world.log.size();
    assert!(after.size_bytes < before.size_bytes && after.segment_count < before.segment_count);
    world.check();
    let read = world.read();
    for key in ["a", "b"] {
        let of_key = read.iter().filter(|record| record.key.as_deref() == Some(key.as_bytes()));
        assert_eq!(of_key.count(), 1, "{key}");
    }
    assert_eq!(world.compact(), 0, "nothing is dirty any more");
    world.kill();
    world.check();
    assert_eq!(world.compact(), 0, "what is clean is known after a restart");
    world.stop();
    world.check();
}

#[test]
fn a_tombstone_stays_until_its_horizon_and_takes_older_values_with_it() {
    let mut world = World::new(compacted());
    world.put(&[("a", Some("1")), ("b", Some("1"))]);
    world.put(&[("a", None)]);
    world.roll();
    assert_eq!(world.compact(), 1);
    let is_there = |world: &World| world.read().iter().any(|record| record.key.as_deref() == Some(b"a"));
    assert!(is_there(&world), "readers are told that the key is gone");
    let horizons: Vec<_> = world.headers().iter().filter_map(|header| header.delete_horizon()).collect();
    assert_eq!(horizons, [super::world::START_MS + 1_000]);
    world.check();
    world.clock.advance(std::time::Duration::from_millis(999));
    assert_eq!(world.compact(), 0);
    world.clock.advance(std::time::Duration::from_millis(1));
    assert_eq!(world.compact(), 1, "its time has come");
    assert!(!is_there(&world));
    world.check();
    assert_eq!(world.compact(), 0);
}

#[test]
fn the_last_batch_of_a_producer_stays_without_records() {
    let mut world = World::new(compacted());
    let producer = |base_sequence| ProducerFields { producer_id: 5, producer_epoch: 0, base_sequence };
    for sequence in 0..4 {
        world.put_as(&[("k", Some("v"))], Codec::Zstd, producer(sequence));
    }
    world.put(&[("k", Some("newest"))]);
    world.roll();
    assert_eq!(world.compact(), 1);
    let of_producer: Vec<_> = world.headers().into_iter().filter(|header| header.has_producer()).collect();
    assert_eq!(of_producer.len(), 1);
    assert_eq!((of_producer[0].record_count, of_producer[0].last_sequence()), (0, 3));
    for path in world.files(".snapshot") {
        crate::env::Disk::remove_file(&world.disk, &path).unwrap();
    }
    world.kill();
    let again = world.put_as(&[("k", Some("v"))], Codec::Zstd, producer(3));
    assert_eq!(again, of_producer[0].base_offset, "it is known as a duplicate from the log alone");
    world.check();
}

#[test]
fn a_map_that_is_too_small_for_all_keys_takes_stretches() {
    // Two slots at least, one of which stays empty: a key a stretch.
    let mut world = World::with_memory(compacted(), 0);
    for round in 0..6 {
        for key in ["a", "b", "c"] {
            world.put(&[(key, Some(&format!("{key}{round}"))), ("z", Some("z"))]);
        }
    }
    world.roll();
    assert_eq!(world.compact(), 1);
    world.check();
    let sealed = world.log.offsets().log_end - 1;
    let mut keys: Vec<_> =
        world.read().into_iter().filter(|record| record.offset < sealed).map(|record| record.key).collect();
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), count, "each key is there once");
}

/// A log with several sealed segments to be compacted.
fn dirty() -> World {
    let mut world = World::new(compacted());
    for round in 0..12 {
        let value = format!("value {round}, {}", "x".repeat(150));
        world.put(&[("a", Some(&value)), ("b", Some(&value))]);
    }
    world.roll();
    world
}

#[test]
fn a_reader_that_holds_an_old_segment_never_reads_the_new_file() {
    let world = dirty();
    let old = world.log.segments.load_full();
    let bytes = |segment: &crate::log::segment::Segment| {
        crate::log::segment::file::read_log(segment.log(), 0, segment.len() as usize)
    };
    let before = bytes(&old[0]).unwrap();
    let held = old[0].log().get().unwrap();
    assert_eq!(world.compact(), 1);
    assert_eq!(bytes(&old[0]).unwrap(), before, "what is open stays as it was");
    drop(held);
    assert!(old[0].log().close().unwrap());
    let refused = bytes(&old[0]).expect_err("it is opened no more");
    assert_eq!(refused.kind, DiskErrorKind::NotFound);
    world.check();
}

#[test]
fn a_failed_call_of_a_pass_harms_nothing() {
    let kinds = [
        OpKind::Create,
        OpKind::Write,
        OpKind::SyncData,
        OpKind::SyncDir,
        OpKind::Rename,
        OpKind::RemoveFile,
        OpKind::Read,
    ];
    let mut given_up = 0;
    for kind in kinds {
        for number in 0..12 {
            let mut world = dirty();
            let effect = if kind == OpKind::Write { Effect::Full } else { Effect::Io };
            world.store.committer().round(true);
            world.disk.fail(Fault::on(kind, |_| true, effect).skipping(number));
            world.store.compact();
            world.disk.clear_faults();
            given_up += world.store.counters().compaction_failures.get();
            if kind == OpKind::SyncDir && world.log.offline_reason().is_some() {
                world.kill();
            }
            world.check();
            world.put(&[("after", Some("it goes on"))]);
            world.check();
            world.clock.advance(std::time::Duration::from_secs(61));
            world.compact();
            world.check();
            world.kill();
            world.compact();
            world.check();
            assert!(world.files(".cleaned").is_empty(), "{kind:?} {number}: {:?}", world.files(".cleaned"));
        }
    }
    assert!(given_up > 20, "{given_up} passes met a fault");
}

#[test]
fn a_pass_ends_when_its_log_is_closed_and_a_new_log_may_have_the_folder() {
    let world = dirty();
    world.store.committer().round(true);
    world.store.close_log(super::world::ID);
    assert_eq!(world.store.compact(), 0);
    assert!(world.files(".cleaned").is_empty());
}

#[test]
fn damage_is_not_written_anew_as_sound() {
    let mut world = dirty();
    world.stop();
    let first = world.files(".log").remove(0);
    world.disk.flip_bit(&first, 3, 1).unwrap();
    world.kill();
    assert_eq!(world.compact(), 1, "it was tried");
    assert_eq!(world.store.counters().compaction_failures.get(), 1);
    assert!(matches!(world.log.read(0, 2, 1, Wait::Allowed), Err(ReadError::Damaged { .. })));
    assert_eq!(world.store.compact(), 0, "it is left alone for a while");
}

#[test]
fn retention_and_trims_work_beside_compaction() {
    let mut world = dirty();
    assert_eq!(world.compact(), 1);
    let end = world.log.offsets().log_end;
    world.log.trim(1).unwrap();
    assert_eq!(world.log.offsets().log_start, 1);
    let both = TopicConfig { cleanup: CleanupPolicy::CompactDelete, retention_ms: 5_000, ..compacted() };
    world.set(both);
    world.clock.advance(std::time::Duration::from_millis(4_000));
    world.store.housekeeping();
    assert_eq!(world.log.offsets().log_start, 1);
    world.clock.advance(std::time::Duration::from_millis(1_001));
    world.store.housekeeping();
    assert_eq!(world.log.offsets().log_start, end);
    world.kill();
    assert_eq!(world.log.offsets().log_start, end);
}

#[test]
fn a_compacted_log_is_not_deleted_by_age() {
    let world = dirty();
    world.clock.advance(std::time::Duration::from_secs(100 * 86_400));
    world.store.housekeeping();
    assert_eq!(world.log.offsets().log_start, 0);
}

#[test]
fn a_full_disk_gives_a_pass_up_and_the_next_one_goes_on() {
    let mut world = dirty();
    world.store.committer().round(true);
    let space = Disk::space(&world.disk, std::path::Path::new("d")).unwrap();
    let used = space.total_bytes - space.free_bytes;
    for room in [0, 100, 1_500] {
        world.disk.set_capacity(Some(used + room));
        assert_eq!(world.store.compact(), 1, "it was tried");
        assert!(world.files(".cleaned").is_empty(), "nothing stays of it");
        world.clock.advance(std::time::Duration::from_secs(3_601));
        world.check();
    }
    assert!(world.store.counters().compaction_failures.get() >= 2);
    world.disk.set_capacity(None);
    world.store.compact();
    assert!(world.log.size().size_bytes < used);
    world.put(&[("after", Some("it goes on"))]);
    world.check();
}

//! Logs with gaps between offsets, as compaction leaves them: segments that another program compacted are put in place of those of a
//! stopped log, and read, damaged, appended to.

use std::ops::Range;

use super::*;
use crate::env::disk::{OpenMode, write_full_at};
use crate::log::segment::stored_batch::compacted_batch;

/// A stored batch: where it begins, its offsets, and those of its records.
struct Placed {
    segment: Offset,
    position: u64,
    bytes: Vec<u8>,
    offsets: Range<Offset>,
    records: Vec<Offset>,
}

/// A log that was compacted: gaps before, in, between and behind batches and segments, batches without a record.
struct Compacted {
    batches: Vec<Placed>,
    /// Base offsets of the segments.
    bases: Vec<Offset>,
}

impl Compacted {
    fn new(seed: u64) -> Self {
        let (rng, mut next) = (Rng::seeded(seed), 0);
        let mut log = Self { batches: Vec::new(), bases: Vec::new() };
        for _ in 0..3 {
            let (base, mut position) = (next, 0);
            log.bases.push(base);
            for _ in 0..120 {
                next += rng.below(4) as Offset;
                let last_delta = rng.below(6) as i32;
                let kept: Vec<i32> = (0..=last_delta).filter(|_| rng.below(2) == 0).collect();
                let bytes = compacted_batch(next, 0, &kept, last_delta);
                let records = kept.iter().map(|delta| next + Offset::from(*delta)).collect();
                let offsets = next..next + Offset::from(last_delta) + 1;
                next = offsets.end;
                let len = bytes.len() as u64;
                log.batches.push(Placed { segment: base, position, bytes, offsets, records });
                position += len;
            }
            next += 10;
        }
        log
    }

    fn records(&self) -> Vec<Offset> {
        self.batches.iter().flat_map(|batch| batch.records.clone()).collect()
    }

    fn end(&self) -> Offset {
        self.batches.last().map_or(0, |last| last.offsets.end)
    }

    /// Puts it in place of an empty log that was stopped, and opens that.
    fn open(&self, config: &TopicConfig) -> World {
        let stopped = fresh(config);
        assert!(stopped.store.stop());
        let disk = stopped.disk.kill();
        for ending in ["log", "index", "timeindex"] {
            disk.remove_file(&path(0).with_extension(ending)).unwrap();
        }
        for base in &self.bases {
            let batches = self.batches.iter().filter(|batch| batch.segment == *base);
            let bytes = batches.map(|batch| &batch.bytes[..]).collect::<Vec<_>>().concat();
            let file = disk.open(&path(*base), OpenMode::CreateNew).unwrap();
            write_full_at(&*file, &bytes, 0).unwrap();
        }
        disk.sync_file_system(Path::new("d")).unwrap();
        open(&disk, &stopped.clock, config, 0)
    }
}

fn path(base: Offset) -> PathBuf {
    Path::new("d/t-0").join(format!("{base:020}.log"))
}

fn compact() -> TopicConfig {
    TopicConfig { cleanup: crate::config::CleanupPolicy::Compact, ..TopicConfig::default() }
}

/// Reads from `next` on as a consumer does that goes on behind what is told to be damaged: the offsets of the records, and what was
/// told.
fn read_on(world: &World, mut next: Offset, max_bytes: usize) -> (Vec<Offset>, Vec<(Offset, Offset)>) {
    let (mut records, mut told) = (Vec::new(), Vec::new());
    let end = world.log.offsets().high_watermark;
    while next < end {
        match world.log.read(next, end, max_bytes, Wait::Allowed) {
            Ok(slice) => {
                assert!(slice.next_offset > next, "{next} of {end} is not led on from");
                let mut rest = slice.bytes;
                while let Some(batch) = RecordBatch::take_first(&mut rest).expect("whole batches") {
                    for record in batch.records(1 << 20).unwrap().iter() {
                        let record = record.unwrap();
                        let value = String::from_utf8_lossy(record.value.unwrap()).into_owned();
                        assert_eq!(value, format!("v{}", record.offset), "a record under another offset");
                        records.extend((record.offset >= next).then_some(record.offset));
                    }
                }
                next = slice.next_offset;
            }
            Err(ReadError::Damaged { first, end }) => {
                assert!(end > next, "{next} is told {first} to {end}");
                told.push((first, end));
                next = end;
            }
            Err(other) => panic!("{other}"),
        }
    }
    (records, told)
}

#[test]
fn after_a_clean_stop_and_a_power_cut_a_compacted_log_ends_where_something_is_lost() {
    let config = TopicConfig { cleanup: compact().cleanup, ..small_segments() };
    let world = fresh(&config);
    append_numbered(&world, 5);
    world.flush();
    assert!(world.store.stop());
    let again = world.killed(&config, 1);
    append_numbered(&again, 10);
    assert!(again.log.size().segment_count > 3);
    let waiting = again.disk.pending();
    let pairs = (0..waiting).flat_map(|first| (0..=first).map(move |second| [first, second]));
    // WHY two: one of them is where the journal says that the log was opened.
    for lost in pairs {
        let cut = open(&again.disk.crash(|unit| !lost.contains(&unit), None), &world.clock, &config, 2);
        let (records, told) = read_on(&cut, 0, 1 << 20);
        assert_eq!(told, [], "{lost:?} of {waiting} are lost, and what is there is sound");
        assert!(records.len() >= 5 && records.iter().copied().eq(0..records.len() as Offset), "{records:?}");
    }
}

#[test]
fn segments_put_in_place_stay_as_they_are_after_a_power_cut_soon_after_the_first_opening() {
    let log = Compacted::new(1);
    let world = log.open(&compact());
    let cut = open(&world.disk.crash(|_| false, None), &world.clock, &compact(), 1);
    assert_eq!(read_on(&cut, 0, 1 << 20), (log.records(), Vec::new()));
}

#[test]
fn a_compacted_log_is_read_from_every_offset_and_written_on() {
    let log = Compacted::new(1);
    let world = log.open(&compact());
    assert_eq!(world.log.offsets().log_end, log.end());
    append_numbered(&world, 3);
    world.flush();
    let all = [log.records(), (log.end()..log.end() + 3).collect()].concat();
    for world in [&world, &world.killed(&compact(), 1)] {
        for from in (0..log.end() + 3).step_by(7) {
            let expected = &all[all.partition_point(|offset| *offset < from)..];
            assert_eq!(read_on(world, from, 1 << 20), (expected.to_vec(), Vec::new()), "from {from}");
        }
        assert_eq!(read_on(world, 0, 1), (all.clone(), Vec::new()), "batch by batch");
        for (at, offset) in [(1, all[0]), (2, log.end())] {
            let found = world.log.offset_for_timestamp(at).unwrap();
            assert_eq!(found.map(|found| found.offset), Some(offset), "timestamp {at}");
        }
    }
}

#[test]
fn a_reader_in_a_gap_before_the_end_is_led_on() {
    let log = Compacted::new(2);
    let world = log.open(&compact());
    let (first, second) = (log.bases[0], log.bases[1]);
    let end = log.batches.iter().filter(|batch| batch.segment == first).map(|batch| batch.offsets.end).max();
    let end = end.unwrap();
    let slice = world.log.read(end, second, 1 << 20, Wait::Allowed).unwrap();
    assert_eq!((slice.bytes.len(), slice.next_offset), (0, second), "nothing is left between the two");
}

#[test]
fn a_damaged_batch_of_a_compacted_log_costs_no_other() {
    let log = Compacted::new(3);
    let world = log.open(&compact());
    assert_eq!(read_on(&world, 0, 300).0, log.records());
    assert!(world.store.stop());
    // Behind the last index entry of the segment that is written to nothing tells of an offset that was changed since.
    for number in (0..240).step_by(47) {
        let batch = &log.batches[number];
        let others: Vec<Offset> =
            log.records().into_iter().filter(|offset| !batch.offsets.contains(offset)).collect();
        for byte in [0, 3, 6, 7, 8, 10, 11, 13, 15, 16, 17, 22, 26, 40, 60] {
            let disk = world.disk.kill();
            disk.flip_bit(&path(batch.segment), batch.position + byte, (number % 8) as u8).unwrap();
            let again = open(&disk, &world.clock, &compact(), 0);
            for _ in 0..2 {
                let (records, told) = read_on(&again, 0, 300);
                assert_eq!(records, others, "byte {byte} of batch {number}");
                let [(first, end)] = told[..] else { panic!("byte {byte} of batch {number}: {told:?}") };
                assert!(first <= batch.offsets.start && batch.offsets.end <= end, "{first} to {end}");
            }
        }
    }
}

#[test]
fn where_nothing_is_compacted_a_gap_between_segments_is_damage() {
    let log = Compacted::new(4);
    let world = log.open(&compact());
    assert!(world.store.stop());
    let again = open(&world.disk.kill(), &world.clock, &TopicConfig::default(), 0);
    let (records, told) = read_on(&again, 0, 1 << 20);
    assert_eq!(records, log.records());
    let end_before = |base: Offset| {
        let before = log.batches.iter().filter(|batch| batch.segment < base);
        before.map(|batch| batch.offsets.end).max().unwrap()
    };
    let gaps: Vec<_> = log.bases[1..].iter().map(|base| (end_before(*base), *base)).collect();
    assert_eq!(told, gaps);
}

#[test]
fn a_segment_of_a_compacted_log_that_lost_its_end_or_its_successor_is_told() {
    let config = TopicConfig { segment_bytes: 600, ..compact() };
    let world = fresh(&config);
    append_numbered(&world, 40);
    assert!(world.store.stop());
    let bases: Vec<Offset> = world.log.segments.load().iter().map(|segment| segment.base_offset()).collect();
    let gone = world.disk.kill();
    gone.remove_file(&path(bases[2])).unwrap();
    let cut = world.disk.kill();
    cut.open(&path(bases[2]), OpenMode::Write).unwrap().set_len(0).unwrap();
    for disk in [gone, cut] {
        let again = open(&disk, &world.clock, &config, 0);
        let (records, told) = read_on(&again, 0, 1 << 20);
        assert_eq!(told, [(bases[2], bases[3])]);
        assert_eq!(records, (0..bases[2]).chain(bases[3]..40).collect::<Vec<_>>());
    }
}

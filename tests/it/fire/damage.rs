//! Rot and tears, byte by byte: one bit flipped at each byte of each file of a log, and the last segment cut at each byte, with the
//! durable point before, inside and behind the damaged place. The broker is down meanwhile.
//!
//! Below the durable point nothing is cut, readers are told exactly the damaged offsets, all else is served and no offset is
//! used again. Above it the log ends at the last valid batch and the rest is set aside. Side files never change an answer.

mod door;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir::base::{LeaderEpoch, Offset, TopicId, TopicPartition};
use weir::config::{FlushMode, TopicConfig};
use weir::env::disk::OpenMode;
use weir::env::sim_disk::SimOptions;
use weir::env::{Disk, Env, Rng, SimClock, SimDisk};
use weir::log::{LogSpec, LogStore, PartitionLog, ReadError, StoreOptions, Wait};
use weir::record::builder::{NewRecord, ProducerFields};
use weir::record::validate::Rules;
use weir::record::{BatchBuilder, BatchHeader, Codec, RecordBatch, ValidBatch};

use super::number;

const ID: TopicPartition = TopicPartition { topic_id: TopicId([5; 16]), partition: 0 };
const FOLDER: &str = "d/t-0";
const NOW_MS: i64 = 1_700_000_000_000;
const BATCHES: usize = 9;
/// Records of a batch.
const RECORDS: Offset = 2;
const END: Offset = BATCHES as Offset * RECORDS;
/// Three batches or so.
const SEGMENT_BYTES: u64 = 900;
/// Bytes of the flush journal that are looked at one by one: more than were used.
const JOURNAL_BYTES: u64 = 1_600;

/// Every so many bytes one is looked at: every one of them with `WEIR_EVERY_BYTE=1`.
pub(super) fn step() -> usize {
    if number("WEIR_EVERY_BYTE", 0) == 1 { 1 } else { 11 }
}

/// A store with one log, as a start finds or leaves it.
struct Started {
    _store: Arc<LogStore>,
    log: Arc<PartitionLog>,
}

fn start(disk: &SimDisk, leader_epoch: i32) -> Started {
    let env = Env {
        disk: Arc::new(disk.clone()),
        clock: Arc::new(SimClock::new(NOW_MS)),
        rng: Arc::new(Rng::seeded(1)),
    };
    let options =
        StoreOptions { disk_reserve_bytes: 0, open_files_max: 64, compaction_memory_bytes: 1 << 20 };
    let store = LogStore::open(env, Path::new("d"), options).expect("the store opens");
    store.mark_started().expect("writes");
    let config = TopicConfig { flush: FlushMode::Os, segment_bytes: SEGMENT_BYTES, ..TopicConfig::default() };
    let topic = Arc::from("t");
    let spec = LogSpec { id: ID, topic, config, leader_epoch, trim_offset: 0, internal: false };
    let log = store.open_log(spec).expect("the log opens");
    Started { _store: store, log }
}

/// A value that holds a batch, which must never be taken for one of the log.
fn value(offset: Offset) -> Vec<u8> {
    let mut inner = built(&[(b"x".to_vec(), NOW_MS)], ProducerFields::NONE);
    let mut value = format!("value of {offset} ").into_bytes();
    value.extend_from_slice(&inner.place(offset + 1, 0));
    value.extend_from_slice(inner.body());
    value
}

fn batch(first: Offset) -> ValidBatch {
    let records: Vec<_> = (first..first + RECORDS).map(|offset| (value(offset), NOW_MS + offset)).collect();
    // A producer each: what is lost of one is no gap in another.
    built(&records, ProducerFields { producer_id: first, producer_epoch: 0, base_sequence: 0 })
}

fn built(records: &[(Vec<u8>, i64)], fields: ProducerFields) -> ValidBatch {
    let mut builder = BatchBuilder::new();
    for (value, timestamp) in records {
        let record = NewRecord { key: None, value: Some(value), headers: &[], timestamp: *timestamp };
        builder.append(&record).expect("small");
    }
    let rules = Rules {
        max_batch_bytes: 1 << 20,
        now_ms: NOW_MS,
        timestamp_after_max_ms: i64::MAX,
        max_decompressed_bytes: 1 << 20,
        needs_keys: false,
    };
    ValidBatch::build(&mut builder, Codec::None, fields, &rules).expect("valid")
}

/// A broker that appends all batches, the first under epoch 0 and the others under epoch 1, and syncs so many of them.
fn written(durable: usize) -> (SimDisk, Started) {
    let disk = SimDisk::new(SimOptions { block_bytes: 128, sector_bytes: 32, ..SimOptions::default() });
    disk.set_now_ms(NOW_MS);
    disk.create_dir(Path::new("d")).expect("makes a folder");
    disk.create_dir(Path::new(FOLDER)).expect("makes a folder");
    disk.sync_file_system(Path::new("d")).expect("syncs");
    let append = |started: &Started, n: usize| {
        let appended = started.log.append(batch(n as Offset * RECORDS)).peek().expect("drained");
        appended.expect("appended");
        if n + 1 == durable {
            started._store.committer().round(true);
        }
    };
    let first = start(&disk, 0);
    append(&first, 0);
    first._store.committer().round(true);
    let disk = disk.kill();
    drop(first);
    let started = start(&disk, 1);
    (1..BATCHES).for_each(|n| append(&started, n));
    (disk, started)
}

/// What a killed broker left: so many batches are durable, all are written.
fn killed(durable: usize) -> SimDisk {
    written(durable).0.kill()
}

/// What a broker left that was stopped in order.
fn stopped() -> SimDisk {
    let (disk, started) = written(BATCHES);
    assert!(started._store.stop(), "every flush holds");
    disk.kill()
}

/// Where a batch lies.
struct Place {
    path: PathBuf,
    start: u64,
    end: u64,
    number: usize,
}

fn files(disk: &SimDisk, ending: &str) -> Vec<PathBuf> {
    let names = disk.list(Path::new(FOLDER)).expect("lists").into_iter().map(|entry| entry.name);
    names.filter(|name| name.ends_with(ending)).map(|name| Path::new(FOLDER).join(name)).collect()
}

fn places(disk: &SimDisk) -> Vec<Place> {
    let mut places = Vec::new();
    for path in files(disk, ".log") {
        let bytes = disk.current_bytes(&path).expect("is there");
        let mut start = 0;
        while let Some(total) = BatchHeader::read(&bytes[start..]).and_then(|header| header.total_bytes()) {
            let (end, number) = (start + total, places.len());
            places.push(Place { path: path.clone(), start: start as u64, end: end as u64, number });
            start = end;
        }
    }
    assert_eq!(places.len(), BATCHES);
    places
}

/// What a reader gets from the first offset on: records, and damaged ranges.
#[derive(PartialEq, Debug, Default)]
struct Read {
    records: Vec<(Offset, LeaderEpoch, Vec<u8>)>,
    damaged: Vec<(Offset, Offset)>,
}

fn read(log: &PartitionLog) -> Read {
    let (mut read, mut next) = (Read::default(), log.offsets().log_start);
    loop {
        match log.read(next, log.offsets().high_watermark, 200, Wait::Allowed) {
            Ok(slice) if slice.bytes.is_empty() => return read,
            Ok(slice) => {
                let mut rest = slice.bytes;
                while let Some(batch) = RecordBatch::take_first(&mut rest).expect("whole batches") {
                    for record in batch.records(1 << 20).expect("sound").iter() {
                        let record = record.expect("sound");
                        let value = record.value.unwrap_or_default().to_vec();
                        let found = (record.offset, batch.header().leader_epoch, value);
                        read.records.extend((record.offset >= next).then_some(found));
                    }
                }
                next = slice.next_offset;
            }
            Err(ReadError::Damaged { first, end }) => {
                assert!(first == next && next < end, "at {next}: damaged {first} to {end}");
                for inside in first..end {
                    let told = log.read(inside, log.offsets().high_watermark, 200, Wait::Allowed);
                    // Where there are no bytes at all the range begins where one asks.
                    let is_same = matches!(told, Err(ReadError::Damaged { first: f, end: e }) if (first..=inside).contains(&f) && e == end);
                    assert!(is_same, "at {inside}, which is damaged from {first} to {end}: {told:?}");
                }
                read.damaged.push((next, end));
                next = end;
            }
            Err(error) => panic!("offset {next}: {error}"),
        }
    }
}

fn epoch_of(offset: Offset) -> LeaderEpoch {
    LeaderEpoch::from(offset >= RECORDS)
}

/// Demands that the log knows where each epoch ends.
fn assert_epochs(log: &PartitionLog, what: &str) {
    let end = log.offsets().log_end;
    let ends = [0, 1].map(|epoch| log.end_of_epoch(epoch).1);
    assert_eq!(ends, [RECORDS, end], "{what}: where epochs 0 and 1 end");
}

/// All records below `end` but those of the damaged ranges.
fn expected(end: Offset, damaged: &[(Offset, Offset)]) -> Read {
    let is_damaged = |offset: &Offset| damaged.iter().any(|(first, end)| (*first..*end).contains(offset));
    let records = (0..end).filter(|offset| !is_damaged(offset));
    let records = records.map(|offset| (offset, epoch_of(offset), value(offset)));
    Read { records: records.collect(), damaged: damaged.to_vec() }
}

/// Starts on a damaged disk twice and holds what is served against what is expected; then appends, at `next` or behind it.
fn hold(disk: &SimDisk, what: &str, expected: &Read, next: Offset) {
    let started = start(disk, 2);
    assert_eq!(&read(&started.log), expected, "{what}");
    assert_eq!(started.log.offsets().log_end, next, "{what}: the log's end");
    assert_epochs(&started.log, what);
    let again = disk.kill();
    drop(started);
    let started = start(&again, 3);
    assert_eq!(&read(&started.log), expected, "{what}, a second start");
    assert_epochs(&started.log, what);
    let appended = started.log.append(batch(END)).peek().expect("drained").expect(what);
    assert_eq!((appended.base_offset, appended.leader_epoch), (next, 3), "{what}: a new record");
}

/// What must be served when the batches `gone` can't be read any more.
fn after_damage(durable: usize, gone: std::ops::Range<usize>, is_torn: bool) -> (Read, Offset) {
    let offset = |number: usize| number as Offset * RECORDS;
    let cut = match (gone.start >= durable, is_torn) {
        (true, _) => offset(gone.start),
        (false, true) => offset(durable),
        (false, false) => END,
    };
    let damaged = (offset(gone.start), offset(gone.end).min(cut));
    let damaged = if damaged.0 < damaged.1 { vec![damaged] } else { vec![] };
    (expected(cut, &damaged), cut)
}

const DURABLE: [usize; 4] = [1, 5, 8, BATCHES];

#[test]
fn a_flipped_bit_in_a_segment_is_told_below_the_durable_point_and_ends_the_log_above_it() {
    let mut states = 0;
    for durable in DURABLE {
        let disk = killed(durable);
        for place in places(&disk) {
            for byte in (place.start..place.end).step_by(step()) {
                let flipped = disk.kill();
                flipped.flip_bit(&place.path, byte, (byte % 8) as u8).expect("flips");
                let (expected, next) = after_damage(durable, place.number..place.number + 1, false);
                let what =
                    format!("{durable} batches durable, batch {} byte {}", place.number, byte - place.start);
                hold(&flipped, &what, &expected, next);
                let is_aside =
                    !files(&flipped, "").iter().all(|path| !path.to_string_lossy().contains(".cut-"));
                assert_eq!(is_aside, place.number >= durable, "{what}: what is cut is set aside");
                states += 1;
            }
        }
    }
    println!("damage: a bit flipped at every {} byte of all batches, {states} starts: as promised", step());
}

#[test]
fn a_segment_cut_at_each_byte_keeps_what_was_durable_in_mind() {
    let mut states = 0;
    for durable in DURABLE {
        let disk = killed(durable);
        let places = places(&disk);
        let last = &places[BATCHES - 1].path;
        let of_last: Vec<_> = places.iter().filter(|place| place.path == *last).collect();
        for len in (of_last[0].start..of_last[of_last.len() - 1].end).step_by(step()) {
            let cut = disk.kill();
            cut.open(last, OpenMode::Write).expect("opens").set_len(len).expect("cuts");
            let first_gone = of_last.iter().find(|place| place.end > len).expect("something is gone").number;
            let (expected, next) = after_damage(durable, first_gone..BATCHES, true);
            hold(&cut, &format!("{durable} batches durable, last segment cut to {len}"), &expected, next);
            states += 1;
        }
    }
    println!("damage: the last segment cut at every {} byte, {states} starts: as promised", step());
}

/// The offsets of each segment, by its file.
fn segments(disk: &SimDisk) -> Vec<(PathBuf, Offset, Offset)> {
    let mut segments: Vec<(PathBuf, Offset, Offset)> = Vec::new();
    for Place { path, number, .. } in places(disk) {
        let (first, end) = (number as Offset * RECORDS, (number + 1) as Offset * RECORDS);
        match segments.last_mut() {
            Some(last) if last.0 == path => last.2 = end,
            _ => segments.push((path, first, end)),
        }
    }
    segments
}

#[test]
fn a_missing_segment_is_told_and_none_of_its_offsets_is_used_again() {
    let mut states = 0;
    for (disk, left) in [(killed(BATCHES), "killed"), (stopped(), "stopped")] {
        let all = segments(&disk);
        assert!(all.len() >= 3, "{all:?}");
        for (path, first, end) in &all {
            for with_sides in [false, true] {
                let without = disk.kill();
                let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
                let names =
                    files(&without, "").into_iter().filter(|file| file.file_stem() == path.file_stem());
                let gone = names.filter(|file| file == path || with_sides);
                gone.for_each(|file| without.remove_file(&file).expect("removes"));
                let mut expected = expected(END, &[(*first, *end)]);
                if *first == 0 {
                    // As if retention had taken it.
                    expected.damaged.clear();
                }
                hold(
                    &without,
                    &format!("{left}, segment {stem} is gone, its side files {with_sides}"),
                    &expected,
                    END,
                );
                states += 1;
            }
        }
    }
    println!("damage: each segment removed, {states} starts: told, none of its offsets used again");
}

#[test]
fn a_flipped_bit_in_a_side_file_changes_no_answer() {
    let mut states = 0;
    for durable in DURABLE {
        let disk = killed(durable);
        let endings = [".index", ".timeindex", ".snapshot", "leader-epochs"];
        let sides = endings.iter().flat_map(|ending| files(&disk, ending)).collect::<Vec<_>>();
        assert!(sides.len() >= 7, "index and time index of three segments, and the epochs: {sides:?}");
        for path in sides {
            let len = disk.current_bytes(&path).expect("is there").len() as u64;
            for byte in (0..len).step_by(step()) {
                let flipped = disk.kill();
                flipped.flip_bit(&path, byte, (byte % 8) as u8).expect("flips");
                let what = format!("{durable} batches durable, {} byte {byte}", path.display());
                hold(&flipped, &what, &expected(END, &[]), END);
                states += 1;
            }
        }
    }
    println!(
        "damage: a bit flipped at every {} byte of all side files, {states} starts: no answer changed",
        step()
    );
}

/// Flips a bit at each byte of the flush journal, each on its own. How many starts there were.
fn flip_journal(disk: &SimDisk, left: &str) -> usize {
    let mut states = 0;
    for byte in (0..JOURNAL_BYTES).step_by(step()) {
        let flipped = disk.kill();
        flipped.flip_bit(Path::new("d/flush-journal"), byte, (byte % 8) as u8).expect("flips");
        hold(&flipped, &format!("{left}, journal byte {byte}"), &expected(END, &[]), END);
        states += 1;
    }
    states
}

#[test]
fn a_flipped_bit_in_the_flush_journal_cuts_nothing() {
    let of_killed = |durable: usize| flip_journal(&killed(durable), &format!("{durable} batches durable"));
    let states = DURABLE.map(of_killed).iter().sum::<usize>() + flip_journal(&stopped(), "a clean stop");
    println!(
        "damage: a bit flipped at every {} byte of the flush journal, after kills and a clean stop, {states} starts: nothing cut",
        step()
    );
}

#[test]
fn an_undamaged_log_answers_the_same_without_any_of_its_side_files() {
    let disk = killed(BATCHES);
    let by_time = |log: &PartitionLog| -> Vec<Option<Offset>> {
        let found = |at| log.offset_for_timestamp(at).expect("finds").map(|found| found.offset);
        (0..END + 1).map(|offset| found(NOW_MS + offset)).collect()
    };
    let all = by_time(&start(&disk.kill(), 2).log);
    let names = ["d/flush-journal".into()].into_iter();
    let sides =
        [".index", ".timeindex", ".snapshot", "leader-epochs"].iter().flat_map(|ending| files(&disk, ending));
    let names: Vec<PathBuf> = names.chain(sides).collect();
    for subset in 0..1_u32 << names.len() {
        let without = disk.kill();
        let gone = names.iter().enumerate().filter(|(at, _)| subset & 1 << at != 0);
        gone.for_each(|(_, name)| without.remove_file(name).expect("removes"));
        let started = start(&without, 2);
        assert_epochs(&started.log, &format!("without {subset:b} of {names:?}"));
        assert_eq!(read(&started.log), expected(END, &[]), "without {subset:b} of {names:?}");
        assert_eq!(by_time(&started.log), all, "without {subset:b} of {names:?}");
        let retried = started.log.append(batch(END - RECORDS)).peek().expect("drained").expect("known");
        assert!(retried.duplicate, "without {subset:b} of {names:?}: the producer is known");
    }
    println!("damage: {} subsets of side files removed: no answer changed", 1_u32 << names.len());
}

//! The log on the in-memory disk: appends, rolls, reads, restarts, faults.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::errors::{AppendError, ReadError};
use super::*;
use crate::base::limits::{
    APPEND_BATCHES_MAX, BATCH_BYTES_MAX, IDLE_CLOSE_MS, STALLED_APPEND_MICROS, WRITTEN_INTERVAL_BYTES_MAX,
};
use crate::base::{Offset, TopicId, TopicPartition};
use crate::config::{FlushMode, TopicConfig};
use crate::env::sim_disk::{Effect, Fault, OpKind, SimOptions, ends_with};
use crate::env::{Disk, DiskErrorKind, Env, Rng, SimClock, SimDisk};
use crate::record::builder::{NewRecord, ProducerFields};
use crate::record::validate::Rules;
use crate::record::{BatchBuilder, BatchHeader, Codec, RecordBatch, ValidBatch};

mod gaps;

pub(super) const ID: TopicPartition = TopicPartition { topic_id: TopicId([9; 16]), partition: 0 };
const START_MS: i64 = 1_700_000_000_000;

pub(super) struct World {
    pub(super) disk: SimDisk,
    clock: SimClock,
    store: Arc<LogStore>,
    pub(super) log: Arc<PartitionLog>,
}

fn spec(config: &TopicConfig, leader_epoch: i32) -> LogSpec {
    let topic = Arc::from("t");
    LogSpec { id: ID, topic, config: config.clone(), leader_epoch, trim_offset: 0, internal: false }
}

fn open(disk: &SimDisk, clock: &SimClock, config: &TopicConfig, epoch: i32) -> World {
    open_with_reserve(disk, clock, config, epoch, 0)
}

fn open_with_reserve(
    disk: &SimDisk,
    clock: &SimClock,
    config: &TopicConfig,
    epoch: i32,
    disk_reserve_bytes: u64,
) -> World {
    let rng = Arc::new(Rng::seeded(1));
    let env = Env { disk: Arc::new(disk.clone()), clock: Arc::new(clock.clone()), rng };
    let options = StoreOptions { disk_reserve_bytes, open_files_max: 64, compaction_memory_bytes: 1 << 20 };
    let store = LogStore::open(env, Path::new("d"), options).expect("opens");
    store.mark_started().expect("starts");
    let log = store.open_log(spec(config, epoch)).expect("opens");
    World { disk: disk.clone(), clock: clock.clone(), store, log }
}

pub(super) fn fresh(config: &TopicConfig) -> World {
    let disk = SimDisk::new(SimOptions { block_bytes: 64, sector_bytes: 16, ..SimOptions::default() });
    disk.create_dir(Path::new("d")).unwrap();
    disk.create_dir(Path::new("d/t-0")).unwrap();
    disk.sync_file_system(Path::new("d")).unwrap();
    open(&disk, &SimClock::new(START_MS), config, 0)
}

impl World {
    pub(super) fn killed(&self, config: &TopicConfig, epoch: i32) -> World {
        open(&self.disk.kill(), &self.clock, config, epoch)
    }

    fn append(&self, values: &[&str]) -> Result<Appended, AppendError> {
        self.append_as(values, ProducerFields::NONE, START_MS)
    }

    fn append_as(
        &self,
        values: &[&str],
        producer: ProducerFields,
        timestamp: i64,
    ) -> Result<Appended, AppendError> {
        self.log.append(batch(values, producer, timestamp)).peek().expect("the caller drains")
    }

    pub(super) fn flush(&self) {
        self.store.committer().round(true);
    }

    fn read_all(&self, from: Offset) -> Result<Vec<(Offset, String)>, ReadError> {
        let mut out = Vec::new();
        let mut next = from;
        loop {
            let slice = self.log.read(next, self.log.offsets().high_watermark, 200, Wait::Allowed)?;
            if slice.bytes.is_empty() {
                return Ok(out);
            }
            let mut rest = slice.bytes;
            while let Some(batch) = RecordBatch::take_first(&mut rest).expect("whole batches") {
                for record in batch.records(BATCH_BYTES_MAX).expect("valid").iter() {
                    let record = record.expect("valid");
                    if record.offset >= next {
                        let value = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
                        out.push((record.offset, value));
                    }
                }
            }
            next = slice.next_offset;
        }
    }

    fn files(&self, ending: &str) -> Vec<PathBuf> {
        let names = self.disk.list(Path::new("d/t-0")).unwrap();
        let found = names.into_iter().filter(|entry| entry.name.ends_with(ending));
        found.map(|entry| Path::new("d/t-0").join(entry.name)).collect()
    }
}

fn batch(values: &[&str], producer: ProducerFields, timestamp: i64) -> ValidBatch {
    let mut builder = BatchBuilder::new();
    for value in values {
        let record = NewRecord { key: None, value: Some(value.as_bytes()), headers: &[], timestamp };
        builder.append(&record).unwrap();
    }
    let rules = Rules {
        max_batch_bytes: BATCH_BYTES_MAX,
        now_ms: START_MS,
        timestamp_after_max_ms: i64::MAX,
        max_decompressed_bytes: BATCH_BYTES_MAX,
        needs_keys: false,
    };
    ValidBatch::build(&mut builder, Codec::None, producer, &rules).unwrap()
}

fn expect(range: std::ops::Range<Offset>) -> Vec<(Offset, String)> {
    range.map(|offset| (offset, format!("v{offset}"))).collect()
}

pub(super) fn append_numbered(world: &World, count: Offset) {
    for _ in 0..count {
        let value = format!("v{}", world.log.offsets().log_end);
        world.append(&[&value]).unwrap();
    }
}

pub(super) fn small_segments() -> TopicConfig {
    TopicConfig { segment_bytes: 300, ..TopicConfig::default() }
}

#[test]
fn appended_records_are_read_back_once_flushed() {
    let world = fresh(&TopicConfig::default());
    assert_eq!(world.append(&["v0", "v1"]).unwrap().base_offset, 0);
    assert_eq!(world.append(&["v2"]).unwrap().base_offset, 2);
    assert_eq!(world.read_all(0).unwrap(), vec![], "nothing is shown before it is flushed");
    let mut wait = world.log.wait_high_watermark(3);
    assert!(Pin::new(&mut wait).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    world.flush();
    assert!(matches!(Pin::new(&mut wait).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(_))));
    assert_eq!(world.read_all(0).unwrap(), expect(0..3));
    assert_eq!(world.read_all(1).unwrap(), expect(1..3));
    assert!(matches!(
        world.log.read(4, 9, 1, Wait::Allowed),
        Err(ReadError::OutOfRange { offset: 4, start: 0, end: 3 })
    ));
}

#[test]
fn at_flush_os_records_are_shown_at_once() {
    let world = fresh(&TopicConfig { flush: FlushMode::Os, ..TopicConfig::default() });
    append_numbered(&world, 3);
    assert_eq!(world.read_all(0).unwrap(), expect(0..3));
    assert_eq!(world.log.offsets().flushed, 0);
}

#[test]
fn segments_roll_by_size_and_everything_survives_a_kill() {
    let world = fresh(&small_segments());
    append_numbered(&world, 20);
    world.flush();
    assert!(world.log.size().segment_count > 4);
    assert_eq!(world.read_all(0).unwrap(), expect(0..20));
    let again = world.killed(&small_segments(), 1);
    assert_eq!(again.read_all(0).unwrap(), expect(0..20));
    assert_eq!(again.log.leader_epoch(), 1);
    assert_eq!(again.append(&["v20"]).unwrap().base_offset, 20);
    again.flush();
    assert_eq!(again.read_all(17).unwrap(), expect(17..21));
    assert_eq!(again.log.end_of_epoch(0), (0, 20));
    assert_eq!(again.log.end_of_epoch(1), (1, 21));
}

#[test]
fn a_clean_stop_is_opened_without_reading_the_log() {
    let world = fresh(&small_segments());
    append_numbered(&world, 50);
    assert!(world.store.stop());
    let disk = world.disk.kill();
    disk.fail(Fault::on(OpKind::Read, |path| path.to_string_lossy().contains("0000000000.log"), Effect::Io));
    let again = open(&disk, &world.clock, &small_segments(), 0);
    assert!(again.store.was_clean());
    disk.clear_faults();
    assert_eq!(again.read_all(0).unwrap(), expect(0..50));
    append_numbered(&again, 5);
    again.flush();
    let third = again.killed(&small_segments(), 1);
    assert!(!third.store.was_clean());
    assert_eq!(third.read_all(0).unwrap(), expect(0..55));
}

#[test]
fn segments_roll_by_time() {
    let config = TopicConfig { segment_ms: 1_000, ..TopicConfig::default() };
    let world = fresh(&config);
    append_numbered(&world, 2);
    world.clock.advance(Duration::from_millis(1_500));
    append_numbered(&world, 1);
    assert_eq!(world.log.size().segment_count, 2);
    world.clock.advance(Duration::from_millis(1_500));
    world.store.housekeeping();
    assert_eq!(world.log.size().segment_count, 3, "a quiet segment rolls as well");
    world.flush();
    assert_eq!(world.read_all(0).unwrap(), expect(0..3));
}

#[test]
fn an_idle_log_holds_no_descriptors_and_works_afterwards() {
    let config = TopicConfig { flush: FlushMode::Os, ..small_segments() };
    let world = fresh(&config);
    let open_count = || world.log.shared.files.open_count();
    let keep_house = |ms: i64| {
        world.clock.advance(Duration::from_millis(ms as u64));
        world.store.housekeeping();
        world.flush();
    };
    append_numbered(&world, 20);
    assert_eq!(world.read_all(0).unwrap(), expect(0..20));
    world.flush();
    keep_house(1_000);
    keep_house(IDLE_CLOSE_MS - 1);
    assert!(open_count() > 0, "the log was just used");
    keep_house(1);
    assert_eq!(open_count(), 0);
    for name in ["log", "index", "timeindex"] {
        for path in world.files(name) {
            assert_eq!(world.disk.durable_bytes(&path), world.disk.current_bytes(&path), "{path:?}");
        }
    }
    keep_house(IDLE_CLOSE_MS);
    assert_eq!(open_count(), 0, "housekeeping opens nothing of an idle log");

    assert_eq!(world.append(&["v20"]).unwrap().base_offset, 20);
    keep_house(1_000);
    assert_eq!(world.read_all(0).unwrap(), expect(0..21));
    keep_house(1_000);
    keep_house(IDLE_CLOSE_MS);
    assert_eq!(open_count(), 0, "it rests again");
    assert_eq!(world.killed(&config, 1).read_all(0).unwrap(), expect(0..21));
}

#[test]
fn an_idle_log_with_records_to_sync_keeps_its_files_and_a_failed_sync_takes_it_offline() {
    let config = TopicConfig { flush: FlushMode::Os, ..TopicConfig::default() };
    let world = fresh(&config);
    append_numbered(&world, 1);
    for _ in 0..3 {
        world.clock.advance(Duration::from_millis(IDLE_CLOSE_MS as u64));
        world.store.housekeeping();
    }
    assert!(world.log.shared.files.open_count() > 0, "they are the committer's");
    world.flush();
    world.log.segments.load()[0].log().mark_dirty();
    world.disk.fail(Fault::on(OpKind::SyncData, ends_with(".log"), Effect::LoseSync));
    world.store.housekeeping();
    assert!(matches!(world.append(&["v1"]), Err(AppendError::Offline(_))));
}

#[test]
fn retention_by_time_empties_a_quiet_log_and_keeps_its_end() {
    let config = TopicConfig { retention_ms: 5_000, segment_bytes: 300, ..TopicConfig::default() };
    let world = fresh(&config);
    append_numbered(&world, 10);
    world.flush();
    world.clock.advance(Duration::from_secs(6));
    world.store.housekeeping();
    assert_eq!(world.log.offsets().log_start, 10);
    assert_eq!(world.log.size(), LogSize { segment_count: 1, size_bytes: 0 });
    for again in [world.killed(&config, 1), {
        world.flush();
        world.killed(&config, 1)
    }] {
        assert_eq!(again.log.offsets().log_start, 10, "the end is never lost");
        assert_eq!(again.append(&["v10"]).unwrap().base_offset, 10);
    }
}

#[test]
fn retention_by_size_keeps_the_newest_segments() {
    let config = TopicConfig { retention_bytes: 600, segment_bytes: 300, ..TopicConfig::default() };
    let world = fresh(&config);
    append_numbered(&world, 40);
    world.flush();
    world.store.housekeeping();
    let size = world.log.size().size_bytes;
    assert!((600..900).contains(&size), "{size}");
    let start = world.log.offsets().log_start;
    assert_eq!(world.read_all(start).unwrap(), expect(start..40));
    assert!(matches!(world.log.read(0, 40, 1, Wait::Allowed), Err(ReadError::OutOfRange { .. })));
}

#[test]
fn a_trim_moves_the_start_and_unlinks_whole_segments() {
    let world = fresh(&small_segments());
    append_numbered(&world, 20);
    world.flush();
    let before = world.log.size().segment_count;
    assert_eq!(world.log.trim(7).unwrap(), 7);
    assert!(world.log.size().segment_count < before);
    assert_eq!(world.read_all(7).unwrap(), expect(7..20));
    assert!(matches!(world.read_all(6), Err(ReadError::OutOfRange { start: 7, .. })));
    assert_eq!(world.log.trim(i64::MAX).unwrap(), 20);
    assert_eq!(world.log.size(), LogSize { segment_count: 1, size_bytes: 0 });
    append_numbered(&world, 1);
    world.flush();
    assert_eq!(world.read_all(20).unwrap(), expect(20..21));
}

#[test]
fn duplicates_are_answered_and_gaps_refused_also_after_a_restart() {
    let world = fresh(&small_segments());
    let from = |base_sequence| ProducerFields { producer_id: 5, producer_epoch: 0, base_sequence };
    for n in 0..8 {
        world.append_as(&[&format!("v{n}")], from(n), START_MS).unwrap();
    }
    world.flush();
    for world in [&world, &world.killed(&small_segments(), 1)] {
        let again = world.append_as(&["v6"], from(6), START_MS).unwrap();
        assert_eq!((again.base_offset, again.duplicate), (6, true));
        assert!(matches!(
            world.append_as(&["v9"], from(9), START_MS),
            Err(AppendError::OutOfOrderSequence { expected: 8, got: 9, .. })
        ));
        assert_eq!(world.read_all(0).unwrap(), expect(0..8));
    }
}

#[test]
fn a_short_write_goes_on_and_a_failed_one_is_taken_back() {
    let world = fresh(&TopicConfig::default());
    append_numbered(&world, 1);
    world.disk.fail(Fault::on(OpKind::Write, ends_with(".log"), Effect::ShortWrite(5)));
    append_numbered(&world, 1);
    world.disk.fail(Fault::on(OpKind::Write, ends_with(".log"), Effect::ShortWrite(7)));
    world.disk.fail(Fault::on(OpKind::Write, ends_with(".log"), Effect::Full));
    // There are free bytes, so it is not for want of them.
    let refused = world.append(&["lost"]);
    assert!(matches!(refused, Err(AppendError::NotWritten(error)) if error.kind == DiskErrorKind::Full));
    world.disk.clear_faults();
    append_numbered(&world, 1);
    world.flush();
    assert_eq!(world.read_all(0).unwrap(), expect(0..3));
    assert_eq!(world.killed(&TopicConfig::default(), 1).read_all(0).unwrap(), expect(0..3));
}

#[test]
fn users_never_write_into_the_reserve_however_fast_they_are() {
    const RESERVE: u64 = 10_000;
    let disk = fresh(&TopicConfig::default()).disk.kill();
    let free = |disk: &SimDisk| disk.space(Path::new("d")).unwrap().free_bytes;
    disk.set_capacity(Some(300_000));
    let config = TopicConfig { segment_bytes: 50_000, ..TopicConfig::default() };
    let world = open_with_reserve(&disk, &SimClock::new(START_MS), &config, 0, RESERVE);
    let value = "x".repeat(500);
    // Nobody looks at the free space in between but the appends themselves.
    let mut count = 0;
    while world.append(&[&value]).is_ok() {
        count += 1;
        // Less what an index costs, which belongs to no user.
        assert!(free(&disk) >= RESERVE - 1_000, "after {count} records: {}", free(&disk));
    }
    assert!(free(&disk) < RESERVE + 2_000, "{} are left", free(&disk));
    assert!(matches!(world.append(&[&value]), Err(AppendError::DiskFull)));
    world.flush();
    assert_eq!(world.log.trim(count - 1).unwrap(), count - 1, "the reserve is for this");
    world.store.housekeeping();
    assert_eq!(world.append(&[&value]).unwrap().base_offset, count);
    world.disk.fail(Fault::on(OpKind::Space, |_| true, Effect::Io).times(u32::MAX));
    world.append(&["the free space can't be told"]).unwrap();
}

#[test]
fn a_log_without_producers_is_not_read_whole_to_find_them() {
    let world = fresh(&TopicConfig::default());
    let large = "x".repeat(1 << 19);
    for _ in 0..140 {
        world.append(&[&large]).unwrap();
        world.flush();
    }
    let snapshots = super::recovery::snapshot_offsets(&world.disk, Path::new("d/t-0")).unwrap();
    assert_eq!(snapshots.len(), 2, "one for every 8 MiB, and two are kept: {snapshots:?}");
}

#[test]
fn a_failed_sync_takes_the_log_offline_and_acknowledges_nothing_past_it() {
    let world = fresh(&TopicConfig::default());
    append_numbered(&world, 1);
    world.flush();
    append_numbered(&world, 1);
    world.disk.fail(Fault::on(OpKind::SyncData, ends_with(".log"), Effect::LoseSync));
    let mut wait = world.log.wait_high_watermark(2);
    world.flush();
    let outcome = Pin::new(&mut wait).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(outcome, Poll::Ready(Err(AppendError::Unknown(_)))));
    assert_eq!(world.log.offsets().high_watermark, 1);
    assert!(matches!(world.append(&["x"]), Err(AppendError::Offline(_))));
    assert!(matches!(world.read_all(0), Err(ReadError::Offline(_))));
    world.flush();
    assert!(!world.store.stop(), "a stop after a failed sync is not clean");
    let cut = open(&world.disk.crash(|_| false, None), &world.clock, &TopicConfig::default(), 1);
    assert_eq!(cut.read_all(0).unwrap(), expect(0..1));
}

#[test]
fn retention_whose_sync_fails_takes_the_log_offline_before_it_unlinks_anything() {
    let config = TopicConfig { retention_ms: 1_000, ..small_segments() };
    let world = fresh(&config);
    append_numbered(&world, 9);
    world.flush();
    world.clock.advance(Duration::from_secs(5));
    world.disk.fail(Fault::on(OpKind::SyncDir, ends_with("t-0"), Effect::LoseSync));
    let logs = world.files(".log");
    world.store.housekeeping();
    world.store.housekeeping();
    assert!(world.log.offline_reason().is_some());
    assert!(
        logs.iter().all(|path| world.files(".log").contains(path)),
        "a second try would trust a sync that is lost"
    );
    let again = open(&world.disk.crash(|_| false, None), &world.clock, &config, 1);
    assert_eq!(again.log.offsets().log_end, 9);
}

#[test]
fn a_flush_journal_that_can_t_be_written_to_is_replaced_and_nobody_waits() {
    let world = fresh(&TopicConfig::default());
    world.disk.fail(Fault::on(OpKind::Write, ends_with("flush-journal.tmp"), Effect::Io));
    append_numbered(&world, 3);
    world.flush();
    assert_eq!(world.read_all(0).unwrap(), expect(0..3));
    assert!(world.disk.stat(Path::new("d/flush-journal")).unwrap().is_some());
    append_numbered(&world, 2);
    world.flush();
    let again = world.killed(&TopicConfig::default(), 1);
    assert_eq!(again.read_all(0).unwrap(), expect(0..5));
    assert_eq!(again.store.last_run(), crate::log::flush::journal::LastRun::Unclean);
}

#[test]
fn a_queued_batch_keeps_its_memory_debited_though_its_sender_is_gone() {
    let world = fresh(&TopicConfig::default());
    let budget = crate::base::budget::Budget::new(1_000);
    let busy = world.log.writer.lock();
    let debit = budget.try_debit(100).map(Arc::new);
    drop(world.log.append_debited(batch(&["v0"], ProducerFields::NONE, START_MS), debit));
    assert_eq!(budget.used_bytes(), 100);
    drop(busy);
    world.log.drain();
    assert_eq!(budget.used_bytes(), 0);
    world.flush();
    assert_eq!(world.read_all(0).unwrap(), expect(0..1));
}

#[test]
fn while_the_disk_stands_still_for_one_log_the_others_leave_their_appends_to_the_writer_thread() {
    let world = fresh(&TopicConfig::default());
    world.log.shared.writer_queue.begin();
    world.log.shared.note_append(STALLED_APPEND_MICROS + 1);
    let waits = world.log.append(batch(&["v0"], ProducerFields::NONE, START_MS));
    assert!(waits.peek().is_none(), "the caller would have been held up");
    world.log.drain();
    assert_eq!(waits.peek().expect("written").unwrap().base_offset, 0);
    assert_eq!(world.append(&["v1"]).unwrap().base_offset, 1, "that one was fast: the caller drains again");
}

#[test]
fn a_turn_of_the_writer_thread_takes_a_part_of_a_long_inbox() {
    let world = fresh(&TopicConfig::default());
    let busy = world.log.writer.lock();
    let append = |_| world.log.append(batch(&["v"], ProducerFields::NONE, START_MS));
    let tickets: Vec<_> = (0..=APPEND_BATCHES_MAX).map(append).collect();
    drop(busy);
    assert!(world.log.drain_some(), "one is left, and another log has its turn before it");
    let written = || tickets.iter().filter(|ticket| ticket.peek().is_some()).count();
    assert_eq!(written(), APPEND_BATCHES_MAX);
    assert!(!world.log.drain_some());
    assert_eq!(written(), tickets.len());
}

#[test]
fn a_torn_tail_is_set_aside_not_destroyed() {
    let config = TopicConfig { flush: FlushMode::Os, ..TopicConfig::default() };
    let world = fresh(&config);
    append_numbered(&world, 4);
    world.flush();
    append_numbered(&world, 3);
    let log = &world.files(".log")[0];
    let len = world.disk.current_bytes(log).unwrap().len() as u64;
    let disk = world.disk.kill();
    disk.flip_bit(log, len - 80, 3).unwrap();
    let again = open(&disk, &world.clock, &config, 1);
    assert_eq!(again.read_all(0).unwrap(), expect(0..5));
    assert_eq!(again.files(&format!("cut-{START_MS}")).len(), 1);
    append_numbered(&again, 2);
    assert_eq!(again.read_all(0).unwrap(), expect(0..7));
}

#[test]
fn damage_below_the_durable_point_is_told_and_everything_else_served() {
    let config = TopicConfig::default();
    let world = fresh(&config);
    append_numbered(&world, 200);
    world.flush();
    let log = &world.files(".log")[0];
    let len = world.disk.current_bytes(log).unwrap().len() as u64;
    let batch_bytes = len / 200;
    for (batch, byte) in
        [(0, 0), (50, 3), (50, 9), (50, 14), (50, 16), (50, 18), (50, 70), (199, 2), (199, 72)]
    {
        for clean in [false, true] {
            let world = if clean { killed_clean(&world, &config) } else { world.disk.kill() };
            world.flip_bit(log, batch * batch_bytes + byte, 2).unwrap();
            let again = open(&world, &SimClock::new(START_MS), &config, 1);
            let mut served = Vec::new();
            let mut damaged = 0;
            let mut next = 0;
            while next < 200 {
                match again.log.read(next, again.log.offsets().high_watermark, 1, Wait::Allowed) {
                    Ok(slice) => {
                        let batch = RecordBatch::parse(slice.bytes).expect("only valid batches are served");
                        assert_eq!(batch.header().base_offset, next);
                        served.push(next);
                        next = slice.next_offset;
                    }
                    Err(ReadError::Damaged { first, end }) => {
                        assert!(first <= next && next < end && end <= 200, "{first}..{end} at {next}");
                        damaged += end - next;
                        next = end;
                    }
                    Err(other) => panic!("batch {batch} byte {byte}: {other}"),
                }
            }
            assert!(damaged >= 1 && served.len() as i64 + damaged == 200, "batch {batch} byte {byte}");
            assert_eq!(damaged, 1, "batch {batch} byte {byte}");
            assert_eq!(again.append(&["new"]).unwrap().base_offset, 200);
        }
    }
}

fn killed_clean(world: &World, config: &TopicConfig) -> SimDisk {
    let again = open(&world.disk.kill(), &SimClock::new(START_MS), config, 0);
    assert!(again.store.stop());
    again.disk.kill()
}

#[test]
fn an_undamaged_log_answers_the_same_without_its_side_files() {
    let world = fresh(&small_segments());
    append_numbered(&world, 30);
    assert!(world.store.stop());
    for ending in ["index", "timeindex", "snapshot", "leader-epochs"] {
        let disk = world.disk.kill();
        for path in world.files(ending) {
            disk.remove_file(&path).unwrap();
        }
        let again = open(&disk, &world.clock, &small_segments(), 0);
        assert_eq!(again.read_all(0).unwrap(), expect(0..30), "{ending}");
        assert_eq!(again.log.offset_for_timestamp(START_MS).unwrap().map(|found| found.offset), Some(0));
    }
}

#[test]
fn timestamps_are_found_in_whatever_order_they_came() {
    let world = fresh(&small_segments());
    let stamps = [50, 10, 40, 90, 20, 70, 95, 30, 95, 60];
    for (n, stamp) in stamps.iter().enumerate() {
        world.append_as(&[&format!("v{n}")], ProducerFields::NONE, *stamp).unwrap();
    }
    world.flush();
    for at in 0..100 {
        let expected = stamps.iter().position(|stamp| *stamp >= at).map(|n| n as Offset);
        let found = world.log.offset_for_timestamp(at).unwrap().map(|found| found.offset);
        assert_eq!(found, expected, "timestamp {at}");
    }
    assert_eq!(world.log.offset_of_max_timestamp().unwrap().map(|found| found.offset), Some(6));
}

#[test]
fn a_time_index_that_lost_its_tail_is_completed() {
    let config = TopicConfig::default();
    let world = fresh(&config);
    for n in 0..400i64 {
        world.append_as(&[&format!("v{n}")], ProducerFields::NONE, n % 7 * 100 + n).unwrap();
    }
    world.flush();
    let path = &world.files(".timeindex")[0];
    let len = world.disk.current_bytes(path).unwrap().len() as u64;
    assert!(len > 64 + 4 * 16, "several entries");
    for keep in (64..len).step_by(8) {
        let disk = world.disk.kill();
        disk.open(path, crate::env::disk::OpenMode::Write).unwrap().set_len(keep).unwrap();
        let again = open(&disk, &world.clock, &config, 1);
        // Enough to make new entries, which must not claim less than what lies before them.
        for n in 400..500i64 {
            again.append_as(&[&format!("v{n}")], ProducerFields::NONE, 0).unwrap();
        }
        again.flush();
        let stamp = |n: &i64| if *n < 400 { n % 7 * 100 + n } else { 0 };
        for at in (0..1_100).step_by(50) {
            let found = again.log.offset_for_timestamp(at).unwrap().map(|found| found.offset);
            assert_eq!(found, (0..500).find(|n| stamp(n) >= at), "timestamp {at}, {keep} bytes kept");
        }
    }
}

#[test]
fn a_missing_journal_cuts_nothing() {
    let config = TopicConfig { flush: FlushMode::Os, ..TopicConfig::default() };
    let world = fresh(&config);
    append_numbered(&world, 10);
    let log = &world.files(".log")[0];
    let len = world.disk.current_bytes(log).unwrap().len() as u64;
    let disk = world.disk.kill();
    disk.remove_file(Path::new("d/flush-journal")).unwrap();
    disk.flip_bit(log, len - 3, 0).unwrap();
    let again = open(&disk, &world.clock, &config, 1);
    assert!(again.files("cut").is_empty());
    assert_eq!(again.disk.current_bytes(log).unwrap().len() as u64, len);
    assert!(matches!(again.read_all(9), Err(ReadError::Damaged { first: 9, .. })));
    let appended = again.append(&["next"]).unwrap();
    assert!(appended.base_offset >= 10 && appended.leader_epoch == 1);
}

#[test]
fn a_lost_segment_below_the_durable_point_is_damage_not_an_earlier_end() {
    let world = fresh(&TopicConfig::default());
    append_numbered(&world, 10);
    world.flush();
    let disk = world.disk.kill();
    let log = &world.files(".log")[0];
    let file = disk.open(log, crate::env::disk::OpenMode::Write).unwrap();
    file.set_len(file.len().unwrap() / 2).unwrap();
    drop(file);
    let again = open(&disk, &world.clock, &TopicConfig::default(), 1);
    assert_eq!(again.log.offsets().log_end, 10);
    let kept = again.log.read(0, 10, 1 << 20, Wait::Allowed).unwrap().next_offset;
    assert!((4..6).contains(&kept));
    assert!(matches!(again.read_all(kept), Err(ReadError::Damaged { first, end: 10 }) if first == kept));
    assert_eq!(again.append(&["v10"]).unwrap().base_offset, 10);
    again.flush();
    assert_eq!(again.read_all(10).unwrap(), expect(10..11));
    let third = again.killed(&TopicConfig::default(), 2);
    assert!(matches!(third.read_all(kept), Err(ReadError::Damaged { first, end: 10 }) if first == kept));
    assert_eq!(third.read_all(10).unwrap(), expect(10..11));
}

#[test]
fn a_closed_log_makes_no_side_files_in_a_folder_that_may_be_another_s() {
    let world = fresh(&small_segments());
    append_numbered(&world, 12);
    world.flush();
    let again = world.killed(&small_segments(), 1);
    let sealed = again.log.segments.load()[0].clone();
    again.store.close_log(ID);
    for path in again.files("index") {
        again.disk.remove_file(&path).unwrap();
    }
    assert!(sealed.side(&again.disk).is_err(), "the segment is gone with its log");
    assert_eq!(again.files("index"), Vec::<PathBuf>::new());
}

#[test]
fn a_stop_over_files_that_somebody_removed_is_not_clean() {
    for gone in ["d/flush-journal", "d/t-0/00000000000000000000.log"] {
        let world = fresh(&TopicConfig::default());
        append_numbered(&world, 3);
        world.disk.remove_file(Path::new(gone)).expect(gone);
        assert!(!world.store.stop(), "{gone}");
    }
}

#[test]
fn a_log_opened_while_the_store_stops_notes_nothing_behind_the_clean_end() {
    let world = fresh(&TopicConfig::default());
    assert!(world.store.stop());
    world.disk.create_dir(Path::new("d/u-0")).unwrap();
    let id = TopicPartition { topic_id: TopicId([8; 16]), partition: 0 };
    let late =
        world.store.open_log(LogSpec { id, topic: Arc::from("u"), ..spec(&TopicConfig::default(), 0) });
    assert!(matches!(
        late.expect("opens").append(batch(&["x"], ProducerFields::NONE, START_MS)).peek(),
        Some(Err(AppendError::Closed))
    ));
    assert!(world.killed(&TopicConfig::default(), 1).store.was_clean());
}

#[test]
fn a_segment_of_other_epochs_put_in_place_after_a_clean_stop_is_taken_as_it_is() {
    let planted = fresh(&TopicConfig::default());
    append_numbered(&planted, 6);
    planted.flush();
    let name = Path::new("d/t-0/00000000000000000000.log");
    let bytes = planted.disk.current_bytes(name).unwrap();

    let raised = fresh(&TopicConfig::default()).killed(&TopicConfig::default(), 1);
    assert!(raised.store.stop());
    for ending in ["log", "index", "timeindex"] {
        raised.disk.remove_file(&name.with_extension(ending)).unwrap();
    }
    let file = raised.disk.open(name, crate::env::disk::OpenMode::CreateNew).unwrap();
    crate::env::disk::write_full_at(&*file, &bytes, 0).unwrap();
    raised.disk.sync_file_system(Path::new("d")).unwrap();
    let world = raised.killed(&TopicConfig::default(), 1);
    assert_eq!(world.read_all(0).unwrap(), expect(0..6));
    assert_eq!(world.log.end_of_epoch(0), (0, 6), "its records have the epoch that they say");
    for epoch in 2..4 {
        let killed = world.killed(&TopicConfig::default(), epoch);
        assert_eq!(killed.read_all(0).unwrap(), expect(0..6), "after a kill");
        assert_eq!(killed.log.end_of_epoch(0), (0, 6));
    }
}

#[test]
fn a_log_on_a_disk_that_is_full_to_the_last_byte_opens_and_is_read() {
    let world = fresh(&small_segments());
    append_numbered(&world, 20);
    world.flush();
    let disk = world.disk.kill();
    disk.set_capacity(Some(0));
    let full = open(&disk, &world.clock, &small_segments(), 1);
    assert_eq!(full.read_all(0).unwrap(), expect(0..20));
    assert_eq!((full.log.end_of_epoch(0), full.log.leader_epoch()), ((0, 20), 1));
    disk.set_capacity(None);
    assert_eq!(full.append(&["v20"]).unwrap().base_offset, 20);
    full.flush();
    let again = full.killed(&small_segments(), 2);
    assert_eq!((again.log.end_of_epoch(0), again.log.end_of_epoch(1)), ((0, 20), (1, 21)));
}

#[test]
fn a_small_batch_before_a_large_one_keeps_no_more_memory_than_it_needs() {
    let world = fresh(&TopicConfig::default());
    world.append(&["small"]).unwrap();
    world.append(&[&"x".repeat(300 << 10)]).unwrap();
    world.flush();
    let slice = world.log.read(0, 2, 100, Wait::Allowed).unwrap();
    assert_eq!(slice.next_offset, 1);
    let taken = slice.bytes.len();
    let held = slice.bytes.try_into_mut().expect("nobody else has it").capacity();
    assert!(held <= 2 * taken, "{held} bytes are held for {taken}");
}

#[test]
fn a_power_cut_soon_after_a_restart_does_not_cost_a_read_of_the_whole_log() {
    let world = fresh(&small_segments());
    append_numbered(&world, 20);
    world.flush();
    let again = world.killed(&small_segments(), 1);
    append_numbered(&again, 5);
    again.flush();
    let disk = again.disk.crash(|_| false, None);
    disk.fail(Fault::on(OpKind::Read, ends_with("00000000000000000000.log"), Effect::Io).times(u32::MAX));
    let third = open(&disk, &again.clock, &small_segments(), 2);
    assert_eq!(third.log.end_of_epoch(0), (0, 20));
    assert_eq!(third.log.end_of_epoch(1), (1, 25));
}

/// Reads everything as a consumer does that goes on behind what it is told to be damaged: records, and the offsets that were told.
fn read_or_be_told(world: &World) -> (Vec<(Offset, String)>, Vec<Offset>) {
    let (mut records, mut told) = (Vec::new(), Vec::new());
    let (mut next, end) = (0, world.log.offsets().high_watermark);
    while next < end {
        match world.log.read(next, end, 100, Wait::Allowed) {
            Ok(slice) => {
                assert!(slice.next_offset > next, "nothing came at {next} of {end}");
                let mut rest = slice.bytes;
                while let Some(batch) = RecordBatch::take_first(&mut rest).ok().flatten() {
                    let unpacked = batch.records(BATCH_BYTES_MAX).unwrap();
                    let record = unpacked.iter().next().unwrap().unwrap();
                    let value = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
                    records.push((record.offset, value));
                }
                next = slice.next_offset;
            }
            Err(ReadError::Damaged { first, end }) => {
                assert!(first <= next && next < end, "{next} is not in {first} to {end}");
                told.extend(next..end);
                next = end;
            }
            Err(other) => panic!("{other}"),
        }
    }
    (records, told)
}

#[test]
fn damage_to_what_this_run_wrote_is_told_and_never_leads_past_records() {
    for config in [small_segments(), TopicConfig::default()] {
        let world = fresh(&config);
        append_numbered(&world, 40);
        world.flush();
        let path = Path::new("d/t-0/00000000000000000000.log");
        let (bytes, mut positions) = (world.disk.current_bytes(path).unwrap(), vec![0]);
        while let Some(header) = BatchHeader::read(&bytes[*positions.last().unwrap()..]) {
            positions.push(positions.last().unwrap() + header.total_bytes().unwrap());
        }
        positions.pop();
        // What a batch's CRC does not cover, but for the leader epoch and the CRC itself.
        let places = |batch| [0, 5, 7, 8, 10, 11, 16].map(|at| (batch, at));
        for (batch, at) in (0..positions.len()).flat_map(places) {
            let byte = (positions[batch] + at) as u64;
            for bit in [0, 3, 6] {
                world.disk.flip_bit(path, byte, bit).unwrap();
                let (records, told) = read_or_be_told(&world);
                assert!(
                    records.iter().all(|(offset, value)| *value == format!("v{offset}")),
                    "byte {at}, bit {bit}"
                );
                assert_eq!(told, [batch as i64], "byte {at} of batch {batch}, bit {bit}");
                assert_eq!(records.len(), 39, "byte {at} of batch {batch}, bit {bit}");
                world.disk.flip_bit(path, byte, bit).unwrap();
            }
        }
        assert_eq!(world.read_all(0).unwrap(), expect(0..40), "nothing is remembered of it");
    }
}

#[test]
fn damage_is_looked_at_without_reading_again() {
    let config = TopicConfig { flush: FlushMode::Os, ..TopicConfig::default() };
    let world = fresh(&config);
    append_numbered(&world, 9);
    let path = Path::new("d/t-0/00000000000000000000.log");
    let bytes = world.disk.current_bytes(path).unwrap();
    let second = BatchHeader::read(&bytes).unwrap().total_bytes().unwrap() as u64;
    for byte in [7, 11, 16] {
        world.disk.flip_bit(path, second + byte, 2).unwrap();
        // The shard would wait for the second read.
        world.disk.fail(Fault::on(OpKind::Read, ends_with(".log"), Effect::Io).skipping(1).times(u32::MAX));
        let found = world.log.read(1, 9, 1 << 20, Wait::Never);
        assert!(matches!(found, Err(ReadError::Damaged { first: 1, end: 2 })), "byte {byte}: {found:?}");
        world.disk.clear_faults();
        world.disk.flip_bit(path, second + byte, 2).unwrap();
    }
}

#[test]
fn a_file_that_was_cut_under_a_running_log_is_told() {
    for config in [small_segments(), TopicConfig::default()] {
        let world = fresh(&config);
        append_numbered(&world, 40);
        world.flush();
        let path = Path::new("d/t-0/00000000000000000000.log");
        let whole = world.disk.current_bytes(path).unwrap();
        for len in (0..whole.len() as u64).rev() {
            world.disk.open(path, crate::env::disk::OpenMode::Write).unwrap().set_len(len).unwrap();
            let (records, told) = read_or_be_told(&world);
            assert!(records.iter().all(|(offset, value)| *value == format!("v{offset}")));
            assert_eq!(records.len() + told.len(), 40, "cut to {len} bytes");
            assert!(!told.is_empty(), "cut to {len} bytes");
        }
    }
}

#[test]
fn a_last_segment_that_is_missing_is_told() {
    let world = fresh(&small_segments());
    append_numbered(&world, 20);
    world.flush();
    for stop in [false, true] {
        if stop {
            assert!(world.store.stop());
        }
        let disk = world.disk.kill();
        let last = world.files(".log").pop().unwrap();
        let base: Offset = last.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        disk.remove_file(&last).unwrap();
        let again = open(&disk, &world.clock, &small_segments(), 1);
        let (records, told) = read_or_be_told(&again);
        assert_eq!(records, expect(0..base));
        assert_eq!(told, (base..20).collect::<Vec<_>>());
        assert_eq!(again.append(&["new"]).unwrap().base_offset, 20, "no offset is used again");
    }
}

#[test]
fn a_large_damaged_range_is_told_without_reading_it() {
    let config = TopicConfig { segment_bytes: 64 << 20, ..TopicConfig::default() };
    let world = fresh(&config);
    let large = "x".repeat(512 << 10);
    for _ in 0..16 {
        world.append(&[&large]).unwrap();
    }
    world.flush();
    let disk = world.disk.kill();
    let name = Path::new("d/t-0/00000000000000000000.log");
    let file = disk.open(name, crate::env::disk::OpenMode::Write).unwrap();
    let batch_bytes = file.len().unwrap() / 16;
    let damaged = vec![0; 10 * batch_bytes as usize];
    assert!(damaged.len() as u64 > WRITTEN_INTERVAL_BYTES_MAX);
    crate::env::disk::write_full_at(&*file, &damaged, 3 * batch_bytes).unwrap();
    disk.remove_file(&name.with_extension("index")).unwrap();
    let world = open(&disk, &world.clock, &config, 1);
    let at_most = |offset| world.log.read(offset, 16, 1 << 30, Wait::Allowed);
    assert_eq!(at_most(0).unwrap().next_offset, 3, "up to the damage");
    for offset in 3..13 {
        assert!(matches!(at_most(offset), Err(ReadError::Damaged { first: 3, end: 13 })), "{offset}");
    }
    assert_eq!(at_most(13).unwrap().next_offset, 16);
    world.disk.break_range(name, 3 * batch_bytes + 100..13 * batch_bytes).unwrap();
    assert!(
        matches!(at_most(4), Err(ReadError::Damaged { first: 3, end: 13 })),
        "its bytes are not asked for"
    );
}

#[test]
fn a_wrong_length_in_an_interval_as_long_as_one_can_be_damages_its_batch_alone() {
    let config = TopicConfig { segment_bytes: 64 << 20, ..TopicConfig::default() };
    let world = fresh(&config);
    append_numbered(&world, 3);
    let large = "x".repeat(BATCH_BYTES_MAX - 100);
    world.append(&[&large]).unwrap();
    append_numbered(&world, 2);
    world.flush();
    world.log.writer.lock().side.index.persist().unwrap();
    let name = Path::new("d/t-0/00000000000000000000.log");
    let bytes = world.disk.current_bytes(name).unwrap();
    let second = BatchHeader::read(&bytes).unwrap().total_bytes().unwrap() as u64;
    world.disk.flip_bit(name, second + 11, 3).unwrap();
    for world in [&world, &world.killed(&config, 1)] {
        let (records, told) = read_or_be_told(world);
        assert_eq!(told, [1]);
        assert_eq!(records.iter().map(|record| record.0).collect::<Vec<_>>(), [0, 2, 3, 4, 5]);
    }
}

#[test]
fn a_full_disk_is_emptied_by_a_trim_and_a_log_on_it_stops_cleanly() {
    let world = fresh(&small_segments());
    append_numbered(&world, 12);
    world
        .append_as(&["v12"], ProducerFields { producer_id: 7, producer_epoch: 0, base_sequence: 0 }, START_MS)
        .unwrap();
    world.flush();
    world.disk.set_capacity(Some(1));
    assert!(world.log.trim(13).is_err(), "no room for the new end");
    assert_eq!(
        (world.files(".log").len(), world.log.offsets().log_start),
        (1, 13),
        "but what goes before it is gone"
    );
    assert!(world.store.stop(), "what can't be written down is read again");
    world.disk.set_capacity(None);
    let again = world.killed(&small_segments(), 0);
    assert!(again.store.was_clean());
    assert_eq!(again.read_all(12).unwrap(), expect(12..13));
    let producer = ProducerFields { producer_id: 7, producer_epoch: 0, base_sequence: 0 };
    assert!(again.append_as(&["v12"], producer, START_MS).unwrap().duplicate);
}

#[test]
fn a_round_seals_few_segments_and_later_ones_the_others() {
    let world = fresh(&small_segments());
    append_numbered(&world, 100);
    let sealed = || {
        let segments = world.log.segments.load();
        let is_sealed = |segment: &Arc<super::segment::Segment>| {
            segment.side_if_open().is_some_and(|side| side.footer.lock().is_some())
        };
        (segments.iter().filter(|segment| is_sealed(segment)).count(), segments.len() - 1)
    };
    world.flush();
    let (first, all) = sealed();
    assert!(first > 0 && first < all, "{first} of {all}");
    assert_eq!(world.log.offsets().flushed, 100, "all acknowledged after the first");
    for _ in 0..all {
        world.store.committer().round(false);
    }
    assert_eq!(sealed().0, all);
}

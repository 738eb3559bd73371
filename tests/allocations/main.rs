//! Counts what a batch allocates on its way into a log: at most [`ALLOCATIONS_MAX`], and none for each record.
//!
//! A binary of its own, because its allocator counts. It counts for each thread, so that what others do does not matter.
#![allow(clippy::unwrap_used)]
// WHY: an allocator can't be written without.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;
use weir::base::{TopicId, TopicPartition};
use weir::config::{FlushMode, TopicConfig};
use weir::env::{Disk, Env, RealClock, RealDisk, Rng};
use weir::log::{LogSpec, LogStore, PartitionLog, StoreOptions};
use weir::record::builder::{NewRecord, ProducerFields};
use weir::record::{BatchBuilder, Codec, RecordBatch, Rules, validate};

/// What the design allows on the fast path.
const ALLOCATIONS_MAX: f64 = 4.0;
/// Batches before the counting begins, so that what is kept has grown.
const WARM_UP: usize = 50;
const BATCHES: usize = 300;
/// Above what buffers that grow with the log, such as its index, cost a batch.
const GROWTH: f64 = 0.1;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

fn count_one() {
    // WHY try: a thread that ends frees what it kept for itself last.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count_one();
        unsafe { System.realloc(at, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread while `work` runs.
fn allocations(work: impl FnOnce()) -> usize {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

struct World {
    log: Arc<PartitionLog>,
    store: Arc<LogStore>,
    _folder: TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        assert!(self.store.stop(), "every flush held");
    }
}

/// A log on a real disk: the one in memory allocates by itself.
fn world(flush: FlushMode) -> World {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disk = RealDisk::new();
    disk.create_dir(&folder.path().join("t-0")).unwrap();
    let (clock, rng) = (Arc::new(RealClock::new()), Arc::new(Rng::seeded(1)));
    let env = Env { disk: Arc::new(disk), clock, rng };
    let options =
        StoreOptions { disk_reserve_bytes: 0, open_files_max: 64, compaction_memory_bytes: 1 << 20 };
    let store = LogStore::open(env, folder.path(), options).unwrap();
    // WHY no threads: on a slow disk they would do part of the work, and this thread would not count it.
    store.mark_started().unwrap();
    let spec = LogSpec {
        id: TopicPartition { topic_id: TopicId([1; 16]), partition: 0 },
        topic: Arc::from("t"),
        config: TopicConfig { flush, ..TopicConfig::default() },
        leader_epoch: 0,
        trim_offset: 0,
        internal: false,
    };
    World { log: store.open_log(spec).unwrap(), store, _folder: folder }
}

/// A batch as a producer sends it.
fn sent(record_count: usize) -> Bytes {
    let mut builder = BatchBuilder::new();
    let record = NewRecord { timestamp: 0, key: Some(b"key"), value: Some(b"value"), headers: &[] };
    for _ in 0..record_count {
        builder.append(&record).unwrap();
    }
    builder.build(Codec::None, ProducerFields::NONE).unwrap()
}

/// What the broker does with the bytes of a batch: checksum, checks, append.
fn take_in(world: &World, bytes: &Bytes) {
    let rules = Rules {
        max_batch_bytes: 1 << 20,
        now_ms: 0,
        timestamp_after_max_ms: i64::MAX,
        max_decompressed_bytes: 1 << 20,
        needs_keys: false,
    };
    let batch = validate(RecordBatch::parse(bytes.clone()).unwrap(), &rules).unwrap();
    world.log.append(batch).peek().expect("the caller drains").unwrap();
}

/// Allocations of a batch with so many records, each batch flushed by itself, which is the dearest way.
fn allocations_each(flush: FlushMode, record_count: usize) -> f64 {
    let world = world(flush);
    let bytes = sent(record_count);
    let mut count = 0;
    for number in 0..WARM_UP + BATCHES {
        let of_this = allocations(|| take_in(&world, &bytes));
        // What a real broker does on a thread of its own.
        world.store.committer().round(false);
        count += if number < WARM_UP { 0 } else { of_this };
    }
    count as f64 / BATCHES as f64
}

#[test]
fn a_batch_costs_few_allocations_and_a_record_none() {
    for flush in [FlushMode::Os, FlushMode::Ack] {
        let (one, many) = (allocations_each(flush, 1), allocations_each(flush, 1_000));
        println!("flush {flush:?}: {one:.2} allocations for a batch of 1 record, {many:.2} for one of 1,000");
        assert!(one <= ALLOCATIONS_MAX + GROWTH, "{flush:?}: {one} for a batch of 1 record");
        assert!(many <= ALLOCATIONS_MAX + GROWTH, "{flush:?}: {many} for a batch of 1,000 records");
    }
}

#[test]
fn reading_records_back_allocates_nothing() {
    let batch = RecordBatch::parse(sent(1_000)).unwrap();
    let records = batch.records(1 << 20).unwrap();
    let count = allocations(|| assert_eq!(records.iter().filter(|record| record.is_ok()).count(), 1_000));
    assert_eq!(count, 0);
}

//! A log of keyed records, and the model that it is held against.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::{Offset, TopicId, TopicPartition};
use crate::config::{CleanupPolicy, TopicConfig};
use crate::env::sim_disk::SimOptions;
use crate::env::{Disk, Env, Rng, SimClock, SimDisk};
use crate::log::flush::journal::Points;
use crate::log::verify::partition::verify_partition;
use crate::log::{LogSpec, LogStore, PartitionLog, StoreOptions, Wait};
use crate::record::builder::{NewRecord, ProducerFields};
use crate::record::{BatchBuilder, BatchHeader, Codec, RecordBatch, Rules, ValidBatch};

pub(super) const ID: TopicPartition = TopicPartition { topic_id: TopicId([9; 16]), partition: 0 };
pub(super) const START_MS: i64 = 1_700_000_000_000;
pub(super) const FOLDER: &str = "d/t-0";

/// A record as it was written or read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Told {
    pub(super) offset: Offset,
    pub(super) timestamp: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
}

/// A key with its value.
pub(super) type Pair<'a> = (&'a str, Option<&'a str>);

pub(super) struct World {
    pub(super) disk: SimDisk,
    pub(super) clock: SimClock,
    pub(super) store: Arc<LogStore>,
    pub(super) log: Arc<PartitionLog>,
    pub(super) config: TopicConfig,
    pub(super) memory_bytes: u64,
    pub(super) epoch: i32,
    /// All that was acknowledged.
    pub(super) written: Vec<Told>,
}

pub(super) fn compacted() -> TopicConfig {
    TopicConfig {
        cleanup: CleanupPolicy::Compact,
        min_dirty_millionths: 0,
        delete_retention_ms: 1_000,
        segment_bytes: 1_024,
        ..TopicConfig::default()
    }
}

fn open(
    disk: &SimDisk,
    clock: &SimClock,
    config: &TopicConfig,
    epoch: i32,
    memory_bytes: u64,
) -> (Arc<LogStore>, Arc<PartitionLog>) {
    let env =
        Env { disk: Arc::new(disk.clone()), clock: Arc::new(clock.clone()), rng: Arc::new(Rng::seeded(1)) };
    let options =
        StoreOptions { disk_reserve_bytes: 0, open_files_max: 16, compaction_memory_bytes: memory_bytes };
    let store = LogStore::open(env, Path::new("d"), options).expect("opens");
    store.mark_started().expect("starts");
    let topic = Arc::from("t");
    let spec = LogSpec {
        id: ID,
        topic,
        config: config.clone(),
        leader_epoch: epoch,
        trim_offset: 0,
        internal: false,
    };
    let log = store.open_log(spec).expect("opens");
    (store, log)
}

impl World {
    pub(super) fn new(config: TopicConfig) -> Self {
        Self::with_memory(config, 1 << 20)
    }

    pub(super) fn with_memory(config: TopicConfig, memory_bytes: u64) -> Self {
        let disk = SimDisk::new(SimOptions { block_bytes: 256, sector_bytes: 64, ..SimOptions::default() });
        disk.create_dir(Path::new("d")).unwrap();
        disk.create_dir(Path::new(FOLDER)).unwrap();
        let cluster_id = crate::base::ClusterId([1; 16]);
        let meta = crate::log::folder::PartitionMeta { cluster_id, id: ID };
        disk.remove_dir(Path::new(FOLDER)).unwrap();
        crate::log::folder::create(&disk, Path::new("d"), "t", [meta]).unwrap();
        disk.sync_file_system(Path::new("d")).unwrap();
        let clock = SimClock::new(START_MS);
        let (store, log) = open(&disk, &clock, &config, 0, memory_bytes);
        Self { disk, clock, store, log, config, memory_bytes, epoch: 0, written: Vec::new() }
    }

    /// Opens the log again on what is left of the disk.
    pub(super) fn reopen(&mut self, disk: SimDisk) {
        self.disk = disk;
        self.epoch += 1;
        let opened = open(&self.disk, &self.clock, &self.config, self.epoch, self.memory_bytes);
        (self.store, self.log) = opened;
    }

    pub(super) fn kill(&mut self) {
        self.reopen(self.disk.kill());
    }

    pub(super) fn stop(&mut self) {
        assert!(self.store.stop(), "a clean stop");
        let epoch = self.epoch;
        self.reopen(self.disk.kill());
        assert!(self.store.was_clean());
        self.epoch = epoch + 1;
    }

    pub(super) fn set(&mut self, config: TopicConfig) {
        self.config = config.clone();
        self.log.set_config(config);
    }

    pub(super) fn put(&mut self, pairs: &[Pair<'_>]) {
        self.put_as(pairs, Codec::None, ProducerFields::NONE);
    }

    pub(super) fn put_as(&mut self, pairs: &[Pair<'_>], codec: Codec, producer: ProducerFields) -> Offset {
        let timestamp = START_MS + self.written.len() as i64 * 7 % 1_000;
        let batch = batch(pairs, codec, producer, timestamp);
        let done = self.log.append(batch).peek().expect("drained at once").expect("appends");
        self.store.committer().round(true);
        if !done.duplicate {
            for (offset, (key, value)) in (done.base_offset..).zip(pairs) {
                let own = |text: &str| text.as_bytes().to_vec();
                let (key, value) = (Some(own(key)), value.map(own));
                self.written.push(Told { offset, timestamp, key, value });
            }
        }
        done.base_offset
    }

    /// Fills the segment that is written to, so that what was put before can be compacted.
    pub(super) fn roll(&mut self) {
        let base = self.log.size().segment_count;
        let value = "x".repeat(200);
        while self.log.size().segment_count == base {
            self.put(&[("filler", Some(&value))]);
        }
        self.store.committer().round(true);
    }

    pub(super) fn read(&self) -> Vec<Told> {
        let mut told = Vec::new();
        for batch in self.batches() {
            let records = batch.records(1 << 20).expect("valid");
            for record in &records {
                let record = record.expect("valid");
                let (key, value) = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec));
                told.push(Told { offset: record.offset, timestamp: record.timestamp, key, value });
            }
        }
        told
    }

    pub(super) fn batches(&self) -> Vec<RecordBatch> {
        let mut batches = Vec::new();
        let mut next = self.log.offsets().log_start;
        let end = self.log.offsets().high_watermark;
        while next < end {
            let slice = self.log.read(next, end, 300, Wait::Allowed).expect("readable");
            assert!(slice.next_offset > next, "nothing at {next} of {end}");
            let mut rest = slice.bytes;
            while let Some(batch) = RecordBatch::take_first(&mut rest).expect("whole batches") {
                batches.push(batch);
            }
            next = slice.next_offset;
        }
        batches
    }

    pub(super) fn headers(&self) -> Vec<BatchHeader> {
        self.batches().iter().map(|batch| *batch.header()).collect()
    }

    pub(super) fn compact(&self) -> usize {
        self.store.committer().round(true);
        self.store.compact()
    }

    pub(super) fn files(&self, ending: &str) -> Vec<PathBuf> {
        let names = self.disk.list(Path::new(FOLDER)).unwrap();
        let found = names.into_iter().filter(|entry| entry.name.ends_with(ending));
        found.map(|entry| Path::new(FOLDER).join(entry.name)).collect()
    }

    /// The last value of each key, as they were written; without those that have none.
    pub(super) fn last_values(records: &[Told]) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut values = BTreeMap::new();
        for record in records {
            let key = record.key.clone().expect("each has a key");
            match &record.value {
                Some(value) => values.insert(key, value.clone()),
                None => values.remove(&key),
            };
        }
        values
    }

    /// What must hold whatever happened: nothing is there that was not written, in another order or at another offset, the final values
    /// are those of all that was written, the searches by time agree with what is read, and a look at the folder finds nothing wrong.
    pub(super) fn check(&self) {
        let read = self.read();
        let mut written = self.written.iter();
        for record in &read {
            assert!(written.any(|known| known == record), "{record:?} was not written, or came twice");
        }
        assert_eq!(Self::last_values(&read), Self::last_values(&self.written), "final values");
        let last = self.written.last().map_or(0, |last| last.offset + 1);
        assert_eq!(self.log.offsets().log_end, last);
        for at in (START_MS - 1..START_MS + 1_001).step_by(97) {
            let found = self.log.offset_for_timestamp(at).expect("readable").map(|found| found.offset);
            let first = read.iter().find(|record| record.timestamp >= at).map(|record| record.offset);
            assert_eq!(found, first, "the first record at {at}");
        }
        let greatest = read.iter().map(|record| record.timestamp).max();
        let found = self.log.offset_of_max_timestamp().expect("readable").map(|found| found.timestamp);
        assert_eq!(found, greatest);
        self.check_folder();
    }

    pub(super) fn check_folder(&self) {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let report =
            verify_partition(&disk, Path::new(FOLDER), &Points::unknown(), &mut |_| ()).expect("reads");
        let damaged: Vec<_> = report
            .all_findings()
            .filter(|finding| finding.severity != crate::log::verify::segment::Severity::Rebuilt)
            .collect();
        assert!(damaged.is_empty(), "{damaged:#?}");
    }
}

pub(super) fn batch(
    pairs: &[Pair<'_>],
    codec: Codec,
    producer: ProducerFields,
    timestamp: i64,
) -> ValidBatch {
    let mut builder = BatchBuilder::new();
    for (key, value) in pairs {
        let (key, value) = (Some(key.as_bytes()), value.map(str::as_bytes));
        builder.append(&NewRecord { key, value, headers: &[], timestamp }).unwrap();
    }
    let rules = Rules {
        max_batch_bytes: 1 << 20,
        now_ms: START_MS,
        timestamp_after_max_ms: i64::MAX,
        max_decompressed_bytes: 1 << 20,
        needs_keys: true,
    };
    ValidBatch::build(&mut builder, codec, producer, &rules).unwrap()
}

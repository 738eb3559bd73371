//! What the benches of the log stand on: a store in a folder of its own on a real disk, and a bare file beside it.

use std::io::IoSlice;
use std::sync::Arc;

use tempfile::TempDir;
use weir::base::{TopicId, TopicPartition};
use weir::config::{FlushMode, TopicConfig};
use weir::env::disk::OpenMode;
use weir::env::{Disk, Env, File, RealClock, RealDisk, Rng};
use weir::log::{LogSpec, LogStore, PartitionLog, StoreOptions};
use weir::record::{RecordBatch, Rules, ValidBatch, validate};

use crate::record;

/// A folder below the build's, which is rarely in memory, as a machine's folder for temporary files often is.
fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder for the build can be written to")
}

/// A store with its threads and one log.
pub(crate) struct Store {
    pub(crate) log: Arc<PartitionLog>,
    store: Arc<LogStore>,
    folder: TempDir,
}

impl Store {
    /// A new store with an empty log.
    pub(crate) fn new(flush: FlushMode, segment_bytes: u64) -> Self {
        let folder = folder();
        let disk = RealDisk::new();
        disk.create_dir(&folder.path().join("t-0")).expect("the folder is new");
        let clock = Arc::new(RealClock::new());
        let env = Env { disk: Arc::new(disk), clock, rng: Arc::new(Rng::seeded(1)) };
        let options =
            StoreOptions { disk_reserve_bytes: 0, open_files_max: 64, compaction_memory_bytes: 1 << 20 };
        let store = LogStore::open(env, folder.path(), options).expect("the folder is new");
        store.start_threads().expect("two threads more");
        store.mark_started().expect("the disk works");
        let log = store.open_log(spec(flush, segment_bytes)).expect("the folder is empty");
        Self { log, store, folder }
    }

    /// The log file of the first segment.
    pub(crate) fn first_segment(&self) -> Arc<dyn File> {
        let path = self.folder.path().join("t-0/00000000000000000000.log");
        RealDisk::new().open(&path, OpenMode::Read).expect("a log begins with it")
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.store.stop();
    }
}

fn spec(flush: FlushMode, segment_bytes: u64) -> LogSpec {
    LogSpec {
        id: TopicPartition { topic_id: TopicId([1; 16]), partition: 0 },
        topic: Arc::from("t"),
        config: TopicConfig { flush, segment_bytes, ..TopicConfig::default() },
        leader_epoch: 0,
        trim_offset: 0,
        internal: false,
    }
}

/// A validated batch of just under `bytes` with records of 1 KiB. Its clones share the body.
pub(crate) fn batch(bytes: usize) -> ValidBatch {
    let parsed = RecordBatch::parse(record::batch(bytes, 1024)).expect("valid");
    let rules = Rules {
        max_batch_bytes: bytes,
        now_ms: 0,
        timestamp_after_max_ms: i64::MAX,
        max_decompressed_bytes: bytes,
        needs_keys: false,
    };
    validate(parsed, &rules).expect("valid")
}

/// A new file that is written to at its end.
pub(crate) struct GrowingFile {
    pub(crate) file: Arc<dyn File>,
    pub(crate) len: u64,
    _folder: TempDir,
}

impl GrowingFile {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let folder = folder();
        let path = folder.path().join("file");
        let file = RealDisk::new().open(&path, OpenMode::CreateNew).expect("the folder is new");
        Self { file, len: 0, _folder: folder }
    }

    /// Writes all of `bytes` with one call.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let count = self.file.write_vectored_at(&[IoSlice::new(bytes)], self.len).expect("the disk works");
        assert_eq!(count, bytes.len(), "the disk is not full");
        self.len += count as u64;
    }
}

//! All logs of a data directory: their opening, their common committer, the clean stop.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::append::Writer;
use super::compaction::compactor::{Compactor, Logs};
use super::errors::OpenError;
use super::flush::committer::{Committer, write_snapshot};
use super::flush::journal::{DurablePoint, Journal, LastRun};
use super::partition_log::{LogSpec, PartitionLog};
use super::recovery;
use super::shared::Shared;
use crate::base::TopicPartition;
use crate::env::disk::DiskResult;
use crate::env::files::FileCache;
use crate::env::{Disk, DiskError, DiskErrorKind, Env, OpKind, threads};
use crate::metrics::LogCounters;

/// Name of the flush journal in a data directory.
pub const JOURNAL_FILE: &str = "flush-journal";

/// Bounds of a store.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// User appends are refused with DISK_FULL while fewer bytes are free.
    pub disk_reserve_bytes: u64,
    /// Files kept open at most.
    pub open_files_max: usize,
    /// Bytes in which compaction keeps the keys of the log that it is at.
    pub compaction_memory_bytes: u64,
}

/// All logs of a data directory.
pub struct LogStore {
    shared: Arc<Shared>,
    committer: Arc<Committer>,
    logs: Logs,
    compactor: Arc<Compactor>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    is_stopping: AtomicBool,
    last_run: LastRun,
}

impl LogStore {
    /// Opens the flush journal of a data directory, made when missing. Opens no log.
    pub fn open(env: Env, data_dir: &Path, options: StoreOptions) -> Result<Arc<Self>, OpenError> {
        let journal = Journal::open(env.disk.clone(), &data_dir.join(JOURNAL_FILE))?;
        let last_run = journal.last_run();
        let files = FileCache::new(env.disk.clone(), options.open_files_max.max(16));
        let shared = Shared::new(env, files, data_dir.to_owned(), options.disk_reserve_bytes);
        shared.check_space();
        let committer = Arc::new(Committer::new(shared.clone(), journal));
        let (logs, threads) = (Logs::default(), Mutex::default());
        let memory_bytes = options.compaction_memory_bytes;
        let compactor = Compactor::new(shared.clone(), committer.clone(), logs.clone(), memory_bytes);
        let compactor = Arc::new(compactor);
        let is_stopping = AtomicBool::new(false);
        Ok(Arc::new(Self { shared, committer, logs, compactor, threads, is_stopping, last_run }))
    }

    /// How the last run ended.
    pub fn last_run(&self) -> LastRun {
        self.last_run
    }

    /// Whether the last run stopped with everything flushed, so that no leader epoch need rise.
    pub fn was_clean(&self) -> bool {
        self.last_run == LastRun::Clean
    }

    /// Runs the committer, the writer and the compactor in threads of their own. Without it, [`Committer::round`] and
    /// [`LogStore::compact`] are called by hand.
    pub fn start_threads(&self) -> io::Result<()> {
        let (committer, shared) = (self.committer.clone(), self.shared.clone());
        let compactor = self.compactor.clone();
        let mut handles = self.threads.lock();
        handles.push(threads::spawn("committer", move || committer.run())?);
        handles.push(threads::spawn("writer", move || shared.writer_queue.run())?);
        handles.push(threads::spawn("compactor", move || compactor.run())?);
        Ok(())
    }

    /// What its logs have counted.
    pub fn counters(&self) -> &LogCounters {
        &self.shared.counters
    }

    /// Free space below which user appends are refused.
    pub fn disk_reserve_bytes(&self) -> u64 {
        self.shared.reserve_bytes()
    }

    /// Whether user appends are refused because the free space was below the reserve at the last look.
    pub fn is_full(&self) -> bool {
        self.shared.is_full()
    }

    /// The committer.
    pub fn committer(&self) -> &Arc<Committer> {
        &self.committer
    }

    /// Notes, durably, that this run may append from now on.
    pub fn mark_started(&self) -> DiskResult<()> {
        self.committer.journal().lock().note_started()
    }

    /// Opens a log whose folder exists. May block.
    pub fn open_log(&self, spec: LogSpec) -> Result<Arc<PartitionLog>, OpenError> {
        if let Some(log) = self.logs.lock().get(&spec.id) {
            return Ok(log.clone());
        }
        let id = spec.id;
        let point = self.committer.journal().lock().point(&id);
        let recovered = recovery::open(&self.shared, &spec, point)?;
        let writer = &recovered.writer;
        let noted = DurablePoint {
            segment_base: writer.active.base_offset(),
            position: writer.tally.position,
            flushed: writer.tally.end_offset,
            clean_crc: None,
        };
        let log = PartitionLog::new(self.shared.clone(), spec, recovered);
        // Held over the note, so that a stop either lists this log or has begun: nothing is noted behind `clean`.
        let mut logs = self.logs.lock();
        if self.is_stopping.load(Ordering::Acquire) {
            log.close();
            return Ok(log);
        }
        self.committer.journal().lock().name(id, noted)?;
        Ok(logs.entry(id).or_insert(log).clone())
    }

    /// Closes a log that is about to be deleted and forgets its durable point.
    pub fn close_log(&self, id: TopicPartition) {
        let removed = self.logs.lock().remove(&id);
        // Not under the lock: others are opened while this one waits.
        if let Some(log) = removed {
            log.close();
            // A round that took the log before must be done with its folder.
            self.committer.wait_for_round();
        }
        if let Err(error) = self.committer.journal().lock().forget(id) {
            tracing::warn!(%error, "can't note in the flush journal that a log is gone");
        }
    }

    /// Rolls by time, applies retention, looks at the free space, has the compactor look for work. Call it every second or so, off the shards.
    pub fn housekeeping(&self) {
        self.shared.check_space();
        self.shared.pace.look(self.shared.now_ms(), self.shared.monotonic_ms());
        let logs: Vec<_> = self.logs.lock().values().cloned().collect();
        logs.iter().for_each(|log| log.housekeep());
        self.compactor.wake();
    }

    /// Compacts every log for which that is due, here and now. Gives how many passes were made.
    pub fn compact(&self) -> usize {
        self.compactor.compact_all()
    }

    /// Refuses further appends, flushes every log and notes the clean stop. True when every flush held; else the next start recovers.
    pub fn stop(&self) -> bool {
        self.is_stopping.store(true, Ordering::Release);
        let logs: Vec<_> = self.logs.lock().values().cloned().collect();
        self.compactor.stop();
        self.shared.writer_queue.stop();
        logs.iter().for_each(|log| log.refuse_appends());
        self.shared.dirty.stop();
        for thread in self.threads.lock().drain(..) {
            let _ = thread.join();
        }
        self.committer.round(true);
        logs.iter().for_each(|log| log.close());
        match self.note_clean(&logs) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "stop is not clean: the next start looks at every log's end");
                false
            }
        }
    }

    fn note_clean(&self, logs: &[Arc<PartitionLog>]) -> Result<(), DiskError> {
        let mut points = Vec::with_capacity(logs.len());
        for log in logs {
            points.push((log.id(), log.clean_point()?));
        }
        let mut journal = self.committer.journal().lock();
        journal.note(&points)?;
        journal.note_clean()?;
        must_be_there(self.shared.disk(), &self.shared.data_dir.join(JOURNAL_FILE))
    }
}

/// Errors: somebody removed the file, or moved it.
fn must_be_there(disk: &dyn Disk, path: &Path) -> DiskResult<()> {
    match disk.stat(path)? {
        Some(_) => Ok(()),
        None => Err(DiskError {
            kind: DiskErrorKind::NotFound,
            operation: OpKind::Look,
            path: path.to_owned(),
            detail: "it is gone, somebody removed it while the broker ran".to_owned(),
        }),
    }
}

impl PartitionLog {
    /// Writes down what spares a clean start the reading of records.
    fn write_down(&self, writer: &Writer) -> DiskResult<()> {
        writer.side.index.persist()?;
        writer.side.time.persist()?;
        writer.side.index.file().sync()?;
        writer.side.time.file().sync()?;
        if writer.bytes_since_snapshot == 0 {
            return Ok(());
        }
        let body = writer.producers.encode();
        let at = (self.id(), writer.tally.end_offset);
        write_snapshot(self.shared.disk(), &self.folder, at, &body)
    }

    /// Writes down what a clean start needs, and gives the point to be noted. Errors: something is not flushed.
    fn clean_point(&self) -> DiskResult<DurablePoint> {
        let writer = self.writer.lock();
        let not_flushed = || DiskError {
            kind: DiskErrorKind::Io,
            operation: OpKind::SyncData,
            path: self.folder.clone(),
            detail: self.offline_reason().unwrap_or_else(|| "bytes are not flushed".to_owned()),
        };
        if self.offsets().flushed < writer.tally.end_offset || self.offline_reason().is_some() {
            return Err(not_flushed());
        }
        // WHY: what has no name any more is synced without an error, and lost.
        must_be_there(self.shared.disk(), &writer.active.path("log"))?;
        if let Err(error) = self.write_down(&writer) {
            tracing::warn!(topic = %self.topic, partition = self.id.partition, %error, "side files are not written; the next start has more to read");
        }
        Ok(DurablePoint {
            segment_base: writer.active.base_offset(),
            position: writer.tally.position,
            flushed: writer.tally.end_offset,
            clean_crc: Some(writer.tally.open_interval_crc()),
        })
    }
}

//! The thread that compacts: one log at a time, the dirtiest first, whenever housekeeping wakes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};

use super::dirtiness::Dirtiness;
use super::errors::PassError;
use super::pass::{Pass, PassReport, look};
use crate::base::TopicPartition;
use crate::log::flush::committer::Committer;
use crate::log::partition_log::PartitionLog;
use crate::log::shared::Shared;

/// All open logs of a store.
pub(in crate::log) type Logs = Arc<Mutex<BTreeMap<TopicPartition, Arc<PartitionLog>>>>;

/// Compacts the logs of a store.
pub(in crate::log) struct Compactor {
    shared: Arc<Shared>,
    committer: Arc<Committer>,
    logs: Logs,
    memory_bytes: u64,
    is_stopped: AtomicBool,
    /// Whether there may be work.
    is_awake: Mutex<bool>,
    wake: Condvar,
}

impl Compactor {
    pub(in crate::log) fn new(
        shared: Arc<Shared>,
        committer: Arc<Committer>,
        logs: Logs,
        memory_bytes: u64,
    ) -> Self {
        let (is_stopped, is_awake, wake) = (AtomicBool::new(false), Mutex::new(false), Condvar::new());
        Self { shared, committer, logs, memory_bytes, is_stopped, is_awake, wake }
    }

    /// Compacts whatever is due each time that it is woken, until it is stopped.
    pub(in crate::log) fn run(&self) {
        loop {
            {
                let mut is_awake = self.is_awake.lock();
                while !*is_awake && !self.is_stopped() {
                    self.wake.wait(&mut is_awake);
                }
                *is_awake = false;
            }
            if self.is_stopped() {
                return;
            }
            self.compact_all();
        }
    }

    /// Has the thread look for work.
    pub(in crate::log) fn wake(&self) {
        *self.is_awake.lock() = true;
        self.wake.notify_one();
    }

    /// Ends a pass that runs at the next batch or so, and [`Compactor::run`] for good.
    pub(in crate::log) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.wake();
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// Runs passes until none is due. Gives how many were made.
    pub(in crate::log) fn compact_all(&self) -> usize {
        let mut passes = 0;
        while let Some((log, found)) = self.dirtiest() {
            self.compact(&log, &found);
            passes += 1;
            if self.is_stopped() {
                break;
            }
        }
        passes
    }

    /// The log that is due and has the greatest dirty share. Also notes how dirty all are.
    fn dirtiest(&self) -> Option<(Arc<PartitionLog>, Dirtiness)> {
        let logs: Vec<_> = self.logs.lock().values().cloned().collect();
        let (mut dirty_bytes, mut greatest) = (0, 0);
        let mut due: Vec<(Arc<PartitionLog>, Dirtiness)> = Vec::new();
        for log in logs.into_iter().filter(|log| log.config().is_compacted() && log.refusal().is_none()) {
            match look(&log, self.shared.now_ms()) {
                Ok(found) => {
                    dirty_bytes += found.dirty_bytes;
                    greatest = greatest.max(found.millionths());
                    if found.is_due(&log.config()) && log.compaction.may_begin(self.shared.monotonic_ms()) {
                        due.push((log, found));
                    }
                }
                Err(error) => {
                    tracing::warn!(topic = %log.topic, partition = log.id.partition, %error, "can't tell what there is to compact")
                }
            }
        }
        self.shared.counters.compaction_dirty_bytes.set(dirty_bytes);
        self.shared.counters.compaction_dirty_millionths.set(u64::from(greatest));
        // The id last, so that the order does not depend on that of a map.
        due.into_iter().max_by_key(|(log, found)| (found.millionths(), found.dirty_bytes, log.id))
    }

    fn compact(&self, log: &Arc<PartitionLog>, found: &Dirtiness) {
        let began = self.shared.env.clock.monotonic();
        let (committer, memory_bytes) = (&*self.committer, self.memory_bytes);
        let pass = Pass { log, committer, memory_bytes, is_stopped: &self.is_stopped };
        let (topic, partition) = (&log.topic, log.id.partition);
        match pass.run() {
            Ok(report) => {
                self.shared.counters.compaction_passes.increment();
                let took_ms = (self.shared.env.clock.monotonic() - began).as_millis() as u64;
                let PassReport {
                    bytes_before,
                    bytes_after,
                    segments_before,
                    segments_after,
                    removed,
                    stretches,
                } = report;
                tracing::info!(
                    %topic, partition, dirty_bytes = found.dirty_bytes, bytes_before, bytes_after, segments_before,
                    segments_after, removed, stretches, took_ms, "compacted"
                );
                if look(log, self.shared.now_ms()).is_ok_and(|after| after == *found) {
                    // Never in circles.
                    log.compaction.rest(self.shared.monotonic_ms());
                } else {
                    log.compaction.note_held();
                }
            }
            Err(error) => {
                log.compaction.rest(self.shared.monotonic_ms());
                if matches!(error, PassError::Stopped) {
                    tracing::debug!(%topic, partition, "a compaction was stopped");
                } else {
                    self.shared.counters.compaction_failures.increment();
                    tracing::warn!(%topic, partition, %error, "a compaction was given up, the log goes on; trying again later");
                }
            }
        }
        self.shared.check_space();
    }
}

//! Which logs wait for the committer, and which for the writer thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::env::rule::Rule;
use crate::log::partition_log::PartitionLog;

/// Logs with un-synced work.
#[derive(Default)]
pub(in crate::log) struct DirtyQueue {
    state: Mutex<Dirty>,
    wake: Condvar,
}

#[derive(Default)]
struct Dirty {
    urgent: Vec<Arc<PartitionLog>>,
    lazy: Vec<Arc<PartitionLog>>,
    is_stopped: bool,
}

/// In which list a log stands, kept with the log so that putting it in costs the same however many wait. Changed only under the
/// queue's lock.
#[derive(Default)]
pub(in crate::log) struct QueuePlace(AtomicU8);

const NOWHERE: u8 = 0;
const LAZY: u8 = 1;
const URGENT: u8 = 2;

impl QueuePlace {
    fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, place: u8) {
        self.0.store(place, Ordering::Relaxed);
    }
}

impl DirtyQueue {
    /// Puts a log in whose appends wait for a sync.
    pub(in crate::log) fn put_urgent(&self, log: &Arc<PartitionLog>) {
        let mut state = self.state.lock();
        if log.place.get() == URGENT {
            return;
        }
        log.place.set(URGENT);
        state.urgent.push(log.clone());
        // WHY: a round takes all that is there, so the committer need only be woken by the first.
        let is_first = state.urgent.len() == 1;
        drop(state);
        if is_first {
            self.wake.notify_one();
        }
    }

    /// Puts a log in whose bytes are to be synced some time later.
    pub(in crate::log) fn put_lazy(&self, log: &Arc<PartitionLog>) {
        let mut state = self.state.lock();
        if log.place.get() != NOWHERE {
            return;
        }
        log.place.set(LAZY);
        state.lazy.push(log.clone());
        let is_first = state.lazy.len() == 1;
        drop(state);
        if is_first {
            self.wake.notify_one();
        }
    }

    /// Takes the urgent logs and the lazy ones for which `is_due` holds.
    pub(in crate::log) fn take(&self, is_due: impl Fn(&PartitionLog) -> bool) -> Vec<Arc<PartitionLog>> {
        let mut state = self.state.lock();
        let mut taken = std::mem::take(&mut state.urgent);
        // A lazy log that became urgent stands among those already.
        let lazy = std::mem::take(&mut state.lazy).into_iter().filter(|log| log.place.get() == LAZY);
        let (due, rest): (Vec<_>, Vec<_>) = lazy.partition(|log| is_due(log));
        state.lazy = rest;
        taken.extend(due);
        taken.iter().for_each(|log| log.place.set(NOWHERE));
        taken
    }

    /// Waits until a log is urgent, for `lazy` at most while any log waits or `is_busy`, else for `idle`. Returns false once stopped.
    pub(in crate::log) fn wait(&self, is_busy: bool, lazy: Duration, idle: Duration) -> bool {
        let mut state = self.state.lock();
        if state.urgent.is_empty() && !state.is_stopped {
            let at_most = if is_busy || !state.lazy.is_empty() { lazy } else { idle };
            self.wake.wait_for(&mut state, at_most);
        }
        !state.is_stopped
    }

    /// Ends the waiting for good.
    pub(in crate::log) fn stop(&self) {
        self.state.lock().is_stopped = true;
        self.wake.notify_all();
    }
}

/// Logs whose inbox the writer thread is to drain, because their disk is slow.
#[derive(Default)]
pub(in crate::log) struct WriterQueue {
    state: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Default)]
struct Waiting {
    logs: Vec<Arc<PartitionLog>>,
    is_running: bool,
    is_stopped: bool,
}

impl Waiting {
    fn enter(&mut self, log: &Arc<PartitionLog>) {
        if !self.logs.iter().any(|other| Arc::ptr_eq(other, log)) {
            self.logs.push(log.clone());
        }
    }
}

impl WriterQueue {
    /// Hands a log over; false when no writer thread runs.
    pub(in crate::log) fn put(&self, log: &Arc<PartitionLog>) -> bool {
        let mut state = self.state.lock();
        if !state.is_running || state.is_stopped {
            return false;
        }
        state.enter(log);
        drop(state);
        self.wake.notify_one();
        true
    }

    /// Takes logs from now on.
    pub(in crate::log) fn begin(&self) {
        self.state.lock().is_running = true;
    }

    /// Drains logs as they come, until stopped.
    pub(in crate::log) fn run(&self) {
        self.begin();
        loop {
            let mut state = self.state.lock();
            while state.logs.is_empty() && !state.is_stopped {
                self.wake.wait(&mut state);
            }
            let logs = std::mem::take(&mut state.logs);
            if logs.is_empty() {
                return;
            }
            drop(state);
            logs.iter().for_each(|log| self.give_turn(log));
        }
    }

    /// Writes some of what waits for one log. WHY not all: a log that many write to may never be empty, and others wait for the same
    /// thread (measured with 0.5 s for each write of such a log: an append to another one took 29 s).
    fn give_turn(&self, log: &Arc<PartitionLog>) {
        if !Rule::TakeTurns.holds() {
            return log.drain();
        }
        if log.drain_some() {
            self.state.lock().enter(log);
        }
    }

    /// Ends [`WriterQueue::run`] once it is empty.
    pub(in crate::log) fn stop(&self) {
        self.state.lock().is_stopped = true;
        self.wake.notify_all();
    }
}

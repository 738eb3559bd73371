//! One bounded cache of open files, which never gives up a descriptor with un-synced bytes behind it.
//!
//! WHY: Linux reports a failed write-back to the descriptors that are open at that time. A file that was written,
//! closed and opened again may so lose the report, and its next sync succeeds over bytes that are gone. So a dirty file
//! is synced before its descriptor goes, and a failed sync stays with the file for good.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::disk::{Disk, DiskError, DiskErrorKind, DiskResult, File, OpenMode};

/// Dirty files that eviction passes over while it looks for a clean one, so that its cost stays bounded.
const DIRTY_PASSED_MAX: usize = 64;

/// A bounded cache of open files. Clones are the same cache.
#[derive(Clone)]
pub struct FileCache {
    shared: Arc<Shared>,
}

struct Shared {
    disk: Arc<dyn Disk>,
    capacity: usize,
    /// Counts uses; the file with the lowest count was used least recently.
    uses: AtomicU64,
    open_count: AtomicUsize,
    /// Open files by a use of theirs. An entry that a later use made stale moves when eviction meets it, so that a use
    /// costs no more than a store. Held for no I/O, and no file's state is locked under it.
    by_use: Mutex<BTreeMap<u64, Weak<Slot>>>,
}

/// What handles of one file share.
struct Slot {
    shared: Arc<Shared>,
    is_writable: bool,
    last_use: AtomicU64,
    /// Counts writes; beyond `SlotState::synced_writes` the file is dirty.
    writes: AtomicU64,
    /// Held over a sync, so that a second one can't succeed while the first finds out that it failed.
    syncing: Mutex<()>,
    state: Mutex<SlotState>,
}

struct SlotState {
    path: PathBuf,
    /// The mode for the next opening: what was made once is only opened afterwards.
    mode: OpenMode,
    file: Option<Arc<dyn File>>,
    /// This file's key in `Shared::by_use` while it is open.
    entry: u64,
    synced_writes: u64,
    poison: Option<DiskError>,
}

impl FileCache {
    /// A cache of files of `disk` that keeps `capacity` of them open. Files in use are not closed, so there can be more
    /// for a while: one for each thread that opens or holds one.
    ///
    /// Panics: `capacity` is 0.
    pub fn new(disk: Arc<dyn Disk>, capacity: usize) -> Self {
        assert!(capacity > 0, "a cache holds a file at least");
        Self {
            shared: Arc::new(Shared {
                disk,
                capacity,
                uses: AtomicU64::new(0),
                open_count: AtomicUsize::new(0),
                by_use: Mutex::new(BTreeMap::new()),
            }),
        }
    }

    /// The disk underneath.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.shared.disk
    }

    /// A handle for a file that is opened at the first use. No I/O. Two handles made for one path know nothing of each
    /// other; clone one instead.
    pub fn file(&self, path: impl Into<PathBuf>, mode: OpenMode) -> CachedFile {
        let state =
            SlotState { path: path.into(), mode, file: None, entry: 0, synced_writes: 0, poison: None };
        CachedFile {
            slot: Arc::new(Slot {
                shared: Arc::clone(&self.shared),
                is_writable: mode != OpenMode::Read,
                last_use: AtomicU64::new(0),
                writes: AtomicU64::new(0),
                syncing: Mutex::new(()),
                state: Mutex::new(state),
            }),
        }
    }

    /// How many files the cache holds open.
    pub fn open_count(&self) -> usize {
        self.shared.open_count.load(Ordering::Relaxed)
    }
}

/// A file that is opened when it is used. Clones are the same file and may be used from any thread.
///
/// Dropping the last handle closes the descriptor without a sync: who wants its bytes durable syncs or closes it.
#[derive(Clone)]
pub struct CachedFile {
    slot: Arc<Slot>,
}

impl CachedFile {
    /// The path under which it would be opened next.
    pub fn path(&self) -> PathBuf {
        self.slot.state.lock().path.clone()
    }

    /// The open file. It is not closed while the caller holds it; after writing, [`Self::mark_dirty`] has to be called
    /// before it is let go. Opens it when need be, which may close another file, and sync that one when none is clean.
    ///
    /// Errors: those of [`Disk::open`]; the one that poisoned this file.
    pub fn get(&self) -> DiskResult<Arc<dyn File>> {
        let slot = &self.slot;
        slot.last_use.store(slot.shared.next_use(), Ordering::Relaxed);
        let mut state = slot.state.lock();
        if let Some(error) = &state.poison {
            return Err(error.clone());
        }
        if let Some(file) = &state.file {
            return Ok(Arc::clone(file));
        }
        let file = slot.shared.open(&state.path, state.mode)?;
        if state.mode == OpenMode::CreateNew {
            state.mode = OpenMode::Write;
        }
        state.file = Some(Arc::clone(&file));
        state.entry = slot.last_use.load(Ordering::Relaxed);
        slot.shared.open_count.fetch_add(1, Ordering::Relaxed);
        slot.shared.by_use.lock().insert(state.entry, Arc::downgrade(slot));
        Ok(file)
    }

    /// Does something with the open file that writes nothing. Errors: those of [`Self::get`] and of `work`.
    pub fn with<T>(&self, work: impl FnOnce(&dyn File) -> DiskResult<T>) -> DiskResult<T> {
        work(&*self.get()?)
    }

    /// Does something with the open file that writes, and marks it dirty, whether or not it succeeded.
    /// Errors: those of [`Self::get`] and of `work`.
    pub fn write<T>(&self, work: impl FnOnce(&dyn File) -> DiskResult<T>) -> DiskResult<T> {
        let file = self.get()?;
        let result = work(&*file);
        self.mark_dirty();
        result
    }

    /// Says that bytes or the length have changed. Does nothing to a file opened for reading.
    pub fn mark_dirty(&self) {
        if self.slot.is_writable {
            self.slot.writes.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Whether there may be un-synced bytes.
    pub fn is_dirty(&self) -> bool {
        self.slot.is_dirty(&self.slot.state.lock())
    }

    /// How many writes there were: to be taken before a sync from outside, for [`Self::note_synced`].
    pub fn write_count(&self) -> u64 {
        self.slot.writes.load(Ordering::Acquire)
    }

    /// Notes that a sync from outside, such as [`Disk::sync_file_system`], covers the first `writes` writes.
    ///
    /// Errors: the one that poisoned this file, perhaps while that sync ran; then nothing is known to be durable.
    pub fn note_synced(&self, writes: u64) -> DiskResult<()> {
        let mut state = self.slot.state.lock();
        if let Some(error) = &state.poison {
            return Err(error.clone());
        }
        state.synced_writes = state.synced_writes.max(writes);
        Ok(())
    }

    /// Makes everything written before this call durable; opens the file when need be. A file written meanwhile stays
    /// dirty. After a failure the file is poisoned: its descriptor goes, and this error is every later answer.
    ///
    /// Errors: those of [`Self::get`] and of [`File::sync_data`].
    pub fn sync(&self) -> DiskResult<()> {
        let _only_one = self.slot.syncing.lock();
        let file = self.get()?;
        let writes = self.write_count();
        match file.sync_data() {
            Ok(()) => self.note_synced(writes),
            Err(error) => {
                self.slot.poison(&mut self.slot.state.lock(), error.clone());
                Err(error)
            }
        }
    }

    /// Makes `error` every later answer, unless there is one already: for a failure found in another way.
    pub fn poison(&self, error: DiskError) {
        self.slot.poison(&mut self.slot.state.lock(), error);
    }

    /// Syncs when dirty, then closes the descriptor; the next use opens it again. False when it stays open, because
    /// somebody holds the file from [`Self::get`] and may be about to write.
    ///
    /// Errors: those of [`Self::sync`].
    pub fn close(&self) -> DiskResult<bool> {
        loop {
            let mut state = self.slot.state.lock();
            if let Some(error) = &state.poison {
                return Err(error.clone());
            }
            if state.file.as_ref().is_some_and(|file| Arc::strong_count(file) > 1) {
                return Ok(false);
            }
            if !self.slot.is_dirty(&state) {
                self.slot.give_up(&mut state);
                return Ok(true);
            }
            drop(state);
            self.sync()?;
        }
    }

    /// Says that the file has another path now, to be used when it is opened next.
    pub fn renamed(&self, path: impl Into<PathBuf>) {
        self.slot.state.lock().path = path.into();
    }
}

impl fmt::Debug for CachedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CachedFile").field(&self.path()).finish()
    }
}

impl Slot {
    fn is_dirty(&self, state: &SlotState) -> bool {
        self.writes.load(Ordering::Acquire) > state.synced_writes
    }

    fn poison(&self, state: &mut SlotState, error: DiskError) {
        self.give_up(state);
        state.poison.get_or_insert(error);
    }

    /// Lets the descriptor go.
    fn give_up(&self, state: &mut SlotState) {
        if state.file.take().is_some() {
            self.shared.open_count.fetch_sub(1, Ordering::Relaxed);
            self.shared.by_use.lock().remove(&state.entry);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if state.file.take().is_some() {
            self.shared.open_count.fetch_sub(1, Ordering::Relaxed);
            self.shared.by_use.lock().remove(&state.entry);
        }
    }
}

/// What eviction found at the entry that it took out.
enum Evicted {
    /// A descriptor was given up.
    Closed,
    /// The entry was stale; where the file is open, it stands in its right place now.
    Stale,
    /// The file is in use.
    Busy,
    /// The file would have to be synced first, and only clean ones were asked for.
    Dirty,
}

impl Shared {
    fn next_use(&self) -> u64 {
        self.uses.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Opens a file after making room for it; when the process has too many files, closes one more and tries again.
    fn open(&self, path: &Path, mode: OpenMode) -> DiskResult<Arc<dyn File>> {
        while self.open_count.load(Ordering::Relaxed) >= self.capacity && self.evict_one() {}
        match self.disk.open(path, mode) {
            Err(error) if error.kind == DiskErrorKind::TooManyFiles && self.evict_one() => {
                self.disk.open(path, mode)
            }
            answer => answer,
        }
    }

    /// Gives up the descriptor of a file that is not in use: of the clean one that was used least recently, unless
    /// [`DIRTY_PASSED_MAX`] dirty ones were used before it; then of the first of those. Says whether there was one.
    ///
    /// WHY: whoever opens a file may be a shard, which a sync would hold up; dirty files are closed by housekeeping.
    /// Cost: a sync when no clean one was found.
    fn evict_one(&self) -> bool {
        let (mut busy, mut dirty) = (Vec::new(), Vec::new());
        let mut is_closed = false;
        while !is_closed && dirty.len() < DIRTY_PASSED_MAX {
            let Some((entry, slot)) = self.by_use.lock().pop_first() else { break };
            match self.evict(entry, &slot, false) {
                Evicted::Closed => is_closed = true,
                Evicted::Stale => {}
                Evicted::Busy => busy.push((entry, slot)),
                Evicted::Dirty => dirty.push((entry, slot)),
            }
        }
        for (entry, slot) in dirty {
            match if is_closed { Evicted::Dirty } else { self.evict(entry, &slot, true) } {
                Evicted::Closed => is_closed = true,
                Evicted::Stale => {}
                Evicted::Busy | Evicted::Dirty => busy.push((entry, slot)),
            }
        }
        self.by_use.lock().extend(busy);
        is_closed
    }

    fn evict(&self, entry: u64, weak: &Weak<Slot>, may_sync: bool) -> Evicted {
        let Some(slot) = weak.upgrade() else { return Evicted::Stale };
        // WHY: not `lock`: its holder may be about to evict the very file for which this thread makes room.
        let Some(mut state) = slot.state.try_lock() else { return Evicted::Busy };
        let Some(file) = &state.file else { return Evicted::Stale };
        if state.entry != entry {
            return Evicted::Stale;
        }
        let last_use = slot.last_use.load(Ordering::Relaxed);
        if last_use > entry {
            state.entry = last_use;
            self.by_use.lock().insert(last_use, weak.clone());
            return Evicted::Stale;
        }
        if Arc::strong_count(file) > 1 {
            return Evicted::Busy;
        }
        if slot.is_dirty(&state) {
            if !may_sync {
                return Evicted::Dirty;
            }
            let writes = slot.writes.load(Ordering::Acquire);
            match file.sync_data() {
                Ok(()) => state.synced_writes = writes,
                Err(error) => slot.poison(&mut state, error),
            }
        }
        slot.give_up(&mut state);
        Evicted::Closed
    }
}

#[cfg(test)]
mod tests;

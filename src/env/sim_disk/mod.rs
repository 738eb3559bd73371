//! The disk's in-memory twin: keeps what [`Disk`] promises and breaks what it does not.
//!
//! A write is split into units at block boundaries; lengths that were set, growth, and changes of names are units
//! too. A unit waits until a sync covers it. A crash keeps any of the waiting units and loses the others, so a test
//! that holds for all choices holds for every order in which a device may write.
//!
//! Reading order: `fault` (what a test may do), `state` (the model), `crash` (what is left), `enumerate` (a scenario
//! cut after each operation).

mod crash;
mod enumerate;
mod fault;
mod file;
mod state;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use self::file::SimFile;
use self::state::{Inode, Place, ROOT, State};
use super::disk::{DirEntry, Disk, DiskError, DiskErrorKind, DiskResult, EntryKind, File, OpenMode, Space};

pub use self::enumerate::{EnumerateOptions, EnumerationReport, Failure, StopKind, StopPoint, enumerate};
pub use self::fault::{Effect, Fault, Ignore, Op, PathTest};
pub use super::disk::OpKind;

/// What [`Space::total_bytes`] says when there is no capacity.
const UNBOUNDED_BYTES: u64 = 1 << 40;

/// Sizes of a [`SimDisk`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SimOptions {
    /// Writes are split at multiples of this; small blocks make small batches tear.
    pub block_bytes: usize,
    /// A torn block ends at a multiple of this.
    pub sector_bytes: usize,
    /// Writes beyond this many bytes of files fail with `Full`.
    pub capacity_bytes: Option<u64>,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self { block_bytes: 4096, sector_bytes: 512, capacity_bytes: None }
    }
}

/// A disk in memory. Clones are the same disk; [`Self::kill`] and [`Self::crash`] make new ones.
///
/// All paths begin at one root folder that is always there; `/a` and `a` are the same.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new(SimOptions::default())
    }
}

impl SimDisk {
    /// An empty disk.
    ///
    /// Panics: block or sector size is 0.
    pub fn new(options: SimOptions) -> Self {
        assert!(options.block_bytes > 0 && options.sector_bytes > 0, "sizes are above 0");
        Self::from_state(State::new(options))
    }

    fn from_state(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Plans a fault. Of several that fit a call, the one planned first meets it.
    pub fn fail(&self, fault: Fault) {
        self.state.lock().faults.push(fault);
    }

    /// Forgets all planned faults.
    pub fn clear_faults(&self) {
        self.state.lock().faults.clear();
    }

    /// Takes a rule out from now on, also after a crash: matching syncs answer `Ok` and do nothing.
    pub fn ignore(&self, rule: Ignore, path: impl Fn(&Path) -> bool + Send + Sync + 'static) {
        self.state.lock().ignored.push((rule, Arc::new(path)));
    }

    /// Ends the process before its changing call number `number`: that call and all later ones fail with `stopped`.
    pub fn stop_at(&self, number: u64) {
        self.state.lock().stop_at = Some(number);
    }

    /// How many changing calls there were, failed ones included.
    pub fn op_count(&self) -> u64 {
        self.state.lock().op_count
    }

    /// All changing calls so far.
    pub fn trace(&self) -> Vec<Op> {
        self.state.lock().trace.clone()
    }

    /// Sets the time that changed files and folders get, in ms since 1970.
    pub fn set_now_ms(&self, now_ms: i64) {
        self.state.lock().now_ms = now_ms;
    }

    /// Sets how many bytes fit; `None` is no bound.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().options.capacity_bytes = bytes;
    }

    /// Flips one bit at rest, for readers and on the device. Errors: no such file, or it is shorter.
    pub fn flip_bit(&self, path: &Path, byte: u64, bit: u8) -> DiskResult<()> {
        let mut state = self.state.lock();
        let inode = state.find_file(OpKind::Look, path)?;
        let body = state.file(inode);
        let mut flipped = false;
        for held in [&mut body.current, &mut body.durable] {
            if let Some(byte) = Arc::make_mut(held).get_mut(byte as usize) {
                *byte ^= 1 << (bit % 8);
                flipped = true;
            }
        }
        flipped |= state.flip_pending(inode, byte, bit);
        if flipped { Ok(()) } else { Err(OpKind::Look.error(path, DiskErrorKind::Io, "file is shorter")) }
    }

    /// Makes a range of a file unreadable for good: reads stop before it, and fail inside it. Errors: no such file.
    pub fn break_range(&self, path: &Path, range: Range<u64>) -> DiskResult<()> {
        let mut state = self.state.lock();
        let inode = state.find_file(OpKind::Look, path)?;
        state.file(inode).unreadable.push(range);
        Ok(())
    }

    /// What a reader sees of a file, or `None` without one. Meets no faults.
    pub fn current_bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state.lock();
        let inode = state.find_file(OpKind::Look, path).ok()?;
        Some(state.files[&inode].current.to_vec())
    }

    /// What the device holds of the file that readers find under this path, whether or not its name is durable.
    pub fn durable_bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state.lock();
        let inode = state.find_file(OpKind::Look, path).ok()?;
        Some(state.files[&inode].durable.to_vec())
    }

    fn open_existing(&self, path: &Path, mode: OpenMode) -> DiskResult<Inode> {
        let mut state = self.state.lock();
        state.enter(OpKind::Open, path)?;
        let inode = state.find_file(OpKind::Open, path)?;
        debug_assert!(mode != OpenMode::CreateNew, "made elsewhere");
        state.file(inode).opens += 1;
        Ok(inode)
    }

    fn create(&self, path: &Path) -> DiskResult<Inode> {
        let mut state = self.state.lock();
        state.enter_change(op(OpKind::Create, path))?;
        let place = state.free_place(OpKind::Create, path)?;
        let inode = state.make(place, false);
        state.file(inode).opens += 1;
        Ok(inode)
    }
}

/// A call on a path without further numbers.
fn op(kind: OpKind, path: &Path) -> Op {
    Op { number: 0, kind, path: path.to_owned(), to: None, position: 0, len: 0, effect: None }
}

fn entry(state: &State, name: &str, inode: Inode) -> DirEntry {
    let (kind, len, modified_ms) = match (state.files.get(&inode), state.dirs.get(&inode)) {
        (Some(file), _) => (EntryKind::File, file.current.len() as u64, file.modified_ms),
        (None, dir) => (EntryKind::Dir, 0, dir.map_or(0, |dir| dir.modified_ms)),
    };
    DirEntry { name: name.to_owned(), kind, len, modified_ms }
}

impl State {
    /// A place under which nothing stands.
    fn free_place(&self, kind: OpKind, path: &Path) -> DiskResult<Place> {
        match self.place(kind, path)? {
            Some(place) if self.at(&place).is_none() => Ok(place),
            _ => Err(kind.error(path, DiskErrorKind::Exists, "file exists")),
        }
    }

    /// Whether what stands at the target may make room for what is renamed there.
    fn check_replaced(&self, inode: Inode, target: &Place, path: &Path) -> DiskResult<()> {
        let error = |detail| Err(OpKind::Rename.error(path, DiskErrorKind::Io, detail));
        let Some(old) = self.at(target) else { return Ok(()) };
        match (self.dirs.contains_key(&inode), self.dirs.get(&old)) {
            (false, None) => Ok(()),
            (false, Some(_)) => error("is a directory"),
            (true, None) => error("not a directory"),
            (true, Some(dir)) if dir.current.is_empty() => Ok(()),
            (true, Some(_)) => Err(OpKind::Rename.error(path, DiskErrorKind::Exists, "directory not empty")),
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> DiskResult<Arc<dyn File>> {
        let inode = match mode {
            OpenMode::CreateNew => self.create(path)?,
            OpenMode::Read | OpenMode::Write => self.open_existing(path, mode)?,
        };
        Ok(Arc::new(SimFile {
            state: Arc::clone(&self.state),
            inode,
            path: path.to_owned(),
            is_writable: mode != OpenMode::Read,
        }))
    }

    fn create_dir(&self, path: &Path) -> DiskResult<()> {
        let mut state = self.state.lock();
        state.enter_change(op(OpKind::CreateDir, path))?;
        let place = state.free_place(OpKind::CreateDir, path)?;
        state.make(place, true);
        Ok(())
    }

    fn list(&self, path: &Path) -> DiskResult<Vec<DirEntry>> {
        let mut state = self.state.lock();
        state.enter(OpKind::Look, path)?;
        let dir = state.find_dir(OpKind::Look, path)?;
        Ok(state.dirs[&dir].current.iter().map(|(name, inode)| entry(&state, name, *inode)).collect())
    }

    fn stat(&self, path: &Path) -> DiskResult<Option<DirEntry>> {
        let mut state = self.state.lock();
        state.enter(OpKind::Look, path)?;
        match state.place(OpKind::Look, path) {
            Ok(None) => Ok(Some(entry(&state, "", ROOT))),
            Ok(Some(place)) => Ok(state.at(&place).map(|inode| entry(&state, &place.1, inode))),
            Err(error) if error.kind == DiskErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> DiskResult<()> {
        let mut state = self.state.lock();
        state.enter_change(Op { to: Some(to.to_owned()), ..op(OpKind::Rename, from) })?;
        let inode = state.find(OpKind::Rename, from)?;
        let source = state.named_place(OpKind::Rename, from)?;
        let target = state.named_place(OpKind::Rename, to)?;
        if source == target {
            return Ok(());
        }
        if state.dirs.contains_key(&inode) && to.starts_with(from) {
            return Err(OpKind::Rename.error(to, DiskErrorKind::Io, "folder can't move into itself"));
        }
        state.check_replaced(inode, &target, to)?;
        state.change_name(inode, Some(source), Some(target));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> DiskResult<()> {
        let mut state = self.state.lock();
        state.enter_change(op(OpKind::RemoveFile, path))?;
        let inode = state.find_file(OpKind::RemoveFile, path)?;
        let place = state.named_place(OpKind::RemoveFile, path)?;
        state.change_name(inode, Some(place), None);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> DiskResult<()> {
        let mut state = self.state.lock();
        state.enter_change(op(OpKind::RemoveDir, path))?;
        let inode = state.find_dir(OpKind::RemoveDir, path)?;
        let place = state.named_place(OpKind::RemoveDir, path)?;
        if !state.dirs[&inode].current.is_empty() {
            return Err(OpKind::RemoveDir.error(path, DiskErrorKind::Io, "directory not empty"));
        }
        state.change_name(inode, Some(place), None);
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> DiskResult<()> {
        let mut state = self.state.lock();
        let effect = state.enter_change(op(OpKind::SyncDir, path))?;
        let dir = state.find_dir(OpKind::SyncDir, path)?;
        if effect == Some(Effect::LoseSync) {
            return Err(OpKind::SyncDir.error(path, DiskErrorKind::Io, "input/output error (planned)"));
        }
        if !state.is_ignored(OpKind::SyncDir, path) {
            state.sync_names(dir);
        }
        Ok(())
    }

    fn sync_file_system(&self, path: &Path) -> DiskResult<()> {
        let mut state = self.state.lock();
        let effect = state.enter_change(op(OpKind::SyncFileSystem, path))?;
        state.find(OpKind::SyncFileSystem, path)?;
        if effect == Some(Effect::LoseSync) {
            state.lose_file_units();
            return Err(OpKind::SyncFileSystem.error(
                path,
                DiskErrorKind::Io,
                "input/output error (planned)",
            ));
        }
        if !state.is_ignored(OpKind::SyncFileSystem, path) {
            state.sync_all();
        }
        Ok(())
    }

    fn space(&self, path: &Path) -> DiskResult<Space> {
        let mut state = self.state.lock();
        state.enter(OpKind::Space, path)?;
        state.find(OpKind::Space, path)?;
        let total_bytes = state.options.capacity_bytes.unwrap_or(UNBOUNDED_BYTES);
        Ok(Space { total_bytes, free_bytes: total_bytes.saturating_sub(state.used_bytes()) })
    }

    fn lock_dir(&self, path: &Path) -> DiskResult<Option<Box<dyn Send + Sync>>> {
        let mut state = self.state.lock();
        state.enter(OpKind::Lock, path)?;
        let inode = state.find(OpKind::Lock, path)?;
        if state.locks.contains_key(&inode) {
            return Ok(None);
        }
        state.locks.insert(inode, String::new());
        Ok(Some(Box::new(SimLock { state: Arc::clone(&self.state), inode })))
    }

    fn is_locked(&self, path: &Path) -> DiskResult<bool> {
        let mut state = self.state.lock();
        state.enter(OpKind::Look, path)?;
        let inode = state.find(OpKind::Look, path).ok();
        Ok(inode.is_some_and(|inode| state.locks.contains_key(&inode)))
    }

    fn lock(&self, path: &Path, owner: &str) -> Result<Box<dyn Send + Sync>, Result<String, DiskError>> {
        let mut state = self.state.lock();
        state.enter_change(op(OpKind::Lock, path)).map_err(Err)?;
        let place = state.named_place(OpKind::Lock, path).map_err(Err)?;
        let inode = match state.at(&place) {
            Some(_) => state.find_file(OpKind::Lock, path).map_err(Err)?,
            None => state.make(place, false),
        };
        if let Some(holder) = state.locks.get(&inode) {
            return Err(Ok(holder.clone()));
        }
        state.locks.insert(inode, owner.to_owned());
        state.set_len(inode, 0);
        state.write(inode, 0, owner.as_bytes());
        Ok(Box::new(SimLock { state: Arc::clone(&self.state), inode }))
    }
}

/// A held lock.
struct SimLock {
    state: Arc<Mutex<State>>,
    inode: Inode,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.state.lock().locks.remove(&self.inode);
    }
}

/// The paths of a trace, one line each; for messages of failed tests.
pub fn print_trace(trace: &[Op]) -> String {
    trace.iter().map(|op| format!("{op}\n")).collect()
}

/// A test for [`Fault::on`] and [`SimDisk::ignore`]: the path ends with `end`.
pub fn ends_with(end: &str) -> impl Fn(&Path) -> bool + Send + Sync + 'static {
    let end = PathBuf::from(end);
    move |path: &Path| path.ends_with(&end) || path.to_string_lossy().ends_with(&*end.to_string_lossy())
}

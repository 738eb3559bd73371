//! What a [`super::SimDisk`] holds: what a reader sees, what the device holds, and the units that lie between.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Component, Path};
use std::sync::Arc;

use super::OpKind;
use super::SimOptions;
use super::fault::{Effect, Fault, Ignore, Op, PathTest};
use crate::env::disk::{DiskError, DiskErrorKind, DiskResult};

/// A file or folder apart from its name.
pub(super) type Inode = u64;

/// The folder that is always there.
pub(super) const ROOT: Inode = 0;

type Names = BTreeMap<String, Inode>;

/// The bytes of one file.
#[derive(Clone, Default)]
pub(super) struct FileBody {
    /// What a reader sees.
    pub(super) current: Arc<Vec<u8>>,
    /// What the device holds.
    pub(super) durable: Arc<Vec<u8>>,
    /// Ranges that can't be read.
    pub(super) unreadable: Vec<Range<u64>>,
    pub(super) modified_ms: i64,
    /// How many descriptors are open.
    pub(super) opens: usize,
}

/// The names in one folder.
#[derive(Clone, Default)]
pub(super) struct DirBody {
    pub(super) current: Names,
    pub(super) durable: Names,
    pub(super) modified_ms: i64,
}

/// A name: its folder and its last part.
pub(super) type Place = (Inode, String);

/// A change of names: `added` alone makes, `removed` alone removes, both rename.
#[derive(Clone, Debug)]
pub(super) struct NameChange {
    pub(super) inode: Inode,
    pub(super) removed: Option<Place>,
    pub(super) added: Option<Place>,
    /// The one of two folders that was synced already.
    pub(super) half_synced: Option<Inode>,
}

impl NameChange {
    fn places(&self) -> impl Iterator<Item = &Place> {
        self.removed.iter().chain(&self.added)
    }

    /// Whether a sync of `dir` leaves nothing of this change to be synced.
    fn completed_by(&self, dir: Inode) -> bool {
        self.places().any(|place| place.0 == dir)
            && self.places().all(|place| place.0 == dir || Some(place.0) == self.half_synced)
    }
}

/// The smallest thing that a crash keeps or loses.
#[derive(Clone, Debug)]
pub(super) enum Unit {
    /// Bytes within one block of a file.
    Block { file: Inode, position: u64, bytes: Arc<[u8]> },
    /// A file's length after writes past its end.
    Grow { file: Inode, len: u64 },
    /// A length that was set.
    SetLen { file: Inode, len: u64 },
    /// A change of names.
    Name(NameChange),
}

impl Unit {
    fn file(&self) -> Option<Inode> {
        match self {
            Self::Block { file, .. } | Self::Grow { file, .. } | Self::SetLen { file, .. } => Some(*file),
            Self::Name(_) => None,
        }
    }
}

/// Everything behind the lock of a [`super::SimDisk`].
#[derive(Clone)]
pub(super) struct State {
    pub(super) options: SimOptions,
    pub(super) files: BTreeMap<Inode, FileBody>,
    pub(super) dirs: BTreeMap<Inode, DirBody>,
    pub(super) next_inode: Inode,
    /// Un-synced units in the order in which they were made.
    pub(super) pending: Vec<Unit>,
    pub(super) now_ms: i64,
    pub(super) op_count: u64,
    pub(super) stop_at: Option<u64>,
    pub(super) stopped: bool,
    pub(super) trace: Vec<Op>,
    pub(super) faults: Vec<Fault>,
    pub(super) ignored: Vec<(Ignore, PathTest)>,
    pub(super) locks: BTreeMap<Inode, String>,
}

impl State {
    pub(super) fn new(options: SimOptions) -> Self {
        Self {
            options,
            files: BTreeMap::new(),
            dirs: BTreeMap::from([(ROOT, DirBody::default())]),
            next_inode: ROOT + 1,
            pending: Vec::new(),
            now_ms: 0,
            op_count: 0,
            stop_at: None,
            stopped: false,
            trace: Vec::new(),
            faults: Vec::new(),
            ignored: Vec::new(),
            locks: BTreeMap::new(),
        }
    }

    /// Begins a call that changes nothing: finds out whether it fails or bends.
    pub(super) fn enter(&mut self, kind: OpKind, path: &Path) -> DiskResult<Option<Effect>> {
        if self.stopped {
            return Err(stopped(kind, path));
        }
        self.meet_faults(None, kind, path)
    }

    /// Begins a call that changes the disk: numbers it, writes it into the trace, and finds out the same.
    pub(super) fn enter_change(&mut self, mut op: Op) -> DiskResult<Option<Effect>> {
        debug_assert!(op.kind.changes(), "only changing calls are numbered");
        if self.stopped || self.stop_at.is_some_and(|stop| self.op_count >= stop) {
            self.stopped = true;
            return Err(stopped(op.kind, &op.path));
        }
        op.number = self.op_count;
        self.op_count += 1;
        let met = self.find_effect(Some(op.number), op.kind, &op.path);
        let (kind, path) = (op.kind, op.path.clone());
        op.effect = met;
        self.trace.push(op);
        match met.and_then(|effect| effect.error(kind, &path)) {
            Some(error) => Err(error),
            None => Ok(met),
        }
    }

    fn meet_faults(&mut self, number: Option<u64>, kind: OpKind, path: &Path) -> DiskResult<Option<Effect>> {
        let met = self.find_effect(number, kind, path);
        match met.and_then(|effect| effect.error(kind, path)) {
            Some(error) => Err(error),
            None => Ok(met),
        }
    }

    fn find_effect(&mut self, number: Option<u64>, kind: OpKind, path: &Path) -> Option<Effect> {
        self.faults.iter_mut().find_map(|fault| fault.meet(number, kind, path))
    }

    pub(super) fn is_ignored(&self, kind: OpKind, path: &Path) -> bool {
        self.ignored.iter().any(|(rule, test)| rule.fits(kind) && test(path))
    }

    /// Walks to the folder of `path`; `None` in place of a name is the root itself.
    pub(super) fn place(&self, kind: OpKind, path: &Path) -> DiskResult<Option<Place>> {
        let mut names = Vec::new();
        for part in path.components() {
            match part {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(name) => names.push(name.to_string_lossy().into_owned()),
                _ => return Err(kind.error(path, DiskErrorKind::Io, "path goes upward")),
            }
        }
        let Some(last) = names.pop() else { return Ok(None) };
        let mut dir = ROOT;
        for name in names {
            let next = self.dirs[&dir].current.get(&name).copied().ok_or_else(|| missing(kind, path))?;
            if !self.dirs.contains_key(&next) {
                return Err(kind.error(path, DiskErrorKind::Io, "not a directory"));
            }
            dir = next;
        }
        Ok(Some((dir, last)))
    }

    /// The same for calls that make or remove a name: the root has none.
    pub(super) fn named_place(&self, kind: OpKind, path: &Path) -> DiskResult<Place> {
        self.place(kind, path)?.ok_or_else(|| kind.error(path, DiskErrorKind::Io, "is the root folder"))
    }

    /// What stands at a place.
    pub(super) fn at(&self, place: &Place) -> Option<Inode> {
        self.dirs[&place.0].current.get(&place.1).copied()
    }

    /// The file or folder under `path`.
    pub(super) fn find(&self, kind: OpKind, path: &Path) -> DiskResult<Inode> {
        match self.place(kind, path)? {
            None => Ok(ROOT),
            Some(place) => self.at(&place).ok_or_else(|| missing(kind, path)),
        }
    }

    /// The file under `path`.
    pub(super) fn find_file(&self, kind: OpKind, path: &Path) -> DiskResult<Inode> {
        let inode = self.find(kind, path)?;
        if self.files.contains_key(&inode) {
            Ok(inode)
        } else {
            Err(kind.error(path, DiskErrorKind::Io, "is a directory"))
        }
    }

    /// The folder under `path`.
    pub(super) fn find_dir(&self, kind: OpKind, path: &Path) -> DiskResult<Inode> {
        let inode = self.find(kind, path)?;
        if self.dirs.contains_key(&inode) {
            Ok(inode)
        } else {
            Err(kind.error(path, DiskErrorKind::Io, "not a directory"))
        }
    }

    pub(super) fn file(&mut self, inode: Inode) -> &mut FileBody {
        self.files.get_mut(&inode).expect("a file lives as long as a name or descriptor")
    }

    /// Makes a file or folder at a place that is free.
    pub(super) fn make(&mut self, place: Place, is_dir: bool) -> Inode {
        let inode = self.next_inode;
        self.next_inode += 1;
        let modified_ms = self.now_ms;
        if is_dir {
            self.dirs.insert(inode, DirBody { modified_ms, ..DirBody::default() });
        } else {
            self.files.insert(inode, FileBody { modified_ms, ..FileBody::default() });
        }
        self.change_name(inode, None, Some(place));
        inode
    }

    /// Changes a name as a reader sees it; the device learns of it by a sync.
    pub(super) fn change_name(&mut self, inode: Inode, removed: Option<Place>, added: Option<Place>) {
        for (place, is_added) in
            removed.iter().map(|place| (place, false)).chain(added.iter().map(|place| (place, true)))
        {
            let now_ms = self.now_ms;
            let dir = self.dirs.get_mut(&place.0).expect("places are made by walking folders that exist");
            dir.modified_ms = now_ms;
            if is_added {
                dir.current.insert(place.1.clone(), inode);
            } else {
                dir.current.remove(&place.1);
            }
        }
        self.pending.push(Unit::Name(NameChange { inode, removed, added, half_synced: None }));
    }

    /// Writes as a reader sees it, and splits what the device has to learn at block boundaries.
    pub(super) fn write(&mut self, file: Inode, position: u64, bytes: &[u8]) {
        let (block, now_ms) = (self.options.block_bytes as u64, self.now_ms);
        let body = self.file(file);
        body.modified_ms = now_ms;
        let grown = overwrite(Arc::make_mut(&mut body.current), position, bytes);
        let mut at = 0;
        while at < bytes.len() {
            let start = position + at as u64;
            let end = bytes.len().min(at + (block - start % block) as usize);
            self.pending.push(Unit::Block { file, position: start, bytes: bytes[at..end].into() });
            at = end;
        }
        if grown {
            self.push_grow(file);
        }
    }

    /// One pending growth per file is enough, since each kept block grows the file up to its own end.
    fn push_grow(&mut self, file: Inode) {
        let len = self.file(file).current.len() as u64;
        let last = self.pending.iter().rposition(|unit| {
            unit.file() == Some(file) && matches!(unit, Unit::Grow { .. } | Unit::SetLen { .. })
        });
        if let Some(index) = last
            && matches!(self.pending[index], Unit::Grow { .. })
        {
            self.pending.remove(index);
        }
        self.pending.push(Unit::Grow { file, len });
    }

    /// Cuts or extends as a reader sees it.
    pub(super) fn set_len(&mut self, file: Inode, len: u64) {
        let now_ms = self.now_ms;
        let body = self.file(file);
        body.modified_ms = now_ms;
        Arc::make_mut(&mut body.current).resize(len as usize, 0);
        self.pending.push(Unit::SetLen { file, len });
    }

    /// Flips a bit in the pending units that hold the byte. Returns whether any does.
    pub(super) fn flip_pending(&mut self, inode: Inode, byte: u64, bit: u8) -> bool {
        let mut flipped = false;
        for unit in &mut self.pending {
            let Unit::Block { file, position, bytes } = unit else { continue };
            let within = byte.checked_sub(*position).filter(|_| *file == inode);
            let Some(within) = within.filter(|within| (*within as usize) < bytes.len()) else { continue };
            let mut changed = bytes.to_vec();
            changed[within as usize] ^= 1 << (bit % 8);
            *bytes = changed.into();
            flipped = true;
        }
        flipped
    }

    /// Makes all pending units of a file durable; its names stay as they are.
    pub(super) fn sync_file(&mut self, file: Inode) {
        let units = self.take_units_of(file);
        let held = Arc::make_mut(&mut self.file(file).durable);
        units.iter().for_each(|unit| apply_to(unit, held));
    }

    /// Takes a file's pending units out: the device will never learn of them.
    pub(super) fn take_units_of(&mut self, file: Inode) -> Vec<Unit> {
        let (taken, kept) =
            std::mem::take(&mut self.pending).into_iter().partition(|unit| unit.file() == Some(file));
        self.pending = kept;
        taken
    }

    /// The same for all files: what is left are changes of names.
    pub(super) fn lose_file_units(&mut self) {
        self.pending.retain(|unit| unit.file().is_none());
    }

    /// Makes the changes of names in a folder durable. A rename across two folders waits for both, unless a later
    /// change that is made durable builds on it.
    pub(super) fn sync_names(&mut self, dir: Inode) {
        let mut touched = BTreeSet::new();
        let mut complete = vec![false; self.pending.len()];
        for (index, unit) in self.pending.iter().enumerate().rev() {
            let Unit::Name(change) = unit else { continue };
            if change.completed_by(dir) || change.places().any(|place| touched.contains(place)) {
                touched.extend(change.places().cloned());
                complete[index] = true;
            }
        }
        for (unit, complete) in std::mem::take(&mut self.pending).into_iter().zip(complete) {
            match unit {
                unit if complete => self.apply(&unit),
                Unit::Name(mut change) if change.places().any(|place| place.0 == dir) => {
                    change.half_synced = Some(dir);
                    self.pending.push(Unit::Name(change));
                }
                unit => self.pending.push(unit),
            }
        }
        self.forget_removed();
    }

    /// Drops waiting units of files that nothing can bring back, so that they don't multiply crash states.
    fn forget_removed(&mut self) {
        let mut named: BTreeSet<Inode> = BTreeSet::new();
        for dir in self.dirs.values() {
            named.extend(dir.current.values().chain(dir.durable.values()));
        }
        named.extend(self.pending.iter().filter_map(|unit| match unit {
            Unit::Name(change) => Some(change.inode),
            _ => None,
        }));
        let files = &self.files;
        self.pending
            .retain(|unit| unit.file().is_none_or(|file| named.contains(&file) || files[&file].opens > 0));
    }

    /// Makes everything durable.
    pub(super) fn sync_all(&mut self) {
        for unit in std::mem::take(&mut self.pending) {
            self.apply(&unit);
        }
    }

    /// Carries one unit to the device.
    pub(super) fn apply(&mut self, unit: &Unit) {
        match unit {
            Unit::Name(change) => self.apply_name(change),
            Unit::Block { file, .. } | Unit::Grow { file, .. } | Unit::SetLen { file, .. } => {
                let body = self.file(*file);
                apply_to(unit, Arc::make_mut(&mut body.durable));
            }
        }
    }

    fn apply_name(&mut self, change: &NameChange) {
        if change.removed.is_some() {
            // WHY: a crash may keep the second of two renames and lose the first; the thing still has one name.
            for dir in self.dirs.values_mut() {
                dir.durable.retain(|_, inode| *inode != change.inode);
            }
        }
        if let Some((dir, name)) = &change.added {
            let dir = self.dirs.get_mut(dir).expect("folders stay until a crash");
            dir.durable.insert(name.clone(), change.inode);
        }
    }

    /// Shows readers what the device holds in a range, with what still waits for it.
    pub(super) fn reload(&mut self, file: Inode, range: Range<u64>) {
        let mut held = self.file(file).durable.to_vec();
        for unit in self.pending.iter().filter(|unit| unit.file() == Some(file)) {
            apply_to(unit, &mut held);
        }
        let current = Arc::make_mut(&mut self.file(file).current);
        held.resize(current.len(), 0);
        let end = range.end.min(current.len() as u64) as usize;
        let start = (range.start as usize).min(end);
        current[start..end].copy_from_slice(&held[start..end]);
    }

    /// Bytes in use: all files that have a name or are open.
    pub(super) fn used_bytes(&self) -> u64 {
        let named: BTreeSet<Inode> = self.reachable(|dir| &dir.current);
        let counted = self.files.iter().filter(|(inode, body)| body.opens > 0 || named.contains(inode));
        counted.map(|(_, body)| body.current.len() as u64).sum()
    }

    /// Free bytes, without bound when there is no capacity.
    pub(super) fn free_bytes(&self) -> u64 {
        self.options.capacity_bytes.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used_bytes()))
    }

    /// Everything that a walk from the root finds.
    pub(super) fn reachable(&self, names: impl Fn(&DirBody) -> &Names) -> BTreeSet<Inode> {
        let mut found = BTreeSet::from([ROOT]);
        let mut open = vec![ROOT];
        while let Some(next) = open.pop() {
            let Some(dir) = self.dirs.get(&next) else { continue };
            open.extend(names(dir).values().filter(|inode| found.insert(**inode)));
        }
        found
    }

    /// The state of a process that begins anew on this disk: no descriptors, locks, faults, trace or stop.
    pub(super) fn restarted(&self) -> Self {
        let mut next = Self {
            op_count: 0,
            stop_at: None,
            stopped: false,
            trace: Vec::new(),
            faults: Vec::new(),
            locks: BTreeMap::new(),
            ..self.clone()
        };
        next.files.values_mut().for_each(|body| body.opens = 0);
        next
    }
}

/// Writes into `held`, extending it with zeros; says whether it grew.
fn overwrite(held: &mut Vec<u8>, position: u64, bytes: &[u8]) -> bool {
    let start = position as usize;
    let end = start + bytes.len();
    let grows = end > held.len();
    if grows {
        held.resize(end, 0);
    }
    held[start..end].copy_from_slice(bytes);
    grows
}

fn apply_to(unit: &Unit, held: &mut Vec<u8>) {
    match unit {
        Unit::Block { position, bytes, .. } => {
            overwrite(held, *position, bytes);
        }
        Unit::Grow { len, .. } => held.resize(held.len().max(*len as usize), 0),
        Unit::SetLen { len, .. } => held.resize(*len as usize, 0),
        Unit::Name(_) => {}
    }
}

fn stopped(kind: OpKind, path: &Path) -> DiskError {
    kind.error(path, DiskErrorKind::Io, "stopped")
}

fn missing(kind: OpKind, path: &Path) -> DiskError {
    kind.error(path, DiskErrorKind::NotFound, "no such file or directory")
}

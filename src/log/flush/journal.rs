//! The flush journal: how far each log of a data directory is durable.
//!
//! One preallocated file, `flush-journal`, of two halves. A half is a run of slots of 64 bytes, big-endian:
//!
//! | at | bytes | field |
//! |---:|---:|---|
//! | 0 | 4 | CRC-32 of bytes 4 to 63 |
//! | 4 | 1 | kind: 1 half begins, 2 point, 3 started, 4 clean point, 5 clean, 6 forgotten |
//! | 5 | 3 | zero |
//! | 8 | 4 | generation of the half |
//! | 12 | 4 | number of the slot in its half |
//! | 16 | 4 | kind 4: CRC-32 of the log bytes behind its last index entry; else slots of this half known to be synced |
//! | 20 | 16 | topic id |
//! | 36 | 4 | partition |
//! | 40 | 8 | base offset of the segment (kind 1: number of points that follow as the half's beginning) |
//! | 48 | 8 | byte position in it up to which the log is durable |
//! | 56 | 8 | flushed offset |
//!
//! A half begins with the point of every log. When it is full the other half is begun, with the next generation, and synced
//! before it counts. The committer writes the points of a round before any acknowledgement (exact after a killed
//! process); the journal itself is synced every second, at each roll and at stop. `clean` is its last slot after a stop in which every
//! flush held; `started` is durable before the first append. A bad slot below the number known to be synced is damage; one
//! above it is what a power cut left, and the good slots around it still hold, since points only rise. A file whose sync failed
//! is never synced again: all points go into a new file, which takes the name.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::{BytePosition, Offset, TopicId, TopicPartition};
use crate::env::disk::{
    DiskErrorKind, DiskResult, OpKind, OpenMode, read_full_at, remove_if_there, write_full_at,
};
use crate::env::rule::Rule;
use crate::env::{Disk, DiskError, File};

/// Bytes of a slot.
pub const SLOT_BYTES: usize = 64;
/// Slots of a half at least.
const HALF_SLOTS_MIN: u32 = 512;

/// How far a log is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DurablePoint {
    /// Segment in which the point lies.
    pub segment_base: Offset,
    /// Bytes of it that are durable.
    pub position: BytePosition,
    /// Offset below which everything is durable.
    pub flushed: Offset,
    /// After a clean stop: CRC-32 of the bytes behind the last index entry.
    pub clean_crc: Option<u32>,
}

/// How the last run ended, as far as the journal tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastRun {
    /// There is no journal.
    Missing,
    /// There is one that is damaged; it names no points, so that nothing is called torn.
    Damaged,
    /// Killed or cut: points are exact, or at most a second old after a power cut.
    Unclean,
    /// Stopped with everything flushed.
    Clean,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    HalfBegins = 1,
    Point = 2,
    Started = 3,
    CleanPoint = 4,
    Clean = 5,
    Forgotten = 6,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    kind: Kind,
    generation: u32,
    number: u32,
    extra: u32,
    log: TopicPartition,
    segment_base: i64,
    position: u64,
    flushed: i64,
}

const NO_LOG: TopicPartition = TopicPartition { topic_id: TopicId([0; 16]), partition: -1 };

impl Slot {
    fn write(&self) -> [u8; SLOT_BYTES] {
        let mut bytes = [0u8; SLOT_BYTES];
        bytes[4] = self.kind as u8;
        bytes[8..12].copy_from_slice(&self.generation.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.number.to_be_bytes());
        bytes[16..20].copy_from_slice(&self.extra.to_be_bytes());
        bytes[20..36].copy_from_slice(&self.log.topic_id.0);
        bytes[36..40].copy_from_slice(&self.log.partition.to_be_bytes());
        bytes[40..48].copy_from_slice(&self.segment_base.to_be_bytes());
        bytes[48..56].copy_from_slice(&self.position.to_be_bytes());
        bytes[56..64].copy_from_slice(&self.flushed.to_be_bytes());
        let crc = crc32fast::hash(&bytes[4..]);
        bytes[0..4].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let word =
            |at: usize| -> Option<u32> { Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?)) };
        let long =
            |at: usize| -> Option<i64> { Some(i64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?)) };
        // The kind first: most slots were never written, and cost no checksum then.
        let kind = match *bytes.get(4)? {
            1 => Kind::HalfBegins,
            2 => Kind::Point,
            3 => Kind::Started,
            4 => Kind::CleanPoint,
            5 => Kind::Clean,
            6 => Kind::Forgotten,
            _ => return None,
        };
        if word(0)? != crc32fast::hash(bytes.get(4..SLOT_BYTES)?) && Rule::CheckJournal.holds() {
            return None;
        }
        Some(Self {
            kind,
            generation: word(8)?,
            number: word(12)?,
            extra: word(16)?,
            log: TopicPartition {
                topic_id: TopicId::from_slice(&bytes[20..36])?,
                partition: word(36)? as i32,
            },
            segment_base: long(40)?,
            position: long(48)? as u64,
            flushed: long(56)?,
        })
    }
}

/// What a journal file said when it was read.
#[derive(Debug)]
struct Loaded {
    last_run: LastRun,
    points: HashMap<TopicPartition, DurablePoint>,
    generation: u32,
    /// In which half of the file it was found.
    half: Option<u32>,
}

/// What a journal says of all logs, for one who only looks.
#[derive(Clone, Debug)]
pub struct Points(HashMap<TopicPartition, DurablePoint>);

impl Points {
    /// Reads the journal at `path`; one that is missing or damaged says nothing of any log.
    ///
    /// Errors: the disk refuses it.
    pub fn read(disk: &dyn Disk, path: &Path) -> DiskResult<Self> {
        Ok(Self(load(disk, path)?.points))
    }

    /// Of a folder that no journal belongs to.
    pub fn unknown() -> Self {
        Self(HashMap::new())
    }

    /// How far a log is durable; `None` when nothing says so.
    pub fn of(&self, log: &TopicPartition) -> Option<DurablePoint> {
        self.0.get(log).copied()
    }
}

/// The open journal.
pub struct Journal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Arc<dyn File>,
    half_slots: u32,
    half: u32,
    generation: u32,
    next_slot: u32,
    synced_slots: u32,
    is_dirty: bool,
    /// Whether this file can't become durable: a sync of it or of its name failed, or its half is not whole.
    is_failed: bool,
    points: HashMap<TopicPartition, DurablePoint>,
    last_run: LastRun,
}

impl Journal {
    /// Reads the journal at `path` and begins a fresh half with what it said; makes the file when there is none.
    /// Durable when this returns.
    pub fn open(disk: Arc<dyn Disk>, path: &Path) -> DiskResult<Self> {
        let loaded = load(&*disk, path)?;
        match Self::in_new_file(disk.clone(), path, &loaded) {
            Err(error) if error.kind == DiskErrorKind::Full && loaded.half.is_some() => {
                tracing::warn!(%error, "no room for a new flush journal, going on in the one there is");
                Self::in_old_file(disk, path, &loaded)
            }
            opened => opened,
        }
    }

    fn in_new_file(disk: Arc<dyn Disk>, path: &Path, loaded: &Loaded) -> DiskResult<Self> {
        let half_slots = half_slots_for(loaded.points.len());
        let file = create(&*disk, path, half_slots)?;
        let mut journal = Self::over(disk, path, file, loaded);
        journal.half_slots = half_slots;
        journal.begin_file()?;
        Ok(journal)
    }

    /// Goes on in the half that says nothing newer: for a disk without room for another file.
    fn in_old_file(disk: Arc<dyn Disk>, path: &Path, loaded: &Loaded) -> DiskResult<Self> {
        remove_if_there(&*disk, &temporary_path(path))?;
        let file = disk.open(path, OpenMode::Write)?;
        let half_slots = u32::try_from(file.len()? / 2 / SLOT_BYTES as u64).unwrap_or(u32::MAX);
        let mut journal = Self::over(disk, path, file, loaded);
        journal.half_slots = half_slots;
        journal.half = 1 - loaded.half.unwrap_or(0);
        if loaded.points.len() >= half_slots as usize {
            return Err(DiskError {
                kind: DiskErrorKind::Full,
                operation: OpKind::Write,
                path: path.to_owned(),
                detail: "its half does not hold the points of all logs".to_owned(),
            });
        }
        journal.begin_points()?;
        Ok(journal)
    }

    fn over(disk: Arc<dyn Disk>, path: &Path, file: Arc<dyn File>, loaded: &Loaded) -> Self {
        Self {
            disk,
            path: path.to_owned(),
            file,
            half_slots: 0,
            half: 0,
            generation: loaded.generation,
            next_slot: 0,
            synced_slots: 0,
            is_dirty: false,
            is_failed: false,
            points: loaded.points.clone(),
            last_run: loaded.last_run,
        }
    }

    /// How the last run ended.
    pub fn last_run(&self) -> LastRun {
        self.last_run
    }

    /// How far a log is durable; `None` when nothing of it was ever noted.
    pub fn point(&self, log: &TopicPartition) -> Option<DurablePoint> {
        self.points.get(log).copied()
    }

    /// Notes durable points, in one write, not synced. Errors: neither this file nor a new one takes them.
    pub fn note(&mut self, points: &[(TopicPartition, DurablePoint)]) -> DiskResult<()> {
        let before: Vec<_> =
            points.iter().map(|(log, point)| (*log, self.points.insert(*log, *point))).collect();
        let slots: Vec<_> = points.iter().map(|(log, point)| point_slot(*log, point)).collect();
        let Err(error) = self.write(&slots) else { return Ok(()) };
        tracing::error!(%error, "the flush journal can't be written to, going on in a new file");
        let moved = self.move_to_file(self.half_slots.max(half_slots_for(self.points.len())));
        if moved.is_err() {
            // A log that is noted nowhere must not count as named: its first point is to be synced before its first append.
            for (log, point) in before.into_iter().rev() {
                match point {
                    Some(point) => self.points.insert(log, point),
                    None => self.points.remove(&log),
                };
            }
        }
        moved
    }

    /// Notes the point of a log that is being opened, durably when the journal did not name the log before: without a name it can't be
    /// told from a log whose point was lost. So too when the log is not as a clean stop left it: somebody put files there, and after a
    /// crash they would be taken for what this log wrote behind its point. Errors: the log is named no more than before.
    pub fn name(&mut self, log: TopicPartition, point: DurablePoint) -> DiskResult<()> {
        let before = self.point(&log);
        self.note(&[(log, point)])?;
        let is_as_before = |before: DurablePoint| {
            before.clean_crc.is_none() || DurablePoint { clean_crc: None, ..before } == point
        };
        if before.is_some_and(is_as_before) {
            return Ok(());
        }
        let synced = self.sync();
        if synced.is_err() {
            match before {
                Some(before) => drop(self.points.insert(log, before)),
                None => drop(self.points.remove(&log)),
            }
        }
        synced
    }

    /// Notes that a log exists no longer.
    pub fn forget(&mut self, log: TopicPartition) -> DiskResult<()> {
        self.points.remove(&log);
        self.write(&[Slot { kind: Kind::Forgotten, log, ..empty_slot() }])
    }

    /// Notes that this run may append from now on; durable when this returns.
    pub fn note_started(&mut self) -> DiskResult<()> {
        self.write(&[Slot { kind: Kind::Started, ..empty_slot() }])?;
        self.sync()
    }

    /// Notes a stop in which every flush held; durable when this returns.
    pub fn note_clean(&mut self) -> DiskResult<()> {
        self.sync()?;
        self.write(&[Slot { kind: Kind::Clean, ..empty_slot() }])?;
        // A file that follows a failed one begins with points alone: it would not say that the stop was clean.
        self.sync_file()
    }

    /// Whether there is anything to sync.
    pub fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// Makes what was noted durable. A file whose sync failed is not synced again: a second sync would succeed over
    /// slots that are lost. What is known goes into a new file instead, which takes the name once it is durable.
    ///
    /// Errors: neither holds; the next call tries a new file again.
    pub fn sync(&mut self) -> DiskResult<()> {
        let was_failed = self.is_failed;
        let Err(error) = self.sync_file() else { return Ok(()) };
        if !was_failed {
            tracing::error!(%error, "the flush journal can't be made durable, going on in a new file");
        }
        self.move_to_file(self.half_slots.max(half_slots_for(self.points.len())))
    }

    fn sync_file(&mut self) -> DiskResult<()> {
        if self.is_failed {
            return Err(DiskError {
                kind: DiskErrorKind::Io,
                operation: OpKind::SyncData,
                path: self.path.clone(),
                detail: "it failed before".to_owned(),
            });
        }
        if let Err(error) = self.file.sync_data() {
            self.is_failed = true;
            return Err(error);
        }
        self.synced_slots = self.next_slot;
        self.is_dirty = false;
        Ok(())
    }

    fn write(&mut self, slots: &[Slot]) -> DiskResult<()> {
        if slots.is_empty() {
            return Ok(());
        }
        if u64::from(self.next_slot) + slots.len() as u64 > u64::from(self.half_slots) {
            self.begin_half()?;
            // WHY: the fresh half begins with every point, so only what is no point is left to say.
            let rest: Vec<_> = slots.iter().filter(|slot| !is_point(slot.kind)).copied().collect();
            return if rest.is_empty() { Ok(()) } else { self.put(&rest) };
        }
        self.put(slots)
    }

    fn put(&mut self, slots: &[Slot]) -> DiskResult<()> {
        let mut bytes = Vec::with_capacity(slots.len() * SLOT_BYTES);
        let synced_slots = self.synced_slots;
        for (slot, number) in slots.iter().zip(self.next_slot..) {
            let extra = if slot.kind == Kind::CleanPoint { slot.extra } else { synced_slots };
            bytes.extend_from_slice(&Slot { generation: self.generation, number, extra, ..*slot }.write());
        }
        let slot = u64::from(self.half) * u64::from(self.half_slots) + u64::from(self.next_slot);
        self.is_dirty = true;
        write_full_at(&*self.file, &bytes, slot * SLOT_BYTES as u64)?;
        self.next_slot += slots.len() as u32;
        Ok(())
    }

    /// Begins the other half with every point and syncs it; in a larger file when the points fill more than half of one.
    fn begin_half(&mut self) -> DiskResult<()> {
        // The half that is left must be whole before the other one is overwritten.
        self.sync()?;
        let half_slots = half_slots_for(self.points.len());
        if half_slots > self.half_slots {
            match self.move_to_file(half_slots) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tracing::warn!(%error, "the flush journal can't grow, going on in the file there is")
                }
            }
        }
        self.half = 1 - self.half;
        let begun = self.begin_points();
        self.is_failed |= begun.is_err();
        begun
    }

    /// Goes on in another file, which takes the name once it is durable. When that fails the old one goes on.
    fn move_to_file(&mut self, half_slots: u32) -> DiskResult<()> {
        let mut other = Self {
            disk: self.disk.clone(),
            path: self.path.clone(),
            file: create(&*self.disk, &self.path, half_slots)?,
            half_slots,
            half: 0,
            is_failed: false,
            points: self.points.clone(),
            ..*self
        };
        other.begin_points()?;
        self.disk.rename(&temporary_path(&self.path), &self.path)?;
        // From here on the name is the other file's, durably or not.
        *self = other;
        let named = self.sync_name();
        self.is_failed = named.is_err();
        named
    }

    fn begin_file(&mut self) -> DiskResult<()> {
        self.begin_points()?;
        self.disk.rename(&temporary_path(&self.path), &self.path)?;
        self.sync_name()
    }

    fn sync_name(&self) -> DiskResult<()> {
        self.disk.sync_dir(self.path.parent().expect("the journal lies in a folder"))
    }

    fn begin_points(&mut self) -> DiskResult<()> {
        self.generation = self.generation.wrapping_add(1);
        self.next_slot = 0;
        self.synced_slots = 0;
        let mut logs: Vec<_> = self.points.iter().map(|(log, point)| point_slot(*log, point)).collect();
        logs.sort_unstable_by_key(|slot| slot.log);
        let head = Slot { kind: Kind::HalfBegins, segment_base: logs.len() as i64, ..empty_slot() };
        self.put(&[head])?;
        self.put(&logs)?;
        self.sync_file()
    }
}

fn is_point(kind: Kind) -> bool {
    matches!(kind, Kind::Point | Kind::CleanPoint)
}

fn empty_slot() -> Slot {
    Slot {
        kind: Kind::Started,
        generation: 0,
        number: 0,
        extra: 0,
        log: NO_LOG,
        segment_base: 0,
        position: 0,
        flushed: 0,
    }
}

fn point_slot(log: TopicPartition, point: &DurablePoint) -> Slot {
    let kind = if point.clean_crc.is_some() { Kind::CleanPoint } else { Kind::Point };
    Slot {
        kind,
        extra: point.clean_crc.unwrap_or(0),
        log,
        segment_base: point.segment_base,
        position: point.position,
        flushed: point.flushed,
        ..empty_slot()
    }
}

/// Room for all points three times over, so that a half lasts.
fn half_slots_for(points: usize) -> u32 {
    u32::try_from((points + 2) * 4).unwrap_or(u32::MAX).max(HALF_SLOTS_MIN).next_power_of_two()
}

fn temporary_path(path: &Path) -> PathBuf {
    path.with_extension("tmp")
}

/// Makes an empty journal file of two halves beside `path`; its name is given when its first half is durable.
fn create(disk: &dyn Disk, path: &Path, half_slots: u32) -> DiskResult<Arc<dyn File>> {
    let temporary = temporary_path(path);
    remove_if_there(disk, &temporary)?;
    let file = disk.open(&temporary, OpenMode::CreateNew)?;
    // WHY: zeros are written, not left as a hole, so that a full disk can't refuse a point later.
    let zeros = vec![0u8; half_slots as usize * SLOT_BYTES];
    write_full_at(&*file, &zeros, 0)?;
    write_full_at(&*file, &zeros, zeros.len() as u64)?;
    Ok(file)
}

fn load(disk: &dyn Disk, path: &Path) -> DiskResult<Loaded> {
    let nothing = |last_run| Loaded { last_run, points: HashMap::new(), generation: 0, half: None };
    let file = match disk.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(nothing(LastRun::Missing)),
        Err(error) => return Err(error),
    };
    let Ok(len) = file.len() else { return Ok(nothing(LastRun::Damaged)) };
    let half_bytes = len / 2;
    if half_bytes == 0 || !half_bytes.is_multiple_of(SLOT_BYTES as u64) || half_bytes > 1 << 30 {
        return Ok(nothing(LastRun::Damaged));
    }
    let mut whole = Vec::new();
    let mut broken_generation = 0;
    for half in 0..2 {
        let mut bytes = vec![0u8; half_bytes as usize];
        // A half that can't be read is a half that is not whole.
        let got = read_full_at(&*file, &mut bytes, half * half_bytes).unwrap_or(0);
        bytes.truncate(got);
        match load_half(&bytes) {
            Some(loaded) => whole.push(Loaded { half: Some(half as u32), ..loaded }),
            None => broken_generation = broken_generation.max(generation_in_use(&bytes)),
        }
    }
    whole.sort_by_key(|half| half.generation);
    match whole.pop() {
        Some(newest) if newest.last_run != LastRun::Damaged && newest.generation > broken_generation => {
            Ok(newest)
        }
        Some(newest) => Ok(Loaded { generation: newest.generation, ..nothing(LastRun::Damaged) }),
        None => Ok(nothing(LastRun::Damaged)),
    }
}

/// The generation of a half whose beginning is not whole but was once: its later slots know of synced ones. 0 for a half that was only
/// being begun, and so never counted.
fn generation_in_use(bytes: &[u8]) -> u32 {
    let slots = bytes.chunks_exact(SLOT_BYTES).filter_map(Slot::read);
    slots
        .filter(|slot| slot.kind != Kind::CleanPoint && slot.extra > 0)
        .map(|slot| slot.generation)
        .max()
        .unwrap_or(0)
}

/// Reads one half; `None` when its beginning is not whole.
fn load_half(bytes: &[u8]) -> Option<Loaded> {
    let slots: Vec<Option<Slot>> = bytes.chunks_exact(SLOT_BYTES).map(Slot::read).collect();
    let head = (*slots.first()?)?;
    let generation = head.generation;
    let belongs = |(number, slot): (usize, &Option<Slot>)| {
        slot.filter(|slot| slot.generation == generation && slot.number as usize == number)
    };
    let slots: Vec<Option<Slot>> = slots.iter().enumerate().map(belongs).collect();
    let begins = usize::try_from(head.segment_base).ok()?.checked_add(1)?;
    if head.kind != Kind::HalfBegins || slots.get(..begins)?.iter().any(Option::is_none) {
        return None;
    }
    let synced =
        slots.iter().flatten().filter(|slot| slot.kind != Kind::CleanPoint).map(|slot| slot.extra).max()?;
    let is_damaged = slots.iter().take(synced as usize).any(Option::is_none);
    let mut points = HashMap::new();
    for slot in slots.iter().flatten() {
        apply(&mut points, slot);
    }
    let is_clean = slots.iter().flatten().last().is_some_and(|slot| slot.kind == Kind::Clean);
    let last_run = match (is_damaged, is_clean) {
        (true, _) => LastRun::Damaged,
        (_, true) => LastRun::Clean,
        _ => LastRun::Unclean,
    };
    if last_run != LastRun::Clean {
        // WHY: the run that followed that stop may have written behind these points, and what it noted of that may be lost.
        points.values_mut().for_each(|point| point.clean_crc = None);
    }
    Some(Loaded { last_run, points, generation, half: None })
}

fn apply(points: &mut HashMap<TopicPartition, DurablePoint>, slot: &Slot) {
    match slot.kind {
        Kind::Point | Kind::CleanPoint => {
            let clean_crc = (slot.kind == Kind::CleanPoint).then_some(slot.extra);
            let (segment_base, position, flushed) = (slot.segment_base, slot.position, slot.flushed);
            points.insert(slot.log, DurablePoint { segment_base, position, flushed, clean_crc });
        }
        Kind::Forgotten => drop(points.remove(&slot.log)),
        Kind::HalfBegins | Kind::Started | Kind::Clean => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::sim_disk::{Effect, Fault, SimDisk, SimOptions, ends_with};

    fn log(partition: i32) -> TopicPartition {
        TopicPartition { topic_id: TopicId([7; 16]), partition }
    }

    fn point(flushed: Offset) -> DurablePoint {
        DurablePoint { segment_base: 0, position: flushed as u64 * 10, flushed, clean_crc: None }
    }

    fn disk() -> (Arc<SimDisk>, PathBuf) {
        let disk = Arc::new(SimDisk::new(SimOptions::default()));
        disk.create_dir(Path::new("d")).expect("makes a folder");
        disk.sync_file_system(Path::new("d")).expect("syncs");
        (disk, PathBuf::from("d/flush-journal"))
    }

    #[test]
    fn points_survive_a_kill_and_a_clean_stop_says_so() {
        let (disk, path) = disk();
        let mut journal = Journal::open(disk.clone(), &path).expect("opens");
        assert_eq!(journal.last_run(), LastRun::Missing);
        journal.note_started().expect("writes");
        journal.note(&[(log(0), point(3)), (log(1), point(5))]).expect("writes");
        let killed = Arc::new(disk.kill());
        let mut again = Journal::open(killed.clone(), &path).expect("opens");
        assert_eq!(again.last_run(), LastRun::Unclean);
        assert_eq!(again.point(&log(1)), Some(point(5)));
        again.forget(log(1)).expect("writes");
        let clean = DurablePoint { clean_crc: Some(9), ..point(3) };
        again.note(&[(log(0), clean)]).expect("writes");
        again.note_clean().expect("writes");
        let last = Journal::open(killed, &path).expect("opens");
        assert_eq!(
            (last.last_run(), last.point(&log(0)), last.point(&log(1))),
            (LastRun::Clean, Some(clean), None)
        );
    }

    /// Everything that was not synced is lost.
    fn powered_off(disk: &SimDisk) -> Arc<SimDisk> {
        Arc::new(disk.crash(|_| false, None))
    }

    #[test]
    fn a_failed_sync_is_not_taken_back_by_one_that_succeeds() {
        let (disk, path) = disk();
        let mut journal = Journal::open(disk.clone(), &path).expect("opens");
        journal.note_started().expect("writes");
        journal.note(&[(log(0), point(1))]).expect("writes");
        disk.fail(Fault::on(OpKind::SyncData, ends_with("journal.tmp"), Effect::LoseSync));
        journal.sync().expect("goes on in a new file");
        for n in 2..5 {
            journal.note(&[(log(0), point(n))]).expect("writes");
            journal.sync().expect("syncs");
            let again = Journal::open(powered_off(&disk), &path).expect("opens");
            assert_eq!((again.last_run(), again.point(&log(0))), (LastRun::Unclean, Some(point(n))));
        }
        journal.note_clean().expect("writes");
        let again = Journal::open(powered_off(&disk), &path).expect("opens");
        assert_eq!(again.last_run(), LastRun::Clean);
    }

    #[test]
    fn while_no_file_can_be_synced_the_journal_says_so_and_keeps_what_it_said() {
        let (disk, path) = disk();
        let mut journal = Journal::open(disk.clone(), &path).expect("opens");
        journal.note(&[(log(0), point(1))]).expect("writes");
        journal.sync().expect("syncs");
        disk.fail(Fault::on(OpKind::SyncData, |_| true, Effect::LoseSync).times(4));
        journal.note(&[(log(0), point(2))]).expect("writes");
        for _ in 0..2 {
            assert!(journal.sync().is_err() && journal.is_dirty());
        }
        assert!(journal.note_clean().is_err());
        let again = Journal::open(powered_off(&disk), &path).expect("opens");
        assert_eq!((again.last_run(), again.point(&log(0))), (LastRun::Unclean, Some(point(1))));
        let again = Journal::open(Arc::new(disk.kill()), &path).expect("opens");
        assert_eq!(again.point(&log(0)), Some(point(2)), "exact after a kill");
        journal.sync().expect("a new file holds");
        let again = Journal::open(powered_off(&disk), &path).expect("opens");
        assert_eq!(again.point(&log(0)), Some(point(2)));
    }

    #[test]
    fn what_could_not_be_noted_is_not_known() {
        let (disk, path) = disk();
        let mut journal = Journal::open(disk.clone(), &path).expect("opens");
        journal.note(&[(log(0), point(1))]).expect("writes");
        disk.fail(Fault::on(OpKind::Write, |_| true, Effect::Io));
        disk.fail(Fault::on(OpKind::RemoveFile, |_| true, Effect::Io));
        assert!(journal.note(&[(log(0), point(2)), (log(1), point(3))]).is_err());
        assert_eq!((journal.point(&log(0)), journal.point(&log(1))), (Some(point(1)), None));
        journal.note(&[(log(1), point(3))]).expect("writes");
        assert_eq!(journal.point(&log(1)), Some(point(3)));
    }

    #[test]
    fn a_log_whose_name_could_not_be_synced_is_named_anew() {
        let (disk, path) = disk();
        let mut journal = Journal::open(disk.clone(), &path).expect("opens");
        disk.fail(Fault::on(OpKind::SyncData, |_| true, Effect::LoseSync).times(2));
        assert!(journal.name(log(0), point(1)).is_err());
        journal.name(log(0), point(1)).expect("at the second try");
        let again = Journal::open(powered_off(&disk), &path).expect("opens");
        assert_eq!(again.point(&log(0)), Some(point(1)));
    }

    #[test]
    fn on_a_full_disk_the_file_that_is_there_goes_on() {
        let (disk, path) = disk();
        let mut journal = Journal::open(disk.clone(), &path).expect("opens");
        journal.note_started().expect("writes");
        journal.note(&[(log(0), point(3))]).expect("writes");
        let mut disk = Arc::new(disk.kill());
        disk.set_capacity(Some(1));
        for n in 4..8 {
            let mut again = Journal::open(disk.clone(), &path).expect("opens");
            assert_eq!((again.last_run(), again.point(&log(0))), (LastRun::Unclean, Some(point(n - 1))));
            again.note(&[(log(0), point(n))]).expect("writes");
            disk = Arc::new(disk.kill());
            disk.set_capacity(Some(1));
        }
        let mut last = Journal::open(disk.clone(), &path).expect("opens");
        last.note_clean().expect("writes");
        assert_eq!(Journal::open(Arc::new(disk.kill()), &path).expect("opens").last_run(), LastRun::Clean);
    }

    #[test]
    fn halves_take_turns_and_points_are_never_lost() {
        let (disk, path) = disk();
        let mut journal = Journal::open(disk.clone(), &path).expect("opens");
        journal.note(&[(log(1), point(1))]).expect("writes");
        for n in 0..3 * i64::from(HALF_SLOTS_MIN) {
            journal.note(&[(log(0), point(n))]).expect("writes");
        }
        let again = Journal::open(Arc::new(disk.kill()), &path).expect("opens");
        assert_eq!(again.point(&log(0)), Some(point(3 * i64::from(HALF_SLOTS_MIN) - 1)));
        assert_eq!(again.point(&log(1)), Some(point(1)));
    }

    #[test]
    fn the_file_grows_with_the_number_of_logs() {
        let (disk, path) = disk();
        let mut journal = Journal::open(disk.clone(), &path).expect("opens");
        for n in 0..2 * HALF_SLOTS_MIN as i32 {
            journal.note(&[(log(n), point(i64::from(n)))]).expect("writes");
        }
        let again = Journal::open(Arc::new(disk.kill()), &path).expect("opens");
        for n in 0..2 * HALF_SLOTS_MIN as i32 {
            assert_eq!(again.point(&log(n)), Some(point(i64::from(n))));
        }
    }

    #[test]
    fn a_flipped_bit_in_what_was_synced_is_damage_and_never_a_wrong_point() {
        let (disk, path) = disk();
        let mut journal = Journal::open(disk.clone(), &path).expect("opens");
        journal.note(&[(log(0), point(1))]).expect("writes");
        journal.sync().expect("syncs");
        journal.note(&[(log(0), point(2))]).expect("writes");
        for byte in 0..4 * SLOT_BYTES as u64 {
            let flipped = Arc::new(disk.kill());
            flipped.flip_bit(&path, byte, (byte % 8) as u8).expect("flips");
            let read = Journal::open(flipped, &path).expect("opens");
            let last_synced = 2 * SLOT_BYTES as u64;
            let allowed: &[Option<DurablePoint>] = match byte < last_synced {
                true => &[None],
                false => &[Some(point(1)), Some(point(2))],
            };
            assert!(allowed.contains(&read.point(&log(0))), "byte {byte}: {:?}", read.point(&log(0)));
        }
    }
}

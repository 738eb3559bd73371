//! A segment: its log file, its side files, and which of its bytes were checked since it was opened.
//!
//! A sealed segment opens its side files at first use and rebuilds them from the log when they are not true. An index
//! interval is checked against its CRC the first time that it is read after opening; what fails is looked at closely, so that
//! the error names just the offsets that are damaged.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::assessed::{Assessed, Seen};
use super::damage::Stretch;
use super::footer::Footer;
use super::offset_index::{Interval, OffsetIndex};
use super::scan::{DamagedSpan, Known, Scan, ScanPoint};
use super::side_file::SegmentId;
use super::tally::Tally;
use super::time_index::TimeIndex;
use crate::base::limits::SEGMENT_BYTES_MAX;
use crate::base::offset::NO_EPOCH;
use crate::base::{BytePosition, Offset, Timestamp};
use crate::env::disk::{
    DirEntry, DiskErrorKind, DiskResult, EntryKind, OpKind, OpenMode, Wait, read_full, read_full_at,
    remove_if_there,
};
use crate::env::files::{CachedFile, FileCache};
use crate::env::rule::Rule;
use crate::env::{Disk, DiskError};
use crate::log::errors::ReadError;

/// The side files of an open segment.
#[derive(Debug)]
pub struct Side {
    /// Offsets to positions.
    pub index: OffsetIndex,
    /// Timestamps to offsets.
    pub time: TimeIndex,
    /// Set once the segment is sealed.
    pub footer: Mutex<Option<Footer>>,
}

/// One segment of a log.
pub struct Segment {
    id: SegmentId,
    folder: PathBuf,
    files: FileCache,
    log: CachedFile,
    /// Bytes of the log file that readers may use.
    len: AtomicU64,
    /// One past the last offset that readers may use.
    end_offset: AtomicI64,
    is_removed: AtomicBool,
    /// From this byte on this process wrote the log file: there offsets follow one another without a gap.
    dense_from: AtomicU64,
    side: RwLock<Option<Arc<Side>>>,
    /// Bit n: interval n fits its CRC.
    checked: Mutex<Vec<u64>>,
    assessed: Mutex<Assessed>,
}

/// Endings of the files of a segment, in the order in which they go: without its log file a segment is gone.
pub const ENDINGS: [&str; 3] = ["log", "index", "timeindex"];

/// The side files among them.
pub const SIDE_ENDINGS: [&str; 2] = ["timeindex", "index"];

/// What stands behind the name of a file of a segment that compaction has written, until it is in its place.
pub const ASIDE: &str = "cleaned";

/// Name of a segment's file, such as `00000000000000000042.index`.
pub fn file_name(base_offset: Offset, ending: &str) -> String {
    format!("{base_offset:020}.{ending}")
}

/// The base offset of the log file that stands under a name; `None` for names of anything else. Errors: what is wrong with one that
/// is named as a log file, and for which the partition stays offline.
pub fn log_file(entry: &DirEntry) -> Result<Option<Offset>, &'static str> {
    let Some(name) = entry.name.strip_suffix(".log") else { return Ok(None) };
    if entry.kind != EntryKind::File {
        return Err("it is not a regular file");
    }
    // The offsets of a segment begun there would still fit.
    let is_base = |offset: &Offset| (0..=Offset::MAX - i64::from(i32::MAX)).contains(offset);
    match name.parse().ok().filter(|offset| is_base(offset) && file_name(*offset, "log") == entry.name) {
        None => Err("its name is not an offset of 20 digits"),
        Some(_) if entry.len > SEGMENT_BYTES_MAX => Err("it is longer than a segment can be"),
        base_offset => Ok(base_offset),
    }
}

impl Segment {
    /// A segment over files that exist or are about to.
    pub fn new(files: &FileCache, folder: &Path, id: SegmentId, len: u64, end_offset: Offset) -> Self {
        let log = files.file(folder.join(file_name(id.base_offset, "log")), OpenMode::Write);
        Self {
            id,
            folder: folder.to_owned(),
            files: files.clone(),
            log,
            len: AtomicU64::new(len),
            end_offset: AtomicI64::new(end_offset),
            is_removed: AtomicBool::new(false),
            dense_from: AtomicU64::new(u64::MAX),
            side: RwLock::new(None),
            checked: Mutex::new(Vec::new()),
            assessed: Mutex::default(),
        }
    }

    /// Makes the files of an empty segment. Names and bytes are not durable yet.
    pub fn create(
        disk: &dyn Disk,
        files: &FileCache,
        folder: &Path,
        id: SegmentId,
        now_ms: Timestamp,
    ) -> DiskResult<Self> {
        let segment = Self::new(files, folder, id, 0, id.base_offset);
        let made = segment.create_files(disk, now_ms);
        if made.is_err() {
            // A stray log file would be taken for the end of the log at the next start.
            ENDINGS.iter().try_for_each(|ending| remove_if_there(disk, &segment.path(ending)))?;
        }
        made.map(|()| segment)
    }

    /// Makes the files of an empty segment under names aside, so that nobody takes them for a segment of the log.
    pub fn create_aside(
        disk: &dyn Disk,
        files: &FileCache,
        folder: &Path,
        id: SegmentId,
        created_ms: Timestamp,
    ) -> DiskResult<Self> {
        let plain = Self::new(files, folder, id, 0, id.base_offset);
        let aside = |ending: &str| files.file(plain.path_aside(ending), OpenMode::Write);
        for ending in ENDINGS.iter().rev() {
            remove_if_there(disk, &plain.path_aside(ending))?;
        }
        for ending in ENDINGS {
            disk.open(&plain.path_aside(ending), OpenMode::CreateNew)?;
        }
        let index = OffsetIndex::create(aside("index"), id, created_ms, false)?;
        let time = TimeIndex::create(aside("timeindex"), id, created_ms, false)?;
        let segment = Self { log: aside("log"), ..plain };
        segment.set_side(Side { index, time, footer: Mutex::new(None) });
        Ok(segment)
    }

    /// The log file comes last: without it a segment is not there.
    fn create_files(&self, disk: &dyn Disk, now_ms: Timestamp) -> DiskResult<()> {
        for ending in ENDINGS.iter().rev() {
            remove_if_there(disk, &self.path(ending))?;
        }
        for ending in ["index", "timeindex"] {
            disk.open(&self.path(ending), OpenMode::CreateNew)?;
        }
        let index = OffsetIndex::create(self.side_file("index"), self.id, now_ms, false)?;
        let time = TimeIndex::create(self.side_file("timeindex"), self.id, now_ms, false)?;
        disk.open(&self.path("log"), OpenMode::CreateNew)?;
        self.set_side(Side { index, time, footer: Mutex::new(None) });
        self.note_appends_from(0);
        Ok(())
    }

    /// First offset.
    pub fn base_offset(&self) -> Offset {
        self.id.base_offset
    }

    /// Which segment of which log.
    pub fn id(&self) -> SegmentId {
        self.id
    }

    /// One past the last offset.
    pub fn end_offset(&self) -> Offset {
        self.end_offset.load(Ordering::Acquire)
    }

    /// Bytes of the log file.
    pub fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// Notes that from this byte on the log file is written by this process, which leaves no gap between offsets.
    pub fn note_appends_from(&self, position: BytePosition) {
        self.dense_from.store(position, Ordering::Release);
    }

    /// Whether a batch at this byte must follow the one before it without a gap.
    pub fn is_dense_at(&self, position: BytePosition) -> bool {
        position >= self.dense_from.load(Ordering::Acquire)
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets readers see what was written up to here.
    ///
    /// Holds: who looks at the length and then at the end offset finds no batch in these bytes that lies above it.
    pub fn publish(&self, len: u64, end_offset: Offset) {
        self.end_offset.store(end_offset, Ordering::Release);
        self.len.store(len, Ordering::Release);
    }

    /// Notes that its files are about to be unlinked or to go with their folder: that they are missing is no failure from now on,
    /// and side files are not made anew any more, which might belong to another log under the same name. Waits for one who does.
    pub fn mark_removed(&self) {
        let _nobody_rebuilds = self.side.write();
        self.is_removed.store(true, Ordering::Release);
    }

    /// Notes that its names are about to stand for other files. What is open of it can still be read; nothing of it is opened any
    /// more.
    pub fn retire(&self) {
        self.mark_removed();
        let nowhere = self.path("gone");
        self.log.renamed(nowhere.clone());
        if let Some(side) = &*self.side.read() {
            side.index.file().renamed(nowhere.clone());
            side.time.file().renamed(nowhere);
        }
    }

    /// Whether its files may be gone.
    pub fn is_removed(&self) -> bool {
        self.is_removed.load(Ordering::Acquire)
    }

    /// Offsets of the segment stay below this: an index holds them in 31 bits.
    pub fn offset_limit(&self) -> Offset {
        self.id.base_offset.saturating_add(i64::from(i32::MAX))
    }

    /// The log file.
    pub fn log(&self) -> &CachedFile {
        &self.log
    }

    /// Path of the file with this ending.
    pub fn path(&self, ending: &str) -> PathBuf {
        self.folder.join(file_name(self.id.base_offset, ending))
    }

    /// The same while it stands aside.
    pub fn path_aside(&self, ending: &str) -> PathBuf {
        self.folder.join(file_name(self.id.base_offset, &format!("{ending}.{ASIDE}")))
    }

    /// A handle on a side file.
    pub fn side_file(&self, ending: &str) -> CachedFile {
        self.files.file(self.path(ending), OpenMode::Write)
    }

    /// Gives the segment its side files.
    pub fn set_side(&self, side: Side) -> Arc<Side> {
        let side = Arc::new(side);
        *self.side.write() = Some(side.clone());
        side
    }

    /// The side files; opened, and rebuilt when they are not true, at first use of a sealed segment.
    pub fn side(&self, disk: &dyn Disk) -> DiskResult<Arc<Side>> {
        if let Some(side) = &*self.side.read() {
            return Ok(side.clone());
        }
        let mut slot = self.side.write();
        if let Some(side) = &*slot {
            return Ok(side.clone());
        }
        if self.is_removed() {
            return Err(self.is_gone());
        }
        let side = Arc::new(match self.open_sealed_side()? {
            Some(side) => side,
            None => self.rebuild_side(disk)?,
        });
        *slot = Some(side.clone());
        Ok(side)
    }

    /// The side files, if they are open already and nobody is opening them anew.
    pub fn side_if_open(&self) -> Option<Arc<Side>> {
        self.side.try_read()?.clone()
    }

    /// Closes the descriptors of open side files, syncing what is dirty, and forgets which intervals were checked. False when
    /// somebody holds a file.
    pub fn close_side(&self) -> DiskResult<bool> {
        self.forget_checks();
        let Some(side) = self.side_if_open() else { return Ok(true) };
        let is_closed = side.index.file().close()?;
        Ok(side.time.file().close()? && is_closed)
    }

    /// Makes the side files of a sealed segment anew, because an entry of `failed` failed its check; or gives those that somebody
    /// else made anew meanwhile.
    pub fn rebuild(&self, disk: &dyn Disk, failed: &Arc<Side>) -> DiskResult<Arc<Side>> {
        let mut slot = self.side.write();
        if let Some(side) = slot.as_ref().filter(|side| !Arc::ptr_eq(side, failed)) {
            return Ok(side.clone());
        }
        let side = Arc::new(self.rebuild_side(disk)?);
        *slot = Some(side.clone());
        self.forget_checks();
        Ok(side)
    }

    fn forget_checks(&self) {
        *self.checked.lock() = Vec::new();
        self.assessed.lock().clear();
    }

    fn open_sealed_side(&self) -> DiskResult<Option<Side>> {
        let opened =
            not_found_is_none(OffsetIndex::open_sealed(self.side_file("index"), self.id, self.len()))?;
        let Some((index, footer)) = opened.flatten() else { return Ok(None) };
        let time = not_found_is_none(TimeIndex::open_sealed(self.side_file("timeindex"), self.id))?;
        let Some(time) = time.flatten() else { return Ok(None) };
        self.end_offset.store(footer.end_offset, Ordering::Release);
        Ok(Some(Side { index, time, footer: Mutex::new(Some(footer)) }))
    }

    fn is_gone(&self) -> DiskError {
        DiskError {
            kind: DiskErrorKind::NotFound,
            operation: OpKind::Open,
            path: self.path("log"),
            detail: "the segment was removed".to_owned(),
        }
    }

    /// Makes both side files anew from the log file. Offsets below its end as it was sealed that can't be read are told to readers as
    /// damaged. Cost: reads the whole segment.
    fn rebuild_side(&self, disk: &dyn Disk) -> DiskResult<Side> {
        if self.is_removed() {
            return Err(self.is_gone());
        }
        tracing::warn!(path = %self.path("index").display(), "side files are missing or not true, rebuilding them");
        let sealed =
            not_found_is_none(OffsetIndex::stored_footer(self.side_file("index"), self.id))?.flatten();
        let modified_ms = disk.stat(&self.path("log"))?.map_or(0, |entry| entry.modified_ms);
        for ending in ["index", "timeindex"] {
            let path = self.path(ending);
            if disk.stat(&path)?.is_none() {
                disk.open(&path, OpenMode::CreateNew)?;
            }
        }
        let index = OffsetIndex::create(self.side_file("index"), self.id, modified_ms, true)?;
        let time = TimeIndex::create(self.side_file("timeindex"), self.id, modified_ms, true)?;
        let mut tally = Tally::empty(self.id.base_offset, modified_ms, NO_EPOCH);
        self.tally_all(&index, &time, &mut tally)?;
        let sealed_end = sealed.map_or(0, |sealed| sealed.end_offset.min(self.end_offset()));
        if tally.end_offset < sealed_end {
            tally.add_damage(&index, &time, self.len(), sealed_end);
        }
        let footer = tally.close(&index, &time);
        index.persist()?;
        time.persist()?;
        index.file().sync()?;
        time.file().sync()?;
        index.seal(&footer)?;
        time.seal();
        self.end_offset.store(footer.end_offset, Ordering::Release);
        Ok(Side { index, time, footer: Mutex::new(Some(footer)) })
    }

    /// Walks the log file and tallies it, damaged spans included.
    fn tally_all(&self, index: &OffsetIndex, time: &TimeIndex, tally: &mut Tally) -> DiskResult<()> {
        let file = self.log.get()?;
        let (len, end_offset) = (self.len(), self.end_offset().min(self.offset_limit()));
        let start = ScanPoint { position: 0, offset: self.id.base_offset, epoch: NO_EPOCH };
        let mut scan = Scan::new(&*file, start, len, end_offset, Known::default());
        loop {
            while let Some((header, _, bytes)) = scan.next_batch()? {
                tally.add(index, time, &header, [bytes, &[]]);
            }
            if scan.point().position >= len {
                return Ok(());
            }
            let span = scan.skip_damage()?;
            tally.add_damage(index, time, span.end, span.end_offset.unwrap_or(end_offset));
        }
    }

    /// Notes that an interval needs no check: this process wrote it.
    pub fn mark_checked(&self, interval: u64) {
        let mut checked = self.checked.lock();
        let word = (interval / 64) as usize;
        if checked.len() <= word {
            checked.resize(word + 1, 0);
        }
        checked[word] |= 1 << (interval % 64);
    }

    fn is_checked(&self, interval: u64) -> bool {
        let checked = self.checked.lock();
        checked.get((interval / 64) as usize).is_some_and(|word| word & (1 << (interval % 64)) != 0)
    }

    /// Reads `count` bytes of the log file at `position`; fewer where the file ends before.
    ///
    /// Errors: `Disk`, also where the disk gives less than there is; `WouldBlock` where that would have to wait and may not.
    pub fn read(&self, position: BytePosition, count: usize, wait: Wait) -> Result<Vec<u8>, ReadError> {
        let file = self.log.get()?;
        let mut bytes = vec![0u8; count];
        let got = read_full(&*file, &mut bytes, position, wait)?.ok_or(ReadError::WouldBlock)?;
        if got < count && position + count as u64 <= file.len()? {
            return Err(ReadError::Disk(DiskError {
                kind: DiskErrorKind::Io,
                operation: OpKind::Read,
                path: self.path("log"),
                detail: format!("it gave {got} of {count} bytes"),
            }));
        }
        bytes.truncate(got);
        Ok(bytes)
    }

    /// Checks `bytes`, the whole of `interval`, unless that was done since opening. Returns what is damaged.
    pub fn check_interval(&self, interval: &Interval, bytes: &[u8]) -> Vec<DamagedSpan> {
        // The interval that is still being written has no CRC yet; recovery read it, or this process wrote it.
        let Some(end) = interval.end else { return Vec::new() };
        if self.is_checked(interval.number) || !Rule::CheckInterval.holds() {
            return Vec::new();
        }
        let seen = Seen { interval: interval.number, len: bytes.len(), crc: crc32fast::hash(bytes) };
        let is_whole = bytes.len() as u64 == end.position - interval.start;
        if is_whole && seen.crc == end.interval_crc {
            self.mark_checked(interval.number);
            return Vec::new();
        }
        let known = self.assessed.lock().get(&seen);
        known.unwrap_or_else(|| {
            let stretch = Stretch::of_interval(interval, &end, bytes);
            let spans = stretch.damage_behind(seen.crc, end.interval_crc);
            self.assessed.lock().put(seen, spans.clone());
            spans
        })
    }
}

fn not_found_is_none<T>(result: DiskResult<T>) -> DiskResult<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind == DiskErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads `count` bytes of a log file at `position`; fewer when the file is shorter.
pub fn read_log(log: &CachedFile, position: BytePosition, count: usize) -> DiskResult<Vec<u8>> {
    let mut bytes = vec![0u8; count];
    let got = read_full_at(&*log.get()?, &mut bytes, position)?;
    bytes.truncate(got);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{TopicId, TopicPartition};
    use crate::env::sim_disk::{SimDisk, SimOptions};
    use crate::log::segment::offset_index::IndexEntry;
    use crate::log::segment::stored_batch::stored_batch;

    #[test]
    fn what_was_found_out_about_an_interval_is_told_again_for_the_same_bytes_only() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(SimOptions::default()));
        let log = TopicPartition { topic_id: TopicId([1; 16]), partition: 0 };
        let id = SegmentId { log, base_offset: 0 };
        let sound = [stored_batch(0, 0, b"a"), stored_batch(1, 0, b"b")].concat();
        let segment = Segment::new(&FileCache::new(disk, 4), Path::new("."), id, sound.len() as u64, 2);
        let interval_crc = crc32fast::hash(&sound);
        let end = Some(IndexEntry { offset: 2, position: sound.len() as u64, interval_crc });
        let interval = Interval { number: 3, first_offset: 0, start: 0, end };
        let (mut first, mut second) = (sound.clone(), sound.clone());
        first[30] ^= 1;
        second[sound.len() - 1] ^= 1;
        let offsets = |bytes: &[u8]| {
            let spans = segment.check_interval(&interval, bytes);
            spans.iter().map(|span| (span.first_offset, span.end_offset)).collect::<Vec<_>>()
        };
        assert_eq!(offsets(&first), [(0, Some(1))]);
        let seen = Seen { interval: 3, len: first.len(), crc: crc32fast::hash(&first) };
        assert!(segment.assessed.lock().get(&seen).is_some());
        // Nobody looks again: what is kept is what is told.
        segment.assessed.lock().put(seen, Vec::new());
        assert_eq!(offsets(&first), []);
        assert_eq!(offsets(&second), [(1, Some(2))]);
        segment.forget_checks();
        assert_eq!(offsets(&first), [(0, Some(1))], "an idle segment remembers nothing");
        assert_eq!(offsets(&sound), []);
    }
}

//! Opening a log: after a clean stop at a glance, after anything else by looking at what lies above the durable point.
//!
//! Above the durable point the log ends at the first invalid batch; what follows is set aside as `<base>.cut-<ms>` and reported. Below
//! it, or where the journal does not name the log, nothing is cut: damaged offsets are told to readers, and when the end of the last
//! file is not valid a new segment begins at max(durable point, last valid end). An unclean open syncs the tail and drops it from the
//! page cache before it looks, so that what is verified is what the disk holds.

mod checkpoints;

use std::path::PathBuf;
use std::sync::Arc;

use super::append::{Room, Writer};
use super::compaction::leftovers;
use super::epoch_cache::EpochCache;
use super::errors::OpenError;
use super::flush::checkpoint::{self, CheckpointError, FileKind};
use super::flush::journal::DurablePoint;
use super::partition_log::{LogSpec, Recovered};
use super::segment::Segment;
use super::segment::file::{Side, file_name, log_file, read_log};
use super::segment::offset_index::OffsetIndex;
use super::segment::scan::{Known, Scan, ScanPoint};
use super::segment::side_file::SegmentId;
use super::segment::tally::Tally;
use super::segment::time_index::TimeIndex;
use super::shared::Shared;
use crate::base::limits::WRITTEN_INTERVAL_BYTES_MAX;
use crate::base::offset::NO_EPOCH;
use crate::base::time::NO_TIMESTAMP;
use crate::base::{LeaderEpoch, Offset, Timestamp};
use crate::config::TimestampType;
use crate::env::disk::{DiskErrorKind, OpenMode, remove_if_there, write_full_at};
use crate::env::rule::Rule;

pub(super) use checkpoints::snapshot_offsets;

pub(super) const EPOCHS_FILE: &str = "leader-epochs";
pub(super) const EPOCHS_KIND: FileKind = FileKind { magic: *b"WEIREPOC", version: 2 };
pub(super) const SNAPSHOT_KIND: FileKind = FileKind { magic: *b"WEIRPROD", version: 2 };

/// Bytes copied at once when a torn tail is set aside.
const COPY_BYTES: usize = 1 << 20;

/// Bytes of a page: the page cache lets go of whole ones only.
const PAGE_BYTES: u64 = 4 << 10;

/// A log being opened.
pub(super) struct Recovery<'a> {
    shared: &'a Arc<Shared>,
    spec: &'a LogSpec,
    folder: PathBuf,
    /// How far the log is durable; `None` when the journal does not say: then nothing may be called torn.
    point: Option<DurablePoint>,
    /// The epochs as they were written down; `None` when they were not, or not truly.
    epochs: Option<EpochCache>,
    now_ms: Timestamp,
}

/// A log file found in the folder.
struct Found {
    base_offset: Offset,
    len: u64,
    modified_ms: Timestamp,
}

/// The end of a log as it was found: the segment that is written to, with its facts.
struct End {
    segment: Arc<Segment>,
    side: Arc<Side>,
    tally: Tally,
    /// Epochs of the batches that were walked, each with the offset where it begins.
    epochs: Vec<(LeaderEpoch, Offset)>,
    /// Whether a new segment must be begun here, because what lies at the end of the file is no batch.
    must_roll: bool,
}

/// Opens a log. `point` is what the journal says of it, after a clean stop with its CRC.
pub(super) fn open(
    shared: &Arc<Shared>,
    spec: &LogSpec,
    point: Option<DurablePoint>,
) -> Result<Recovered, OpenError> {
    let folder = shared.data_dir.join(format!("{}-{}", spec.topic, spec.id.partition));
    let path = folder.join(EPOCHS_FILE);
    let epochs = match checkpoint::read_of_log(shared.disk(), &path, EPOCHS_KIND, spec.id) {
        Ok(body) => EpochCache::decode(&body),
        Err(CheckpointError::Disk(error)) => return Err(error.into()),
        Err(_) => None,
    };
    let recovery = Recovery { shared, spec, folder, point, epochs, now_ms: shared.now_ms() };
    recovery.run()
}

impl Recovery<'_> {
    fn run(&self) -> Result<Recovered, OpenError> {
        let found = self.list()?;
        let trusted = self.first_untrusted(&found);
        let mut segments: Vec<Arc<Segment>> = Vec::new();
        for (at, file) in found[..trusted].iter().enumerate() {
            // Of the last one: where the segment began that the journal names, though it may be missing.
            let known = self.point.map_or(file.base_offset, |point| point.segment_base.max(file.base_offset));
            let end_offset = found.get(at + 1).map_or(known, |next| next.base_offset);
            segments.push(Arc::new(self.segment(file, end_offset)));
        }
        let end = match self.clean_end(&found)? {
            Some(end) => Some(end),
            None => self.recover_tail(&found[trusted..], &mut segments)?,
        };
        let mut end = match end {
            Some(end) => end,
            None => self.begin_segment(segments.last(), NO_EPOCH)?,
        };
        // Records below the trim offset are gone by the metadata's word; after a power cut the log may end below it, and
        // offsets in between must not be used.
        end.must_roll |= end.tally.end_offset < self.spec.trim_offset;
        if !segments.last().is_some_and(|last| Arc::ptr_eq(last, &end.segment)) {
            segments.push(end.segment.clone());
        }
        if end.must_roll {
            end = self.roll_behind(&end)?;
            segments.push(end.segment.clone());
        }
        self.finish(segments, end)
    }

    /// The log files of the folder, by base offset. Leftovers of interrupted replacements are removed.
    fn list(&self) -> Result<Vec<Found>, OpenError> {
        let disk = self.shared.disk();
        let mut entries = match disk.list(&self.folder) {
            Err(error) if error.kind == DiskErrorKind::NotFound => {
                return Err(OpenError::Missing { path: self.folder.clone() });
            }
            other => other?,
        };
        if leftovers::settle(&self.shared.env.disk, &self.folder, self.spec.id, &entries)? {
            entries = disk.list(&self.folder)?;
        }
        let mut found = Vec::new();
        for entry in entries {
            let path = self.folder.join(&entry.name);
            if entry.name.ends_with(".tmp") {
                remove_if_there(disk, &path)?;
            }
            match log_file(&entry) {
                Ok(None) => {}
                Ok(Some(base_offset)) => {
                    found.push(Found { base_offset, len: entry.len, modified_ms: entry.modified_ms });
                }
                Err(what) => return Err(OpenError::Damaged { path, what: what.to_owned() }),
            }
        }
        Ok(found)
    }

    /// The first file that holds bytes above the durable point; without a point only the last file is looked at.
    fn first_untrusted(&self, found: &[Found]) -> usize {
        match &self.point {
            Some(_) if !Rule::TrustDurablePoint.holds() => 0,
            Some(point) => found.partition_point(|file| file.base_offset < point.segment_base),
            None => found.len().saturating_sub(1),
        }
    }

    fn id(&self, base_offset: Offset) -> SegmentId {
        SegmentId { log: self.spec.id, base_offset }
    }

    fn segment(&self, file: &Found, end_offset: Offset) -> Segment {
        Segment::new(&self.shared.files, &self.folder, self.id(file.base_offset), file.len, end_offset)
    }

    /// The end after a clean stop, when the last file is still as it was then.
    fn clean_end(&self, found: &[Found]) -> Result<Option<End>, OpenError> {
        let (Some(point), Some(last)) = (&self.point, found.last()) else { return Ok(None) };
        let Some(clean_crc) = point.clean_crc else { return Ok(None) };
        if last.base_offset != point.segment_base || last.len != point.position {
            return Ok(None);
        }
        let segment = Arc::new(self.segment(last, point.flushed));
        let Some(mut end) = self.open_side(segment, last, point.position)? else { return Ok(None) };
        let from = end.tally.position;
        // An index with an entry that is not true leaves far more to read than one batch behind its last entry.
        if point.position.saturating_sub(from) > WRITTEN_INTERVAL_BYTES_MAX {
            return Ok(None);
        }
        let bytes = read_log(end.segment.log(), from, (point.position - from) as usize)?;
        if crc32fast::hash(&bytes) != clean_crc || (point.position - from) != bytes.len() as u64 {
            return Ok(None);
        }
        self.tally_to(&mut end, point.position, Known::default())?;
        Ok((end.tally.end_offset == point.flushed).then_some(end))
    }

    /// The side files of the segment that is written to, with the facts up to their last entry; `None` when they are not true.
    fn open_side(
        &self,
        segment: Arc<Segment>,
        file: &Found,
        position: u64,
    ) -> Result<Option<End>, OpenError> {
        let id = self.id(file.base_offset);
        let disk = self.shared.disk();
        for ending in ["index", "timeindex"] {
            if disk.stat(&segment.path(ending))?.is_none() {
                return Ok(None);
            }
        }
        let Some(index) = OffsetIndex::open_active(segment.side_file("index"), id, position)? else {
            return Ok(None);
        };
        let end_offset = index.last_entry().offset;
        let Some(time) = TimeIndex::open_active(segment.side_file("timeindex"), id, end_offset)? else {
            return Ok(None);
        };
        // What only one of the two knows is walked again: else the maximum of the times would be too low from there on.
        let before = time.last()?.unwrap_or((NO_TIMESTAMP, file.base_offset));
        index.cut_to_offset(before.1);
        let entry = index.last_entry();
        if entry.offset != before.1 {
            return Ok(None);
        }
        let mut tally = Tally::at_entry(&entry, index.created_ms(), before);
        tally.last_append_ms = file.modified_ms.max(index.created_ms());
        index.cut(entry.position)?;
        time.cut(entry.offset)?;
        let side = segment.set_side(Side { index, time, footer: parking_lot::Mutex::new(None) });
        Ok(Some(End { segment, side, tally, must_roll: false, epochs: Vec::new() }))
    }

    fn fresh_side(&self, segment: Arc<Segment>, file: &Found) -> Result<End, OpenError> {
        let id = self.id(file.base_offset);
        let disk = self.shared.disk();
        for ending in ["index", "timeindex"] {
            let path = segment.path(ending);
            remove_if_there(disk, &path)?;
            disk.open(&path, OpenMode::CreateNew)?;
        }
        let created_ms = file.modified_ms;
        let index = OffsetIndex::create(segment.side_file("index"), id, created_ms, file.len > 0)?;
        let time = TimeIndex::create(segment.side_file("timeindex"), id, created_ms, file.len > 0)?;
        let side = segment.set_side(Side { index, time, footer: parking_lot::Mutex::new(None) });
        Ok(End {
            segment,
            side,
            tally: Tally::empty(file.base_offset, created_ms, NO_EPOCH),
            must_roll: false,
            epochs: Vec::new(),
        })
    }

    /// Whether the journal was left by a crash: then what lies behind the last index entry was written by this log, under epochs
    /// before the one of this opening. Else somebody may have put a file there, such as a compacted one.
    fn is_own_tail(&self) -> bool {
        self.point.is_some_and(|point| point.clean_crc.is_none())
    }

    /// What is known of the batches behind the last index entry.
    fn known(&self) -> Known<'_> {
        let epochs = self.epochs.as_ref().filter(|_| self.is_own_tail());
        Known { epochs: epochs.map(|epochs| (epochs, self.spec.leader_epoch)), ..Known::default() }
    }

    /// The same above the durable point.
    fn known_above(&self) -> Known<'_> {
        Known { is_dense: self.is_own_tail(), ..self.known() }
    }

    /// The same below it.
    fn known_below(&self, point: Option<&DurablePoint>, to: u64) -> Known<'_> {
        let end_offset = point.filter(|point| point.position == to).map(|point| point.flushed);
        let is_short = point.is_some_and(|point| point.position > to);
        Known { end_offset, is_short, ..self.known() }
    }

    /// Walks valid batches from where the facts end up to byte `to`; stops at the first that is none.
    fn tally_to(&self, end: &mut End, to: u64, known: Known<'_>) -> Result<(), OpenError> {
        let file = end.segment.log().get()?;
        let tally = &mut end.tally;
        let start = ScanPoint { position: tally.position, offset: tally.end_offset, epoch: tally.last_epoch };
        let mut scan = Scan::new(&*file, start, to, end.segment.offset_limit(), known);
        while let Some((header, _, bytes)) = scan.next_batch()? {
            tally.add(&end.side.index, &end.side.time, &header, [bytes, &[]]);
            if end.epochs.last().is_none_or(|last| last.0 != header.leader_epoch) {
                end.epochs.push((header.leader_epoch, header.base_offset));
            }
        }
        Ok(())
    }

    /// Looks at the files that hold bytes above the durable point, oldest first, and keeps what is valid without a break.
    fn recover_tail(
        &self,
        found: &[Found],
        segments: &mut Vec<Arc<Segment>>,
    ) -> Result<Option<End>, OpenError> {
        let mut end: Option<End> = None;
        let mut before_epochs = Vec::new();
        for (at, file) in found.iter().enumerate() {
            if let Some(before) = &end {
                if !self.may_follow(before, file) && self.point.is_some() {
                    self.set_aside_files(&found[at..])?;
                    break;
                }
                let closed = end.take().expect("it was just there");
                self.seal(&closed)?;
                segments.push(closed.segment);
                before_epochs = closed.epochs;
            }
            let mut found = self.recover_file(file)?;
            before_epochs.append(&mut found.epochs);
            found.epochs = std::mem::take(&mut before_epochs);
            end = Some(found);
        }
        // The names of the kept files may not be durable yet.
        self.shared.disk().sync_dir(&self.folder)?;
        Ok(end)
    }

    /// Whether a file may be what follows the end of the one before. Other programs' compaction leaves gaps between segments.
    fn may_follow(&self, before: &End, file: &Found) -> bool {
        let may_skip = self.spec.config.is_compacted() && !self.is_own_tail();
        let end = before.tally.end_offset;
        !before.must_roll && (file.base_offset == end || (may_skip && file.base_offset > end))
    }

    fn recover_file(&self, file: &Found) -> Result<End, OpenError> {
        let here = self.point.filter(|point| point.segment_base == file.base_offset);
        let here = here.filter(|_| Rule::KeepBelowPoint.holds());
        let durable = here.map_or(0, |point| point.position);
        let segment = Arc::new(self.segment(file, file.base_offset));
        segment.log().sync()?;
        let page = durable - durable % PAGE_BYTES;
        segment.log().get()?.drop_cache(page, file.len.saturating_sub(page));
        let mut end = match self.open_side(segment.clone(), file, durable)? {
            Some(end) => end,
            None => self.fresh_side(segment, file)?,
        };
        match (&self.point, here) {
            (None, _) => self.keep_all(&mut end, file.len, None)?,
            (Some(_), Some(point)) => self.keep_all(&mut end, point.position.min(file.len), Some(&point))?,
            (Some(_), None) => {}
        }
        if self.point.is_some() && !end.must_roll {
            self.tally_to(&mut end, file.len, self.known_above())?;
            self.cut_torn_tail(&mut end, file)?;
        }
        end.segment.publish(end.tally.position, end.tally.end_offset);
        // Not synced: so that after a kill nothing of this has to be walked again.
        end.side.index.persist()?;
        end.side.time.persist()?;
        Ok(end)
    }

    /// Walks the part in which nothing may be cut. Damage in it is told to readers by an index entry that can't fit.
    fn keep_all(&self, end: &mut End, to: u64, point: Option<&DurablePoint>) -> Result<(), OpenError> {
        let limit = point.map_or(Offset::MAX, |point| point.flushed);
        let known = self.known_below(point, to);
        loop {
            self.tally_to(end, to, known)?;
            if end.tally.position >= to {
                break;
            }
            let file = end.segment.log().get()?;
            let tally = &end.tally;
            let start =
                ScanPoint { position: tally.position, offset: tally.end_offset, epoch: tally.last_epoch };
            let mut scan = Scan::new(&*file, start, to, limit.min(end.segment.offset_limit()), known);
            let span = scan.skip_damage()?;
            let guessed = tally.end_offset.saturating_add((span.end - span.start) as i64);
            let guessed = guessed.min(end.segment.offset_limit());
            let end_offset = span.end_offset.unwrap_or_else(|| point.map_or(guessed, |point| point.flushed));
            self.report_damage(span.first_offset, end_offset);
            end.must_roll |=
                span.end_offset.is_none() && (point.is_none() || point.is_some_and(|p| p.position > to));
            end.tally.add_damage(&end.side.index, &end.side.time, span.end, end_offset);
        }
        let missing =
            point.filter(|point| point.position > end.tally.position || point.flushed > end.tally.end_offset);
        if let Some(point) = missing {
            self.report_damage(end.tally.end_offset, point.flushed);
            let position = end.tally.position;
            end.tally.add_damage(
                &end.side.index,
                &end.side.time,
                position,
                point.flushed.max(end.tally.end_offset),
            );
            end.must_roll = true;
        }
        Ok(())
    }

    fn report_damage(&self, first: Offset, end: Offset) {
        let (topic, partition) = (&self.spec.topic, self.spec.id.partition);
        tracing::error!(%topic, partition, first, end, "stored records are damaged; readers of these offsets are told");
    }

    /// A name that nothing has yet for what is set aside. WHY: a clock that stands still, or was set back, gives one time twice.
    fn free_name(&self, base_offset: Offset) -> Result<PathBuf, OpenError> {
        let ending = format!("cut-{}", self.now_ms);
        let mut path = self.folder.join(file_name(base_offset, &ending));
        let mut number = 1;
        while self.shared.disk().stat(&path)?.is_some() {
            number += 1;
            path = self.folder.join(file_name(base_offset, &format!("{ending}.{number}")));
        }
        if !Rule::KeepSetAside.holds() {
            path = self.folder.join(file_name(base_offset, &ending));
            remove_if_there(self.shared.disk(), &path)?;
        }
        Ok(path)
    }

    /// Sets aside what follows the last valid batch, and cuts the file there.
    fn cut_torn_tail(&self, end: &mut End, file: &Found) -> Result<(), OpenError> {
        let keep = end.tally.position;
        if keep >= file.len {
            return Ok(());
        }
        let disk = self.shared.disk();
        let aside = self.free_name(file.base_offset)?;
        let copy = disk.open(&aside, OpenMode::CreateNew)?;
        let log = end.segment.log();
        let mut position = keep;
        while position < file.len {
            let count = (file.len - position).min(COPY_BYTES as u64) as usize;
            let bytes = read_log(log, position, count)?;
            if bytes.is_empty() {
                break;
            }
            write_full_at(&*copy, &bytes, position - keep)?;
            position += bytes.len() as u64;
        }
        copy.sync_data()?;
        disk.sync_dir(&self.folder)?;
        log.write(|file| file.set_len(keep))?;
        log.sync()?;
        let bytes = file.len - keep;
        tracing::warn!(aside = %aside.display(), bytes, "set aside what a crash left behind the last whole batch");
        Ok(())
    }

    /// Files that can't follow what was kept are renamed, newest first, so that a crash leaves no gap.
    fn set_aside_files(&self, found: &[Found]) -> Result<(), OpenError> {
        let disk = self.shared.disk();
        for file in found.iter().rev() {
            let from = self.folder.join(file_name(file.base_offset, "log"));
            let to = self.free_name(file.base_offset)?;
            disk.rename(&from, &to)?;
            disk.sync_dir(&self.folder)?;
            tracing::warn!(aside = %to.display(), bytes = file.len, "set aside a segment that does not follow the log's end");
        }
        Ok(())
    }

    fn seal(&self, end: &End) -> Result<(), OpenError> {
        let mut tally = end.tally.clone();
        let footer = tally.close(&end.side.index, &end.side.time);
        super::flush::committer::write_footer(&end.segment, &end.side, footer)?;
        Ok(())
    }

    /// Begins a segment behind the log's end, or the first one of a log.
    fn begin_segment(
        &self,
        before: Option<&Arc<Segment>>,
        last_epoch: LeaderEpoch,
    ) -> Result<End, OpenError> {
        let known = self.point.map_or(0, |point| point.flushed);
        let after = before.map_or(0, |segment| segment.end_offset());
        let base_offset = known.max(after).max(self.spec.trim_offset);
        if known > after && before.is_none() && known > self.spec.trim_offset {
            self.report_damage(self.spec.trim_offset, known);
        }
        let disk = self.shared.disk();
        let segment =
            Segment::create(disk, &self.shared.files, &self.folder, self.id(base_offset), self.now_ms)?;
        let segment = Arc::new(segment);
        let side = segment.side(disk)?;
        disk.sync_dir(&self.folder)?;
        let tally = Tally::empty(base_offset, self.now_ms, last_epoch);
        Ok(End { segment, side, tally, must_roll: false, epochs: Vec::new() })
    }

    fn roll_behind(&self, end: &End) -> Result<End, OpenError> {
        self.seal(end)?;
        self.begin_segment(Some(&end.segment), end.tally.last_epoch)
    }

    fn finish(&self, segments: Vec<Arc<Segment>>, end: End) -> Result<Recovered, OpenError> {
        let log_end = end.tally.end_offset;
        let first = segments.first().map_or(log_end, |segment| segment.base_offset());
        let (producers, replayed_from) = self.load_producers(&segments, log_end)?;
        let epochs = self.load_epochs(&segments, &end)?;
        end.segment.note_appends_from(end.tally.position);
        let last_append_time = self.last_append_time(&segments, &end)?;
        let bytes_since_snapshot = if replayed_from < log_end { end.tally.position } else { 0 };
        let writer = Writer {
            active: end.segment.clone(),
            side: end.side,
            written_back: end.tally.position,
            tally: end.tally,
            producers,
            last_append_time,
            leader_epoch: epochs.last_epoch(),
            bytes_since_snapshot,
            room: Room::default(),
        };
        let folder = self.folder.clone();
        let log_start = first.max(self.spec.trim_offset);
        Ok(Recovered { folder, segments, writer, epochs, log_start })
    }

    /// The time of the last batch, where it bears append time: no later one may lie before it.
    fn last_append_time(&self, segments: &[Arc<Segment>], end: &End) -> Result<Timestamp, OpenError> {
        let mut time = end.tally.append_time;
        // What was walked may be nothing: a segment that was only just begun.
        if time == NO_TIMESTAMP && self.spec.config.timestamp_type == TimestampType::Append {
            let log_end = end.tally.end_offset;
            self.each_header(segments, log_end - 1, log_end, |header| {
                time = if header.is_append_time() { header.max_timestamp } else { time };
            })?;
        }
        Ok(time)
    }
}

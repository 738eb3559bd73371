//! What a pass that was cut short leaves in a folder, and how it is put right.
//!
//! | there | it was cut | then |
//! |---|---|---|
//! | `<base>.log.cleaned` | before the log file was renamed | everything aside goes; the old segments are whole |
//! | `<base>.index.cleaned` with a true footer, and no `<base>.log.cleaned` | behind it | segments that begin within the offsets of the new one go, its side files get their names |
//! | anything else aside | while it was made or thrown away | it goes |
//!
//! WHY this is told rightly: the name of the log file aside is durable before the footer is written, and goes last when all is thrown
//! away. So a footer without it proves the rename.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::{Offset, TopicPartition};
use crate::env::Disk;
use crate::env::disk::{DirEntry, DiskResult, OpenMode, remove_if_there};
use crate::env::files::FileCache;
use crate::log::segment::file::{ASIDE, ENDINGS, SIDE_ENDINGS, file_name};
use crate::log::segment::offset_index::OffsetIndex;
use crate::log::segment::side_file::SegmentId;
use crate::log::segment::{Footer, Segment};

/// A folder with a log whose last pass may have been cut short.
struct Folder<'a> {
    disk: &'a Arc<dyn Disk>,
    path: &'a Path,
    log: TopicPartition,
    entries: &'a [DirEntry],
}

/// The ending of a file that stands aside: `index.cleaned`.
fn aside(ending: &str) -> String {
    format!("{ending}.{ASIDE}")
}

/// Puts the folder of a log right that nobody has open. `entries` is what it holds. True: something was changed.
pub(in crate::log) fn settle(
    disk: &Arc<dyn Disk>,
    path: &Path,
    log: TopicPartition,
    entries: &[DirEntry],
) -> DiskResult<bool> {
    let folder = Folder { disk, path, log, entries };
    let bases = folder.bases();
    for base_offset in &bases {
        match folder.footer_of_swapped(*base_offset)? {
            Some(footer) => folder.finish(*base_offset, &footer)?,
            None => discard(&**disk, path, *base_offset)?,
        }
    }
    Ok(!bases.is_empty())
}

/// Segments that have taken the place of others, in a folder that was not put right since: each with its first offset and one past its
/// last. Others that begin within are leftovers.
pub(in crate::log) fn swapped(
    disk: &Arc<dyn Disk>,
    path: &Path,
    log: TopicPartition,
    entries: &[DirEntry],
) -> DiskResult<Vec<(Offset, Offset)>> {
    let folder = Folder { disk, path, log, entries };
    let mut found = Vec::new();
    for base_offset in folder.bases() {
        found.extend(folder.footer_of_swapped(base_offset)?.map(|footer| (base_offset, footer.end_offset)));
    }
    Ok(found)
}

/// Throws away what stands aside. The log file goes last, once the others are durably gone: an index without it would prove a swap.
pub(super) fn discard(disk: &dyn Disk, folder: &Path, base_offset: Offset) -> DiskResult<()> {
    let path = |ending: &str| folder.join(file_name(base_offset, &aside(ending)));
    for ending in SIDE_ENDINGS {
        remove_if_there(disk, &path(ending))?;
    }
    disk.sync_dir(folder)?;
    remove_if_there(disk, &path("log"))
}

/// Throws away what a pass before left aside that could not.
pub(super) fn discard_if_there(disk: &dyn Disk, segment: &Segment) -> DiskResult<()> {
    let path = segment.path_aside("index");
    match disk.stat(&path)? {
        Some(_) => discard(disk, path.parent().expect("a segment lies in a folder"), segment.base_offset()),
        None => Ok(()),
    }
}

/// Gives a file that stands aside its name.
pub(super) fn take_name(disk: &dyn Disk, segment: &Segment, ending: &str) -> DiskResult<()> {
    disk.rename(&segment.path_aside(ending), &segment.path(ending))
}

impl Folder<'_> {
    fn has(&self, base_offset: Offset, ending: &str) -> Option<&DirEntry> {
        let name = file_name(base_offset, ending);
        self.entries.iter().find(|entry| entry.name == name)
    }

    fn file(&self, base_offset: Offset, ending: &str) -> PathBuf {
        self.path.join(file_name(base_offset, ending))
    }

    /// Base offsets of segments that stand aside.
    fn bases(&self) -> BTreeSet<Offset> {
        let endings = ENDINGS.map(|ending| format!(".{}", aside(ending)));
        let stem = |name: &str| endings.iter().find_map(|ending| name.strip_suffix(ending)?.parse().ok());
        self.entries.iter().filter_map(|entry| stem(&entry.name)).collect()
    }

    /// The footer of a new segment whose log file has its name already.
    fn footer_of_swapped(&self, base_offset: Offset) -> DiskResult<Option<Footer>> {
        let index = aside("index");
        if self.has(base_offset, &aside("log")).is_some() || self.has(base_offset, &index).is_none() {
            return Ok(None);
        }
        let cache = FileCache::new(self.disk.clone(), 1);
        let file = cache.file(self.file(base_offset, &index), OpenMode::Read);
        let footer = OffsetIndex::stored_footer(file, SegmentId { log: self.log, base_offset })?;
        let len = self.has(base_offset, "log").map(|entry| entry.len);
        Ok(footer.filter(|footer| len.is_none_or(|len| len == footer.log_bytes)))
    }

    /// Segments that begin within the offsets of a new one, rising; of some only side files may be left.
    fn segments_within(&self, base_offset: Offset, footer: &Footer) -> BTreeSet<Offset> {
        let base = |entry: &DirEntry| {
            let (stem, ending) = entry.name.split_once('.')?;
            stem.parse().ok().filter(|_| ENDINGS.contains(&ending))
        };
        let within = base_offset + 1..footer.end_offset;
        self.entries.iter().filter_map(base).filter(|base| within.contains(base)).collect()
    }

    fn finish(&self, base_offset: Offset, footer: &Footer) -> DiskResult<()> {
        let disk = &**self.disk;
        let replaced = self.segments_within(base_offset, footer);
        tracing::info!(path = %self.file(base_offset, "log").display(), replaced = replaced.len(), "finishes a compaction that was cut short");
        for old in replaced {
            for ending in ENDINGS {
                remove_if_there(disk, &self.file(old, ending))?;
            }
        }
        disk.sync_dir(self.path)?;
        for ending in SIDE_ENDINGS {
            let (from, to) = (self.file(base_offset, &aside(ending)), self.file(base_offset, ending));
            match (self.has(base_offset, "log"), self.has(base_offset, &aside(ending))) {
                (_, None) => {}
                (Some(_), Some(_)) => disk.rename(&from, &to)?,
                // The segment itself is gone since.
                (None, Some(_)) => remove_if_there(disk, &from)?,
            }
        }
        disk.sync_dir(self.path)
    }
}

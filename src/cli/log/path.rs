//! What a path on the command line stands for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::Offset;
use crate::broker::data_dir::{self, META_FILE};
use crate::cli::exit::Failure;
use crate::env::disk::EntryKind;
use crate::env::{Disk, DiskError};
use crate::log::flush::journal::Points;
use crate::log::folder;
use crate::log::segment::file::log_file;
use crate::log::store::JOURNAL_FILE;

/// What a log file is called.
const NAMES: &str = "those are named by an offset of 20 digits and end with .log";

/// Something that holds records.
pub(super) enum Place {
    /// One log file.
    Segment { folder: PathBuf, base_offset: Offset },
    /// The folder of a partition.
    Partition(PathBuf),
    /// A data directory, with its folders of partitions.
    DataDir(PathBuf, Vec<PathBuf>),
}

impl Place {
    /// Finds out what is there.
    ///
    /// Errors: nothing is, or nothing that holds records.
    pub(super) fn find(disk: &Arc<dyn Disk>, path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let there = disk.stat(path).map_err(failed)?;
        let Some(there) = there else {
            return Err(Failure::failed(format!(
                "'{shown}' does not exist; name a data directory, a partition's folder or a .log file"
            )));
        };
        if there.kind == EntryKind::File {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let folder = parent.unwrap_or(Path::new(".")).to_owned();
            return match log_file(&there) {
                Ok(Some(base_offset)) => Ok(Self::Segment { folder, base_offset }),
                Ok(None) => Err(Failure::failed(format!("'{shown}' is no log file: {NAMES}"))),
                Err(what) => Err(Failure::failed(format!("'{shown}' is no log file: {what}; {NAMES}"))),
            };
        }
        // A link to a folder is as good as the folder.
        if there.kind == EntryKind::Other && disk.list(path).is_err() {
            return Err(Failure::failed(format!(
                "'{shown}' is neither a file nor a folder; name a data directory, a partition's folder or a .log file"
            )));
        }
        if data_dir::is_one(&**disk, path).map_err(failed)? {
            let names = folder::list(&**disk, path).map_err(failed)?;
            return Ok(Self::DataDir(path.to_owned(), names.iter().map(|name| path.join(name)).collect()));
        }
        if !log_files(disk, path)?.is_empty()
            || disk.stat(&path.join(folder::META_FILE)).map_err(failed)?.is_some()
        {
            return Ok(Self::Partition(path.to_owned()));
        }
        Err(Failure::failed(format!(
            "'{shown}' is neither a data directory (it has no {META_FILE}) nor a partition's folder (it has no .log file)"
        )))
    }
}

/// Base offsets of the log files in a folder, rising.
pub(super) fn log_files(disk: &Arc<dyn Disk>, folder: &Path) -> Result<Vec<Offset>, Failure> {
    let entries = disk.list(folder).map_err(failed)?;
    let mut bases: Vec<Offset> = entries.iter().filter_map(|entry| log_file(entry).ok().flatten()).collect();
    bases.sort_unstable();
    Ok(bases)
}

/// What the flush journal of the data directory says to which a partition's folder belongs.
pub(super) fn points_for(disk: &Arc<dyn Disk>, folder: &Path) -> Points {
    let journal = folder.parent().map(|data_dir| data_dir.join(JOURNAL_FILE));
    journal.and_then(|path| Points::read(&**disk, &path).ok()).unwrap_or_else(Points::unknown)
}

/// A disk that refuses something.
pub(super) fn failed(error: DiskError) -> Failure {
    Failure::failed(error.to_string())
}

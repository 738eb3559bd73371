//! What a start would find in a data directory, found without one: nothing on the disk is changed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::subscriber::{NoSubscriber, with_default};

use super::start::{StartError, is_known, ready_partitions};
use crate::base::{ClusterId, TopicPartition};
use crate::cluster::metadata_log::{METADATA_ID, METADATA_TOPIC};
use crate::cluster::snapshot::SNAPSHOT_FILE;
use crate::cluster::{Image, MetadataLog};
use crate::env::disk::{DiskResult, EntryKind, OpKind, OpenMode, read_full_at, write_full_at};
use crate::env::{Disk, DiskError, DiskErrorKind, Env, RealClock, Rng, SimDisk};
use crate::log::flush::checkpoint::CheckpointError;
use crate::log::folder::{self, PartitionMeta};
use crate::log::store::JOURNAL_FILE;
use crate::log::{LogStore, StoreOptions};

/// The largest metadata that is looked at, in bytes: far above what a broker writes between two snapshots.
const METADATA_BYTES_MAX: u64 = 1 << 30;
/// Descriptors of a log in memory.
const OPEN_FILES: usize = 16;

const MISSING: &str = "the folder is missing, and the metadata names this partition; it stays offline until the folder is put back from a \
                       copy and the broker started again";
const UNKNOWN: &str = "the metadata names no such partition, so nobody can read it, and the next start moves it to quarantine; restore \
                       all folders from one copy, or move this one away";

const PUT_BACK: &str = "the partition stays offline until the file is put back from a copy";

/// A folder that is not as the metadata says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Misfit {
    /// The folder.
    pub path: PathBuf,
    /// What is wrong, what comes of it, and what to do.
    pub what: String,
}

/// The metadata as a start would load it: one is made on a copy in memory. Paths in errors begin in the data directory.
///
/// Cost: reads the metadata log; as much memory. Errors: a start would fail with the same.
pub fn load_metadata(disk: &dyn Disk, data_dir: &Path) -> Result<Arc<Image>, StartError> {
    // What a broker would log of it is what its caller finds out and tells.
    with_default(NoSubscriber::default(), || load(disk, data_dir))
}

fn load(disk: &dyn Disk, data_dir: &Path) -> Result<Arc<Image>, StartError> {
    let copy = copy_metadata(disk, data_dir)?;
    let env = Env { disk: Arc::new(copy), clock: Arc::new(RealClock::new()), rng: Arc::new(Rng::seeded(0)) };
    let options =
        StoreOptions { disk_reserve_bytes: 0, open_files_max: OPEN_FILES, compaction_memory_bytes: 0 };
    let root = Path::new("");
    let store = LogStore::open(env.clone(), root, options).map_err(StartError::Store)?;
    Ok(MetadataLog::open(env, root, &store)?.image())
}

/// What a start reads before it knows its topics. WHY in this order: a broker that runs meanwhile trims the log behind a snapshot.
fn copy_metadata(disk: &dyn Disk, data_dir: &Path) -> DiskResult<SimDisk> {
    let copy = SimDisk::default();
    let log = PathBuf::from(folder::name_of(METADATA_TOPIC, METADATA_ID.partition));
    let mut files = vec![PathBuf::from(JOURNAL_FILE)];
    let entries = match disk.list(&data_dir.join(&log)) {
        Err(error) if error.kind == DiskErrorKind::NotFound => Vec::new(),
        listed => {
            copy.create_dir(&log)?;
            listed?
        }
    };
    for entry in entries {
        match entry.kind {
            EntryKind::File => files.push(log.join(entry.name)),
            // The log refuses it by its name, whatever it is.
            EntryKind::Dir | EntryKind::Other => copy.create_dir(&log.join(entry.name))?,
        }
    }
    files.push(PathBuf::from(SNAPSHOT_FILE));
    let mut left = METADATA_BYTES_MAX;
    for file in files {
        left = copy_file(disk, &data_dir.join(&file), (&copy, &file), left)?;
    }
    Ok(copy)
}

/// Copies a file of at most `left` bytes, and gives how many are left then. One that is gone is left out.
fn copy_file(disk: &dyn Disk, from: &Path, (copy, to): (&SimDisk, &Path), left: u64) -> DiskResult<u64> {
    let file = match disk.open(from, OpenMode::Read) {
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(left),
        opened => opened?,
    };
    let len = file.len()?;
    let Some(left) = left.checked_sub(len) else {
        let detail = format!("metadata of more than {METADATA_BYTES_MAX} bytes is none that a broker wrote");
        return Err(DiskError {
            kind: DiskErrorKind::Io,
            operation: OpKind::Read,
            path: from.to_owned(),
            detail,
        });
    };
    let mut bytes = vec![0; len as usize];
    let count = read_full_at(&*file, &mut bytes, 0)?;
    let file = copy.open(to, OpenMode::CreateNew)?;
    write_full_at(&*file, &bytes[..count], 0)?;
    file.sync_data()?;
    Ok(left)
}

/// The folders that are not as the metadata in `image` says: missing, somebody else's, or nobody's. Without a cluster, those of any will do.
///
/// Errors: the disk refuses a look.
pub fn misfits(
    disk: &dyn Disk,
    data_dir: &Path,
    cluster: Option<ClusterId>,
    image: &Image,
) -> DiskResult<Vec<Misfit>> {
    let mut found = Vec::new();
    let mut named = HashSet::new();
    for (name, id) in image.topics().flat_map(|topic| ready_partitions(topic)) {
        let path = data_dir.join(&name);
        if let Some(what) = misfit(disk, &path, id, cluster)? {
            found.push(Misfit { path, what });
        }
        named.insert(name);
    }
    for name in folder::list(disk, data_dir)? {
        let path = data_dir.join(&name);
        // One that does not say whose it is is told of for itself.
        if !named.contains(&name)
            && !is_known(image, disk, data_dir, &name)
            && folder::read_meta(disk, &path).is_ok()
        {
            found.push(Misfit { path, what: UNKNOWN.to_owned() });
        }
    }
    Ok(found)
}

/// What is wrong with the folder of a partition; `None` for one that is as it should be.
fn misfit(
    disk: &dyn Disk,
    path: &Path,
    id: TopicPartition,
    cluster: Option<ClusterId>,
) -> DiskResult<Option<String>> {
    let Some(there) = disk.stat(path)? else {
        return Ok(Some(MISSING.to_owned()));
    };
    if there.kind != EntryKind::Dir {
        return Ok(Some(format!("the partition is offline: {}", folder::elsewhere(path))));
    }
    let is_expected =
        |found: PartitionMeta| found.id == id && cluster.is_none_or(|cluster| found.cluster_id == cluster);
    Ok(match folder::read_meta(disk, path) {
        Ok(found) if !is_expected(found) => Some(format!(
            "it belongs to partition {} of cluster {}, where that of partition {id} should be; the partition stays offline until \
             its own folder is put here from a copy",
            found.id, found.cluster_id
        )),
        Ok(_) => None,
        Err(CheckpointError::Disk(error)) => {
            Some(format!("the partition is offline: {error}; {}", error.advice()))
        }
        Err(CheckpointError::Missing) => Some(format!("{} in it is missing; {PUT_BACK}", folder::META_FILE)),
        Err(error) => Some(format!("{error}; {PUT_BACK}")),
    })
}

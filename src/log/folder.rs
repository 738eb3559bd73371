//! The folders of partitions: made, found, retired, purged, so that a crash at any step can be finished later.
//!
//! | name in the data directory | meaning |
//! |---|---|
//! | `<topic>-<partition>` | a partition's log |
//! | `creating-<topic id>-<partition>.new` | one being made; never looked at again after a crash |
//! | `deleted/<topic id>-<partition>` | one of a deleted topic, waiting to be unlinked |
//! | `quarantine/…` | one whose id nobody knows, kept for a person to look at |
//!
//! Each partition folder says whose it is in `partition.meta`, a checkpoint file ([`checkpoint`]) with this body:
//!
//! | at | bytes | field |
//! |---:|---:|---|
//! | 0 | 16 | cluster id |
//! | 16 | 16 | topic id |
//! | 32 | 4 | partition, big-endian |

use std::fmt;
use std::path::{Path, PathBuf};

use crate::base::limits::SYNCFS_FILES_MIN;
use crate::base::{ClusterId, TopicId, TopicPartition};
use crate::env::disk::{DiskErrorKind, DiskResult, EntryKind, OpenMode};
use crate::env::rule::Rule;
use crate::env::{Disk, DiskError};
use crate::log::flush::checkpoint::{self, CheckpointError, FileKind};

/// Name of the file that says whose a folder is.
pub const META_FILE: &str = "partition.meta";
/// Where folders of deleted topics wait to be unlinked.
pub const DELETED_DIR: &str = "deleted";
/// Where folders with unknown ids are kept.
pub const QUARANTINE_DIR: &str = "quarantine";

const META_KIND: FileKind = FileKind { magic: *b"WEIRPART", version: 1 };
const META_BYTES: usize = 36;
const CREATING_PREFIX: &str = "creating-";
/// A topic's folder ends with its partition, so no topic's folder can have such a name.
const CREATING_SUFFIX: &str = ".new";

/// Whose folder it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartitionMeta {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// The partition.
    pub id: TopicPartition,
}

impl PartitionMeta {
    fn encode(&self) -> [u8; META_BYTES] {
        let mut body = [0u8; META_BYTES];
        body[..16].copy_from_slice(&self.cluster_id.0);
        body[16..32].copy_from_slice(&self.id.topic_id.0);
        body[32..].copy_from_slice(&self.id.partition.to_be_bytes());
        body
    }

    fn decode(body: &[u8]) -> Option<Self> {
        if body.len() != META_BYTES {
            return None;
        }
        let cluster_id = ClusterId(body[..16].try_into().ok()?);
        let topic_id = TopicId::from_slice(&body[16..32])?;
        let partition = i32::from_be_bytes(body[32..].try_into().ok()?);
        Some(Self { cluster_id, id: TopicPartition { topic_id, partition } })
    }
}

/// Why a folder could not be made.
#[derive(Clone, Debug)]
pub enum FolderError {
    /// The name belongs to another partition.
    Taken {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        by: PartitionMeta,
    },
    /// The disk failed.
    Disk(DiskError),
}

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { path, by } => {
                write!(
                    f,
                    "folder {} belongs to partition {} of cluster {}",
                    path.display(),
                    by.id,
                    by.cluster_id
                )
            }
            Self::Disk(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FolderError {}

impl From<DiskError> for FolderError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

/// The folder of a partition.
pub fn path_of(data_dir: &Path, topic: &str, partition: i32) -> PathBuf {
    data_dir.join(name_of(topic, partition))
}

/// Name of the folder of a partition.
pub fn name_of(topic: &str, partition: i32) -> String {
    format!("{topic}-{partition}")
}

/// Makes `deleted/` and `quarantine/` where they are missing. WHY before anybody needs them: a disk without room for another file
/// has none for a folder either, and a delete is what makes room.
///
/// Cost: a sync for each that is made. Errors: no room, first of all; what needs one of them tries again.
pub fn make_places(disk: &dyn Disk, data_dir: &Path) -> DiskResult<()> {
    if !Rule::MakePlaces.holds() {
        return Ok(());
    }
    [DELETED_DIR, QUARANTINE_DIR].iter().try_for_each(|name| ensure_dir(disk, data_dir, name).map(drop))
}

/// Makes the folders of some partitions of one topic, each with its `partition.meta`. Those that are there already
/// stay as they are. All are durable when this returns.
///
/// Cost: a few folders take three syncs each, many take one of the file system; and one for all. Errors:
/// [`FolderError::Taken`]; after an error some may be there, but none that is not whole.
pub fn create(
    disk: &dyn Disk,
    data_dir: &Path,
    topic: &str,
    metas: impl IntoIterator<Item = PartitionMeta>,
) -> Result<(), FolderError> {
    let mut made = Vec::new();
    let done = make_all(disk, data_dir, topic, metas, &mut made);
    if done.is_err() {
        // On a full disk they take what others need; what can't be removed now the next start removes.
        made.iter().for_each(|(aside, _)| remove_tree(disk, aside).unwrap_or_default());
    }
    done
}

/// Fills `made` with each folder and the name that it gets.
fn make_all(
    disk: &dyn Disk,
    data_dir: &Path,
    topic: &str,
    metas: impl IntoIterator<Item = PartitionMeta>,
    made: &mut Vec<(PathBuf, PathBuf)>,
) -> Result<(), FolderError> {
    for meta in metas {
        let path = path_of(data_dir, topic, meta.id.partition);
        match occupant(disk, &path)? {
            Occupant::Partition(found) if found == meta => continue,
            Occupant::Partition(by) => return Err(FolderError::Taken { path, by }),
            Occupant::Unknown => quarantine(disk, data_dir, &name_of(topic, meta.id.partition))?,
            Occupant::Nobody => {}
        }
        let aside = data_dir.join(format!("{CREATING_PREFIX}{}{CREATING_SUFFIX}", meta.id));
        remove_tree(disk, &aside)?;
        disk.create_dir(&aside)?;
        let meta_file = aside.join(META_FILE);
        made.push((aside, path));
        checkpoint::write_unsynced(disk, &meta_file, META_KIND, &meta.encode())?;
    }
    if made.len() >= SYNCFS_FILES_MIN {
        disk.sync_file_system(data_dir)?;
    } else {
        made.iter().try_for_each(|(aside, _)| sync_made(disk, aside))?;
    }
    made.iter().try_for_each(|(aside, path)| disk.rename(aside, path))?;
    Ok(disk.sync_dir(data_dir)?)
}

/// Makes a folder and its `partition.meta` durable before it gets its name.
fn sync_made(disk: &dyn Disk, aside: &Path) -> DiskResult<()> {
    disk.open(&aside.join(META_FILE), OpenMode::Write)?.sync_data()?;
    disk.sync_dir(aside)
}

/// Removes what creates that a crash cut short left behind.
pub fn clear_unfinished(disk: &dyn Disk, data_dir: &Path) -> DiskResult<()> {
    for entry in disk.list(data_dir)? {
        if is_unfinished(&entry.name) {
            remove_tree(disk, &data_dir.join(&entry.name))?;
        }
    }
    Ok(())
}

/// Whether a name is that of a folder being made.
pub fn is_unfinished(name: &str) -> bool {
    name.starts_with(CREATING_PREFIX) && name.ends_with(CREATING_SUFFIX)
}

/// Reads whose folder it is. Errors: `Missing` when folder or file are not there.
pub fn read_meta(disk: &dyn Disk, folder: &Path) -> Result<PartitionMeta, CheckpointError> {
    let path = folder.join(META_FILE);
    let body = checkpoint::read(disk, &path, META_KIND)?;
    PartitionMeta::decode(&body)
        .ok_or(CheckpointError::Damaged { path, what: "its body has the wrong length" })
}

/// Whether `path` is a folder of its own or missing. WHY no link: what a sync of the data directory's file system makes
/// durable would end where the link leads to another one.
pub fn is_own(disk: &dyn Disk, path: &Path) -> DiskResult<bool> {
    Ok(disk.stat(path)?.is_none_or(|entry| entry.kind == EntryKind::Dir))
}

/// What to say of a folder that is not its own.
pub fn elsewhere(path: &Path) -> String {
    format!(
        "{} is a link or a file: stop the broker, put the folder itself there, and start again",
        path.display()
    )
}

/// What stands where a partition's folder would.
enum Occupant {
    Nobody,
    Partition(PartitionMeta),
    /// Something that does not say whose it is.
    Unknown,
}

fn occupant(disk: &dyn Disk, path: &Path) -> DiskResult<Occupant> {
    match disk.stat(path)? {
        None => return Ok(Occupant::Nobody),
        Some(entry) if entry.kind != EntryKind::Dir => return Ok(Occupant::Unknown),
        Some(_) => {}
    }
    match read_meta(disk, path) {
        Ok(meta) => Ok(Occupant::Partition(meta)),
        Err(CheckpointError::Disk(error)) => Err(error),
        Err(_) => Ok(Occupant::Unknown),
    }
}

/// Names of all folders that have the form of a partition's name; whose they are says [`read_meta`].
pub fn list(disk: &dyn Disk, data_dir: &Path) -> DiskResult<Vec<String>> {
    let folders = disk.list(data_dir)?.into_iter().filter(|entry| entry.kind == EntryKind::Dir);
    Ok(folders.map(|entry| entry.name).filter(|name| is_partition_name(name)).collect())
}

fn is_partition_name(name: &str) -> bool {
    let Some((topic, partition)) = name.rsplit_once('-') else { return false };
    !topic.is_empty() && !partition.is_empty() && partition.bytes().all(|byte| byte.is_ascii_digit())
}

/// Moves the folders of some partitions of a deleted topic to `deleted/`, durable when this returns. A folder that is
/// missing, or belongs to a later topic of the same name, counts as done; one that does not say whose it is goes to
/// quarantine, so that the name is free.
///
/// Before: the logs are closed. Cost: two syncs for all.
pub fn retire(
    disk: &dyn Disk,
    data_dir: &Path,
    topic: &str,
    ids: impl IntoIterator<Item = TopicPartition>,
) -> DiskResult<()> {
    let deleted = ensure_dir(disk, data_dir, DELETED_DIR)?;
    for id in ids {
        let path = path_of(data_dir, topic, id.partition);
        match occupant(disk, &path)? {
            Occupant::Partition(meta) if meta.id == id => {
                let target = deleted.join(id.to_string());
                // WHY: after a crash that kept the new name and not the loss of the old one, both are there.
                remove_tree(disk, &target)?;
                disk.rename(&path, &target)?;
            }
            Occupant::Unknown => quarantine(disk, data_dir, &name_of(topic, id.partition))?,
            Occupant::Partition(_) | Occupant::Nobody => {}
        }
    }
    disk.sync_dir(&deleted)?;
    disk.sync_dir(data_dir)
}

/// Unlinks retired folders; nothing of them is left after a power cut when this returns. Missing ones count as done.
pub fn purge(
    disk: &dyn Disk,
    data_dir: &Path,
    ids: impl IntoIterator<Item = TopicPartition>,
) -> DiskResult<()> {
    let deleted = data_dir.join(DELETED_DIR);
    if disk.stat(&deleted)?.is_none() {
        return Ok(());
    }
    for id in ids {
        remove_tree(disk, &deleted.join(id.to_string()))?;
    }
    disk.sync_dir(&deleted)
}

/// Moves a folder out of the way, to `quarantine/` under its name or, when that is taken, with a number after it.
/// Durable when this returns; nothing in it is changed.
pub fn quarantine(disk: &dyn Disk, data_dir: &Path, name: &str) -> DiskResult<()> {
    let folder = ensure_dir(disk, data_dir, QUARANTINE_DIR)?;
    let mut target = folder.join(name);
    let mut number = 1;
    while disk.stat(&target)?.is_some() {
        number += 1;
        target = folder.join(format!("{name}.{number}"));
    }
    disk.rename(&data_dir.join(name), &target)?;
    disk.sync_dir(&folder)?;
    disk.sync_dir(data_dir)
}

/// Removes a folder with all that is in it, or a file; a missing one is fine. Not durable before its parent is synced.
pub fn remove_tree(disk: &dyn Disk, path: &Path) -> DiskResult<()> {
    match disk.stat(path)? {
        None => Ok(()),
        Some(entry) if entry.kind == EntryKind::Dir => {
            for child in disk.list(path)? {
                remove_tree(disk, &path.join(child.name))?;
            }
            disk.remove_dir(path)
        }
        Some(_) => disk.remove_file(path),
    }
}

fn ensure_dir(disk: &dyn Disk, data_dir: &Path, name: &str) -> DiskResult<PathBuf> {
    let path = data_dir.join(name);
    match disk.create_dir(&path) {
        Ok(()) => disk.sync_dir(data_dir)?,
        Err(error) if error.kind == DiskErrorKind::Exists => {}
        Err(error) => return Err(error),
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::env::SimDisk;
    use crate::env::sim_disk::{EnumerateOptions, enumerate};

    const CLUSTER: ClusterId = ClusterId([9; 16]);

    fn id(topic: u8, partition: i32) -> TopicPartition {
        TopicPartition { topic_id: TopicId([topic; 16]), partition }
    }

    fn metas(topic: u8) -> impl Iterator<Item = PartitionMeta> {
        (0..2).map(move |partition| PartitionMeta { cluster_id: CLUSTER, id: id(topic, partition) })
    }

    fn ids(topic: u8) -> impl Iterator<Item = TopicPartition> {
        (0..2).map(move |partition| id(topic, partition))
    }

    fn root() -> &'static Path {
        Path::new("/")
    }

    fn names(disk: &SimDisk, path: &str) -> Vec<String> {
        disk.list(Path::new(path)).unwrap_or_default().into_iter().map(|entry| entry.name).collect()
    }

    #[test]
    fn many_folders_are_durable_with_one_sync_of_the_file_system() {
        let disk = SimDisk::default();
        let metas = || (0..40).map(|partition| PartitionMeta { cluster_id: CLUSTER, id: id(1, partition) });
        create(&disk, root(), "a", metas()).expect("made");
        let crashed = disk.crash(|_| false, None);
        for meta in metas() {
            assert_eq!(read_meta(&crashed, &path_of(root(), "a", meta.id.partition)).expect("there"), meta);
        }
        assert!(disk.trace().iter().filter(|op| op.kind.is_sync()).count() <= 2);
    }

    /// A topic is made, deleted, and made again. Returns how many steps were answered.
    fn live_and_die(disk: &SimDisk) -> Result<(), (u8, String)> {
        let step =
            |number: u8, result: Result<(), FolderError>| result.map_err(|error| (number, error.to_string()));
        step(0, create(disk, root(), "a", metas(1)))?;
        step(1, retire(disk, root(), "a", ids(1)).map_err(FolderError::from))?;
        step(2, create(disk, root(), "a", metas(2)))?;
        step(3, purge(disk, root(), ids(1)).map_err(FolderError::from))
    }

    fn is_there(disk: &SimDisk, topic: u8) -> Result<(), String> {
        for meta in metas(topic) {
            let found = read_meta(disk, &path_of(root(), "a", meta.id.partition));
            if !matches!(found, Ok(found) if found == meta) {
                return Err(format!("{}: {found:?}", meta.id));
            }
        }
        Ok(())
    }

    /// What holds at once after the steps that were answered, before anything is finished.
    fn check_promises(disk: &SimDisk, answered: u8) -> Result<(), String> {
        match answered {
            1 if names(disk, "/deleted").is_empty() && names(disk, "/") == ["a-0", "a-1"] => {
                is_there(disk, 1)
            }
            2 => match (is_there(disk, 1), names(disk, "/deleted").len()) {
                (Err(_), 2) => Ok(()),
                (old, kept) => Err(format!("{old:?} {kept}")),
            },
            3 => is_there(disk, 2),
            4 if !names(disk, "/deleted").is_empty() => Err("purged folder is back".to_owned()),
            _ => Ok(()),
        }
    }

    #[test]
    fn a_crash_at_any_step_can_be_finished() {
        let report = enumerate(
            &SimDisk::default(),
            EnumerateOptions::default(),
            |disk: &Arc<SimDisk>| live_and_die(disk).map_or_else(|(step, _)| step, |()| 4),
            |disk, _, &answered| {
                check_promises(&disk, answered)?;
                clear_unfinished(&disk, root()).map_err(|error| error.to_string())?;
                // A start knows from its metadata which step was due, and does it again.
                let result = match answered {
                    0 => create(&disk, root(), "a", metas(1)),
                    1 => retire(&disk, root(), "a", ids(1)).map_err(FolderError::from),
                    _ => retire(&disk, root(), "a", ids(1))
                        .map_err(FolderError::from)
                        .and_then(|()| create(&disk, root(), "a", metas(2)))
                        .and_then(|()| Ok(purge(&disk, root(), ids(1))?)),
                };
                result.map_err(|error| format!("after {answered} steps: {error}"))?;
                match answered {
                    0 => is_there(&disk, 1),
                    1 => is_there(&disk, 1).map_or(Ok(()), |()| Err("still there".to_owned())),
                    _ if names(&disk, "/deleted").is_empty() => is_there(&disk, 2),
                    _ => Err("something is left".to_owned()),
                }
            },
        );
        report.assert_holds();
        assert!(report.states > 500, "{}", report.states);
    }

    #[test]
    fn a_later_topic_of_the_same_name_is_left_alone() {
        let disk = SimDisk::default();
        create(&disk, root(), "a", metas(2)).expect("new");
        retire(&disk, root(), "a", ids(1)).expect("counts as done");
        is_there(&disk, 2).expect("untouched");
        let error = create(&disk, root(), "a", metas(1)).expect_err("taken");
        assert!(matches!(error, FolderError::Taken { by, .. } if by.id == id(2, 0)));
    }

    #[test]
    fn a_folder_that_does_not_say_whose_it_is_goes_to_quarantine() {
        let disk = SimDisk::default();
        create(&disk, root(), "a", metas(1)).expect("new");
        disk.remove_file(Path::new("/a-0/partition.meta")).expect("there");
        disk.open(Path::new("/a-0/precious.log"), OpenMode::CreateNew).expect("new");
        retire(&disk, root(), "a", ids(1)).expect("works");
        assert_eq!(names(&disk, "/quarantine/a-0"), ["precious.log"]);
        disk.create_dir(Path::new("/a-0")).expect("new");
        quarantine(&disk, root(), "a-0").expect("works");
        assert_eq!(names(&disk, "/quarantine"), ["a-0", "a-0.2"]);
    }

    #[test]
    fn only_partition_folders_are_listed() {
        let disk = SimDisk::default();
        create(&disk, root(), "a.b-c", metas(1)).expect("new");
        for name in ["/lost+found", "/a-", "/-0", "/a-x", "/creating-0-0.new", "/quarantine"] {
            disk.create_dir(Path::new(name)).expect("new");
        }
        disk.open(Path::new("/file-0"), OpenMode::CreateNew).expect("new");
        let found = list(&disk, root()).expect("works");
        assert_eq!(found, ["a.b-c-0", "a.b-c-1"]);
    }
}

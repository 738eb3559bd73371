//! The data directory: whose it is, who holds it, and how a first start makes it.
//!
//! `weir.meta` is a checkpoint file ([`checkpoint`]); its version is the format version of the whole directory. Body:
//!
//! | at | bytes | field |
//! |---:|---:|---|
//! | 0 | 16 | cluster id |
//! | 16 | 4 | node id, big-endian |
//! | 20 | 16 | directory id |
//!
//! A first start makes the marker `formatting`, then the folder of the metadata log, `deleted/` and `quarantine/`, then
//! `weir.meta`, and then removes the marker; each step is durable before the next. So with the marker and without `weir.meta` there is nothing to
//! lose, and it begins again.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::base::{ClusterId, TopicPartition};
use crate::cluster::metadata_log::{METADATA_ID, METADATA_TOPIC};
use crate::cluster::snapshot::SNAPSHOT_FILE;
use crate::env::disk::{DiskErrorKind, DiskResult, EntryKind, OpKind, OpenMode, read_full_at};
use crate::env::rule::Rule;
use crate::env::{Disk, DiskError, Env};
use crate::log::flush::checkpoint::{self, CheckpointError, FileKind};
use crate::log::folder::{self, FolderError, PartitionMeta};
use crate::log::store::JOURNAL_FILE;

/// Name of the file that says whose the directory is.
pub const META_FILE: &str = "weir.meta";
/// Name of the file that a running broker holds locked.
pub const LOCK_FILE: &str = "weir.lock";
/// Name of the marker of an unfinished first start.
pub const FORMATTING_FILE: &str = "formatting";

const META_KIND: FileKind = FileKind { magic: *b"WEIRDIR\0", version: 1 };
const META_BYTES: usize = 36;
/// Names that a directory may hold before its first start.
const NAMES_BEFORE: [&str; 2] = [LOCK_FILE, "lost+found"];
/// Most names that a refusal shows.
const NAMES_SHOWN_MAX: usize = 5;

/// What `weir.meta` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DirectoryMeta {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// The node.
    pub node_id: i32,
    /// 16 random bytes: this directory and no copy of it.
    pub directory_id: [u8; 16],
}

/// Why a data directory can't be used.
#[derive(Debug)]
pub enum DataDirError {
    /// A running broker holds it.
    Locked {
        /// The directory.
        path: PathBuf,
        /// What the lock says of its holder.
        holder: String,
    },
    /// It is a file, a pipe or the like.
    NotFolder {
        /// What was named.
        path: PathBuf,
    },
    /// It holds something, but not `weir.meta`.
    NotWeir {
        /// The directory.
        path: PathBuf,
        /// Some of what it holds.
        names: Vec<String>,
    },
    /// It holds what a broker keeps, but not `weir.meta`.
    NoMeta {
        /// Where `weir.meta` should be.
        path: PathBuf,
    },
    /// It belongs to another node.
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: i32,
        /// Whose it should be.
        expected: i32,
    },
    /// `weir.meta` is there, but not the metadata log, or that of another cluster.
    NoMetadataLog {
        /// Folder of the metadata log.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// `weir.meta` is damaged, or of a newer Weir.
    Meta(CheckpointError),
    /// The disk failed.
    Disk(DiskError),
}

impl fmt::Display for DataDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { path, holder } => write!(
                f,
                "data directory {} is locked by {holder}; stop that broker, or use another directory",
                path.display()
            ),
            Self::NotFolder { path } => {
                write!(f, "{} is not a folder; a data directory is one: choose another", path.display())
            }
            Self::NotWeir { path, names } => write!(
                f,
                "{} is not a data directory of Weir: it has no {META_FILE} but holds {}; use an empty directory",
                path.display(),
                names.join(", ")
            ),
            Self::NoMeta { path } => write!(
                f,
                "{} is missing, of a data directory that holds partitions; no broker starts here until it is put back from a copy",
                path.display()
            ),
            Self::OtherNode { path, found, expected } => write!(
                f,
                "data directory {} belongs to node {found}, not to node {expected}; \
                 correct node.id, or use another directory",
                path.display()
            ),
            Self::NoMetadataLog { path, what } => write!(
                f,
                "the metadata log {} can't be used: {what}; restore it from a copy, or use an empty directory",
                path.display()
            ),
            Self::Meta(error @ CheckpointError::Newer { .. }) => {
                write!(f, "{error}; start the newer version again, or use another directory")
            }
            Self::Meta(error) => write!(f, "{error}; restore it from a copy, or use an empty directory"),
            Self::Disk(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DataDirError {}

impl From<DiskError> for DataDirError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

/// A data directory that this process holds; given up on drop.
pub struct DataDir {
    /// Where it is.
    pub path: PathBuf,
    /// Whose it is.
    pub meta: DirectoryMeta,
    _locks: [Box<dyn Send + Sync>; 2],
}

impl fmt::Debug for DataDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataDir").field("path", &self.path).field("meta", &self.meta).finish_non_exhaustive()
    }
}

impl DataDir {
    /// Locks the directory, and makes it what it has to be when it is missing or empty.
    ///
    /// Holds after: `weir.meta` and the folder of the metadata log are there, and durable. Errors: nothing that was
    /// there before is changed.
    pub fn open(env: &Env, path: &Path, node_id: i32) -> Result<Self, DataDirError> {
        let disk = &*env.disk;
        refuse_other(disk, path)?;
        ensure_path(disk, path)?;
        let locked = |holder| DataDirError::Locked { path: path.to_owned(), holder };
        // WHY the folder as well as the file: a file that somebody clears away would lock nobody out.
        let Some(folder) = disk.lock_dir(path)? else { return Err(locked(holder(disk, path))) };
        // WHY before the file: what is refused stays as it was.
        look(disk, path, node_id)?;
        let owner = format!("pid {}", std::process::id());
        let file = disk.lock(&path.join(LOCK_FILE), &owner).map_err(|refusal| match refusal {
            Ok(holder) => locked(holder),
            Err(error) => DataDirError::Disk(error),
        })?;
        // WHY again: where folders can't be locked, another broker may have been here until now.
        let meta = match look(disk, path, node_id)? {
            Some(meta) => {
                // An older Weir made them when they were needed. Without room a start is no reason to end.
                if let Err(error) = folder::make_places(disk, path) {
                    tracing::warn!(%error, "a folder that a delete needs can't be made");
                }
                meta
            }
            None => format_new(env, path, node_id)?,
        };
        remove_marker(disk, path)?;
        Ok(Self { path: path.to_owned(), meta, _locks: [folder, file] })
    }
}

/// Who holds the directory, as far as its lock file tells.
fn holder(disk: &dyn Disk, path: &Path) -> String {
    // Longer than any that a broker writes.
    let mut text = [0; 64];
    let read = disk.open(&path.join(LOCK_FILE), OpenMode::Read);
    let count = read.and_then(|file| read_full_at(&*file, &mut text, 0)).unwrap_or(0);
    match String::from_utf8_lossy(&text[..count]).trim() {
        "" => "another process".to_owned(),
        owner => owner.to_owned(),
    }
}

/// Whether a folder holds what only a data directory does, though it may lack the rest.
pub fn is_one(disk: &dyn Disk, path: &Path) -> DiskResult<bool> {
    let log = folder::name_of(METADATA_TOPIC, METADATA_ID.partition);
    let names = [META_FILE, JOURNAL_FILE, SNAPSHOT_FILE, &log];
    let is_partition = |name: &String| folder::read_meta(disk, &path.join(name)).is_ok();
    Ok(disk.list(path)?.iter().any(|entry| names.contains(&entry.name.as_str()))
        || folder::list(disk, path)?.iter().any(is_partition))
}

/// Whether a folder is that of the metadata log.
pub fn is_metadata_log(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| *name == *folder::name_of(METADATA_TOPIC, METADATA_ID.partition))
}

/// Whose the directory is; `None` when it may be made ours. Changes nothing. Errors: it can't be used.
fn look(disk: &dyn Disk, path: &Path, node_id: i32) -> Result<Option<DirectoryMeta>, DataDirError> {
    match whose(disk, path)? {
        Some(meta) if meta.node_id != node_id => {
            Err(DataDirError::OtherNode { path: path.to_owned(), found: meta.node_id, expected: node_id })
        }
        found => Ok(found),
    }
}

/// The same, whatever node it belongs to.
pub fn whose(disk: &dyn Disk, path: &Path) -> Result<Option<DirectoryMeta>, DataDirError> {
    match checkpoint::read(disk, &path.join(META_FILE), META_KIND) {
        Ok(body) => check(disk, path, &body).map(Some),
        Err(CheckpointError::Missing) => refuse_foreign(disk, path).map(|()| None),
        Err(CheckpointError::Disk(error)) => Err(error.into()),
        Err(error) => Err(DataDirError::Meta(error)),
    }
}

/// What a start would find.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// Nothing: a start makes it.
    New,
    /// An empty folder, or an unfinished first start: a start fills it.
    Empty,
    /// A data directory of this node.
    Ready,
}

/// Looks at a directory as a start would, makes nothing and locks nothing, so that no start fails because of it: what
/// [`DataDir::open`] would refuse, it refuses.
///
/// Errors: those of [`DataDir::open`]; [`DataDirError::Locked`] while a broker runs on it, as far as the system tells.
pub fn inspect(disk: &dyn Disk, path: &Path, node_id: i32) -> Result<Found, DataDirError> {
    refuse_other(disk, path)?;
    if disk.stat(path)?.is_none() {
        disk.may_make(OpKind::CreateDir, first_missing(disk, path)?)?;
        return Ok(Found::New);
    }
    if disk.is_locked(path)? || disk.is_locked(&path.join(LOCK_FILE))? {
        return Err(DataDirError::Locked { path: path.to_owned(), holder: holder(disk, path) });
    }
    let meta = look(disk, path, node_id)?;
    disk.may_make(OpKind::Create, &path.join(META_FILE))?;
    Ok(meta.map_or(Found::Empty, |_| Found::Ready))
}

/// The first part of a path that is not there; the rest of it is not either.
fn first_missing<'a>(disk: &dyn Disk, path: &'a Path) -> DiskResult<&'a Path> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) if disk.stat(parent)?.is_none() => first_missing(disk, parent),
        _ => Ok(path),
    }
}

/// Errors: something is there that is no folder.
fn refuse_other(disk: &dyn Disk, path: &Path) -> Result<(), DataDirError> {
    let refused = || Err(DataDirError::NotFolder { path: path.to_owned() });
    match disk.stat(path) {
        Ok(Some(there)) if there.kind == EntryKind::File => refused(),
        // What stands above it is a file.
        Err(error) if error.kind == DiskErrorKind::WrongKind => refused(),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

/// Makes the folder and those above it. Durable when this returns.
fn ensure_path(disk: &dyn Disk, path: &Path) -> DiskResult<()> {
    if path.as_os_str().is_empty() || disk.stat(path)?.is_some() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ensure_path(disk, parent)?;
    disk.create_dir(path)?;
    disk.sync_dir(parent)
}

fn check(disk: &dyn Disk, path: &Path, body: &[u8]) -> Result<DirectoryMeta, DataDirError> {
    let meta = DirectoryMeta::decode(body).ok_or_else(|| {
        let what = "its body has the wrong length";
        DataDirError::Meta(CheckpointError::Damaged { path: path.join(META_FILE), what })
    })?;
    let log = metadata_folder(path);
    let refuse = |what: String| Err(DataDirError::NoMetadataLog { path: log.clone(), what });
    if !folder::is_own(disk, &log)? {
        return refuse("it is a link or a file, not a folder".to_owned());
    }
    match folder::read_meta(disk, &log) {
        Ok(found) if found == metadata_meta(meta.cluster_id) => Ok(meta),
        Ok(found) => refuse(format!("it belongs to partition {} of cluster {}", found.id, found.cluster_id)),
        Err(CheckpointError::Missing) => refuse("it is missing".to_owned()),
        Err(CheckpointError::Disk(error)) => Err(error.into()),
        Err(error) => refuse(error.to_string()),
    }
}

fn format_new(env: &Env, path: &Path, node_id: i32) -> Result<DirectoryMeta, DataDirError> {
    let disk = &*env.disk;
    put_marker(disk, path)?;
    folder::remove_tree(disk, &metadata_folder(path))?;
    folder::clear_unfinished(disk, path)?;
    let meta = DirectoryMeta { cluster_id: ClusterId(env.rng.id()), node_id, directory_id: env.rng.id() };
    folder::create(disk, path, METADATA_TOPIC, [metadata_meta(meta.cluster_id)]).map_err(
        |error| match error {
            FolderError::Disk(error) => DataDirError::Disk(error),
            FolderError::Taken { path, by } => {
                DataDirError::NoMetadataLog { path, what: format!("it belongs to {}", by.id) }
            }
        },
    )?;
    folder::make_places(disk, path)?;
    checkpoint::write(disk, &path.join(META_FILE), META_KIND, &meta.encode())?;
    Ok(meta)
}

/// Refuses a directory without `weir.meta` that holds what neither a mount nor an unfinished first start leaves there.
fn refuse_foreign(disk: &dyn Disk, path: &Path) -> Result<(), DataDirError> {
    let entries = disk.list(path)?;
    if entries.iter().any(|entry| entry.name == META_FILE) {
        return Ok(());
    }
    let unfinished = entries.iter().any(|entry| entry.name == FORMATTING_FILE);
    let is_own = |name: &str| {
        NAMES_BEFORE.contains(&name)
            || (unfinished
                && (name == FORMATTING_FILE
                    || name == folder::name_of(METADATA_TOPIC, METADATA_ID.partition)
                    || [folder::DELETED_DIR, folder::QUARANTINE_DIR].contains(&name)
                    || Path::new(name) == Path::new(META_FILE).with_extension("tmp")
                    || folder::is_unfinished(name)))
    };
    let mut names: Vec<String> =
        entries.into_iter().map(|entry| entry.name).filter(|name| !is_own(name)).collect();
    if names.is_empty() {
        return Ok(());
    }
    if !unfinished && is_one(disk, path)? {
        return Err(DataDirError::NoMeta { path: path.join(META_FILE) });
    }
    if names.len() > NAMES_SHOWN_MAX {
        names.truncate(NAMES_SHOWN_MAX);
        names.push("…".to_owned());
    }
    Err(DataDirError::NotWeir { path: path.to_owned(), names })
}

fn put_marker(disk: &dyn Disk, path: &Path) -> DiskResult<()> {
    if !Rule::MarkFormatting.holds() {
        return Ok(());
    }
    match disk.open(&path.join(FORMATTING_FILE), OpenMode::CreateNew) {
        Ok(_) => {}
        Err(error) if error.kind == DiskErrorKind::Exists => {}
        Err(error) => return Err(error),
    }
    disk.sync_dir(path)
}

fn remove_marker(disk: &dyn Disk, path: &Path) -> DiskResult<()> {
    match disk.remove_file(&path.join(FORMATTING_FILE)) {
        Ok(()) => disk.sync_dir(path),
        Err(error) if error.kind == DiskErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn metadata_folder(path: &Path) -> PathBuf {
    folder::path_of(path, METADATA_TOPIC, METADATA_ID.partition)
}

fn metadata_meta(cluster_id: ClusterId) -> PartitionMeta {
    let id: TopicPartition = METADATA_ID;
    PartitionMeta { cluster_id, id }
}

impl DirectoryMeta {
    fn encode(&self) -> [u8; META_BYTES] {
        let mut body = [0u8; META_BYTES];
        body[..16].copy_from_slice(&self.cluster_id.0);
        body[16..20].copy_from_slice(&self.node_id.to_be_bytes());
        body[20..].copy_from_slice(&self.directory_id);
        body
    }

    fn decode(body: &[u8]) -> Option<Self> {
        if body.len() != META_BYTES {
            return None;
        }
        Some(Self {
            cluster_id: ClusterId(body[..16].try_into().ok()?),
            node_id: i32::from_be_bytes(body[16..20].try_into().ok()?),
            directory_id: body[20..].try_into().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::env::sim_disk::{Effect, EnumerateOptions, Fault, enumerate};
    use crate::env::{Rng, SimClock, SimDisk};

    fn env(disk: &Arc<SimDisk>) -> Env {
        Env {
            disk: disk.clone(),
            clock: Arc::new(SimClock::new(1_700_000_000_000)),
            rng: Arc::new(Rng::seeded(1)),
        }
    }

    fn open(disk: &Arc<SimDisk>) -> Result<DataDir, DataDirError> {
        DataDir::open(&env(disk), Path::new("/srv/weir"), 1)
    }

    fn put(disk: &SimDisk, path: &str) {
        disk.open(Path::new(path), OpenMode::CreateNew).expect("is new");
    }

    #[test]
    fn a_first_start_makes_it_and_a_second_finds_it() {
        let disk = Arc::new(SimDisk::default());
        let first = open(&disk).expect("empty").meta;
        let second = open(&disk).expect("made").meta;
        assert_eq!(first, second);
        let names: Vec<_> =
            disk.list(Path::new("/srv/weir")).expect("there").into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["__cluster_metadata-0", "deleted", "quarantine", "weir.lock", "weir.meta"]);
    }

    #[test]
    fn a_file_is_no_data_directory() {
        let disk = Arc::new(SimDisk::default());
        disk.create_dir(Path::new("/srv")).expect("is new");
        put(&disk, "/srv/weir");
        let words = "/srv/weir is not a folder";
        assert!(open(&disk).expect_err("a file").to_string().starts_with(words));
        let found = inspect(&*disk, Path::new("/srv/weir"), 1);
        assert!(found.expect_err("a file").to_string().starts_with(words));
    }

    #[test]
    fn the_holder_is_named() {
        let disk = Arc::new(SimDisk::default());
        let _held = open(&disk).expect("empty");
        let error = open(&disk).expect_err("held").to_string();
        let expected = format!("data directory /srv/weir is locked by pid {}", std::process::id());
        assert!(error.starts_with(&expected), "{error}");
        disk.remove_file(Path::new("/srv/weir/weir.lock")).expect("there");
        let error = open(&disk).expect_err("held all the same").to_string();
        assert!(error.starts_with("data directory /srv/weir is locked by another process; "), "{error}");
        assert!(disk.stat(Path::new("/srv/weir/weir.lock")).expect("works").is_none());
    }

    #[test]
    fn an_older_brokers_lock_holds() {
        let disk = Arc::new(SimDisk::default());
        drop(open(&disk).expect("empty"));
        let _older = disk.lock(Path::new("/srv/weir/weir.lock"), "pid 4711").map_err(drop).expect("free");
        let error = open(&disk).expect_err("held").to_string();
        assert!(error.starts_with("data directory /srv/weir is locked by pid 4711; "), "{error}");
    }

    #[test]
    fn what_is_not_ours_is_refused_and_left_alone() {
        let disk = Arc::new(SimDisk::default());
        disk.create_dir(Path::new("/srv")).expect("new");
        disk.create_dir(Path::new("/srv/weir")).expect("new");
        disk.create_dir(Path::new("/srv/weir/lost+found")).expect("new");
        put(&disk, "/srv/weir/photo.jpg");
        let error = open(&disk).expect_err("foreign").to_string();
        assert!(error.contains("holds photo.jpg"), "{error}");
        let names: Vec<_> =
            disk.list(Path::new("/srv/weir")).expect("there").into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["lost+found", "photo.jpg"], "it is as it was");
        let looked = inspect(&*disk, Path::new("/srv/weir"), 1).expect_err("foreign").to_string();
        assert_eq!(looked, error);
        disk.remove_file(Path::new("/srv/weir/photo.jpg")).expect("there");
        assert_eq!(
            inspect(&*disk, Path::new("/srv/weir"), 1).expect("only lost+found is left"),
            Found::Empty
        );
        open(&disk).expect("only lost+found is left");
    }

    #[test]
    fn looking_makes_nothing() {
        let disk = Arc::new(SimDisk::default());
        let path = Path::new("/srv/weir");
        assert_eq!(inspect(&*disk, path, 1).expect("missing"), Found::New);
        assert!(disk.stat(Path::new("/srv")).expect("works").is_none());
        let held = open(&disk).expect("empty");
        assert!(matches!(inspect(&*disk, path, 1), Err(DataDirError::Locked { .. })));
        drop(held);
        assert_eq!(inspect(&*disk, path, 1).expect("made"), Found::Ready);
        assert!(matches!(inspect(&*disk, path, 2), Err(DataDirError::OtherNode { .. })));
    }

    #[test]
    fn looking_locks_nothing() {
        let disk = Arc::new(SimDisk::default());
        drop(open(&disk).expect("empty"));
        disk.fail(Fault::on(OpKind::Lock, |_| true, Effect::Io));
        assert_eq!(inspect(&*disk, Path::new("/srv/weir"), 1).expect("no lock is asked for"), Found::Ready);
    }

    #[test]
    fn a_lost_metadata_log_is_refused() {
        let disk = Arc::new(SimDisk::default());
        open(&disk).expect("empty");
        let log = Path::new("/srv/weir/__cluster_metadata-0");
        folder::remove_tree(&*disk, log).expect("there");
        let error = open(&disk).expect_err("lost").to_string();
        assert!(error.contains("__cluster_metadata-0 can't be used: it is missing"), "{error}");
    }

    #[test]
    fn another_node_a_newer_format_and_damage_are_refused() {
        let disk = Arc::new(SimDisk::default());
        let path = Path::new("/srv/weir");
        let body = open(&disk).expect("empty").meta.encode();
        let error = DataDir::open(&env(&disk), path, 2).expect_err("node 1's").to_string();
        assert!(error.contains("belongs to node 1, not to node 2"), "{error}");
        let newer = FileKind { version: META_KIND.version + 1, ..META_KIND };
        checkpoint::write(&*disk, &path.join(META_FILE), newer, &body).expect("written");
        let error = open(&disk).expect_err("newer").to_string();
        assert!(error.contains("has format version 2, this Weir knows up to 1"), "{error}");
        checkpoint::write(&*disk, &path.join(META_FILE), META_KIND, b"short").expect("written");
        let error = open(&disk).expect_err("damaged").to_string();
        assert!(error.contains("weir.meta is damaged"), "{error}");
    }

    #[test]
    fn a_first_start_can_be_cut_anywhere() {
        let report = enumerate(
            &SimDisk::default(),
            EnumerateOptions::default(),
            |disk| open(disk).ok().map(|dir| dir.meta),
            |disk, _, promised| {
                let disk = Arc::new(disk);
                let found = open(&disk).map_err(|error| error.to_string())?.meta;
                match promised {
                    Some(meta) if *meta != found => Err(format!("{meta:?} became {found:?}")),
                    _ => Ok(()),
                }
            },
        );
        report.assert_holds();
        assert!(report.states > 20, "{}", report.states);
    }
}

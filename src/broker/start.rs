//! The start of a broker: the order in which its parts come up, and what a crash left half done is finished.
//!
//! 1. The data directory is locked, and made when it is empty.
//! 2. The metadata log is opened and replayed.
//! 3. `started` is durable in the flush journal; then `BrokerStarted` in the metadata log, which raises the leader epoch
//!    of every partition when the last run did not end cleanly. No user log is appended to before.
//! 4. Deleted topics are removed, folders that nobody knows go to quarantine, folders of new topics are made.
//! 5. After an unclean end every log is opened, several at a time, which cuts torn tails; after a clean one each is opened at
//!    first use.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::broker::{Broker, Parts};
use super::data_dir::{DataDir, DataDirError};
use super::partitions::{Home, Partitions};
use super::topics::folders;
use crate::base::TopicPartition;
use crate::cluster::metadata_log::{METADATA_ID, METADATA_TOPIC};
use crate::cluster::{Command, CommitError, Image, MetadataError, MetadataLog, Topic};
use crate::config::BrokerSettings;
use crate::env::rule::Rule;
use crate::env::threads::off_shard;
use crate::env::{Disk, DiskError, Env, process, threads};
use crate::log::flush::checkpoint::CheckpointError;
use crate::log::{LogStore, OpenError, StoreOptions, folder};

/// Why a broker can't start.
#[derive(Debug)]
pub enum StartError {
    /// The data directory can't be used.
    DataDir(DataDirError),
    /// The flush journal can't be opened.
    Store(OpenError),
    /// The metadata can't be loaded.
    Metadata(MetadataError),
    /// The metadata can't be changed.
    Commit(CommitError),
    /// The disk failed.
    Disk(DiskError),
    /// The operating system refuses a thread.
    Threads(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DataDir(error) => error.fmt(f),
            Self::Store(error) => write!(f, "the flush journal can't be opened: {error}"),
            Self::Metadata(error) => error.fmt(f),
            Self::Commit(error) => write!(f, "metadata can't be changed: {error}"),
            Self::Disk(error) => error.fmt(f),
            Self::Threads(error) => write!(f, "threads of the log can't be started: {error}"),
        }
    }
}

impl StartError {
    /// The failure of the disk behind it, which is all that it says.
    pub fn disk_error(&self) -> Option<&DiskError> {
        match self {
            Self::DataDir(DataDirError::Disk(error) | DataDirError::Meta(CheckpointError::Disk(error)))
            | Self::Store(OpenError::Disk(error))
            | Self::Metadata(
                MetadataError::Open(OpenError::Disk(error))
                | MetadataError::Snapshot(CheckpointError::Disk(error)),
            )
            | Self::Disk(error) => Some(error),
            _ => None,
        }
    }
}

impl std::error::Error for StartError {}

macro_rules! start_error_from {
    ($($from:ty => $variant:ident),*) => {
        $(impl From<$from> for StartError {
            fn from(error: $from) -> Self {
                Self::$variant(error)
            }
        })*
    };
}

start_error_from!(DataDirError => DataDir, MetadataError => Metadata, CommitError => Commit, DiskError => Disk);

pub(super) async fn start(env: Env, settings: BrokerSettings) -> Result<Arc<Broker>, StartError> {
    let data_dir = DataDir::open(&env, &settings.data_dir, settings.node_id)?;
    let path = data_dir.path.clone();
    let total_bytes = env.disk.space(&path)?.total_bytes;
    let options = StoreOptions {
        disk_reserve_bytes: settings.disk_reserve_of(total_bytes),
        open_files_max: settings.open_files_within(process::descriptors_max()),
        compaction_memory_bytes: settings.compaction_memory_bytes,
    };
    let store = LogStore::open(env.clone(), &path, options).map_err(StartError::Store)?;
    let was_clean = store.was_clean();
    let metadata = MetadataLog::open(env.clone(), &path, &store)?;
    store.mark_started()?;
    store.start_threads().map_err(StartError::Threads)?;
    metadata.commit_with(|image| Ok::<_, CommitError>(vec![broker_started(image, was_clean)])).await?;

    let home = Home { env: env.clone(), data_dir: path.clone(), cluster_id: data_dir.meta.cluster_id };
    let partitions = Partitions::new(home, store.clone(), metadata.shared_image());
    let broker = Broker::new(Parts { env, settings, data_dir, store, metadata, partitions });
    finish_deletes(&broker).await?;
    sort_folders(&*broker.env.disk, &path, &broker.image())?;
    finish_creates(&broker).await?;
    if !was_clean {
        let (broker, at_once) = (broker.clone(), broker.settings.recovery_threads);
        off_shard(move || open_all(&broker, at_once)).await;
    }
    Ok(broker)
}

/// The command that begins a run. After an unclean end each log may have lost records that somebody saw, so each gets a new leader
/// epoch. Pure.
pub fn broker_started(image: &Image, was_clean: bool) -> Command {
    let every = image.topics_with_deleted().filter(|topic| !topic.deleting);
    let unclean = if was_clean || !Rule::RaiseEpoch.holds() {
        vec![]
    } else {
        every.flat_map(|topic| topic.ids(0, topic.partition_count())).collect()
    };
    Command::BrokerStarted { broker_epoch: image.broker_epoch() + 1, unclean }
}

/// Removes what deleted topics left on disk. A disk that refuses is told and asked again at the next start.
async fn finish_deletes(broker: &Arc<Broker>) -> Result<(), StartError> {
    let image = broker.image();
    for topic in image.topics_with_deleted().filter(|topic| topic.deleting) {
        let removed = folders::retire(broker, topic).and_then(|()| folders::purge(broker, topic));
        match removed {
            Ok(()) => {
                broker.metadata.commit(Command::TopicPurged { topic_id: topic.id }).await?;
            }
            Err(error) => tracing::error!(topic = %topic.name, %error, "deleted topic is still on disk"),
        }
    }
    Ok(())
}

/// Makes the folders of partitions that are not ready. A disk that refuses is told; the topic can be deleted, or updated
/// to the same partition count, which tries again.
async fn finish_creates(broker: &Arc<Broker>) -> Result<(), StartError> {
    let image = broker.image();
    for topic in image.topics().filter(|topic| topic.ready_count < topic.partition_count()) {
        match folders::create(broker, topic) {
            Ok(()) => {
                let partition_count = topic.partition_count();
                broker
                    .metadata
                    .commit(Command::PartitionsReady { topic_id: topic.id, partition_count })
                    .await?;
            }
            Err(error) => tracing::error!(topic = %topic.name, %error, "partitions can't be made"),
        }
    }
    Ok(())
}

/// Moves folders that nobody knows out of the way, removes unfinished ones, and tells which are missing.
fn sort_folders(disk: &dyn Disk, data_dir: &Path, image: &Image) -> Result<(), StartError> {
    folder::clear_unfinished(disk, data_dir)?;
    let ready = image.topics().flat_map(|topic| ready_partitions(topic));
    let mut missing: HashSet<String> = ready.map(|(name, _)| name).collect();
    for name in folder::list(disk, data_dir)? {
        if !missing.remove(&name) && !is_known(image, disk, data_dir, &name) {
            match folder::quarantine(disk, data_dir, &name) {
                Ok(()) => tracing::warn!(folder = %name, "nobody knows this folder: moved to quarantine"),
                // It does no harm where it is: no topic takes its name.
                Err(error) => {
                    tracing::error!(folder = %name, %error, "nobody knows this folder, and it can't be moved to quarantine")
                }
            }
        }
    }
    for name in missing {
        let path = data_dir.join(&name);
        if !Rule::MissFolder.holds() {
            disk.create_dir(&path)?;
        }
        match folder::is_own(disk, &path)? {
            true => tracing::error!(folder = %name, "folder is missing: the partition is offline"),
            false => tracing::error!("the partition is offline: {}", folder::elsewhere(&path)),
        }
    }
    Ok(())
}

/// The partitions of a topic that have folders, each with the name of its own.
pub(super) fn ready_partitions(topic: &Topic) -> impl Iterator<Item = (String, TopicPartition)> + use<> {
    let name = topic.name.clone();
    topic.ids(0, topic.ready_count).map(move |id| (folder::name_of(&name, id.partition), id))
}

/// The metadata log, folders of partitions that are not ready yet, and those of deleted topics that could not be moved away: the
/// next start tries again. Also one that can't be asked now.
pub(super) fn is_known(image: &Image, disk: &dyn Disk, data_dir: &Path, name: &str) -> bool {
    if name == folder::name_of(METADATA_TOPIC, METADATA_ID.partition) {
        return true;
    }
    let TopicPartition { topic_id, partition } = match folder::read_meta(disk, &data_dir.join(name)) {
        Ok(meta) => meta.id,
        Err(CheckpointError::Disk(_)) => return true,
        Err(_) => return false,
    };
    image.topic_by_id(topic_id).is_some_and(|topic| {
        let first = if topic.deleting && Rule::KeepDeleting.holds() { 0 } else { topic.ready_count };
        (first..topic.partition_count()).contains(&partition)
            && name == folder::name_of(&topic.name, partition)
    })
}

/// Opens every log, some `at_once`; with 1 in the order of the image and on this thread. One that can't be opened is offline,
/// and tells why when it is asked for.
fn open_all(broker: &Arc<Broker>, at_once: usize) {
    let image = broker.image();
    let ids: Vec<_> = image.topics().flat_map(|topic| topic.ids(0, topic.ready_count)).collect();
    let others = at_once.min(ids.len()).saturating_sub(1);
    let queue = Arc::new(Mutex::new(ids.into_iter()));
    let spawn = |_| {
        let (partitions, queue) = (broker.partitions.clone(), queue.clone());
        threads::spawn("recovery", move || open_each(&partitions, &queue))
    };
    // A thread that the system refuses is not missed: this one takes what is left.
    let threads: Vec<_> = (0..others).map_while(|at| spawn(at).ok()).collect();
    open_each(&broker.partitions, &queue);
    for thread in threads {
        let _ = thread.join();
    }
}

/// Opens logs until none is left.
fn open_each(partitions: &Partitions, queue: &Mutex<impl Iterator<Item = TopicPartition>>) {
    let next = || queue.lock().next();
    while let Some(id) = next() {
        // The reason is logged and kept by `open`.
        let _ = partitions.open(id);
    }
}

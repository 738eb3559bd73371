//! The partitions of this broker: opened at first use, handed out as clones.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use parking_lot::Mutex;

use super::errors::Place;
use crate::base::{ClusterId, Error, ErrorKind, TopicId, TopicPartition};
use crate::cluster::{Image, PartitionState, Topic};
use crate::env::Env;
use crate::log::flush::checkpoint::CheckpointError;
use crate::log::folder::{self, PartitionMeta};
use crate::log::{LogSize, LogSpec, LogStore, OpenError};
use crate::metrics::{Rate, TopicBook};
use crate::replica::Partition;

/// Where the partitions of a broker are found.
#[derive(Clone)]
pub struct Home {
    /// Disk and clock.
    pub env: Env,
    /// The data directory.
    pub data_dir: PathBuf,
    /// Whose it is.
    pub cluster_id: ClusterId,
}

/// What a look at a partition told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// `None` while its folder can't be read.
    pub(super) size: Option<LogSize>,
    pub(super) unsynced_bytes: u64,
    pub(super) is_offline: bool,
}

/// Why a log could not be opened, and what to do about it.
struct NotOpened {
    reason: String,
    /// Whether it stays so until a restart.
    lasts: bool,
}

/// All partitions that were used since the start.
///
/// INVARIANT: no guard of a map leaves this file, so none is ever held across a call or an await.
pub struct Partitions {
    home: Home,
    store: Arc<LogStore>,
    image: Arc<ArcSwap<Image>>,
    open: DashMap<TopicPartition, Arc<Partition>>,
    /// Why a partition can't be opened; it is not tried again before the next start.
    offline: DashMap<TopicPartition, Arc<str>>,
    /// Why a partition could not be opened the last time, where it is tried again: the log tells it once.
    told: DashMap<TopicPartition, String>,
    /// Sizes of logs that were not opened yet, which nobody changes; `None` for a folder that could not be read, which was told.
    unopened: DashMap<TopicPartition, Option<LogSize>>,
    topics: TopicBook,
    /// Locks of the partitions that are being opened, closed or given other settings.
    turns: DashMap<TopicPartition, Arc<Mutex<()>>>,
}

impl Partitions {
    /// None opened yet.
    pub fn new(home: Home, store: Arc<LogStore>, image: Arc<ArcSwap<Image>>) -> Arc<Self> {
        let (open, offline, told) = (DashMap::new(), DashMap::new(), DashMap::new());
        let (unopened, turns, topics) = (DashMap::new(), DashMap::new(), TopicBook::default());
        Arc::new(Self { home, store, image, open, offline, told, unopened, topics, turns })
    }

    /// Does what changes a partition while nobody else does, so that what the image says at that moment is what happens
    /// to the log, and no log is opened twice. Others are not held up.
    pub(super) fn in_turn<T>(&self, id: TopicPartition, work: impl FnOnce() -> T) -> T {
        let turn = self.turns.entry(id).or_default().clone();
        let held = turn.lock();
        let done = work();
        drop(held);
        // WHY before the count: of several that end at once, the last must find the map's alone.
        drop(turn);
        // Another is made only under the map's own lock, as this is asked.
        self.turns.remove_if(&id, |_, turn| Arc::strong_count(turn) == 1);
        done
    }

    /// A partition that was used before. Cost: one lookup, no allocation.
    pub fn get(&self, id: TopicPartition) -> Option<Arc<Partition>> {
        self.open.get(&id).map(|entry| entry.value().clone())
    }

    /// Counters of the topics.
    pub(super) fn topics(&self) -> &TopicBook {
        &self.topics
    }

    /// Looks at the counters of the topics for [`Self::rate`].
    pub(super) fn note_rates(&self) {
        self.topics.look(self.home.env.clock.monotonic());
    }

    /// What is written to a topic and read from it lately; nothing for one that is not counted for itself.
    pub(super) fn rate(&self, id: TopicId) -> Option<Rate> {
        self.topics.rate(id, self.home.env.clock.monotonic())
    }

    /// What a partition takes on disk and whether it is offline, without opening it. May block.
    pub(super) fn look(&self, topic: &Topic, id: TopicPartition) -> Look {
        if let Some(open) = self.get(id) {
            let (size, unsynced_bytes) = (Some(open.size()), open.unsynced_bytes());
            return Look { size, unsynced_bytes, is_offline: open.offline_reason().is_some() };
        }
        let known = self.unopened.get(&id).and_then(|entry| *entry.value());
        let size = known.or_else(|| self.size_on_disk(topic, id));
        let is_offline = self.offline.contains_key(&id) || self.told.contains_key(&id);
        Look { size, unsynced_bytes: 0, is_offline }
    }

    /// Forgets what is kept of topics that are gone.
    pub(super) fn forget_dead(&self) {
        let image = self.image.load_full();
        let is_alive = |id| image.topic_by_id(id).is_some_and(|topic| !topic.deleting);
        self.topics.retain(is_alive);
        self.unopened.retain(|id, _| is_alive(id.topic_id));
    }

    /// Looks at the folder of a log, again each time until that can be done.
    fn size_on_disk(&self, topic: &Topic, id: TopicPartition) -> Option<LogSize> {
        let path = folder::path_of(&self.home.data_dir, &topic.name, id.partition);
        let listed = self.home.env.disk.list(&path);
        let size = listed.as_ref().ok().map(|entries| {
            let logs = entries.iter().filter(|entry| entry.name.ends_with(".log"));
            let sizes: Vec<u64> = logs.map(|entry| entry.len).collect();
            LogSize { segment_count: sizes.len(), size_bytes: sizes.iter().sum() }
        });
        let was = self.unopened.insert(id, size);
        if let (Err(error), None) = (listed, was) {
            tracing::warn!(topic = %topic.name, partition = id.partition, %error, "can't tell the size of a partition, it is left out of the sums");
        }
        size
    }

    /// Opens a partition, or gives the one that is open. May block; others are opened meanwhile.
    ///
    /// Errors: STORAGE_ERROR with the reason, also at every later call; TOPIC_NOT_FOUND when the topic is gone.
    pub fn open(&self, id: TopicPartition) -> Result<Arc<Partition>, Error> {
        self.in_turn(id, || self.find_or_open(id))
    }

    /// How many partitions are being opened, closed or given other settings.
    #[cfg(test)]
    pub(super) fn turn_count(&self) -> usize {
        self.turns.len()
    }

    fn find_or_open(&self, id: TopicPartition) -> Result<Arc<Partition>, Error> {
        if let Some(partition) = self.get(id) {
            return Ok(partition);
        }
        let image = self.image.load_full();
        let topic = image.topic_by_id(id.topic_id).filter(|topic| !topic.deleting);
        let Some((topic, state)) =
            topic.and_then(|topic| topic.ready_partition(id.partition).map(|state| (topic, state)))
        else {
            let message = format!("the topic of partition {id} was deleted; create it again");
            return Err(Error::new(ErrorKind::TopicNotFound, message));
        };
        if let Some(reason) = self.offline.get(&id).map(|entry| entry.value().clone()) {
            return Err(offline(topic, id, &reason));
        }
        match self.open_log(topic, id, state) {
            Ok(partition) => {
                self.told.remove(&id);
                self.open.insert(id, partition.clone());
                Ok(partition)
            }
            Err(NotOpened { reason, lasts }) => {
                if self.told.insert(id, reason.clone()).as_ref() != Some(&reason) {
                    tracing::error!(topic = %topic.name, partition = id.partition, %reason, lasts, "partition is offline");
                }
                if lasts {
                    self.offline.insert(id, reason.as_str().into());
                }
                Err(offline(topic, id, &reason))
            }
        }
    }

    /// Closes a log for good, open or not: whoever uses it finds it closed. The topic is deleted in the image already, so
    /// that it is not opened again. May block.
    pub fn close(&self, id: TopicPartition) {
        self.in_turn(id, || {
            self.open.remove(&id);
            self.offline.remove(&id);
            self.told.remove(&id);
            self.unopened.remove(&id);
            self.topics.forget(id.topic_id);
            self.store.close_log(id);
        });
    }

    /// Gives the open partitions of a topic the settings that the image has now. May block.
    pub fn reconfigure(&self, id: TopicId) {
        let image = self.image.load_full();
        let Some(topic) = image.topic_by_id(id) else { return };
        for id in topic.ids(0, topic.ready_count) {
            self.in_turn(id, || self.reconfigure_one(id));
        }
    }

    fn reconfigure_one(&self, id: TopicPartition) {
        let Some(partition) = self.get(id) else { return };
        // Looked up again in its turn: a later change may have been here already.
        if let Some(topic) = self.image.load().topic_by_id(id.topic_id) {
            partition.set_config((*topic.config).clone());
        }
    }

    fn open_log(
        &self,
        topic: &Topic,
        id: TopicPartition,
        state: PartitionState,
    ) -> Result<Arc<Partition>, NotOpened> {
        self.check_folder(topic, id)?;
        let spec = LogSpec {
            id,
            topic: topic.name.clone(),
            config: (*topic.config).clone(),
            leader_epoch: state.leader_epoch,
            trim_offset: state.trim_offset,
            internal: super::topics::names::is_internal(&topic.name),
        };
        let log = self.store.open_log(spec).map_err(NotOpened::from)?;
        Ok(Partition::new(topic.name.clone(), log, self.topics.of(id.topic_id)))
    }

    /// Whether the folder of the partition is its own. One of somebody else goes to quarantine.
    fn check_folder(&self, topic: &Topic, id: TopicPartition) -> Result<(), NotOpened> {
        let disk = &*self.home.env.disk;
        let path = folder::path_of(&self.home.data_dir, &topic.name, id.partition);
        if !folder::is_own(disk, &path).map_err(OpenError::Disk)? {
            return Err(NotOpened { reason: folder::elsewhere(&path), lasts: true });
        }
        match folder::read_meta(disk, &path) {
            Ok(found) if found == (PartitionMeta { cluster_id: self.home.cluster_id, id }) => Ok(()),
            Ok(found) => {
                let name = folder::name_of(&topic.name, id.partition);
                let moved = folder::quarantine(disk, &self.home.data_dir, &name);
                let moved =
                    moved.map_or_else(|error| error.to_string(), |()| "moved to quarantine".to_owned());
                let what = format!("folder {} belongs to partition {}: {moved}", path.display(), found.id);
                Err(not_as_it_was(what))
            }
            Err(CheckpointError::Missing) => {
                let what = format!("folder {} or its {} is missing", path.display(), folder::META_FILE);
                Err(not_as_it_was(what))
            }
            Err(CheckpointError::Disk(error)) => Err(OpenError::Disk(error).into()),
            Err(error) => Err(not_as_it_was(error.to_string())),
        }
    }
}

impl From<OpenError> for NotOpened {
    fn from(error: OpenError) -> Self {
        match error {
            // WHY it lasts: a second look would sync again, succeed, and take for durable what is only in memory.
            OpenError::Disk(error) if error.is_failed_sync() => {
                Self { reason: format!("{error}; check the disk and restart the broker"), lasts: true }
            }
            // A disk that failed or was full, or too many open files, may be better the next time.
            OpenError::Disk(error) => {
                Self { reason: format!("{error}; correct that and try again"), lasts: false }
            }
            error => not_as_it_was(error.to_string()),
        }
    }
}

fn not_as_it_was(what: String) -> NotOpened {
    NotOpened {
        reason: format!("{what}; restore its folder from a copy and restart the broker"),
        lasts: true,
    }
}

fn offline(topic: &Topic, id: TopicPartition, reason: &str) -> Error {
    Place { topic: &topic.name, partition: id.partition, stopping: false }.offline(reason)
}

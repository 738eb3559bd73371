//! One life of a broker: its logs on the twin of the disk, and the coordinator of the groups. Nothing runs beside the steps of the
//! world: rounds of syncs, compaction and retention are done when it says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use weir::base::budget::Budget;
use weir::base::{LeaderEpoch, Offset, TopicId, TopicPartition};
use weir::config::TopicConfig;
use weir::coordinator::group::GroupSignal;
use weir::coordinator::runtime::{Listener, ShardHost};
use weir::env::{Disk, Env, Rng, SimClock, SimDisk};
use weir::log::{LogSpec, LogStore, StoreOptions, folder};
use weir::metrics::TopicCounters;
use weir::replica::Partition;

use crate::machine::Machine;
use crate::topics::{SimTopics, config_of, offsets_config};

const DATA: &str = "d";

/// The partition of the offsets topic in which all groups of a world live.
pub(super) const OFFSETS: TopicPartition = TopicPartition { topic_id: TopicId([250; 16]), partition: 0 };
const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Free bytes below which user records are refused, in a world whose disk can be full.
const RESERVE_BYTES: u64 = 20_000;

/// Bytes in which compaction keeps keys: little enough for several passes.
const COMPACTION_BYTES: u64 = 1 << 10;

/// Memory of the groups: enough.
const MEMORY_BYTES: u64 = 64 << 20;

/// Signals of the coordinator, until the world takes them.
#[derive(Default)]
pub(super) struct Board(Mutex<Vec<GroupSignal>>);

impl Board {
    pub(super) fn take(&self) -> Vec<GroupSignal> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Listener<GroupSignal> for Board {
    fn take(&self, signal: GroupSignal) {
        self.0.lock().push(signal);
    }

    // The world looks at the timers after each step.
    fn timers_changed(&self) {}
}

/// One life of the broker.
pub(super) struct Broker {
    pub(super) store: Arc<LogStore>,
    pub(super) host: Arc<ShardHost<Machine>>,
    pub(super) board: Arc<Board>,
    pub(super) offsets: Arc<Partition>,
    partitions: BTreeMap<TopicPartition, Arc<Partition>>,
    leader_epoch: LeaderEpoch,
}

/// An empty data directory.
pub(super) fn format(disk: &SimDisk) {
    disk.create_dir(Path::new(DATA)).expect("an empty disk");
    disk.sync_file_system(Path::new(DATA)).expect("no fault is planned");
}

impl Broker {
    /// Starts on what the disk holds.
    ///
    /// Errors: the disk does not let it.
    pub(super) fn start(
        disk: &SimDisk,
        clock: &Arc<SimClock>,
        topics: &SimTopics,
        leader_epoch: LeaderEpoch,
        seed: u64,
    ) -> Option<Self> {
        let env =
            Env { disk: Arc::new(disk.clone()), clock: clock.clone(), rng: Arc::new(Rng::seeded(seed)) };
        let options = StoreOptions {
            disk_reserve_bytes: RESERVE_BYTES,
            open_files_max: 64,
            compaction_memory_bytes: COMPACTION_BYTES,
        };
        let store = LogStore::open(env, Path::new(DATA), options).ok()?;
        store.mark_started().ok()?;
        let offsets = open(disk, &store, OFFSETS_TOPIC, OFFSETS, offsets_config(), leader_epoch, 0)?;
        let board = Arc::<Board>::default();
        let budget = Budget::new(MEMORY_BYTES);
        let host = ShardHost::new(offsets.clone(), clock.clone(), board.clone(), budget);
        let mut broker = Self { store, host, board, offsets, partitions: BTreeMap::new(), leader_epoch };
        broker.open_all(disk, topics).then_some(broker)
    }

    /// Opens the partitions that are not open yet. Whether all could be.
    pub(super) fn open_all(&mut self, disk: &SimDisk, topics: &SimTopics) -> bool {
        topics.places().into_iter().all(|(name, place)| {
            if self.partitions.contains_key(&place) {
                return true;
            }
            let trimmed = topics.trimmed(&place);
            let log = log_name(&name, place.topic_id);
            let opened = open(disk, &self.store, &log, place, config_of(&name), self.leader_epoch, trimmed);
            opened.map(|partition| self.partitions.insert(place, partition)).is_some()
        })
    }

    /// A partition that is open.
    pub(super) fn partition(&self, place: &TopicPartition) -> Option<&Arc<Partition>> {
        self.partitions.get(place)
    }

    /// Whether a partition takes no appends any more: somebody has to start the broker again.
    pub(super) fn is_sick(&self) -> bool {
        let mut all = self.partitions.values().chain([&self.offsets]);
        all.any(|partition| partition.offline_reason().is_some())
    }

    /// Closes the partitions of a topic and takes its folders away.
    pub(super) fn remove(&mut self, disk: &SimDisk, id: TopicId, name: &str) {
        let places: Vec<_> = self.partitions.keys().filter(|place| place.topic_id == id).copied().collect();
        for place in places {
            self.partitions.remove(&place);
            self.store.close_log(place);
            remove_folder(disk, &folder_of(&log_name(name, id), place.partition));
        }
    }

    /// Where the records of each partition begin.
    pub(super) fn starts(&self) -> Vec<(TopicPartition, Offset)> {
        self.partitions.iter().map(|(place, partition)| (*place, partition.offsets().log_start)).collect()
    }
}

/// What the logs of a topic are named by. WHY the identity: that a deleted topic leaves nothing behind is shown by the crash
/// scenarios; here what it leaves can't be taken for its successor's.
fn log_name(name: &str, id: TopicId) -> String {
    format!("{name}.{}", id.0[0])
}

/// Takes the folder of a partition away, as far as the disk lets it.
fn remove_folder(disk: &SimDisk, folder: &Path) {
    for entry in disk.list(folder).unwrap_or_default() {
        disk.remove_file(&folder.join(entry.name)).ok();
    }
    disk.remove_dir(folder).ok();
    disk.sync_dir(Path::new(DATA)).ok();
}

fn folder_of(name: &str, partition: i32) -> PathBuf {
    Path::new(DATA).join(folder::name_of(name, partition))
}

fn open(
    disk: &SimDisk,
    store: &Arc<LogStore>,
    name: &str,
    id: TopicPartition,
    config: TopicConfig,
    leader_epoch: LeaderEpoch,
    trim_offset: Offset,
) -> Option<Arc<Partition>> {
    let folder = folder_of(name, id.partition);
    if disk.list(&folder).is_err() {
        disk.create_dir(&folder).ok()?;
        disk.sync_dir(Path::new(DATA)).ok()?;
    }
    let internal = id == OFFSETS;
    let topic: Arc<str> = name.into();
    let spec = LogSpec { id, topic: topic.clone(), config, leader_epoch, trim_offset, internal };
    let log = store.open_log(spec).ok()?;
    Some(Partition::new(topic, log, Arc::<TopicCounters>::default()))
}

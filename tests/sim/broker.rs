//! One life of a broker: its logs on the twin of the disk, and the coordinator of the groups. Nothing runs beside the steps of the
//! world: rounds of syncs, compaction and retention are done when it says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use weir::base::budget::Budget;
use weir::base::rules::Rules;
use weir::base::{LeaderEpoch, Offset, TopicId, TopicPartition};
use weir::coordinator::group::{GroupShard, GroupSignal};
use weir::coordinator::runtime::{Listener, ShardHost};
use weir::env::{AwakeClock, Disk, Env, SimDisk};
use weir::log::{LogSpec, LogStore, StoreOptions, folder};
use weir::metrics::TopicCounters;
use weir::replica::Partition;

use crate::rules::SimRule;
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
    disk: Arc<dyn Disk>,
    pub(super) store: Arc<LogStore>,
    pub(super) host: Arc<ShardHost<GroupShard>>,
    pub(super) board: Arc<Board>,
    pub(super) offsets: Arc<Partition>,
    /// What timers go by.
    pub(super) clock: Arc<AwakeClock>,
    beat: BoxFuture<'static, ()>,
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
        env: Env,
        topics: &SimTopics,
        leader_epoch: LeaderEpoch,
        rule: Option<SimRule>,
    ) -> Option<Self> {
        let (disk, clock) = (env.disk.clone(), AwakeClock::new(env.clock.clone()));
        let options = StoreOptions {
            disk_reserve_bytes: RESERVE_BYTES,
            open_files_max: 64,
            compaction_memory_bytes: COMPACTION_BYTES,
        };
        let store = LogStore::open(env, Path::new(DATA), options).ok()?;
        store.mark_started().ok()?;
        let offsets = open(&*disk, &store, offsets_spec(leader_epoch))?;
        let board = Arc::<Board>::default();
        let empty = move || empty_machine(rule);
        let host =
            ShardHost::new(offsets.clone(), clock.clone(), board.clone(), Budget::new(MEMORY_BYTES), empty);
        let (partitions, beats) = (BTreeMap::new(), clock.clone());
        let beat = async move { beats.beat().await }.boxed();
        let mut broker = Self { disk, store, host, board, offsets, clock, beat, partitions, leader_epoch };
        broker.beat();
        broker.open_all(topics).then_some(broker)
    }

    /// Time has passed: the broker sees how much, and whether it stood still.
    pub(super) fn beat(&mut self) {
        let is_over = self.beat.as_mut().now_or_never();
        assert!(is_over.is_none(), "it beats for ever");
    }

    /// Opens the partitions that are not open yet. Whether all could be.
    pub(super) fn open_all(&mut self, topics: &SimTopics) -> bool {
        topics.places().into_iter().all(|(name, id)| {
            if self.partitions.contains_key(&id) {
                return true;
            }
            let spec = LogSpec {
                id,
                topic: log_name(&name, id.topic_id).into(),
                config: config_of(&name),
                leader_epoch: self.leader_epoch,
                trim_offset: topics.trimmed(&id),
                internal: false,
            };
            let opened = open(&*self.disk, &self.store, spec);
            opened.map(|partition| self.partitions.insert(id, partition)).is_some()
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
    pub(super) fn remove(&mut self, id: TopicId, name: &str) {
        let places: Vec<_> = self.partitions.keys().filter(|place| place.topic_id == id).copied().collect();
        for place in places {
            self.partitions.remove(&place);
            self.store.close_log(place);
            remove_folder(&*self.disk, &folder_of(&log_name(name, id), place.partition));
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
fn remove_folder(disk: &dyn Disk, folder: &Path) {
    for entry in disk.list(folder).unwrap_or_default() {
        disk.remove_file(&folder.join(entry.name)).ok();
    }
    disk.remove_dir(folder).ok();
    disk.sync_dir(Path::new(DATA)).ok();
}

fn folder_of(name: &str, partition: i32) -> PathBuf {
    Path::new(DATA).join(folder::name_of(name, partition))
}

fn offsets_spec(leader_epoch: LeaderEpoch) -> LogSpec {
    LogSpec {
        id: OFFSETS,
        topic: OFFSETS_TOPIC.into(),
        config: offsets_config(),
        leader_epoch,
        trim_offset: 0,
        internal: true,
    }
}

fn open(disk: &dyn Disk, store: &Arc<LogStore>, spec: LogSpec) -> Option<Arc<Partition>> {
    let folder = folder_of(&spec.topic, spec.id.partition);
    if disk.list(&folder).is_err() {
        disk.create_dir(&folder).ok()?;
        disk.sync_dir(Path::new(DATA)).ok()?;
    }
    let topic = spec.topic.clone();
    let log = store.open_log(spec).ok()?;
    Some(Partition::new(topic, log, Arc::<TopicCounters>::default()))
}

/// A machine without groups, and without the rule that is taken out.
fn empty_machine(rule: Option<SimRule>) -> GroupShard {
    let out = match rule {
        Some(SimRule::Group(rule)) => Some(rule),
        _ => None,
    };
    GroupShard::under(Rules::without(out))
}

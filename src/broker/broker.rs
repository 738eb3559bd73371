//! One broker: owns the parts, and says in which order they start and stop.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use parking_lot::Mutex;
use tokio::sync::{OwnedMutexGuard, watch};

use super::data_dir::{DataDir, DirectoryMeta};
use super::errors::shutting_down;
use super::groups::{Groups, background};
use super::lookup::find_partition;
use super::partitions::Partitions;
use super::produce::Spread;
use super::producer_ids::ProducerIds;
use super::start::{self, StartError};
use crate::base::budget::Budget;
use crate::base::share::Share;
use crate::base::{ClusterId, Error, LeaderEpoch, ProducerId, TopicId};
use crate::cluster::{Image, MetadataLog};
use crate::config::BrokerSettings;
use crate::env::Env;
use crate::env::threads::off_shard;
use crate::log::LogStore;
use crate::metrics::Counters;
use crate::replica::Partition;

/// Epoch of a new producer id.
const FIRST_PRODUCER_EPOCH: i16 = 0;

/// Part of `memory.bytes` that is for messages on their way in: at the smallest setting one of the largest size.
const UNFINISHED_PART: u64 = 4;

fn unfinished_bytes(settings: &BrokerSettings) -> u64 {
    settings.memory_bytes / UNFINISHED_PART
}

/// A running broker without its doors.
pub struct Broker {
    pub(super) env: Env,
    pub(super) settings: BrokerSettings,
    pub(super) directory: DirectoryMeta,
    pub(super) store: Arc<LogStore>,
    pub(super) metadata: Arc<MetadataLog>,
    pub(super) partitions: Arc<Partitions>,
    budget: Arc<Budget>,
    unfinished: Arc<Share>,
    counters: Arc<Counters>,
    producer_ids: ProducerIds,
    spread: Spread,
    groups: Groups,
    started: Duration,
    /// Held while topics are made, changed or deleted: folders and commands go together.
    topic_turn: Arc<tokio::sync::Mutex<()>>,
    stopping: watch::Sender<bool>,
    /// Given up when every log is closed cleanly.
    held: Mutex<Option<DataDir>>,
}

/// What a start has made ready.
pub(super) struct Parts {
    pub(super) env: Env,
    pub(super) settings: BrokerSettings,
    pub(super) data_dir: DataDir,
    pub(super) store: Arc<LogStore>,
    pub(super) metadata: Arc<MetadataLog>,
    pub(super) partitions: Arc<Partitions>,
}

impl Broker {
    /// Starts a broker on its data directory, finishing what a crash left half done. Needs a tokio runtime; may block.
    ///
    /// Holds after: no two records ever get the same leader epoch and offset; the lock is held until [`Self::stop`] or
    /// drop. Errors: the directory can't be used as it is; what was there before is not harmed.
    pub async fn start(env: Env, settings: BrokerSettings) -> Result<Arc<Self>, StartError> {
        start::start(env, settings).await
    }

    pub(super) fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            budget: Budget::new(parts.settings.memory_bytes - unfinished_bytes(&parts.settings)),
            unfinished: Share::new(unfinished_bytes(&parts.settings)),
            counters: Arc::default(),
            producer_ids: ProducerIds::new(parts.metadata.clone(), &parts.env.rng),
            spread: Spread::default(),
            groups: Groups::new(parts.env.clock.clone()),
            started: parts.env.clock.monotonic(),
            directory: parts.data_dir.meta,
            env: parts.env,
            settings: parts.settings,
            store: parts.store,
            metadata: parts.metadata,
            partitions: parts.partitions,
            topic_turn: Arc::default(),
            stopping: watch::Sender::new(false),
            held: Mutex::new(Some(parts.data_dir)),
        })
    }

    /// Stops: refuses new work, wakes parked requests, flushes every log. True when all of that held before `deadline`
    /// passed; otherwise the next start recovers as after a crash. A second call does nothing and gives false.
    ///
    /// Before: the doors take no more requests.
    pub async fn stop(&self, deadline: Duration) -> bool {
        if self.stopping.send_replace(true) {
            return false;
        }
        let stopped = Box::pin(async {
            let _turn = self.topic_turn.lock().await;
            let store = self.store.clone();
            off_shard(move || store.stop()).await
        });
        let is_clean = match select(stopped, self.env.clock.sleep(deadline)).await {
            Either::Left((is_clean, _)) => is_clean,
            Either::Right(_) => false,
        };
        if is_clean {
            self.held.lock().take();
        }
        is_clean
    }

    /// A partition, opened off the shard at its first use.
    ///
    /// Errors: those of [`find_partition`]; STORAGE_ERROR when it is offline; SHUTTING_DOWN. Nothing was written.
    pub async fn partition(
        &self,
        topic: &str,
        topic_id: Option<TopicId>,
        partition: i32,
    ) -> Result<Arc<Partition>, Error> {
        match self.partition_if_open(topic, topic_id, partition) {
            Ok(Some(open)) => return Ok(open),
            Ok(None) => {}
            Err(error) => {
                // WHY: a wrong name is compared with others, and a request may hold thousands: others have their turn.
                tokio::task::yield_now().await;
                return Err(error);
            }
        }
        let (_, id) = find_partition(&self.image(), topic, topic_id, partition)?;
        let partitions = self.partitions.clone();
        off_shard(move || partitions.open(id)).await
    }

    /// A partition that was used before; `None` when [`Self::partition`] has to open it first. Cost: two lookups, no
    /// allocation. Errors: as there.
    pub fn partition_if_open(
        &self,
        topic: &str,
        topic_id: Option<TopicId>,
        partition: i32,
    ) -> Result<Option<Arc<Partition>>, Error> {
        self.refuse_when_stopping()?;
        let image = self.metadata.image();
        let (_, id) = find_partition(&image, topic, topic_id, partition)?;
        Ok(self.partitions.get(id))
    }

    /// A new producer id with its first epoch.
    ///
    /// Errors: SHUTTING_DOWN, DISK_FULL, STORAGE_ERROR.
    pub async fn init_producer(&self) -> Result<(ProducerId, i16), Error> {
        self.refuse_when_stopping()?;
        Ok((self.producer_ids.next().await?, FIRST_PRODUCER_EPOCH))
    }

    /// Rolls segments by age and applies retention, off the shard. For a timer to call every second or so.
    pub async fn housekeeping(&self) {
        if *self.stopping.borrow() {
            return;
        }
        let store = self.store.clone();
        off_shard(move || store.housekeeping()).await;
    }

    /// Looks after groups until it is dropped: their timers, their assignments, topics that come and go. For one task, from the start
    /// to the stop.
    pub async fn look_after_groups(self: Arc<Self>) {
        background::look_after_groups(self).await;
    }

    /// The group machines.
    pub(super) fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The metadata at this moment.
    pub fn image(&self) -> Arc<Image> {
        self.metadata.image()
    }

    /// Disk, clock, randomness.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The memory budget.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// The share of `memory.bytes` from which requests take memory while they are received; it is no part of
    /// [`Self::budget`]. WHY: messages that never end can't take what others need to be answered, and requests that hold
    /// memory can't keep the next message from being read for ever.
    pub fn unfinished(&self) -> &Arc<Share> {
        &self.unfinished
    }

    /// What doors and broker count.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Its settings.
    pub fn settings(&self) -> &BrokerSettings {
        &self.settings
    }

    /// Whose turn it is among the partitions of each topic, for records without key.
    pub fn spread(&self) -> &Spread {
        &self.spread
    }

    /// Time since the start.
    pub fn uptime(&self) -> Duration {
        self.env.clock.monotonic().saturating_sub(self.started)
    }

    /// The cluster.
    pub fn cluster_id(&self) -> ClusterId {
        self.directory.cluster_id
    }

    /// Number of this run.
    pub fn broker_epoch(&self) -> LeaderEpoch {
        self.image().broker_epoch()
    }

    /// Becomes true when the broker stops: parked requests end then.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Becomes `Some` reason when the metadata log has failed: the process has to end then.
    pub fn failure(&self) -> watch::Receiver<Option<String>> {
        self.metadata.failure()
    }

    pub(super) fn refuse_when_stopping(&self) -> Result<(), Error> {
        if *self.stopping.borrow() { Err(shutting_down()) } else { Ok(()) }
    }

    /// Waits for the turn to make, change or delete topics. Errors: SHUTTING_DOWN.
    pub(super) async fn take_topic_turn(&self) -> Result<OwnedMutexGuard<()>, Error> {
        let turn = self.topic_turn.clone().lock_owned().await;
        self.refuse_when_stopping()?;
        Ok(turn)
    }
}

//! One run of a store with one log, on a disk that may stop at any call: what clients do to it, and what they are told.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use weir::base::offset::NO_OFFSET;
use weir::base::{LeaderEpoch, Offset, TopicId, TopicPartition};
use weir::broker::start::broker_started;
use weir::cluster::metadata_log::METADATA_TOPIC;
use weir::cluster::{Command, CommitError, Configs, Image, MetadataLog};
use weir::config::TopicConfig;
use weir::env::sim_disk::{Effect, Fault, OpKind, SimDisk, SimOptions};
use weir::env::{Disk, Env, Rng, SimClock};
use weir::log::{AppendError, LogSpec, LogStore, PartitionLog, StoreOptions, Ticket, folder};
use weir::record::builder::{NewRecord, ProducerFields};
use weir::record::validate::Rules;
use weir::record::{BatchBuilder, Codec, ValidBatch};

use super::told::{Sent, Told};

pub(super) const ID: TopicPartition = TopicPartition { topic_id: TopicId([3; 16]), partition: 0 };
pub(super) const TOPIC: &str = "t";
pub(super) const NOW_MS: i64 = 1_700_000_000_000;
/// Three batches or so: less than a topic may ask for.
pub(super) const SEGMENT_BYTES: u64 = 260;
const DATA: &str = "d";

/// Who says under which settings, leader epoch and trim a log is opened.
#[derive(Clone)]
pub(super) enum Keeper {
    /// The scenario does: there is no metadata log, each life has the epoch that it is given.
    Scenario(TopicConfig),
    /// The metadata log, as for a broker.
    Metadata,
}

/// One run of a store and its log.
pub(super) struct Life<'a> {
    pub(super) disk: &'a SimDisk,
    pub(super) clock: Arc<SimClock>,
    pub(super) store: Arc<LogStore>,
    pub(super) log: Arc<PartitionLog>,
    pub(super) told: &'a mut Told,
    metadata: Option<Arc<MetadataLog>>,
}

/// A disk with the folder of the log on it.
pub(super) fn start_disk() -> SimDisk {
    let disk = SimDisk::new(SimOptions { block_bytes: 128, sector_bytes: 32, ..SimOptions::default() });
    disk.set_now_ms(NOW_MS);
    for name in [DATA.to_owned(), format!("{DATA}/{}", folder::name_of(TOPIC, 0))] {
        disk.create_dir(Path::new(&name)).expect("makes a folder");
    }
    disk.sync_file_system(Path::new(DATA)).expect("syncs");
    disk
}

/// The same with a metadata log that knows the topic, after a clean stop.
pub(super) fn start_disk_with_metadata(configs: &[(&str, &str)]) -> SimDisk {
    let disk = start_disk();
    disk.create_dir(&Path::new(DATA).join(folder::name_of(METADATA_TOPIC, 0))).expect("makes a folder");
    let (store, metadata) = {
        let store = open_store(&disk, &Arc::new(SimClock::new(NOW_MS))).expect("opens");
        let metadata =
            MetadataLog::open(env(&disk, &Arc::new(SimClock::new(NOW_MS))), Path::new(DATA), &store);
        (store, metadata.expect("opens"))
    };
    store.mark_started().expect("writes");
    let configs: Configs =
        configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let topic_id = ID.topic_id;
    let create = Command::CreateTopic { topic_id, name: TOPIC.to_owned(), partition_count: 1, configs };
    commit(&store, &metadata, vec![create]).expect("fits");
    commit(&store, &metadata, vec![Command::PartitionsReady { topic_id, partition_count: 1 }]).expect("fits");
    assert!(store.stop(), "stops cleanly");
    disk.sync_file_system(Path::new(DATA)).expect("syncs");
    disk.kill()
}

fn env(disk: &SimDisk, clock: &Arc<SimClock>) -> Env {
    Env { disk: Arc::new(disk.clone()), clock: clock.clone(), rng: Arc::new(Rng::seeded(1)) }
}

/// Folder of the log.
pub(super) fn folder_of_log() -> PathBuf {
    Path::new(DATA).join(folder::name_of(TOPIC, 0))
}

pub(super) fn open_store(disk: &SimDisk, clock: &Arc<SimClock>) -> Option<Arc<LogStore>> {
    let options =
        StoreOptions { disk_reserve_bytes: 0, open_files_max: 64, compaction_memory_bytes: 1 << 20 };
    LogStore::open(env(disk, clock), Path::new(DATA), options).ok()
}

/// Commits, while this thread does the rounds of syncs: nothing runs beside it, so every run is the same.
fn commit(
    store: &Arc<LogStore>,
    metadata: &Arc<MetadataLog>,
    commands: Vec<Command>,
) -> Result<Arc<Image>, CommitError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let rounds = async {
        loop {
            tokio::task::yield_now().await;
            store.committer().round(true);
        }
    };
    runtime.block_on(async {
        tokio::select! {
            committed = metadata.commit_with(|_| Ok::<_, CommitError>(commands)) => committed,
            never = rounds => never,
        }
    })
}

/// A batch of these values.
pub(super) fn batch(values: &[String], fields: ProducerFields) -> ValidBatch {
    let mut builder = BatchBuilder::new();
    for value in values {
        let record = NewRecord { key: None, value: Some(value.as_bytes()), headers: &[], timestamp: NOW_MS };
        builder.append(&record).expect("small");
    }
    let rules = Rules {
        max_batch_bytes: 1 << 20,
        now_ms: NOW_MS,
        timestamp_after_max_ms: i64::MAX,
        max_decompressed_bytes: 1 << 20,
        needs_keys: false,
    };
    ValidBatch::build(&mut builder, Codec::None, fields, &rules).expect("valid")
}

impl<'a> Life<'a> {
    /// Opens store and log, at a second try if the first fails, as when somebody starts a broker again.
    pub(super) fn begin(
        disk: &'a SimDisk,
        keeper: &Keeper,
        epoch: LeaderEpoch,
        told: &'a mut Told,
    ) -> Option<Self> {
        let clock = Arc::new(SimClock::new(NOW_MS));
        let opened = || match keeper {
            Keeper::Scenario(config) => open_alone(disk, &clock, config, epoch),
            Keeper::Metadata => open_by_metadata(disk, &clock),
        };
        let (store, log, metadata) = opened().or_else(opened)?;
        Some(Self { disk, clock, store, log, told, metadata })
    }

    /// Lets time pass, for the clock and for the disk.
    pub(super) fn pass(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
        self.disk.set_now_ms(weir::env::Clock::now_ms(&*self.clock));
    }

    /// Appends one record, and when `flush`, flushes it and notes the acknowledgement.
    pub(super) fn append(&mut self, value: &str, flush: bool) {
        let values = [value.to_owned()];
        let ticket = self.log.append(batch(&values, ProducerFields::NONE));
        self.note(value, &ticket, flush);
    }

    /// Appends several records, of which the others come while the first is being written: they are written with one call.
    pub(super) fn append_together(&mut self, values: &[&str], flush: bool) {
        let tickets = Arc::new(Mutex::new(Vec::new()));
        let batches = values.iter().map(|value| batch(&[(*value).to_owned()], ProducerFields::NONE));
        let mut batches: Vec<ValidBatch> = batches.collect();
        let first = batches.remove(0);
        let (late, waiting, log) = (tickets.clone(), Mutex::new(batches), Arc::downgrade(&self.log));
        // WHY a fault that meets nothing: it is asked in the middle of the write, with the log taken. WHY weak: the disk keeps it.
        let come = move |path: &Path| {
            if let Some(log) =
                log.upgrade().filter(|_| path.extension().is_some_and(|ending| ending == "log"))
            {
                let batches = std::mem::take(&mut *waiting.lock().unwrap());
                late.lock().unwrap().extend(batches.into_iter().map(|batch| log.append(batch)));
            }
            false
        };
        self.disk.fail(Fault::on(OpKind::Write, come, Effect::Io));
        let first = self.log.append(first);
        let tickets = std::mem::take(&mut *tickets.lock().unwrap());
        for (value, ticket) in values.iter().zip([first].iter().chain(&tickets)) {
            self.note(value, ticket, flush);
        }
    }

    fn note(&mut self, value: &str, ticket: &Ticket, flush: bool) {
        match ticket.peek().expect("the caller drains") {
            Ok(appended) => {
                self.told.place(appended.leader_epoch, appended.base_offset, &[value.to_owned()]);
                if flush && self.flush(appended.last_offset) {
                    self.told.acked.push((appended.base_offset, value.to_owned()));
                }
            }
            Err(AppendError::Unknown(_)) => {}
            Err(_) => self.told.not_written.push(value.to_owned()),
        }
    }

    /// Sends a batch of two records as an idempotent producer does: what is not acknowledged is sent again first, and nothing new
    /// before that is answered.
    pub(super) fn send(&mut self, producer_id: i64, flush: bool) {
        let open = self.told.sent.iter().position(|sent| sent.is_of(producer_id) && sent.acked.is_none());
        if let Some(at) = open {
            self.send_again(at, true);
        }
        if open.is_none_or(|at| self.told.sent[at].acked.is_some()) {
            let sent = Sent::next(&self.told.sent, producer_id);
            self.told.sent.push(sent);
            self.send_again(self.told.sent.len() - 1, flush);
        }
    }

    /// Sends a batch again, which may have been acknowledged.
    pub(super) fn send_again(&mut self, at: usize, flush: bool) {
        let sent = self.told.sent[at].clone();
        let outcome = self.log.append(batch(&sent.values, sent.fields)).peek().expect("the caller drains");
        let appended = match outcome {
            Ok(appended) => appended,
            Err(AppendError::OutOfOrderSequence { .. } | AppendError::ProducerFenced { .. }) => {
                return self.told.complain(format!("{} is refused: {outcome:?}", sent.values[0]));
            }
            Err(_) => return,
        };
        if sent
            .acked
            .is_some_and(|offset| !appended.duplicate || ![offset, NO_OFFSET].contains(&appended.base_offset))
        {
            self.told.complain(format!(
                "{} was acknowledged at {:?}, now {appended:?}",
                sent.values[0], sent.acked
            ));
        }
        if !appended.duplicate {
            self.told.place(appended.leader_epoch, appended.base_offset, &sent.values);
        }
        if flush && self.flush(appended.last_offset) && appended.base_offset != NO_OFFSET {
            self.told.acknowledge(at, appended.base_offset);
        }
    }

    /// A round of syncs. Whether the offset is flushed then.
    pub(super) fn flush(&mut self, last_offset: Offset) -> bool {
        self.store.committer().round(true);
        self.told.shown = self.told.shown.max(self.log.offsets().high_watermark);
        self.log.offsets().flushed > last_offset
    }

    /// Retention and rolls by time.
    pub(super) fn housekeep(&mut self) {
        let before = self.told.start_at_most;
        self.told.start_at_most = before.max(self.log.offsets().high_watermark);
        self.log.housekeep();
        self.told.start_at_least = self.told.start_at_least.max(self.log.offsets().log_start);
        if let Some(first) = self.first_segment() {
            self.told.start_at_most = before.max(first);
        }
        self.store.committer().round(true);
    }

    /// Base offset of the oldest segment; `None` when the process was killed.
    fn first_segment(&self) -> Option<Offset> {
        let names = self.disk.list(&Path::new(DATA).join(folder::name_of(TOPIC, 0))).ok()?;
        names.iter().filter_map(|entry| entry.name.strip_suffix(".log")?.parse().ok()).min()
    }

    /// Removes records below `to` as a broker does: the command is durable first.
    pub(super) fn trim(&mut self, to: Offset) {
        let to = to.min(self.log.offsets().high_watermark);
        self.told.start_at_most = self.told.start_at_most.max(to);
        let (topic_id, partition) = (ID.topic_id, ID.partition);
        let durable = match &self.metadata {
            Some(metadata) => {
                let command = Command::TrimPartition { topic_id, partition, offset: to };
                commit(&self.store, metadata, vec![command]).is_ok()
            }
            None => true,
        };
        if durable && self.log.trim(to).is_ok() && self.metadata.is_some() {
            self.told.start_at_least = self.told.start_at_least.max(to);
        }
    }
}

type Opened = (Arc<LogStore>, Arc<PartitionLog>, Option<Arc<MetadataLog>>);

fn open_alone(
    disk: &SimDisk,
    clock: &Arc<SimClock>,
    config: &TopicConfig,
    leader_epoch: LeaderEpoch,
) -> Option<Opened> {
    let store = open_store(disk, clock)?;
    store.mark_started().ok()?;
    let (topic, config) = (Arc::from(TOPIC), config.clone());
    let spec = LogSpec { id: ID, topic, config, leader_epoch, trim_offset: 0, internal: false };
    let log = store.open_log(spec).ok()?;
    Some((store, log, None))
}

/// The order of a broker's start.
fn open_by_metadata(disk: &SimDisk, clock: &Arc<SimClock>) -> Option<Opened> {
    let store = open_store(disk, clock)?;
    let metadata = MetadataLog::open(env(disk, clock), Path::new(DATA), &store).ok()?;
    store.mark_started().ok()?;
    let started = broker_started(&metadata.image(), store.was_clean());
    let image = commit(&store, &metadata, vec![started]).ok()?;
    let topic = image.topic_by_id(ID.topic_id)?;
    let state = topic.ready_partition(ID.partition)?;
    let spec = LogSpec {
        id: ID,
        topic: topic.name.clone(),
        config: TopicConfig { segment_bytes: SEGMENT_BYTES, ..(*topic.config).clone() },
        leader_epoch: state.leader_epoch,
        trim_offset: state.trim_offset,
        internal: false,
    };
    let log = store.open_log(spec).ok()?;
    Some((store, log, Some(metadata)))
}

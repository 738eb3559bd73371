//! A whole broker on the twin: topics are made, trimmed, deleted and made again under the same name. No record of the old topic is
//! ever read in the new one, nothing is left over after a start, what was answered stays.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use weir::base::{Offset, TopicId};
use weir::broker::Broker;
use weir::broker::topics::{CreateTopic, DeleteTopic, TrimTopic};
use weir::cluster::Topic;
use weir::config::{BrokerSettings, Machine};
use weir::env::sim_disk::{Effect, Fault, OpKind, SimDisk, SimOptions, ends_with};
use weir::env::{Disk, Env, Rng, SimClock};
use weir::log::folder;
use weir::record::builder::ProducerFields;
use weir::replica::Partition;

use super::check::read_all_with;
use super::harness::{Scenario, run, run_with_faults};
use super::life::{NOW_MS, TOPIC, batch};

const DATA: &str = "/d";
const PARTITIONS: i32 = 2;
/// Each life makes other ids, and the same ones at each run.
const START_SEED: u64 = 1;
const PLAY_SEED: u64 = 2;
const RECOVERY_SEED: u64 = 3;
const CHECK_SEED: u64 = 4;
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// How far a topic got.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    CreateAsked,
    Created,
    DeleteAsked,
    Deleted,
}

/// One of the topics that have the name one after the other.
#[derive(Clone, Debug)]
struct TopicTold {
    stage: Stage,
    id: Option<TopicId>,
    /// Records of partition 0 that were acknowledged.
    acked: Vec<(Offset, String)>,
    start_at_least: Offset,
    start_at_most: Offset,
}

/// The topics of a scenario, in the order in which they were asked for.
#[derive(Clone, Default)]
pub(super) struct Told {
    topics: Vec<TopicTold>,
}

impl Told {
    /// The value that begins every record of the newest topic.
    fn prefix(&self) -> String {
        format!("topic{}-", self.topics.len())
    }

    fn newest(&mut self) -> &mut TopicTold {
        self.topics.last_mut().expect("a topic was asked for")
    }
}

/// A topic lives and dies, twice, and lives.
pub(super) struct TopicScenario;

/// A running broker and its runtime.
struct Node {
    disk: SimDisk,
    broker: Arc<Broker>,
    runtime: tokio::runtime::Runtime,
}

/// Why a step did not work out.
type Refused = String;

impl Node {
    fn start(disk: &SimDisk, seed: u64) -> Result<Self, Refused> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let env = Env {
            disk: Arc::new(disk.clone()),
            clock: Arc::new(SimClock::new(NOW_MS)),
            rng: Arc::new(Rng::seeded(seed)),
        };
        let machine = Machine { memory_bytes: 1 << 30, cores: 1, descriptors_max: 1024 };
        let mut settings = BrokerSettings::defaults(&machine);
        // One log after the other, so that every run is the same.
        settings.recovery_threads = 1;
        settings.data_dir = DATA.into();
        let broker = runtime.block_on(Broker::start(env, settings)).map_err(|error| error.to_string())?;
        Ok(Self { disk: disk.clone(), broker, runtime })
    }

    /// Ends it as a kill does, but for its threads, which end too.
    fn kill(self) {
        self.settle();
        self.disk.stop_at(self.disk.op_count());
        self.runtime.block_on(self.broker.stop(STOP_DEADLINE));
    }

    /// Stops it cleanly; whether that held.
    fn stop(self) -> bool {
        self.runtime.block_on(self.broker.stop(STOP_DEADLINE))
    }

    fn create(&self, told: &mut Told) -> Result<(), Refused> {
        let (start_at_least, start_at_most) = (0, 0);
        let asked =
            TopicTold { stage: Stage::CreateAsked, id: None, acked: vec![], start_at_least, start_at_most };
        told.topics.push(asked);
        let name = TOPIC.to_owned();
        let request = CreateTopic { name, partition_count: PARTITIONS, ..CreateTopic::default() };
        let made = self.runtime.block_on(self.broker.create_topic(request)).map_err(|e| e.to_string())?;
        told.newest().stage = Stage::Created;
        told.newest().id = made.topic_id;
        Ok(())
    }

    fn delete(&self, told: &mut Told) -> Result<(), Refused> {
        told.newest().stage = Stage::DeleteAsked;
        let request = DeleteTopic { name: TOPIC.to_owned(), ..DeleteTopic::default() };
        self.runtime.block_on(self.broker.delete_topic(request)).map_err(|e| e.to_string())?;
        told.newest().stage = Stage::Deleted;
        Ok(())
    }

    /// Waits until the broker has nothing under way: nothing is to run beside the next step.
    fn settle(&self) {
        let metrics = self.runtime.metrics();
        self.runtime.block_on(async {
            while metrics.num_alive_tasks() > 0 {
                tokio::task::yield_now().await;
            }
        });
    }

    fn partition(&self) -> Result<Arc<Partition>, Refused> {
        self.runtime.block_on(self.broker.partition(TOPIC, None, 0)).map_err(|error| error.to_string())
    }

    fn produce(&self, value: &str) -> Result<Offset, Refused> {
        let partition = self.partition()?;
        let new = batch(&[value.to_owned()], ProducerFields::NONE);
        self.runtime.block_on(async {
            let appended = partition.append(new, None).await.map_err(|error| error.to_string())?;
            partition.committed(appended.last_offset).await.map_err(|error| error.to_string())?;
            Ok(appended.base_offset)
        })
    }

    fn trim(&self, to: Offset) -> Result<(), Refused> {
        let request = TrimTopic { name: TOPIC.to_owned(), partitions: vec![(0, to)], validate_only: false };
        let trimmed = self.runtime.block_on(self.broker.trim_topic(request)).map_err(|e| e.to_string())?;
        trimmed.into_iter().try_for_each(|partition| partition.log_start.map(drop)).map_err(|e| e.to_string())
    }

    fn read(&self) -> Result<(Offset, Vec<(Offset, String)>), Refused> {
        let partition = self.partition()?;
        let offsets = partition.offsets();
        let read = |from| partition.read(from, 1 << 20, weir::log::Wait::Allowed);
        let records = read_all_with(offsets.log_start, read)?;
        Ok((offsets.log_start, records.into_iter().map(|(offset, _, value)| (offset, value)).collect()))
    }

    /// A topic is made, gets records, loses one.
    fn live(&self, told: &mut Told) -> Result<(), Refused> {
        self.create(told)?;
        for n in 0..2 {
            let value = format!("{}{n}", told.prefix());
            let offset = self.produce(&value)?;
            told.newest().acked.push((offset, value));
        }
        told.newest().start_at_most = 1;
        self.trim(1)?;
        told.newest().start_at_least = 1;
        Ok(())
    }
}

/// A data directory that was used once and stopped cleanly.
pub(super) fn start_disk() -> SimDisk {
    let disk = SimDisk::new(SimOptions { block_bytes: 512, sector_bytes: 128, ..SimOptions::default() });
    disk.set_now_ms(NOW_MS);
    assert!(Node::start(&disk, START_SEED).expect("an empty disk").stop(), "stops cleanly");
    disk.sync_file_system(Path::new("/")).expect("syncs");
    disk.kill()
}

/// The same where folders of deleted topics can't be unlinked: a next start has to.
fn start_disk_without_purge() -> SimDisk {
    let disk = start_disk();
    disk.fail(Fault::on(OpKind::Look, ends_with("/d/deleted"), Effect::Io).times(u32::MAX));
    disk
}

fn live_and_die(node: &Node, told: &mut Told) -> Result<(), Refused> {
    node.live(told)?;
    node.delete(told)?;
    node.settle();
    node.live(told)
}

impl Scenario for TopicScenario {
    type Told = Told;

    fn play(&self, disk: &SimDisk) -> Told {
        let mut told = Told::default();
        if let Ok(node) = Node::start(disk, PLAY_SEED) {
            // What is refused has left its traces in what was told.
            let _ = live_and_die(&node, &mut told);
            node.kill();
        }
        told
    }

    fn recover(&self, disk: &SimDisk, told: &Told) -> Told {
        if let Ok(node) = Node::start(disk, RECOVERY_SEED) {
            node.kill();
        }
        told.clone()
    }

    fn check(&self, disk: &SimDisk, told: &Told) -> Result<(), String> {
        let node = Node::start(disk, CHECK_SEED).map_err(|error| format!("does not start: {error}"))?;
        let held = hold(&node, told);
        let stopped = node.stop();
        held.and(if stopped { Ok(()) } else { Err("does not stop cleanly".to_owned()) })
    }
}

/// What a start finds and makes of it.
fn hold(node: &Node, told: &Told) -> Result<(), String> {
    hold_folders(node)?;
    let found = node.broker.image().topic(TOPIC).cloned();
    let newest = told.topics.last();
    let must_be = newest.is_some_and(|topic| topic.stage == Stage::Created);
    let may_be = newest.is_some_and(|topic| topic.stage != Stage::Deleted)
        || told.topics.iter().any(|topic| topic.stage == Stage::DeleteAsked);
    match (&found, newest) {
        (None, _) if must_be => return Err(format!("{newest:?} is not there")),
        (Some(_), _) if !may_be => return Err(format!("{newest:?}, and the topic is there")),
        (Some(topic), Some(newest)) => hold_topic(node, topic, newest, &told.prefix())?,
        _ => {}
    }
    if found.is_none() {
        node.create(&mut Told::default())?;
    }
    let (_, before) = node.read()?;
    let offset = node.produce("new")?;
    let (_, after) = node.read()?;
    let is_next = found.is_some() || (offset == 0 && before.is_empty());
    let expected: Vec<_> = before.into_iter().chain([(offset, "new".to_owned())]).collect();
    if is_next && after == expected {
        Ok(())
    } else {
        Err(format!("{expected:?} was due, {after:?} is there"))
    }
}

/// There are the folders of the topics that there are, and nothing else.
fn hold_folders(node: &Node) -> Result<(), String> {
    let image = node.broker.image();
    if let Some(topic) = image.topics_with_deleted().find(|topic| topic.deleting) {
        return Err(format!("{topic:?} is still to be purged"));
    }
    let of_topic = |topic: &Arc<Topic>| {
        let name = topic.name.clone();
        (0..topic.ready_count).map(move |partition| folder::name_of(&name, partition))
    };
    let places = [folder::DELETED_DIR, folder::QUARANTINE_DIR];
    let own = ["__cluster_metadata-0", "flush-journal", "weir.lock", "weir.meta"];
    let own = own.into_iter().chain(places).map(str::to_owned);
    let expected: BTreeSet<String> = image.topics().flat_map(of_topic).chain(own).collect();
    let found: BTreeSet<String> = names(&node.disk, DATA);
    let kept = places.map(|place| names(&node.disk, &format!("{DATA}/{place}")));
    if found != expected || kept.iter().any(|kept| !kept.is_empty()) {
        return Err(format!(
            "{expected:?} should be there, {found:?} are, deleted and in quarantine are {kept:?}"
        ));
    }
    Ok(())
}

fn names(disk: &SimDisk, path: &str) -> BTreeSet<String> {
    disk.list(Path::new(path)).unwrap_or_default().into_iter().map(|entry| entry.name).collect()
}

/// The topic that is there is the newest one, with its records.
fn hold_topic(node: &Node, topic: &Topic, told: &TopicTold, prefix: &str) -> Result<(), String> {
    if told.id.is_some_and(|id| id != topic.id) || !topic.is_ready() {
        return Err(format!("{told:?}, and the topic is {topic:?}"));
    }
    let (start, records) = node.read()?;
    if !(told.start_at_least..=told.start_at_most).contains(&start) {
        return Err(format!("{told:?}, and the log starts at {start}"));
    }
    if let Some(old) = records.iter().find(|record| !record.1.starts_with(prefix)) {
        return Err(format!("{old:?} is of an older topic"));
    }
    let lost = told.acked.iter().find(|record| record.0 >= start && !records.contains(record));
    lost.map_or(Ok(()), |lost| Err(format!("acknowledged {lost:?}, found {records:?}")))
}

#[test]
fn topics_made_again_survive_every_crash() {
    run("topics made again", &start_disk(), &TopicScenario).assert_holds();
}

#[test]
fn topics_made_again_before_the_purge_survive_every_crash() {
    run("topics made again before the purge", &start_disk_without_purge(), &TopicScenario).assert_holds();
}

#[test]
fn faults_under_topics_survive_every_crash() {
    run_with_faults("topics made again", &start_disk(), &TopicScenario).assert_holds();
}

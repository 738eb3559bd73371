//! `kill -9` while topics are made, deleted and made again under the same names, and folders that were lost or are somebody else's.
//!
//! No record of an older topic is ever read in a newer one of its name, nothing is left over after a start, and what was
//! acknowledged holds: topics made are there with their records, deleted ones are gone, from the moment of the answer on.

mod each_call;
mod lost;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use weir::base::{Error, Outcome, TopicId};
use weir::client::{Client, Record};

use super::{number, outcomes};
use crate::process::{BrokerProcess, free_port};
use crate::whole::read_all;

/// Kills where `$WEIR_KILLS` does not say.
const KILLS_DEFAULT: usize = 6;
const NAMES: usize = 5;
const PARTITIONS: i32 = 2;
/// Records that a topic gets before the next thing happens to it.
const RECORDS_MAX: usize = 12;
/// A record that was on its way when the broker was killed may still come when it is back, up to this long.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a broker lives, in ms.
const LIFE_MS: std::ops::RangeInclusive<u64> = 5..=400;
/// Now and then one is killed this soon after its start, in ms.
const YOUNG_MS: std::ops::RangeInclusive<u64> = 1..=40;
const YOUNG_EVERY: u64 = 5;
/// A topic that lives is deleted once in so many turns.
const DELETE_EVERY: u64 = 2;

/// How far the newest topic of a name got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    CreateAsked,
    Created,
    DeleteAsked,
    Deleted,
}

/// The topics that bear a name one after the other.
#[derive(Debug)]
struct Told {
    name: String,
    /// Counts topics; every record names it.
    generation: u32,
    stage: Stage,
    id: Option<TopicId>,
    /// Acknowledged records of the newest topic.
    stored: BTreeMap<(i32, i64), String>,
    /// Records of any topic of this name that were refused.
    refused: BTreeSet<String>,
    next_record: u32,
    creates: usize,
    deletes: usize,
    records: usize,
    /// Topics of which a kill left open whether they were made or deleted.
    doubts: usize,
}

impl Told {
    fn new(number: usize) -> Self {
        Self {
            name: format!("topic-{number}"),
            generation: 0,
            stage: Stage::Deleted,
            id: None,
            stored: BTreeMap::new(),
            refused: BTreeSet::new(),
            next_record: 0,
            creates: 0,
            deletes: 0,
            records: 0,
            doubts: 0,
        }
    }

    fn prefix(&self) -> String {
        format!("{} {} ", self.name, self.generation)
    }
}

type Shared = Arc<Mutex<Told>>;

async fn create(client: &Client, told: &Shared) -> Result<(), Error> {
    let name = {
        let mut told = told.lock();
        told.generation += 1;
        told.stage = Stage::CreateAsked;
        told.id = None;
        told.stored.clear();
        told.name.clone()
    };
    let topic = client.admin().create_topic(name).partitions(PARTITIONS).await?;
    let mut told = told.lock();
    told.id = topic.topic_id;
    told.stage = Stage::Created;
    told.creates += 1;
    Ok(())
}

/// Sends some records. The last ones are still on their way when this returns.
async fn produce(client: &Client, told: &Shared, rng: &mut fastrand::Rng) -> Result<JoinHandle<()>, Error> {
    let producer = client.producer().delivery_timeout(PATIENCE).build().await?;
    let (name, generation) = {
        let told = told.lock();
        (told.name.clone(), told.generation)
    };
    let mut deliveries = Vec::new();
    for _ in 0..rng.usize(1..=RECORDS_MAX) {
        let value = {
            let mut told = told.lock();
            told.next_record += 1;
            format!("{}{}", told.prefix(), told.next_record)
        };
        let record = Record::to(name.as_str()).partition(rng.i32(0..PARTITIONS)).value(value.clone());
        deliveries.push((value, producer.send(record).await?));
    }
    let told = told.clone();
    Ok(tokio::spawn(async move {
        for (value, delivery) in deliveries {
            let fate = delivery.await;
            let mut told = told.lock();
            let stored = match fate {
                Ok(stored) => stored,
                Err(error) => {
                    told.refused.extend((error.outcome == Outcome::NotWritten).then_some(value));
                    continue;
                }
            };
            told.records += 1;
            if told.generation == generation {
                told.stored.insert((stored.partition, stored.offset), value);
            }
        }
        producer.close().await;
    }))
}

/// Deletes the topic of a name. When that is answered, nothing is left under the name.
async fn delete(client: &Client, data: &Path, told: &Shared) -> Result<(), Error> {
    let name = {
        let mut told = told.lock();
        told.stage = Stage::DeleteAsked;
        told.name.clone()
    };
    client.admin().delete_topic(name.as_str()).await?;
    let mut told = told.lock();
    for partition in 0..PARTITIONS {
        let folder = data.join(format!("{name}-{partition}"));
        assert!(!folder.exists(), "the delete is answered and {} is still there", folder.display());
    }
    told.stage = Stage::Deleted;
    told.deletes += 1;
    Ok(())
}

/// Makes, fills and deletes the topics of one name until something fails.
async fn live(address: &str, data: &Path, told: &Shared, rng: &mut fastrand::Rng) -> Result<(), Error> {
    let client = Client::connect(address).await?;
    loop {
        if told.lock().stage == Stage::Deleted {
            create(&client, told).await?;
        }
        let on_their_way = produce(&client, told, rng).await?;
        if rng.u64(..DELETE_EVERY) == 0 {
            delete(&client, data, told).await?;
            on_their_way.abort();
        } else if rng.bool() {
            on_their_way.await.unwrap();
        }
    }
}

/// One life of a broker: load on every name, then `kill -9`.
async fn kill_under_load(broker: BrokerProcess, data: &Path, told: &[Shared], rng: &mut fastrand::Rng) {
    let is_killed = Arc::new(AtomicBool::new(false));
    let spawn = |told: &Shared| {
        let (address, told, is_killed) = (broker.address(), told.clone(), is_killed.clone());
        let data = data.to_owned();
        let mut rng = rng.fork();
        tokio::spawn(async move {
            let failed = live(&address, &data, &told, &mut rng).await;
            assert!(is_killed.load(Ordering::Relaxed), "{told:?}: {failed:?}");
        })
    };
    let lives: Vec<_> = told.iter().map(spawn).collect();
    sleep(Duration::from_millis(rng.u64(LIFE_MS))).await;
    is_killed.store(true, Ordering::Relaxed);
    broker.kill();
    for life in lives {
        life.abort();
        if let Err(error) = life.await {
            assert!(error.is_cancelled(), "{error}");
        }
    }
}

/// What a start has made of it.
async fn check(broker: &BrokerProcess, data: &Path, told: &[Shared]) {
    let client = Client::connect(&broker.address()).await.unwrap();
    let topics = client.admin().list_topics().await.unwrap();
    let there: BTreeSet<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    check_folders(data, &there);
    for told in told {
        // Taken before the reading: what was on its way may still be acknowledged.
        let (name, stored) = {
            let told = told.lock();
            (told.name.clone(), told.stored.clone())
        };
        let is_there = there.contains(name.as_str());
        let records = if is_there { read_all(&client, &name).await } else { Vec::new() };
        let described =
            if is_there { client.admin().describe_topic(&name).await.unwrap().topic_id } else { None };
        let mut told = told.lock();
        let told = &mut *told;
        assert!(is_there || told.stage != Stage::Created, "an acknowledged topic is gone: {told:?}");
        assert!(!is_there || told.stage != Stage::Deleted, "a deleted topic is there: {told:?}");
        assert!(told.id.is_none() || !is_there || told.id == described, "another topic is there: {told:?}");
        let prefix = told.prefix();
        let mut found = BTreeMap::new();
        for record in records {
            let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            assert!(value.starts_with(&prefix), "{value} is read in {told:?}");
            assert!(!told.refused.contains(&value), "{value} was refused and is read in {told:?}");
            found.insert((record.partition, record.offset), value);
        }
        if is_there {
            let lost = stored.iter().find(|(place, value)| found.get(place) != Some(value));
            assert!(lost.is_none(), "{lost:?} is lost: {told:?}");
        }
        told.doubts += usize::from(matches!(told.stage, Stage::CreateAsked | Stage::DeleteAsked));
        told.stage = if is_there { Stage::Created } else { Stage::Deleted };
        told.id = described;
    }
}

fn names(path: &Path) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(path) else { return BTreeSet::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// There are the folders of the topics that there are, and nothing else.
fn check_folders(data: &Path, topics: &BTreeSet<&str>) {
    let own = ["__cluster_metadata-0", "deleted", "flush-journal", "quarantine", "weir.lock", "weir.meta"];
    let own = own.map(str::to_owned);
    let of_topics =
        topics.iter().flat_map(|name| (0..PARTITIONS).map(move |number| format!("{name}-{number}")));
    let expected: BTreeSet<String> = of_topics.chain(own).collect();
    let mut found = names(data);
    // Written once in a thousand commands.
    found.remove("metadata.snapshot");
    assert_eq!(found, expected, "the data directory");
    for place in ["deleted", "quarantine"] {
        assert_eq!(names(&data.join(place)), BTreeSet::new(), "{place}/");
    }
}

#[tokio::test]
async fn topics_made_again_survive_kills() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let port = free_port();
    let start = || BrokerProcess::start(folder.path(), port);
    let mut rng = fastrand::Rng::with_seed(number("WEIR_SEED", 7) as u64);
    let told: Vec<Shared> = (0..NAMES).map(|number| Arc::new(Mutex::new(Told::new(number)))).collect();
    let mut broker = start();
    broker.answers(None).await;
    let (kills, mut young_kills) = (number("WEIR_KILLS", KILLS_DEFAULT), 0);
    for _ in 0..kills {
        kill_under_load(broker, &data, &told, &mut rng).await;
        if rng.u64(..YOUNG_EVERY) == 0 {
            let young = start();
            sleep(Duration::from_millis(rng.u64(YOUNG_MS))).await;
            young.kill();
            young_kills += 1;
        }
        broker = start();
        broker.answers(None).await;
        check(&broker, &data, &told).await;
    }
    let sum = |count: fn(&Told) -> usize| told.iter().map(|told| count(&told.lock())).sum::<usize>();
    let creates = sum(|told| told.creates);
    println!(
        "topics made again: {kills} kills under load and {young_kills} while starting; {creates} topics made, {} deleted, {} records \
         acknowledged, {} makes or deletes cut short; no old record read, nothing left over, nothing acknowledged lost",
        sum(|told| told.deletes),
        sum(|told| told.records),
        sum(|told| told.doubts),
    );
    outcomes::count(sum(|told| told.refused.len()), 0);
    assert!(creates > kills / 2, "hardly anything was made: this shows nothing");
    broker.kill();
}

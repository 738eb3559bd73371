//! Commits, and a broker that is killed, loses its power, or has a full disk: every acknowledged commit is there, and no other than was
//! sent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use weir::client::{Client, Record};
use weir::proto::grpc as pb;
use weir::proto::grpc::group_service_client::GroupServiceClient;

use super::super::ext4::Ext4;
use super::super::number;
use super::super::outcomes::skip;
use super::{PAUSE, client_with_topic, until};
use crate::process::{BrokerProcess, free_port};

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 4;
/// Spread over the partitions of the offsets log.
const GROUPS: usize = 12;
const KILLS_DEFAULT: usize = 3;
const CUTS_DEFAULT: usize = 2;
/// How long a broker lives, in ms.
const LIFE_MS: std::ops::RangeInclusive<u64> = 50..=800;
const DISK_MEGABYTES: u32 = 512;
/// One that is soon full.
const SMALL_DISK_MEGABYTES: u32 = 64;
const FILLING_BYTES: usize = 256 << 10;
/// Commits of each partition of each group on the full disk.
const COMMITS: usize = 50;
/// A call that has no answer after this long is made again.
const CALL_WAIT: Duration = Duration::from_secs(10);

/// How far one group has committed in one partition.
#[derive(Clone, Copy, Default)]
struct Place {
    sent: i64,
    acknowledged: i64,
}

#[derive(Default)]
struct Sent {
    places: BTreeMap<(usize, i32), Place>,
    acknowledged: u64,
}

/// Groups that commit on and on, each one offset after the other.
struct Committers {
    sent: Arc<Mutex<Sent>>,
    tasks: Vec<JoinHandle<()>>,
}

fn name(group: usize) -> String {
    format!("group-{group}")
}

impl Committers {
    fn start(address: &str, sent: &Arc<Mutex<Sent>>) -> Self {
        let one = |group| tokio::spawn(commit_on_and_on(address.to_owned(), group, sent.clone()));
        Self { sent: sent.clone(), tasks: (0..GROUPS).map(one).collect() }
    }

    /// Ends them, with whatever is under way.
    async fn end(self) -> u64 {
        for task in self.tasks {
            task.abort();
            assert!(task.await.is_err_and(|end| end.is_cancelled()), "a committer failed");
        }
        self.sent.lock().acknowledged
    }
}

async fn commit_on_and_on(address: String, group: usize, sent: Arc<Mutex<Sent>>) {
    loop {
        let Ok(mut calls) = GroupServiceClient::connect(format!("http://{address}")).await else {
            sleep(PAUSE).await;
            continue;
        };
        while commit_once(&mut calls, group, &sent).await {}
    }
}

/// One commit of the next offset of every partition. False: its fate is not known.
async fn commit_once(
    calls: &mut GroupServiceClient<tonic::transport::Channel>,
    group: usize,
    sent: &Mutex<Sent>,
) -> bool {
    let next = |partition| {
        let mut sent = sent.lock();
        let place = sent.places.entry((group, partition)).or_default();
        place.sent += 1;
        place.sent
    };
    let offset = |partition| {
        let offset = next(partition);
        let metadata = format!("at {offset}");
        pb::PartitionOffset { topic: TOPIC.to_owned(), partition, offset, metadata, ..Default::default() }
    };
    let offsets: Vec<_> = (0..PARTITIONS).map(offset).collect();
    let request =
        pb::CommitOffsetsRequest { group: name(group), offsets: offsets.clone(), ..Default::default() };
    let Ok(Ok(answer)) = timeout(CALL_WAIT, calls.commit_offsets(request)).await else { return false };
    for (result, asked) in answer.into_inner().partitions.iter().zip(offsets) {
        assert_eq!(result.partition, asked.partition);
        if result.error.is_none() {
            let mut sent = sent.lock();
            sent.acknowledged += 1;
            sent.places.get_mut(&(group, asked.partition)).expect("it was sent").acknowledged = asked.offset;
        }
    }
    true
}

/// Holds what is committed against what was sent, and goes on from there.
async fn check(address: &str, sent: &Mutex<Sent>) {
    let client = Client::connect(address).await.unwrap();
    for group in 0..GROUPS {
        let mut found = None;
        until("the group's offsets are told", async || {
            found = client.admin().group_offsets(&name(group)).await.ok();
            found.is_some() || sent.lock().places.get(&(group, 0)).is_none_or(|place| place.acknowledged == 0)
        })
        .await;
        let mut found: BTreeMap<i32, _> =
            found.unwrap_or_default().into_iter().map(|found| (found.partition, found)).collect();
        for partition in 0..PARTITIONS {
            let mut sent = sent.lock();
            let place = sent.places.entry((group, partition)).or_default();
            let at = found.remove(&partition);
            let offset = at.as_ref().map_or(0, |at| at.offset);
            let Place { sent: last, acknowledged } = *place;
            assert!(
                (acknowledged..=last).contains(&offset),
                "Lost: {}/{partition}: {acknowledged} was acknowledged and {last} sent, {offset} is there",
                name(group)
            );
            assert!(
                at.is_none_or(|at| at.metadata == format!("at {offset}")),
                "the metadata of another commit"
            );
            *place = Place { sent: last, acknowledged: offset };
        }
    }
}

/// A disk of its own for a broker with the topic.
struct Home {
    disk: Ext4,
    port: u16,
}

impl Home {
    /// Makes it and starts the broker. Nothing where no disk can be made: then `what` is told to be skipped.
    async fn new(what: &str, megabytes: u32) -> Option<(Self, BrokerProcess, Client)> {
        let disk = Ext4::new(megabytes).map_err(|reason| skip(what, &reason)).ok()?;
        let home = Self { disk, port: free_port() };
        let mut broker = home.start();
        broker.answers(None).await;
        let client = client_with_topic(&broker.address(), TOPIC, PARTITIONS).await;
        Some((home, broker, client))
    }

    fn start(&self) -> BrokerProcess {
        BrokerProcess::start_on(&self.disk.path().join("data"), self.disk.beside(), self.port)
    }

    /// Starts the broker again, and holds what is committed against what was sent.
    async fn restart(&self, sent: &Mutex<Sent>) -> BrokerProcess {
        let mut broker = self.start();
        broker.answers(Some(TOPIC)).await;
        check(&broker.address(), sent).await;
        broker
    }
}

#[tokio::test]
async fn acknowledged_commits_survive_kills() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut broker = BrokerProcess::start(folder.path(), port);
    broker.answers(None).await;
    client_with_topic(&broker.address(), TOPIC, PARTITIONS).await;
    let mut rng = fastrand::Rng::with_seed(number("WEIR_SEED", 7) as u64);
    let (kills, sent) = (number("WEIR_KILLS", KILLS_DEFAULT), Arc::<Mutex<Sent>>::default());
    let (mut idle, mut before) = (0, 0);
    for _ in 0..kills {
        let committers = Committers::start(&broker.address(), &sent);
        sleep(Duration::from_millis(rng.u64(LIFE_MS))).await;
        broker.kill();
        let acknowledged = committers.end().await;
        idle += usize::from(acknowledged == before);
        before = acknowledged;
        broker = BrokerProcess::start(folder.path(), port);
        broker.answers(Some(TOPIC)).await;
        check(&broker.address(), &sent).await;
    }
    println!(
        "commits: {kills} kills ({idle} lives without an acknowledgement), {before} commits acknowledged, every one is there"
    );
    assert!(idle < kills, "no broker acknowledged anything: this shows nothing");
    broker.kill();
}

#[tokio::test]
async fn acknowledged_commits_survive_power_cuts() {
    let Some((home, mut broker, _)) = Home::new("commits and power cuts", DISK_MEGABYTES).await else {
        return;
    };
    let mut rng = fastrand::Rng::with_seed(number("WEIR_SEED", 7) as u64);
    let (cuts, sent) = (number("WEIR_CUTS", CUTS_DEFAULT), Arc::<Mutex<Sent>>::default());
    let (mut idle, mut before) = (0, 0);
    for _ in 0..cuts {
        let committers = Committers::start(&broker.address(), &sent);
        sleep(Duration::from_millis(rng.u64(LIFE_MS))).await;
        home.disk.cut_power().unwrap();
        // It goes on for a while on a disk that refuses everything.
        sleep(Duration::from_millis(rng.u64(0..=200))).await;
        broker.kill();
        let acknowledged = committers.end().await;
        idle += usize::from(acknowledged == before);
        before = acknowledged;
        home.disk.come_back().unwrap();
        broker = home.restart(&sent).await;
    }
    println!(
        "commits: {cuts} power cuts ({idle} lives without an acknowledgement), {before} commits acknowledged, every one is there"
    );
    assert!(idle < cuts, "no broker acknowledged anything: this shows nothing");
    broker.kill();
}

/// Fills the disk through the broker, until nothing more is taken.
async fn fill(client: &Client) {
    let producer = client.producer().delivery_timeout(Duration::from_millis(300)).build().await.unwrap();
    loop {
        let record = Record::to(TOPIC).partition(0).value(vec![7; FILLING_BYTES]);
        let delivery = producer.send(record).await.unwrap();
        match delivery.await {
            Err(error) if error.to_string().contains("[DISK_FULL]") => return,
            Err(error) => assert!(error.kind.is_retriable(), "{error}"),
            Ok(_) => {}
        }
    }
}

/// Every group commits, some of them for the first time. The broker has no room for records any more, and the first of these commits
/// makes the offsets log.
#[tokio::test]
async fn commits_succeed_on_a_full_disk() {
    let Some((home, mut broker, client)) = Home::new("commits on a full disk", SMALL_DISK_MEGABYTES).await
    else {
        return;
    };
    let sent = Arc::<Mutex<Sent>>::default();
    fill(&client).await;
    for kills in 0..2 {
        let address = format!("http://{}", broker.address());
        let mut calls = GroupServiceClient::connect(address).await.unwrap();
        for _ in 0..COMMITS {
            for group in 0..GROUPS {
                assert!(
                    commit_once(&mut calls, group, &sent).await,
                    "a commit on the full disk has no answer"
                );
            }
        }
        let expected = (COMMITS * GROUPS * PARTITIONS as usize * (kills + 1)) as u64;
        assert_eq!(sent.lock().acknowledged, expected, "a commit was refused on the full disk");
        fill(&client).await;
        broker.kill();
        broker = home.restart(&sent).await;
    }
    let acknowledged = sent.lock().acknowledged;
    println!("commits: {acknowledged} on a full disk, all acknowledged; there after 2 kills on it");
    broker.kill();
}

//! What an idle broker takes, and how soon a new one is of use.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use weir::client::{Client, Record};

use super::process::{BrokerProcess, free_port};

const TOPIC: &str = "idle";
const PARTITIONS: i32 = 100;
const RSS_ANON_KIB_MAX: u64 = 15 << 10;
/// Long enough for a broker to have done what a start leaves to be done.
const IDLE: Duration = Duration::from_secs(3);
const STARTS: usize = 10;

async fn rss_anon_kib(broker: &BrokerProcess) -> u64 {
    sleep(IDLE).await;
    broker.rss_anon_kib()
}

async fn start(folder: &Path, topic: Option<&str>) -> BrokerProcess {
    let mut broker = BrokerProcess::start(folder, free_port());
    broker.answers(topic).await;
    broker
}

fn report(state: &str, kib: u64) {
    println!("idle broker, {state}: RssAnon {kib} KiB");
    assert!(kib < RSS_ANON_KIB_MAX, "{state}: RssAnon {kib} KiB, at most {RSS_ANON_KIB_MAX} KiB");
}

async fn write_everywhere(broker: &BrokerProcess) {
    let client = Client::connect(&broker.address()).await.unwrap();
    let producer = client.producer().build().await.unwrap();
    for partition in 0..PARTITIONS {
        drop(producer.send(Record::to(TOPIC).partition(partition).value("a record")).await.unwrap());
    }
    assert_eq!(producer.close().await.delivered, PARTITIONS as u64);
}

#[tokio::test]
async fn an_idle_broker_is_small() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), None).await;
    report("no topics", rss_anon_kib(&broker).await);
    let client = Client::connect(&broker.address()).await.unwrap();
    client.admin().create_topic(TOPIC).partitions(PARTITIONS).await.unwrap();
    drop(client);
    report("100 partitions just created", rss_anon_kib(&broker).await);
    write_everywhere(&broker).await;
    report("100 partitions written to", rss_anon_kib(&broker).await);
    broker.kill();
    let broker = start(folder.path(), Some(TOPIC)).await;
    report("100 partitions recovered after kill -9", rss_anon_kib(&broker).await);
}

/// From the start of the process to the first acknowledged record; with a topic that has to be created, or without.
async fn first_record(folder: &Path, create: bool) -> Duration {
    let mut broker = BrokerProcess::start(folder, free_port());
    broker.accepts().await;
    let client = Client::connect(&broker.address()).await.unwrap();
    if create {
        client.admin().create_topic(TOPIC).await.unwrap();
    }
    let producer = client.producer().build().await.unwrap();
    let stored = producer.send(Record::to(TOPIC).value("the first")).await.unwrap().await.unwrap();
    let took = broker.age();
    assert!(stored.offset >= 0);
    producer.close().await;
    // A clean end, so that the next start is that of every day.
    broker.terminate();
    assert!(
        broker.ended(Duration::from_secs(20)).await.is_some_and(|end| end.success()),
        "{}",
        broker.said()
    );
    took
}

/// What one sync of a file and one of its directory take here, each half of what is given: most of a first start.
fn sync_time(folder: &Path) -> Duration {
    let directory = File::open(folder).unwrap();
    let mut times: Vec<Duration> = (0..20)
        .map(|number| {
            let mut file = File::create(folder.join(number.to_string())).unwrap();
            file.write_all(b"a few bytes").unwrap();
            let begun = Instant::now();
            file.sync_data().unwrap();
            directory.sync_all().unwrap();
            begun.elapsed() / 2
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

fn report_times(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let (median, max) = (ms(times[times.len() / 2]), ms(times[times.len() - 1]));
    println!(
        "start to first acknowledged record, {what}: median {median:.1} ms, max {max:.1} ms of {}",
        times.len()
    );
}

#[tokio::test]
async fn the_first_record_comes_soon() {
    let mut fresh = Vec::new();
    let mut syncs = Vec::new();
    for _ in 0..STARTS {
        let folder = tempfile::tempdir().unwrap();
        syncs.push(sync_time(folder.path()));
        fresh.push(first_record(folder.path(), true).await);
    }
    report_times("fresh data directory, topic created", fresh);
    syncs.sort();
    println!("one sync of this disk meanwhile: median {:.2} ms", syncs[STARTS / 2].as_secs_f64() * 1000.0);
    let folder = tempfile::tempdir().unwrap();
    first_record(folder.path(), true).await;
    let mut again = Vec::new();
    for _ in 0..STARTS {
        again.push(first_record(folder.path(), false).await);
    }
    report_times("existing topic", again);
}

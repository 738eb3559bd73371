//! A file system that becomes read-only under a loaded broker (EROFS), as ext4 does after an error of the device.
//!
//! Every write is refused with a typed error from then on and nothing is acknowledged, reads of what nobody writes to go on, a stop ends,
//! a start is refused in words; once the file system can be written again all that was acknowledged is served.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use weir::base::ErrorKind;
use weir::client::{Client, Record};
use weir::proto::grpc as pb;
use weir::proto::grpc::ErrorReason;
use weir::proto::grpc::consumer_service_client::ConsumerServiceClient;

use super::ext4::Ext4;
use super::history::Findings;
use super::load::{Kind, Load, PARTITIONS, TOPIC};
use super::outcomes::skip;
use super::{assert_none, number};
use crate::process::{BrokerProcess, free_port};
use crate::whole::read_all;

/// Lives where `$WEIR_CUTS` does not say.
const LIVES_DEFAULT: usize = 2;
const DISK_MEGABYTES: u32 = 256;
/// How long the file system is writable under load, in ms.
const LIFE_MS: std::ops::RangeInclusive<u64> = 100..=1_000;
/// How long the load goes on when it is not any more.
const AFTER: Duration = Duration::from_millis(500);
/// Bundled producers give a record up after this long.
const PATIENCE: Duration = Duration::from_secs(2);
/// What has not come after this long does not come.
const WAIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);
/// A topic that nobody writes to any more.
const QUIET: &str = "quiet";
const QUIET_RECORDS: usize = 100;

/// What the lives came to.
#[derive(Default)]
struct Tally {
    acknowledged: usize,
    refused: usize,
    /// Partitions that were read while nothing could be written.
    read: usize,
    /// Partitions that said that they are offline.
    offline: usize,
}

async fn fill_quiet(client: &Client) {
    client.admin().create_topic(QUIET).partitions(1).await.unwrap();
    let producer = client.producer().build().await.unwrap();
    for number in 0..QUIET_RECORDS {
        producer.send(Record::to(QUIET).value(number.to_string())).await.unwrap().await.unwrap();
    }
    producer.close().await;
}

async fn check_quiet(client: &Client) {
    let read = timeout(WAIT, read_all(client, QUIET)).await.expect("reads go on");
    let values: Vec<_> = read.into_iter().map(|record| record.value.unwrap()).collect();
    let expected: Vec<_> = (0..QUIET_RECORDS).map(|number| number.to_string().into_bytes()).collect();
    assert_eq!(values, expected);
}

/// Waits until each partition says that what is sent to it can't be stored.
async fn all_refuse(load: &Load) {
    let begun = Instant::now();
    for partition in 0..PARTITIONS {
        loop {
            let answer = load.probe(partition).await;
            if answer.1 == Some(ErrorReason::StorageError) {
                break;
            }
            assert!(begun.elapsed() < WAIT, "partition {partition} of a read-only disk answers {answer:?}");
            sleep(PAUSE).await;
        }
    }
}

/// Asks each partition of the load for its first record: it comes, or the partition says that it is offline.
async fn read_each(address: &str, tally: &mut Tally) {
    let mut calls = ConsumerServiceClient::connect(format!("http://{address}")).await.unwrap();
    for partition in 0..PARTITIONS {
        let place =
            pb::FetchPartition { topic: TOPIC.to_owned(), partition, ..pb::FetchPartition::default() };
        let request = pb::FetchRequest { partitions: vec![place], ..pb::FetchRequest::default() };
        let reply = timeout(WAIT, calls.fetch(request)).await.expect("an answer").unwrap();
        let answer = reply.into_inner().partitions.remove(0);
        match answer.error.as_ref().map(pb::ItemError::reason) {
            None => tally.read += usize::from(!answer.records.is_empty()),
            Some(ErrorReason::StorageError) => tally.offline += 1,
            _ => panic!("partition {partition} of a read-only disk: {answer:?}"),
        }
    }
}

/// Changes of metadata are refused, or end the broker, which says that its metadata log failed.
async fn check_metadata(client: &Client, broker: &mut BrokerProcess) {
    let asked = client.admin().create_topic("never");
    let told = timeout(WAIT, asked.into_future()).await.expect("an answer");
    let error = told.expect_err("nothing can be written");
    if error.kind != ErrorKind::StorageError {
        let ended = broker.ended(WAIT).await;
        let said = broker.said_itself();
        assert!(ended.is_some() && said.contains("the metadata log failed"), "{error}; it said\n{said}");
    }
}

async fn live(disk: &Ext4, life: usize, rng: &mut fastrand::Rng, tally: &mut Tally) -> Findings {
    let (data, port) = (disk.path().join("data"), free_port());
    let mut broker = BrokerProcess::start_on(&data, disk.beside(), port);
    broker.answers(None).await;
    let client = Client::connect(&broker.address()).await.unwrap();
    fill_quiet(&client).await;
    let mut load = Load::start_with_patience(&broker.address(), &Kind::all("ack"), PATIENCE).await;
    load.flows().await;
    sleep(Duration::from_millis(rng.u64(LIFE_MS))).await;
    disk.fail();
    let mark = load.mark();
    all_refuse(&load).await;
    sleep(AFTER).await;
    check_quiet(&client).await;
    read_each(&broker.address(), tally).await;
    check_metadata(&client, &mut broker).await;
    for partition in 0..PARTITIONS {
        let since = load.acknowledged_since(&mark, partition);
        assert_eq!(since, 0, "partition {partition} of a read-only disk acknowledges");
    }
    if life.is_multiple_of(2) {
        broker.terminate();
        assert!(broker.ended(WAIT).await.is_some(), "it does not stop; it said\n{}", broker.said());
    }
    broker.kill();

    let mut refused = BrokerProcess::start_on(&data, disk.beside(), port);
    let status = refused.ended(WAIT).await.expect("it can't start");
    let said = refused.said_itself();
    assert!(!status.success() && said.contains("Read-only file system"), "ended with {status}:\n{said}");
    disk.come_back().unwrap();
    let mut broker = BrokerProcess::start_on(&data, disk.beside(), port);
    broker.answers(Some(TOPIC)).await;
    check_quiet(&client).await;
    load.stop().await;
    let checked = load.check(false).await;
    tally.acknowledged += checked.sent.acknowledged();
    tally.refused += checked.sent.count(|fate| fate == super::history::Fate::NotWritten);
    broker.kill();
    checked.findings
}

#[tokio::test]
async fn a_disk_that_becomes_read_only_loses_nothing_and_comes_back() {
    let mut rng = fastrand::Rng::with_seed(number("WEIR_SEED", 7) as u64);
    let (lives, mut tally, mut findings) =
        (number("WEIR_CUTS", LIVES_DEFAULT), Tally::default(), Findings::new());
    for life in 0..lives {
        let disk = match Ext4::that_fails_safe(DISK_MEGABYTES) {
            Ok(disk) => disk,
            Err(reason) => return skip("read-only disks", &reason),
        };
        findings.extend(live(&disk, life, &mut rng, &mut tally).await);
    }
    println!(
        "read-only: {lives} disks became read-only: {} records acknowledged before or after, 0 meanwhile, {} refused; of {} partitions that \
         were written to {} were offline and {} were read, a quiet one was read each time; {} findings",
        tally.acknowledged,
        tally.refused,
        tally.offline + tally.read,
        tally.offline,
        tally.read,
        findings.len()
    );
    assert_none(findings);
}

//! A process that may hold few descriptors: a flood of connections takes those of connections alone, and an opening that fails in a
//! round of syncs is no failed sync.

use std::net::TcpStream;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use weir::client::{Client, Producer, Record};

use super::number;
use super::outcomes::skip;
use super::strace::{Fault, hits, missing, notes_in};
use crate::process::{BrokerProcess, Manner, free_port};
use crate::whole::read_all;

const TOPIC: &str = "t";
/// Descriptors that the broker may hold.
const DESCRIPTORS: usize = 160;
const PARTITIONS: i32 = 8;
/// A segment of few records, so that files are made and opened all the time.
const SEGMENT_BYTES: &str = "4KiB";
const RECORD_BYTES: usize = 600;
/// Connections that come at once, and how often.
const FLOOD: usize = 400;
const FLOODS_DEFAULT: usize = 2;
/// Rounds of records to every partition under each flood.
const TURNS: usize = 12;
/// Openings that fail, one after the other.
const OPENINGS: usize = 5;
const WAIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

async fn start(folder: &std::path::Path, manner: &Manner) -> (BrokerProcess, Client) {
    let mut broker = BrokerProcess::start_as(&folder.join("data"), folder, free_port(), manner);
    broker.answers(None).await;
    let client = Client::connect(&broker.address()).await.unwrap();
    (broker, client)
}

/// Sends a record to each partition, so often, and waits for every answer. Gives how many were stored.
async fn fill(producer: &Producer, turns: usize) -> usize {
    let mut stored = 0;
    for _ in 0..turns {
        let mut deliveries = Vec::new();
        for partition in 0..PARTITIONS {
            let record = Record::to(TOPIC).partition(partition).value(vec![7; RECORD_BYTES]);
            deliveries.push(producer.send(record).await.unwrap());
        }
        for delivery in deliveries {
            delivery.await.unwrap();
            stored += 1;
        }
    }
    stored
}

/// Nobody who was connected was harmed.
fn assert_unharmed(broker: &BrokerProcess) {
    let said = broker.said_itself();
    for harm in ["append failed", "partition goes offline", "partition is offline", "Too many open files"] {
        assert!(!said.contains(harm), "it said '{harm}':\n{said}");
    }
}

#[tokio::test]
async fn a_flood_of_connections_refuses_connections_only() {
    let folder = tempfile::tempdir().unwrap();
    let limit = format!("ulimit -n {DESCRIPTORS} && exec \"$@\"");
    let under = ["sh", "-c", &limit, "sh"].map(str::to_owned).to_vec();
    let manner = Manner { under, settings: vec!["log.retention.check.interval.ms=50".to_owned()] };
    let (broker, client) = start(folder.path(), &manner).await;
    let create = client.admin().create_topic(TOPIC).partitions(PARTITIONS);
    create.config("segment.bytes", SEGMENT_BYTES).await.unwrap();
    let producer = client.producer().delivery_timeout(WAIT).build().await.unwrap();
    let mut stored = fill(&producer, 1).await;
    let floods = number("WEIR_FLOODS", FLOODS_DEFAULT);
    for _ in 0..floods {
        let flood: Vec<TcpStream> =
            (0..FLOOD).map(|_| TcpStream::connect(broker.address()).unwrap()).collect();
        stored += fill(&producer, TURNS).await;
        // Reads open files too.
        client.admin().describe_topic(TOPIC).await.unwrap();
        drop(flood);
        let begun = Instant::now();
        while Client::connect(&broker.address()).await.is_err() {
            assert!(begun.elapsed() < WAIT, "no connection is taken though the flood is over");
            sleep(PAUSE).await;
        }
        assert_eq!(read_all(&client, TOPIC).await.len(), stored);
    }
    assert_unharmed(&broker);
    let refused = broker.said_itself().matches("a connection was refused").count();
    assert!(refused > 0, "nobody was refused: this shows nothing");
    println!(
        "descriptors: {floods} floods of {FLOOD} connections to a broker with {DESCRIPTORS} descriptors: {refused} connections refused; \
         {stored} records acknowledged meanwhile, none refused, no partition offline"
    );
    broker.kill();
}

#[tokio::test]
async fn an_opening_that_fails_in_a_round_is_tried_again() {
    if let Some(reason) = missing() {
        return skip("openings that fail in a round", &reason);
    }
    let mut hit = 0;
    for effect in ["error=EMFILE", "error=EIO", "error=ENOMEM"] {
        let folder = tempfile::tempdir().unwrap();
        let (broker, client) = start(folder.path(), &Manner::default()).await;
        let create = client.admin().create_topic(TOPIC).partitions(PARTITIONS);
        create.config("segment.bytes", SEGMENT_BYTES).await.unwrap();
        let producer = client.producer().delivery_timeout(WAIT).build().await.unwrap();
        let mut stored = fill(&producer, 1).await;
        // The folder itself is opened for its sync at a roll.
        let fault = Fault {
            calls: "openat".to_owned(),
            effect: effect.to_owned(),
            when: format!("1..{OPENINGS}"),
            with: Vec::new(),
        };
        let (notes, rolls) = (notes_in(folder.path(), 0), folder.path().join("data/t-0"));
        let attached = fault.attach_on(broker.pid(), &notes, &rolls).await;
        stored += fill(&producer, TURNS).await;
        hit += hits(&notes).len();
        drop(attached);
        assert!(!hits(&notes).is_empty(), "{effect}: nothing was hit: this shows nothing");
        let said = broker.said_itself();
        assert!(!said.contains("partition goes offline"), "{fault}: it said\n{said}");
        assert!(said.contains("is tried again"), "{fault}: it said\n{said}");
        let port = broker.port();
        broker.kill();
        let mut broker = BrokerProcess::start(folder.path(), port);
        broker.answers(Some(TOPIC)).await;
        assert_eq!(read_all(&client, TOPIC).await.len(), stored);
        broker.kill();
    }
    println!(
        "descriptors: {hit} openings failed in rounds of syncs; every round was tried again, no partition offline, 0 lost"
    );
}

#[tokio::test]
async fn a_command_that_could_not_be_written_does_not_end_the_broker() {
    if let Some(reason) = missing() {
        return skip("commands that can't be written", &reason);
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut broker, client) = start(folder.path(), &Manner::default()).await;
    client.admin().create_topic(TOPIC).await.unwrap();
    let (calls, effect, when) = ("pwritev".to_owned(), "error=EIO".to_owned(), "1".to_owned());
    let fault = Fault { calls, effect, when, with: Vec::new() };
    let log = folder.path().join("data/__cluster_metadata-0/00000000000000000000.log");
    let attached = fault.attach_on(broker.pid(), &notes_in(folder.path(), 0), &log).await;
    let mut refused = 0;
    // Each thread that writes is hit once.
    while let Err(error) = client.admin().create_topic("u").await {
        assert!(error.message.contains("nothing was written"), "{error}");
        refused += 1;
    }
    assert!(refused > 0, "nothing was hit: this shows nothing");
    drop(attached);
    assert!(broker.ended(PAUSE).await.is_none());
    broker.kill();
}

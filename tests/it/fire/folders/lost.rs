//! A data directory that lost a partition's folder, or got one that nobody knows.

use std::collections::BTreeSet;
use std::path::Path;

use weir::base::{Error, ErrorKind};
use weir::client::{At, Client, Record};
use weir::proto::grpc as pb;
use weir::proto::grpc::producer_service_client::ProducerServiceClient;

use super::names;
use crate::process::{BrokerProcess, free_port};
use crate::whole::read_all;

const TOPIC: &str = "t";
const PARTITIONS: i32 = 3;
/// The one whose folder is lost.
const LOST: i32 = 1;
const RECORDS: u64 = 5;

/// Kills a broker and starts it again with something done to its data directory.
async fn restart(broker: BrokerProcess, folder: &Path, change: impl FnOnce(&Path)) -> BrokerProcess {
    let port = broker.port();
    broker.kill();
    change(&folder.join("data"));
    let mut broker = BrokerProcess::start(folder, port);
    broker.answers(None).await;
    broker
}

async fn produce(client: &Client, partitions: &[i32]) {
    let producer = client.producer().build().await.unwrap();
    for partition in partitions {
        for number in 0..RECORDS {
            let record = Record::to(TOPIC).partition(*partition).value(format!("{partition} {number}"));
            drop(producer.send(record).await.unwrap());
        }
    }
    assert_eq!(producer.close().await.delivered, partitions.len() as u64 * RECORDS);
}

/// What is said of one partition to who asks for its end.
async fn end(client: &Client, partition: i32) -> Result<i64, Error> {
    let listed = client.admin().list_offsets(TOPIC, [(partition, At::End)]).await.unwrap().remove(0);
    listed.map(|end| end.offset.unwrap())
}

/// What is said of it to who writes.
async fn refusal(address: &str) -> pb::ItemError {
    let record = pb::Record { value: Some("x".into()), ..pb::Record::default() };
    let records = pb::RecordList { records: vec![record] };
    let batch = pb::ProduceBatch {
        topic: TOPIC.to_owned(),
        partition: Some(LOST),
        payload: Some(pb::produce_batch::Payload::Records(records)),
        ..pb::ProduceBatch::default()
    };
    let request = pb::ProduceRequest { acks: pb::Acks::All.into(), batches: vec![batch] };
    let mut calls = ProducerServiceClient::connect(format!("http://{address}")).await.unwrap();
    calls.produce(request).await.unwrap().into_inner().results.remove(0).error.expect("its folder is lost")
}

async fn check_lost(broker: &BrokerProcess, records_of_others: u64) {
    let said = broker.said();
    assert!(said.contains("folder is missing: the partition is offline folder=t-1"), "{said}");
    let error = refusal(&broker.address()).await;
    assert_eq!((error.reason(), error.outcome()), (pb::ErrorReason::StorageError, pb::Outcome::NotWritten));
    assert!(error.message.starts_with("partition 1 of topic 't' is offline: folder "), "{}", error.message);
    assert_eq!((&*error.metadata["topic"], &*error.metadata["partition"]), ("t", "1"));
    let client = Client::connect(&broker.address()).await.unwrap();
    let error = end(&client, LOST).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::StorageError, "{error}");
    for other in (0..PARTITIONS).filter(|partition| *partition != LOST) {
        assert_eq!(end(&client, other).await.unwrap(), records_of_others as i64);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for name in names(from) {
        std::fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}

#[tokio::test]
async fn a_lost_folder_is_told_and_the_rest_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let aside = folder.path().join("aside");
    let lost = folder.path().join("data/t-1");
    let mut broker = BrokerProcess::start(folder.path(), free_port());
    broker.answers(None).await;
    let client = Client::connect(&broker.address()).await.unwrap();
    client.admin().create_topic(TOPIC).partitions(PARTITIONS).await.unwrap();
    produce(&client, &[0, 1, 2]).await;

    let broker =
        restart(broker, folder.path(), |data| std::fs::rename(data.join("t-1"), &aside).unwrap()).await;
    check_lost(&broker, RECORDS).await;
    produce(&client, &[0, 2]).await;
    check_lost(&broker, 2 * RECORDS).await;
    assert!(!lost.exists(), "it is never made anew");

    // Its copy under another name is nobody's, as is a folder that says nothing of itself.
    let strangers = |data: &Path| {
        copy(&aside, &data.join("u-1"));
        std::fs::create_dir(data.join("v-0")).unwrap();
    };
    let broker = restart(broker, folder.path(), strangers).await;
    check_lost(&broker, 2 * RECORDS).await;
    let quarantined = names(&folder.path().join("data/quarantine"));
    assert_eq!(quarantined, BTreeSet::from(["u-1".to_owned(), "v-0".to_owned()]));

    let broker = restart(broker, folder.path(), |_| std::fs::rename(&aside, &lost).unwrap()).await;
    produce(&client, &[LOST]).await;
    let records = read_all(&client, TOPIC).await;
    assert_eq!(records.len() as u64, 3 * 2 * RECORDS);
    for (at, record) in (0..).zip(&records) {
        let expected = format!("{} {}", record.partition, at % RECORDS);
        assert_eq!(record.value.as_deref(), Some(expected.as_bytes()));
    }
    broker.kill();
    println!(
        "lost folder: told, never made anew, the rest served, served again when it was put back; 2 foreign folders in quarantine"
    );
}

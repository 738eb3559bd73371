//! Commits of those who own nothing any more are refused, those of a still-owner are taken, and offsets end with their topic.

use tokio::time::timeout;
use weir::client::{Client, Record};
use weir::proto::grpc as pb;
use weir::proto::grpc::ErrorReason;
use weir::proto::grpc::consume_response::Frame as Told;
use weir::proto::grpc::group_service_client::GroupServiceClient;

use super::stream::{Stream, joining};
use super::{PATIENCE, client_with_topic};
use crate::process::{BrokerProcess, free_port};

const TOPIC: &str = "orders";
const GROUP: &str = "refused";
const PARTITIONS: i32 = 4;
const RECORDS: i64 = 10;
const SESSION_MS: i32 = 60_000;
const SHORT_MS: i32 = 1_000;

async fn fill(client: &Client) {
    let producer = client.producer().build().await.unwrap();
    for number in 0..RECORDS * i64::from(PARTITIONS) {
        let record = Record::to(TOPIC).partition((number % i64::from(PARTITIONS)) as i32).value("x");
        producer.send(record).await.unwrap().await.unwrap();
    }
}

/// A commit under the ownership that a member was told of.
fn place(held: &pb::GroupPartition, offset: i64) -> pb::PartitionOffset {
    pb::PartitionOffset {
        topic: held.topic.clone(),
        topic_id: Some(held.topic_id.clone()),
        partition: held.partition,
        offset,
        ownership_epoch: Some(held.ownership_epoch),
        ..Default::default()
    }
}

async fn committed(client: &Client, partition: i32) -> Option<i64> {
    let offsets = client.admin().group_offsets(GROUP).await.unwrap();
    offsets.into_iter().find(|found| found.partition == partition).map(|found| found.offset)
}

async fn start(folder: &std::path::Path) -> (BrokerProcess, Client) {
    let mut broker = BrokerProcess::start(folder, free_port());
    broker.answers(None).await;
    let client = client_with_topic(&broker.address(), TOPIC, PARTITIONS).await;
    fill(&client).await;
    (broker, client)
}

async fn owner_of_all(broker: &BrokerProcess, session_ms: i32) -> Stream {
    let mut member = Stream::join(&broker.address(), joining(GROUP, TOPIC, session_ms)).await.unwrap();
    member.until("it owns all", |member| member.held.len() == PARTITIONS as usize).await;
    member
}

#[tokio::test]
async fn a_zombie_commits_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (broker, client) = start(folder.path()).await;
    let mut first = owner_of_all(&broker, SHORT_MS).await;
    let held = first.held[&0].clone();
    assert_eq!(first.commit(place(&held, 3)).await, None, "it owns the partition");
    let (id, epoch) = (first.id.clone(), first.epoch);
    first.crash();
    let mut second = owner_of_all(&broker, SESSION_MS).await;
    // The zombie wakes up, and says by itself what it read.
    let mut calls = GroupServiceClient::connect(format!("http://{}", broker.address())).await.unwrap();
    let request = |member_id: &str, member_epoch| pb::CommitOffsetsRequest {
        group: GROUP.to_owned(),
        member_id: member_id.to_owned(),
        member_epoch,
        offsets: vec![place(&held, 9)],
    };
    let mut refusals = Vec::new();
    for request in [request(&id, epoch), request(&id, second.epoch), request("", 0)] {
        match calls.commit_offsets(request).await {
            Err(status) => refusals.push(status.message().to_owned()),
            Ok(answer) => {
                let error = answer.into_inner().partitions.remove(0).error;
                refusals.push(error.expect("a zombie's commit was taken").message);
            }
        }
    }
    assert_eq!(committed(&client, 0).await, Some(3));
    let its_own = second.held[&0].clone();
    assert_eq!(second.commit(place(&its_own, 4)).await, None, "the owner goes on");
    println!("groups, a zombie's commits: {} refused: {}", refusals.len(), refusals[0]);
    second.leave(true).await;
    broker.kill();
}

#[tokio::test]
async fn what_was_read_under_an_old_epoch_is_not_committed() {
    let folder = tempfile::tempdir().unwrap();
    let (broker, client) = start(folder.path()).await;
    let mut first = owner_of_all(&broker, SESSION_MS).await;
    let before = first.held.clone();
    let mut second = Stream::join(&broker.address(), joining(GROUP, TOPIC, SESSION_MS)).await.unwrap();
    let half = PARTITIONS as usize / 2;
    first.until("half is given up", |member| member.held.len() == half).await;
    second.until("half has come", |member| member.held.len() == half).await;
    let moved = *second.held.keys().next().unwrap();
    let error = first.commit(place(&before[&moved], 5)).await.expect("another owns it");
    assert_eq!(error.reason(), ErrorReason::PartitionNotOwned);
    // The same by a call of its own.
    let mut calls = GroupServiceClient::connect(format!("http://{}", broker.address())).await.unwrap();
    let (id, epoch) = (first.id.clone(), first.epoch);
    let mut call = async |member_epoch: i32, held: &pb::GroupPartition| {
        let (group, member_id, offsets) = (GROUP.to_owned(), id.clone(), vec![place(held, 5)]);
        let request = pb::CommitOffsetsRequest { group, member_id, member_epoch, offsets };
        calls.commit_offsets(request).await.unwrap().into_inner().partitions.remove(0).error.is_some()
    };
    assert!(call(epoch, &before[&moved]).await, "a commit of who is no owner was taken");
    second.leave(true).await;
    first.until("all are back", |member| member.held.len() == PARTITIONS as usize).await;
    let (old, new) = (before[&moved].clone(), first.held[&moved].clone());
    assert!(old.ownership_epoch < new.ownership_epoch, "the epoch of ownership rises: {old:?}, {new:?}");
    let error = first.commit(place(&old, 5)).await.expect("it read that before it lost the partition");
    assert_eq!(error.reason(), ErrorReason::PartitionNotOwned);
    assert!(call(epoch, &old).await, "a commit of an old epoch was taken");
    assert_eq!(committed(&client, moved).await, None);
    assert_eq!(first.commit(place(&new, 5)).await, None);
    assert_eq!(committed(&client, moved).await, Some(5));
    println!("groups, commits under an old epoch: 4 refused, the one under the present epoch taken");
    first.leave(true).await;
    broker.kill();
}

#[tokio::test]
async fn a_still_owner_commits_during_a_rebalance() {
    let folder = tempfile::tempdir().unwrap();
    let (broker, client) = start(folder.path()).await;
    let mut first = owner_of_all(&broker, SESSION_MS).await;
    let held = first.held.clone();
    let second = Stream::join(&broker.address(), joining(GROUP, TOPIC, SESSION_MS)).await.unwrap();
    let revoke = loop {
        let told = timeout(PATIENCE, first.next()).await.expect("it is told").unwrap();
        if let Told::Revoke(revoke) = told {
            break revoke;
        }
    };
    // What it is to give up and what it keeps: it still owns both.
    for held in held.values() {
        assert_eq!(first.commit(place(held, 7)).await, None, "it still owns {}", held.partition);
        assert_eq!(committed(&client, held.partition).await, Some(7));
    }
    first.let_go(&revoke);
    let mut second = second;
    second.until("what was given up has come", |member| member.held.len() == revoke.partitions.len()).await;
    let gone = &held[&revoke.partitions[0].partition];
    let error = first.commit(place(gone, 8)).await.expect("it has given it up");
    assert_eq!(error.reason(), ErrorReason::PartitionNotOwned);
    println!(
        "groups, commits during a rebalance: {} of the still-owner taken, one after it let go refused",
        held.len()
    );
    second.leave(true).await;
    first.leave(true).await;
    broker.kill();
}

#[tokio::test]
async fn a_topic_made_again_has_no_offsets() {
    let folder = tempfile::tempdir().unwrap();
    let (broker, client) = start(folder.path()).await;
    let mut member = owner_of_all(&broker, SESSION_MS).await;
    let held = member.held.clone();
    for held in held.values() {
        assert_eq!(member.commit(place(held, RECORDS)).await, None);
    }
    member.leave(true).await;
    client.admin().delete_topic(TOPIC).await.unwrap();
    client.admin().create_topic(TOPIC).partitions(PARTITIONS).await.unwrap();
    fill(&client).await;
    for partition in 0..PARTITIONS {
        assert_eq!(committed(&client, partition).await, None, "an offset of the topic before");
    }
    // Nor after the offsets log was replayed, and not by who still has the old topic in mind.
    let port = broker.port();
    broker.kill();
    let mut broker = BrokerProcess::start(folder.path(), port);
    broker.answers(Some(TOPIC)).await;
    let client = Client::connect(&broker.address()).await.unwrap();
    let mut fresh = Stream::join(&broker.address(), joining(GROUP, TOPIC, SESSION_MS)).await.unwrap();
    let mut begins = Vec::new();
    while begins.len() < PARTITIONS as usize {
        let told = timeout(PATIENCE, fresh.next()).await.expect("it is told").unwrap();
        if let Told::Assigned(assigned) = told {
            begins.extend(assigned.partitions.iter().map(|one| (one.offset, one.committed)));
        }
    }
    assert!(begins.iter().all(|begin| *begin == (0, None)), "{begins:?}");
    assert!(fresh.commit(place(&held[&0], 5)).await.is_some(), "the id of the topic before");
    assert_eq!(committed(&client, 0).await, None);
    println!(
        "groups, a topic made again: {} partitions without offsets, before and after a kill -9 of the broker",
        begins.len()
    );
    fresh.leave(true).await;
    broker.kill();
}

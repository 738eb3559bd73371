//! Members that do not read: they keep what they have, and nobody waits for them.

use std::time::Duration;

use weir::client::Record;
use weir::proto::grpc as pb;
use weir::proto::grpc::consume_request::Frame;

use super::consumer::committed;
use super::member::{Member, PATIENCE};
use super::{TOPIC, joining_as, topic, whole_group_leaves};
use crate::slow_disk::{Brake, SlowDisk};
use crate::whole::Whole;

/// Only this is read by members that read.
const OTHER: &str = "other";

/// What the write takes that records are to overtake.
const LONG_WRITE: Duration = Duration::from_secs(1);

async fn produce_much(whole: &Whole) {
    let producer = whole.client().await.producer().build().await.unwrap();
    for _ in 0..16 {
        let record = Record::to(TOPIC).partition(0).value(vec![7; 256 << 10]);
        producer.send(record).await.unwrap().await.unwrap();
    }
}

/// A member with work under way that is not over when its connection is full, and that does not read on.
async fn stuck(whole: &Whole, brake: &Brake) -> Member {
    let mut join = joining_as(|options| options.rebalance_timeout_ms = 1_000);
    join.credit_bytes = Some(0);
    let mut member = Member::join_narrow(&whole.url(), join).await.unwrap();
    member.until("it owns all", |member| !member.owned.is_empty()).await;
    brake.hold_next(LONG_WRITE);
    let offset = pb::PartitionOffset { topic: TOPIC.to_owned(), offset: 1, ..Default::default() };
    member.say(Frame::Commit(pb::ConsumeCommit { sequence: 1, offsets: vec![offset] }));
    member.say(Frame::Credit(pb::ConsumeCredit { bytes: 1 << 30 }));
    member
}

fn other(session_timeout_ms: i32) -> pb::ConsumeJoin {
    joining_as(|options| {
        options.session_timeout_ms = session_timeout_ms;
        options.subscription.as_mut().unwrap().topics = vec![OTHER.to_owned()];
    })
}

async fn until_members(whole: &Whole, count: usize) {
    let admin = whole.client().await.admin();
    let are_left = async {
        while admin.describe_group("g").await.unwrap().members.len() != count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, are_left).await.expect("a member that is gone is missed");
}

#[tokio::test]
async fn who_does_not_read_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, brake) = SlowDisk::new("__consumer_offsets");
    let whole = Whole::start_on(disk, folder.path(), "127.0.0.1:0").await;
    topic(&whole, 2).await;
    whole.client().await.admin().create_topic(OTHER).partitions(1).await.unwrap();
    produce_much(&whole).await;
    let stuck = stuck(&whole, &brake).await;

    let mut reads = Member::join(&whole.url(), other(10_000)).await.unwrap();
    reads.until("it owns the other topic", |member| member.owned.len() == 1).await;
    assert_eq!(reads.commit(OTHER, 0, 0).await, None);
    drop(Member::join(&whole.url(), other(1_000)).await.unwrap());
    until_members(&whole, 2).await;
    assert_eq!(reads.commit(OTHER, 0, 0).await, None);

    let mut next = Member::join(&whole.url(), joining_as(|_| ())).await.unwrap();
    next.until("who does not let go in time loses all", |member| member.owned.len() == 2).await;
    drop(stuck);
    whole_group_leaves([reads, next]).await;
    whole.stop().await;
}

#[tokio::test]
async fn who_says_all_before_it_reads_is_heard_to_its_end() {
    const COMMITS: i64 = 5_000;
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    topic(&whole, 1).await;
    let mut member = Member::join_narrow(&whole.url(), joining_as(|_| ())).await.unwrap();
    member.until("it owns all", |member| member.owned.len() == 1).await;
    let metadata = "m".repeat(4_000);
    for sequence in 0..COMMITS {
        let (offset, metadata) = (sequence, metadata.clone());
        let offset = pb::PartitionOffset { topic: TOPIC.to_owned(), offset, metadata, ..Default::default() };
        member.say(Frame::Commit(pb::ConsumeCommit { sequence, offsets: vec![offset] }));
    }
    member.say(Frame::Leave(pb::ConsumeLeave {}));
    member.leave().await;
    until_members(&whole, 0).await;
    assert_eq!(committed(&whole.client().await).await[&0], COMMITS - 1);
    whole.stop().await;
}

/// The most memory that a broker has in use until it takes no more.
async fn most_bytes(whole: &Whole) -> u64 {
    let (mut most, mut last, mut same) = (0, 0, 0);
    while same < 50 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let used = whole.broker().budget().used_bytes();
        same = if used == last { same + 1 } else { 0 };
        (most, last) = (most.max(used), used);
    }
    most
}

#[tokio::test]
async fn who_sends_and_does_not_read_is_left_with_what_it_sends() {
    const COMMITS: i64 = 12_000;
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    topic(&whole, 1).await;
    let mut member = Member::join_narrow(&whole.url(), joining_as(|_| ())).await.unwrap();
    member.until("it owns all", |member| member.owned.len() == 1).await;
    let before = whole.broker().budget().used_bytes();
    let metadata = "m".repeat(4_000);
    for sequence in 0..COMMITS {
        let (offset, metadata) = (sequence, metadata.clone());
        let offset = pb::PartitionOffset { topic: TOPIC.to_owned(), offset, metadata, ..Default::default() };
        member.say(Frame::Commit(pb::ConsumeCommit { sequence, offsets: vec![offset] }));
    }
    // 48 MB were sent; of 8 MiB the answers may wait.
    let taken = most_bytes(&whole).await - before;
    assert!(taken < 12 << 20, "{taken} bytes of commits wait in the broker");
    member.say(Frame::Leave(pb::ConsumeLeave {}));
    member.leave().await;
    until_members(&whole, 0).await;
    assert_eq!(committed(&whole.client().await).await[&0], COMMITS - 1, "and all of it counts");
    whole.stop().await;
}

#[tokio::test]
async fn a_commit_of_too_many_offsets_ends_the_stream_with_words() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    topic(&whole, 1).await;
    let mut member = Member::join(&whole.url(), joining_as(|_| ())).await.unwrap();
    // As many as fit a message.
    let offsets = vec![pb::PartitionOffset::default(); 2_000_000];
    member.say(Frame::Commit(pb::ConsumeCommit { sequence: 1, offsets }));
    let end = loop {
        if let Err(end) = member.step().await {
            break end;
        }
    };
    assert_eq!(end.code(), tonic::Code::InvalidArgument);
    assert!(end.message().contains("has 2000000 items: give at most 10000"), "{}", end.message());
    whole.stop().await;
}

//! The client library's member of a group, against a real broker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use weir::ErrorKind;
use weir::client::{Client, ConsumerRecord, GroupConsumer, GroupConsumerBuilder, GroupEvent, GroupState};

use super::{TOPIC, produce, topic};
use crate::client::proxy::Proxy;
use crate::whole::Whole;

/// Longest wait for anything: a hang is a failure, and no test is about time.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("it never comes: {what}"),
    }
}

pub(super) fn member(client: &Client) -> GroupConsumerBuilder {
    client.consumer().group("g").topics([TOPIC])
}

/// What a member was told so far.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) owned: BTreeSet<i32>,
    pub(super) revoked: BTreeSet<i32>,
    pub(super) lost: BTreeSet<i32>,
    pub(super) read: Vec<(i32, i64)>,
    pub(super) errors: Vec<ErrorKind>,
}

impl Seen {
    fn take(&mut self, event: GroupEvent) {
        match event {
            GroupEvent::Record(record) => self.read.push((record.partition, record.offset)),
            GroupEvent::Assigned(came) => self.owned.extend(came.iter().map(|owned| owned.partition)),
            GroupEvent::Revoked(gone) => {
                self.forget(&gone.iter().map(|owned| owned.partition).collect(), false)
            }
            GroupEvent::Lost(gone) => self.forget(&gone.iter().map(|owned| owned.partition).collect(), true),
            GroupEvent::Error(error) => self.errors.push(error.kind),
            _ => {}
        }
    }

    fn forget(&mut self, gone: &BTreeSet<i32>, is_lost: bool) {
        self.owned.retain(|partition| !gone.contains(partition));
        if is_lost { self.lost.extend(gone) } else { self.revoked.extend(gone) }
    }

    pub(super) async fn until(
        &mut self,
        consumer: &mut GroupConsumer,
        what: &str,
        holds: impl Fn(&Self) -> bool,
    ) {
        while !holds(self) {
            self.take(soon(what, consumer.next_event()).await.expect("it goes on"));
        }
    }
}

/// Offsets that the group has committed, by partition.
pub(super) async fn committed(client: &Client) -> BTreeMap<i32, i64> {
    let offsets = client.admin().group_offsets("g").await.unwrap();
    offsets.into_iter().map(|found| (found.partition, found.offset)).collect()
}

/// Sorted, and checked to hold nothing twice.
fn once(mut read: Vec<(i32, i64)>) -> Vec<(i32, i64)> {
    read.sort_unstable();
    let count = read.len();
    read.dedup();
    assert_eq!(read.len(), count, "something came twice");
    read
}

fn all(partitions: i32, offsets: std::ops::Range<i64>) -> Vec<(i32, i64)> {
    (0..partitions).flat_map(|partition| offsets.clone().map(move |offset| (partition, offset))).collect()
}

#[tokio::test]
async fn what_was_read_is_committed_at_the_end_and_the_next_member_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    let client = whole.client().await;
    topic(&whole, 3).await;
    produce(&whole, 3, 0, 10).await;
    let mut first = member(&client).build().await.unwrap();
    let mut seen = Seen::default();
    seen.until(&mut first, "all is read", |seen| seen.read.len() == 30).await;
    soon("it leaves", first.close()).await.unwrap();
    assert_eq!(once(seen.read), all(3, 0..10));
    assert_eq!(committed(&client).await, BTreeMap::from([(0, 10), (1, 10), (2, 10)]));
    let group = client.admin().describe_group("g").await.unwrap();
    assert_eq!((group.listing.state, group.members.len()), (GroupState::Empty, 0));
    produce(&whole, 3, 10, 2).await;
    let mut second = member(&client).build().await.unwrap();
    let mut seen = Seen::default();
    seen.until(&mut second, "the rest is read", |seen| seen.read.len() == 6).await;
    assert_eq!(once(seen.read), all(3, 10..12));
    soon("it leaves", second.close()).await.unwrap();
    whole.stop().await;
}

#[tokio::test]
async fn finished_records_are_committed_while_the_member_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    let client = whole.client().await;
    topic(&whole, 1).await;
    produce(&whole, 1, 0, 10).await;
    let mut consumer = member(&client).commit_interval(Duration::from_millis(20)).build().await.unwrap();
    for offset in 0..4 {
        let record = soon("a record", consumer.next()).await.unwrap().unwrap();
        assert_eq!(record.offset, offset);
    }
    // The fourth is in hand: three are finished.
    soon("it is committed", async {
        while committed(&client).await != BTreeMap::from([(0, 3)]) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    drop(consumer);
    let mut next = member(&client).build().await.unwrap();
    let record = soon("a record", next.next()).await.unwrap().unwrap();
    assert_eq!(record.offset, 3, "what was in hand is read again");
    drop(next);
    whole.stop().await;
}

#[tokio::test]
async fn what_moves_is_finished_and_committed_first_and_what_stays_is_not_disturbed() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    let client = whole.client().await;
    topic(&whole, 6).await;
    produce(&whole, 6, 0, 5).await;
    let told = Arc::<Mutex<Vec<i32>>>::default();
    let telling = told.clone();
    let mut first = member(&client)
        .on_revoke(move |revocation| {
            let telling = telling.clone();
            async move {
                tokio::task::yield_now().await;
                telling.lock().extend(revocation.partitions().iter().map(|owned| owned.partition));
            }
        })
        .build()
        .await
        .unwrap();
    let mut one = Seen::default();
    one.until(&mut first, "all is read", |seen| seen.read.len() == 30).await;
    let mut second = member(&client).build().await.unwrap();
    let mut two = Seen::default();
    futures_util::future::join(
        one.until(&mut first, "half is given up", |seen| seen.owned.len() == 3),
        two.until(&mut second, "half has come", |seen| seen.owned.len() == 3),
    )
    .await;
    assert_eq!(one.revoked, two.owned, "what stays is not revoked");
    assert_eq!(told.lock().iter().copied().collect::<BTreeSet<_>>(), one.revoked);
    assert!(one.lost.is_empty() && one.errors.is_empty() && two.revoked.is_empty());
    produce(&whole, 6, 5, 1).await;
    futures_util::future::join(
        one.until(&mut first, "its part", |seen| seen.read.len() == 33),
        two.until(&mut second, "its part", |seen| seen.read.len() == 3),
    )
    .await;
    one.read.append(&mut two.read);
    assert_eq!(once(one.read), all(6, 0..6), "what was given up was committed");
    soon("it leaves", second.close()).await.unwrap();
    soon("it leaves", first.close()).await.unwrap();
    whole.stop().await;
}

#[tokio::test]
async fn a_cut_connection_changes_neither_member_nor_place() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    topic(&whole, 3).await;
    produce(&whole, 3, 0, 40).await;
    let proxy = Proxy::start(whole.address().parse().unwrap()).await;
    let client = Client::connect(&proxy.address.to_string()).await.unwrap();
    let direct = whole.client().await;
    // Nothing is committed before the end: places are the member's own.
    let patient = member(&client).commit_interval(PATIENCE).max_bytes(300);
    let mut consumer = patient.build().await.unwrap();
    let before = direct.admin().describe_group("g").await.unwrap().members[0].member_id.clone();
    let mut seen = Seen::default();
    for count in [10, 50, 90, 120] {
        seen.until(&mut consumer, "some is read", |seen| seen.read.len() == count).await;
        proxy.cut();
    }
    produce(&whole, 3, 40, 1).await;
    seen.until(&mut consumer, "the rest is read", |seen| seen.read.len() == 123).await;
    assert_eq!(once(seen.read), all(3, 0..41));
    assert!(seen.lost.is_empty() && seen.revoked.is_empty() && seen.errors.is_empty());
    let after = direct.admin().describe_group("g").await.unwrap();
    assert_eq!(after.members.iter().map(|member| &member.member_id).collect::<Vec<_>>(), [&before]);
    soon("it leaves", consumer.close()).await.unwrap();
    assert_eq!(committed(&direct).await, BTreeMap::from([(0, 41), (1, 41), (2, 41)]));
    drop((client, direct));
    whole.stop().await;
}

#[tokio::test]
async fn a_restarted_broker_finds_the_member_where_it_stood() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    let address = whole.address().to_owned();
    topic(&whole, 2).await;
    produce(&whole, 2, 0, 20).await;
    let client = whole.client().await;
    let mut consumer = member(&client).commit_interval(PATIENCE).build().await.unwrap();
    let mut seen = Seen::default();
    seen.until(&mut consumer, "some is read", |seen| seen.read.len() == 15).await;
    whole.stop().await;
    let whole = Whole::start_at(folder.path(), &address).await;
    produce(&whole, 2, 20, 5).await;
    seen.until(&mut consumer, "the rest is read", |seen| seen.read.len() == 50).await;
    assert_eq!(once(seen.read), all(2, 0..25));
    assert!(seen.lost.is_empty() && seen.revoked.is_empty() && seen.errors.is_empty());
    soon("it leaves", consumer.close()).await.unwrap();
    drop(client);
    whole.stop().await;
}

#[tokio::test]
async fn a_member_that_was_away_too_long_is_told_and_joins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    topic(&whole, 2).await;
    produce(&whole, 2, 0, 3).await;
    let proxy = Proxy::start(whole.address().parse().unwrap()).await;
    let client = Client::connect(&proxy.address.to_string()).await.unwrap();
    let direct = whole.client().await;
    let builder = member(&client).session_timeout(Duration::from_secs(1)).commit_interval(PATIENCE);
    let mut consumer = builder.build().await.unwrap();
    let mut seen = Seen::default();
    seen.until(&mut consumer, "all is read", |seen| seen.read.len() == 6).await;
    proxy.shut(true);
    proxy.cut();
    soon("it is missed", async {
        while !direct.admin().describe_group("g").await.unwrap().members.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    proxy.shut(false);
    seen.until(&mut consumer, "it is told", |seen| seen.lost.len() == 2 && !seen.errors.is_empty()).await;
    assert_eq!(seen.errors, [ErrorKind::UnknownMember]);
    seen.read.clear();
    seen.until(&mut consumer, "all is read again", |seen| seen.read.len() == 6).await;
    assert_eq!(once(seen.read), all(2, 0..3), "nothing had been committed");
    soon("it leaves", consumer.close()).await.unwrap();
    drop((client, direct));
    whole.stop().await;
}

#[tokio::test]
async fn who_is_replaced_is_told_so_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    let client = whole.client().await;
    topic(&whole, 2).await;
    produce(&whole, 2, 0, 1).await;
    let mut first = member(&client).instance_id("one").build().await.unwrap();
    let record = soon("a record", first.next()).await.unwrap().unwrap();
    let mut second = member(&client).instance_id("one").build().await.unwrap();
    let mut seen = Seen::default();
    while let Some(event) = soon("it ends", first.next_event()).await {
        seen.take(event);
    }
    assert_eq!((seen.errors, seen.lost.len()), (vec![ErrorKind::MemberFenced], 2));
    let error = soon("an answer", first.commit(&record)).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::PartitionNotOwned | ErrorKind::MemberFenced), "{error}");
    let mut seen = Seen::default();
    seen.until(&mut second, "it reads all again", |seen| seen.read.len() == 2).await;
    soon("it leaves", second.leave()).await.unwrap();
    whole.stop().await;
}

#[tokio::test]
async fn by_hand_only_what_was_said_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    let client = whole.client().await;
    topic(&whole, 1).await;
    produce(&whole, 1, 0, 10).await;
    let mut consumer = member(&client).manual_commit().build().await.unwrap();
    let mut read = Vec::new();
    for _ in 0..6 {
        read.push(soon("a record", consumer.next()).await.unwrap().unwrap());
    }
    soon("a commit", consumer.commit(&read[3])).await.unwrap();
    assert_eq!(committed(&client).await, BTreeMap::from([(0, 4)]));
    let beyond = ConsumerRecord { offset: 8, ..read[5].clone() };
    let error = soon("an answer", consumer.commit(&beyond)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PartitionNotOwned, "it was never given out");
    soon("it leaves", consumer.close()).await.unwrap();
    assert_eq!(committed(&client).await, BTreeMap::from([(0, 4)]), "closing commits nothing");
    let mut consumer = member(&client).manual_commit().build().await.unwrap();
    assert_eq!(soon("a record", consumer.next()).await.unwrap().unwrap().offset, 4);
    soon("a commit", consumer.commit_all()).await.unwrap();
    assert_eq!(committed(&client).await, BTreeMap::from([(0, 5)]));
    soon("it leaves", consumer.close()).await.unwrap();
    whole.stop().await;
}

#[tokio::test]
async fn a_revocation_commits_what_its_callback_says() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    let client = whole.client().await;
    topic(&whole, 2).await;
    produce(&whole, 2, 0, 5).await;
    let last = Arc::<Mutex<BTreeMap<i32, ConsumerRecord>>>::default();
    let known = last.clone();
    let builder = member(&client).manual_commit().on_revoke(move |revocation| {
        let known = known.clone();
        async move {
            known.lock().values().for_each(|record| revocation.commit(record));
        }
    });
    let mut first = builder.build().await.unwrap();
    for _ in 0..10 {
        let record = soon("a record", first.next()).await.unwrap().unwrap();
        if record.offset == 2 {
            last.lock().insert(record.partition, record);
        }
    }
    let mut second = member(&client).build().await.unwrap();
    let (mut one, mut two) = (Seen::default(), Seen::default());
    futures_util::future::join(
        one.until(&mut first, "one is given up", |seen| seen.revoked.len() == 1),
        two.until(&mut second, "it reads on", |seen| seen.read.len() == 2),
    )
    .await;
    let moved = *one.revoked.first().unwrap();
    assert_eq!(two.read, [(moved, 3), (moved, 4)]);
    drop(first);
    soon("it leaves", second.close()).await.unwrap();
    assert_eq!(committed(&client).await.get(&moved), Some(&5));
    whole.stop().await;
}

#[tokio::test]
async fn before_processing_what_is_given_out_is_committed_first() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    let client = whole.client().await;
    topic(&whole, 2).await;
    produce(&whole, 2, 0, 20).await;
    let mut consumer = member(&client).commit_before_processing().max_bytes(200).build().await.unwrap();
    let mut seen = Seen::default();
    while seen.read.len() < 25 {
        seen.take(soon("an event", consumer.next_event()).await.unwrap());
        if let Some((partition, offset)) = seen.read.last() {
            assert!(committed(&client).await[partition] > *offset, "{:?}", seen.read.last());
        }
    }
    drop(consumer);
    let mut next = member(&client).commit_before_processing().build().await.unwrap();
    let places = committed(&client).await;
    let left: i64 = places.values().map(|offset| 20 - offset).sum();
    seen.until(&mut next, "the rest", |seen| seen.read.len() == 25 + left as usize).await;
    once(seen.read);
    soon("it leaves", next.close()).await.unwrap();
    whole.stop().await;
}

#[tokio::test]
async fn seek_pause_and_resume_work_on_their_partition_only() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    let client = whole.client().await;
    topic(&whole, 2).await;
    produce(&whole, 2, 0, 10).await;
    let mut consumer = member(&client).max_bytes(200).build().await.unwrap();
    let mut seen = Seen::default();
    seen.until(&mut consumer, "all is read", |seen| seen.read.len() == 20).await;
    consumer.seek(TOPIC, 0, 4).unwrap();
    seen.read.clear();
    seen.until(&mut consumer, "it is read again", |seen| seen.read.len() == 6).await;
    assert_eq!(seen.read, (4..10).map(|offset| (0, offset)).collect::<Vec<_>>());
    consumer.pause(TOPIC, [1]).unwrap();
    produce(&whole, 2, 10, 3).await;
    seen.read.clear();
    seen.until(&mut consumer, "the other goes on", |seen| seen.read.len() == 3).await;
    assert_eq!(seen.read, [(0, 10), (0, 11), (0, 12)]);
    consumer.seek(TOPIC, 1, 8).unwrap();
    consumer.resume(TOPIC, [1]).unwrap();
    seen.read.clear();
    seen.until(&mut consumer, "it goes on", |seen| seen.read.len() == 5).await;
    assert_eq!(seen.read, (8..13).map(|offset| (1, offset)).collect::<Vec<_>>());
    assert_eq!(consumer.seek("other", 0, 0).unwrap_err().kind, ErrorKind::PartitionNotOwned);
    soon("it leaves", consumer.close()).await.unwrap();
    assert_eq!(committed(&client).await, BTreeMap::from([(0, 13), (1, 13)]));
    whole.stop().await;
}

#[tokio::test]
async fn a_full_buffer_stops_the_broker_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    let client = whole.client().await;
    topic(&whole, 2).await;
    produce(&whole, 2, 0, 300).await;
    let mut consumer = member(&client).buffer_bytes(500).max_bytes(200).build().await.unwrap();
    let mut seen = Seen::default();
    seen.until(&mut consumer, "all is read", |seen| seen.read.len() == 600).await;
    assert_eq!(once(seen.read), all(2, 0..300));
    soon("it leaves", consumer.close()).await.unwrap();
    whole.stop().await;
}

#[tokio::test]
async fn groups_are_listed_described_reset_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    let client = whole.client().await;
    let admin = client.admin();
    topic(&whole, 2).await;
    produce(&whole, 2, 0, 10).await;
    assert!(admin.list_groups().await.unwrap().groups.is_empty());
    assert_eq!(admin.describe_group("g").await.unwrap_err().kind, ErrorKind::GroupNotFound);
    let mut consumer = member(&client).client_id("app").build().await.unwrap();
    let mut seen = Seen::default();
    seen.until(&mut consumer, "all is read", |seen| seen.read.len() == 20).await;
    let group = admin.describe_group("g").await.unwrap();
    assert_eq!((group.listing.state, group.listing.member_count), (GroupState::Stable, 1));
    let told = &group.members[0];
    assert_eq!((told.client_id.as_str(), told.topics.as_slice()), ("app", [TOPIC.to_owned()].as_slice()));
    assert_eq!(told.assigned, [(TOPIC.to_owned(), 0), (TOPIC.to_owned(), 1)]);
    assert_eq!(admin.list_groups().await.unwrap().groups, [group.listing]);
    let refused = admin.reset_offsets("g", [(TOPIC, 0, 5)]).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::GroupNotEmpty);
    assert_eq!(admin.delete_group("g").await.unwrap_err().kind, ErrorKind::GroupNotEmpty);
    soon("it leaves", consumer.close()).await.unwrap();
    let changed = admin.reset_offsets("g", [(TOPIC, 0, 5), (TOPIC, 9, 0)]).await.unwrap();
    let kinds: Vec<_> = changed.iter().map(|one| one.result.as_ref().map_err(|error| error.kind)).collect();
    assert_eq!(kinds, [Err(ErrorKind::InvalidRequest), Err(ErrorKind::PartitionNotFound)]);
    assert_eq!(committed(&client).await, BTreeMap::from([(0, 10), (1, 10)]), "all or nothing");
    let twice = admin.reset_offsets("g", [(TOPIC, 0, 5), (TOPIC, 0, 6)]).await.unwrap();
    let told = twice[1].result.as_ref().unwrap_err();
    assert!(
        twice[0].result.is_err() && told.message.contains("partition 0 stands in the request twice"),
        "{told}"
    );
    assert_eq!(committed(&client).await, BTreeMap::from([(0, 10), (1, 10)]), "none of both");
    assert!(admin.reset_offsets("g", [(TOPIC, 0, 5)]).await.unwrap()[0].result.is_ok());
    assert_eq!(committed(&client).await, BTreeMap::from([(0, 5), (1, 10)]));
    let deleted = admin.delete_offsets("g", TOPIC, [1]).await.unwrap();
    assert!(deleted.len() == 1 && deleted[0].result.is_ok());
    assert_eq!(committed(&client).await, BTreeMap::from([(0, 5)]));
    admin.delete_group("g").await.unwrap();
    assert!(admin.list_groups().await.unwrap().groups.is_empty());
    whole.stop().await;
}

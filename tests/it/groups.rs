//! Consumer groups through the door of a real broker, by members that are nothing but a gRPC stream.

mod by_key;
mod consumer;
mod faults;
mod member;
mod unread;

use futures_util::future::join;
use weir::client::Record;
use weir::proto::grpc as pb;
use weir::proto::grpc::consume_request::Frame;
use weir::proto::grpc::consume_response::Frame as Told;
use weir::proto::grpc::group_service_client::GroupServiceClient;

use crate::whole::Whole;
use member::{Member, join as joining};

const TOPIC: &str = "orders";

async fn topic(whole: &Whole, partitions: i32) {
    whole.client().await.admin().create_topic(TOPIC).partitions(partitions).await.unwrap();
}

/// Puts `count` records into each partition, numbered.
async fn produce(whole: &Whole, partitions: i32, from: usize, count: usize) {
    let producer = whole.client().await.producer().build().await.unwrap();
    let mut sent = Vec::new();
    for number in from..from + count {
        for partition in 0..partitions {
            let record = Record::to(TOPIC).partition(partition).value(format!("{partition}:{number}"));
            sent.push(producer.send(record).await.unwrap());
        }
    }
    for delivery in sent {
        delivery.await.unwrap();
    }
}

#[tokio::test]
async fn a_group_goes_on_where_it_committed() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    topic(&whole, 3).await;
    produce(&whole, 3, 0, 10).await;
    let mut first = Member::join(&whole.url(), joining("billing", TOPIC)).await.unwrap();
    first.until("everything is read", |member| member.read.len() == 30).await;
    for partition in 0..3 {
        assert_eq!(first.commit(TOPIC, partition, 4).await, None);
    }
    first.leave().await;
    let mut second = Member::join(&whole.url(), joining("billing", TOPIC)).await.unwrap();
    second.until("the rest is read", |member| member.read.len() == 18).await;
    assert!(second.read.iter().all(|(_, offset, _)| *offset >= 4), "{:?}", second.read);
    second.leave().await;
    whole.stop().await;
}

#[tokio::test]
async fn who_keeps_a_partition_never_loses_it_and_what_moves_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    topic(&whole, 6).await;
    let mut first = Member::join(&whole.url(), joining("g", TOPIC)).await.unwrap();
    first.until("it owns all", |member| member.owned.len() == 6).await;
    let mut second = Member::join(&whole.url(), joining("g", TOPIC)).await.unwrap();
    join(
        first.until("half is given up", |member| member.owned.len() == 3),
        second.until("half has come", |member| member.owned.len() == 3),
    )
    .await;
    assert_eq!(first.revoked.len(), 3, "what stays is not revoked");
    assert!(second.revoked.is_empty() && first.owned.keys().all(|number| !second.owned.contains_key(number)));
    let error = first.commit(TOPIC, *second.owned.keys().next().unwrap(), 0).await.expect("not its own");
    assert_eq!(error.reason(), pb::ErrorReason::PartitionNotOwned);
    second.leave().await;
    first.until("all are back", |member| member.owned.len() == 6).await;
    first.leave().await;
    whole.stop().await;
}

#[tokio::test]
async fn a_lost_connection_keeps_what_the_member_has_and_a_second_stream_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    topic(&whole, 4).await;
    let mut first = Member::join(&whole.url(), joining("g", TOPIC)).await.unwrap();
    first.until("it owns all", |member| member.owned.len() == 4).await;
    let (id, owned) = (first.id.clone(), first.owned.values().cloned().collect());
    let again = pb::ConsumeJoin { member_id: id.clone(), owned, ..joining("g", TOPIC) };
    let mut back = Member::join(&whole.url(), again).await.unwrap();
    assert_eq!((&back.id, back.epoch), (&id, first.epoch), "the same member");
    back.until("it owns all again", |member| member.owned.len() == 4).await;
    let fenced = loop {
        if let Err(status) = first.step().await {
            break status;
        }
    };
    assert!(fenced.message().contains("took the place"), "{fenced:?}");
    assert_eq!(back.commit(TOPIC, 0, 0).await, None, "the fenced stream did not take the member with it");
    back.leave().await;
    whole.stop().await;
}

#[tokio::test]
async fn commits_and_members_are_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    topic(&whole, 2).await;
    produce(&whole, 2, 0, 5).await;
    let mut member = Member::join(&whole.url(), joining("g", TOPIC)).await.unwrap();
    member.until("all is read", |member| member.read.len() == 10).await;
    assert_eq!(member.commit(TOPIC, 1, 3).await, None);
    let (id, epoch, owned) = (member.id.clone(), member.epoch, member.owned.values().cloned().collect());
    drop(member);
    whole.stop().await;
    let whole = Whole::start(folder.path()).await;
    let mut groups = GroupServiceClient::connect(whole.url()).await.unwrap();
    let request = pb::GetOffsetsRequest { group: "g".to_owned(), ..Default::default() };
    let offsets = groups.get_offsets(request).await.unwrap().into_inner().offsets;
    let places: Vec<_> = offsets.iter().map(|found| (found.partition, found.offset)).collect();
    assert_eq!(places, [(1, 3)]);
    let again = pb::ConsumeJoin { member_id: id, owned, ..joining("g", TOPIC) };
    let mut back = Member::join(&whole.url(), again).await.unwrap();
    assert_eq!(back.epoch, epoch, "the same epoch");
    back.until("it goes on", |member| member.read.len() == 7).await;
    assert!(back.revoked.is_empty());
    back.say(Frame::Leave(pb::ConsumeLeave {}));
    back.leave().await;
    whole.stop().await;
}

/// Joins with these changes to the options.
fn joining_as(change: impl FnOnce(&mut pb::MemberOptions)) -> pb::ConsumeJoin {
    let mut join = joining("g", TOPIC);
    change(join.options.as_mut().unwrap());
    join
}

#[tokio::test]
async fn a_member_that_does_not_come_back_is_missed_after_its_session() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    topic(&whole, 4).await;
    let short = || joining_as(|options| options.session_timeout_ms = 1_000);
    let mut first = Member::join(&whole.url(), short()).await.unwrap();
    first.until("it owns all", |member| member.owned.len() == 4).await;
    let mut second = Member::join(&whole.url(), short()).await.unwrap();
    join(
        first.until("half is given up", |member| member.owned.len() == 2),
        second.until("half has come", |member| member.owned.len() == 2),
    )
    .await;
    drop(first);
    second.until("all are its own", |member| member.owned.len() == 4).await;
    assert!(second.revoked.is_empty());
    second.leave().await;
    whole.stop().await;
}

#[tokio::test]
async fn a_static_member_that_restarts_gets_its_partitions_again_and_nobody_else_notices() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    topic(&whole, 4).await;
    let named = |name: &'static str| joining_as(move |options| options.instance_id = name.to_owned());
    let mut first = Member::join(&whole.url(), named("one")).await.unwrap();
    first.until("it owns all", |member| member.owned.len() == 4).await;
    let mut second = Member::join(&whole.url(), named("two")).await.unwrap();
    join(
        first.until("half is given up", |member| member.owned.len() == 2),
        second.until("half has come", |member| member.owned.len() == 2),
    )
    .await;
    let (id, had): (_, Vec<i32>) = (first.id.clone(), first.owned.keys().copied().collect());
    first.leave().await;
    let mut back = Member::join(&whole.url(), named("one")).await.unwrap();
    assert_ne!(back.id, id, "a member of its own");
    back.until("its partitions are back", |member| member.owned.len() == 2).await;
    assert_eq!(back.owned.keys().copied().collect::<Vec<_>>(), had);
    assert_eq!(second.commit(TOPIC, *second.owned.keys().next().unwrap(), 0).await, None);
    assert!(second.revoked.is_empty() && second.owned.len() == 2, "nobody else noticed");
    whole_group_leaves([back, second]).await;
    whole.stop().await;
}

async fn whole_group_leaves(members: impl IntoIterator<Item = Member>) {
    for member in members {
        member.say(Frame::Leave(pb::ConsumeLeave {}));
        member.leave().await;
    }
}

#[tokio::test]
async fn a_group_that_starts_at_the_end_reads_new_partitions_from_their_first_record() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    topic(&whole, 2).await;
    produce(&whole, 2, 0, 5).await;
    let latest = pb::GroupStart { at: Some(pb::group_start::At::Word(pb::GroupStartWord::Latest.into())) };
    let join = joining_as(|options| options.start = Some(latest));
    let mut member = Member::join(&whole.url(), join).await.unwrap();
    member.until("it owns both", |member| member.owned.len() == 2).await;
    let client = whole.client().await;
    client.admin().update_topic(TOPIC).partitions(3).await.unwrap();
    produce(&whole, 3, 5, 2).await;
    member.until("all new records are read", |member| member.read.len() == 6).await;
    let values: Vec<_> = member.read.iter().map(|(_, _, value)| value.as_str()).collect();
    assert!(values.iter().all(|value| value.ends_with(":5") || value.ends_with(":6")), "{values:?}");
    member.leave().await;
    drop(client);
    whole.stop().await;
}

#[tokio::test]
async fn offsets_end_with_their_topic_and_are_set_only_while_nobody_reads() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    topic(&whole, 1).await;
    produce(&whole, 1, 0, 5).await;
    let mut groups = GroupServiceClient::connect(whole.url()).await.unwrap();
    let mut member = Member::join(&whole.url(), joining("g", TOPIC)).await.unwrap();
    member.until("all is read", |member| member.read.len() == 5).await;
    assert_eq!(member.commit(TOPIC, 0, 5).await, None);
    let place = |offset| pb::PartitionOffset { topic: TOPIC.to_owned(), offset, ..Default::default() };
    let reset = |offset| pb::ResetOffsetsRequest { group: "g".to_owned(), offsets: vec![place(offset)] };
    let refused = groups.reset_offsets(reset(2)).await.expect_err("it has a member");
    assert!(refused.message().contains("stop them first"), "{refused:?}");
    whole_group_leaves([member]).await;
    groups.reset_offsets(reset(2)).await.unwrap();
    let mut again = Member::join(&whole.url(), joining("g", TOPIC)).await.unwrap();
    again.until("it reads from there", |member| member.read.len() == 3).await;
    whole_group_leaves([again]).await;

    let client = whole.client().await;
    client.admin().delete_topic(TOPIC).await.unwrap();
    topic(&whole, 1).await;
    produce(&whole, 1, 0, 4).await;
    let mut fresh = Member::join(&whole.url(), joining("g", TOPIC)).await.unwrap();
    fresh.until("it begins at the first record", |member| member.read.len() == 4).await;
    whole_group_leaves([fresh]).await;
    groups.delete_group(pb::DeleteGroupRequest { group: "g".to_owned() }).await.unwrap();
    let gone = groups.get_group(pb::GetGroupRequest { group: "g".to_owned() }).await.expect_err("deleted");
    assert_eq!(gone.code(), tonic::Code::NotFound);
    drop(client);
    whole.stop().await;
}

#[tokio::test]
async fn a_reset_to_a_place_that_is_not_there_names_the_range_and_sets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    topic(&whole, 3).await;
    produce(&whole, 3, 0, 5).await;
    whole.client().await.admin().trim_topic(TOPIC, [(1, 2)]).await.unwrap();
    let mut groups = GroupServiceClient::connect(whole.url()).await.unwrap();
    let place = |partition, offset| pb::PartitionOffset {
        topic: TOPIC.to_owned(),
        partition,
        offset,
        ..Default::default()
    };
    let reset = |offsets| pb::ResetOffsetsRequest { group: "g".to_owned(), offsets };
    let asked = || pb::GetOffsetsRequest { group: "g".to_owned(), ..Default::default() };
    for (offset, is_there) in [(1, false), (2, true), (5, true), (6, false), (-1, false)] {
        let offsets = vec![place(0, 3), place(1, offset), place(2, 5)];
        let answer = groups.reset_offsets(reset(offsets)).await.unwrap().into_inner();
        let errors: Vec<_> = answer.partitions.into_iter().map(|partition| partition.error).collect();
        let stands = groups.get_offsets(asked()).await.unwrap().into_inner().offsets;
        if is_there {
            assert_eq!((errors, stands.len()), (vec![None, None, None], 3));
            groups.delete_group(pb::DeleteGroupRequest { group: "g".to_owned() }).await.unwrap();
            continue;
        }
        assert_eq!(stands, [], "nothing is set for {offset}");
        let [left, wrong, also_left] = errors.try_into().unwrap();
        let wrong = wrong.unwrap();
        assert_eq!(wrong.reason(), pb::ErrorReason::OffsetOutOfRange);
        let facts = ["topic", "partition", "offset", "start", "end"].map(|name| wrong.metadata[name].clone());
        assert_eq!(facts, [TOPIC, "1", &offset.to_string(), "2", "5"]);
        assert!(wrong.message.ends_with("set one of these, or leave the partition out"), "{wrong:?}");
        for left in [left.unwrap(), also_left.unwrap()] {
            assert_eq!((left.reason(), &*left.metadata["wrong"]), (pb::ErrorReason::InvalidRequest, "1"));
            assert!(left.message.starts_with("not set: another place"), "{left:?}");
        }
    }
    whole.stop().await;
}

#[tokio::test]
async fn what_is_committed_before_a_partition_is_given_up_counts() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    topic(&whole, 2).await;
    produce(&whole, 2, 0, 3).await;
    let mut first = Member::join(&whole.url(), joining("g", TOPIC)).await.unwrap();
    first.until("all is read", |member| member.read.len() == 6).await;
    let second = Member::join(&whole.url(), joining("g", TOPIC)).await.unwrap();
    let partitions = loop {
        if let Told::Revoke(revoke) = first.next().await.unwrap() {
            break revoke.partitions;
        }
    };
    // Nothing is waited for between the two.
    let offset = pb::PartitionOffset {
        topic: TOPIC.to_owned(),
        partition: partitions[0].partition,
        offset: 2,
        ..Default::default()
    };
    first.say(Frame::Commit(pb::ConsumeCommit { sequence: 1, offsets: vec![offset] }));
    first.say(Frame::Revoked(pb::ConsumeRevoked { partitions }));
    let committed = loop {
        if let Told::Committed(committed) = first.next().await.unwrap() {
            break committed;
        }
    };
    assert_eq!(committed.partitions[0].error, None);
    whole_group_leaves([first, second]).await;
    whole.stop().await;
}

#[tokio::test]
async fn a_description_says_where_members_are_and_nothing_that_a_terminal_obeys() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    topic(&whole, 1).await;
    let mut join = joining("g", TOPIC);
    join.options.as_mut().unwrap().client_id = "a\tb\u{1b}[1m".to_owned();
    let member = Member::join(&whole.url(), join).await.unwrap();
    assert!(member.id.starts_with("ab[1m-"), "{}", member.id);
    let group = whole.client().await.admin().describe_group("g").await.unwrap();
    let seen: Vec<_> = group.members.iter().map(|one| (&*one.client_id, &*one.host)).collect();
    assert_eq!(seen, [("ab[1m", "127.0.0.1")]);
    whole_group_leaves([member]).await;
    whole.stop().await;
}

#[tokio::test]
async fn who_comes_back_is_told_what_it_owns_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    topic(&whole, 1).await;
    let mut first = Member::join(&whole.url(), joining("g", TOPIC)).await.unwrap();
    first.until("it owns all", |member| member.owned.len() == 1).await;
    let owned: Vec<_> = first.owned.values().cloned().collect();
    whole_group_leaves([first]).await;
    let again = pb::ConsumeJoin { member_id: "long gone".to_owned(), owned, ..joining("g", TOPIC) };
    let mut back = Member::join(&whole.url(), again).await.unwrap();
    assert_ne!(back.id, "long gone");
    back.until("it is told", |member| member.revoked.len() == 1).await;
    back.until("it owns it anew", |member| member.owned.len() == 1).await;
    whole_group_leaves([back]).await;
    whole.stop().await;
}

//! `kill -9` of the broker under a group that is at rest: nobody notices more than a pause.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use weir::client::{Client, Group, GroupState};

use super::book::{Book, Deed};
use super::feed::Feed;
use super::members::{Going, Habits, Member};
use super::{client_with_topic, until};
use crate::fire::number;
use crate::process::{BrokerProcess, free_port};
use crate::whole::read_all;

const TOPIC: &str = "orders";
const GROUP: &str = "stable";
const PARTITIONS: i32 = 12;
const MEMBERS: usize = 6;
const KILLS_DEFAULT: usize = 2;
const SESSION_MS: i32 = 60_000;

/// Who has which epoch and which partitions.
fn picture(group: &Group) -> (i32, BTreeMap<String, (i32, BTreeSet<i32>)>) {
    let one = |member: &weir::client::GroupMember| {
        let assigned = member.assigned.iter().map(|(_, partition)| *partition).collect();
        (member.member_id.clone(), (member.member_epoch, assigned))
    };
    (group.epoch, group.members.iter().map(one).collect())
}

async fn settled(client: &Client) -> Group {
    let mut found = None;
    until("the group is at rest", async || {
        found = client.admin().describe_group(GROUP).await.ok();
        found.as_ref().is_some_and(|group| {
            let has_two =
                |member: &weir::client::GroupMember| member.assigned.len() == PARTITIONS as usize / MEMBERS;
            group.listing.state == GroupState::Stable
                && group.members.len() == MEMBERS
                && group.members.iter().all(has_two)
        })
    })
    .await;
    found.expect("it was found")
}

#[tokio::test]
async fn a_killed_broker_moves_nothing_in_a_group_at_rest() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut broker = BrokerProcess::start(folder.path(), port);
    broker.answers(None).await;
    let client = client_with_topic(&broker.address(), TOPIC, PARTITIONS).await;
    let (book, address) = (Book::default(), broker.address());
    let habits = Habits {
        address: address.clone(),
        group: GROUP,
        topic: TOPIC,
        session_ms: SESSION_MS,
        pause: Duration::ZERO,
        instance: String::new(),
    };
    let member = |number: usize| match number % 2 {
        0 => Member::stock(&book, &format!("stock-{number}"), habits.clone()),
        _ => Member::bundled(&book, &format!("bundled-{number}"), habits.clone()),
    };
    let members: Vec<Member> = (0..MEMBERS).map(member).collect();
    let before = picture(&settled(&client).await);
    let feed = Feed::start(&address, TOPIC).await;
    let at_rest = book.len();
    let kills = number("WEIR_KILLS", KILLS_DEFAULT);
    for _ in 0..kills {
        let from = book.len();
        until("everybody reads", async || everybody_reads(&book, from)).await;
        broker.kill();
        broker = BrokerProcess::start(folder.path(), port);
        broker.answers(Some(TOPIC)).await;
        let from = book.len();
        until("everybody goes on", async || everybody_reads(&book, from)).await;
        assert_eq!(picture(&settled(&client).await), before, "the group has changed");
    }
    let stored = feed.stop().await;
    until("every record is processed", async || book.read().len() >= stored).await;
    let told =
        book.since(at_rest).into_iter().filter(|line| matches!(line.deed, Deed::Told)).collect::<Vec<_>>();
    assert!(told.is_empty(), "partitions were revoked or lost: {told:?}");
    let log = read_all(&client, TOPIC).await;
    for member in members {
        member.end(Going::Leave).await;
    }
    book.assert_holds(&log);
    println!(
        "groups at rest: {kills} kills of the broker under {MEMBERS} members; epoch {}, members and partitions as before, none revoked, \
         each goes on; {stored} records",
        before.0
    );
    broker.kill();
}

/// Each member has read something since that line.
fn everybody_reads(book: &Book, from: usize) -> bool {
    let lines = book.since(from);
    let reads = lines.iter().filter(|line| matches!(line.deed, Deed::Read { .. }));
    reads.map(|line| &line.who).collect::<BTreeSet<_>>().len() == MEMBERS
}

//! Members that keep a partition never stop reading it: over joins and leaves it appears in no Revoke.

use std::collections::BTreeMap;
use std::time::Duration;

use weir::client::{Client, GroupState};

use super::book::{Book, Deed};
use super::feed::Feed;
use super::members::{Going, Habits, Member};
use super::{client_with_topic, until};
use crate::process::{BrokerProcess, free_port};
use crate::whole::read_all;

const TOPIC: &str = "orders";
const GROUP: &str = "kept";
const PARTITIONS: i32 = 12;
const STEADY: usize = 3;
const CHANGES: usize = 10;
const SESSION_MS: i32 = 60_000;

async fn at_rest(client: &Client, members: usize) {
    until("the group is at rest", async || {
        let group = client.admin().describe_group(GROUP).await;
        group.is_ok_and(|group| {
            let assigned: usize = group.members.iter().map(|member| member.assigned.len()).sum();
            group.listing.state == GroupState::Stable
                && group.members.len() == members
                && assigned == PARTITIONS as usize
        })
    })
    .await;
}

/// Who owns which partition since which epoch, as the members were told.
fn owners(book: &Book) -> BTreeMap<i32, (String, i32)> {
    let mut owners = BTreeMap::new();
    for line in book.since(0) {
        match line.deed {
            Deed::Took { epoch, .. } => drop(owners.insert(line.partition, (line.who, epoch.unwrap_or(0)))),
            Deed::Left if owners.get(&line.partition).is_some_and(|(who, _)| *who == line.who) => {
                owners.remove(&line.partition);
            }
            _ => {}
        }
    }
    owners
}

async fn settle(client: &Client, book: &Book, members: usize) -> BTreeMap<i32, (String, i32)> {
    at_rest(client, members).await;
    until("all are told", async || owners(book).len() == PARTITIONS as usize).await;
    owners(book)
}

#[tokio::test]
async fn kept_partitions_are_never_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = BrokerProcess::start(folder.path(), free_port());
    broker.answers(None).await;
    let client = client_with_topic(&broker.address(), TOPIC, PARTITIONS).await;
    let book = Book::default();
    let habits = Habits {
        address: broker.address(),
        group: GROUP,
        topic: TOPIC,
        session_ms: SESSION_MS,
        pause: Duration::ZERO,
        instance: String::new(),
    };
    let steady: Vec<Member> =
        (0..STEADY).map(|number| Member::stock(&book, &format!("steady-{number}"), habits.clone())).collect();
    let feed = Feed::start(&broker.address(), TOPIC).await;
    let mut before = settle(&client, &book, STEADY).await;
    let (mut kept, mut moved) = (0, 0);
    for number in 0..CHANGES {
        let mut guest = Some(Member::stock(&book, &format!("guest-{number}"), habits.clone()));
        for members in [STEADY + 1, STEADY] {
            let from = book.len();
            if members == STEADY {
                guest.take().expect("it is there").end(Going::HalfClose).await;
            }
            let after = settle(&client, &book, members).await;
            let stays = |number: &i32| before.get(number) == after.get(number);
            let told: Vec<_> = book.since(from);
            let disturbed: Vec<_> = told
                .iter()
                .filter(|line| matches!(line.deed, Deed::Told) && stays(&line.partition))
                .collect();
            assert!(disturbed.is_empty(), "kept, and yet revoked: {disturbed:?}");
            let staying = after.keys().filter(|number| stays(number)).count();
            (kept, moved) = (kept + staying, moved + after.len() - staying);
            // As few as can be: those that the guest gets, or leaves behind.
            let fair = PARTITIONS as usize / (STEADY + 1);
            assert!(
                after.len() - staying <= fair,
                "{} partitions moved, {fair} had to",
                after.len() - staying
            );
            before = after;
        }
    }
    let stored = feed.stop().await;
    until("every record is processed", async || book.read().len() >= stored).await;
    let log = read_all(&client, TOPIC).await;
    for member in steady {
        member.end(Going::Leave).await;
    }
    book.assert_holds(&log);
    println!(
        "groups, {CHANGES} joins and leaves: {kept} times a partition stayed, none of them in a Revoke; {moved} moved; {stored} records"
    );
    broker.kill();
}

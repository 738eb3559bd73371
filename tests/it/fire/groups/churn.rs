//! Members that join, leave, crash, come back under their name, are slow or flap, and a broker that is killed meanwhile.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::book::{Book, Deed};
use super::feed::Feed;
use super::members::{Cli, Going, Habits, Member};
use super::{client_with_topic, until};
use crate::fire::number;
use crate::process::{BrokerProcess, free_port};
use crate::whole::read_all;

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 12;
const ROUNDS_DEFAULT: usize = 1;
/// Sessions of members that crash.
const SHORT_MS: i32 = 1_000;
/// Those of the others: longer than any restart.
const LONG_MS: i32 = 60_000;
/// How long a new state of the group lasts, in ms.
const REST_MS: std::ops::RangeInclusive<u64> = 50..=700;
/// The session of `weir consume`, and what may come on top until its partitions are read again.
const CLI_SESSION: Duration = Duration::from_secs(10);
const TAKE_OVER: Duration = Duration::from_secs(2);

fn habits(address: &str, session_ms: i32) -> Habits {
    let (group, topic, instance) = ("churn", TOPIC, String::new());
    Habits { address: address.to_owned(), group, topic, session_ms, pause: Duration::ZERO, instance }
}

/// A scenario under way.
struct Churn {
    folder: tempfile::TempDir,
    broker: BrokerProcess,
    book: Book,
    rng: fastrand::Rng,
    /// Of the static member.
    settled: Option<Member>,
    members: usize,
}

impl Churn {
    fn habits(&self, session_ms: i32) -> Habits {
        habits(&self.broker.address(), session_ms)
    }

    async fn rest(&mut self) {
        sleep(Duration::from_millis(self.rng.u64(REST_MS))).await;
    }

    /// A name that no member had.
    fn name(&mut self, kind: &str) -> String {
        self.members += 1;
        format!("{kind}-{}", self.members)
    }

    fn join(&mut self, session_ms: i32) -> Member {
        let habits = self.habits(session_ms);
        match self.rng.bool() {
            true => {
                let name = self.name("stock");
                Member::stock(&self.book, &name, habits)
            }
            false => {
                let name = self.name("bundled");
                Member::bundled(&self.book, &name, habits)
            }
        }
    }

    async fn come_and_go(&mut self, going: Going) {
        let member = self.join(if going == Going::Crash { SHORT_MS } else { LONG_MS });
        self.rest().await;
        member.end(going).await;
        self.rest().await;
    }

    async fn flap(&mut self) {
        for _ in 0..5 {
            let going = if self.rng.bool() { Going::Leave } else { Going::HalfClose };
            let member = self.join(LONG_MS);
            sleep(Duration::from_millis(self.rng.u64(1..60))).await;
            member.end(going).await;
        }
    }

    /// It ends its requests, or crashes, and comes back under its name.
    async fn restart_the_static_one(&mut self) {
        let going = if self.rng.bool() { Going::HalfClose } else { Going::Crash };
        self.settled.take().expect("it is there").end(going).await;
        self.rest().await;
        self.settled = Some(self.static_one());
        self.rest().await;
    }

    fn static_one(&self) -> Member {
        let instance = "the static one".to_owned();
        Member::stock(&self.book, &instance, Habits { instance: instance.clone(), ..self.habits(LONG_MS) })
    }

    async fn kill_a_process(&mut self) {
        let name = self.name("cli");
        let mut cli = Cli::start(&self.book, &name, &self.habits(LONG_MS));
        let (book, from) = (self.book.clone(), self.book.len());
        until("the process reads", async || book.since(from).iter().any(|line| line.who == name)).await;
        self.rest().await;
        cli.kill();
    }

    async fn restart_the_broker(self) -> Self {
        let port = self.broker.port();
        self.broker.kill();
        let mut broker = BrokerProcess::start(self.folder.path(), port);
        broker.answers(Some(TOPIC)).await;
        Self { broker, ..self }
    }
}

#[tokio::test]
async fn every_record_is_processed_whoever_comes_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = BrokerProcess::start(folder.path(), free_port());
    broker.answers(None).await;
    let client = client_with_topic(&broker.address(), TOPIC, PARTITIONS).await;
    let rng = fastrand::Rng::with_seed(number("WEIR_SEED", 7) as u64);
    let book = Book::default();
    let mut churn = Churn { folder, broker, book: book.clone(), rng, settled: None, members: 0 };
    churn.settled = Some(churn.static_one());
    let slow = Habits { pause: Duration::from_millis(15), ..churn.habits(LONG_MS) };
    let stay = [
        Member::stock(&book, "steady stock", churn.habits(LONG_MS)),
        Member::bundled(&book, "steady bundled", churn.habits(LONG_MS)),
        Member::stock(&book, "slow stock", slow.clone()),
    ];
    let feed = Feed::start(&churn.broker.address(), TOPIC).await;
    let rounds = number("WEIR_ROUNDS", ROUNDS_DEFAULT);
    for _ in 0..rounds {
        churn.come_and_go(Going::Leave).await;
        churn.come_and_go(Going::HalfClose).await;
        churn.come_and_go(Going::Crash).await;
        churn.restart_the_static_one().await;
        churn.flap().await;
        churn = churn.restart_the_broker().await;
        churn.rest().await;
        churn.kill_a_process().await;
        let coming = churn.join(LONG_MS);
        churn = churn.restart_the_broker().await;
        churn.rest().await;
        coming.end(Going::Leave).await;
    }
    let stored = feed.stop().await;
    until("every record is processed", async || book.read().len() >= stored).await;
    let log = read_all(&client, TOPIC).await;
    for member in stay.into_iter().chain(churn.settled.take()) {
        member.end(Going::Leave).await;
    }
    report(rounds, &book, stored);
    book.assert_holds(&log);
    churn.broker.kill();
}

fn report(rounds: usize, book: &Book, stored: usize) {
    let lines = book.since(0);
    let count = |is: fn(&Deed) -> bool| lines.iter().filter(|line| is(&line.deed)).count();
    let read = count(|deed| matches!(deed, Deed::Read { .. }));
    println!(
        "groups under churn: {rounds} rounds of joins, leaves, crashes, flaps, restarts of a static member and two of the broker; {stored} \
         records, each processed, {} of them again; {} ownerships, {} commits",
        read - book.read().len(),
        count(|deed| matches!(deed, Deed::Took { .. })),
        count(|deed| matches!(deed, Deed::Committed { .. })),
    );
}

#[tokio::test]
async fn what_a_killed_process_read_is_read_again_after_its_session() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = BrokerProcess::start(folder.path(), free_port());
    broker.answers(None).await;
    client_with_topic(&broker.address(), TOPIC, PARTITIONS).await;
    let (book, habits) = (Book::default(), habits(&broker.address(), LONG_MS));
    let steady = Member::stock(&book, "steady", habits.clone());
    let feed = Feed::start(&broker.address(), TOPIC).await;
    until("the steady one reads", async || !book.read().is_empty()).await;
    let mut slowest = Duration::ZERO;
    let rounds = number("WEIR_ROUNDS", ROUNDS_DEFAULT);
    for round in 0..rounds {
        let (name, from) = (format!("cli-{round}"), book.len());
        let mut cli = Cli::start(&book, &name, &habits);
        let its_own = || book.partitions(from, |line| line.who == name);
        until("the process reads half of the partitions", async || {
            its_own().len() == PARTITIONS as usize / 2
        })
        .await;
        cli.kill();
        let (killed, from, moved) = (Instant::now(), book.len(), its_own());
        let again = || book.partitions(from, |line| matches!(line.deed, Deed::Read { .. }));
        until("its partitions are read again", async || again().is_superset(&moved)).await;
        slowest = slowest.max(killed.elapsed());
    }
    println!(
        "groups, kill -9 of `weir consume -g`: {rounds} times, all of its partitions read again after {:.1} s at most, with a session \
         of {CLI_SESSION:?}",
        slowest.as_secs_f64()
    );
    // The short form runs beside everything else.
    if number("WEIR_ROUNDS", 0) > 0 {
        assert!(slowest <= CLI_SESSION + TAKE_OVER, "that is too long");
    }
    feed.stop().await;
    steady.end(Going::Leave).await;
    broker.kill();
}

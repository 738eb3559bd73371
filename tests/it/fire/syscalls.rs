//! System calls that fail in a real broker under load: one fault a life, put in by `strace` from the start or while it runs.
//!
//! After a failed sync or a lost write that partition is offline until the restart and nothing past it is acknowledged; the
//! other partitions and the process go on. The process ends by itself only when it can't start or when the metadata log has
//! failed, and says so. After a restart without faults everything that was acknowledged is there, and nothing that was refused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use weir::client::{Client, Producer};
use weir::proto::grpc::ErrorReason;

use super::history::{Fate, Mark};
use super::load::{Checked, Kind, Load, PARTITIONS, TOPIC};
use super::outcomes::{Refusals, skip};
use super::strace::{
    Attached, Fault, after_failed_syncs, failed_rolls, hits, is_refusal, missing, notes_in, place_of,
};
use super::{assert_none, number};
use crate::process::{BrokerProcess, free_port};

/// Lives with a fault where `$WEIR_FAULTS` does not say: one for each kind of call.
const FAULTS_DEFAULT: usize = CALLS.len();
/// Where nobody asked for more lives than that, the fault comes within this part of the calls, so that most lives have one.
const EARLY: u64 = 4;
/// Lives of one history, so that it stays small.
const LIVES_A_HISTORY: usize = 10;
/// How long a fault is waited for, in ms; then the life had none.
const STRIKE_MS: std::ops::RangeInclusive<u64> = 500..=2500;
/// How long a broker lives on after a fault, in ms.
const AFTER_MS: std::ops::RangeInclusive<u64> = 0..=300;
/// A partition that is neither offline nor acknowledges anything for so long stands still.
const PROGRESS_WAIT: Duration = Duration::from_secs(60);
/// A stop takes at most so long: its own deadline, and time to look.
const STOP_WAIT: Duration = Duration::from_secs(60);
const CALL_WAIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

/// A topic so wide that its syncs are those of the whole file system.
const WIDE: &str = "wide";
const WIDE_PARTITIONS: i32 = 24;
const WIDE_PAUSE: Duration = Duration::from_millis(60);

/// Calls of one kind, and what may become of them.
struct Calls {
    names: &'static str,
    effects: &'static [&'static str],
    /// The fault hits one of so many calls of a thread, from the start and in a broker that runs.
    among: (u64, u64),
    with: &'static [&'static str],
}

const CALLS: &[Calls] = &[
    calls("fdatasync", &["error=EIO", "error=ENOSPC", "error=EINTR"], (60, 120)),
    calls("pwritev", &["error=EIO", "error=ENOSPC", "error=EINTR", "retval=0"], (300, 600)),
    calls("openat", &["error=EIO", "error=EMFILE", "error=ENOSPC", "error=EINTR"], (80, 12)),
    calls("fsync", &["error=EIO", "error=EINTR"], (10, 6)),
    calls("syncfs", &["error=EIO", "error=EINTR"], (8, 12)),
    calls("rename,renameat,renameat2", &["error=EIO", "error=ENOSPC", "error=EINTR"], (6, 5)),
    calls("pread64", &["error=EIO", "error=EINTR", "retval=0"], (60, 10)),
    calls("preadv2", &["error=EIO", "error=EAGAIN", "error=EINTR", "error=EOPNOTSUPP", "retval=0"], (60, 80)),
    Calls { with: &["ftruncate:error=EIO"], ..calls("pwritev", &["error=EIO", "error=ENOSPC"], (300, 600)) },
    calls("unlink,unlinkat", &["error=EIO"], (6, 6)),
];

const fn calls(names: &'static str, effects: &'static [&'static str], among: (u64, u64)) -> Calls {
    Calls { names, effects, among, with: &[] }
}

impl Calls {
    fn name(&self) -> String {
        self.with.iter().fold(self.names.to_owned(), |name, with| format!("{name} + {with}"))
    }

    /// A fault somewhere: one call, or a run of them, or every so many of a run.
    fn fault(&self, rng: &mut fastrand::Rng, from_start: bool) -> Fault {
        let among = if from_start { self.among.0 } else { self.among.1 };
        let among = if number("WEIR_FAULTS", 0) == 0 { among.div_ceil(EARLY) } else { among };
        let first = rng.u64(1..=among);
        let when = match rng.u32(..4) {
            0 => format!("{first}..{}", first + rng.u64(1..=12)),
            1 => format!("{first}..{}+{}", first + rng.u64(10..=30), rng.u64(2..=5)),
            _ => first.to_string(),
        };
        Fault {
            calls: self.names.to_owned(),
            effect: self.effects[rng.usize(..self.effects.len())].to_owned(),
            when,
            with: self.with.iter().map(|with| (*with).to_owned()).collect(),
        }
    }
}

/// How a life ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum End {
    /// By the test, after the fault or without one.
    Lived,
    /// By itself before the first answer.
    RefusedToStart,
    /// By itself, because the metadata log failed.
    MetadataFailed,
}

/// What lives under one kind of calls came to.
#[derive(Default, Debug)]
struct Tally {
    lives: usize,
    hit: usize,
    from_start: usize,
    offline: usize,
    refused_to_start: usize,
    metadata_failed: usize,
    places: BTreeMap<&'static str, usize>,
}

/// Everything over all lives.
#[derive(Default)]
struct Total {
    by_calls: BTreeMap<String, Tally>,
    acknowledged: usize,
    not_written: usize,
    open: usize,
    stored: usize,
}

/// A fault in words.
struct Told {
    words: String,
    from_start: bool,
    /// Whether it goes on for the whole life: a partition may then refuse everything without being offline.
    lasts: bool,
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.words.fmt(f)
    }
}

/// All calls, or those that `$WEIR_FAULT_CALLS` is a part of.
fn chosen() -> Vec<&'static Calls> {
    let part = std::env::var("WEIR_FAULT_CALLS").unwrap_or_default();
    let chosen: Vec<_> = CALLS.iter().filter(|calls| calls.name().contains(&part)).collect();
    assert!(!chosen.is_empty(), "no calls have '{part}' in their name");
    chosen
}

/// A broker with load whose lives have faults.
struct Fire<'a> {
    folder: &'a Path,
    port: u16,
    load: Load,
    wide: Wide,
    altering: JoinHandle<()>,
    rng: fastrand::Rng,
}

impl<'a> Fire<'a> {
    async fn start(folder: &'a Path, kind: &Kind, rng: fastrand::Rng) -> (Self, BrokerProcess) {
        let port = free_port();
        let mut broker = BrokerProcess::start(folder, port);
        broker.answers(None).await;
        let address = broker.address();
        let client = Client::connect(&address).await.unwrap();
        let wide = Wide::start(&address, "50").await;
        let altering = tokio::spawn(alter(client));
        let load = Load::start(&address, kind).await;
        load.flows().await;
        (Self { folder, port, load, wide, altering, rng }, broker)
    }

    /// One life with a fault, and the clean start after it.
    async fn live(
        &mut self,
        broker: BrokerProcess,
        (life, calls): (usize, &Calls),
        tally: &mut Tally,
    ) -> BrokerProcess {
        let from_start = self.rng.bool();
        let fault = calls.fault(&mut self.rng, from_start);
        let notes = notes_in(self.folder, life);
        let (mut broker, attached) = self.put_in(broker, &fault, from_start, &notes).await;
        let told = format!("life {life}, {fault}, from the start: {from_start}");
        let lasts = !fault.with.is_empty();
        tally.lives += 1;
        tally.from_start += usize::from(from_start);
        let end =
            self.suffer(&mut broker, &Told { words: told.clone(), from_start, lasts }, &notes, tally).await;
        tally.refused_to_start += usize::from(end == End::RefusedToStart);
        tally.metadata_failed += usize::from(end == End::MetadataFailed);
        let hits = hits(&notes);
        tally.hit += usize::from(!hits.is_empty());
        let places: BTreeSet<&str> = hits.iter().map(|hit| place_of(hit)).collect();
        places.into_iter().for_each(|place| *tally.places.entry(place).or_default() += 1);
        assert!(!broker.said_itself().contains("panicked"), "{told}: it said\n{}", broker.said());
        // What can't be opened was not synced either, so nothing is in doubt.
        let offline = offline(&broker.said_itself(), TOPIC);
        assert!(
            calls.names != "openat" || offline.is_empty(),
            "{told}: {offline:?} are offline for want of an opening"
        );
        if end == End::Lived && self.rng.bool() {
            broker.terminate();
            assert!(broker.ended(STOP_WAIT).await.is_some(), "{told}: it does not stop");
        }
        broker.kill();
        drop(attached);
        let mut broker = BrokerProcess::start(self.folder, self.port);
        broker.answers(Some(TOPIC)).await;
        broker
    }

    async fn put_in(
        &self,
        broker: BrokerProcess,
        fault: &Fault,
        from_start: bool,
        notes: &Path,
    ) -> (BrokerProcess, Option<Attached>) {
        if !from_start {
            let attached = fault.attach(broker.pid(), notes).await;
            return (broker, Some(attached));
        }
        broker.kill();
        let data = self.folder.join("data");
        (BrokerProcess::start_as(&data, self.folder, self.port, &fault.manner(notes)), None)
    }

    /// From the fault to the end that the broker takes by itself, or until everything that can go on does.
    async fn suffer(
        &mut self,
        broker: &mut BrokerProcess,
        told: &Told,
        notes: &Path,
        tally: &mut Tally,
    ) -> End {
        if let Some(status) = broker.answers_or_ends().await {
            let said = broker.said_itself();
            assert!(is_refusal(&said) || is_metadata(&said), "{told}: ended with {status} and said\n{said}");
            return End::RefusedToStart;
        }
        let strike = Duration::from_millis(self.rng.u64(STRIKE_MS));
        let begun = Instant::now();
        while hits(notes).is_empty() && begun.elapsed() < strike {
            sleep(PAUSE).await;
        }
        let (struck, rolls) = (hits(notes), failed_rolls(notes));
        let after = Instant::now() + Duration::from_millis(self.rng.u64(AFTER_MS));
        let ended = match self.all_go_on(broker, told).await {
            Some(status) => Some(status),
            None => broker.ended(after.saturating_duration_since(Instant::now())).await,
        };
        let ended = match ended {
            Some(status) => Some(status),
            None => self.offline_stays(broker, told, tally).await,
        };
        let ended = match ended {
            // It ends in order, which takes a while.
            None if failed_syncs(&struck).contains(&None) => broker.ended(STOP_WAIT).await,
            ended => ended,
        };
        let said = broker.said_itself();
        match ended {
            None => {
                let mut failed = failed_syncs(&struck);
                // In a running broker alone: what a start can't sync it opens again.
                failed.extend(rolls.iter().filter(|_| !told.from_start).map(|line| partition_in(line)));
                goes_offline(broker, told, &failed).await;
                let again = after_failed_syncs(notes).into_iter().find(|(_, (syncs, _))| *syncs > 0);
                assert!(
                    again.is_none(),
                    "{told}: synced again after a failed sync: {again:?}; it said\n{said}"
                );
                End::Lived
            }
            Some(status) => {
                assert!(is_metadata(&said), "{told}: ended with {status} and said\n{said}");
                assert!(!status.success(), "{told}: ended by itself with {status}");
                End::MetadataFailed
            }
        }
    }

    /// Waits until each partition is offline or acknowledges what is sent from now on; gives the end of the process when that
    /// comes first.
    async fn all_go_on(&self, broker: &mut BrokerProcess, told: &Told) -> Option<ExitStatus> {
        let (mark, begun) = (self.load.mark(), Instant::now());
        loop {
            let offline = offline(&broker.said_itself(), TOPIC);
            let stands = |partition: &i32| {
                !offline.contains(partition) && self.load.acknowledged_since(&mark, *partition) == 0
            };
            let standing: Vec<i32> = (0..PARTITIONS).filter(stands).collect();
            if standing.is_empty() || (told.lasts && self.all_refuse(&standing).await) {
                return None;
            }
            assert!(
                begun.elapsed() < PROGRESS_WAIT,
                "{told}: partitions {standing:?} stand still; it said\n{}",
                broker.said_itself()
            );
            if let Some(status) = broker.ended(PAUSE).await {
                return Some(status);
            }
        }
    }

    /// Whether each of these partitions says that what is sent to it is not written.
    async fn all_refuse(&self, partitions: &[i32]) -> bool {
        for partition in partitions {
            if self.load.probe(*partition).await != (Fate::NotWritten, Some(ErrorReason::StorageError)) {
                return false;
            }
        }
        true
    }

    /// Asks each partition that is offline: it says so, refuses what is new, and has acknowledged nothing since.
    async fn offline_stays(
        &self,
        broker: &mut BrokerProcess,
        told: &Told,
        tally: &mut Tally,
    ) -> Option<ExitStatus> {
        let offline = offline(&broker.said_itself(), TOPIC);
        tally.offline += offline.len();
        let mark: Mark = self.load.mark();
        for partition in offline {
            let answer = self.load.probe(partition).await;
            if answer.1 != Some(ErrorReason::StorageError) {
                let ended = broker.ended(STOP_WAIT).await;
                assert!(ended.is_some(), "{told}: partition {partition} is offline and answers {answer:?}");
                return ended;
            }
            let since = self.load.acknowledged_since(&mark, partition);
            assert_eq!(since, 0, "{told}: partition {partition} is offline and acknowledges");
        }
        None
    }

    /// Ends the load and lets the checker look at all of it.
    async fn check(mut self, broker: BrokerProcess) -> Checked {
        self.load.stop().await;
        self.altering.abort();
        broker.kill();
        let mut broker = BrokerProcess::start(self.folder, self.port);
        broker.answers(Some(TOPIC)).await;
        self.wide.end(&broker.address()).await;
        self.load.check(false).await
    }
}

/// A topic of many partitions that somebody sends to all the time.
pub(super) struct Wide {
    refusals: Arc<Refusals>,
    filling: JoinHandle<()>,
}

impl Wide {
    /// Makes the topic, whose records are synced so many ms after their acknowledgement, and begins to send.
    pub(super) async fn start(address: &str, flush_ms: &str) -> Self {
        let client = Client::connect(address).await.unwrap();
        let topic = client.admin().create_topic(WIDE).partitions(WIDE_PARTITIONS);
        topic.config("flush", "interval").config("flush.ms", flush_ms).await.unwrap();
        let producer = client.producer().idempotent(false).build().await.unwrap();
        let refusals = Refusals::of(WIDE);
        let filling = tokio::spawn(fill(producer, refusals.clone()));
        Self { refusals, filling }
    }

    /// Ends the sending, and demands that nothing is there that was refused.
    pub(super) async fn end(self, address: &str) {
        self.filling.abort();
        self.refusals.check(address).await;
    }
}

/// Changes a setting of the wide topic for ever, so that the metadata log is written and synced.
async fn alter(client: Client) {
    for turn in 0.. {
        let flush_ms = (50 + turn % 2).to_string();
        let update = client.admin().update_topic(WIDE).set_config("flush.ms", flush_ms);
        // A refusal or silence is as good as an answer here.
        let _ = timeout(CALL_WAIT, update.into_future()).await;
        sleep(WIDE_PAUSE).await;
    }
}

/// Sends to the wide topic for ever.
async fn fill(producer: Producer, refusals: Arc<Refusals>) {
    loop {
        for partition in 0..WIDE_PARTITIONS {
            // A refusal or a full buffer is as good as an answer here.
            let _ = timeout(CALL_WAIT, refusals.send(&producer, partition, 0)).await;
        }
        sleep(WIDE_PAUSE).await;
    }
}

/// Whose log could not be synced, by topic and partition, or else the metadata log's.
fn failed_syncs(hits: &[String]) -> BTreeSet<Option<(&'static str, i32)>> {
    let failed = hits.iter().filter(|hit| hit.contains("fdatasync(") && hit.contains(".log>"));
    failed.map(|hit| partition_in(hit)).collect()
}

/// Waits until each of these partitions is said to be offline.
async fn goes_offline(broker: &BrokerProcess, told: &Told, failed: &BTreeSet<Option<(&'static str, i32)>>) {
    let begun = Instant::now();
    loop {
        let said = broker.said_itself();
        let is_offline = |(topic, partition): (&str, i32)| offline(&said, topic).contains(&partition);
        if failed.iter().all(|log| log.is_some_and(is_offline)) {
            return;
        }
        assert!(
            begun.elapsed() < PROGRESS_WAIT,
            "{told}: syncs of {failed:?} failed (none: the metadata log) and not each is offline; it said\n{said}"
        );
        sleep(PAUSE).await;
    }
}

/// The partition that a line of the notes is about.
fn partition_in(line: &str) -> Option<(&'static str, i32)> {
    [TOPIC, WIDE].into_iter().find_map(|topic| {
        let (_, rest) = line.split_once(&format!("/{topic}-"))?;
        Some((topic, rest.split(['/', '>']).next()?.parse().ok()?))
    })
}

/// The partitions of a topic that the broker said to be offline for the rest of its life.
pub(super) fn offline(said: &str, topic: &str) -> BTreeSet<i32> {
    let lasts = |line: &&str| {
        line.contains("partition goes offline")
            || (line.contains("partition is offline") && line.contains("lasts=true"))
    };
    let lines = said.lines().filter(lasts);
    let ours = lines.filter(|line| line.contains(&format!("topic={topic} ")));
    let word = |line: &str| {
        let word = line.split_whitespace().find_map(|word| word.strip_prefix("partition="))?;
        word.parse().ok()
    };
    ours.map(|line| word(line).unwrap_or_else(|| panic!("no partition in: {line}"))).collect()
}

fn is_metadata(said: &str) -> bool {
    said.contains("the broker ends: ") && said.contains("the metadata log failed")
}

async fn prove(kind: Kind) {
    if let Some(reason) = missing() {
        return skip(&format!("failing system calls, flush={}", kind.flush), &reason);
    }
    let lives = number("WEIR_FAULTS", FAULTS_DEFAULT);
    let mut rng = fastrand::Rng::with_seed(number("WEIR_SEED", 7) as u64);
    let chosen = chosen();
    let mut total = Total::default();
    for first in (0..lives).step_by(LIVES_A_HISTORY) {
        let folder = tempfile::tempdir().unwrap();
        let (mut fire, mut broker) = Fire::start(folder.path(), &kind, rng.fork()).await;
        for life in first..lives.min(first + LIVES_A_HISTORY) {
            let calls = chosen[life % chosen.len()];
            let tally = total.by_calls.entry(calls.name()).or_default();
            broker = fire.live(broker, (life, calls), tally).await;
        }
        let checked = fire.check(broker).await;
        total.add(&checked);
        assert_none(checked.findings);
    }
    total.print(&kind);
    let hit: usize = total.by_calls.values().map(|tally| tally.hit).sum();
    assert!(hit > 0, "no fault hit anything: this shows nothing");
}

impl Total {
    fn add(&mut self, checked: &Checked) {
        self.acknowledged += checked.sent.acknowledged();
        self.not_written += checked.sent.count(|fate| fate == Fate::NotWritten);
        self.open += checked.sent.count(|fate| fate == Fate::Open);
        self.stored += checked.log.iter().map(Vec::len).sum::<usize>();
    }

    fn print(&self, kind: &Kind) {
        let sum = |of: fn(&Tally) -> usize| self.by_calls.values().map(of).sum::<usize>();
        println!(
            "failing system calls, flush={}: {} lives, {} hit, {} partitions offline, {} ended by the metadata log, {} \
             refused to start; {} records acknowledged, {} refused, {} with open outcome, {} stored, each read twice",
            kind.flush,
            sum(|tally| tally.lives),
            sum(|tally| tally.hit),
            sum(|tally| tally.offline),
            sum(|tally| tally.metadata_failed),
            sum(|tally| tally.refused_to_start),
            self.acknowledged,
            self.not_written,
            self.open,
            self.stored,
        );
        for (name, tally) in &self.by_calls {
            println!("  {name}: {tally:?}");
        }
    }
}

#[tokio::test]
async fn failing_calls_lose_nothing_at_flush_ack() {
    prove(Kind::all("ack")).await;
}

#[tokio::test]
async fn failing_calls_lose_nothing_at_flush_os() {
    prove(Kind::all("os")).await;
}

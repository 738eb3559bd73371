//! Slow and stopped disks: every write and every sync of a real broker takes long, put in by `strace`.
//!
//! Nothing is lost and no order changes, small requests are answered meanwhile, and memory stays within the budget however much
//! producers want to send.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use weir::client::{Client, Producer};
use weir::proto::grpc::ErrorReason;

use super::history::Fate;
use super::load::{Kind, Load, PARTITIONS, TOPIC};
use super::outcomes::{Refusals, skip};
use super::small::{APPEND_AT_OS, Counts, FETCH, METADATA, Small};
use super::strace::{Fault, hits, missing, notes_in};
use super::{assert_none, number};
use crate::process::{BrokerProcess, free_port};

/// Slow disks one after the other where `$WEIR_SLOW` does not say.
const SLOW_DEFAULT: usize = 1;
/// What a slow call takes more, in ms; the first of each kind is the fastest.
const DELAY_MS: std::ops::RangeInclusive<u64> = 500..=2000;
/// The calls that are slow, in turn, and small requests that have to wait for none of them but that which one thread may be in.
const SLOW_CALLS: [(&str, &[usize]); 3] = [
    ("fdatasync,syncfs", &[METADATA, APPEND_AT_OS, FETCH]),
    ("pwritev", &[METADATA, FETCH]),
    (ALL_CALLS, &[METADATA, FETCH]),
];
const ALL_CALLS: &str = "pwritev,fdatasync,fsync,syncfs";
/// A disk that takes so long for each call, in ms, stands for one that has stopped; where `$WEIR_STOPPED_MS` does not say.
const STOPPED_MS_DEFAULT: usize = 1_000;
/// It stands still for so many such calls.
const STOPPED_CALLS: u64 = 3;
/// Names of threads that serve clients begin so; others may wait for the disk.
const SERVES_CLIENTS: &str = "weir";
/// A thread that serves clients finds out by an append that the disk stands still; one more may have begun before.
const HELD_UP_MAX: usize = 2;
/// Slow calls on the one topic that are waited for.
const SLOW_TOPIC_CALLS: usize = 8;
/// Answers to each kind of small request that are waited for while the disk is slow.
const ANSWERS: usize = 3;
/// Whoever gets no answer for so long is held up.
const PROGRESS_WAIT: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_millis(20);

const MEMORY_MIB: u64 = 64;
/// What the process takes beside its budget.
const BESIDE_MIB: u64 = 40;

/// The topic that wants to send more than the disk takes.
const FLOOD: &str = "flood";
const FLOOD_PRODUCERS: usize = 4;
const FLOOD_RECORD_BYTES: usize = 100_000;
const FLOOD_BUFFER_BYTES: usize = 48 << 20;

/// A broker with little memory, under load and asked for small things all the time.
struct Slow {
    broker: BrokerProcess,
    load: Load,
    small: Small,
    flooded: Arc<Refusals>,
}

impl Slow {
    async fn start(folder: &Path) -> Self {
        let memory = format!("memory.bytes={MEMORY_MIB}MiB");
        let mut broker = BrokerProcess::start_with(&folder.join("data"), folder, free_port(), &[&memory]);
        broker.answers(None).await;
        let address = broker.address();
        let client = Client::connect(&address).await.unwrap();
        client.admin().create_topic(FLOOD).partitions(1).await.unwrap();
        let small = Small::start(&address).await;
        let kind = Kind::all("ack");
        // WHY so patient: where each call is slow, an answer waits for dozens of them.
        let load = Load::start_with_patience(&address, &kind, PROGRESS_WAIT).await;
        load.flows().await;
        Self { broker, load, small, flooded: Refusals::of(FLOOD) }
    }

    /// Producers that send large records as fast as they may.
    async fn flood(&self) -> Vec<JoinHandle<()>> {
        let mut producers = Vec::new();
        for number in 0..FLOOD_PRODUCERS {
            let client = Client::connect(&self.broker.address()).await.unwrap();
            let producer = client.producer().idempotent(number % 2 == 0);
            let producer = producer.buffer_memory(FLOOD_BUFFER_BYTES).build().await.unwrap();
            producers.push(tokio::spawn(pour(producer, self.flooded.clone())));
        }
        producers
    }

    /// Waits until each kind of small request is answered so many times more and every partition of the load goes on. Gives how many
    /// answers there were before, and the most memory seen, in MiB.
    async fn goes_on(&self, told: &str) -> (Counts, u64) {
        let (mark, begun, mut most) = (self.load.mark(), Instant::now(), 0);
        let before = self.small.counts();
        loop {
            most = most.max(self.broker.rss_anon_kib() >> 10);
            let loaded = (0..PARTITIONS).all(|partition| self.load.acknowledged_since(&mark, partition) > 0);
            if loaded && self.small.has_more(&before, ANSWERS) {
                return (before, most);
            }
            assert!(
                begun.elapsed() < PROGRESS_WAIT,
                "{told}: the load goes on: {loaded}, answers: {}",
                self.small.waits_since(&before)
            );
            sleep(PAUSE).await;
        }
    }

    /// Ends it all, and lets the checker look at what a broker without faults finds.
    async fn end(mut self, folder: &Path) {
        self.load.stop().await;
        let port = self.broker.port();
        self.broker.kill();
        let mut broker = BrokerProcess::start(folder, port);
        broker.answers(Some(TOPIC)).await;
        self.small.end(&broker.address()).await;
        self.flooded.check(&broker.address()).await;
        let checked = self.load.check(false).await;
        println!("  {}", checked.told());
        assert_none(checked.findings);
        broker.kill();
    }
}

async fn pour(producer: Producer, flooded: Arc<Refusals>) {
    loop {
        if !flooded.send(&producer, 0, FLOOD_RECORD_BYTES).await {
            sleep(PAUSE).await;
        }
    }
}

fn slow(calls: &str, ms: u64) -> Fault {
    let effect = format!("delay_exit={}", ms * 1_000);
    Fault { calls: calls.to_owned(), effect, when: "1+".to_owned(), with: Vec::new() }
}

/// How many calls on log files were slow in each thread, by its name.
fn calls_by_thread(pid: u32, notes: &Path) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for hit in hits(notes).iter().filter(|hit| hit.contains(".log>")) {
        let thread = hit.split(' ').next().unwrap_or_default();
        let name = std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/comm")).unwrap_or_default();
        *calls.entry(name.trim().to_owned()).or_default() += 1;
    }
    calls
}

/// Demands that slow calls are left to threads that serve no clients.
fn assert_left_to_others(told: &str, calls: &BTreeMap<String, usize>) {
    let held_up =
        calls.iter().find(|(thread, count)| thread.starts_with(SERVES_CLIENTS) && **count > HELD_UP_MAX);
    assert!(held_up.is_none(), "{told}: a thread that serves clients was held up by appends: {calls:?}");
}

fn assert_flat(told: &str, most: u64) {
    assert!(
        most <= MEMORY_MIB + BESIDE_MIB,
        "{told}: RssAnon {most} MiB, at most {MEMORY_MIB} + {BESIDE_MIB} are allowed"
    );
}

#[tokio::test]
async fn a_slow_disk_loses_nothing_and_does_not_hold_up_small_requests() {
    if let Some(reason) = missing() {
        return skip("slow disks", &reason);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut rng = fastrand::Rng::with_seed(number("WEIR_SEED", 7) as u64);
    let scene = Slow::start(folder.path()).await;
    for turn in 0..number("WEIR_SLOW", SLOW_DEFAULT) {
        let (calls, prompt) = SLOW_CALLS[turn % SLOW_CALLS.len()];
        let delay_ms = if turn < SLOW_CALLS.len() { *DELAY_MS.start() } else { rng.u64(DELAY_MS) };
        let fault = slow(calls, delay_ms);
        let (told, notes) = (fault.to_string(), notes_in(folder.path(), turn));
        let begun = Instant::now();
        let attached = fault.attach(scene.broker.pid(), &notes).await;
        let flood = scene.flood().await;
        let (before, most) = scene.goes_on(&told).await;
        let calls = calls_by_thread(scene.broker.pid(), &notes);
        flood.iter().for_each(JoinHandle::abort);
        drop(attached);
        let hits = hits(&notes).len();
        println!(
            "slow disk, {told}: {hits} slow calls in {:.1} s, on logs by thread {calls:?}; answers, median and largest wait: {}; RssAnon at \
             most {most} MiB with memory.bytes={MEMORY_MIB} MiB",
            begun.elapsed().as_secs_f64(),
            scene.small.waits_since(&before),
        );
        assert!(hits > 0, "{told}: nothing was slow: this shows nothing");
        assert_flat(&told, most);
        assert_left_to_others(&told, &calls);
        scene.small.assert_prompt(prompt, &before, Duration::from_millis(delay_ms));
    }
    scene.end(folder.path()).await;
}

#[tokio::test]
async fn a_topic_on_a_slow_disk_does_not_hold_up_those_on_others() {
    if let Some(reason) = missing() {
        return skip("one slow topic", &reason);
    }
    let folder = tempfile::tempdir().unwrap();
    let scene = Slow::start(folder.path()).await;
    let fault = slow(ALL_CALLS, *DELAY_MS.start());
    let (told, notes) = (fault.to_string(), notes_in(folder.path(), 0));
    // WHY one file: a directory has one disk, and what strace puts in tells files apart.
    let file = folder.path().join("data").join(format!("{FLOOD}-0")).join(format!("{:020}.log", 0));
    let attached = fault.attach_on(scene.broker.pid(), &notes, &file).await;
    let flood = scene.flood().await;
    let before = scene.small.counts();
    let begun = Instant::now();
    while hits(&notes).len() < SLOW_TOPIC_CALLS {
        assert!(begun.elapsed() < PROGRESS_WAIT, "{told}: nothing is slow");
        sleep(PAUSE).await;
    }
    scene.goes_on(&told).await;
    let calls = calls_by_thread(scene.broker.pid(), &notes);
    flood.iter().for_each(JoinHandle::abort);
    drop(attached);
    println!(
        "one slow topic, {told}: slow calls by thread {calls:?}; answers about others, median and largest wait: {}",
        scene.small.waits_since(&before)
    );
    assert_left_to_others(&told, &calls);
    let delay = Duration::from_millis(*DELAY_MS.start());
    scene.small.assert_prompt(&[METADATA, APPEND_AT_OS, FETCH], &before, delay);
    scene.end(folder.path()).await;
}

#[tokio::test]
async fn a_stopped_disk_takes_no_memory_and_loses_nothing() {
    if let Some(reason) = missing() {
        return skip("stopped disk", &reason);
    }
    let folder = tempfile::tempdir().unwrap();
    let scene = Slow::start(folder.path()).await;
    let stopped_ms = number("WEIR_STOPPED_MS", STOPPED_MS_DEFAULT) as u64;
    let fault = slow(ALL_CALLS, stopped_ms);
    let (told, notes) = (fault.to_string(), notes_in(folder.path(), 0));
    let before = scene.small.counts();
    let attached = fault.attach(scene.broker.pid(), &notes).await;
    let (flood, begun) = (scene.flood().await, Instant::now());
    let (mut most, mut waited, mut throttled) = (0, 0, 0);
    while begun.elapsed() < Duration::from_millis(stopped_ms * STOPPED_CALLS) {
        most = most.max(scene.broker.rss_anon_kib() >> 10);
        let partition = (waited + throttled) % PARTITIONS;
        match scene.load.probe(partition).await {
            (Fate::NotWritten, Some(ErrorReason::Throttled)) => throttled += 1,
            (_, None) => waited += 1,
            other => panic!("{told}: a producer is told {other:?}"),
        }
        most = most.max(scene.broker.rss_anon_kib() >> 10);
        sleep(PAUSE).await;
    }
    drop(attached);
    flood.iter().for_each(JoinHandle::abort);
    let (_, after) = scene.goes_on("the disk is back").await;
    let calls = calls_by_thread(scene.broker.pid(), &notes);
    println!(
        "stopped disk, {told}: {} calls stood still, {waited} single producers waited and {throttled} were told THROTTLED; RssAnon at \
         most {most} MiB with memory.bytes={MEMORY_MIB} MiB, {after} MiB when the disk was back; calls on logs by thread {calls:?}; answers, \
         median and largest wait: {}",
        hits(&notes).len(),
        scene.small.waits_since(&before),
    );
    assert!(!hits(&notes).is_empty(), "nothing stood still: this shows nothing");
    assert_flat(&told, most.max(after));
    assert_left_to_others(&told, &calls);
    scene.end(folder.path()).await;
}

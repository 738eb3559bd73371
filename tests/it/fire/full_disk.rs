//! A full disk: producers fill a small file system through a broker, again and again. It is emptied on the full disk itself, by a
//! trim, a delete or lower retention through the command line; or somebody else took the space, to the last byte, and gives it back.
//!
//! Writers are told DISK_FULL, retriable and not written, and nothing that was told so ever appears. Reads and metadata go on
//! all the time, writes go on without a restart, and a killed broker comes back on the full disk.

mod filler;
mod no_more_files;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use weir::env::{Disk, RealDisk};

use self::filler::Filler;
use super::ext4::Ext4;
use super::history::Fate;
use super::load::{Kind, Load, TOPIC};
use super::outcomes::{self, skip};
use super::{assert_none, number};
use crate::process::{BrokerProcess, free_port};

const DISK_MEGABYTES: u32 = 64;
/// A setting of `disk.reserve.bytes`, and the bytes that it comes to.
type Reserve = (Option<&'static str>, u64);
/// What the broker keeps of such a disk by itself, and the least that it may be told to.
const RESERVES: [Reserve; 2] = [(None, 4 << 20), (Some("disk.reserve.bytes=1MiB"), 1 << 20)];
/// What is not so after this long will not be.
const WAIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);
/// Bundled producers of the load give a record up after this long, and say that it was not written.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long somebody else holds all the space, in ms.
const HELD_MS: std::ops::RangeInclusive<u64> = 20..=400;
/// How often somebody else takes and gives back all the space of one file system, at length and in the short form.
const BALLASTS: (usize, usize) = (4, 1);

/// How a full disk is emptied through Weir.
#[derive(Clone, Copy, Debug)]
enum Way {
    TrimSome,
    TrimAll,
    Delete,
    RetentionBytes,
    RetentionMs,
}

/// Every way, the first two of which make the short form.
const WAYS: [Way; 5] = [Way::RetentionMs, Way::Delete, Way::TrimAll, Way::TrimSome, Way::RetentionBytes];
const SHORT_WAYS: usize = 2;

/// What happened.
#[derive(Default, Debug)]
struct Tally {
    filled: usize,
    ballasts: usize,
    kills: usize,
    acknowledged: usize,
    refused: usize,
    open: usize,
    /// Starts that a disk full to the last byte refused.
    refused_starts: usize,
}

/// A broker on a small file system under load.
struct Lap<'a> {
    disk: &'a Ext4,
    settings: Vec<&'static str>,
    reserve_bytes: u64,
    broker: Option<BrokerProcess>,
    load: Load,
    filler: Filler,
    rng: fastrand::Rng,
    tally: Tally,
}

impl<'a> Lap<'a> {
    async fn begin(disk: &'a Ext4, (reserve, reserve_bytes): Reserve, seed: u64) -> Self {
        let mut settings = vec!["log.retention.check.interval.ms=100"];
        settings.extend(reserve);
        let mut broker = BrokerProcess::start_with(&data(disk), disk.beside(), free_port(), &settings);
        broker.answers(None).await;
        let kind = Kind { idempotent: 1, ..Kind::all("ack") };
        let load = Load::start_with_patience(&broker.address(), &kind, PATIENCE).await;
        let filler = Filler::start(&broker.address()).await;
        let (rng, tally) = (fastrand::Rng::with_seed(seed), Tally::default());
        Self { disk, settings, reserve_bytes, broker: Some(broker), load, filler, rng, tally }
    }

    fn broker(&self) -> &BrokerProcess {
        self.broker.as_ref().expect("it runs between two calls")
    }

    /// `kill -9`, and a start on the disk as it is. A disk full to the last byte may refuse it, in words.
    async fn kill(&mut self, may_be_refused: bool) {
        let broker = self.broker.take().expect("it runs between two calls");
        let port = broker.port();
        broker.kill();
        self.tally.kills += 1;
        let mut broker =
            BrokerProcess::start_with(&data(self.disk), self.disk.beside(), port, &self.settings);
        if may_be_refused && let Some(status) = broker.ended(Duration::from_millis(500)).await {
            let said = broker.said();
            assert!(!status.success() && said.contains("No space left"), "ended with {status}:\n{said}");
            self.tally.refused_starts += 1;
            return self.broker = Some(broker);
        }
        broker.answers(Some(TOPIC)).await;
        self.broker = Some(broker);
    }

    /// Starts the broker again when the full disk refused it.
    async fn start_when_down(&mut self) {
        let broker = self.broker.as_mut().expect("it runs between two calls");
        if broker.ended(Duration::from_millis(1)).await.is_some() {
            let port = broker.port();
            *broker = BrokerProcess::start_with(&data(self.disk), self.disk.beside(), port, &self.settings);
            broker.answers(Some(TOPIC)).await;
        }
    }

    /// The disk is filled by producers; then it is emptied.
    async fn fill_and_empty(&mut self, way: Way) {
        self.filler.fill(matches!(way, Way::Delete | Way::TrimSome)).await;
        self.tally.filled += 1;
        self.check_full().await;
        if self.rng.bool() {
            self.kill(false).await;
            self.check_full().await;
        }
        self.empty(way).await;
        self.check_writable().await;
        self.filler.check().await;
    }

    /// Writers of each kind are refused before they reach into the reserve; readers and administrators are not.
    async fn check_full(&mut self) {
        // The broker's own small files may take some of it.
        let (free, reserve) = (free_bytes(self.disk), self.reserve_bytes);
        assert!(free > reserve / 2, "writers left {free} bytes of a reserve of {reserve}");
        for idempotent in [false, true] {
            self.filler.refused(idempotent).await;
        }
        self.check_readable().await;
        for call in
            [&["topic", "list"][..], &["topic", "describe", TOPIC], &["topic", "create", "load", "--dry-run"]]
        {
            let said = self.broker().run(call).await;
            let is_fine =
                said.as_ref().map_or_else(|error| error.contains("[TOPIC_EXISTS]"), |text| !text.is_empty());
            assert!(is_fine, "{call:?}: {said:?}");
        }
    }

    async fn check_readable(&mut self) {
        self.load.find_acknowledged().await;
        self.filler.check().await;
    }

    async fn empty(&mut self, way: Way) {
        let name = self.filler.topic();
        let before = free_bytes(self.disk);
        let alter = |config: &'static str| vec!["topic", "alter", name, "-c", config];
        let call = match way {
            Way::TrimSome => vec!["topic", "trim", name, "--to", "-100"],
            Way::TrimAll => vec!["topic", "trim", name, "--to", "end"],
            Way::Delete => vec!["topic", "delete", name],
            Way::RetentionBytes => alter("retention.bytes=4MiB"),
            Way::RetentionMs => alter("retention.ms=1ms"),
        };
        let said = self.broker().run(&call).await;
        assert!(said.is_ok(), "{way:?} on the full disk: {said:?}\n{}", self.broker().said());
        until("free space", || free_bytes(self.disk) > before + (8 << 20)).await;
        match way {
            Way::Delete => self.filler.begin_again().await,
            Way::RetentionBytes => self.set("retention.bytes=-1").await,
            Way::RetentionMs => self.set("retention.ms=-1").await,
            Way::TrimSome | Way::TrimAll => {}
        }
    }

    async fn set(&self, config: &str) {
        self.broker().run(&["topic", "alter", self.filler.topic(), "-c", config]).await.unwrap();
    }

    /// Every writer goes on, without a restart.
    async fn check_writable(&mut self) {
        self.filler.accepted().await;
        let before = self.load.acknowledged();
        until("an acknowledgement", || self.load.acknowledged() > before).await;
    }

    /// Somebody else takes all the space, and gives it back.
    async fn with_ballast(&mut self) {
        let path = self.disk.path().join("ballast");
        take_all_space(path.clone()).await;
        self.tally.ballasts += 1;
        sleep(Duration::from_millis(self.rng.u64(HELD_MS))).await;
        self.broker().run(&["topic", "list"]).await.unwrap();
        self.check_readable().await;
        // There may be room for the command, in a block that is there already.
        let trimmed = self.broker().run(&["topic", "trim", self.filler.topic(), "--to", "+50"]).await;
        assert!(trimmed.as_ref().map_or_else(|said| said.contains("[DISK_FULL]"), |_| true), "{trimmed:?}");
        if self.rng.bool() {
            self.kill(true).await;
            sleep(Duration::from_millis(self.rng.u64(HELD_MS))).await;
        }
        std::fs::remove_file(path).unwrap();
        self.start_when_down().await;
        self.check_writable().await;
        self.filler.check().await;
    }

    async fn end(mut self) -> Tally {
        self.load.stop().await;
        self.filler.check().await;
        outcomes::count(self.filler.refusals(), 0);
        let checked = self.load.check(false).await;
        let refused = checked.sent.count(|fate| fate == Fate::NotWritten);
        assert!(refused > 0, "nobody of the load was refused: this shows nothing");
        self.tally.acknowledged = checked.sent.acknowledged() + self.filler.acknowledged();
        self.tally.refused = refused + self.filler.refusals();
        self.tally.open = checked.sent.count(|fate| fate == Fate::Open);
        assert_none(checked.findings);
        self.tally
    }
}

fn data(disk: &Ext4) -> PathBuf {
    disk.path().join("data")
}

fn free_bytes(disk: &Ext4) -> u64 {
    RealDisk::new().space(&disk.path()).unwrap().free_bytes
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < WAIT, "{what} did not come");
        sleep(PAUSE).await;
    }
}

/// Writes a file until not one byte more fits.
async fn take_all_space(path: PathBuf) {
    let take = move || {
        let mut file = std::fs::File::create(path).unwrap();
        for size in [1 << 20, 4 << 10, 1] {
            while file.write_all(&vec![7; size]).is_ok() {}
        }
    };
    tokio::task::spawn_blocking(take).await.unwrap();
}

async fn prove(reserve: Reserve) {
    let form = reserve.0.unwrap_or("disk.reserve.bytes by default");
    let seed = number("WEIR_SEED", 7) as u64;
    let mut sum = Tally::default();
    let rounds = number("WEIR_ROUNDS", 0);
    let (ways, ballasts) = if rounds > 0 { (WAYS.len(), BALLASTS.0) } else { (SHORT_WAYS, BALLASTS.1) };
    let laps = rounds.max(1);
    for at in 0..laps {
        let disk = match Ext4::new(DISK_MEGABYTES) {
            Ok(disk) => disk,
            Err(reason) => return skip(&format!("full disk, {form}"), &reason),
        };
        let mut lap = Lap::begin(&disk, reserve, seed + at as u64).await;
        for way in &WAYS[..ways] {
            lap.fill_and_empty(*way).await;
        }
        for _ in 0..ballasts {
            lap.with_ballast().await;
        }
        let tally = lap.end().await;
        sum.filled += tally.filled;
        sum.ballasts += tally.ballasts;
        sum.kills += tally.kills;
        sum.refused_starts += tally.refused_starts;
        sum.acknowledged += tally.acknowledged;
        sum.refused += tally.refused;
        sum.open += tally.open;
    }
    println!(
        "full disk, {form}: {laps} file systems, filled by producers {} times and by somebody else {} times, {} kills on the full disk \
         ({} starts refused for want of space); {} records acknowledged, {} refused, {} with open outcome; 0 findings",
        sum.filled, sum.ballasts, sum.kills, sum.refused_starts, sum.acknowledged, sum.refused, sum.open
    );
}

#[tokio::test]
async fn a_full_disk_is_emptied_through_weir() {
    prove(RESERVES[0]).await;
}

#[tokio::test]
async fn so_it_is_with_the_smallest_reserve() {
    prove(RESERVES[1]).await;
}

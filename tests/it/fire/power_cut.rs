//! Power cuts: the file system goes away under a loaded broker with all that was not synced, again and again.
//!
//! At `flush=ack` nothing acknowledged and nothing shown is lost; at `interval` and `os` only the end of a partition is, and the
//! readers are told before they are given anything else.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::cursors::Cursors;
use super::ext4::Ext4;
use super::history::{Fate, duplicates};
use super::load::{Checked, Kind, Load, TOPIC};
use super::outcomes::skip;
use super::{assert_none, number};
use crate::process::{BrokerProcess, free_port};

/// Cuts where `$WEIR_CUTS` does not say.
const CUTS_DEFAULT: usize = 2;
/// How long a broker lives, in ms.
const LIFE_MS: RangeInclusive<u64> = 100..=1500;
/// How long it lives on after the cut, on a disk that refuses everything, in ms.
const AFTER_MS: RangeInclusive<u64> = 0..=200;
const AT_ONCE: RangeInclusive<u64> = 0..=0;
const DISK_MEGABYTES: u32 = 512;

/// How long a broker lives whose cuts take no more than a window, in ms: longer than that.
const LONG_LIFE_MS: RangeInclusive<u64> = 6_000..=8_000;
/// `flush.ms` of that broker's topic, whose segments and `flush.bytes` are large, since they lead to syncs as well; and how far an
/// acknowledgement may be ahead of the disk then, since a sync takes its time.
const FLUSH_MS: &str = "200";
const WINDOW: Duration = Duration::from_millis(200 + 3_000);
/// One such cut for so many others.
const FOR_EACH: usize = 10;

/// A broker under load on a disk whose power is cut now and then.
struct Scene {
    broker: BrokerProcess,
    load: Load,
    rng: fastrand::Rng,
    port: u16,
    /// When the power was cut.
    cuts: Vec<Instant>,
    /// Lives in which nothing was acknowledged.
    idle: usize,
    // WHY last: the broker and its readers are gone before their disk goes.
    disk: Ext4,
}

impl Scene {
    /// Starts both; where there can be no such disk, says so and gives `None`.
    async fn start(kind: &Kind, name: &str) -> Option<Self> {
        let disk = Ext4::new(DISK_MEGABYTES).inspect_err(|reason| skip(name, reason)).ok()?;
        let port = free_port();
        let mut broker = start_on(&disk, port);
        broker.answers(None).await;
        let load = Load::start(&broker.address(), kind).await;
        let rng = fastrand::Rng::with_seed(number("WEIR_SEED", 7) as u64);
        Some(Self { broker, load, rng, port, cuts: Vec::new(), idle: 0, disk })
    }

    /// The broker lives for so long; the power is cut, and so long after that the broker ends; both come back. In ms.
    async fn live(mut self, life: RangeInclusive<u64>, after: RangeInclusive<u64>) -> Self {
        let before = self.load.acknowledged();
        sleep(Duration::from_millis(self.rng.u64(life))).await;
        self.cuts.push(Instant::now());
        self.disk.cut_power().unwrap();
        sleep(Duration::from_millis(self.rng.u64(after))).await;
        self.broker.kill();
        self.idle += usize::from(self.load.acknowledged() == before);
        self.disk.come_back().unwrap();
        self.broker = start_on(&self.disk, self.port);
        self.broker.answers(Some(TOPIC)).await;
        self
    }
}

fn start_on(disk: &Ext4, port: u16) -> BrokerProcess {
    BrokerProcess::start_on(&disk.path().join("data"), disk.beside(), port)
}

async fn prove(kind: Kind) {
    let name = format!("power cuts, flush={}", kind.flush);
    let Some(mut scene) = Scene::start(&kind, &name).await else { return };
    let cuts = number("WEIR_CUTS", CUTS_DEFAULT);
    for _ in 0..cuts {
        scene = scene.live(LIFE_MS, AFTER_MS).await;
    }
    let idle = scene.idle;
    scene.load.stop().await;
    // At `interval` nothing that is older than its window may go, at `os` the window is longer than this life.
    let kept = if kind.flush == "interval" { Some(scene.load.flushed().await) } else { None };
    // WHY once more, at rest: nobody fills up again what this cut takes.
    scene = scene.live(AT_ONCE, AT_ONCE).await;
    let Scene { broker, load, .. } = scene;
    let ends = load.ends().await;
    assert!(
        kept.as_ref().is_none_or(|kept| *kept == ends),
        "flushed up to {kept:?}, after the cut there is {ends:?}"
    );
    let cursors = load.check_cursors().await;
    let mut checked = load.check(kind.flush != "ack").await;
    checked.findings.extend(cursors.findings.iter().cloned());
    report(&kind, cuts + 1, &checked, &cursors);
    assert_none(checked.findings);
    let is_told = cursors.gone > 0 && checked.setbacks > 0;
    assert!(kind.flush != "os" || is_told, "nothing that was shown was lost at flush=os: this shows nothing");
    assert!(idle < cuts, "no broker acknowledged anything: this shows nothing");
    broker.kill();
}

fn report(kind: &Kind, cuts: usize, checked: &Checked, cursors: &Cursors) {
    let stored: usize = checked.log.iter().map(Vec::len).sum();
    let acknowledged = checked.sent.acknowledged();
    println!(
        "power cuts, flush={}: {cuts} cuts, {acknowledged} records acknowledged, {} refused, {} with open outcome; {stored} stored, {} of \
         them duplicates of producers without id; readers were told {} times that what it had read is gone; {} cursors of what is \
         gone refused ({} beyond the end), {} of what is there served; {} findings",
        kind.flush,
        checked.sent.count(|fate| fate == Fate::NotWritten),
        checked.sent.count(|fate| fate == Fate::Open),
        duplicates(&checked.log),
        checked.setbacks,
        cursors.gone,
        cursors.beyond,
        cursors.there,
        checked.findings.len(),
    );
}

#[tokio::test]
async fn nothing_acknowledged_or_shown_is_lost_at_flush_ack() {
    prove(Kind::all("ack")).await;
}

#[tokio::test]
async fn only_the_end_is_lost_at_flush_interval() {
    prove(Kind::all("interval")).await;
}

#[tokio::test]
async fn only_the_end_is_lost_at_flush_os() {
    prove(Kind::all("os")).await;
}

#[tokio::test]
async fn no_more_than_the_window_is_lost_at_flush_interval() {
    let kind =
        Kind { settings: &[("flush.ms", FLUSH_MS), ("flush.bytes", "64MiB")], ..Kind::all("interval") };
    let Some(mut scene) = Scene::start(&kind, "the window of flush=interval").await else { return };
    for _ in 0..(number("WEIR_CUTS", CUTS_DEFAULT) / FOR_EACH).max(1) {
        scene = scene.live(LONG_LIFE_MS, AT_ONCE).await;
    }
    scene.load.stop().await;
    let Scene { broker, load, cuts, .. } = scene;
    let mut checked = load.check(true).await;
    let lost = checked.sent.acknowledged() - checked.sent.found(&checked.log);
    checked.findings.extend(checked.sent.check_window(&checked.log, &cuts, WINDOW));
    println!(
        "power cuts, flush=interval, flush.ms={FLUSH_MS}: {} cuts after long lives, {} records acknowledged, {lost} of them lost, none \
         acknowledged earlier than {WINDOW:?} before a cut; {} findings",
        cuts.len(),
        checked.sent.acknowledged(),
        checked.findings.len()
    );
    assert_none(checked.findings);
    broker.kill();
}

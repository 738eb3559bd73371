//! Syncs that fail under load on a disk of its own, which loses its power soon after: what the failed syncs were to bring there is gone.
//!
//! Nothing that was acknowledged is lost then, so nothing was acknowledged past a failed sync; and no file is synced again, as if
//! that could still prove anything.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::ext4::Ext4;
use super::history::{Fate, Findings, Wrong};
use super::load::{Kind, Load, TOPIC};
use super::outcomes::skip;
use super::strace::{Fault, after_failed_syncs, hits, missing, notes_in};
use super::syscalls::{Wide, offline};
use super::{assert_none, number};
use crate::process::{BrokerProcess, free_port};

/// Lives with a power cut where `$WEIR_CUTS` does not say: one for each kind of sync.
const CUTS_DEFAULT: usize = SYNCS.len();
const DISK_MEGABYTES: u32 = 512;
/// The syncs that fail in turn, and the last one of a thread that still may hold before all of them fail: of log files, of folders at a
/// roll, of the whole file system where many files are to be synced, and all of them.
const SYNCS: [(&str, u64); 4] =
    [("fdatasync", 20), ("fsync", 1), ("syncfs", 20), ("fdatasync,fsync,syncfs", 20)];
/// A broker under load makes a sync within this time.
const HIT_WAIT: Duration = Duration::from_secs(60);
/// How long it lives on after the first failed sync, in ms.
const AFTER_MS: std::ops::RangeInclusive<u64> = 300..=1500;
/// Writes that were under way when the sync failed: a log has one writer.
const UNDER_WAY_MAX: usize = 1;
const PAUSE: Duration = Duration::from_millis(5);

/// What the lives came to.
#[derive(Default)]
struct Tally {
    /// Failed syncs and partitions offline, by the calls that failed.
    by_calls: BTreeMap<&'static str, (usize, usize)>,
    ended: usize,
    acknowledged: usize,
    refused: usize,
    stored: usize,
}

/// One broker on one disk: its syncs fail, then the power goes.
async fn live(disk: &Ext4, life: usize, rng: &mut fastrand::Rng, tally: &mut Tally) -> Findings {
    let (calls, last) = SYNCS[life % SYNCS.len()];
    let (data, port) = (disk.path().join("data"), free_port());
    let mut broker = BrokerProcess::start_on(&data, disk.beside(), port);
    broker.answers(None).await;
    let kind = Kind::all("ack");
    let mut load = Load::start(&broker.address(), &kind).await;
    load.flows().await;
    // WHY not always: where many files are written to, one sync of the file system takes the place of theirs.
    let wide = if calls.contains("syncfs") { Some(Wide::start(&broker.address(), "5").await) } else { None };
    let fault = Fault {
        calls: calls.to_owned(),
        effect: "error=EIO".to_owned(),
        when: format!("{}+", rng.u64(1..=last)),
        with: Vec::new(),
    };
    let notes = notes_in(disk.beside(), life);
    let attached = fault.attach(broker.pid(), &notes).await;
    let begun = Instant::now();
    while hits(&notes).is_empty() {
        assert!(begun.elapsed() < HIT_WAIT, "{fault}: nothing is synced under load");
        sleep(PAUSE).await;
    }
    let until = Instant::now() + Duration::from_millis(rng.u64(AFTER_MS));
    let (mut ended, mut writes_before) = (None, BTreeMap::new());
    while ended.is_none() && Instant::now() < until {
        for partition in offline(&broker.said_itself(), TOPIC) {
            writes_before.entry(partition).or_insert_with(|| writes(&notes, partition));
        }
        ended = broker.ended(PAUSE).await;
    }
    let said = broker.said_itself();
    assert!(
        ended.is_none() || said.contains("the metadata log failed"),
        "{fault}: it ended and said\n{said}"
    );
    let kind = tally.by_calls.entry(calls).or_default();
    kind.0 += hits(&notes).len();
    kind.1 += writes_before.len();
    tally.ended += usize::from(ended.is_some());
    disk.cut_power().unwrap();
    broker.kill();
    drop(attached);
    disk.come_back().unwrap();

    let mut broker = BrokerProcess::start_on(&data, disk.beside(), port);
    broker.answers(Some(TOPIC)).await;
    load.stop().await;
    let checked = load.check(false).await;
    if let Some(wide) = wide {
        wide.end(&broker.address()).await;
    }
    tally.acknowledged += checked.sent.acknowledged();
    tally.refused += checked.sent.count(|fate| fate == Fate::NotWritten);
    tally.stored += checked.log.iter().map(Vec::len).sum::<usize>();
    broker.kill();
    let mut findings = Findings::new();
    for (path, (syncs, _)) in after_failed_syncs(&notes).iter().filter(|(_, (syncs, _))| *syncs > 0) {
        let text = format!("{path} was synced again {syncs} times after a sync of it had failed");
        findings.push((Wrong::PastFailedSync, text));
    }
    for (partition, before) in writes_before {
        let more = writes(&notes, partition) - before;
        if more > UNDER_WAY_MAX {
            let text = format!("partition {partition} was offline, and written to {more} times");
            findings.push((Wrong::PastFailedSync, text));
        }
    }
    findings.extend(checked.findings);
    findings
}

/// How often the logs of a partition whose syncs failed were written to after that.
fn writes(notes: &Path, partition: i32) -> usize {
    let folder = format!("/{TOPIC}-{partition}/");
    let all = after_failed_syncs(notes);
    let ours = all.iter().filter(|(path, _)| format!("{path}/").contains(&folder));
    // A log file counts for its folder, too.
    ours.map(|(_, (_, writes))| *writes).max().unwrap_or_default()
}

#[tokio::test]
async fn nothing_is_acknowledged_past_a_failed_sync_that_a_power_cut_makes_true() {
    if let Some(reason) = missing() {
        return skip("failed syncs and power cuts", &reason);
    }
    let mut rng = fastrand::Rng::with_seed(number("WEIR_SEED", 7) as u64);
    let (cuts, mut tally, mut findings) =
        (number("WEIR_CUTS", CUTS_DEFAULT), Tally::default(), Findings::new());
    for life in 0..cuts {
        let disk = match Ext4::new(DISK_MEGABYTES) {
            Ok(disk) => disk,
            Err(reason) => return skip("failed syncs and power cuts", &reason),
        };
        findings.extend(live(&disk, life, &mut rng, &mut tally).await);
    }
    println!(
        "failed syncs and power cuts: {cuts} cuts, failed syncs and partitions offline {:?}, {} brokers ended by the metadata log; {} \
         records acknowledged, {} refused, {} stored; {} findings",
        tally.by_calls,
        tally.ended,
        tally.acknowledged,
        tally.refused,
        tally.stored,
        findings.len()
    );
    assert_none(findings);
    assert!(tally.acknowledged > 0, "nothing was acknowledged: this shows nothing");
}

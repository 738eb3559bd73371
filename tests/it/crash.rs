//! Every scenario is stopped after every operation, and opened again from every disk that a crash may leave there.
//!
//! What must hold: no record acknowledged at `flush=ack` is lost; no (epoch, offset) names two records; nothing that was answered
//! `not written` appears; a crash never leaves damage; recovery of a recovery finds the same. The short form runs by default;
//! `WEIR_CRASH_UNITS=12 WEIR_CRASH_RANDOM=256` enumerates all subsets of up to 12 un-synced blocks.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use weir::base::{LeaderEpoch, Offset, TopicId, TopicPartition};
use weir::config::{FlushMode, TopicConfig};
use weir::env::sim_disk::{Effect, Fault, Ignore, OpKind, SimDisk, SimOptions, ends_with};
use weir::env::sim_disk::{EnumerateOptions, EnumerationReport, StopPoint, enumerate};
use weir::env::{Disk, Env, Rng, SimClock};
use weir::log::{AppendError, LogSpec, LogStore, PartitionLog, StoreOptions, Wait};
use weir::record::builder::{NewRecord, ProducerFields};
use weir::record::validate::Rules;
use weir::record::{BatchBuilder, Codec, RecordBatch, ValidBatch};

const ID: TopicPartition = TopicPartition { topic_id: TopicId([3; 16]), partition: 0 };
const NOW_MS: i64 = 1_700_000_000_000;

/// What the clients of a scenario were told.
#[derive(Default)]
struct Told {
    /// Acknowledged as durable: offset and value.
    acked: Vec<(Offset, String)>,
    /// Answered `not written`.
    not_written: Vec<String>,
    /// Where written records were put.
    placed: HashMap<(LeaderEpoch, Offset), String>,
    /// Records below it were trimmed before the stop, perhaps not durably.
    trimmed: Offset,
    /// The highest offset shown to consumers of an ack topic, plus one.
    shown: Offset,
}

struct Run<'a> {
    store: Arc<LogStore>,
    log: Arc<PartitionLog>,
    told: &'a mut Told,
}

fn config(flush: FlushMode) -> TopicConfig {
    TopicConfig { segment_bytes: 260, flush, ..TopicConfig::default() }
}

fn open(
    disk: &SimDisk,
    config: &TopicConfig,
    leader_epoch: LeaderEpoch,
) -> Option<(Arc<LogStore>, Arc<PartitionLog>)> {
    let clock = Arc::new(SimClock::new(NOW_MS));
    let env = Env { disk: Arc::new(disk.clone()), clock, rng: Arc::new(Rng::seeded(1)) };
    let store =
        LogStore::open(env, Path::new("d"), StoreOptions { disk_reserve_bytes: 0, open_files_max: 64 })
            .ok()?;
    store.mark_started().ok()?;
    let topic = Arc::from("t");
    let spec =
        LogSpec { id: ID, topic, config: config.clone(), leader_epoch, trim_offset: 0, internal: false };
    let log = store.open_log(spec).ok()?;
    Some((store, log))
}

fn start_disk() -> SimDisk {
    let disk = SimDisk::new(SimOptions { block_bytes: 128, sector_bytes: 32, ..SimOptions::default() });
    for folder in ["d", "d/t-0"] {
        disk.create_dir(Path::new(folder)).expect("makes a folder");
    }
    disk.sync_file_system(Path::new("d")).expect("syncs");
    disk
}

fn batch(value: &str) -> ValidBatch {
    let mut builder = BatchBuilder::new();
    let record = NewRecord { key: None, value: Some(value.as_bytes()), headers: &[], timestamp: NOW_MS };
    builder.append(&record).expect("small");
    let rules = Rules {
        max_batch_bytes: 1 << 20,
        now_ms: NOW_MS,
        timestamp_after_max_ms: i64::MAX,
        max_decompressed_bytes: 1 << 20,
    };
    ValidBatch::build(&mut builder, Codec::None, ProducerFields::NONE, &rules).expect("valid")
}

impl Run<'_> {
    /// Appends one record, and when `flush`, flushes it and notes the acknowledgement.
    fn append(&mut self, value: &str, flush: bool) {
        let outcome = self.log.append(batch(value)).peek().expect("the caller drains");
        match outcome {
            Ok(appended) => {
                self.told.placed.insert((appended.leader_epoch, appended.base_offset), value.to_owned());
                if flush {
                    self.store.committer().round(true);
                    if self.log.offsets().flushed > appended.last_offset {
                        self.told.acked.push((appended.base_offset, value.to_owned()));
                    }
                    self.told.shown = self.told.shown.max(self.log.offsets().high_watermark);
                }
            }
            Err(AppendError::Unknown(_)) => {}
            Err(_) => self.told.not_written.push(value.to_owned()),
        }
    }
}

/// Appends with and without flush over several segments.
fn appends_and_rolls(disk: &SimDisk, flush: FlushMode) -> Told {
    let mut told = Told::default();
    let Some((store, log)) = open(disk, &config(flush), 0) else { return told };
    let mut run = Run { store, log, told: &mut told };
    for n in 0..7 {
        run.append(&format!("a{n}"), n % 3 != 1 && flush == FlushMode::Ack);
    }
    told
}

/// Stops uncleanly, recovers, goes on under the next epoch; twice.
fn restarts(disk: &SimDisk, flush: FlushMode) -> Told {
    let mut told = Told::default();
    for epoch in 0..3 {
        let Some((store, log)) = open(disk, &config(flush), epoch) else { return told };
        let mut run = Run { store, log, told: &mut told };
        run.append(&format!("r{epoch}-flushed"), flush == FlushMode::Ack);
        run.append(&format!("r{epoch}-written"), false);
    }
    told
}

/// Stops cleanly and starts again.
fn clean_stops(disk: &SimDisk) -> Told {
    let mut told = Told::default();
    for epoch in 0..2 {
        let Some((store, log)) = open(disk, &config(FlushMode::Ack), epoch) else { return told };
        let mut run = Run { store: store.clone(), log, told: &mut told };
        for n in 0..3 {
            run.append(&format!("c{epoch}-{n}"), true);
        }
        store.stop();
    }
    told
}

/// A trim in the middle and one of everything.
fn trims(disk: &SimDisk) -> Told {
    let mut told = Told::default();
    let Some((store, log)) = open(disk, &config(FlushMode::Ack), 0) else { return told };
    let mut run = Run { store, log: log.clone(), told: &mut told };
    for n in 0..6 {
        run.append(&format!("t{n}"), true);
        if n == 3 || n == 5 {
            let to = if n == 3 { 3 } else { Offset::MAX };
            run.told.trimmed = run.log.offsets().high_watermark.min(to);
            let _ = run.log.trim(to);
        }
    }
    run.append("after", true);
    told
}

/// Opens the disk again and holds what is there against what was told.
fn check(disk: &SimDisk, told: &Told, flush: FlushMode) -> Result<(), String> {
    let (store, log) = open(disk, &config(flush), 9).ok_or("does not open")?;
    let records = read_all(&log)?;
    let start = log.offsets().log_start;
    for (at, (offset, _, _)) in records.iter().enumerate() {
        if *offset != start + at as Offset {
            return Err(format!("offset {offset} stands where {} was due", start + at as Offset));
        }
    }
    if start > told.trimmed {
        return Err(format!("the log starts at {start}, trimmed was only up to {}", told.trimmed));
    }
    for (offset, value) in told.acked.iter().filter(|(offset, _)| *offset >= start) {
        match records.iter().find(|record| record.0 == *offset) {
            Some(found) if found.2 == *value => {}
            found => return Err(format!("acknowledged '{value}' at {offset}, found {found:?}")),
        }
    }
    for (offset, epoch, value) in &records {
        if told.not_written.contains(value) {
            return Err(format!("'{value}' at {offset} was answered not written"));
        }
        if told.placed.get(&(*epoch, *offset)).is_some_and(|placed| placed != value) {
            return Err(format!("epoch {epoch} offset {offset} names two records"));
        }
    }
    let end = log.offsets().log_end;
    if end < told.shown {
        return Err(format!("offset {end} would be used again, {} was shown", told.shown));
    }
    let outcome = log.append(batch("new")).peek().ok_or("the append hangs")?;
    let appended = outcome.map_err(|error| error.to_string())?;
    if told.placed.contains_key(&(appended.leader_epoch, appended.base_offset)) {
        return Err("a new record takes a used epoch and offset".to_owned());
    }
    store.committer().round(true);
    let (_, again) = open(&disk.kill(), &config(flush), 10).ok_or("does not open twice")?;
    let mut expected = records;
    expected.push((appended.base_offset, appended.leader_epoch, "new".to_owned()));
    if read_all(&again)? == expected { Ok(()) } else { Err("recovery of a recovery differs".to_owned()) }
}

fn read_all(log: &PartitionLog) -> Result<Vec<(Offset, LeaderEpoch, String)>, String> {
    let mut records = Vec::new();
    let mut next = log.offsets().log_start;
    loop {
        let slice = log
            .read(next, log.offsets().high_watermark, 1 << 20, Wait::Allowed)
            .map_err(|e| e.to_string())?;
        let mut rest = slice.bytes;
        if rest.is_empty() {
            return Ok(records);
        }
        while let Some(batch) = RecordBatch::take_first(&mut rest).map_err(|e| e.to_string())? {
            for record in batch.records(1 << 20).map_err(|e| e.to_string())?.iter() {
                let record = record.map_err(|e| e.to_string())?;
                let value = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
                records.push((record.offset, batch.header().leader_epoch, value));
            }
        }
        next = slice.next_offset;
    }
}

fn options() -> EnumerateOptions {
    let number =
        |name: &str, default: u32| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    EnumerateOptions {
        limit_units: number("WEIR_CRASH_UNITS", 5) as usize,
        random_states: number("WEIR_CRASH_RANDOM", 6),
        seed: 1,
    }
}

fn run(
    name: &str,
    disk: &SimDisk,
    flush: FlushMode,
    scenario: impl Fn(&SimDisk) -> Told,
) -> EnumerationReport {
    let check = |disk: SimDisk, _: &StopPoint, told: &Told| check(&disk, told, flush);
    let report = enumerate(disk, options(), |disk| scenario(disk), check);
    println!(
        "{name}: {} operations, {} states, {} failures",
        report.operations, report.states, report.failures
    );
    report
}

#[test]
fn appends_and_rolls_survive_every_crash() {
    for flush in [FlushMode::Ack, FlushMode::Os] {
        run("appends and rolls", &start_disk(), flush, |disk| appends_and_rolls(disk, flush)).assert_holds();
    }
}

#[test]
fn restarts_survive_every_crash() {
    for flush in [FlushMode::Ack, FlushMode::Os] {
        run("restarts", &start_disk(), flush, |disk| restarts(disk, flush)).assert_holds();
    }
}

#[test]
fn clean_stops_survive_every_crash() {
    run("clean stops", &start_disk(), FlushMode::Ack, clean_stops).assert_holds();
}

#[test]
fn trims_survive_every_crash() {
    run("trims", &start_disk(), FlushMode::Ack, trims).assert_holds();
}

#[test]
fn failed_writes_survive_every_crash() {
    for skip in 0..4 {
        let disk = start_disk();
        disk.fail(Fault::on(OpKind::Write, ends_with(".log"), Effect::ShortWrite(20)).skipping(skip));
        disk.fail(Fault::on(OpKind::Write, ends_with(".log"), Effect::Full).skipping(skip + 1));
        run("failed writes", &disk, FlushMode::Ack, |disk| appends_and_rolls(disk, FlushMode::Ack))
            .assert_holds();
    }
}

#[test]
fn failed_syncs_survive_every_crash() {
    for skip in 0..3 {
        let disk = start_disk();
        disk.fail(Fault::on(OpKind::SyncData, ends_with(".log"), Effect::LoseSync).skipping(skip));
        run("failed syncs", &disk, FlushMode::Ack, |disk| appends_and_rolls(disk, FlushMode::Ack))
            .assert_holds();
    }
}

/// The harness must find the loss when a rule is taken out.
#[test]
fn without_a_sync_the_enumerator_finds_the_loss() {
    type Applies = fn(&Path) -> bool;
    let cases: [(&str, Ignore, Applies); 3] = [
        ("the sync of the log", Ignore::SyncData, |path| path.extension().is_some_and(|e| e == "log")),
        ("the sync of the folder at a roll", Ignore::SyncDir, |path| path.ends_with("t-0")),
        ("the sync before a rename", Ignore::SyncData, |path| path.extension().is_some_and(|e| e == "tmp")),
    ];
    for (name, rule, applies) in cases {
        let disk = start_disk();
        disk.ignore(rule, applies);
        let report = run(name, &disk, FlushMode::Ack, |disk| appends_and_rolls(disk, FlushMode::Ack));
        assert!(report.failures > 0, "without {name} nothing was found in {} states", report.states);
    }
}

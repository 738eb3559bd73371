//! Compaction: wherever a pass is cut, the last value of each key is there, nothing else than what was written, and nothing is damaged.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use weir::base::{LeaderEpoch, Offset};
use weir::config::{CleanupPolicy, TopicConfig};
use weir::env::sim_disk::Ignore;
use weir::env::{Disk, SimClock, SimDisk};
use weir::log::flush::journal::Points;
use weir::log::verify::partition::verify_partition;
use weir::log::verify::segment::Severity;
use weir::log::{LogSpec, LogStore, PartitionLog, Wait};
use weir::record::builder::{NewRecord, ProducerFields};
use weir::record::validate::Rules;
use weir::record::{BatchBuilder, Codec, RecordBatch, ValidBatch};

use super::harness::{Scenario, run, run_with_faults, run_without};
use super::life::{ID, NOW_MS, TOPIC, folder_of_log, open_store, start_disk};

/// A key, and a value or a tombstone.
type Pair = (&'static str, Option<&'static str>);

/// Keys with values of several rounds, a tombstone for one of them, and something that nobody writes again.
const BEFORE: &[Pair] = &[
    ("a", Some("1")),
    ("gone", Some("1")),
    ("once", Some("1")),
    ("a", Some("2")),
    ("b", Some("2")),
    ("gone", None),
    ("b", Some("3")),
    ("a", Some("3")),
    ("c", Some("3")),
];
const BETWEEN: &[Pair] = &[("b", None), ("c", Some("4")), ("a", Some("4"))];

#[derive(Clone, Default)]
struct Told {
    /// All that was sent, in order: offsets follow from it.
    sent: Vec<Pair>,
    /// How many of them were acknowledged.
    acked: usize,
}

/// Appends, a pass, more appends, another pass that meets tombstones whose time has come.
struct Passes;

fn config() -> TopicConfig {
    TopicConfig {
        cleanup: CleanupPolicy::Compact,
        min_dirty_millionths: 0,
        delete_retention_ms: 0,
        // Two or three batches of one record.
        segment_bytes: 1_024,
        ..TopicConfig::default()
    }
}

fn open(disk: &SimDisk, epoch: LeaderEpoch) -> Option<(Arc<LogStore>, Arc<PartitionLog>)> {
    let store = open_store(disk, &Arc::new(SimClock::new(NOW_MS)))?;
    store.mark_started().ok()?;
    let (topic, config) = (Arc::from(TOPIC), config());
    let spec = LogSpec { id: ID, topic, config, leader_epoch: epoch, trim_offset: 0, internal: false };
    let log = store.open_log(spec).ok()?;
    Some((store, log))
}

fn batch((key, value): Pair) -> ValidBatch {
    // So long that a segment takes a few of them.
    let value = value.map(|value| value.repeat(300));
    let mut builder = BatchBuilder::new();
    let (key, value) = (Some(key.as_bytes()), value.as_deref().map(str::as_bytes));
    builder.append(&NewRecord { key, value, headers: &[], timestamp: NOW_MS }).expect("small");
    let rules = Rules {
        max_batch_bytes: 1 << 20,
        now_ms: NOW_MS,
        timestamp_after_max_ms: 1,
        max_decompressed_bytes: 1 << 20,
        needs_keys: true,
    };
    ValidBatch::build(&mut builder, Codec::None, ProducerFields::NONE, &rules).expect("valid")
}

/// Appends and flushes; ends at the first that is not acknowledged.
fn append(store: &LogStore, log: &Arc<PartitionLog>, pairs: &[Pair], told: &mut Told) -> Option<()> {
    for pair in pairs {
        told.sent.push(*pair);
        let appended = log.append(batch(*pair)).peek()?.ok()?;
        store.committer().round(true);
        if log.offsets().flushed <= appended.last_offset {
            return None;
        }
        told.acked = told.sent.len();
    }
    Some(())
}

fn read_all(log: &PartitionLog) -> Result<Vec<(Offset, String, Option<String>)>, String> {
    let (mut records, mut next) = (Vec::new(), log.offsets().log_start);
    while next < log.offsets().high_watermark {
        let slice = log.read(next, log.offsets().high_watermark, 700, Wait::Allowed);
        let slice = slice.map_err(|error| format!("offset {next}: {error}"))?;
        let mut rest = slice.bytes;
        while let Some(batch) = RecordBatch::take_first(&mut rest).map_err(|error| error.to_string())? {
            for record in &batch.records(1 << 20).map_err(|error| error.to_string())? {
                let record = record.map_err(|error| error.to_string())?;
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let value = record.value.map(|value| text(&value[..1]));
                records.push((record.offset, text(record.key.unwrap_or_default()), value));
            }
        }
        next = slice.next_offset;
    }
    Ok(records)
}

/// Nothing is there that was not sent, and the final values are those of what was acknowledged, or of a little more.
fn hold(log: &PartitionLog, told: &Told) -> Result<(), String> {
    let records = read_all(log)?;
    for (offset, key, value) in &records {
        let sent = usize::try_from(*offset).ok().and_then(|at| told.sent.get(at));
        if sent.is_none_or(|sent| (sent.0, sent.1) != (key, value.as_deref())) {
            return Err(format!("{key}={value:?} stands at {offset}, where {sent:?} was sent"));
        }
    }
    let end = log.offsets().log_end as usize;
    if end < told.acked {
        return Err(format!("the log ends at {end}, {} records were acknowledged", told.acked));
    }
    let finals = |pairs: Vec<(String, Option<String>)>| {
        let mut finals = BTreeMap::new();
        for (key, value) in pairs {
            match value {
                Some(value) => finals.insert(key, value),
                None => finals.remove(&key),
            };
        }
        finals
    };
    let own = |(key, value): &Pair| ((*key).to_owned(), value.map(str::to_owned));
    let due = finals(told.sent[..end.min(told.sent.len())].iter().map(own).collect());
    let found = finals(records.into_iter().map(|(_, key, value)| (key, value)).collect());
    if due != found {
        return Err(format!("final values are {found:?}, not {due:?}"));
    }
    Ok(())
}

/// A look at the folder as the crash left it must call nothing damaged.
fn look(disk: &SimDisk) -> Result<(), String> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let points = Points::read(&*disk, Path::new("d/flush-journal")).map_err(|error| error.to_string())?;
    let report = verify_partition(&disk, &folder_of_log(), &points, &mut |_| ());
    let report = report.map_err(|error| error.to_string())?;
    match report.all_findings().find(|finding| finding.severity == Severity::Damaged) {
        Some(finding) => Err(format!("before the start: {finding:?}")),
        None => Ok(()),
    }
}

impl Scenario for Passes {
    type Told = Told;

    fn play(&self, disk: &SimDisk) -> Told {
        let mut told = Told { sent: BEFORE.to_vec(), acked: BEFORE.len() };
        let Some((store, log)) = open(disk, 1) else { return told };
        store.compact();
        if append(&store, &log, BETWEEN, &mut told).is_some() {
            store.compact();
        }
        told
    }

    fn recover(&self, disk: &SimDisk, told: &Told) -> Told {
        if let Some((store, _)) = open(disk, 2) {
            store.compact();
        }
        told.clone()
    }

    fn check(&self, disk: &SimDisk, told: &Told) -> Result<(), String> {
        look(disk)?;
        let (store, log) = open(disk, 90).ok_or("does not open")?;
        hold(&log, told)?;
        let mut after = told.clone();
        after.sent.truncate(log.offsets().log_end as usize);
        append(&store, &log, &[("last", Some("9"))], &mut after).ok_or("does not append")?;
        store.compact();
        hold(&log, &after)?;
        look(disk)?;
        let killed = disk.kill();
        let (_, log) = open(&killed, 91).ok_or("does not open twice")?;
        hold(&log, &after)
    }
}

/// A log with what is to be compacted, after a clean stop.
fn disk_with_log() -> SimDisk {
    let disk = start_disk();
    weir::env::Disk::remove_dir(&disk, &folder_of_log()).expect("it is empty");
    let meta = weir::log::folder::PartitionMeta { cluster_id: weir::base::ClusterId([1; 16]), id: ID };
    weir::log::folder::create(&disk, Path::new("d"), TOPIC, [meta]).expect("makes a folder");
    let (store, log) = open(&disk, 0).expect("opens");
    append(&store, &log, BEFORE, &mut Told::default()).expect("appends");
    assert!(log.size().segment_count > 3, "{:?}", log.size());
    assert!(store.stop(), "stops cleanly");
    disk.sync_file_system(Path::new("d")).expect("syncs");
    disk.kill()
}

#[test]
fn passes_survive_every_crash() {
    run("passes", &disk_with_log(), &Passes).assert_holds();
}

#[test]
fn passes_with_faults_survive_every_crash() {
    run_with_faults("passes", &disk_with_log(), &Passes).assert_holds();
}

#[test]
fn without_a_sync_of_what_a_pass_writes_the_enumerator_finds_the_loss() {
    type Applies = fn(&Path) -> bool;
    let cases: [(&str, Ignore, Applies); 2] = [
        ("the sync of a cleaned segment", Ignore::SyncData, |path| {
            path.to_string_lossy().ends_with(".log.cleaned")
        }),
        ("the sync of the folder in a swap", Ignore::SyncDir, |path| path.ends_with("t-0")),
    ];
    for (name, rule, applies) in cases {
        let disk = disk_with_log();
        disk.ignore(rule, applies);
        run_without(name, &disk, &Passes);
    }
}

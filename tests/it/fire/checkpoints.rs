//! One bit flipped at each byte of the files that say what a data directory holds, with the broker down: `weir.meta`,
//! `partition.meta`, the metadata log and its snapshot. Damage is told by name, what is sound is served, and nothing is made anew or forgotten.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use weir::base::{Error, ErrorKind};
use weir::broker::Broker;
use weir::broker::topics::{CreateTopic, UpdateTopic};
use weir::config::{BrokerSettings, Machine};
use weir::env::disk::EntryKind;
use weir::env::{Disk, Env, RealClock, Rng, SimDisk};
use weir::log::Wait;
use weir::record::builder::{NewRecord, ProducerFields};
use weir::record::validate::Rules;
use weir::record::{BatchBuilder, Codec, ValidBatch};

use super::damage::step;

const DATA_DIR: &str = "d";
const TOPICS: [&str; 2] = ["orders", "payments"];
/// Commands after which there is a snapshot, and none of those in the log that it stands for.
const COMMANDS: usize = 1_100;
const STOP_DEADLINE: Duration = Duration::from_secs(60);

async fn start(disk: &SimDisk) -> Result<Arc<Broker>, String> {
    let env = Env {
        disk: Arc::new(disk.clone()),
        clock: Arc::new(RealClock::new()),
        rng: Arc::new(Rng::seeded(1)),
    };
    let machine = Machine { memory_bytes: 1 << 30, cores: 1, descriptors_max: 1024 };
    let mut settings = BrokerSettings::defaults(&machine);
    settings.data_dir = DATA_DIR.into();
    Broker::start(env, settings).await.map_err(|error| error.to_string())
}

fn batch(value: &str) -> ValidBatch {
    let mut builder = BatchBuilder::new();
    let record = NewRecord { key: None, value: Some(value.as_bytes()), headers: &[], timestamp: 1 };
    builder.append(&record).expect("small");
    let rules = Rules {
        max_batch_bytes: 1 << 20,
        now_ms: 1,
        timestamp_after_max_ms: i64::MAX,
        max_decompressed_bytes: 1 << 20,
        needs_keys: false,
    };
    ValidBatch::build(&mut builder, Codec::None, ProducerFields::NONE, &rules).expect("valid")
}

async fn produce(broker: &Broker, topic: &str) -> Result<i64, Error> {
    let partition = broker.partition(topic, None, 0).await?;
    let appended = partition.append(batch(topic), None).await.expect("appended");
    partition.committed(appended.last_offset).await.expect("committed");
    Ok(appended.base_offset)
}

/// A data directory with two topics of one record, after a clean stop or a kill.
async fn left(is_clean: bool) -> SimDisk {
    let disk = SimDisk::default();
    let broker = start(&disk).await.expect("starts");
    for topic in TOPICS {
        let request = CreateTopic { name: topic.to_owned(), partition_count: 1, ..CreateTopic::default() };
        broker.create_topic(request).await.expect("made");
        assert_eq!(produce(&broker, topic).await.expect("written"), 0);
    }
    let killed = disk.kill();
    assert!(broker.stop(STOP_DEADLINE).await);
    if is_clean { disk.kill() } else { killed }
}

/// Every file under a folder with its bytes.
fn contents(disk: &SimDisk, folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in disk.list(folder).expect("lists") {
        let path = folder.join(&entry.name);
        match entry.kind {
            EntryKind::Dir => found.append(&mut contents(disk, &path)),
            _ => drop(found.insert(path.clone(), disk.current_bytes(&path).unwrap_or_default())),
        }
    }
    found
}

fn bytes_of(disk: &SimDisk, path: &str) -> std::iter::StepBy<std::ops::Range<u64>> {
    let len = disk.current_bytes(Path::new(path)).expect(path).len() as u64;
    (0..len).step_by(step())
}

fn flipped(disk: &SimDisk, path: &str, byte: u64) -> SimDisk {
    let flipped = disk.kill();
    flipped.flip_bit(Path::new(path), byte, (byte % 8) as u8).expect("flips");
    flipped
}

/// Both topics are there with their record, and take another.
async fn serves(broker: &Broker, topic: &str) -> Result<(), Error> {
    let partition = broker.partition(topic, None, 0).await?;
    let slice = partition.read(0, 1 << 20, Wait::Allowed).expect("readable");
    assert_eq!(slice.next_offset, 1, "{topic}");
    assert_eq!(produce(broker, topic).await?, 1, "{topic}");
    Ok(())
}

#[tokio::test]
async fn a_damaged_weir_meta_stops_the_start_and_changes_nothing() {
    let mut states = 0;
    for is_clean in [true, false] {
        let disk = left(is_clean).await;
        for byte in bytes_of(&disk, "d/weir.meta") {
            let damaged = flipped(&disk, "d/weir.meta", byte);
            let before = contents(&damaged, Path::new(DATA_DIR));
            let Err(refused) = start(&damaged).await else { panic!("byte {byte}: it starts") };
            assert!(refused.contains("weir.meta"), "byte {byte}: {refused}");
            let mut after = contents(&damaged, Path::new(DATA_DIR));
            after.retain(|path, _| !path.ends_with("weir.lock"));
            assert!(after.iter().all(|(path, bytes)| before.get(path) == Some(bytes)), "byte {byte}");
            states += 1;
        }
    }
    println!("checkpoints: a bit flipped at every {} byte of weir.meta, {states} starts refused", step());
}

#[tokio::test]
async fn a_damaged_partition_meta_takes_its_partition_offline_alone() {
    let mut states = 0;
    for is_clean in [true, false] {
        let disk = left(is_clean).await;
        for byte in bytes_of(&disk, "d/orders-0/partition.meta") {
            let damaged = flipped(&disk, "d/orders-0/partition.meta", byte);
            let broker = start(&damaged).await.expect("starts");
            let refused = serves(&broker, "orders").await.expect_err("offline");
            assert_eq!(refused.kind, ErrorKind::StorageError, "byte {byte}");
            assert!(refused.message.contains("partition 0 of topic 'orders'"), "byte {byte}: {refused}");
            serves(&broker, "payments").await.expect("the other is served");
            broker.stop(STOP_DEADLINE).await;
            let mended = damaged.kill();
            mended.flip_bit(Path::new("d/orders-0/partition.meta"), byte, (byte % 8) as u8).expect("flips");
            let broker = start(&mended).await.expect("starts");
            serves(&broker, "orders").await.expect("nothing of it went");
            broker.stop(STOP_DEADLINE).await;
            states += 1;
        }
    }
    println!("checkpoints: a bit flipped at every {} byte of a partition.meta, {states} starts", step());
}

/// Starts a broker that must serve every topic then, and stops it. Err: why it does not start.
async fn serves_all(disk: &SimDisk) -> Result<(), String> {
    let broker = start(disk).await?;
    for topic in TOPICS {
        serves(&broker, topic).await.expect("no topic is forgotten");
    }
    broker.stop(STOP_DEADLINE).await;
    Ok(())
}

#[tokio::test]
async fn a_damaged_metadata_log_stops_the_start_or_is_none() {
    let (mut refusals, mut starts) = (0, 0);
    for is_clean in [true, false] {
        let disk = left(is_clean).await;
        let names = contents(&disk, Path::new("d/__cluster_metadata-0"));
        for path in names.keys().filter(|path| !path.ends_with("partition.meta")) {
            let path = path.to_str().expect("plain");
            for byte in bytes_of(&disk, path) {
                match serves_all(&flipped(&disk, path, byte)).await {
                    Err(refused) => {
                        assert!(path.ends_with(".log"), "{path} byte {byte}: {refused}");
                        assert!(refused.contains("metadata"), "{path} byte {byte}: {refused}");
                        refusals += 1;
                    }
                    Ok(()) => starts += 1,
                }
            }
        }
    }
    println!(
        "checkpoints: a bit flipped at every {} byte of the metadata log, {refusals} starts refused, {starts} without loss",
        step()
    );
}

#[tokio::test]
async fn a_damaged_snapshot_of_the_metadata_stops_the_start_or_is_not_needed() {
    let disk = left(true).await;
    let broker = start(&disk).await.expect("starts");
    for number in 0..COMMANDS {
        let set_configs = [("flush.ms".to_owned(), (50 + number % 2).to_string())].into();
        let request = UpdateTopic { name: TOPICS[0].to_owned(), set_configs, ..UpdateTopic::default() };
        broker.update_topic(request).await.expect("changed");
    }
    assert!(broker.stop(STOP_DEADLINE).await);
    let (mut refusals, mut starts) = (0, 0);
    for byte in bytes_of(&disk, "d/metadata.snapshot") {
        match serves_all(&flipped(&disk, "d/metadata.snapshot", byte)).await {
            Err(refused) => {
                assert!(refused.contains("metadata.snapshot"), "byte {byte}: {refused}");
                refusals += 1;
            }
            Ok(()) => starts += 1,
        }
    }
    println!(
        "checkpoints: a bit flipped at every {} byte of metadata.snapshot, {refusals} starts refused, {starts} without loss",
        step()
    );
}

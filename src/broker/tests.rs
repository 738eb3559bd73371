//! Whole brokers on the in-memory disk: started, used, stopped or killed, started again.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::errors::Place;
use super::fetch::fetch;
use super::request::{Cursor, FetchRequest, Form};
use super::topics::{CreateTopic, DeleteTopic, ListTopics, TrimTopic, UpdateTopic};
use super::{Broker, StartError};
use crate::base::{ErrorKind, Offset, TopicPartition};
use crate::cluster::metadata_log::SNAPSHOT_COMMANDS;
use crate::cluster::{Command, Configs};
use crate::config::{BrokerSettings, Machine};
use crate::env::disk::{Disk, OpenMode, write_full_at};
use crate::env::sim_disk::{Effect, Fault, OpKind};
use crate::env::{Env, RealClock, Rng, SimDisk};
use crate::log::{Wait, folder};
use crate::record::{BatchBuilder, Codec, NewRecord, ValidBatch};

const DATA: &str = "/data";

async fn try_start(disk: &SimDisk, seed: u64) -> Result<Arc<Broker>, StartError> {
    start_with(disk, seed, 1).await
}

async fn start_with(disk: &SimDisk, seed: u64, recovery_threads: usize) -> Result<Arc<Broker>, StartError> {
    let env = Env {
        disk: Arc::new(disk.clone()),
        clock: Arc::new(RealClock::new()),
        rng: Arc::new(Rng::seeded(seed)),
    };
    let machine = Machine { memory_bytes: 1 << 30, cores: 1, descriptors_max: 1024 };
    let mut settings = BrokerSettings::defaults(&machine);
    settings.data_dir = DATA.into();
    settings.recovery_threads = recovery_threads;
    Broker::start(env, settings).await
}

async fn start(disk: &SimDisk) -> Arc<Broker> {
    try_start(disk, disk.op_count()).await.unwrap()
}

async fn stop(broker: &Arc<Broker>) {
    assert!(broker.stop(Duration::from_secs(30)).await, "stops cleanly");
}

async fn create(broker: &Arc<Broker>, name: &str, partition_count: i32) {
    let request = CreateTopic { name: name.to_owned(), partition_count, ..CreateTopic::default() };
    let topic = broker.create_topic(request).await.unwrap();
    assert_eq!(topic.partitions.len() as i32, partition_count);
}

async fn delete(broker: &Arc<Broker>, name: &str) {
    let request = DeleteTopic { name: name.to_owned(), ..DeleteTopic::default() };
    broker.delete_topic(request).await.unwrap();
}

async fn produce(broker: &Broker, topic: &str, value: &[u8]) -> Offset {
    let partition = broker.partition(topic, None, 0).await.unwrap();
    let mut builder = BatchBuilder::new();
    builder.append(&NewRecord { timestamp: 1, key: None, value: Some(value), headers: &[] }).unwrap();
    let batch = ValidBatch::internal(&mut builder, Codec::None).unwrap();
    let appended = partition.append(batch, None).await.unwrap();
    partition.committed(appended.last_offset).await.unwrap();
    appended.base_offset
}

async fn end(broker: &Broker, topic: &str) -> Offset {
    broker.partition(topic, None, 0).await.unwrap().offsets().high_watermark
}

async fn kind_of(broker: &Broker, topic: &str) -> Option<ErrorKind> {
    broker.partition(topic, None, 0).await.err().map(|error| error.kind)
}

fn names(disk: &SimDisk, folder: &str) -> Vec<String> {
    disk.list(Path::new(folder)).unwrap_or_default().into_iter().map(|entry| entry.name).collect()
}

fn is_there(disk: &SimDisk, path: &str) -> bool {
    disk.stat(Path::new(path)).unwrap().is_some()
}

#[tokio::test]
async fn a_clean_stop_keeps_everything_and_raises_no_epoch() {
    let disk = SimDisk::default();
    let broker = start(&disk).await;
    create(&broker, "orders", 2).await;
    for expected in 0..3 {
        assert_eq!(produce(&broker, "orders", b"x").await, expected);
    }
    assert_eq!(broker.broker_epoch(), 1);
    stop(&broker).await;
    assert_eq!(kind_of(&broker, "orders").await, Some(ErrorKind::ShuttingDown));

    let again = start(&disk).await;
    assert_eq!((again.broker_epoch(), again.cluster_id()), (2, broker.cluster_id()));
    assert!(again.partition_if_open("orders", None, 0).unwrap().is_none(), "opened at first use");
    let partition = again.partition("orders", None, 0).await.unwrap();
    assert_eq!((partition.leader_epoch(), partition.offsets().log_end), (0, 3));
    assert_eq!(partition.read(0, 1 << 20, Wait::Allowed).unwrap().next_offset, 3);
    assert!(again.partition_if_open("orders", None, 0).unwrap().is_some());
    stop(&again).await;
}

/// The partitions of a topic whose files were changed, each time that it was another one's turn.
fn turns(disk: &SimDisk, topic: &str) -> Vec<i32> {
    let partition = |path: &Path| {
        let folder = path.strip_prefix(DATA).ok()?.components().next()?.as_os_str().to_str()?;
        folder.strip_prefix(topic)?.strip_prefix('-')?.parse().ok()
    };
    let mut turns: Vec<i32> = disk.trace().iter().filter_map(|op| partition(&op.path)).collect();
    turns.dedup();
    turns
}

#[tokio::test]
async fn after_a_kill_all_logs_are_opened_one_by_one_in_order_or_several_at_a_time() {
    let disk = SimDisk::default();
    create(&start(&disk).await, "orders", 20).await;
    for recovery_threads in [1, 4, 100] {
        let killed = disk.kill();
        let again = start_with(&killed, 1, recovery_threads).await.unwrap();
        for partition in 0..20 {
            let open = again.partition_if_open("orders", None, partition).unwrap();
            assert_eq!(open.expect("opened at the start").leader_epoch(), 1);
        }
        if recovery_threads == 1 {
            assert_eq!(turns(&killed, "orders"), (0..20).collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn a_partition_is_opened_while_another_one_is_and_none_is_opened_twice() {
    let disk = SimDisk::default();
    let broker = start(&disk).await;
    create(&broker, "orders", 8).await;
    let topic_id = broker.image().topic("orders").unwrap().id;
    let ids: Vec<_> = (0..8).map(|partition| TopicPartition { topic_id, partition }).collect();
    let partitions = &broker.partitions;
    let opened = partitions.in_turn(ids[0], || partitions.open(ids[1]).unwrap());
    assert_eq!(opened.id(), ids[1]);
    let open_all = || ids.iter().map(|id| partitions.open(*id).unwrap()).collect::<Vec<_>>();
    let found: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(open_all)).collect();
        scope.spawn(|| (0..20).for_each(|_| partitions.reconfigure(topic_id)));
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for other in &found {
        assert!(other.iter().zip(&found[0]).all(|(one, two)| Arc::ptr_eq(one, two)));
    }
    assert_eq!(partitions.turn_count(), 0, "no lock stays behind");
}

#[tokio::test]
async fn a_sync_that_fails_in_recovery_keeps_the_partition_offline_until_a_restart() {
    let disk = SimDisk::default();
    let broker = start(&disk).await;
    create(&broker, "orders", 1).await;
    produce(&broker, "orders", b"x").await;
    for (kind, effect, expected) in [
        (OpKind::SyncData, Effect::LoseSync, Some(ErrorKind::StorageError)),
        (OpKind::SyncDir, Effect::LoseSync, Some(ErrorKind::StorageError)),
        (OpKind::Read, Effect::Io, None),
    ] {
        let killed = disk.kill();
        let is_log =
            |path: &Path| path.to_string_lossy().contains("orders-0") && !path.ends_with("partition.meta");
        killed.fail(Fault::on(kind, is_log, effect));
        let again = start(&killed).await;
        assert_eq!(kind_of(&again, "orders").await, expected, "{kind:?}");
        let restarted = start(&killed.kill()).await;
        assert_eq!(kind_of(&restarted, "orders").await, None, "a restart looks again");
    }
}

#[tokio::test]
async fn a_partition_whose_folder_could_not_be_read_once_opens_the_next_time() {
    let disk = SimDisk::default();
    let broker = start(&disk).await;
    create(&broker, "orders", 1).await;
    for (kind, effect) in
        [(OpKind::Open, Effect::Full), (OpKind::Open, Effect::Io), (OpKind::Read, Effect::Io)]
    {
        let killed = disk.kill();
        killed.fail(Fault::on(kind, |path: &Path| path.ends_with("orders-0/partition.meta"), effect));
        let again = start(&killed).await;
        assert!(again.partition_if_open("orders", None, 0).unwrap().is_none(), "{kind:?}: not at the start");
        assert_eq!(kind_of(&again, "orders").await, None, "{kind:?}");
    }
}

#[tokio::test]
async fn the_size_of_a_partition_that_could_not_be_looked_at_is_told_once_it_can() {
    let disk = SimDisk::default();
    let broker = start(&disk).await;
    create(&broker, "orders", 1).await;
    produce(&broker, "orders", b"x").await;
    let sizes = |broker: Arc<Broker>| async move {
        let state = broker.stats().await.state;
        (state.log_size_bytes, state.segments)
    };
    let expected = sizes(broker.clone()).await;
    assert!(expected.0 > 0);
    stop(&broker).await;

    let again = start(&disk).await;
    disk.fail(Fault::on(OpKind::Look, |path| path.ends_with("orders-0"), Effect::Io).times(u32::MAX));
    assert_eq!(sizes(again.clone()).await, (0, 0), "nothing is known of it");
    disk.clear_faults();
    assert_eq!(sizes(again.clone()).await, expected, "not taken for empty");
    stop(&again).await;
}

#[tokio::test]
async fn a_killed_broker_starts_again_under_new_epochs() {
    let disk = SimDisk::default();
    let broker = start(&disk).await;
    create(&broker, "orders", 1).await;
    produce(&broker, "orders", b"x").await;
    for epoch in 1..3 {
        let killed = disk.kill();
        let again = start(&killed).await;
        let partition = again.partition_if_open("orders", None, 0).unwrap().expect("opened at the start");
        assert_eq!((partition.leader_epoch(), partition.offsets().high_watermark), (1, 1), "run {epoch}");
    }
    let killed = disk.kill();
    stop(&start(&killed).await).await;
    let again = start(&killed).await;
    let partition = again.partition("orders", None, 0).await.unwrap();
    assert_eq!(partition.leader_epoch(), 1, "a clean run in between changes nothing");
    assert!(partition.check_cursor(1, Some(0)).is_ok());
    assert!(partition.check_cursor(2, Some(0)).is_err(), "epoch 0 ended at 1");
}

#[tokio::test]
async fn a_power_cut_loses_no_topic_and_no_acknowledged_record() {
    let disk = SimDisk::default();
    let broker = start(&disk).await;
    create(&broker, "orders", 1).await;
    produce(&broker, "orders", b"x").await;
    create(&broker, "gone", 1).await;
    delete(&broker, "gone").await;
    let mut states = 0;
    for state in disk.crash_states(8, 16, 1) {
        let again = start(&state).await;
        assert_eq!(end(&again, "orders").await, 1);
        assert_eq!(kind_of(&again, "gone").await, Some(ErrorKind::TopicNotFound));
        assert!(!is_there(&state, "/data/gone-0") && names(&state, "/data/deleted").is_empty());
        states += 1;
    }
    assert!(states > 0);
}

#[tokio::test]
async fn a_deleted_topic_is_gone_and_its_name_free() {
    let disk = SimDisk::default();
    let broker = start(&disk).await;
    create(&broker, "orders", 3).await;
    let old = broker.image().topic("orders").unwrap().id;
    let partition = broker.partition("orders", Some(old), 0).await.unwrap();
    produce(&broker, "orders", b"x").await;
    delete(&broker, "orders").await;
    assert_eq!(kind_of(&broker, "orders").await, Some(ErrorKind::TopicNotFound));
    assert!(partition.read(0, 1, Wait::Allowed).is_err(), "closed under its users");

    create(&broker, "orders", 1).await;
    assert_eq!(end(&broker, "orders").await, 0);
    let error = broker.partition("orders", Some(old), 0).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::UnknownTopicId);
    stop(&broker).await;
    let again = start(&disk).await;
    assert_eq!(end(&again, "orders").await, 0);
    assert!(names(&disk, "/data/deleted").is_empty(), "purged, if not before then now");
}

#[tokio::test]
async fn updates_take_effect_at_once_and_last() {
    let disk = SimDisk::default();
    let broker = start(&disk).await;
    create(&broker, "orders", 1).await;
    let partition = broker.partition("orders", None, 0).await.unwrap();
    let mut request = UpdateTopic {
        name: "orders".to_owned(),
        set_configs: Configs::from([("retention.ms".to_owned(), "5s".to_owned())]),
        partition_count: Some(3),
        validate_only: true,
        ..UpdateTopic::default()
    };
    let planned = broker.update_topic(request.clone()).await.unwrap();
    assert_eq!((planned.previous.partitions.len(), planned.topic.partitions.len()), (1, 3));
    assert_eq!(broker.image().topic("orders").unwrap().partition_count(), 1, "only validated");

    request.validate_only = false;
    let updated = broker.update_topic(request).await.unwrap();
    assert_eq!((updated.previous.partitions.len(), updated.topic.partitions.len()), (1, 3));
    assert_eq!(partition.config().retention_ms, 5_000);
    broker.partition("orders", None, 2).await.unwrap();
    let again = start(&disk.kill()).await;
    assert_eq!(again.partition("orders", None, 2).await.unwrap().config().retention_ms, 5_000);
}

#[tokio::test]
async fn trimmed_records_stay_away() {
    let disk = SimDisk::default();
    let broker = start(&disk).await;
    create(&broker, "orders", 1).await;
    for _ in 0..5 {
        produce(&broker, "orders", b"x").await;
    }
    let trim = |offset, validate_only| TrimTopic {
        name: "orders".to_owned(),
        partitions: vec![(0, offset), (7, 0)],
        validate_only,
    };
    let planned = broker.trim_topic(trim(-1, true)).await.unwrap();
    assert_eq!(*planned[0].log_start.as_ref().unwrap(), 5);
    let trimmed = broker.trim_topic(trim(3, false)).await.unwrap();
    assert_eq!(*trimmed[0].log_start.as_ref().unwrap(), 3);
    assert_eq!(trimmed[1].log_start.as_ref().err().unwrap().kind, ErrorKind::PartitionNotFound);
    let again = start(&disk.kill()).await;
    let offsets = again.partition("orders", None, 0).await.unwrap().offsets();
    assert_eq!((offsets.log_start, offsets.log_end), (3, 5));
}

#[tokio::test]
async fn what_is_unknown_goes_to_quarantine_and_what_is_missing_is_offline() {
    let disk = SimDisk::default();
    let broker = start(&disk).await;
    create(&broker, "orders", 2).await;
    create(&broker, "prices", 1).await;
    stop(&broker).await;
    folder::remove_tree(&disk, Path::new("/data/orders-0")).unwrap();
    disk.create_dir(Path::new("/data/stranger-4")).unwrap();
    disk.remove_file(Path::new("/data/prices-0/partition.meta")).unwrap();

    let again = start(&disk).await;
    assert_eq!(names(&disk, "/data/quarantine"), ["stranger-4"]);
    for _ in 0..2 {
        let error = again.partition("orders", None, 0).await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::StorageError);
        assert!(error.message.contains("is offline: folder /data/orders-0"), "{error}");
    }
    assert!(!is_there(&disk, "/data/orders-0"), "never made anew");
    again.partition("orders", None, 1).await.unwrap();
    assert_eq!(kind_of(&again, "prices").await, Some(ErrorKind::StorageError));
    let listed = again.list_topics(ListTopics::default()).await.unwrap();
    let offline: Vec<_> = listed
        .topics
        .iter()
        .map(|topic| topic.partitions.iter().filter(|p| p.error.is_some()).count())
        .collect();
    assert_eq!(offline, [1, 1]);
    delete(&again, "prices").await;
    create(&again, "prices", 1).await;
    assert_eq!(end(&again, "prices").await, 0, "the name is free again");
}

#[tokio::test]
async fn topics_are_listed_with_what_came_lately() {
    let broker = start(&SimDisk::default()).await;
    create(&broker, "orders", 1).await;
    let rate = async || broker.get_topic("orders").await.unwrap().rate.unwrap();
    assert_eq!(rate().await.records_in, 0.0);
    broker.partition("orders", None, 0).await.unwrap().counters().note_in(30, 3_000);
    let counted = rate().await;
    assert_eq!((counted.records_in * counted.window.as_secs_f64()).round(), 30.0, "since the start");
    assert_eq!((counted.bytes_in / counted.records_in).round(), 100.0);
    broker.partitions.note_rates();
    assert!(rate().await.records_in > 0.0, "since the look before the last");
    broker.partitions.note_rates();
    assert_eq!(rate().await.records_in, 0.0);
    stop(&broker).await;
}

#[tokio::test]
async fn a_folder_of_another_topic_under_the_name_is_not_opened() {
    let disk = SimDisk::default();
    let broker = start(&disk).await;
    create(&broker, "a", 1).await;
    create(&broker, "b", 1).await;
    stop(&broker).await;
    let rename = |from: &str, to: &str| disk.rename(Path::new(from), Path::new(to)).unwrap();
    rename("/data/a-0", "/data/c-0");
    rename("/data/b-0", "/data/a-0");
    let again = start(&disk).await;
    let error = again.partition("a", None, 0).await.err().unwrap();
    assert!(error.message.contains("moved to quarantine"), "{error}");
    assert_eq!(names(&disk, "/data/quarantine"), ["a-0", "c-0"]);
}

#[tokio::test]
async fn a_create_that_fails_leaves_no_topic() {
    let disk = SimDisk::default();
    let broker = start(&disk).await;
    // Somebody puts a folder where the topic's will be, which says that it is another's.
    create(&broker, "a", 1).await;
    let meta = folder::read_meta(&disk, Path::new("/data/a-0")).unwrap();
    folder::create(&disk, Path::new(DATA), "b", [meta]).unwrap();
    let request = CreateTopic { name: "b".to_owned(), ..CreateTopic::default() };
    let error = broker.create_topic(request).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::StorageError, "{error}");
    assert!(broker.image().topic("b").is_none());
    assert!(broker.image().topic("a").is_some());
}

#[tokio::test]
async fn validating_changes_nothing() {
    let disk = SimDisk::default();
    let broker = start(&disk).await;
    let request = CreateTopic {
        name: "b".to_owned(),
        partition_count: 4,
        validate_only: true,
        ..CreateTopic::default()
    };
    let topic = broker.create_topic(request).await.unwrap();
    assert_eq!((topic.partitions.len(), topic.topic_id), (4, None));
    assert!(broker.image().topic("b").is_none() && !is_there(&disk, "/data/b-0"));
}

#[tokio::test]
async fn producer_ids_never_come_twice() {
    let disk = SimDisk::default();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..3 {
        let broker = start(&disk).await;
        for _ in 0..1_500 {
            assert!(seen.insert(broker.init_producer().await.unwrap().0));
        }
        stop(&broker).await;
    }
}

#[tokio::test]
async fn a_copy_of_a_data_directory_hands_out_other_producer_ids() {
    let disk = SimDisk::default();
    stop(&start(&disk).await).await;
    let mut seen = std::collections::HashSet::new();
    for seed in 0..20 {
        let broker = try_start(&disk.kill(), seed).await.unwrap();
        let id = broker.init_producer().await.unwrap().0;
        assert!(id.0 >= 0 && seen.insert(id), "{id:?} came twice");
    }
}

#[tokio::test]
async fn a_snapshot_stands_in_for_the_commands_below_it() {
    let disk = SimDisk::default();
    let broker = start(&disk).await;
    create(&broker, "orders", 1).await;
    for next in 1..=SNAPSHOT_COMMANDS {
        broker.metadata.commit(Command::ReserveProducerIds { next }).await.unwrap();
    }
    stop(&broker).await;
    assert!(is_there(&disk, "/data/metadata.snapshot"));
    let before = broker.image();
    let again = start(&disk).await;
    assert!(again.image().topic("orders").is_some());
    assert_eq!(again.image().next_producer_id(), SNAPSHOT_COMMANDS);
    assert_eq!(again.image().next_offset(), before.next_offset() + 1, "one more start");
    stop(&again).await;

    let path = Path::new("/data/metadata.snapshot");
    disk.remove_file(path).unwrap();
    let error = try_start(&disk, 1).await.err().expect("commands are missing").to_string();
    assert!(error.contains("restore both from one copy"), "{error}");
}

#[tokio::test]
async fn commits_take_turns_and_none_is_lost() {
    let disk = SimDisk::default();
    let broker = start(&disk).await;
    let makers: Vec<_> = (0..20)
        .map(|number| {
            let broker = broker.clone();
            // The same name twice: one of the two is told that it exists.
            let request = CreateTopic { name: format!("t{}", number / 2), ..CreateTopic::default() };
            tokio::spawn(async move { broker.create_topic(request).await.map(|_| ()).map_err(|e| e.kind) })
        })
        .collect();
    let mut refused = 0;
    for maker in makers {
        match maker.await.unwrap() {
            Ok(()) => {}
            Err(kind) => {
                assert_eq!(kind, ErrorKind::TopicExists);
                refused += 1;
            }
        }
    }
    assert_eq!((refused, broker.image().topics().count()), (10, 10));
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_is_finished() {
    let disk = SimDisk::default();
    let broker = start(&disk).await;
    let request = CreateTopic { name: "orders".to_owned(), ..CreateTopic::default() };
    let maker = broker.clone();
    let abandoned = tokio::spawn(async move { maker.create_topic(request).await });
    tokio::task::yield_now().await;
    abandoned.abort();
    // The turn comes after that of the abandoned request, which therefore has ended, whole or not begun.
    let _turn = broker.take_topic_turn().await.unwrap();
    let image = broker.image();
    assert!(image.topic("orders").is_none_or(|topic| topic.is_ready()));
}

#[tokio::test]
async fn a_file_in_the_way_is_no_partition() {
    let disk = SimDisk::default();
    stop(&start(&disk).await).await;
    disk.open(Path::new("/data/orders-0"), OpenMode::CreateNew).unwrap();
    let broker = start(&disk).await;
    let request = CreateTopic { name: "orders".to_owned(), ..CreateTopic::default() };
    broker.create_topic(request).await.unwrap();
    assert_eq!(names(&disk, "/data/quarantine"), ["orders-0"]);
}

#[tokio::test]
async fn a_batch_that_is_larger_than_what_was_asked_is_counted_whole() {
    let broker = start(&SimDisk::default()).await;
    create(&broker, "orders", 1).await;
    produce(&broker, "orders", &[7; 500_000]).await;
    let fetch_at_most = |max_bytes| {
        let cursor = Cursor {
            topic: "orders".to_owned(),
            topic_id: None,
            partition: 0,
            offset: 0,
            leader_epoch: None,
            max_bytes: Some(max_bytes),
        };
        let form = Form::Batch;
        let request =
            FetchRequest { cursors: vec![Ok(cursor)], min_bytes: 1, max_bytes, max_wait_ms: 0, form };
        fetch(&broker, request, broker.stopping())
    };
    for max_bytes in [1, 1 << 20] {
        let reply = fetch_at_most(max_bytes).await;
        assert!((500_000..501_000).contains(&broker.budget().used_bytes()), "{max_bytes}");
        drop(reply);
        assert_eq!(broker.budget().used_bytes(), 0);
    }
    let left = broker.budget().limit_bytes() - 400_000;
    let _others = broker.budget().try_debit(left).unwrap();
    let mut reply = fetch_at_most(1).await;
    let refused = reply.partitions.remove(0).result.expect_err("no room for it");
    assert_eq!((refused.kind, broker.budget().used_bytes()), (ErrorKind::Throttled, left));
}

#[tokio::test]
async fn a_partition_that_failed_is_described_in_the_words_of_those_who_use_it() {
    let disk = SimDisk::default();
    let broker = start(&disk).await;
    create(&broker, "orders", 1).await;
    disk.fail(Fault::on(OpKind::SyncData, |path| path.starts_with("/data/orders-0"), Effect::LoseSync));
    let partition = broker.partition("orders", None, 0).await.unwrap();
    let mut builder = BatchBuilder::new();
    builder.append(&NewRecord { timestamp: 1, key: None, value: None, headers: &[] }).unwrap();
    let appended =
        partition.append(ValidBatch::internal(&mut builder, Codec::None).unwrap(), None).await.unwrap();
    partition.committed(appended.last_offset).await.unwrap_err();
    let described = broker.get_topic("orders").await.unwrap().partitions.remove(0).error.unwrap();
    let place = Place { topic: "orders", partition: 0, stopping: false };
    let read = place.read_error(partition.read(0, 1, Wait::Allowed).err().unwrap());
    assert_eq!((&described.message, &described.metadata), (&read.message, &read.metadata));
    assert!(described.message.starts_with("partition 0 of topic 'orders' is offline: sync /data/orders-0/"));
    assert!(described.message.ends_with(ErrorKind::StorageError.row().advice), "{described}");
}

#[tokio::test]
async fn a_damaged_metadata_log_is_told_with_its_folder_and_the_next_step() {
    let disk = SimDisk::default();
    let broker = start(&disk).await;
    create(&broker, "orders", 1).await;
    stop(&broker).await;
    let path = Path::new("/data/__cluster_metadata-0/00000000000000000000.log");
    write_full_at(&*disk.open(path, OpenMode::Write).unwrap(), &[0; 50], 200).unwrap();
    let told = try_start(&disk, 9).await.err().unwrap().to_string();
    assert!(told.starts_with("metadata can't be loaded: the log in /data/__cluster_metadata-0: "), "{told}");
    assert!(told.contains(" from one copy, no older than the rest"), "{told}");
}

#[tokio::test]
async fn what_is_no_folder_of_its_own_is_offline_and_left_alone() {
    let disk = SimDisk::default();
    let broker = start(&disk).await;
    create(&broker, "orders", 1).await;
    stop(&broker).await;
    folder::remove_tree(&disk, Path::new("/data/orders-0")).unwrap();
    drop(disk.open(Path::new("/data/orders-0"), OpenMode::CreateNew).unwrap());
    let broker = start(&disk).await;
    let refused = broker.partition("orders", None, 0).await.err().unwrap();
    let expected =
        "partition 0 of topic 'orders' is offline: /data/orders-0 is a link or a file: stop the broker";
    assert!(refused.message.starts_with(expected), "{refused}");
    assert!(disk.stat(Path::new("/data/orders-0")).unwrap().is_some());
}

//! Every config key of a topic has an effect, seen through a whole broker and the client library.

use std::time::Duration;

use weir::client::{At, Codec, ConsumerRecord, Durability, Partition};
use weir::{Client, ErrorKind, Record};

use crate::whole::{Whole, read_all};

/// How long a test looks for an effect that comes by itself.
const LOOKS: u32 = 500;
const LOOK_EVERY: Duration = Duration::from_millis(20);

struct World {
    broker: Whole,
    client: Client,
    _folder: tempfile::TempDir,
}

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let broker = Whole::start(folder.path()).await;
    let client = broker.client().await;
    World { broker, client, _folder: folder }
}

impl World {
    async fn create(&self, configs: &[(&str, &str)]) {
        let create = self.client.admin().create_topic("t").partitions(1);
        let create = configs.iter().fold(create, |create, (key, value)| create.config(*key, *value));
        create.await.unwrap();
    }

    async fn alter(&self, key: &str, value: &str) {
        self.client.admin().update_topic("t").set_config(key, value).await.unwrap();
    }

    /// Sends values one after the other, each in a batch of its own.
    async fn produce(&self, values: &[&str]) -> Vec<Durability> {
        let producer = self.client.producer().build().await.unwrap();
        let mut reached = Vec::new();
        for value in values {
            let stored =
                producer.send(Record::to("t").value(value.to_string())).await.unwrap().await.unwrap();
            reached.push(stored.durability.unwrap());
        }
        producer.close().await;
        reached
    }

    async fn refused(&self, record: Record) -> ErrorKind {
        let producer = self.client.producer().build().await.unwrap();
        match producer.send(record).await {
            Err(error) => error.kind,
            Ok(delivery) => delivery.await.unwrap_err().kind,
        }
    }

    async fn partition(&self) -> Partition {
        self.client.admin().describe_topic("t").await.unwrap().partitions.remove(0)
    }

    /// Looks until the partition is as wanted, keeping house in between.
    async fn until(&self, what: &str, wanted: impl Fn(&Partition) -> bool) {
        for _ in 0..LOOKS {
            self.broker.broker().housekeeping().await;
            if wanted(&self.partition().await) {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        panic!("{what} did not come: {:?}", self.partition().await);
    }

    async fn records(&self) -> Vec<ConsumerRecord> {
        read_all(&self.client, "t").await
    }
}

#[tokio::test]
async fn segment_bytes_rolls_segments_and_may_be_altered() {
    let world = world().await;
    world.create(&[("segment.bytes", "1KiB")]).await;
    world.produce(&["x".repeat(700).as_str(); 4]).await;
    assert_eq!(world.partition().await.segment_count, 4);
    world.alter("segment.bytes", "1GiB").await;
    world.produce(&["y"; 20]).await;
    assert!(world.partition().await.segment_count <= 5);
}

#[tokio::test]
async fn segment_ms_rolls_a_quiet_segment() {
    let world = world().await;
    world.create(&[]).await;
    world.produce(&["a"]).await;
    world.broker.broker().housekeeping().await;
    assert_eq!(world.partition().await.segment_count, 1);
    world.alter("segment.ms", "1ms").await;
    world.until("a roll by time", |partition| partition.segment_count == 2).await;
}

#[tokio::test]
async fn retention_ms_removes_old_records_and_keeps_the_end() {
    let world = world().await;
    world.create(&[("retention.ms", "7d")]).await;
    world.produce(&["a", "b"]).await;
    world.broker.broker().housekeeping().await;
    assert_eq!(world.partition().await.log_start_offset, 0);
    world.alter("retention.ms", "1ms").await;
    world.until("retention by time", |partition| partition.log_start_offset == 2).await;
    world.alter("retention.ms", "-1").await;
    world.produce(&["c"]).await;
    assert_eq!(world.records().await[0].offset, 2);
}

#[tokio::test]
async fn retention_bytes_keeps_the_newest_segments() {
    let world = world().await;
    world.create(&[("segment.bytes", "1KiB"), ("retention.bytes", "2KiB")]).await;
    world.produce(&["x".repeat(900).as_str(); 10]).await;
    world.until("retention by size", |partition| partition.log_start_offset > 0).await;
    let partition = world.partition().await;
    assert!(partition.size_bytes >= 2048 && partition.size_bytes < 4096, "{partition:?}");
}

#[tokio::test]
async fn max_message_bytes_bounds_a_batch() {
    let world = world().await;
    world.create(&[("max.message.bytes", "2KiB")]).await;
    assert_eq!(world.refused(Record::to("t").value("x".repeat(4096))).await, ErrorKind::RecordTooLarge);
    world.produce(&["x".repeat(1500).as_str()]).await;
}

#[tokio::test]
async fn compression_type_re_encodes_what_differs() {
    let world = world().await;
    world.create(&[]).await;
    let value = "x".repeat(100_000);
    world.produce(&[&value]).await;
    let plain = world.partition().await.size_bytes;
    world.alter("compression.type", "zstd").await;
    world.produce(&[&value]).await;
    let packed = world.partition().await.size_bytes - plain;
    assert!(plain > 100_000 && packed < 10_000, "{plain} {packed}");
    world.alter("compression.type", "uncompressed").await;
    let producer = world.client.producer().compression(Codec::Lz4).build().await.unwrap();
    let record = Record::to("t").key("k").value(value.clone()).header("h", "v").timestamp(5);
    producer.send(record).await.unwrap().await.unwrap();
    let unpacked = world.partition().await.size_bytes - plain - packed;
    assert!(unpacked > 100_000, "{unpacked}");
    let last = world.records().await.remove(2);
    assert_eq!((last.timestamp, last.value.as_deref()), (5, Some(value.as_bytes())));
    assert_eq!(last.headers.len(), 1);
}

#[tokio::test]
async fn message_timestamp_type_takes_the_brokers_clock() {
    let world = world().await;
    world.create(&[("message.timestamp.type", "LogAppendTime")]).await;
    let producer = world.client.producer().build().await.unwrap();
    let stored = producer.send(Record::to("t").value("a").timestamp(5)).await.unwrap().await.unwrap();
    assert!(stored.timestamp > 1_600_000_000_000, "{}", stored.timestamp);
    assert_eq!(world.records().await[0].timestamp, stored.timestamp);
    world.alter("message.timestamp.type", "CreateTime").await;
    producer.send(Record::to("t").value("b").timestamp(6)).await.unwrap().await.unwrap();
    assert_eq!(world.records().await[1].timestamp, 6);
    let found = world.client.admin().list_offsets("t", [(0, At::Timestamp(7))]).await.unwrap();
    assert_eq!(found[0].as_ref().unwrap().offset, Some(0));
}

#[tokio::test]
async fn message_timestamp_after_max_ms_refuses_the_future() {
    let world = world().await;
    world.create(&[("message.timestamp.after.max.ms", "1h")]).await;
    let in_two_hours = world.broker.broker().env().clock.now_ms() + 2 * 3_600_000;
    let record = || Record::to("t").value("a").timestamp(in_two_hours);
    assert_eq!(world.refused(record()).await, ErrorKind::InvalidTimestamp);
    world.alter("message.timestamp.after.max.ms", "3h").await;
    let producer = world.client.producer().build().await.unwrap();
    producer.send(record()).await.unwrap().await.unwrap();
}

#[tokio::test]
async fn flush_says_how_durable_an_acknowledgement_is() {
    let world = world().await;
    world.create(&[]).await;
    assert_eq!(world.produce(&["a"]).await, [Durability::Flushed]);
    world.alter("flush", "os").await;
    assert_eq!(world.produce(&["b"]).await, [Durability::Written]);
    assert_eq!(world.partition().await.flushed_offset, 1);
    world.alter("flush", "ack").await;
    world.until("the sync that flush=ack asks for", |partition| partition.flushed_offset == 2).await;
    assert_eq!(world.produce(&["c"]).await, [Durability::Flushed]);
}

#[tokio::test]
async fn flush_ms_bounds_the_time_until_a_sync() {
    let world = world().await;
    world.create(&[("flush", "interval"), ("flush.ms", "60s"), ("flush.bytes", "64MiB")]).await;
    world.produce(&["a"]).await;
    assert_eq!(world.partition().await.flushed_offset, 0);
    world.alter("flush.ms", "10ms").await;
    world.until("a sync after flush.ms", |partition| partition.flushed_offset == 1).await;
}

#[tokio::test]
async fn flush_bytes_bounds_the_bytes_until_a_sync() {
    let world = world().await;
    world.create(&[("flush", "interval"), ("flush.ms", "60s"), ("flush.bytes", "10KiB")]).await;
    world.produce(&["a"]).await;
    assert_eq!(world.partition().await.flushed_offset, 0);
    world.produce(&["x".repeat(20_000).as_str()]).await;
    world.until("a sync after flush.bytes", |partition| partition.flushed_offset == 2).await;
}

/// Values of `key` that are still there.
async fn values_of(world: &World, key: &str) -> Vec<Option<String>> {
    let of_key =
        world.records().await.into_iter().filter(|record| record.key.as_deref() == Some(key.as_bytes()));
    of_key.map(|record| record.value.map(|value| String::from_utf8_lossy(&value).into_owned())).collect()
}

impl World {
    async fn put(&self, key: &str, value: Option<&str>) {
        let producer = self.client.producer().build().await.unwrap();
        let record = Record::to("t").key(key.to_owned());
        let record = match value {
            Some(value) => record.value(value.to_owned()),
            None => record,
        };
        producer.send(record).await.unwrap().await.unwrap();
    }

    /// Puts so much that everything before lies in sealed segments.
    async fn fill(&self) {
        for _ in 0..3 {
            self.put("filler", Some(&"x".repeat(900))).await;
        }
    }

    /// Time in which compaction would have done what it is not to do.
    async fn keep_house_for_a_while(&self) {
        for _ in 0..5 {
            self.broker.broker().housekeeping().await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn until_values(&self, key: &str, wanted: &[Option<&str>]) {
        let wanted: Vec<_> = wanted.iter().map(|value| value.map(str::to_owned)).collect();
        for _ in 0..LOOKS {
            self.broker.broker().housekeeping().await;
            if values_of(self, key).await == wanted {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        panic!("{key} has {:?}, not {wanted:?}", values_of(self, key).await);
    }
}

#[tokio::test]
async fn cleanup_policy_keeps_the_newest_of_each_key_and_wants_keys() {
    let world = world().await;
    world.create(&[("segment.bytes", "1KiB"), ("min.cleanable.dirty.ratio", "0")]).await;
    world.produce(&["no key"]).await;
    for value in ["1", "2", "3"] {
        world.put("a", Some(value)).await;
    }
    world.fill().await;
    world.broker.broker().housekeeping().await;
    assert_eq!(values_of(&world, "a").await.len(), 3, "delete leaves them");
    world.alter("cleanup.policy", "compact").await;
    world.until_values("a", &[Some("3")]).await;
    let records = world.records().await;
    assert!(records.iter().all(|record| record.key.is_some()), "{records:?}");
    assert_eq!(records[0].offset, 3, "it stays at its offset");
    assert_eq!(world.refused(Record::to("t").value("x")).await, ErrorKind::InvalidRecord);
    world.alter("cleanup.policy", "delete,compact").await;
    world.alter("retention.ms", "1ms").await;
    world.until("retention beside compaction", |partition| partition.log_start_offset >= 7).await;
    world.alter("cleanup.policy", "delete").await;
    world.produce(&["no key again"]).await;
}

#[tokio::test]
async fn min_cleanable_dirty_ratio_waits_for_enough_dirt() {
    let world = world().await;
    let keys = [("cleanup.policy", "compact"), ("segment.bytes", "1KiB"), ("min.cleanable.dirty.ratio", "0")];
    world.create(&keys).await;
    // What is clean after the first passes: keys that have one record each.
    for n in 0..20 {
        world.put(&format!("key {n}"), Some(&"x".repeat(500))).await;
    }
    world.fill().await;
    // The newest sealed one, and the one that is not sealed.
    world.until_values("filler", &[Some("x".repeat(900).as_str()); 2]).await;
    world.alter("min.cleanable.dirty.ratio", "0.5").await;
    world.put("a", Some("1")).await;
    world.put("a", Some("2")).await;
    world.fill().await;
    world.keep_house_for_a_while().await;
    assert_eq!(values_of(&world, "a").await.len(), 2);
    world.alter("min.cleanable.dirty.ratio", "0.05").await;
    world.until_values("a", &[Some("2")]).await;
}

#[tokio::test]
async fn delete_retention_ms_keeps_tombstones_for_a_while() {
    let world = world().await;
    let keys = [("cleanup.policy", "compact"), ("segment.bytes", "1KiB"), ("min.cleanable.dirty.ratio", "0")];
    world.create(&keys).await;
    world.put("a", Some("1")).await;
    world.put("a", None).await;
    world.fill().await;
    world.until_values("a", &[None]).await;
    world.alter("delete.retention.ms", "1ms").await;
    world.put("b", Some("1")).await;
    world.put("b", None).await;
    world.fill().await;
    world.until_values("b", &[]).await;
    assert_eq!(values_of(&world, "a").await, [None], "its horizon stands since its first pass");
}

#[tokio::test]
async fn min_compaction_lag_ms_keeps_young_records_safe() {
    let world = world().await;
    let keys = [("cleanup.policy", "compact"), ("segment.bytes", "1KiB"), ("min.cleanable.dirty.ratio", "0")];
    world.create(&keys).await;
    world.alter("min.compaction.lag.ms", "1h").await;
    world.put("a", Some("1")).await;
    world.put("a", Some("2")).await;
    world.fill().await;
    world.keep_house_for_a_while().await;
    assert_eq!(values_of(&world, "a").await.len(), 2);
    world.alter("min.compaction.lag.ms", "1ms").await;
    world.until_values("a", &[Some("2")]).await;
}

#[tokio::test]
async fn max_compaction_lag_ms_compacts_what_is_old_however_little_it_is() {
    let world = world().await;
    world.create(&[("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "1")]).await;
    world.put("a", Some("1")).await;
    world.put("a", Some("2")).await;
    world.broker.broker().housekeeping().await;
    assert_eq!(values_of(&world, "a").await.len(), 2, "the segment that is written to is left alone");
    world.alter("max.compaction.lag.ms", "1ms").await;
    world.until_values("a", &[Some("2")]).await;
}

//! A log that Kafka has compacted is compacted further.

use std::path::Path;

use serde_json::Value;

use super::world::{FOLDER, Told, World, compacted};
use crate::config::TopicConfig;
use crate::env::Disk;
use crate::env::disk::{OpenMode, write_full_at};

/// What Kafka's consumer read.
const EXPECTED: &str = include_str!("../../../../tests/golden/kafka-4.3-compacted/expected.ndjson");
const SEGMENTS: [(&str, &[u8]); 2] = [
    (
        "00000000000000000000.log",
        include_bytes!("../../../../tests/golden/kafka-4.3-compacted/00000000000000000000.log"),
    ),
    (
        "00000000000000000179.log",
        include_bytes!("../../../../tests/golden/kafka-4.3-compacted/00000000000000000179.log"),
    ),
];

fn expected() -> Vec<Told> {
    let told = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let number = |name: &str| line[name].as_i64().unwrap();
        let field = |name: &str| line[name].as_str().map(|text| text.as_bytes().to_vec());
        let (offset, timestamp) = (number("offset"), number("timestamp"));
        Told { offset, timestamp, key: field("key"), value: field("value") }
    };
    EXPECTED.lines().map(told).collect()
}

#[test]
fn a_log_that_kafka_compacted_is_compacted_further() {
    let mut world = World::new(TopicConfig { segment_bytes: 4_096, ..compacted() });
    assert!(world.store.stop());
    for path in [".log", ".index", ".timeindex"].iter().flat_map(|ending| world.files(ending)) {
        world.disk.remove_file(&path).unwrap();
    }
    for (name, bytes) in SEGMENTS {
        let file = world.disk.open(&Path::new(FOLDER).join(name), OpenMode::CreateNew).unwrap();
        write_full_at(&*file, bytes, 0).unwrap();
    }
    world.disk.sync_file_system(Path::new("d")).unwrap();
    world.reopen(world.disk.kill());
    world.written = expected();
    assert_eq!(world.read(), world.written);
    world.check();
    // A key of each batch gets another value, and one none.
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        world.put(&[(&format!("{codec}-1"), Some("newer"))]);
    }
    world.put(&[("none-2", None)]);
    world.roll();
    assert_eq!(world.compact(), 1);
    world.check();
    let read = world.read();
    assert!(!read.iter().any(|record| [16, 17].contains(&record.offset)), "{read:?}");
    assert_eq!(read[0].offset, 15);
    let of_producers = world.headers().into_iter().filter(|header| header.has_producer());
    let mut last: Vec<_> = of_producers.map(|header| (header.producer_id, header.last_sequence())).collect();
    last.dedup_by_key(|(id, _)| *id);
    assert_eq!(last.len(), 5, "each producer is known: {last:?}");
    world.kill();
    world.check();
}

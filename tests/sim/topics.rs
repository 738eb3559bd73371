//! The topics of a world. Their table is never lost: what the metadata log promises is shown by the crash scenarios.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir::base::{Offset, TopicId, TopicPartition};
use weir::config::TopicConfig;
use weir::config::topic::CleanupPolicy;
use weir::coordinator::group::{TopicFacts, Topics};

/// Name of the topic that is compacted; no group reads it.
pub(super) const COMPACTED: &str = "state";

/// Bytes of a segment: a few batches, so that logs roll all the time.
const SEGMENT_BYTES: u64 = 600;

/// Living topics by name. A clone stays as it is.
#[derive(Clone, Default)]
pub(super) struct SimTopics {
    facts: BTreeMap<Arc<str>, TopicFacts>,
    trims: BTreeMap<TopicPartition, Offset>,
    version: Offset,
    made: u8,
}

impl SimTopics {
    /// Makes a topic, with an identity of its own.
    pub(super) fn create(&mut self, name: &str, partition_count: i32) -> TopicFacts {
        self.version += 1;
        self.made += 1;
        let id = TopicId([self.made; 16]);
        let facts = TopicFacts { id, name: name.into(), partition_count, created: self.version };
        self.facts.insert(facts.name.clone(), facts.clone());
        facts
    }

    /// Adds a partition to a topic.
    pub(super) fn grow(&mut self, name: &str) {
        self.version += 1;
        if let Some(facts) = self.facts.get_mut(name) {
            facts.partition_count += 1;
        }
    }

    /// Takes a topic away.
    pub(super) fn delete(&mut self, name: &str) -> Option<TopicFacts> {
        self.version += 1;
        self.facts.remove(name)
    }

    /// Records below were trimmed.
    pub(super) fn trim(&mut self, place: TopicPartition, to: Offset) {
        self.trims.insert(place, to);
    }

    /// Where a partition was trimmed to.
    pub(super) fn trimmed(&self, place: &TopicPartition) -> Offset {
        self.trims.get(place).copied().unwrap_or(0)
    }

    /// The topics, by name.
    pub(super) fn all(&self) -> impl Iterator<Item = &TopicFacts> {
        self.facts.values()
    }

    /// All partitions that there are.
    pub(super) fn places(&self) -> Vec<(Arc<str>, TopicPartition)> {
        let places = self.all().flat_map(|facts| {
            let place = |partition| TopicPartition { topic_id: facts.id, partition };
            (0..facts.partition_count).map(move |number| (facts.name.clone(), place(number)))
        });
        places.collect()
    }

    /// Name of a living topic.
    pub(super) fn name_of(&self, id: TopicId) -> Option<Arc<str>> {
        self.all().find(|facts| facts.id == id).map(|facts| facts.name.clone())
    }
}

impl Topics for SimTopics {
    fn version(&self) -> Offset {
        self.version
    }

    fn by_name(&self, name: &str) -> Option<TopicFacts> {
        self.facts.get(name).cloned()
    }

    fn by_id(&self, id: TopicId) -> Option<TopicFacts> {
        self.all().find(|facts| facts.id == id).cloned()
    }

    fn each(&self, visit: &mut dyn FnMut(&TopicFacts)) {
        self.all().for_each(visit);
    }
}

/// Settings of a topic's logs: small segments, little retention.
pub(super) fn config_of(name: &str) -> TopicConfig {
    let small = TopicConfig { segment_bytes: SEGMENT_BYTES, ..TopicConfig::default() };
    match name {
        COMPACTED => TopicConfig {
            cleanup: CleanupPolicy::Compact,
            min_dirty_millionths: 100_000,
            delete_retention_ms: 2_000,
            ..small
        },
        "t1" => TopicConfig { retention_bytes: 3_000, ..small },
        _ => small,
    }
}

/// Settings of the offsets log.
pub(super) fn offsets_config() -> TopicConfig {
    TopicConfig {
        cleanup: CleanupPolicy::Compact,
        segment_bytes: 2_000,
        min_dirty_millionths: 100_000,
        delete_retention_ms: 2_000,
        ..TopicConfig::default()
    }
}

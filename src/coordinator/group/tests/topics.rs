//! Topics for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::topics::{TopicFacts, Topics};
use crate::base::{Offset, TopicId};

/// Topics by name, each change a new version.
#[derive(Clone, Default)]
pub(super) struct TestTopics {
    by_name: BTreeMap<String, TopicFacts>,
    version: Offset,
}

impl TestTopics {
    /// Makes a topic, or gives an existing one more partitions.
    pub(super) fn put(&mut self, name: &str, partitions: i32) {
        self.version += 1;
        let version = self.version;
        let facts = self.by_name.entry(name.to_owned()).or_insert_with(|| TopicFacts {
            id: TopicId([version as u8; 16]),
            name: Arc::from(name),
            partition_count: 0,
            created: version,
        });
        facts.partition_count = facts.partition_count.max(partitions);
    }

    pub(super) fn delete(&mut self, name: &str) {
        self.version += 1;
        self.by_name.remove(name);
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &TopicFacts> {
        self.by_name.values()
    }

    pub(super) fn shared(&self) -> Arc<dyn Topics> {
        Arc::new(self.clone())
    }
}

impl Topics for TestTopics {
    fn version(&self) -> Offset {
        self.version
    }

    fn by_name(&self, name: &str) -> Option<TopicFacts> {
        self.by_name.get(name).cloned()
    }

    fn by_id(&self, id: TopicId) -> Option<TopicFacts> {
        self.all().find(|facts| facts.id == id).cloned()
    }

    fn each(&self, visit: &mut dyn FnMut(&TopicFacts)) {
        self.all().for_each(visit);
    }
}

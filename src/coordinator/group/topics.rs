//! The topics as the group machine is shown them.

use std::sync::Arc;

use crate::base::{Offset, TopicId};

/// What a group has to know of a topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicFacts {
    /// Its identity: a topic that was deleted and created again has another one.
    pub id: TopicId,
    /// Its name.
    pub name: Arc<str>,
    /// Partitions from 0 to this − 1 can be read.
    pub partition_count: i32,
    /// Offset of the metadata command that created it.
    pub created: Offset,
}

/// The topics as the metadata has them at one moment.
pub trait Topics: Send + Sync {
    /// Offset of the newest metadata command in it.
    fn version(&self) -> Offset;

    /// The living topic of this name.
    fn by_name(&self, name: &str) -> Option<TopicFacts>;

    /// The living topic of this id.
    fn by_id(&self, id: TopicId) -> Option<TopicFacts>;

    /// Shows every living topic that a pattern may match: not those of the broker's own.
    fn each(&self, visit: &mut dyn FnMut(&TopicFacts));
}

//! The metadata as the group machine is shown it.

use std::sync::Arc;

use crate::base::{Offset, TopicId};
use crate::broker::topics::names::is_internal;
use crate::cluster::{Image, Topic};
use crate::coordinator::group::{TopicFacts, Topics};

/// The topics of one image.
pub struct TopicsView(pub Arc<Image>);

fn facts(topic: &Topic) -> Option<TopicFacts> {
    let lives = !topic.deleting && topic.is_ready();
    lives.then(|| TopicFacts {
        id: topic.id,
        name: topic.name.clone(),
        partition_count: topic.ready_count,
        created: topic.created,
    })
}

impl Topics for TopicsView {
    fn version(&self) -> Offset {
        self.0.next_offset() - 1
    }

    fn by_name(&self, name: &str) -> Option<TopicFacts> {
        self.0.topic(name).and_then(|topic| facts(topic))
    }

    fn by_id(&self, id: TopicId) -> Option<TopicFacts> {
        self.0.topic_by_id(id).and_then(|topic| facts(topic))
    }

    fn each(&self, visit: &mut dyn FnMut(&TopicFacts)) {
        self.0
            .topics()
            .filter(|topic| !is_internal(&topic.name))
            .filter_map(|topic| facts(topic))
            .for_each(|facts| visit(&facts));
    }
}

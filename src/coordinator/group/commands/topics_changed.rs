//! Topics changed: topics or partitions came or went.

use std::sync::Arc;

use super::super::changes::GroupRef;
use super::super::command::GroupReply;
use super::super::records::{GroupHead, GroupRecord};
use super::super::shard::GroupShard;
use super::super::topics::Topics;
use super::super::wanted::topics_hash;
use crate::coordinator::Effects;

/// The metadata's topics are other ones. Groups whose subscriptions mean something else now are assigned anew; offsets of topics
/// that are gone are deleted. Also to be sent once after a load, for what changed while the machine did not run.
///
/// Errors: none. Cost: one look at each group, each name that it subscribes to and each offset.
#[derive(Clone)]
pub struct TopicsChanged {
    /// The topics as they are now.
    pub topics: Arc<dyn Topics>,
}

impl TopicsChanged {
    /// Looks at every group.
    pub(in super::super) fn decide(self, shard: &GroupShard, out: &mut Effects<GroupShard>) -> GroupReply {
        for id in shard.groups.keys() {
            let Some(at) = shard.group(id) else { continue };
            self.assign_anew(at, out);
            self.forget_gone(at, out);
        }
        GroupReply::Done
    }

    fn assign_anew(&self, at: GroupRef<'_>, out: &mut Effects<GroupShard>) {
        let Some(head) = at.group.head.filter(|_| at.group.member_count() > 0) else { return };
        let topics_hash = topics_hash(&at.group.wanted.resolve(&*self.topics));
        if topics_hash != head.topics_hash {
            let epoch = head.epoch.saturating_add(1);
            at.write_head(GroupHead { epoch, topics_hash, ..head }, out);
            at.ask_for_target(out);
        }
    }

    fn forget_gone(&self, at: GroupRef<'_>, out: &mut Effects<GroupShard>) {
        for (name, committed) in &at.group.offsets {
            if self.topics.by_id(committed.position.topic_id).is_none() {
                out.records.push(GroupRecord::Offset(at.id.clone(), name.clone(), None).encode());
            }
        }
    }
}

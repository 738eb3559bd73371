//! Groups as their administrator sees them.

use std::sync::Arc;

use super::errors::partition_error;
use super::offsets_topic::OFFSETS_TOPIC;
use crate::base::limits::OFFSETS_PARTITIONS;
use crate::base::{Error, GroupId};
use crate::broker::Broker;
use crate::coordinator::group::commands::{DeleteGroup, DescribeGroup, ListGroups};
use crate::coordinator::group::views::{GroupDescription, GroupSummary};
use crate::coordinator::group::{GroupCommand, GroupReply};

impl Broker {
    /// All groups by name.
    ///
    /// Cost: a look at each of the partitions of the offsets topic. Errors: those of its logs.
    pub async fn list_groups(self: &Arc<Self>) -> Result<Vec<GroupSummary>, Error> {
        let mut groups = Vec::new();
        if self.image().topic(OFFSETS_TOPIC).is_none_or(|topic| !topic.is_ready()) {
            return Ok(groups);
        }
        for number in 0..OFFSETS_PARTITIONS {
            let host = self.host_of(number).await?;
            let listed = host.run(GroupCommand::ListGroups(ListGroups)).await;
            match listed.map_err(|error| partition_error(number, error))? {
                GroupReply::Groups(found) => groups.extend(found),
                other => unreachable!("groups are answered by groups, not by {other:?}"),
            }
        }
        groups.sort_by(|a, b| a.group.cmp(&b.group));
        Ok(groups)
    }

    /// One group with its members.
    ///
    /// Errors: GROUP_NOT_FOUND; those of the offsets topic's log.
    pub async fn describe_group(self: &Arc<Self>, group: &GroupId) -> Result<GroupDescription, Error> {
        let describe = DescribeGroup { group: group.clone() };
        match self.run_for(group, GroupCommand::DescribeGroup(describe)).await? {
            GroupReply::Group(found) => Ok(found),
            other => unreachable!("a group is answered by a group, not by {other:?}"),
        }
    }

    /// Deletes a group without members, and its offsets.
    ///
    /// Errors: GROUP_NOT_FOUND, GROUP_NOT_EMPTY; those of the offsets topic's log.
    pub async fn delete_group(self: &Arc<Self>, group: &GroupId) -> Result<(), Error> {
        let delete = DeleteGroup { group: group.clone() };
        self.run_for(group, GroupCommand::DeleteGroup(delete)).await.map(|_| ())
    }
}

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

/// Groups, and why some are missing.
#[derive(Default, Debug)]
pub struct ListedGroups {
    /// The groups by name.
    pub groups: Vec<GroupSummary>,
    /// Of each partition of the offsets topic that can't be used, why.
    pub errors: Vec<Error>,
}

impl Broker {
    /// All groups by name; one partition of the offsets topic that can't be used does not hide the groups of the others.
    ///
    /// Cost: a look at each of those partitions. Errors: SHUTTING_DOWN.
    pub async fn list_groups(self: &Arc<Self>) -> Result<ListedGroups, Error> {
        let mut listed = ListedGroups::default();
        if self.image().topic(OFFSETS_TOPIC).is_none_or(|topic| !topic.is_ready()) {
            return Ok(listed);
        }
        for number in 0..OFFSETS_PARTITIONS {
            self.refuse_when_stopping()?;
            match self.groups_of(number).await {
                Ok(found) => listed.groups.extend(found),
                Err(error) => listed.errors.push(error),
            }
        }
        listed.groups.sort_by(|a, b| a.group.cmp(&b.group));
        Ok(listed)
    }

    /// The groups of a partition of the offsets topic.
    async fn groups_of(self: &Arc<Self>, number: i32) -> Result<Vec<GroupSummary>, Error> {
        let host = self.host_of(number).await?;
        let listed = host.run(GroupCommand::ListGroups(ListGroups)).await;
        match listed.map_err(|error| partition_error(number, error))? {
            GroupReply::Groups(found) => Ok(found),
            other => unreachable!("groups are answered by groups, not by {other:?}"),
        }
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

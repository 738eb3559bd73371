//! What `weir top` tells of consumer groups.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::base::{Error, Offset};
use crate::cli::output::{Cell, Column, Table};
use crate::client::{Admin, GroupListing, Topic};

/// Groups that are looked at for each frame, the first by name: each costs the broker a request.
const GROUPS_MAX: usize = 20;

/// A group, and how far it is behind.
pub(super) struct GroupLag {
    pub(super) listing: GroupListing,
    pub(super) lag: i64,
}

/// Looks at groups, and tells why some are missing. Errors: what the broker says; a broker that knows no groups has none.
pub(super) async fn look(admin: &Admin) -> Result<(Vec<GroupLag>, Vec<Error>), Error> {
    let mut groups = Vec::new();
    let listed = admin.list_groups().await?;
    let mut topics = BTreeMap::new();
    for listing in listed.groups.into_iter().take(GROUPS_MAX) {
        let mut committed = BTreeMap::new();
        for found in admin.group_offsets(&listing.name).await? {
            committed.insert((found.topic, found.partition), found.offset);
        }
        let names: BTreeSet<&str> = committed.keys().map(|(topic, _)| topic.as_str()).collect();
        for name in names {
            if !topics.contains_key(name) {
                // One that is gone has nothing to be read.
                topics.insert(name.to_owned(), admin.describe_topic(name).await.ok());
            }
        }
        let lag = lag(&committed, &topics);
        groups.push(GroupLag { listing, lag });
    }
    Ok((groups, listed.errors))
}

/// Records that are not read, in all partitions of the topics that the group has an offset for.
fn lag(committed: &BTreeMap<(String, i32), Offset>, topics: &BTreeMap<String, Option<Topic>>) -> i64 {
    let names: BTreeSet<&str> = committed.keys().map(|(topic, _)| topic.as_str()).collect();
    let known = names.into_iter().filter_map(|name| topics.get(name)?.as_ref());
    let of_partitions = known.flat_map(|topic| {
        topic.partitions.iter().map(|partition| {
            let place = committed.get(&(topic.name.clone(), partition.partition));
            let start = partition.log_start_offset;
            (partition.high_watermark - place.map_or(start, |place| start.max(*place))).max(0)
        })
    });
    of_partitions.sum()
}

/// A row for each group.
pub(super) fn table(groups: &[GroupLag]) -> Table {
    let columns =
        [Column::Left("GROUP"), Column::Left("STATE"), Column::Right("MEMBERS"), Column::Right("LAG")];
    let mut table = Table::new(&columns);
    for GroupLag { listing, lag } in groups {
        table.row([
            Cell::Text(listing.name.clone()),
            Cell::Text(listing.state.to_string()),
            Cell::count(listing.member_count),
            Cell::count(*lag),
        ]);
    }
    table
}

/// As scripts read them.
pub(super) fn as_json(groups: &[GroupLag]) -> Value {
    let group = |GroupLag { listing, lag }: &GroupLag| json!({ "group": listing.name, "state": listing.state.to_string(), "members": listing.member_count, "lag": lag });
    groups.iter().map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::GroupState;

    #[test]
    fn a_row_for_each_group() {
        let listing = GroupListing {
            name: "billing".to_owned(),
            state: GroupState::Stable,
            member_count: 3,
            coordinator_partition: 9,
        };
        let groups = [GroupLag { listing, lag: 1_204 }];
        assert_eq!(
            table(&groups).print(),
            "GROUP    STATE   MEMBERS    LAG\nbilling  Stable        3  1,204\n"
        );
    }
}

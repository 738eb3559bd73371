//! `weir group list`.

use serde_json::{Map, Value, json};

use super::args::ListArgs;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Cell, Column, Table, print, print_document};
use crate::client::{Admin, GroupListing};

/// Lists groups by name.
pub(super) async fn run(context: &Context, admin: &Admin, args: &ListArgs) -> Result<Exit, Failure> {
    let mut groups = admin.list_groups().await?;
    let is_asked = |group: &GroupListing| {
        args.states.is_empty()
            || args.states.iter().any(|state| state.eq_ignore_ascii_case(&group.state.to_string()))
    };
    groups.retain(is_asked);
    if context.global.json {
        let groups: Vec<Value> = groups.iter().map(listing_json).collect();
        print_document("group list", Map::from_iter([("groups".to_owned(), json!(groups))]))?;
    } else if !groups.is_empty() {
        print(table(&groups).print())?;
    }
    Ok(Exit::Done)
}

fn table(groups: &[GroupListing]) -> Table {
    let columns = [
        Column::Left("GROUP"),
        Column::Left("STATE"),
        Column::Right("MEMBERS"),
        Column::Right("COORDINATOR"),
    ];
    let mut table = Table::new(&columns);
    for group in groups {
        table.row([
            Cell::Text(group.name.clone()),
            Cell::Text(group.state.to_string()),
            Cell::count(group.member_count),
            Cell::Text(group.coordinator_partition.to_string()),
        ]);
    }
    table
}

/// As scripts read it.
pub(super) fn listing_json(group: &GroupListing) -> Value {
    json!({
        "group": group.name,
        "state": group.state.to_string(),
        "members": group.member_count,
        "coordinator_partition": group.coordinator_partition,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::GroupState;

    #[test]
    fn a_line_for_each_group() {
        let listing = |name: &str, state, member_count| GroupListing {
            name: name.to_owned(),
            state,
            member_count,
            coordinator_partition: 7,
        };
        let groups = [listing("billing", GroupState::Stable, 2), listing("a", GroupState::Empty, 0)];
        assert_eq!(
            table(&groups).print(),
            "\
GROUP    STATE   MEMBERS  COORDINATOR
billing  Stable        2            7
a        Empty         0            7
"
        );
    }
}

//! `weir group list`.

use serde_json::{Map, Value, json};

use super::args::ListArgs;
use crate::base::Error;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, in_words};
use crate::cli::output::{Cell, Column, Table, error_json, print, print_document, print_error};
use crate::client::{Admin, GroupListing, ListedGroups};

/// Lists groups by name, then tells why some are missing.
pub(super) async fn run(context: &Context, admin: &Admin, args: &ListArgs) -> Result<Exit, Failure> {
    let ListedGroups { mut groups, errors } = admin.list_groups().await?;
    let is_asked = |group: &GroupListing| {
        args.states.is_empty()
            || args.states.iter().any(|state| state.eq_ignore_ascii_case(&group.state.to_string()))
    };
    groups.retain(is_asked);
    if context.global.json {
        let groups: Vec<Value> = groups.iter().map(listing_json).collect();
        let errors: Vec<Value> = errors.iter().map(missing_json).collect();
        let fields = [("groups".to_owned(), json!(groups)), ("errors".to_owned(), json!(errors))];
        print_document("group list", Map::from_iter(fields))?;
    } else if !groups.is_empty() {
        print(table(&groups).print())?;
    }
    let end = errors.iter().map(|error| {
        print_error(&in_words(error));
        Exit::of_error(error)
    });
    Ok(end.fold(Exit::Done, Exit::and))
}

/// Why the groups of a partition of the offsets topic are missing.
fn missing_json(error: &Error) -> Value {
    let partition = error.metadata.get("partition").and_then(|number| number.parse::<i32>().ok());
    json!({ "coordinator_partition": partition, "error": error_json(error) })
}

fn table(groups: &[GroupListing]) -> Table {
    let columns = [
        Column::Left("GROUP"),
        Column::Left("STATE"),
        Column::Right("MEMBERS"),
        Column::Right("OFFSETS-PARTITION"),
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
GROUP    STATE   MEMBERS  OFFSETS-PARTITION
billing  Stable        2                  7
a        Empty         0                  7
"
        );
    }
}

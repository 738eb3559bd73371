//! `weir group describe`.

use serde_json::{Map, Value, json};

use super::args::DescribeArgs;
use super::list::listing_json;
use super::standing::{Standing, look_up_all};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{
    Cell, Column, Form, Table, duration_in_words, flowing, form, print, print_document,
};
use crate::client::{Client, Group, GroupMember};

/// Shows groups: their partitions, or their members.
pub(super) async fn run(context: &Context, client: &Client, args: &DescribeArgs) -> Result<Exit, Failure> {
    let found = look_up_all(client, &args.groups, context.now_ms()).await;
    if context.global.json {
        let groups: Vec<Value> = found.standings.iter().map(as_json).collect();
        let fields = [("groups".to_owned(), json!(groups)), ("errors".to_owned(), found.errors_json())];
        print_document("group describe", Map::from_iter(fields))?;
        return Ok(found.report());
    }
    let mut text = String::new();
    for standing in &found.standings {
        if matches!(form(), Form::Table | Form::Wide) {
            let gap = if text.is_empty() { "" } else { "\n" };
            text.push_str(&format!("{gap}{}", head(standing)));
        }
        let table = if args.members { members(&standing.group) } else { places(standing) };
        text.push_str(&table.print());
    }
    print(text)?;
    Ok(found.report())
}

fn head(standing: &Standing) -> String {
    let Group { listing, assignor, members, .. } = &standing.group;
    let assignor = if assignor.is_empty() { "-" } else { assignor };
    flowing(&[
        listing.name.clone(),
        format!("state={}", listing.state),
        format!("assignor={assignor}"),
        format!("offsets-partition={}", listing.coordinator_partition),
        format!("members={}", members.len()),
        format!("lag={}", standing.lag_in_words()),
    ])
}

fn places(standing: &Standing) -> Table {
    let columns = [
        Column::Left("TOPIC"),
        Column::Right("PARTITION"),
        Column::Right("COMMITTED"),
        Column::Right("END"),
        Column::Right("LAG"),
        Column::Right("BEHIND"),
        Column::Left("MEMBER"),
        Column::Left("HOST"),
    ];
    let mut table = Table::new(&columns);
    let nothing = || Cell::Text("-".to_owned());
    for place in &standing.places {
        let (member, host) = place.member.clone().unwrap_or_else(|| ("-".to_owned(), String::new()));
        table.row([
            Cell::Text(place.topic.clone()),
            Cell::Text(place.partition.to_string()),
            place.committed.map_or_else(nothing, Cell::count),
            Cell::count(place.end),
            Cell::count(place.lag()),
            place.behind_ms.map_or_else(nothing, |ms| Cell::Both(duration_in_words(ms), ms.to_string())),
            Cell::Text(member),
            Cell::Text(if host.is_empty() { "-".to_owned() } else { host }),
        ]);
    }
    table
}

fn members(group: &Group) -> Table {
    let columns = [
        Column::Left("MEMBER"),
        Column::Left("INSTANCE"),
        Column::Left("CLIENT"),
        Column::Left("HOST"),
        Column::Right("EPOCH"),
        Column::Left("ASSIGNED"),
        Column::Left("REVOKED"),
    ];
    let mut table = Table::new(&columns);
    let or_none = |text: &str| Cell::Text(if text.is_empty() { "-".to_owned() } else { text.to_owned() });
    for member in &group.members {
        table.row([
            Cell::Text(member.member_id.clone()),
            or_none(&member.instance_id),
            or_none(&member.client_id),
            or_none(&member.host),
            Cell::count(member.member_epoch),
            or_none(&names(&member.assigned)),
            or_none(&names(&member.revoked)),
        ]);
    }
    table
}

/// Partitions by topic: `orders:0,3 payments:1`.
fn names(partitions: &[(String, i32)]) -> String {
    let of_topic = |chunk: &[(String, i32)]| {
        let numbers: Vec<String> = chunk.iter().map(|(_, number)| number.to_string()).collect();
        format!("{}:{}", chunk[0].0, numbers.join(","))
    };
    let topics: Vec<String> = partitions.chunk_by(|a, b| a.0 == b.0).map(of_topic).collect();
    topics.join(" ")
}

fn as_json(standing: &Standing) -> Value {
    let mut document = listing_json(&standing.group.listing);
    document["epoch"] = json!(standing.group.epoch);
    document["assignor"] = json!(standing.group.assignor);
    document["lag"] = json!(standing.lag());
    document["behind_ms"] = json!(standing.behind_ms());
    document["partitions"] = standing.places.iter().map(super::standing::Place::as_json).collect();
    document["members"] = standing.group.members.iter().map(member_json).collect();
    document
}

fn member_json(member: &GroupMember) -> Value {
    let place = |(topic, partition): &(String, i32)| json!({ "topic": topic, "partition": partition });
    json!({
        "member_id": member.member_id,
        "instance_id": member.instance_id,
        "client_id": member.client_id,
        "host": member.host,
        "member_epoch": member.member_epoch,
        "topics": member.topics,
        "pattern": member.pattern,
        "assigned": member.assigned.iter().map(place).collect::<Vec<_>>(),
        "revoked": member.revoked.iter().map(place).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_named_by_topic() {
        let of = |topic: &str, number| (topic.to_owned(), number);
        assert_eq!(names(&[of("a", 0), of("a", 3), of("b", 1)]), "a:0,3 b:1");
        assert_eq!(names(&[]), "");
    }
}

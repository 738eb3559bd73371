//! `weir group reset-offsets`: first the plan, then, with `--execute`, the change.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use serde_json::{Map, Value, json};

use super::args::ResetArgs;
use super::selection::Selection;
use super::standing::active_members;
use crate::base::{Error, ErrorKind, Offset};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, in_words, no_partition};
use crate::cli::offset::{Bounds, Place, parse_place};
use crate::cli::output::{Cell, Column, Form, Table, error_json, form, print, print_document, print_error};
use crate::client::{Admin, At};

/// Topic and partition.
type Name = (String, i32);

/// Where the group is to go on in one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Move {
    name: Name,
    current: Option<Offset>,
    new: Offset,
}

/// Plans, and with `--execute` acts.
pub(super) async fn run(context: &Context, admin: &Admin, args: &ResetArgs) -> Result<Exit, Failure> {
    let place = args.to.as_deref().map(|text| parse_place(text, context.now_ms()));
    let place = place.transpose().map_err(|error| Failure::usage(format!("--to: {error}")))?;
    let current = offsets_of(admin, &args.group).await?;
    let new = match (place, &args.to_group, &args.to_file) {
        (Some(place), _, _) => resolve(admin, args, &current, place).await?,
        (_, Some(group), _) => chosen(args, offsets_of(admin, group).await?),
        (_, _, Some(path)) => chosen(args, read_places(path)?),
        _ => unreachable!("one of the three is required"),
    };
    if new.is_empty() {
        return Err(Failure::failed(format!(
            "group '{}': there is nothing to set{}",
            args.group,
            why_nothing(args)
        )));
    }
    let plan: Vec<Move> =
        new.into_iter().map(|(name, new)| Move { current: current.get(&name).copied(), name, new }).collect();
    let busy = busy_members(admin, &args.group).await?;
    if !args.execute {
        return show_plan(context, args, &plan, busy);
    }
    if let Some(members) = busy {
        let message = format!("group '{}' has {members}; stop them first", args.group);
        return Err(Error::new(ErrorKind::GroupNotEmpty, message).into());
    }
    execute(context, admin, args, &plan).await
}

/// Why a source gave no place.
fn why_nothing(args: &ResetArgs) -> String {
    let chosen = if args.topics.is_empty() { "" } else { " in what -t names" };
    match (&args.to_group, &args.to_file) {
        (Some(group), _) => {
            format!(": group '{group}' has no offset{chosen}; `weir group list` lists the groups")
        }
        (_, Some(file)) => format!(": {file} names no place{chosen}; its lines are topic,partition,offset"),
        _ => "; name topics with -t TOPIC".to_owned(),
    }
}

async fn offsets_of(admin: &Admin, group: &str) -> Result<BTreeMap<Name, Offset>, Failure> {
    let found = admin.group_offsets(group).await?;
    Ok(found.into_iter().map(|found| ((found.topic, found.partition), found.offset)).collect())
}

fn chosen(args: &ResetArgs, mut offsets: BTreeMap<Name, Offset>) -> BTreeMap<Name, Offset> {
    offsets.retain(|(topic, partition), _| Selection::choose(&args.topics, topic, *partition));
    offsets
}

/// One place in every partition that is named, or else in all of the topics that the group has an offset for.
async fn resolve(
    admin: &Admin,
    args: &ResetArgs,
    current: &BTreeMap<Name, Offset>,
    place: Place,
) -> Result<BTreeMap<Name, Offset>, Failure> {
    let named = args.topics.iter().map(|selection| selection.topic.as_str());
    let all = current.keys().map(|(topic, _)| topic.as_str()).filter(|_| args.topics.is_empty());
    let topics: BTreeSet<&str> = named.chain(all).collect();
    let mut offsets = BTreeMap::new();
    for name in topics {
        let topic = admin.describe_topic(name).await?;
        let count = topic.partitions.len();
        let wanted = args.topics.iter().filter(|selection| selection.topic == name);
        if let Some(wrong) =
            wanted.flat_map(|selection| &selection.partitions).find(|number| **number as usize >= count)
        {
            return Err(no_partition(name, *wrong, count).into());
        }
        let is_chosen = |number: i32| Selection::choose(&args.topics, name, number);
        let partitions: Vec<_> =
            topic.partitions.iter().filter(|partition| is_chosen(partition.partition)).collect();
        let mut found = vec![None; partitions.len()];
        if let Some(timestamp) = place.timestamp() {
            let places = partitions.iter().map(|partition| (partition.partition, At::Timestamp(timestamp)));
            let listed = admin.list_offsets(name, places).await?;
            found = listed.into_iter().map(|listed| Ok(listed?.offset)).collect::<Result<_, Error>>()?;
        }
        for (partition, found) in partitions.into_iter().zip(found) {
            let bounds = Bounds { start: partition.log_start_offset, end: partition.high_watermark };
            let offset = place.resolve(bounds, found);
            if !(bounds.start..=bounds.end).contains(&offset) {
                return Err(out_of_range(name, partition.partition, offset, bounds).into());
            }
            offsets.insert((name.to_owned(), partition.partition), offset);
        }
    }
    Ok(offsets)
}

/// A group that stood there would read nothing.
fn out_of_range(topic: &str, partition: i32, offset: Offset, bounds: Bounds) -> Error {
    let Bounds { start, end } = bounds;
    let message = format!(
        "topic '{topic}', partition {partition}: offset {offset} is out of range: it begins at {start} and ends at {end}"
    );
    Error::new(ErrorKind::OffsetOutOfRange, message)
}

/// Lines of topic,partition,offset.
#[allow(clippy::disallowed_methods, reason = "a file that the user names, not the broker's disk")]
fn read_places(path: &str) -> Result<BTreeMap<Name, Offset>, Failure> {
    let mut text = String::new();
    let read = match path {
        "-" => std::io::stdin().read_to_string(&mut text),
        path => std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text)),
    };
    read.map_err(|error| Failure::failed(format!("--to-file: can't read {path}: {error}")))?;
    parse_places(&text).map_err(|error| Failure::usage(format!("--to-file: {path}: {error}")))
}

fn parse_places(text: &str) -> Result<BTreeMap<Name, Offset>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let place = |(at, line): (usize, &str)| {
        let wrong = || format!("line {}: '{line}' is not topic,partition,offset", at + 1);
        let words: Vec<&str> = line.split(',').map(str::trim).collect();
        let &[topic, partition, offset] = words.as_slice() else { return Err(wrong()) };
        let partition =
            partition.parse::<i32>().ok().filter(|partition| *partition >= 0).ok_or_else(wrong)?;
        let offset = offset.parse::<Offset>().ok().filter(|offset| *offset >= 0).ok_or_else(wrong)?;
        if topic.is_empty() { Err(wrong()) } else { Ok(((topic.to_owned(), partition), offset)) }
    };
    lines.map(place).collect()
}

/// Who is in the way of a change. A group that does not exist has nobody.
async fn busy_members(admin: &Admin, group: &str) -> Result<Option<String>, Failure> {
    match admin.describe_group(group).await {
        Ok(group) => Ok(active_members(&group)),
        Err(error) if error.kind == ErrorKind::GroupNotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn show_plan(
    context: &Context,
    args: &ResetArgs,
    plan: &[Move],
    busy: Option<String>,
) -> Result<Exit, Failure> {
    if context.global.json {
        let moves: Vec<Value> = plan.iter().map(|one| move_json(one, &Ok(()))).collect();
        print_all(args, moves)?;
    } else {
        let is_table = matches!(form(), Form::Table | Form::Wide);
        let head = if is_table { "plan (nothing changed yet):\n" } else { "" };
        print(format!("{head}{}", table(plan).print()))?;
    }
    match busy {
        Some(members) => {
            context.hint(&format!("cannot execute now: group has {members}. Stop them, then add --execute."))
        }
        None => context.hint("Add --execute to carry it out."),
    }
    Ok(Exit::Done)
}

async fn execute(context: &Context, admin: &Admin, args: &ResetArgs, plan: &[Move]) -> Result<Exit, Failure> {
    let offsets = plan.iter().map(|one| (one.name.0.clone(), one.name.1, one.new));
    let changed = admin.reset_offsets(&args.group, offsets).await?;
    let mut exit = Exit::Done;
    let (mut done, mut moves) = (Vec::new(), Vec::new());
    for (one, changed) in plan.iter().zip(changed) {
        if let Err(error) = &changed.result {
            print_error(&in_words(error));
            exit = exit.and(Exit::of(error.kind));
        } else {
            done.push(one.clone());
        }
        moves.push(move_json(one, &changed.result));
    }
    if context.global.json {
        print_all(args, moves)?;
    } else {
        let is_table = matches!(form(), Form::Table | Form::Wide);
        let head = if is_table { format!("reset {}:\n", args.group) } else { String::new() };
        print(head + &table(&done).print())?;
    }
    Ok(exit)
}

fn print_all(args: &ResetArgs, moves: Vec<Value>) -> Result<(), Failure> {
    let fields = [
        ("group".to_owned(), json!(args.group)),
        ("executed".to_owned(), json!(args.execute)),
        ("partitions".to_owned(), json!(moves)),
    ];
    print_document("group reset-offsets", Map::from_iter(fields))
}

fn table(plan: &[Move]) -> Table {
    let columns = [
        Column::Left("TOPIC"),
        Column::Right("PARTITION"),
        Column::Right("CURRENT"),
        Column::Left("->"),
        Column::Right("NEW"),
        Column::Right("DELTA"),
    ];
    let mut table = Table::new(&columns);
    let nothing = || Cell::Text("-".to_owned());
    for one in plan {
        table.row([
            Cell::Text(one.name.0.clone()),
            Cell::Text(one.name.1.to_string()),
            one.current.map_or_else(nothing, Cell::count),
            Cell::Text(String::new()),
            Cell::count(one.new),
            one.current.map_or_else(nothing, |current| Cell::count(one.new - current)),
        ]);
    }
    table
}

fn move_json(one: &Move, result: &Result<(), Error>) -> Value {
    let mut document = json!({
        "topic": one.name.0,
        "partition": one.name.1,
        "current": one.current,
        "new": one.new,
    });
    if let Err(error) = result {
        document["error"] = error_json(error);
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_tells_where_from_and_where_to() {
        let one = |partition, current, new| Move { name: ("orders".to_owned(), partition), current, new };
        assert_eq!(
            table(&[one(0, Some(1_200), 310), one(1, None, 7)]).print(),
            "\
TOPIC   PARTITION  CURRENT  ->  NEW  DELTA
orders          0    1,200      310   -890
orders          1        -        7      -
"
        );
    }

    #[test]
    fn places_are_read_from_lines() {
        let read = parse_places("orders,0,5\n\n orders , 1 , 6 \n").expect("fine");
        assert_eq!(
            read.into_iter().collect::<Vec<_>>(),
            [(("orders".to_owned(), 0), 5), (("orders".to_owned(), 1), 6)]
        );
        for wrong in ["orders", "orders,0", "orders,x,5", "orders,0,-5", ",0,5", "a,0,5,6"] {
            assert_eq!(
                parse_places(wrong).unwrap_err(),
                format!("line 1: '{wrong}' is not topic,partition,offset")
            );
        }
    }
}

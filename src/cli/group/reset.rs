//! `weir group reset-offsets`: first the plan, then, with `--execute`, the change.

use serde_json::{Map, Value, json};

use super::args::ResetArgs;
use super::places::{Name, Source, offsets_of};
use super::standing::active_members;
use crate::base::limits::REQUEST_ITEMS_MAX;
use crate::base::{Error, ErrorKind, Offset};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, in_words};
use crate::cli::output::{
    Cell, Column, Form, Table, error_json, form, print, print_document, print_error, thousands,
};
use crate::client::Admin;

/// Where the group is to go on in one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Move {
    name: Name,
    current: Option<Offset>,
    new: Offset,
}

impl Move {
    /// An error of it; where the reply had no room for words, what the reason means.
    fn in_words(&self, error: &Error) -> String {
        if !error.message.is_empty() {
            return in_words(error);
        }
        let ((topic, partition), row) = (&self.name, error.kind.row());
        format!("partition {partition} of topic '{topic}': {}   [{}]", row.advice, row.reason)
    }
}

/// Plans, and with `--execute` acts.
pub(super) async fn run(context: &Context, admin: &Admin, args: &ResetArgs) -> Result<Exit, Failure> {
    let source = Source::of(args, context.now_ms())?;
    let current = offsets_of(admin, &args.group).await?;
    let new = source.places(admin, args, &current).await?;
    if new.is_empty() {
        return Err(Failure::failed(format!(
            "group '{}': there is nothing to set{}",
            args.group,
            why_nothing(args)
        )));
    }
    check_count(args, new.len())?;
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
        print_all(args, false, moves)?;
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
    let results: Vec<Result<(), Error>> = changed.into_iter().map(|changed| changed.result).collect();
    let mut exit = Exit::Done;
    for (one, error) in wrong(plan, &results) {
        print_error(&one.in_words(error));
        exit = exit.and(Exit::of(error.kind));
    }
    // All are set, or none.
    let are_set = results.iter().all(Result::is_ok);
    if context.global.json {
        let moves = plan.iter().zip(&results).map(|(one, result)| move_json(one, result));
        print_all(args, are_set, moves.collect())?;
    } else if are_set {
        let is_table = matches!(form(), Form::Table | Form::Wide);
        let head = if is_table { format!("reset {}:\n", args.group) } else { String::new() };
        print(head + &table(plan).print())?;
    }
    Ok(exit)
}

/// The places that are wrong. Those that were left beside them have errors too, which count the wrong ones.
fn wrong<'a>(
    plan: &'a [Move],
    results: &'a [Result<(), Error>],
) -> impl Iterator<Item = (&'a Move, &'a Error)> {
    let failed = plan.iter().zip(results).filter_map(|(one, result)| Some((one, result.as_ref().err()?)));
    failed.filter(|(_, error)| !error.metadata.contains_key("wrong"))
}

/// Errors: there are more places than can be set together.
fn check_count(args: &ResetArgs, places: usize) -> Result<(), Failure> {
    if places <= REQUEST_ITEMS_MAX {
        return Ok(());
    }
    let [places, most] = [places, REQUEST_ITEMS_MAX].map(|count| thousands(count as i64));
    Err(Failure::failed(format!(
        "group '{}': these are {places} partitions, and at most {most} are set together, all or none; \
         set one topic at a time with -t TOPIC",
        args.group
    )))
}

fn print_all(args: &ResetArgs, executed: bool, moves: Vec<Value>) -> Result<(), Failure> {
    let fields = [
        ("group".to_owned(), json!(args.group)),
        ("executed".to_owned(), json!(executed)),
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

    fn one(partition: i32) -> Move {
        Move { name: ("orders".to_owned(), partition), current: None, new: 7 }
    }

    #[test]
    fn only_what_is_wrong_is_told_of_a_reset_that_set_nothing() {
        let plan: Vec<Move> = (0..3).map(one).collect();
        let left = || Err(Error::new(ErrorKind::InvalidRequest, "not set").with("wrong", 2));
        let out_of_range = Error::new(ErrorKind::OffsetOutOfRange, "it holds offsets 0 to 5");
        let without_words = Error::new(ErrorKind::TopicNotFound, "");
        let results = [Err(out_of_range), left(), Err(without_words)];
        let told: Vec<String> = wrong(&plan, &results).map(|(one, error)| one.in_words(error)).collect();
        assert_eq!(
            told,
            [
                "it holds offsets 0 to 5   [OFFSET_OUT_OF_RANGE]",
                "partition 2 of topic 'orders': create the topic, or correct the name   [TOPIC_NOT_FOUND]"
            ]
        );
    }

    #[test]
    fn more_partitions_than_are_set_together_are_set_topic_by_topic() {
        use clap::Parser as _;

        use crate::cli::args::{Cli, Command};
        use crate::cli::group::args::GroupCommand;

        let cli = Cli::try_parse_from("weir group reset-offsets g --to start".split(' ')).expect("parses");
        let Command::Group(group) = cli.command else { panic!("not group") };
        let GroupCommand::ResetOffsets(args) = group.command else { panic!("not reset-offsets") };
        assert!(check_count(&args, REQUEST_ITEMS_MAX).is_ok());
        let refused = check_count(&args, 12_000).expect_err("too many").in_words();
        let words = "group 'g': these are 12,000 partitions, and at most 10,000 are set together, all or none; \
                     set one topic at a time with -t TOPIC";
        assert_eq!(refused, words);
    }

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
}

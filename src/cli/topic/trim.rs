//! `weir topic trim`.

use serde_json::{Map, Value, json};

use super::args::TrimArgs;
use super::found::report;
use crate::base::{Error, Offset};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, no_partition};
use crate::cli::offset::{Bounds, Place, parse_place};
use crate::cli::output::{Cell, Column, Form, Table, error_json, form, print, print_document};
use crate::client::{Admin, At, Partition, Topic};

/// What is to become of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cut {
    partition: i32,
    start: Offset,
    to: Offset,
}

/// What became of it.
struct Trimmed {
    cut: Cut,
    new_start: Result<Offset, Error>,
}

/// Removes the records below an offset from the partitions of a topic.
pub(super) async fn run(context: &Context, admin: &Admin, args: &TrimArgs) -> Result<Exit, Failure> {
    let place =
        parse_place(&args.to, context.now_ms()).map_err(|error| Failure::usage(format!("--to: {error}")))?;
    let topic = admin.describe_topic(&args.name).await?;
    let cuts = plan(admin, &topic, &args.partitions, place).await?;
    let trimmed = apply(admin, args, &cuts).await?;
    if context.global.json {
        let results: Vec<Value> = trimmed.iter().map(trimmed_json).collect();
        let fields = [
            ("topic".to_owned(), json!(args.name)),
            ("dry_run".to_owned(), json!(args.dry_run)),
            ("partitions".to_owned(), json!(results)),
        ];
        print_document("topic trim", Map::from_iter(fields))?;
    } else {
        let has_worked = trimmed.iter().any(|trimmed| trimmed.new_start.is_ok());
        let verb = match args.dry_run {
            _ if !has_worked => "can't trim",
            true => "would trim",
            false => "trimmed",
        };
        let is_table = matches!(form(), Form::Table | Form::Wide);
        let head = if is_table { format!("{verb} {}:\n", args.name) } else { String::new() };
        print(head + &table(&trimmed).print())?;
    }
    if args.dry_run && trimmed.iter().any(|trimmed| trimmed.new_start.is_ok()) {
        context.hint("Run again without --dry-run to apply.");
    }
    Ok(report(trimmed.iter().filter_map(|trimmed| trimmed.new_start.as_ref().err())))
}

/// The offset to trim to, for each partition chosen.
async fn plan(admin: &Admin, topic: &Topic, chosen: &[i32], place: Place) -> Result<Vec<Cut>, Failure> {
    let partitions = select(topic, chosen)?;
    let mut found = vec![None; partitions.len()];
    if let Some(timestamp) = place.timestamp() {
        let places = partitions.iter().map(|partition| (partition.partition, At::Timestamp(timestamp)));
        let listed = admin.list_offsets(&topic.name, places).await?;
        found = listed.into_iter().map(|listed| Ok(listed?.offset)).collect::<Result<_, Error>>()?;
    }
    let cut = |(partition, found): (&Partition, Option<Offset>)| {
        let bounds = Bounds { start: partition.log_start_offset, end: partition.high_watermark };
        Cut { partition: partition.partition, start: bounds.start, to: place.resolve(bounds, found) }
    };
    Ok(partitions.into_iter().zip(found).map(cut).collect())
}

fn select<'a>(topic: &'a Topic, chosen: &[i32]) -> Result<Vec<&'a Partition>, Failure> {
    if let Some(wrong) = chosen.iter().find(|chosen| **chosen as usize >= topic.partitions.len()) {
        return Err(no_partition(&topic.name, *wrong, topic.partitions.len()).into());
    }
    let is_chosen = |partition: &&Partition| chosen.is_empty() || chosen.contains(&partition.partition);
    Ok(topic.partitions.iter().filter(is_chosen).collect())
}

async fn apply(admin: &Admin, args: &TrimArgs, cuts: &[Cut]) -> Result<Vec<Trimmed>, Failure> {
    let request = admin.trim_topic(&args.name, cuts.iter().map(|cut| (cut.partition, cut.to)));
    let answers = if args.dry_run { request.validate_only() } else { request }.await?;
    let trimmed = answers.into_iter().filter_map(|answer| {
        let cut = cuts.iter().find(|cut| cut.partition == answer.partition)?;
        Some(Trimmed { cut: *cut, new_start: answer.log_start_offset })
    });
    Ok(trimmed.collect())
}

fn table(trimmed: &[Trimmed]) -> Table {
    let columns = ["PARTITION", "START", "NEW-START", "REMOVED"];
    let mut table = Table::new(&columns.map(Column::Right));
    for Trimmed { cut, new_start } in trimmed {
        let (new, removed) = match new_start {
            Ok(new) => (Cell::count(*new), Cell::count(new - cut.start)),
            Err(_) => (Cell::Text("failed".to_owned()), Cell::Text("-".to_owned())),
        };
        table.row([Cell::Text(cut.partition.to_string()), Cell::count(cut.start), new, removed]);
    }
    table
}

fn trimmed_json(trimmed: &Trimmed) -> Value {
    let Trimmed { cut, new_start } = trimmed;
    match new_start {
        Ok(new) => json!({ "partition": cut.partition, "log_start_offset": new, "removed": new - cut.start }),
        Err(error) => json!({ "partition": cut.partition, "error": error_json(error) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_tells_what_went() {
        let cut = |partition| Cut { partition, start: 1_000, to: 3_500 };
        let trimmed = [
            Trimmed { cut: cut(0), new_start: Ok(3_500) },
            Trimmed {
                cut: cut(1),
                new_start: Err(Error::new(crate::base::ErrorKind::StorageError, "offline")),
            },
        ];
        assert_eq!(
            table(&trimmed).print(),
            "\
PARTITION  START  NEW-START  REMOVED
        0  1,000      3,500    2,500
        1  1,000     failed        -
"
        );
    }
}

//! `weir group lag`: how far groups are behind, for people and for checks.

use serde_json::{Map, Value, json};

use super::args::LagArgs;
use super::standing::{Standing, look_up_all};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Cell, Column, Table, duration_in_words, print, print_document};
use crate::client::Client;

/// Shows the lag, or holds it against limits.
pub(super) async fn run(context: &Context, client: &Client, args: &LagArgs) -> Result<Exit, Failure> {
    refuse_crossed(args.warn, args.crit)?;
    let found = look_up_all(client, &args.groups, context.now_ms()).await;
    if context.global.json {
        let groups: Vec<Value> = found.standings.iter().map(as_json).collect();
        let fields = [("groups".to_owned(), json!(groups)), ("errors".to_owned(), found.errors_json())];
        print_document("group lag", Map::from_iter(fields))?;
    }
    if args.warn.is_some() || args.crit.is_some() {
        let told = found
            .standings
            .iter()
            .map(|standing| (standing.group.listing.name.clone(), standing.lag(), standing.lag_in_words()));
        let (line, exit) = check(&told.collect::<Vec<_>>(), &found.unknown(), (args.warn, args.crit));
        if !context.global.json {
            print(line)?;
        }
        return Ok(exit);
    }
    if !context.global.json && !found.standings.is_empty() {
        print(table(&found.standings).print())?;
    }
    Ok(found.report())
}

/// A lag that is critical before it is worth a warning is a mistake, most likely of which is which.
fn refuse_crossed(warn: Option<i64>, crit: Option<i64>) -> Result<(), Failure> {
    match (warn, crit) {
        (Some(warn), Some(crit)) if warn > crit => Err(Failure::usage(format!(
            "--warn {warn} is above --crit {crit}, so nothing would be a warning; give --warn the smaller one"
        ))),
        _ => Ok(()),
    }
}

/// The line and code of a check, in the words of Nagios. WHY other names of codes: Nagios gave these numbers their own meaning.
fn check(
    groups: &[(String, i64, String)],
    unknown: &[String],
    (warn, crit): (Option<i64>, Option<i64>),
) -> (String, Exit) {
    let is_over =
        |limit: Option<i64>| groups.iter().any(|(_, lag, _)| limit.is_some_and(|limit| *lag >= limit));
    let (word, exit) = if is_over(crit) {
        ("CRITICAL", Exit::Usage)
    } else if is_over(warn) {
        ("WARNING", Exit::Failed)
    } else if !unknown.is_empty() {
        ("UNKNOWN", Exit::Unreachable)
    } else {
        ("OK", Exit::Done)
    };
    let lags = groups.iter().map(|(name, _, words)| format!("{name} lag {words}"));
    let told: Vec<String> = lags.chain(unknown.iter().cloned()).collect();
    (format!("{word}: {}\n", told.join("; ")), exit)
}

fn table(standings: &[Standing]) -> Table {
    let columns =
        [Column::Left("GROUP"), Column::Right("LAG"), Column::Right("BEHIND"), Column::Right("PARTITIONS")];
    let mut table = Table::new(&columns);
    for standing in standings {
        table.row([
            Cell::Text(standing.group.listing.name.clone()),
            Cell::count(standing.lag()),
            match standing.behind_ms() {
                Some(ms) => Cell::Both(duration_in_words(ms), ms.to_string()),
                None => Cell::Text("-".to_owned()),
            },
            Cell::count(standing.places.len() as i64),
        ]);
    }
    table
}

fn as_json(standing: &Standing) -> Value {
    json!({
        "group": standing.group.listing.name,
        "lag": standing.lag(),
        "behind_ms": standing.behind_ms(),
        "partitions": standing.places.iter().map(super::standing::Place::as_json).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_codes_are_those_of_nagios() {
        let groups = [("billing".to_owned(), 131, "131 (oldest unread 4.2s)".to_owned())];
        for (limits, unknown, word, code) in [
            ((Some(1_000), None), vec![], "OK", 0),
            ((Some(131), Some(1_000)), vec![], "WARNING", 1),
            ((Some(1), Some(131)), vec!["gone".to_owned()], "CRITICAL", 2),
            ((Some(1_000), None), vec!["gone".to_owned()], "UNKNOWN", 3),
        ] {
            let (line, exit) = check(&groups, &unknown, limits);
            assert!(line.starts_with(&format!("{word}: billing lag 131 (oldest unread 4.2s)")), "{line}");
            assert_eq!(exit as u8, code);
        }
    }
}

//! Where to begin and to stop in each partition, looked up when the command starts.

use std::sync::Arc;

use super::args::ConsumeArgs;
use super::goal::Reach;
use crate::base::{Error, ErrorKind, Offset};
use crate::cli::exit::{Failure, no_partition};
use crate::cli::global::is_glob;
use crate::cli::offset::{Bounds, Place, Span, parse_span};
use crate::client::{Admin, At, Topic};

/// A partition to read.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) reach: Reach,
}

/// What to read, and what can't be read.
#[derive(Default, Debug)]
pub(super) struct Plan {
    pub(super) partitions: Vec<Planned>,
    pub(super) errors: Vec<Error>,
}

/// What the arguments ask for.
///
/// Errors: usage, with the words, the reason and the forms.
pub(super) fn span(args: &ConsumeArgs, now_ms: i64) -> Result<Span, Failure> {
    if let Some(count) = args.tail {
        return Ok(Span { from: Place::BeforeEnd(count), to: None });
    }
    if args.from_beginning || (args.offset.is_empty() && args.exit) {
        return Ok(Span { from: Place::Start, to: None });
    }
    parse_span(&args.offset, now_ms).map_err(|error| Failure::usage(format!("-o: {error}")))
}

/// Looks every partition up.
///
/// Errors: no topic could be found at all; single topics and partitions that fail are in [`Plan::errors`].
pub(super) async fn plan(admin: &Admin, args: &ConsumeArgs, span: Span) -> Result<Plan, Failure> {
    let mut plan = Plan::default();
    for name in &args.topics {
        if is_glob(name) {
            let topics = admin.list_topics().matching(name).await?;
            if topics.is_empty() {
                plan.errors.push(no_match(name));
            }
            for topic in topics {
                add(admin, args, span, topic, &mut plan).await?;
            }
            continue;
        }
        match admin.describe_topic(name).await {
            Ok(topic) => add(admin, args, span, topic, &mut plan).await?,
            Err(error) if error.kind == ErrorKind::TopicNotFound => plan.errors.push(error),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(plan)
}

async fn add(
    admin: &Admin,
    args: &ConsumeArgs,
    span: Span,
    topic: Topic,
    plan: &mut Plan,
) -> Result<(), Failure> {
    let name: Arc<str> = topic.name.as_str().into();
    let count = topic.partitions.len();
    let wrong = args.partitions.iter().filter(|partition| **partition as usize >= count);
    plan.errors.extend(wrong.map(|partition| no_partition(&name, *partition, count)));
    let mut online = Vec::new();
    for partition in topic.partitions {
        let is_chosen = args.partitions.is_empty() || args.partitions.contains(&partition.partition);
        match partition.error {
            _ if !is_chosen => {}
            Some(error) => plan.errors.push(error),
            None => online.push((
                partition.partition,
                Bounds { start: partition.log_start_offset, end: partition.high_watermark },
            )),
        }
    }
    let numbers: Vec<i32> = online.iter().map(|(number, _)| *number).collect();
    let from = found(admin, &name, &numbers, Some(span.from)).await?;
    let to = found(admin, &name, &numbers, span.to).await?;
    for (at, (partition, bounds)) in online.into_iter().enumerate() {
        if let Some(error) = out_of_range(&name, partition, span.from, bounds) {
            plan.errors.push(error);
            continue;
        }
        let reach = reach(span, args.exit, bounds, (from[at], to[at]));
        plan.partitions.push(Planned { topic: name.clone(), partition, reach });
    }
    Ok(())
}

/// An offset that the partition never had or has no more is a mistake: nothing is skipped in silence.
fn out_of_range(topic: &str, partition: i32, from: Place, bounds: Bounds) -> Option<Error> {
    let Place::At(offset) = from else { return None };
    if (bounds.start..=bounds.end).contains(&offset) {
        return None;
    }
    let Bounds { start, end } = bounds;
    let message = format!(
        "topic '{topic}', partition {partition}: offset {offset} is out of range: it begins at {start} and ends at {end}; \
         -o start and -o end are always there"
    );
    let error = Error::new(ErrorKind::OffsetOutOfRange, message);
    Some(error.with("offset", offset).with("start", start).with("end", end))
}

/// The offsets of a place that is a time; nothing for other places.
async fn found(
    admin: &Admin,
    topic: &str,
    partitions: &[i32],
    place: Option<Place>,
) -> Result<Vec<Option<Offset>>, Failure> {
    match place.and_then(Place::timestamp) {
        None => Ok(vec![None; partitions.len()]),
        Some(timestamp) => {
            let places = partitions.iter().map(|partition| (*partition, At::Timestamp(timestamp)));
            let listed = admin.list_offsets(topic, places).await?;
            Ok(listed.into_iter().map(|listed| Ok(listed?.offset)).collect::<Result<_, Error>>()?)
        }
    }
}

/// Where one partition begins and stops. With `-e` nothing behind the present end is waited for.
fn reach(span: Span, exit: bool, bounds: Bounds, found: (Option<Offset>, Option<Offset>)) -> Reach {
    let stop = span.to.map(|to| to.resolve(bounds, found.1));
    let at_end = exit.then_some(bounds.end);
    let stop = match (stop, at_end) {
        (Some(stop), Some(end)) => Some(stop.min(end)),
        (stop, end) => stop.or(end),
    };
    Reach { from: span.from.resolve(bounds, found.0), stop, end: bounds.end }
}

/// The error for a pattern of names that none has.
pub(super) fn no_match(pattern: &str) -> Error {
    let message = format!("no topic matches '{pattern}'; `weir topic list` shows all");
    Error::new(ErrorKind::TopicNotFound, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { start: 10, end: 20 };

    fn reach_of(words: &str, exit: bool, found: (Option<i64>, Option<i64>)) -> (i64, Option<i64>) {
        let span = parse_span(&[words.to_owned()], 0).expect(words);
        let reach = reach(span, exit, BOUNDS, found);
        assert_eq!(reach.end, 20);
        (reach.from, reach.stop)
    }

    #[test]
    fn spans_become_offsets() {
        for (words, exit, expected) in [
            ("start", false, (10, None)),
            ("start", true, (10, Some(20))),
            ("end", false, (20, None)),
            ("end", true, (20, Some(20))),
            ("-3", true, (17, Some(20))),
            ("-300", false, (10, None)),
            ("12:15", false, (12, Some(15))),
            ("12:15", true, (12, Some(15))),
            ("12:99", false, (12, Some(99))),
            ("12:99", true, (12, Some(20))),
            (":end", false, (10, Some(20))),
            ("-5:-2", false, (15, Some(18))),
            ("5", true, (5, Some(20))),
        ] {
            assert_eq!(reach_of(words, exit, (None, None)), expected, "{words}");
        }
    }

    #[test]
    fn an_offset_outside_is_an_error_and_every_other_place_is_not() {
        let out = |from| out_of_range("t", 3, from, BOUNDS).map(|error| error.kind);
        assert_eq!(out(Place::At(9)), Some(ErrorKind::OffsetOutOfRange));
        assert_eq!(out(Place::At(10)), None);
        assert_eq!(out(Place::At(20)), None, "the end is where the next record will be");
        assert_eq!(out(Place::At(21)), Some(ErrorKind::OffsetOutOfRange));
        assert_eq!(out(Place::BeforeEnd(500)), None);
    }

    #[test]
    fn times_are_where_the_search_found_them() {
        assert_eq!(reach_of("@5:7", false, (Some(12), Some(14))), (12, Some(14)));
        assert_eq!(
            reach_of("@5:7", false, (Some(12), None)),
            (12, Some(20)),
            "no later record: up to the end"
        );
        assert_eq!(reach_of("@5", false, (None, None)), (20, None));
    }

    #[test]
    fn the_default_is_the_end_or_with_e_everything() {
        use clap::Parser;

        use crate::cli::args::{Cli, Command};
        let span_of = |line: &str| {
            let cli = Cli::try_parse_from(line.split(' ')).expect(line);
            let Command::Consume(args) = cli.command else { panic!("not consume") };
            span(&args, 0)
        };
        assert_eq!(span_of("weir consume t").expect("fine").from, Place::End);
        assert_eq!(span_of("weir consume t -e").expect("fine").from, Place::Start);
        assert_eq!(span_of("weir consume t --tail 5").expect("fine").from, Place::BeforeEnd(5));
        let failure = span_of("weir consume t -o strat").expect_err("a typing mistake");
        assert_eq!(failure.exit, crate::cli::exit::Exit::Usage);
        assert!(
            failure.message.starts_with("-o: 'strat' is not an offset: did you mean 'start'?\n  the forms")
        );
    }
}

//! `weir log segments`: what partitions consist of, as the broker that holds them tells.

use std::future::IntoFuture;

use serde_json::{Map, Value, json};

use super::args::SegmentsArgs;
use crate::base::{Error, Offset, Timestamp};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, in_words};
use crate::cli::output::{Cell, Column, Table, count, error_json, print, print_document, print_error};
use crate::cli::progress::with_progress;
use crate::client::{PartitionSegments, Segment, SegmentState};

/// Asks the broker and prints a line for each segment. A partition that can't be told is an error of its own.
pub(super) async fn run(context: &Context, args: &SegmentsArgs) -> Result<Exit, Failure> {
    let admin = context.client().await?.admin();
    let chosen = args.partitions.iter().copied().chain(args.topic.partition);
    let asked = admin.list_segments(&args.topic.name).partitions(chosen).into_future();
    let found = with_progress(context, asked).await?;
    if context.global.json {
        let partitions: Vec<Value> = found.iter().map(partition_json).collect();
        let fields = [("topic", json!(args.topic.name)), ("partitions", json!(partitions))];
        let fields = fields.map(|(key, value)| (key.to_owned(), value));
        print_document("log segments", Map::from_iter(fields))?;
    } else if found.iter().any(|partition| !partition.segments.is_empty()) {
        print(table(&found).print())?;
    }
    let errors = found.iter().filter_map(|partition| partition.error.as_ref());
    let exit = errors.map(report).fold(Exit::Done, Exit::and);
    let rolled = found.iter().flat_map(|partition| &partition.segments).filter(|segment| is_rolled(segment));
    match rolled.count() {
        0 => {}
        rolled => context.hint(&format!(
            "{} rolled: written to no more, and not sealed yet; what a killed broker left so is sealed by the next read",
            count(rolled as i64, "segment")
        )),
    }
    Ok(exit)
}

fn report(error: &Error) -> Exit {
    print_error(&in_words(error));
    Exit::of(error.kind)
}

fn is_rolled(segment: &Segment) -> bool {
    segment.state == SegmentState::Rolled
}

fn table(found: &[PartitionSegments]) -> Table {
    let mut table = Table::new(&[
        Column::Right("PARTITION"),
        Column::Right("BASE"),
        Column::Right("END"),
        Column::Right("SIZE"),
        Column::Left("STATE"),
        Column::Left("FLUSHED"),
        Column::Left("LAST-APPEND"),
        Column::Wide("FIRST-APPEND"),
        Column::Wide("MAX-TIMESTAMP"),
        Column::Wide("FILE"),
    ]);
    for partition in found {
        for segment in &partition.segments {
            table.row([
                Cell::Text(partition.partition.to_string()),
                Cell::count(segment.base_offset),
                Cell::count(segment.end_offset),
                Cell::Bytes(segment.size_bytes.unsigned_abs()),
                state(segment).to_owned().into(),
                flushed(segment, partition.flushed_offset).to_owned().into(),
                time(segment.last_append).into(),
                time(segment.first_append).into(),
                time(segment.max_timestamp).into(),
                file(segment).into(),
            ]);
        }
    }
    table
}

fn state(segment: &Segment) -> &'static str {
    match segment.state {
        SegmentState::Active => "active",
        SegmentState::Rolled => "rolled",
        SegmentState::Sealed => "sealed",
        SegmentState::Unknown => "unknown",
    }
}

/// How much of a segment is on stable storage.
fn flushed(segment: &Segment, flushed: Offset) -> &'static str {
    match flushed {
        _ if flushed >= segment.end_offset => "yes",
        _ if flushed <= segment.base_offset => "no",
        _ => "part",
    }
}

fn file(segment: &Segment) -> String {
    format!("{:020}.log", segment.base_offset)
}

/// In UTC to the second; to the millisecond in JSON.
fn time(ms: Option<Timestamp>) -> String {
    let time = ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| "-".to_owned(), |time| format!("{time:.0}"))
}

fn partition_json(partition: &PartitionSegments) -> Value {
    let segment = |segment: &Segment| {
        json!({
            "base_offset": segment.base_offset,
            "end_offset": segment.end_offset,
            "size_bytes": segment.size_bytes,
            "state": state(segment),
            "flushed": partition.flushed_offset >= segment.end_offset,
            "first_append_ms": segment.first_append,
            "last_append_ms": segment.last_append,
            "max_timestamp_ms": segment.max_timestamp,
            "file": file(segment),
        })
    };
    json!({
        "partition": partition.partition,
        "log_start_offset": partition.log_start_offset,
        "flushed_offset": partition.flushed_offset,
        "segments": partition.segments.iter().map(segment).collect::<Vec<_>>(),
        "error": partition.error.as_ref().map(error_json),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;

    fn segment(base_offset: Offset, end_offset: Offset, state: SegmentState) -> Segment {
        let at = Some(1_767_268_801_004).filter(|_| state != SegmentState::Rolled);
        Segment {
            base_offset,
            end_offset,
            size_bytes: 25_900_000,
            state,
            first_append: at,
            last_append: at,
            max_timestamp: at,
        }
    }

    fn found() -> Vec<PartitionSegments> {
        let segments = vec![
            segment(0, 200_000, SegmentState::Sealed),
            segment(200_000, 200_812, SegmentState::Rolled),
            segment(200_812, 200_900, SegmentState::Active),
        ];
        let whole = PartitionSegments {
            partition: 0,
            log_start_offset: 7,
            flushed_offset: 200_820,
            segments,
            error: None,
        };
        let lost = PartitionSegments {
            partition: 1,
            log_start_offset: 0,
            flushed_offset: 0,
            segments: Vec::new(),
            error: Some(Error::new(ErrorKind::StorageError, "partition 1 of topic 'orders' is offline: x")),
        };
        vec![whole, lost]
    }

    #[test]
    fn segments_are_a_table_that_fits_a_terminal() {
        let text = table(&found()).print();
        assert_eq!(
            text,
            "\
PARTITION     BASE      END      SIZE  STATE   FLUSHED  LAST-APPEND
        0        0  200,000  24.7 MiB  sealed  yes      2026-01-01T12:00:01Z
        0  200,000  200,812  24.7 MiB  rolled  yes      -
        0  200,812  200,900  24.7 MiB  active  part     2026-01-01T12:00:01Z
"
        );
        assert!(text.lines().all(|line| line.len() <= 80));
    }

    #[test]
    fn json_has_every_fact_and_the_errors() {
        let document = partition_json(&found()[0]);
        assert_eq!(document["segments"][0]["flushed"], true);
        assert_eq!(document["segments"][2]["flushed"], false);
        assert_eq!(document["segments"][1]["last_append_ms"], Value::Null);
        assert_eq!(document["segments"][1]["file"], "00000000000000200000.log");
        assert_eq!(partition_json(&found()[1])["error"]["reason"], "STORAGE_ERROR");
    }

    #[test]
    fn nothing_of_a_segment_may_be_flushed() {
        let active = segment(10, 20, SegmentState::Active);
        assert_eq!([10, 15, 20].map(|mark| flushed(&active, mark)), ["no", "part", "yes"]);
        let empty = segment(10, 10, SegmentState::Active);
        assert_eq!(flushed(&empty, 10), "yes", "nothing is missing");
    }
}

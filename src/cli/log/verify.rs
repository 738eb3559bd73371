//! `weir log verify`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::args::VerifyArgs;
use super::data_dir;
use super::path::{Place, failed, points_for};
use crate::base::size::print_bytes;
use crate::broker::data_dir::is_metadata_log;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Cell, Column, Form, Table, count, folded, form, print, print_document, thousands};
use crate::cli::progress::Progress;
use crate::env::Disk;
use crate::log::folder;
use crate::log::verify::{
    Finding, PartitionReport, SegmentFiles, SegmentReport, Severity, verify_partition, verify_segment,
};

/// What all paths together gave.
#[derive(Default)]
struct Tally {
    segments: usize,
    damaged: usize,
    bytes: u64,
    records: u64,
    findings: Vec<Finding>,
    set_aside: usize,
    /// Whether somebody would be refused some records of a partition, and served all others.
    lacks_records: bool,
}

/// Looks at every byte, prints what is wrong, and says so with the exit code.
pub(super) fn run(context: &Context, disk: &Arc<dyn Disk>, args: &VerifyArgs) -> Result<Exit, Failure> {
    let mut tally = Tally::default();
    let mut progress = Progress::new(context.monotonic(), context.global.quiet || context.global.json);
    let begun = context.monotonic();
    let mut done = 0;
    let mut step = |bytes: u64| {
        done += bytes;
        let now = context.monotonic();
        let rate = done as f64 / now.saturating_sub(begun).as_secs_f64().max(0.001);
        progress.tick(now, || format!("verified {}, {}/s", print_bytes(done), print_bytes(rate as u64)));
    };
    for path in &args.paths {
        verify_path(disk, path, &mut tally, &mut step)?;
    }
    progress.clear();
    tell(context, &tally)
}

fn verify_path(
    disk: &Arc<dyn Disk>,
    path: &Path,
    tally: &mut Tally,
    step: &mut dyn FnMut(u64),
) -> Result<(), Failure> {
    match Place::find(disk, path)? {
        Place::Segment { folder, base_offset } => {
            let log = folder::read_meta(&**disk, &folder).ok().map(|meta| meta.id);
            let files = SegmentFiles { folder, base_offset, log };
            let segment = verify_segment(disk, &files, step).map_err(failed)?;
            let damaged = usize::from(segment.findings.iter().any(Finding::is_damaged_segment));
            tally.lacks_records |= damaged > 0;
            tally.count_segments((1, damaged));
            tally.add_segment(&segment);
        }
        Place::Partition(folder) => tally.add_partition(verify_folder(disk, &folder, step)?),
        Place::DataDir(path, folders) => {
            for folder in folders {
                tally.add_partition(verify_folder(disk, &folder, step)?);
            }
            let mut found = data_dir::findings(&**disk, &path)?;
            // What a folder itself was found to lack is told once.
            let is_told = |lacks: PathBuf| tally.findings.iter().any(|finding| finding.path == lacks);
            found.retain(|finding| !is_told(finding.path.join(folder::META_FILE)));
            tally.findings.extend(found);
        }
    }
    Ok(())
}

fn verify_folder(
    disk: &Arc<dyn Disk>,
    folder: &Path,
    step: &mut dyn FnMut(u64),
) -> Result<PartitionReport, Failure> {
    verify_partition(disk, folder, &points_for(disk, folder), step).map_err(failed)
}

impl Tally {
    fn count_segments(&mut self, (all, damaged): (usize, usize)) {
        self.segments += all;
        self.damaged += damaged;
    }

    fn add_segment(&mut self, segment: &SegmentReport) {
        self.bytes += segment.bytes;
        self.records += segment.records;
        self.findings.extend(segment.findings.iter().cloned());
    }

    fn add_partition(&mut self, partition: PartitionReport) {
        let counts = partition.segment_counts();
        self.lacks_records |= counts.1 > 0 && partition.is_served() && !is_metadata_log(&partition.folder);
        self.count_segments(counts);
        partition.segments.iter().for_each(|segment| self.add_segment(segment));
        self.findings.extend(partition.findings);
        self.set_aside += partition.set_aside.len();
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// Folders and files that are damaged and no segments.
    fn damaged_others(&self) -> usize {
        let is_other =
            |finding: &&Finding| finding.severity == Severity::Damaged && !finding.is_damaged_segment();
        let others: BTreeSet<&Path> =
            self.findings.iter().filter(is_other).map(|finding| &*finding.path).collect();
        others.len()
    }

    fn summary(&self) -> String {
        let mut parts = vec![
            format!(
                "{} of {} ok",
                thousands((self.segments - self.damaged) as i64),
                count(self.segments as i64, "segment")
            ),
            format!("{} damaged", thousands(self.damaged as i64)),
            format!("{} in {}", count(self.records as i64, "record"), print_bytes(self.bytes)),
        ];
        let more = [
            (self.damaged_others(), "thing damaged beside them"),
            (self.count(Severity::Torn), "torn end"),
            (self.count(Severity::Rebuilt), "file to be made again"),
            (self.set_aside, "file set aside by earlier starts"),
        ];
        let told = more.iter().filter(|(number, _)| *number > 0);
        parts.extend(told.map(|(number, noun)| count_first(*number, noun)));
        parts.join(", ")
    }
}

/// `2 files set aside`: the plural is that of the first word.
fn count_first(number: usize, noun: &str) -> String {
    match noun.split_once(' ') {
        Some((first, rest)) if first != "torn" => format!("{} {rest}", count(number as i64, first)),
        _ => count(number as i64, noun),
    }
}

fn tell(context: &Context, tally: &Tally) -> Result<Exit, Failure> {
    if context.global.json {
        let findings: Vec<Value> = tally.findings.iter().map(finding_json).collect();
        let fields = [
            ("segments", json!(tally.segments)),
            ("damaged_segments", json!(tally.damaged)),
            ("damaged_others", json!(tally.damaged_others())),
            ("bytes", json!(tally.bytes)),
            ("records", json!(tally.records)),
            ("set_aside", json!(tally.set_aside)),
            ("findings", json!(findings)),
        ];
        print_document("log verify", Map::from_iter(fields.map(|(key, value)| (key.to_owned(), value))))?;
    } else if !matches!(form(), Form::Table | Form::Wide) {
        print(table(&tally.findings).print())?;
    } else {
        for finding in &tally.findings {
            print(folded(&in_words(finding), ""))?;
        }
        print(folded(&tally.summary(), ""))?;
        if tally.count(Severity::Torn) > 0 {
            context.hint("a torn end is what a killed broker was writing; its next start sets it aside");
        }
        if tally.lacks_records {
            context.hint("readers of damaged offsets get DAMAGED_RANGE, all others are served; restore the files from a copy, or seek past them");
        }
        if tally
            .findings
            .iter()
            .any(|finding| finding.severity == Severity::Damaged && finding.offsets.is_none())
        {
            context.hint("what is offline neither takes records nor gives any; stop the broker, put right what is named above, and start it again");
        }
    }
    Ok(if tally.count(Severity::Damaged) > 0 { Exit::Failed } else { Exit::Done })
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Rebuilt => "rebuilt",
        Severity::Torn => "torn",
        Severity::Damaged => "damaged",
    }
}

/// The findings for scripts; an end of -1 is not known.
fn table(findings: &[Finding]) -> Table {
    let columns = ["PATH", "SEVERITY", "FIRST-OFFSET", "END-OFFSET", "FIRST-BYTE", "END-BYTE", "WHAT"];
    let mut table = Table::new(&columns.map(Column::Left));
    for finding in findings {
        let (first, end) = finding.offsets.map_or((-1, -1), |(first, end)| (first, end.unwrap_or(-1)));
        let (from, to) = finding.bytes.map_or((-1, -1), |(from, to)| (i128::from(from), i128::from(to)));
        table.row([
            Cell::Text(finding.path.display().to_string()),
            word(finding.severity).to_owned().into(),
            Cell::count(first),
            Cell::count(end),
            Cell::Count(from),
            Cell::Count(to),
            finding.what.clone().into(),
        ]);
    }
    table
}

fn in_words(finding: &Finding) -> String {
    let offsets = match finding.offsets {
        Some((first, Some(end))) if end > first => {
            format!(", offsets {} to {}", thousands(first), thousands(end - 1))
        }
        Some((first, _)) => format!(", from offset {}", thousands(first)),
        None => String::new(),
    };
    let bytes = finding.bytes.map_or_else(String::new, |(from, to)| {
        format!(", bytes {} to {}", thousands(from), thousands(to.saturating_sub(1)))
    });
    format!("{}: {}{offsets}{bytes}: {}", finding.path.display(), word(finding.severity), finding.what)
}

fn finding_json(finding: &Finding) -> Value {
    json!({
        "path": finding.path.display().to_string(),
        "severity": word(finding.severity),
        "first_offset": finding.offsets.map(|(first, _)| first),
        "end_offset": finding.offsets.and_then(|(_, end)| end),
        "first_byte": finding.bytes.map(|(from, _)| from),
        "end_byte": finding.bytes.map(|(_, to)| to),
        "what": finding.what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_name_file_offsets_bytes_and_reason() {
        let finding = Finding {
            path: "d/t-0/x.log".into(),
            severity: Severity::Damaged,
            bytes: Some((4_096, 8_192)),
            offsets: Some((1_000, Some(1_200))),
            what: "broken".to_owned(),
        };
        assert_eq!(
            in_words(&finding),
            "d/t-0/x.log: damaged, offsets 1,000 to 1,199, bytes 4,096 to 8,191: broken"
        );
        let end = Finding { offsets: Some((7, None)), bytes: None, severity: Severity::Torn, ..finding };
        assert_eq!(in_words(&end), "d/t-0/x.log: torn, from offset 7: broken");
    }

    #[test]
    fn the_summary_counts_what_there_is() {
        let mut tally = Tally { segments: 42, damaged: 1, records: 7, bytes: 2_048, ..Tally::default() };
        assert_eq!(tally.summary(), "41 of 42 segments ok, 1 damaged, 7 records in 2.0 KiB");
        tally.set_aside = 2;
        assert!(tally.summary().ends_with(", 2 files set aside by earlier starts"));
    }
}

//! `weir log inspect`.

use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::args::InspectArgs;
use super::path::{Place, failed, log_files};
use crate::base::limits::DECOMPRESSED_BYTES_MAX;
use crate::base::size::print_bytes;
use crate::base::{BytePosition, ErrorKind, Offset};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::format::{Format, Target};
use crate::cli::json;
use crate::cli::output::{
    Cell, Column, Form, Table, columns_of_terminal, count, folded, form, print_error, shown, thousands,
};
use crate::client::ConsumerRecord;
use crate::env::Disk;
use crate::env::disk::OpenMode;
use crate::log::folder;
use crate::log::segment::file::file_name;
use crate::log::verify::{SegmentFiles, SegmentReport, Step, verify_segment, walk};
use crate::record::{BatchHeader, RecordBatch, batch};

/// A record as text: offset, time, key and value.
const RECORD_FORMAT: &str = "%o  %D  %k  %v\n";

const COLUMNS: &str = "BASE-OFFSET   COUNT      BYTES         POS  CODEC   CRC32C    LEADER-EPOCH  MAX-TIMESTAMP             PRODUCER:EPOCH:SEQ";

/// A place in the output and what is wanted there.
struct Printer<'a> {
    args: &'a InspectArgs,
    json: bool,
    /// Whether a terminal holds the line of a batch.
    is_wide: bool,
    format: Format,
    target: Target,
    out: BufWriter<io::StdoutLock<'static>>,
    /// The first damage that was told.
    damage: Option<String>,
}

/// Prints the batches or records of log files.
pub(super) fn run(context: &Context, disk: &Arc<dyn Disk>, args: &InspectArgs) -> Result<Exit, Failure> {
    let format = Format::parse(RECORD_FORMAT).expect("it is a format");
    let out = BufWriter::new(io::stdout().lock());
    let is_wide = columns_of_terminal().is_none_or(|columns| columns > COLUMNS.len());
    let (json, target) = (context.global.json, Target::stdout());
    let mut printer = Printer { args, json, is_wide, format, target, out, damage: None };
    for path in &args.paths {
        match Place::find(disk, path)? {
            Place::Segment { folder, base_offset } => printer.segment(disk, &folder, base_offset)?,
            Place::Partition(folder) => printer.partition(disk, &folder)?,
            Place::DataDir(path, folders) => {
                let shown = path.display();
                // Those of a user before the broker's own, which begin with an underscore.
                let is_own =
                    |folder: &Path| folder.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'_');
                let one = folders.iter().find(|folder| !is_own(folder)).or(folders.first()).cloned();
                let one = one.unwrap_or_else(|| path.join("orders-0"));
                return Err(Failure::usage(format!(
                    "'{shown}' is a data directory; name one of its partitions, such as {}",
                    one.display()
                )));
            }
        }
    }
    printer.out.flush().map_err(|error| Failure::stdout(&error))?;
    match printer.damage {
        None => Ok(Exit::Done),
        Some(first) => Err(Failure::said(Exit::Failed, Some(ErrorKind::DamagedRange), first)),
    }
}

impl Printer<'_> {
    fn partition(&mut self, disk: &Arc<dyn Disk>, folder: &Path) -> Result<(), Failure> {
        let bases = log_files(disk, folder)?;
        for (at, base_offset) in bases.iter().enumerate() {
            // Where the next one begins at or below it, there is nothing to show here.
            if bases.get(at + 1).is_none_or(|next| *next > self.args.from) {
                self.segment(disk, folder, *base_offset)?;
            }
        }
        Ok(())
    }

    fn segment(&mut self, disk: &Arc<dyn Disk>, folder: &Path, base_offset: Offset) -> Result<(), Failure> {
        let path = folder.join(file_name(base_offset, "log"));
        if self.is_for_people() {
            let log = folder::read_meta(&**disk, folder).ok().map(|meta| meta.id);
            let files = SegmentFiles { folder: folder.to_owned(), base_offset, log };
            let report = verify_segment(disk, &files, &mut |_| {}).map_err(failed)?;
            self.write(&folded(&shown(&summary(&path, &report, log.is_some())), ""))?;
            if !self.args.records && self.is_wide {
                self.write(&format!("{COLUMNS}\n"))?;
            }
        }
        let file = disk.open(&path, OpenMode::Read).map_err(failed)?;
        let len = file.len().map_err(failed)?;
        let mut ended = Ok(());
        walk(&*file, base_offset, len, |step| {
            ended = self.step(&path, step);
            if ended.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .map_err(failed)?;
        ended
    }

    fn step(&mut self, path: &Path, step: Step<'_>) -> Result<(), Failure> {
        match step {
            Step::Batch { header, .. } if header.last_offset() < self.args.from => Ok(()),
            Step::Batch { bytes, .. } if self.args.records => self.records(path, bytes),
            Step::Batch { header, position, .. } if self.json => {
                self.write(&format!("{}\n", batch_json(path, &header, position)))
            }
            Step::Batch { header, position, .. } if self.is_for_people() && self.is_wide => {
                self.write(&batch_line(&header, position))
            }
            Step::Batch { header, position, .. } => {
                self.write(&batch_table(&header, position).print_blocks())
            }
            Step::Damage { span, what } => {
                self.out.flush().map_err(|error| Failure::stdout(&error))?;
                let (shown, from, to) =
                    (path.display(), thousands(span.start as i64), thousands(span.end as i64 - 1));
                let told = format!("{shown}: no batch in bytes {from} to {to}: {what}");
                print_error(&told);
                self.damage.get_or_insert(told);
                Ok(())
            }
        }
    }

    fn records(&mut self, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        let told = |error| Failure::failed(format!("{}: {error}", path.display()));
        let batch = RecordBatch::parse(Bytes::copy_from_slice(bytes)).map_err(told)?;
        let records = batch.records(DECOMPRESSED_BYTES_MAX).map_err(told)?;
        let (topic, partition) = topic_of(path);
        for record in &records {
            let record = record.map_err(told)?;
            if record.offset < self.args.from {
                continue;
            }
            let record = ConsumerRecord::of((&topic, partition), batch.header(), &records, &record);
            let mut line = Vec::new();
            match self.json {
                true => json::write_line(&record, &mut line),
                false => self.format.write(&record, self.target, &mut line),
            }
            self.out.write_all(&line).map_err(|error| Failure::stdout(&error))?;
        }
        Ok(())
    }

    fn is_for_people(&self) -> bool {
        matches!(form(), Form::Table | Form::Wide)
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes()).map_err(|error| Failure::stdout(&error))
    }
}

/// Topic and partition as the name of the folder tells them.
fn topic_of(path: &Path) -> (Arc<str>, i32) {
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    let name = folder.as_deref().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or("");
    match name.rsplit_once('-').map(|(topic, partition)| (topic, partition.parse())) {
        Some((topic, Ok(partition))) => (Arc::from(topic), partition),
        _ => (Arc::from(name), 0),
    }
}

fn summary(path: &Path, report: &SegmentReport, has_side_files: bool) -> String {
    let batches = if report.batches == 1 { "batch" } else { "batches" };
    let state = if report.is_sealed { "sealed" } else { "open" };
    let wrong = match (report.findings.len(), has_side_files) {
        (0, true) => "nothing wrong".to_owned(),
        (0, false) => "nothing wrong, indexes not looked at (no partition.meta)".to_owned(),
        (wrong, _) => format!("{} (see weir log verify)", count(wrong as i64, "finding")),
    };
    format!(
        "{}: {}, offsets {} to {}, {}, {}, {state}, {wrong}",
        path.display(),
        print_bytes(report.bytes),
        thousands(report.base_offset),
        thousands(report.end_offset),
        format_args!("{} {batches}", thousands(report.batches as i64)),
        count(report.records as i64, "record"),
    )
}

fn codec(header: &BatchHeader) -> String {
    batch::codec_of(header).map_or_else(|error| error.to_string(), |codec| codec.name().to_owned())
}

fn producer(header: &BatchHeader) -> String {
    match header.has_producer() {
        true => format!("{}:{}:{}", header.producer_id, header.producer_epoch, header.base_sequence),
        false => "-".to_owned(),
    }
}

/// A batch for scripts, and for terminals that do not hold its line.
fn batch_table(header: &BatchHeader, position: BytePosition) -> Table {
    let names = COLUMNS.split_whitespace().map(Column::Left);
    let mut table = Table::new(&names.collect::<Vec<_>>());
    table.row([
        Cell::Text(header.base_offset.to_string()),
        Cell::Text(header.record_count.to_string()),
        Cell::Text(header.total_bytes().unwrap_or_default().to_string()),
        Cell::Text(position.to_string()),
        codec(header).into(),
        format!("{:08x}", header.crc).into(),
        Cell::Text(header.leader_epoch.to_string()),
        time(header.max_timestamp).into(),
        producer(header).into(),
    ]);
    table
}

fn batch_line(header: &BatchHeader, position: BytePosition) -> String {
    let producer = producer(header);
    format!(
        "{:>11}  {:>6}  {:>9}  {:>10}  {:<6}  {:08x}  {:>12}  {:<24}  {producer}\n",
        header.base_offset,
        header.record_count,
        header.total_bytes().unwrap_or_default(),
        position,
        codec(header),
        header.crc,
        header.leader_epoch,
        time(header.max_timestamp),
    )
}

/// In UTC to the millisecond.
fn time(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(time) if ms >= 0 => format!("{time:.3}"),
        _ => ms.to_string(),
    }
}

fn batch_json(path: &Path, header: &BatchHeader, position: BytePosition) -> Value {
    json!({
        "path": path.display().to_string(),
        "base_offset": header.base_offset,
        "last_offset": header.last_offset(),
        "records": header.record_count,
        "position": position,
        "bytes": header.total_bytes(),
        "codec": codec(header),
        "crc32c": format!("{:08x}", header.crc),
        "leader_epoch": header.leader_epoch,
        "producer_id": header.producer_id,
        "producer_epoch": header.producer_epoch,
        "base_sequence": header.base_sequence,
        "timestamp_type": if header.is_append_time() { "append" } else { "create" },
        "base_timestamp": header.base_timestamp,
        "max_timestamp": header.max_timestamp,
    })
}

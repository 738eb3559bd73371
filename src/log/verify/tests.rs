//! What a look at a log finds after bits were flipped and files were cut.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::base::ClusterId;
use crate::config::TopicConfig;
use crate::env::disk::OpenMode;
use crate::env::sim_disk::{Effect, Fault, OpKind, ends_with};
use crate::env::{Disk, SimDisk};
use crate::log::flush::journal::Points;
use crate::log::folder::{self, PartitionMeta};
use crate::log::read::Wait;
use crate::log::segment::footer::FOOTER_BYTES;
use crate::log::tests::{ID, append_numbered, fresh, small_segments};
use crate::record::BatchHeader;

const FOLDER: &str = "d/t-0";
const JOURNAL: &str = "d/flush-journal";
/// Records of the log that is looked at, one a batch.
const RECORDS: i64 = 20;

/// A killed log of several segments; with `torn`, behind the durable point stands a batch that was not flushed.
fn killed(config: &TopicConfig, torn: bool) -> SimDisk {
    let world = fresh(config);
    append_numbered(&world, RECORDS);
    world.flush();
    if torn {
        append_numbered(&world, 1);
    }
    let disk = world.disk.kill();
    put_meta(&disk);
    disk
}

/// Says whose the folder is, as a broker does when it makes one.
fn put_meta(disk: &SimDisk) {
    disk.create_dir(Path::new("m")).unwrap();
    let meta = PartitionMeta { cluster_id: ClusterId([1; 16]), id: ID };
    folder::create(disk, Path::new("m"), "t", [meta]).unwrap();
    disk.rename(Path::new("m/t-0/partition.meta"), &Path::new(FOLDER).join("partition.meta")).unwrap();
}

fn look(disk: &SimDisk) -> PartitionReport {
    let points = Points::read(disk, Path::new(JOURNAL)).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    verify_partition(&disk, Path::new(FOLDER), &points, &mut |_| {}).unwrap()
}

fn worst(report: &PartitionReport) -> Option<Severity> {
    report.all_findings().map(|finding| finding.severity).max()
}

fn files(disk: &SimDisk) -> Vec<(String, u64)> {
    let entries = disk.list(Path::new(FOLDER)).unwrap();
    entries.into_iter().map(|entry| (entry.name, entry.len)).collect()
}

#[test]
fn a_sound_log_has_no_findings() {
    for config in [small_segments(), TopicConfig::default()] {
        let report = look(&killed(&config, false));
        assert_eq!(report.all_findings().collect::<Vec<_>>(), Vec::<&Finding>::new());
        assert_eq!(report.segments.iter().map(|segment| segment.records).sum::<u64>(), RECORDS as u64);
        assert_eq!(report.segments.last().unwrap().end_offset, RECORDS);
        let sealed = report.segments.iter().filter(|segment| segment.is_sealed).count();
        assert_eq!(sealed, report.segments.len() - 1, "all but the one that is written to");
    }
}

#[test]
fn every_flipped_bit_of_every_file_is_found() {
    let whole = killed(&small_segments(), false);
    // No index entry covers the last batches of the open segment yet: what their CRCs leave out can't be told there.
    let open = format!("{:020}.log", look(&whole).segments.last().unwrap().base_offset);
    for (name, len) in files(&whole) {
        for byte in 0..len {
            let disk = whole.kill();
            let path = Path::new(FOLDER).join(&name);
            disk.flip_bit(&path, byte, (byte % 8) as u8).unwrap();
            let found = worst(&look(&disk));
            let expected = match name.as_str() {
                name if name.ends_with(".log") => Some(Severity::Damaged),
                "partition.meta" => Some(Severity::Damaged),
                _ => Some(Severity::Rebuilt),
            };
            assert!(found == expected || name == open, "{name}, byte {byte}: {found:?}");
        }
    }
}

#[test]
fn a_cut_above_the_durable_point_is_torn_and_one_below_it_is_damage() {
    let whole = killed(&TopicConfig::default(), true);
    let path = Path::new(FOLDER).join("00000000000000000000.log");
    let durable = Points::read(&whole, Path::new(JOURNAL)).unwrap().of(&ID).unwrap().position;
    let len = whole.current_bytes(&path).unwrap().len() as u64;
    assert!(durable < len);
    for cut in 1..len {
        let disk = whole.kill();
        disk.open(&path, OpenMode::Write).unwrap().set_len(cut).unwrap();
        let expected = match cut {
            cut if cut < durable => Some(Severity::Damaged),
            cut if cut == durable => None,
            _ => Some(Severity::Torn),
        };
        assert_eq!(worst(&look(&disk)), expected, "{cut} of {len} bytes, {durable} durable");
    }
}

#[test]
fn a_missing_segment_is_damage_and_missing_side_files_are_not() {
    let whole = killed(&small_segments(), false);
    let bases: Vec<_> = look(&whole).segments.iter().map(|segment| segment.base_offset).collect();
    let disk = whole.kill();
    disk.remove_file(&Path::new(FOLDER).join(format!("{:020}.log", bases[1]))).unwrap();
    let report = look(&disk);
    let missing: Vec<_> = report.all_findings().filter_map(|finding| finding.offsets).collect();
    assert_eq!(missing, [(bases[1], Some(bases[2]))]);
    let disk = whole.kill();
    for (name, _) in files(&disk).iter().filter(|(name, _)| name.ends_with("index")) {
        disk.remove_file(&Path::new(FOLDER).join(name)).unwrap();
    }
    assert_eq!(worst(&look(&disk)), Some(Severity::Rebuilt));
}

#[test]
fn a_segment_that_can_not_be_read_is_told_once_and_is_not_missing() {
    let whole = killed(&small_segments(), false);
    let bases: Vec<_> = look(&whole).segments.iter().map(|segment| segment.base_offset).collect();
    let file = |base: i64, ending: &str| format!("{base:020}.{ending}");
    for base in [bases[0], bases[1], bases[bases.len() - 1]] {
        let disk = whole.kill();
        disk.fail(Fault::on(OpKind::Read, ends_with(&file(base, "log")), Effect::Io).times(u32::MAX));
        let report = look(&disk);
        let found: Vec<_> = report.all_findings().map(|finding| (&finding.path, &finding.what)).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(*found[0].0, Path::new(FOLDER).join(file(base, "log")));
        assert!(found[0].1.ends_with("; check the disk"), "{found:?}");
        assert_eq!(report.segment_counts(), (bases.len(), 1));
    }
}

#[test]
fn beside_a_segment_that_can_not_be_read_all_else_is_told() {
    let whole = killed(&small_segments(), false);
    let bases: Vec<_> = look(&whole).segments.iter().map(|segment| segment.base_offset).collect();
    let file = |base: i64, ending: &str| Path::new(FOLDER).join(format!("{base:020}.{ending}"));
    let without = |base: i64| {
        let name = format!("{base:020}.log");
        let disk = whole.kill();
        disk.fail(Fault::on(OpKind::Read, ends_with(&name), Effect::Io).times(u32::MAX));
        disk
    };
    let has = |report: &PartitionReport, path: &Path, severity| {
        report.all_findings().any(|finding| finding.path == path && finding.severity == severity)
    };
    let disk = without(bases[2]);
    disk.remove_file(&file(bases[1], "log")).unwrap();
    assert!(has(&look(&disk), &file(bases[1], "log"), Severity::Damaged), "the one before it is missing");

    let (last, before) = (bases[bases.len() - 1], bases[bases.len() - 2]);
    let disk = without(last);
    let index = disk.open(&file(before, "index"), OpenMode::Write).unwrap();
    index.set_len(index.len().unwrap() - FOOTER_BYTES as u64).unwrap();
    assert!(
        has(&look(&disk), &file(before, "index"), Severity::Rebuilt),
        "the one before it is not the open one"
    );
}

#[test]
fn the_last_interval_of_a_sealed_segment_is_checked_however_short_the_others_are() {
    let config = TopicConfig { segment_bytes: 6_000, ..TopicConfig::default() };
    let world = fresh(&config);
    append_numbered(&world, 90);
    world.flush();
    let disk = &world.disk;
    put_meta(disk);
    let path = Path::new(FOLDER).join("00000000000000000000.log");
    let (bytes, mut positions) = (disk.current_bytes(&path).unwrap(), vec![0]);
    while let Some(header) = BatchHeader::read(&bytes[positions[positions.len() - 1]..]) {
        positions.push(positions[positions.len() - 1] + header.total_bytes().unwrap());
    }
    let batches = positions.len() - 1;
    // Each damaged batch gets an interval of its own when the index is made anew, and so does what is between.
    for batch in (10..40).step_by(3) {
        disk.flip_bit(&path, positions[batch] as u64 + 30, 0).unwrap();
    }
    disk.remove_file(&path.with_extension("index")).unwrap();
    let again = world.killed(&config, 1);
    again.log.read(0, 1, 1, Wait::Allowed).unwrap();
    let disk = &again.disk;
    let known = look(disk).all_findings().count();
    assert_eq!(known, 10);
    disk.flip_bit(&path, positions[batches - 1] as u64 + 15, 0).unwrap();
    let report = look(disk);
    let last = report.all_findings().filter_map(|finding| finding.offsets).max();
    assert_eq!(last, Some((batches as i64 - 1, Some(batches as i64))), "the epoch of the last batch");
    assert_eq!(report.all_findings().count(), known + 1);
}

//! Each promise of `env::disk`, kept and broken as modelled.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::IoSlice;

use super::*;
use crate::env::disk::{read_full_at, write_full_at};

fn p(path: &str) -> &Path {
    Path::new(path)
}

fn small() -> SimDisk {
    SimDisk::new(SimOptions { block_bytes: 64, sector_bytes: 16, capacity_bytes: None })
}

fn create(disk: &SimDisk, path: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = disk.open(p(path), OpenMode::CreateNew).unwrap();
    write_full_at(&*file, bytes, 0).unwrap();
    file
}

/// A file whose bytes and name are durable.
fn durable(disk: &SimDisk, path: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = create(disk, path, bytes);
    disk.sync_file_system(p("/")).unwrap();
    assert_eq!(disk.pending(), 0);
    file
}

fn names(disk: &SimDisk, path: &str) -> Vec<String> {
    disk.list(p(path)).unwrap().into_iter().map(|entry| entry.name).collect()
}

fn none(_: usize) -> bool {
    false
}

fn all(_: usize) -> bool {
    true
}

fn at(number: u64) -> impl Fn(usize) -> bool {
    move |unit| unit as u64 == number
}

#[test]
fn written_bytes_come_back_and_gaps_are_zeros() {
    let disk = small();
    let file = create(&disk, "/f", b"abc");
    assert_eq!(file.write_vectored_at(&[IoSlice::new(b"x"), IoSlice::new(b"yz")], 5).unwrap(), 3);
    let mut buffer = [9; 10];
    assert_eq!(read_full_at(&*file, &mut buffer, 0).unwrap(), 8);
    assert_eq!(&buffer[..8], b"abc\0\0xyz");
    assert_eq!(file.read_at_nowait(&mut buffer, 8).unwrap(), Some(0));
    file.set_len(2).unwrap();
    file.set_len(4).unwrap();
    assert_eq!(disk.current_bytes(p("f")).unwrap(), b"ab\0\0");
}

#[test]
fn errors_have_their_kinds() {
    let disk = small();
    create(&disk, "/f", b"abc");
    disk.create_dir(p("/d")).unwrap();
    create(&disk, "/d/g", b"");
    let kind = |result: DiskResult<()>| result.unwrap_err().kind;
    let open = |path: &str, mode| disk.open(p(path), mode).map(drop);
    assert_eq!(kind(open("/no", OpenMode::Write)), DiskErrorKind::NotFound);
    assert_eq!(kind(open("/no/f", OpenMode::CreateNew)), DiskErrorKind::NotFound);
    assert_eq!(kind(open("/f", OpenMode::CreateNew)), DiskErrorKind::Exists);
    assert_eq!(kind(open("/d", OpenMode::Read)), DiskErrorKind::Io);
    assert_eq!(kind(disk.create_dir(p("/f"))), DiskErrorKind::Exists);
    assert_eq!(kind(disk.remove_dir(p("/d"))), DiskErrorKind::Io);
    assert_eq!(kind(disk.rename(p("/no"), p("/x"))), DiskErrorKind::NotFound);
    assert_eq!(kind(disk.rename(p("/f"), p("/d"))), DiskErrorKind::Io);
    assert_eq!(kind(disk.rename(p("/d"), p("/d/e"))), DiskErrorKind::Io);
    let reader = disk.open(p("/f"), OpenMode::Read).unwrap();
    assert_eq!(kind(write_full_at(&*reader, b"x", 0)), DiskErrorKind::Io);
    assert_eq!(disk.stat(p("/no/x")).unwrap(), None);
    assert_eq!(disk.stat(p("/d")).unwrap().unwrap().kind, EntryKind::Dir);
    assert_eq!(disk.stat(p("/")).unwrap().unwrap().kind, EntryKind::Dir);
    assert_eq!((names(&disk, "/"), names(&disk, "/d")), (vec!["d".into(), "f".into()], vec!["g".into()]));
}

#[test]
fn a_removed_file_stays_readable_while_it_is_open() {
    let disk = small();
    let file = create(&disk, "/f", b"abc");
    disk.remove_file(p("/f")).unwrap();
    assert!(names(&disk, "/").is_empty());
    let mut buffer = [0; 3];
    assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 3);
}

#[test]
fn a_killed_process_loses_nothing_but_its_locks() {
    let disk = small();
    create(&disk, "/f", b"abc");
    let _lock = disk.lock(p("/lock"), "first").map_err(drop).unwrap();
    assert!(matches!(disk.lock(p("/lock"), "second"), Err(Ok(holder)) if holder == "first"));
    let next = disk.kill();
    assert_eq!(next.current_bytes(p("/f")).unwrap(), b"abc");
    assert_eq!(next.pending(), disk.pending());
    assert!(next.lock(p("/lock"), "second").is_ok());
    assert_eq!(next.current_bytes(p("/lock")).unwrap(), b"second");
    assert!(names(&next.crash(none, None), "/").is_empty(), "what waited still waits");
    write_full_at(&*next.open(p("/f"), OpenMode::Write).unwrap(), b"new", 0).unwrap();
    assert_eq!(disk.current_bytes(p("/f")).unwrap(), b"abc", "the old disk is untouched");
}

#[test]
fn a_lock_that_is_dropped_is_free() {
    let disk = small();
    drop(disk.lock(p("/lock"), "first").map_err(drop).unwrap());
    assert!(disk.lock(p("/lock"), "second").is_ok());
}

#[test]
fn a_sync_of_the_file_keeps_bytes_but_not_the_name() {
    let disk = small();
    let file = create(&disk, "/f", b"abc");
    file.sync_data().unwrap();
    assert_eq!(disk.durable_bytes(p("/f")).unwrap(), b"abc");
    assert!(names(&disk.crash(none, None), "/").is_empty());
    disk.sync_dir(p("/")).unwrap();
    assert_eq!(disk.crash(none, None).current_bytes(p("/f")).unwrap(), b"abc");
}

#[test]
fn a_sync_of_the_folder_keeps_the_name_but_not_bytes() {
    let disk = small();
    create(&disk, "/f", b"abc");
    disk.sync_dir(p("/")).unwrap();
    assert_eq!(disk.crash(none, None).current_bytes(p("/f")).unwrap(), b"");
    assert_eq!(disk.crash(all, None).current_bytes(p("/f")).unwrap(), b"abc");
}

#[test]
fn a_write_is_split_at_block_boundaries_and_any_block_may_be_kept() {
    let disk = small();
    let file = durable(&disk, "/f", b"");
    write_full_at(&*file, &[1; 200], 30).unwrap();
    // Blocks [30, 64), [64, 128), [128, 192), [192, 230), and the new length.
    assert_eq!(disk.pending(), 5);
    let kept = |number| disk.crash(at(number), None).current_bytes(p("/f")).unwrap();
    assert_eq!(kept(1), [[0; 64], [1; 64]].concat(), "zeros before it");
    assert_eq!(kept(4), [0; 230], "a length without bytes");
    assert_eq!(disk.crash(none, None).current_bytes(p("/f")).unwrap(), b"");
}

#[test]
fn growth_waits_as_one_unit_and_a_set_length_as_one_each() {
    let disk = small();
    let file = durable(&disk, "/f", b"");
    write_full_at(&*file, b"abc", 0).unwrap();
    write_full_at(&*file, b"def", 3).unwrap();
    assert_eq!(disk.pending(), 3);
    file.set_len(2).unwrap();
    write_full_at(&*file, b"xyz", 2).unwrap();
    assert_eq!(disk.pending(), 6);
    let lost_cut = disk.crash(|unit| unit != 3, None);
    assert_eq!(lost_cut.current_bytes(p("/f")).unwrap(), b"abxyzf");
    assert_eq!(disk.crash(all, None).current_bytes(p("/f")).unwrap(), b"abxyz");
}

#[test]
fn the_last_kept_block_can_tear_within() {
    let disk = small();
    let file = durable(&disk, "/f", &[7; 64]);
    write_full_at(&*file, &[1; 60], 4).unwrap();
    assert_eq!(disk.pending(), 1);
    let torn = disk.crash(all, Some(2)).current_bytes(p("/f")).unwrap();
    assert_eq!(torn, [vec![7; 4], vec![1; 28], vec![7; 32]].concat());
    assert_eq!(disk.crash(all, Some(0)).current_bytes(p("/f")).unwrap(), [7; 64]);
    assert_eq!(disk.crash(all, Some(9)).current_bytes(p("/f")).unwrap(), [vec![7; 4], vec![1; 60]].concat());
}

#[test]
fn a_rename_carries_its_file_even_when_the_create_was_lost() {
    let disk = small();
    create(&disk, "/tmp", b"abc").sync_data().unwrap();
    disk.rename(p("/tmp"), p("/f")).unwrap();
    assert_eq!(disk.pending(), 2);
    assert_eq!(names(&disk.crash(at(0), None), "/"), ["tmp"]);
    let kept_rename = disk.crash(at(1), None);
    assert_eq!(names(&kept_rename, "/"), ["f"]);
    assert_eq!(kept_rename.current_bytes(p("/f")).unwrap(), b"abc");
}

#[test]
fn a_rename_replaces_in_one_step() {
    let disk = small();
    durable(&disk, "/f", b"old");
    durable(&disk, "/tmp", b"new");
    disk.rename(p("/tmp"), p("/f")).unwrap();
    let contents = |disk: SimDisk| (names(&disk, "/"), disk.current_bytes(p("/f")).unwrap());
    assert_eq!(contents(disk.crash(none, None)), (vec!["f".into(), "tmp".into()], b"old".to_vec()));
    assert_eq!(contents(disk.crash(all, None)), (vec!["f".into()], b"new".to_vec()));
}

fn two_folders() -> SimDisk {
    let disk = small();
    disk.create_dir(p("/a")).unwrap();
    disk.create_dir(p("/b")).unwrap();
    durable(&disk, "/a/x", b"abc");
    disk
}

#[test]
fn a_rename_across_folders_is_durable_once_both_are_synced() {
    let disk = two_folders();
    disk.rename(p("/a/x"), p("/b/y")).unwrap();
    disk.sync_dir(p("/b")).unwrap();
    let lost = disk.crash(none, None);
    assert_eq!((names(&lost, "/a"), names(&lost, "/b")), (vec!["x".to_owned()], vec![]));
    disk.sync_dir(p("/a")).unwrap();
    let kept = disk.crash(none, None);
    assert_eq!((names(&kept, "/a"), names(&kept, "/b")), (vec![], vec!["y".to_owned()]));
}

#[test]
fn what_a_durable_change_builds_on_is_durable() {
    let disk = two_folders();
    disk.rename(p("/a/x"), p("/b/y")).unwrap();
    disk.remove_file(p("/b/y")).unwrap();
    disk.sync_dir(p("/b")).unwrap();
    assert_eq!(disk.pending(), 0);
    let left = disk.crash(none, None);
    assert!(names(&left, "/a").is_empty() && names(&left, "/b").is_empty());
}

#[test]
fn a_thing_has_one_name_whichever_renames_are_kept() {
    let disk = two_folders();
    disk.rename(p("/a/x"), p("/b/y")).unwrap();
    disk.rename(p("/b/y"), p("/b/z")).unwrap();
    let left = disk.crash(at(1), None);
    assert_eq!((names(&left, "/a"), names(&left, "/b")), (vec![], vec!["z".to_owned()]));
}

#[test]
fn removed_names_come_back_until_the_folder_is_synced() {
    let disk = two_folders();
    disk.remove_file(p("/a/x")).unwrap();
    disk.remove_dir(p("/a")).unwrap();
    let back = disk.crash(none, None);
    assert_eq!(back.current_bytes(p("/a/x")).unwrap(), b"abc");
    disk.sync_dir(p("/")).unwrap();
    assert_eq!(names(&disk.crash(none, None), "/"), ["b"]);
}

#[test]
fn a_file_that_is_gone_for_good_leaves_nothing_waiting() {
    let disk = small();
    drop(create(&disk, "/f", &[1; 500]));
    disk.remove_file(p("/f")).unwrap();
    disk.sync_dir(p("/")).unwrap();
    assert_eq!(disk.pending(), 0);
}

#[test]
fn a_whole_sync_keeps_everything() {
    let disk = two_folders();
    disk.rename(p("/a/x"), p("/b/y")).unwrap();
    create(&disk, "/b/z", b"123");
    disk.sync_file_system(p("/a")).unwrap();
    let left = disk.crash(none, None);
    assert_eq!(names(&left, "/b"), ["y", "z"]);
    assert_eq!(left.current_bytes(p("/b/z")).unwrap(), b"123");
}

#[test]
fn planned_failures_meet_the_calls_they_name() {
    let disk = small();
    disk.fail(Fault::at(1, Effect::Io));
    let file = disk.open(p("/f"), OpenMode::CreateNew).unwrap();
    let write = |bytes: &[u8]| file.write_vectored_at(&[IoSlice::new(bytes)], 0);
    assert_eq!(write(b"abc").unwrap_err().kind, DiskErrorKind::Io);
    disk.fail(Fault::on(OpKind::Write, ends_with("f"), Effect::Full).skipping(1));
    disk.fail(Fault::on(OpKind::Write, ends_with("f"), Effect::ShortWrite(2)).skipping(1));
    assert_eq!(write(b"abc").unwrap(), 3);
    assert_eq!(write(b"abc").unwrap_err().kind, DiskErrorKind::Full);
    assert_eq!(write(b"xyz").unwrap(), 2);
    assert_eq!(disk.current_bytes(p("/f")).unwrap(), b"xyc");
    disk.fail(Fault::on(OpKind::Open, ends_with("f"), Effect::TooManyFiles).times(u32::MAX));
    for _ in 0..3 {
        assert_eq!(
            disk.open(p("/f"), OpenMode::Read).map(drop).unwrap_err().kind,
            DiskErrorKind::TooManyFiles
        );
    }
    disk.clear_faults();
    assert!(disk.open(p("/f"), OpenMode::Read).is_ok());
    let effects: Vec<_> = disk.trace().iter().map(|op| op.effect).collect();
    assert_eq!(effects, [None, Some(Effect::Io), None, Some(Effect::Full), Some(Effect::ShortWrite(2))]);
}

#[test]
fn reads_can_be_short_fail_or_wait() {
    let disk = small();
    let file = create(&disk, "/f", b"abcdef");
    let mut buffer = [0; 6];
    disk.fail(Fault::on(OpKind::Read, |_| true, Effect::ShortRead(2)));
    assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 2);
    disk.fail(Fault::on(OpKind::Read, |_| true, Effect::Io));
    assert!(file.read_at(&mut buffer, 0).is_err());
    disk.fail(Fault::on(OpKind::Read, |_| true, Effect::WouldBlock));
    assert_eq!(file.read_at_nowait(&mut buffer, 0).unwrap(), None);
    disk.break_range(p("/f"), 3..5).unwrap();
    assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 3);
    assert!(file.read_at(&mut buffer, 3).is_err() && file.read_at(&mut buffer, 4).is_err());
    assert_eq!(file.read_at(&mut buffer, 5).unwrap(), 1);
    assert!(disk.kill().open(p("/f"), OpenMode::Read).unwrap().read_at(&mut buffer, 3).is_err());
}

#[test]
fn a_failed_sync_keeps_waiting_or_loses_its_bytes() {
    let disk = small();
    let file = durable(&disk, "/f", b"old");
    write_full_at(&*file, b"new", 0).unwrap();
    disk.fail(Fault::on(OpKind::SyncData, |_| true, Effect::Io));
    assert!(file.sync_data().is_err());
    assert_eq!(disk.pending(), 1);
    disk.fail(Fault::on(OpKind::SyncData, |_| true, Effect::LoseSync));
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    assert_eq!(disk.current_bytes(p("/f")).unwrap(), b"new", "readers see what is not there");
    assert_eq!(disk.crash(all, None).current_bytes(p("/f")).unwrap(), b"old");
    file.drop_cache(0, 100);
    assert_eq!(disk.current_bytes(p("/f")).unwrap(), b"old", "the device is asked");
}

#[test]
fn a_failed_whole_sync_loses_bytes_but_not_names() {
    let disk = small();
    create(&disk, "/f", b"abc");
    disk.fail(Fault::on(OpKind::SyncFileSystem, |_| true, Effect::LoseSync));
    assert!(disk.sync_file_system(p("/")).is_err());
    disk.sync_file_system(p("/")).unwrap();
    assert_eq!(disk.crash(all, None).current_bytes(p("/f")).unwrap(), b"");
}

#[test]
fn dropping_the_cache_loses_nothing_that_waits() {
    let disk = small();
    let file = durable(&disk, "/f", b"abc");
    write_full_at(&*file, b"xyz", 2).unwrap();
    file.drop_cache(0, u64::MAX);
    file.start_writeback(0, 5);
    assert_eq!(disk.current_bytes(p("/f")).unwrap(), b"abxyz");
}

#[test]
fn a_capacity_bounds_files_and_is_told() {
    let disk = small();
    disk.set_capacity(Some(100));
    let file = create(&disk, "/f", &[1; 90]);
    let write = |len: usize, position| file.write_vectored_at(&[IoSlice::new(&vec![2; len])], position);
    assert_eq!(write(20, 90).unwrap(), 10, "what fits is taken");
    assert_eq!(write(20, 100).unwrap_err().kind, DiskErrorKind::Full);
    assert_eq!(write(20, 80).unwrap(), 20, "overwriting needs no space");
    assert_eq!(file.set_len(101).unwrap_err().kind, DiskErrorKind::Full);
    assert_eq!(disk.space(p("/")).unwrap(), Space { total_bytes: 100, free_bytes: 0 });
    disk.remove_file(p("/f")).unwrap();
    assert_eq!(disk.space(p("/")).unwrap().free_bytes, 0, "still open");
    drop(file);
    assert_eq!(disk.space(p("/")).unwrap().free_bytes, 100);
}

#[test]
fn a_bit_flips_for_readers_and_on_the_device() {
    let disk = small();
    durable(&disk, "/f", b"abc");
    disk.flip_bit(p("/f"), 1, 0).unwrap();
    assert_eq!(disk.current_bytes(p("/f")).unwrap(), b"acc");
    assert_eq!(disk.crash(none, None).current_bytes(p("/f")).unwrap(), b"acc");
    assert!(disk.flip_bit(p("/f"), 3, 0).is_err());
}

#[test]
fn an_ignored_rule_answers_ok_and_does_nothing() {
    let disk = small();
    disk.ignore(Ignore::SyncData, ends_with("f"));
    let (f, g) = (create(&disk, "/f", b"abc"), create(&disk, "/g", b"abc"));
    for file in [f, g] {
        file.sync_data().unwrap();
    }
    disk.sync_dir(p("/")).unwrap();
    let left = disk.crash(none, None);
    assert_eq!(left.current_bytes(p("/f")).unwrap(), b"");
    assert_eq!(left.current_bytes(p("/g")).unwrap(), b"abc");
    left.ignore(Ignore::SyncDir, |_| true);
    left.ignore(Ignore::SyncFileSystem, |_| true);
    create(&left, "/h", b"");
    left.sync_dir(p("/")).unwrap();
    left.sync_file_system(p("/")).unwrap();
    assert_eq!(names(&left.crash(none, None), "/"), ["f", "g"]);
}

#[test]
fn a_stopped_process_does_nothing_more() {
    let disk = small();
    disk.stop_at(2);
    let file = create(&disk, "/f", b"abc");
    assert_eq!(file.len().unwrap(), 3, "it lives until its next change");
    assert_eq!(file.sync_data().unwrap_err().detail, "stopped");
    assert!(disk.list(p("/")).is_err() && file.len().is_err());
    file.drop_cache(0, 3);
    assert_eq!((disk.op_count(), disk.trace().len()), (2, 2));
    assert!(disk.kill().list(p("/")).is_ok());
}

#[test]
fn changed_files_get_the_time_that_was_set() {
    let disk = small();
    disk.set_now_ms(5);
    let file = create(&disk, "/f", b"abc");
    disk.set_now_ms(6);
    file.set_len(1).unwrap();
    let entry = disk.stat(p("/f")).unwrap().unwrap();
    assert_eq!((entry.modified_ms, entry.len), (6, 1));
}

#[test]
fn few_units_give_every_subset_with_and_without_a_tear() {
    let disk = small();
    let file = durable(&disk, "/f", b"");
    write_full_at(&*file, &[1; 100], 0).unwrap();
    let contents: Vec<_> =
        disk.crash_states(12, 0, 1).map(|state| state.current_bytes(p("/f")).unwrap()).collect();
    // Three units; the six subsets with a block also torn.
    assert_eq!((disk.pending(), contents.len()), (3, 8 + 6));
    let distinct: BTreeSet<_> = contents.into_iter().collect();
    assert!(
        distinct.contains(&vec![1; 100]) && distinct.contains(&vec![]) && distinct.contains(&vec![0; 100])
    );
    assert!(distinct.contains(&[vec![1; 32], vec![0; 68]].concat()));
    assert!(disk.crash_states(12, 0, 1).all(|state| state.pending() == 0));
}

#[test]
fn many_units_give_prefixes_and_drawn_subsets_that_follow_from_the_seed() {
    let disk = SimDisk::new(SimOptions { block_bytes: 16, sector_bytes: 16, capacity_bytes: None });
    let file = durable(&disk, "/f", &[0; 320]);
    for i in 0..20 {
        write_full_at(&*file, &[i + 1; 16], u64::from(i) * 16).unwrap();
    }
    let contents = |seed| -> Vec<_> {
        disk.crash_states(12, 50, seed).map(|state| state.current_bytes(p("/f")).unwrap()).collect()
    };
    assert_eq!(contents(1).len(), 2 + 50);
    assert_eq!(contents(1), contents(1));
    assert_ne!(contents(1), contents(2));
    assert_eq!(contents(1)[1], disk.current_bytes(p("/f")).unwrap());
}

/// The protocol that replaces a file: write beside it, sync, rename, sync the folder.
mod replacement {
    use super::*;

    fn start() -> SimDisk {
        let disk = small();
        durable(&disk, "/f", &[1; 100]);
        disk
    }

    /// Says whether the new content was promised.
    fn replace(disk: &Arc<SimDisk>) -> bool {
        let steps = || -> DiskResult<()> {
            let temp = disk.open(p("/f.tmp"), OpenMode::CreateNew)?;
            write_full_at(&*temp, &[2; 150], 0)?;
            temp.sync_data()?;
            disk.rename(p("/f.tmp"), p("/f"))?;
            disk.sync_dir(p("/"))
        };
        steps().is_ok()
    }

    fn check(disk: SimDisk, _: &StopPoint, promised: &bool) -> Result<(), String> {
        match disk.current_bytes(p("/f")) {
            Some(bytes) if bytes == [2; 150] => Ok(()),
            Some(bytes) if bytes == [1; 100] && !promised => Ok(()),
            other => {
                Err(format!("promised: {promised}, found {} bytes", other.map_or(0, |bytes| bytes.len())))
            }
        }
    }

    fn run(disk: &SimDisk) -> EnumerationReport {
        enumerate(disk, EnumerateOptions::default(), replace, check)
    }

    #[test]
    fn it_is_atomic_and_durable() {
        let report = run(&start());
        report.assert_holds();
        assert_eq!(report.operations, 5);
        assert!(report.states > 50, "{report:?}");
    }

    #[test]
    fn without_the_sync_of_the_file_it_is_not_atomic() {
        let disk = start();
        disk.ignore(Ignore::SyncData, ends_with(".tmp"));
        let report = run(&disk);
        let failure = report.first_failure.clone().expect("some state is torn");
        assert!(failure.stop.to_string().contains("rename /f.tmp -> /f"), "{}", failure.stop);
        assert!(report.failures > 0 && report.failures < report.states);
    }

    #[test]
    fn without_the_sync_of_the_folder_it_is_not_durable() {
        let disk = start();
        disk.ignore(Ignore::SyncDir, |_| true);
        let failure = run(&disk).first_failure.expect("some state lost the name");
        assert_eq!(
            (failure.stop.operations, failure.message.as_str()),
            (5, "promised: true, found 100 bytes")
        );
    }

    #[test]
    #[should_panic(expected = "states fail")]
    fn a_report_with_failures_does_not_hold() {
        enumerate(&start(), EnumerateOptions::default(), replace, |_, _, _| Err("no".into())).assert_holds();
    }

    #[test]
    #[should_panic(expected = "differs from run to run")]
    fn a_scenario_that_differs_is_refused() {
        let runs = std::cell::Cell::new(0);
        let scenario = |disk: &Arc<SimDisk>| {
            runs.set(runs.get() + 1);
            let _ = disk.create_dir(p(&format!("/{}", runs.get())));
            let _ = disk.sync_dir(p("/"));
        };
        enumerate(&start(), EnumerateOptions::default(), scenario, |_, _, ()| Ok(()));
    }

    #[test]
    fn two_runs_are_identical() {
        let (first, second) = (run(&start()), run(&start()));
        assert_eq!((first.operations, first.states), (second.operations, second.states));
    }
}

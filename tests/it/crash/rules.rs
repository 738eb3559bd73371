//! The enumerator must find the loss when a rule is taken out.

use std::path::Path;

use weir::config::FlushMode;
use weir::env::SimDisk;
use weir::env::sim_disk::Ignore;

use super::harness::{Scenario, run};
use super::life::start_disk;
use super::log::{alone, appends_and_rolls};
use super::removal::{by_metadata, by_time};

type Applies = fn(&Path) -> bool;

fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "log")
}

/// Counts the failures without a rule: there must be some.
fn run_without(name: &str, disk: &SimDisk, rule: (Ignore, Applies), scenario: &impl Scenario) {
    disk.ignore(rule.0, rule.1);
    let report = run(&format!("without {name}"), disk, scenario);
    assert!(report.failures > 0, "without {name} nothing was found in {} states", report.states);
}

#[test]
fn without_a_sync_the_enumerator_finds_the_loss() {
    let cases: [(&str, Ignore, Applies); 3] = [
        ("the sync of the log", Ignore::SyncData, is_log),
        ("the sync of the folder at a roll", Ignore::SyncDir, |path| path.ends_with("t-0")),
        ("the sync before a rename", Ignore::SyncData, |path| path.extension().is_some_and(|e| e == "tmp")),
    ];
    for (name, rule, applies) in cases {
        run_without(name, &start_disk(), (rule, applies), &alone(FlushMode::Ack, appends_and_rolls));
    }
}

#[test]
fn without_a_sync_at_a_removal_the_enumerator_finds_the_loss() {
    let folder: Applies = |path| path.ends_with("t-0");
    run_without("the sync of the folder at a removal", &start_disk(), (Ignore::SyncDir, folder), &by_time());
    let (disk, scenario) = by_metadata();
    let metadata: Applies = |path| is_log(path) && path.starts_with("d/__cluster_metadata-0");
    run_without("the sync of the trim command", &disk, (Ignore::SyncData, metadata), &scenario);
}

//! The enumerator must find the loss when a rule is taken out.

use std::path::Path;

use weir::config::FlushMode;
use weir::env::sim_disk::Ignore;

use super::harness::run_without;
use super::life::start_disk;
use super::log::{alone, appends_and_rolls};
use super::removal::{by_metadata, by_time};
use super::topics::{self, TopicScenario};

type Applies = fn(&Path) -> bool;

fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "log")
}

#[test]
fn without_a_sync_the_enumerator_finds_the_loss() {
    let cases: [(&str, Ignore, Applies); 3] = [
        ("the sync of the log", Ignore::SyncData, is_log),
        ("the sync of the folder at a roll", Ignore::SyncDir, |path| path.ends_with("t-0")),
        ("the sync before a rename", Ignore::SyncData, |path| path.extension().is_some_and(|e| e == "tmp")),
    ];
    for (name, rule, applies) in cases {
        let disk = start_disk();
        disk.ignore(rule, applies);
        run_without(name, &disk, &alone(FlushMode::Ack, appends_and_rolls));
    }
}

#[test]
fn without_a_sync_at_a_removal_the_enumerator_finds_the_loss() {
    let disk = start_disk();
    disk.ignore(Ignore::SyncDir, |path| path.ends_with("t-0"));
    run_without("the sync of the folder at a removal", &disk, &by_time());
    let (disk, scenario) = by_metadata();
    disk.ignore(Ignore::SyncData, |path| is_log(path) && path.starts_with("d/__cluster_metadata-0"));
    run_without("the sync of the trim command", &disk, &scenario);
}

#[test]
fn without_a_sync_of_the_metadata_the_enumerator_finds_the_loss_of_topics() {
    let disk = topics::start_disk();
    disk.ignore(Ignore::SyncData, |path| is_log(path) && path.starts_with("/d/__cluster_metadata-0"));
    run_without("the sync of the metadata", &disk, &TopicScenario);
}

#[test]
fn without_a_sync_of_the_data_directory_the_enumerator_finds_the_loss_of_topics() {
    let disk = topics::start_disk();
    disk.ignore(Ignore::SyncDir, |path| path == Path::new("/d"));
    run_without("the sync of the data directory", &disk, &TopicScenario);
}

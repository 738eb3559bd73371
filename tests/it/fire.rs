//! Weir under fire: real brokers under load, one fault at a time, one checker. `tests/proofs/fire.sh` runs the scenarios at length.

mod checkpoints;
mod clock;
mod compaction;
mod cursors;
mod damage;
mod descriptors;
mod ext4;
mod failed_sync;
mod first_start;
mod folders;
mod frozen;
mod full_disk;
mod groups;
pub(crate) mod history;
mod hot_topic;
mod kill;
pub(crate) mod load;
mod outcomes;
mod power_cut;
mod read_only;
mod readers;
mod restart_time;
mod slow_disk;
mod small;
mod stock;
mod stock_reader;
mod strace;
mod syscalls;
mod upkeep;

use std::collections::BTreeMap;

use history::{Findings, Wrong};

/// A number from the environment.
pub(crate) fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect(name))
}

pub(crate) fn assert_none(findings: Findings) {
    let count = findings.len();
    // Some of each kind.
    let mut told: BTreeMap<Wrong, usize> = BTreeMap::new();
    let is_early = |(wrong, _): &(Wrong, String)| {
        let told = told.entry(*wrong).or_default();
        *told += 1;
        *told <= 5
    };
    let first: Vec<String> =
        findings.into_iter().filter(is_early).map(|(wrong, text)| format!("{wrong:?}: {text}")).collect();
    assert!(first.is_empty(), "{count} findings, the first:\n{}", first.join("\n"));
}

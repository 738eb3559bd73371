//! A seeded simulation of a broker, its groups and their clients: no runtime, no thread, no real disk or clock. What happens
//! follows from a seed, step by step, and what must hold is checked after each.
//!
//! `cargo test --test sim` runs some seeds; `WEIR_SEEDS=10000 WEIR_FIRST_SEED=1 cargo test --release --test sim seeds --
//! --nocapture` runs as many as one likes; `WEIR_SEED=17 tests/proofs/sim.sh` tells what happens from one.
//!
//! Reading order: `world` (what there is), `actions` and `faults` (what happens), `event` and `invariants` (what must hold),
//! `drain` (how it ends), `run`.

#![allow(clippy::unwrap_used)]

mod actions;
mod broker;
mod call;
mod drain;
mod event;
mod faults;
mod invariants;
mod member;
mod membership;
mod oracle;
mod producer;
mod rules;
mod run;
mod session;
mod stream;
mod topics;
mod trace;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use run::run;
use world::Breach;

/// Seeds of a short form.
const SEEDS: u64 = 60;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Runs worlds; with `WEIR_SEED` one, whose story is printed.
#[test]
fn seeds() {
    let one = std::env::var("WEIR_SEED").ok().map(|seed| seed.parse::<u64>().expect("WEIR_SEED is a number"));
    let first = one.unwrap_or(number("WEIR_FIRST_SEED", 1));
    let count = if one.is_some() { 1 } else { number("WEIR_SEEDS", SEEDS) };
    let mut faults: BTreeMap<&str, u64> = faults::names().map(|name| (name, 0)).collect();
    let mut lines = 0;
    for seed in first..first + count {
        let outcome = run(seed, None, one.is_some());
        if let Some(Breach { invariant, what }) = outcome.breach {
            panic!("seed {seed}: {invariant}: {what}\nits story: WEIR_SEED={seed} tests/proofs/sim.sh");
        }
        outcome.faults.into_iter().for_each(|(name, times)| *faults.entry(name).or_default() += times);
        lines += outcome.lines;
    }
    let counted: Vec<String> = faults.iter().map(|(name, times)| format!("{name} {times}")).collect();
    println!("{count} seeds from {first}, {lines} events, no breach; faults: {}", counted.join(", "));
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in 1..=number("WEIR_SEEDS", SEEDS).min(50) {
        let (first, second) = (run(seed, None, false), run(seed, None, false));
        assert_eq!((first.hash, first.lines), (second.hash, second.lines), "seed {seed}");
    }
}

/// Every rule that is taken out is noticed, and where those of the group machine can be taken out (feature `fault`), every invariant
/// notices one; those that need a rule of the log to be broken are shown by `tests/proofs/rules.sh`.
#[test]
fn breaking_any_rule_is_noticed() {
    const AT_LEAST: u64 = 50;
    let at_most = number("WEIR_RULE_SEEDS", 5_000);
    let mut silent: BTreeSet<&str> = invariants::Invariants::names().into_iter().collect();
    for shown_by_the_log in ["compaction", "durable commits"] {
        silent.remove(shown_by_the_log);
    }
    let mut unnoticed = Vec::new();
    for rule in rules::SimRule::all() {
        let mut noticed: BTreeMap<&str, u64> = BTreeMap::new();
        let mut seed = 0;
        while seed < at_most && (seed < AT_LEAST || noticed.is_empty()) {
            seed += 1;
            if let Some(breach) = run(seed, Some(rule), false).breach {
                *noticed.entry(breach.invariant).or_default() += 1;
            }
        }
        println!("without {rule:?}: {noticed:?} in {seed} seeds");
        silent.retain(|name| !noticed.contains_key(name));
        if noticed.is_empty() {
            unnoticed.push(rule);
        }
    }
    assert_eq!(unnoticed, [], "not noticed");
    if cfg!(feature = "fault") {
        assert_eq!(silent, BTreeSet::new(), "invariants that notice nothing");
    }
}

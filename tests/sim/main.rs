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
use std::num::NonZero;
use std::ops::RangeInclusive;
use std::sync::Mutex;

use rules::SimRule;
use run::run;
use world::Breach;

/// Seeds of a short form.
const SEEDS: u64 = 60;

/// Worlds in which every rule is noticed, the rare ones too.
const RARE_SEEDS: u64 = 5_000;
/// Seeds for each rule that is taken out, at the least.
const RULE_SEEDS_MIN: u64 = 50;

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
    let at_least = number("WEIR_RULE_SEEDS_MIN", RULE_SEEDS_MIN);
    let at_most = number("WEIR_RULE_SEEDS", RARE_SEEDS);
    let mut silent: BTreeSet<&str> = invariants::Invariants::names().into_iter().collect();
    for shown_by_the_log in ["compaction", "durable commits"] {
        silent.remove(shown_by_the_log);
    }
    let (rules, rare): (Vec<SimRule>, Vec<SimRule>) =
        SimRule::all().into_iter().partition(|rule| at_most >= RARE_SEEDS || !rule.is_rare());
    rare.iter().for_each(|rule| println!("left to a run of more worlds: {rule:?}"));
    let tried = side_by_side(&rules, |rule| {
        let (noticed, seeds) = without(rule, at_least..=at_most);
        println!("without {rule:?}: {noticed:?} in {seeds} seeds");
        noticed
    });
    let unnoticed = rules.iter().zip(&tried).filter(|(_, noticed)| noticed.is_empty());
    assert_eq!(unnoticed.map(|(rule, _)| *rule).collect::<Vec<_>>(), [], "not noticed");
    println!("{} rules taken out, each one noticed", rules.len());
    silent.retain(|name| !tried.iter().any(|noticed| noticed.contains_key(name)));
    // Of few worlds nobody expects it.
    if cfg!(feature = "fault") && at_least >= RULE_SEEDS_MIN {
        assert_eq!(silent, BTreeSet::new(), "invariants that notice nothing");
    }
}

/// Runs worlds without a rule, so many at least and until one is noticed: what the invariants noticed, and in how many worlds.
fn without(rule: SimRule, counts: RangeInclusive<u64>) -> (BTreeMap<&'static str, u64>, u64) {
    let mut noticed = BTreeMap::new();
    let mut seed = 0;
    while seed < *counts.end() && (seed < *counts.start() || noticed.is_empty()) {
        seed += 1;
        if let Some(breach) = run(seed, Some(rule), false).breach {
            *noticed.entry(breach.invariant).or_default() += 1;
        }
    }
    (noticed, seed)
}

/// What `try_out` gives for each rule, in their order; each core takes the next one that nobody has.
fn side_by_side<T: Send>(rules: &[SimRule], try_out: impl Fn(SimRule) -> T + Sync) -> Vec<T> {
    let next = Mutex::new(rules.iter().enumerate());
    let work = || {
        let take = || next.lock().unwrap().next();
        std::iter::from_fn(take).map(|(at, rule)| (at, try_out(*rule))).collect::<Vec<_>>()
    };
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut tried: Vec<(usize, T)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    tried.sort_by_key(|(at, _)| *at);
    tried.into_iter().map(|(_, tried)| tried).collect()
}

//! Runs scenarios through the enumerator: every cut, a second crash in some of the recoveries, faults at chosen operations.

use std::cell::RefCell;
use std::sync::Arc;

use weir::env::SimDisk;
use weir::env::sim_disk::{Effect, EnumerateOptions, EnumerationReport, Fault, Op, OpKind, enumerate};

/// What is done to a disk, and what must hold whatever a crash leaves of it.
pub(super) trait Scenario {
    /// What clients were told until the crash.
    type Told: Clone;

    /// Plays it on a disk that may stop at any call.
    fn play(&self, disk: &SimDisk) -> Self::Told;

    /// Starts again on what a crash left, and notes what clients see and do then besides.
    fn recover(&self, disk: &SimDisk, told: &Self::Told) -> Self::Told;

    /// Starts again and holds what is there against what was told.
    fn check(&self, disk: &SimDisk, told: &Self::Told) -> Result<(), String>;
}

/// How thorough: short by default.
pub(super) fn options() -> EnumerateOptions {
    let number =
        |name: &str, default: u32| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    EnumerateOptions {
        limit_units: number("WEIR_CRASH_UNITS", 5) as usize,
        random_states: number("WEIR_CRASH_RANDOM", 6),
        ..EnumerateOptions::default()
    }
}

/// How much of what multiplies the states of a scenario.
struct Form {
    /// Of so many states one is recovered again and again, with a second crash after each operation of its recovery.
    states_per_second_crash: u64,
    /// Of so many plans of faults one is tried. An operation has one to three.
    plans_per_fault: usize,
    /// The bounds under a fault, and of a second crash.
    small: EnumerateOptions,
}

fn form() -> Form {
    let (states_per_second_crash, plans_per_fault, limit_units, random_states) = match options().limit_units {
        0..=5 => (800, 97, 2, 0),
        6..=11 => (1_500, 5, 4, 4),
        _ => (4_000, 3, 4, 8),
    };
    let small = EnumerateOptions { limit_units, random_states, ..options() };
    Form { states_per_second_crash, plans_per_fault, small }
}

/// Stops the scenario after every operation, and prints what was tried.
pub(super) fn run(name: &str, disk: &SimDisk, scenario: &impl Scenario) -> EnumerationReport {
    let report = enumerate_all(disk, options(), scenario);
    print(name, &report);
    report
}

/// The same on a disk on which a rule is taken out, as thorough as the short form: there must be failures.
pub(super) fn run_without(name: &str, disk: &SimDisk, scenario: &impl Scenario) {
    let play = |disk: &Arc<SimDisk>| scenario.play(disk);
    let few = EnumerateOptions { limit_units: 5, random_states: 6, ..options() };
    let report = enumerate(disk, few, play, |disk, _, told| scenario.check(&disk, told));
    print(&format!("without {name}"), &report);
    assert!(report.failures > 0, "without {name} nothing was found in {} states", report.states);
}

/// Plays the scenario with a fault at each chosen operation, and stops it after every operation from there on.
pub(super) fn run_with_faults(name: &str, disk: &SimDisk, scenario: &impl Scenario) -> EnumerationReport {
    let trace = trace_of(disk, scenario);
    let mut report = EnumerationReport::default();
    let Form { plans_per_fault, small, .. } = form();
    let mut plans = 0;
    for faults in trace.iter().flat_map(faults_at).step_by(plans_per_fault) {
        let faulty = disk.kill();
        let first_cut = faults[0].0 + 1;
        faults.into_iter().for_each(|(number, effect)| faulty.fail(Fault::at(number, effect)));
        report.add(enumerate_all(&faulty, EnumerateOptions { first_cut, ..small }, scenario));
        plans += 1;
    }
    print(&format!("{name}, {plans} plans of faults"), &report);
    report
}

/// The faults to be tried at one operation of a trace: number of the operation and effect.
fn faults_at(op: &Op) -> Vec<Vec<(u64, Effect)>> {
    let (n, half) = (op.number, op.len as usize / 2);
    match op.kind {
        OpKind::Write => vec![
            vec![(n, Effect::Io)],
            vec![(n, Effect::ShortWrite(half)), (n + 1, Effect::Full)],
            vec![(n, Effect::ShortWrite(half)), (n + 1, Effect::Io), (n + 2, Effect::Io)],
        ],
        OpKind::SyncData | OpKind::SyncDir | OpKind::SyncFileSystem => {
            vec![vec![(n, Effect::LoseSync)], vec![(n, Effect::Io)]]
        }
        OpKind::Create | OpKind::SetLen => vec![vec![(n, Effect::Full)], vec![(n, Effect::Io)]],
        _ => vec![vec![(n, Effect::Io)]],
    }
}

fn trace_of(disk: &SimDisk, scenario: &impl Scenario) -> Vec<Op> {
    let whole = disk.kill();
    scenario.play(&whole);
    whole.trace()
}

fn enumerate_all(disk: &SimDisk, options: EnumerateOptions, scenario: &impl Scenario) -> EnumerationReport {
    let second = RefCell::new(EnumerationReport::default());
    let mut number = 0;
    let every = form().states_per_second_crash;
    let mut report = enumerate(
        disk,
        options,
        |disk| scenario.play(disk),
        |disk, _, told| {
            number += 1;
            let before = disk.kill();
            scenario.check(&disk, told)?;
            if number % every == every / 2 {
                second.borrow_mut().add(crash_again(&before, scenario, told));
            }
            Ok(())
        },
    );
    let operations = report.operations;
    report.add(second.into_inner());
    report.operations = operations;
    report
}

/// A crash after each operation of the recovery of a crash.
fn crash_again<S: Scenario>(disk: &SimDisk, scenario: &S, told: &S::Told) -> EnumerationReport {
    let recover = |disk: &Arc<SimDisk>| scenario.recover(disk, told);
    enumerate(disk, form().small, recover, |disk, _, told| {
        scenario.check(&disk, told).map_err(|what| format!("second crash: {what}"))
    })
}

fn print(name: &str, report: &EnumerationReport) {
    let EnumerationReport { operations, states, failures, .. } = report;
    println!("{name}: {operations} operations, {states} states, {failures} failures");
}

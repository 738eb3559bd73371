//! Cuts a scenario after each operation, and shows a check everything that may be left of the disk then.

use std::fmt;
use std::sync::Arc;

use super::{Op, SimDisk, print_trace};

/// How thorough an enumeration is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EnumerateOptions {
    /// Up to this many waiting units every subset is tried.
    pub limit_units: usize,
    /// How many subsets are drawn when there are more.
    pub random_states: u32,
    /// What the drawn subsets follow from.
    pub seed: u64,
    /// Cuts after fewer operations than this are left out: for a scenario that is the same up to there as one already tried.
    pub first_cut: u64,
}

impl Default for EnumerateOptions {
    fn default() -> Self {
        Self { limit_units: 12, random_states: 256, seed: 1, first_cut: 0 }
    }
}

/// What ended the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopKind {
    /// The process was killed; the machine lived.
    Killed,
    /// The power was cut; the number of the state among those of its stop.
    PowerCut(u64),
}

/// Where a scenario was cut.
#[derive(Clone, Debug)]
pub struct StopPoint {
    /// How many changing calls were carried out.
    pub operations: u64,
    /// What ended the process.
    pub kind: StopKind,
    /// The calls.
    pub trace: Arc<[Op]>,
}

impl fmt::Display for StopPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {} operations, {:?}:\n{}", self.operations, self.kind, print_trace(&self.trace))
    }
}

/// A state for which the check did not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Where it was.
    pub stop: StopPoint,
    /// What the check said.
    pub message: String,
}

/// What an enumeration found.
#[derive(Clone, Debug, Default)]
pub struct EnumerationReport {
    /// Changing calls of the whole scenario.
    pub operations: u64,
    /// States checked.
    pub states: u64,
    /// States for which the check did not hold.
    pub failures: u64,
    /// The first of them.
    pub first_failure: Option<Failure>,
}

impl EnumerationReport {
    /// Adds what another enumeration found; of the first failures its own stays.
    pub fn add(&mut self, other: Self) {
        self.operations += other.operations;
        self.states += other.states;
        self.failures += other.failures;
        self.first_failure = self.first_failure.take().or(other.first_failure);
    }

    /// Panics: with the first failure and its trace, when there is one.
    #[track_caller]
    pub fn assert_holds(&self) {
        if let Some(Failure { stop, message }) = &self.first_failure {
            panic!("{} of {} states fail, first {stop}{message}", self.failures, self.states);
        }
    }

    fn note(&mut self, stop: StopPoint, result: Result<(), String>) {
        self.states += 1;
        if let Err(message) = result {
            self.failures += 1;
            self.first_failure.get_or_insert(Failure { stop, message });
        }
    }
}

/// Runs `scenario` on copies of `start`: once whole, then once for each number of operations after which it is cut. At
/// each cut, and at the end, `check` sees the disk as a killed process leaves it, and every state of
/// [`SimDisk::crash_states`], with what the scenario returned: the history of what was promised until then.
///
/// The scenario has to be the same at each run, and to end by itself when its calls fail.
/// Cost: operations × states of each cut × one check. Panics: two runs differ.
pub fn enumerate<T>(
    start: &SimDisk,
    options: EnumerateOptions,
    scenario: impl Fn(&Arc<SimDisk>) -> T,
    mut check: impl FnMut(SimDisk, &StopPoint, &T) -> Result<(), String>,
) -> EnumerationReport {
    let whole = Arc::new(start.fork());
    scenario(&whole);
    let whole_trace = whole.trace();
    let mut report = EnumerationReport { operations: whole.op_count(), ..EnumerationReport::default() };
    for operations in options.first_cut..=report.operations {
        let disk = Arc::new(start.fork());
        disk.stop_at(operations);
        let history = scenario(&disk);
        let trace: Arc<[Op]> = disk.trace().into();
        assert_eq!(*trace, whole_trace[..operations as usize], "the scenario differs from run to run");
        let stop = |kind| StopPoint { operations, kind, trace: Arc::clone(&trace) };
        let killed = stop(StopKind::Killed);
        let result = check(disk.kill(), &killed, &history);
        report.note(killed, result);
        let seed = options.seed.wrapping_add(operations);
        let states = disk.crash_states(options.limit_units, options.random_states, seed);
        for (number, state) in states.enumerate() {
            let cut = stop(StopKind::PowerCut(number as u64));
            let result = check(state, &cut, &history);
            report.note(cut, result);
        }
    }
    report
}

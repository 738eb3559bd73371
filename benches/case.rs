//! A benchmark case: some work of Weir, and the same bytes as fast as the machine can.

use std::cell::Cell;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use weir::env::{Clock, RealClock};

/// Does an operation so many times and tells how long that took, what it needed beforehand left out.
pub(crate) type Work = Box<dyn FnMut(u64) -> Duration>;

/// How large the inputs are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scale {
    /// To be measured.
    Full,
    /// To be run once as a test.
    Small,
}

/// One row of the table.
pub(crate) struct Case {
    /// Such as `append 16 KiB`.
    pub(crate) name: &'static str,
    /// Bytes that one operation moves.
    pub(crate) bytes: u64,
    /// Weir's work.
    pub(crate) figure: Work,
    /// What the ceiling does, such as `memcpy`.
    pub(crate) ceiling_name: &'static str,
    /// The ceiling's work.
    pub(crate) ceiling: Work,
}

impl Case {
    /// Measures both with criterion. False when its filter leaves them out.
    pub(crate) fn run(&mut self, criterion: &mut Criterion) -> bool {
        let did_run = Cell::new(false);
        let mut group = criterion.benchmark_group(self.name);
        group.throughput(Throughput::Bytes(self.bytes));
        group.bench_function("weir", |bencher| {
            did_run.set(true);
            bencher.iter_custom(&mut self.figure);
        });
        group.bench_function(format!("ceiling: {}", self.ceiling_name), |bencher| {
            did_run.set(true);
            bencher.iter_custom(&mut self.ceiling);
        });
        group.finish();
        did_run.get()
    }
}

/// How long `work` takes.
pub(crate) fn time(work: impl FnOnce()) -> Duration {
    let clock = RealClock::new();
    let before = clock.monotonic();
    work();
    clock.monotonic() - before
}

/// Work that needs nothing beforehand.
pub(crate) fn repeat(mut operation: impl FnMut() + 'static) -> Work {
    Box::new(move |count| time(|| (0..count).for_each(|_| operation())))
}

//! What the parts cost, each beside the ceiling of its machine, measured in the same run.
//!
//! `cargo bench` measures everything with criterion and prints a table at the end; `cargo bench -- --quick` is shorter;
//! `cargo bench -- append` takes only the cases whose names hold that word. `cargo test` runs every case once with small
//! inputs, so that none can rot.

mod append;
mod case;
mod disk;
mod read;
mod record;
mod table;

use case::{Case, Scale};
use criterion::Criterion;

/// The allocator of the broker, so that its figures are those of the broker.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // Cargo passes `--bench` to a benchmark that it runs as one, and nothing of its own to one that it tests.
    if args.iter().any(|arg| arg == "--bench") {
        measure(args.iter().any(|arg| arg == "--quick"));
    } else {
        test(&args);
    }
}

fn all_cases(scale: Scale) -> Vec<Case> {
    [record::cases(), append::cases(scale), read::cases(scale)].into_iter().flatten().collect()
}

fn measure(is_quick: bool) {
    let mut criterion = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    let mut rows = Vec::new();
    for mut case in all_cases(Scale::Full) {
        if case.run(&mut criterion) {
            rows.push(table::measure(&mut case, is_quick));
        }
    }
    criterion.final_summary();
    table::print(&rows);
}

/// Runs each case once whose name holds one of the words among `args`, or every one when there is none.
fn test(args: &[String]) {
    let words: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let is_chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let mut count = 0;
    for mut case in all_cases(Scale::Small).into_iter().filter(|case| is_chosen(case.name)) {
        (case.figure)(2);
        (case.ceiling)(2);
        count += 1;
    }
    println!("{count} benchmarks ran once with small inputs");
}

//! What the members of a group feel while others join and leave, beside the same without any rebalance.
//!
//! 4,000 records a second go into 12 partitions; one member stays, ten join and leave. `cargo bench --bench rebalance` measures five
//! interleaved pairs (a quiet run, one with joins and leaves) and prints a table with their medians; with `$KAFKA_PEER` (a script that
//! starts Apache Kafka and runs its tools) the same load on Kafka comes after them. `cargo test` runs one short pair, so that it
//! can't rot. Either way every record must have been delivered.
#![allow(clippy::disallowed_methods)]

mod broker;
mod figures;
mod kafka;
mod load;
mod members;
mod run;

use run::{Plan, Run};

/// The allocator of the broker's clients as users build them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    // Cargo passes `--bench` to a benchmark that it runs as one, and nothing of its own to one that it tests.
    let plan = if std::env::args().any(|arg| arg == "--bench") { Plan::FULL } else { Plan::SHORT };
    let mut quiet = Vec::new();
    let mut churn = Vec::new();
    figures::print_head();
    for pair in 1..=plan.pairs {
        for (name, guests, runs) in [("quiet", 0, &mut quiet), ("joins and leaves", plan.guests, &mut churn)]
        {
            let figures = Run::new(&plan, guests).figures();
            figures.print(&format!("{name} {pair}"));
            runs.push(figures);
        }
    }
    figures::print_medians(&quiet, &churn);
    if plan.pairs > 1 {
        kafka::print();
    }
}

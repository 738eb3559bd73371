//! What the members of a group feel while others join and leave, beside the same without any rebalance.
//!
//! 4,000 records a second go into 12 partitions; one member stays, ten join and leave. Five interleaved pairs (a quiet run, one with
//! joins and leaves) make a table with their medians; with `$KAFKA_PEER` (a script that starts Apache Kafka and runs its tools) the
//! same load on Kafka comes after them. Every record must have been delivered.

mod figures;
mod kafka;
mod load;
mod members;
mod run;

use self::run::{Plan, Run};
use super::Scale;

/// Prints the table.
pub(crate) fn measure(scale: Scale) {
    let plan = if scale == Scale::Full { Plan::FULL } else { Plan::SHORT };
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
    if scale == Scale::Full {
        kafka::print();
    }
}

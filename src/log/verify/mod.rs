//! Looking at stored logs without changing anything: what is sound, what is damaged, what is only torn.
//!
//! For the command line, beside a broker that is stopped or running. Reading order: [`mod@walk`] (the batches of a log file),
//! [`segment`] (with its records and side files), [`partition`] (a folder).

pub mod partition;
pub mod segment;
pub mod walk;

pub use partition::{PartitionReport, verify_partition};
pub use segment::{Finding, SegmentFiles, SegmentReport, Severity, verify_segment};
pub use walk::{Step, walk};

#[cfg(test)]
mod tests;

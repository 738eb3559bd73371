//! `weir produce`: records from arguments, lines or NDJSON into a topic.
//!
//! Reading order: `args`, `input` (lines), `parse` (a line into a record, pure), `run`, `flights` (records
//! without result), `report` (what became of them).

mod args;
mod flights;
mod input;
mod parse;
mod report;
mod run;

pub use args::{Acks, Codec, ProduceArgs};
pub use run::run;

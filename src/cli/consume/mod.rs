//! `weir consume`: records of topics to stdout.
//!
//! Reading order: `args`, `plan` (where to begin and to stop), `goal` (when it is over, pure), `grep`
//! (which records, pure), `run`.

mod args;
mod goal;
mod grep;
mod plan;
mod run;

pub use args::ConsumeArgs;
pub use run::run;

//! `weir consume`: records of topics to stdout.
//!
//! Reading order: `args`, `plan` (where to begin and to stop), `goal` (when it is over, pure), `grep`
//! (which records, pure), `printing`, `run`; `member` (as a member of a group).

mod args;
mod goal;
mod grep;
mod member;
mod plan;
mod printing;
mod run;

pub use args::ConsumeArgs;
pub use run::run;

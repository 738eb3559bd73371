//! `weir topic`: create, list, describe, alter, delete, trim.
//!
//! Reading order: `args`, `run` (which command, which topics), `show` (reading), `change` (changing), `trim`.

mod args;
mod change;
mod run;
mod show;
mod trim;

pub use args::{TopicArgs, TopicCommand};
pub use run::run;

//! `weir topic`: create, list, describe, alter, delete, trim, config-keys.
//!
//! Reading order: `args`, `run` (which command), `found` (which topics), `show` (reading), `change` (changing), `trim`, `keys`.

mod args;
mod change;
mod found;
mod keys;
mod run;
mod show;
mod trim;

pub use args::{TopicArgs, TopicCommand};
pub use run::run;

//! `weir context`: brokers under names.
//!
//! Reading order: `args`, `store` (the file), `run`.

mod args;
mod run;
mod store;

pub use args::ContextArgs;
pub use run::{names, resolve, run};

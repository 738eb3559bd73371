//! `weir cluster`: how the broker fares.
//!
//! Reading order: [`args`], [`run`], then one file for each command.

mod args;
mod health;
mod run;
mod status;

pub use args::ClusterArgs;
pub(super) use health::{CHECK, Health};
pub use run::run;

//! `weir bench`: measures a broker.

mod args;
mod host;
mod live;
mod result;
mod run;

pub use args::BenchArgs;
pub use run::run;

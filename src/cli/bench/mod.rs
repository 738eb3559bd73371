//! `weir bench`: measures a broker.

mod args;
mod ceilings;
mod host;
mod live;
mod result;
mod run;
mod sink;

pub use args::BenchArgs;
pub use run::run;

//! `weir demo`: a broker, sample records flowing through it, and a check of what comes out.
//!
//! Reading order: `args`, `run` (the order of events), `flow` (records in and out), `check` (pure), `live` (what is
//! shown meanwhile).

mod args;
mod check;
mod flow;
mod live;
mod run;

pub use args::DemoArgs;
pub use run::run;

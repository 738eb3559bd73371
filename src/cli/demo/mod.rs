//! `weir demo`: a broker, sample records flowing through it, a group that reads some of them, and checks of what comes out.
//!
//! Reading order: `args`, `run` (the order of events). The first scene: `flow` (records in and out), `check` (pure), `live` (what
//! is shown meanwhile). The second: `activity` (records and changes of the group), `readers` (its members), `order` and `owners`
//! (pure).

mod activity;
mod args;
mod check;
mod flow;
mod live;
mod order;
mod owners;
mod readers;
mod run;

pub use args::DemoArgs;
pub use run::run;

//! `weir log`: stored logs, looked at without a broker and without changing anything.

mod args;
mod inspect;
mod path;
mod run;
mod verify;

pub use args::LogArgs;
pub use run::run;

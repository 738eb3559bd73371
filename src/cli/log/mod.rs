//! `weir log`: stored logs, looked at without changing anything: as files, without a broker, or as a broker holds them.

mod args;
mod data_dir;
mod inspect;
mod path;
mod run;
mod segments;
mod verify;

pub use args::LogArgs;
pub use run::{is_remote, run, run_remote};

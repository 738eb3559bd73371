//! The `weir` command.
//!
//! Data goes to stdout, everything for the eye to stderr. Exit codes: 0 done, 1 an item failed, 2 usage, 3 unreachable or
//! timed out, 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP; `serve` and `demo` exit 0 after a clean stop by Ctrl-C. Reading
//! order: [`args`] (the tree), [`global`], [`offset`], [`mod@format`], [`json`] (pure), [`run`], then the commands. Only [`serve`]
//! starts a broker; [`context`] names the clock.

pub mod about;
pub mod args;
pub mod bench;
pub mod cluster;
pub mod consume;
pub mod context;
pub mod contexts;
pub mod demo;
pub mod exit;
pub mod format;
pub mod global;
pub mod group;
pub mod json;
pub mod log;
pub mod machine;
pub mod offset;
pub mod output;
pub mod produce;
pub mod progress;
pub mod run;
pub mod sample;
pub mod serve;
pub mod signals;
pub mod stderr;
pub mod top;
pub mod topic;
pub mod yaml;

pub use run::main;

//! Integration tests, one binary. Modules by topic.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod client;
mod crash;
mod idle;
mod kill;
mod process;
mod stop;
mod topic_keys;
mod whole;

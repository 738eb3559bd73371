//! Integration tests, one binary. Modules by topic.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod client;
mod crash;
mod golden;
mod round_trip;
mod topic_keys;
mod whole;

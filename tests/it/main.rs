//! Integration tests, one binary. Modules by topic.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod client;
mod configuration;
mod crash;
mod topic_keys;
mod transcripts;
mod whole;

//! Integration tests, one binary. Modules by topic.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod cli;
mod client;
mod configuration;
mod crash;
mod errors;
mod fire;
mod golden;
mod http;
mod idle;
mod logs;
mod malformed;
mod metrics;
mod pages;
mod process;
mod reference;
mod round_trip;
mod segments;
mod served;
mod stop;
mod surroundings;
mod topic_keys;
mod transcripts;
mod whole;

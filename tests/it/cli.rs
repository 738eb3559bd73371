//! The command line as its users meet it: flags, what goes to stdout and what to stderr, exit codes.

mod about;
mod bench;
mod cluster;
mod consume;
mod ends;
mod examples;
mod group;
mod offsets;
mod produce;
pub(crate) mod schemas;
mod serve;
mod spelling;
mod terminal;
mod topic;
mod verify;

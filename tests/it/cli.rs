//! The command line as its users meet it: flags, what goes to stdout and what to stderr, exit codes.

mod consume;
mod offsets;
mod produce;

//! Tests of the group machine: scenarios by hand, and random histories in a small world.

mod histories;
mod scenarios;
mod settle;
mod stage;
mod topics;
mod world;

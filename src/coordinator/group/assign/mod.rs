//! Assignors: who is to read what. Pure functions, run where they hold nothing up.
//!
//! Each gives every partition of every topic that somebody is subscribed to, to exactly one of its subscribers, and gives the same
//! answer to the same input.
//!
//! Reading order: [`input`], [`range`], [`round_robin`], [`sticky`].

mod balance;
mod gather;
pub mod input;
mod range;
mod round_robin;
mod sticky;

pub use input::{Assignment, AssignmentInput, AssignorName, MemberInput, Target, assign};

pub(super) use gather::{elected, input_of};

#[cfg(test)]
mod tests;

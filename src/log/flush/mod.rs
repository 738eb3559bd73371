//! Making records durable: rounds of syncs, and the journal that tells how far each log is durable.
//!
//! Reading order: [`unsynced`] (what a log has left to sync), [`queue`] (which logs wait), [`committer`] (a round), [`journal`],
//! [`checkpoint`].

pub mod checkpoint;
pub mod committer;
pub mod journal;
pub(super) mod queue;
pub(super) mod unsynced;

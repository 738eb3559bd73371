//! Requests: the only place where logs, replicas and metadata meet.
//!
//! Reading order: [`broker`] (the parts), [`start`] (their order), [`lookup`] and [`partitions`] (finding a log),
//! [`topics`]; then [`request`] (what doors ask for), [`produce`] and [`fetch`].

#[allow(clippy::module_inception)]
pub mod broker;
mod commit_errors;
pub mod data_dir;
pub mod errors;
pub mod fetch;
pub mod groups;
pub mod lookup;
pub mod partitions;
pub mod produce;
mod producer_ids;
pub mod rehearsal;
pub mod request;
pub mod start;
pub mod stats;
pub mod topics;
pub mod unpacking;

pub use broker::Broker;
pub use start::StartError;

#[cfg(test)]
mod tests;

//! The gRPC door: the services of `proto/weir/v1`, health and reflection.
//!
//! Reading order: [`server`] and [`limits`] (what a connection may do), [`request_body`] (what a request may
//! hold), [`reply_body`], [`status`] (errors), [`convert`] (requests and
//! replies), then one file for each service.

pub mod call;
pub mod caller;
pub mod cluster;
pub mod consume;
pub mod convert;
pub mod groups;
pub mod limits;
pub mod message_follower;
pub mod outbox;
pub mod produce;
pub mod produce_replies;
pub mod produce_stream;
pub mod reply_body;
pub mod request_body;
pub mod server;
pub mod status;
pub mod storage;
pub mod topics;

pub use server::serve;

#[cfg(test)]
mod tests;

//! The door for HTTP/1.1, on the port of gRPC: metrics and health.
//!
//! Reading order: [`server`] (one connection and its limits), [`pages`] (what is answered).

pub mod pages;
pub mod server;

pub use server::serve;

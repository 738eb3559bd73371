//! The doors: they decode requests into the broker's words, encode its replies, and decide nothing.
//!
//! Reading order: [`listener`] (how connections come in and how serving ends), [`door`], [`windows`], [`arrival`], [`shard`] (which door
//! a connection gets), [`connection`], [`under_way`], then [`grpc`] and [`http`].

pub mod arrival;
pub mod connection;
pub mod door;
pub mod grpc;
pub mod http;
pub mod listener;
pub mod shard;
pub mod under_way;
pub mod windows;

pub use listener::{Serving, serve};

//! The doors: they decode requests into the broker's words, encode its replies, and decide nothing.
//!
//! Reading order: [`listener`] (how connections come in and how serving ends), [`windows`],
//! [`connection`], [`under_way`], then [`grpc`].

pub mod connection;
pub mod grpc;
pub mod listener;
pub mod under_way;
pub mod windows;

pub use listener::{Serving, serve};

//! Record batches: the bytes that are sent, stored and fetched.
//!
//! Everything here is pure: bytes in, bytes out. Reading order: [`header`] (the format), then the rest.

pub mod header;

pub use header::BatchHeader;

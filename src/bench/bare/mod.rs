//! Ceilings: the same work by the plainest means that the machine has, measured in the same run as the broker.
//!
//! | | |
//! |---|---|
//! | T | bytes into a server that throws them away, over the same transport, read as they come (`raw`) or by the codec of a stock client (`codec`) |
//! | R | bytes out of a server that makes nothing, likewise |
//! | P | writes of 1 MiB at the end of a growing file, into the page cache |
//! | S | the same, on the disk every 8 MiB: what the disk takes for good |
//! | F | one write of 4 KiB at the end of a growing file and its `fdatasync` |
//! | H | from one thread to another and back |
//!
//! The transport has the broker's own settings. Source: `docs/BENCHMARKS.md`. Reading order: [`disk`], [`threads`], [`sink`],
//! [`transport`].

pub mod disk;
pub mod sink;
pub mod threads;
pub mod transport;

/// Bytes of one large message or write, its framing included: one HTTP/2 frame.
pub const LARGE_BYTES: usize = 1 << 20;

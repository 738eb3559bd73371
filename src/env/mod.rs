//! The outside world as parameters: disk, clock, randomness, threads; and the sockets of connections.
//!
//! Below the doors nothing reads the clock, draws randomness, starts a thread or touches a file except
//! through this module, so that all of it runs on the in-memory twin in tests. Reading order: [`disk`], [`clock`],
//! [`rng`], then the implementations.

pub mod awake_clock;
pub mod clock;
pub mod disk;
pub mod files;
pub mod frame_follower;
pub mod lossy_lines;
pub mod other_process;
pub mod process;
pub mod real_disk;
pub mod rng;
pub mod rule;
pub mod sim_clock;
pub mod sim_disk;
pub mod socket;
pub mod threads;

use std::sync::Arc;

pub use awake_clock::AwakeClock;
pub use clock::{Clock, RealClock};
pub use disk::{Disk, DiskError, DiskErrorKind, File, OpKind};
pub use files::{CachedFile, FileCache};
pub use lossy_lines::LossyLines;
pub use real_disk::RealDisk;
pub use rng::Rng;
pub use sim_clock::SimClock;
pub use sim_disk::SimDisk;

/// Everything from outside that the parts of a broker take.
#[derive(Clone)]
pub struct Env {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Random numbers.
    pub rng: Arc<Rng>,
}

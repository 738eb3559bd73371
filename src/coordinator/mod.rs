//! Coordinators: state machines over partitions of internal topics.
//!
//! Everything that a coordinator knows is a record of its partition. A command is decided on the present state ([`shard`]), its
//! records are appended, then replayed; the answer waits until they are committed. The machines know neither clock nor disk nor
//! network, so all that they do can be run, and run again, from a seed.
//!
//! Invariants: the state is a function of the newest record of each key, so that a compacted log gives the same one; a timer that
//! goes off late or for something that is gone does nothing.
//!
//! Reading order: [`shard`], [`timers`], [`runtime`], then [`group`].

pub mod group;
pub mod runtime;
pub mod shard;
pub mod timers;

pub use shard::{Effects, Now, Shard, StoredRecord};
pub use timers::Timers;

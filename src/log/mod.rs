//! Partition logs on disk.
//!
//! A log is a folder of segments. Appends enter an inbox and are written by whoever holds the log ([`append`]); the committer of
//! the data directory makes them durable in rounds ([`flush`]); the marks tell how far things are ([`marks`]); readers get stored bytes,
//! undecoded ([`read`]); after a crash the end is found again ([`recovery`]).
//!
//! Invariants: offsets are dense as appended; what was acknowledged at `flush=ack` is durable; a pair (leader epoch, offset) never names
//! two records; nothing below the durable point is ever cut. All of it is synchronous and takes disk and clock from [`crate::env`].
//!
//! Reading order: [`marks`], [`inbox`], [`partition_log`], [`append`], [`flush`], [`segment`], [`read`], [`recovery`], `compaction`, [`store`].

pub mod append;
mod compaction;
pub mod epoch_cache;
pub mod errors;
pub mod flush;
pub mod folder;
pub mod housekeeping;
mod idle;
pub mod inbox;
pub mod marks;
pub mod pace;
pub mod partition_log;
pub mod producer_state;
pub mod read;
pub mod recovery;
pub mod retention;
pub mod segment;
mod shared;
pub mod store;
pub mod verify;

pub use errors::{AppendError, OpenError, ReadError};
pub use inbox::{Appended, Ticket};
pub use marks::{LogOffsets, MarkWait};
pub use partition_log::{LogSize, LogSpec, PartitionLog};
pub use read::{FoundOffset, LogSlice, Wait};
pub use segment::{SegmentFacts, SegmentState, SegmentTimes};
pub use store::{LogStore, StoreOptions};

#[cfg(test)]
mod tests;

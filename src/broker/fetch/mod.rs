//! Reading records.
//!
//! Reading order: [`long_poll`] (several partitions, once) and [`tail`] (several partitions, for ever), which share
//! [`reader`] (one partition), [`decode`] (structured records), [`reply_bounds`] and [`pause`]; then [`list_offsets`].

pub mod decode;
pub mod list_offsets;
pub mod long_poll;
pub mod pause;
pub mod reader;
pub mod reply_bounds;
pub mod tail;

pub use list_offsets::list_offset;
pub use long_poll::fetch;
pub use tail::{Opened, Tail, TailAnswer};

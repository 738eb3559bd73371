//! One segment of a log: `<base offset, 20 digits>.log` with its side files.
//!
//! Reading order: [`side_file`] (what side files share), [`offset_index`], [`time_index`], [`footer`], then [`mod@file`],
//! which puts them together, [`run`], what a reader is given of it, and [`facts`], what can be told of it at a glance.

pub mod assessed;
pub mod damage;
pub mod facts;
pub mod file;
pub mod footer;
pub mod misfit;
pub mod offset_index;
pub mod run;
pub mod scan;
pub mod side_file;
#[cfg(test)]
pub(super) mod stored_batch;
pub mod tally;
pub mod time_index;

pub use facts::{SegmentFacts, SegmentState, SegmentTimes};
pub use file::Segment;
pub use footer::Footer;

//! Record batches: the bytes that are sent, stored and fetched.
//!
//! Everything here is pure: bytes in, bytes out. Reading order: [`header`] (the format of a batch), [`iter`] (the
//! format of a record), [`batch`] (reading), [`builder`] (writing), [`mod@validate`] (what a producer may send),
//! [`compress`] (the five codecs), [`mod@retain`] (what compaction leaves of a batch).

pub mod batch;
pub mod builder;
pub mod compress;
pub mod header;
pub mod iter;
mod lz4;
pub mod retain;
mod snappy;
pub mod validate;

#[cfg(test)]
mod tests;

pub use batch::{BatchError, RecordBatch};
pub use builder::{BatchBuilder, BuildError, NewRecord, ProducerFields};
pub use compress::{Codec, DecompressError};
pub use header::{BatchHeader, HEADER_BYTES};
pub use iter::{HeadersView, RecordFault, RecordIter, RecordView, Records};
pub use retain::{Retained, emptied, retain};
pub use validate::{InvalidBatch, Rules, ValidBatch, recompress, validate};

//! A shard made of its log.

use std::fmt;

use bytes::Bytes;

use crate::base::Offset;
use crate::base::limits::DECOMPRESSED_BYTES_MAX;
use crate::coordinator::shard::{Shard, StoredRecord};
use crate::record::{BatchError, RecordBatch};
use crate::replica::{AppendError, Partition, ReadError, Wait};

/// Bytes of one read at a load.
const LOAD_BYTES: usize = 1 << 20;

/// Why the state of a shard can't be loaded from its log.
#[derive(Clone, Debug)]
pub enum LoadError {
    /// The log can't be read.
    Read(ReadError),
    /// A stored batch can't be read.
    Batch(BatchError),
    /// What the log holds is never committed.
    Offline(AppendError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Batch(error) => error.fmt(f),
            Self::Offline(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LoadError {}

/// Replays a whole log into a shard that holds nothing, and gives it with the log end. May block.
pub(super) fn replay_all<S: Shard>(partition: &Partition, mut shard: S) -> Result<(S, Offset), LoadError> {
    let offsets = partition.offsets();
    let (mut from, end) = (offsets.log_start, offsets.log_end);
    while from < end {
        let slice = partition.read(from, LOAD_BYTES, Wait::Allowed).map_err(LoadError::Read)?;
        if slice.next_offset <= from {
            // Never a part of the state for all of it.
            return Err(LoadError::Read(ReadError::Damaged { first: from, end }));
        }
        replay_batches(slice.bytes, from, &mut shard).map_err(LoadError::Batch)?;
        from = slice.next_offset;
    }
    Ok((shard, end))
}

fn replay_batches<S: Shard>(mut run: Bytes, from: Offset, shard: &mut S) -> Result<(), BatchError> {
    while let Some(batch) = RecordBatch::take_first(&mut run)? {
        let records = batch.records(DECOMPRESSED_BYTES_MAX)?;
        for record in &records {
            let record = record?;
            if let (Some(key), true) = (record.key, record.offset >= from) {
                shard.replay(record.offset, &copied(key, record.value));
            }
        }
    }
    Ok(())
}

/// WHY a copy: what a shard keeps of a record would keep the whole read alive.
fn copied(key: &[u8], value: Option<&[u8]>) -> StoredRecord {
    StoredRecord { key: Bytes::copy_from_slice(key), value: value.map(Bytes::copy_from_slice) }
}

//! The records of a command as batches: one, or several where one would be larger than batches may be.

use std::collections::VecDeque;

use crate::base::Timestamp;
use crate::base::limits::BATCH_BYTES_MAX;
use crate::coordinator::shard::StoredRecord;
use crate::record::{BatchBuilder, BuildError, Codec, NewRecord, ValidBatch};

/// Some of a command's records, in their order.
pub(super) struct Part {
    pub(super) batch: ValidBatch,
    pub(super) record_count: usize,
}

/// Parts records into batches of at most `most_bytes`; one that is larger by itself has a batch of its own.
///
/// Errors: a record that no batch can hold.
pub(super) fn parts_of(
    builder: &mut BatchBuilder,
    records: &[StoredRecord],
    timestamp: Timestamp,
    most_bytes: usize,
) -> Result<VecDeque<Part>, BuildError> {
    let mut parts = VecDeque::new();
    builder.clear();
    for StoredRecord { key, value } in records {
        let record = NewRecord { timestamp, key: Some(key), value: value.as_deref(), headers: &[] };
        if builder.record_count() > 0 && builder.size_bytes_with(&record) > most_bytes {
            parts.push_back(end(builder)?);
        }
        builder.append(&record)?;
    }
    parts.push_back(end(builder)?);
    Ok(parts)
}

fn end(builder: &mut BatchBuilder) -> Result<Part, BuildError> {
    let record_count = builder.record_count() as usize;
    Ok(Part { batch: ValidBatch::internal(builder, Codec::None)?, record_count })
}

/// Most bytes of a batch of a coordinator: those that any other writer is held to, so that any reader can take it.
pub(super) const PART_BYTES_MAX: usize = BATCH_BYTES_MAX;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn counts(sizes: &[usize], most_bytes: usize) -> Vec<usize> {
        let record = |(at, size): (usize, &usize)| StoredRecord {
            key: Bytes::from(vec![at as u8; 4]),
            value: Some(Bytes::from(vec![7; *size])),
        };
        let records: Vec<_> = sizes.iter().enumerate().map(record).collect();
        let parts = parts_of(&mut BatchBuilder::new(), &records, 5, most_bytes).expect("they fit");
        parts.iter().map(|part| part.record_count).collect()
    }

    #[test]
    fn a_batch_ends_before_it_is_too_large() {
        assert_eq!(counts(&[10; 5], 1_000), [5]);
        assert_eq!(counts(&[400; 5], 1_000), [2, 2, 1]);
        assert_eq!(counts(&[10, 5_000, 10], 1_000), [1, 1, 1], "one that is too large by itself");
        assert_eq!(counts(&[1 << 20; 9], PART_BYTES_MAX), [3, 3, 3]);
    }
}

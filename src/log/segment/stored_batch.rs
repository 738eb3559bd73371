//! Stored batches for tests.

use crate::base::varint::{write_varint, write_varlong};
use crate::base::{LeaderEpoch, Offset};
use crate::record::builder::{NewRecord, ProducerFields};
use crate::record::header::{ATTRIBUTES_AT, HEADER_BYTES, LOG_OVERHEAD_BYTES};
use crate::record::validate::Rules;
use crate::record::{BatchBuilder, BatchHeader, Codec, ValidBatch};

/// The bytes of a batch of one record as they lie in a log.
pub(in crate::log) fn stored_batch(offset: Offset, epoch: LeaderEpoch, value: &[u8]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    let record = NewRecord { key: None, value: Some(value), headers: &[], timestamp: 1 };
    builder.append(&record).expect("fits");
    let rules = Rules {
        max_batch_bytes: 1 << 23,
        now_ms: 1,
        timestamp_after_max_ms: 1,
        max_decompressed_bytes: 1 << 23,
        needs_keys: false,
    };
    let batch = ValidBatch::build(&mut builder, Codec::None, ProducerFields::NONE, &rules);
    let mut batch = batch.expect("valid");
    [&batch.place(offset, epoch)[..], batch.body()].concat()
}

/// The bytes of a batch of which compaction has kept the records with these offset deltas, each with its offset as its value, and the
/// last offset delta that it had before.
pub(in crate::log) fn compacted_batch(
    offset: Offset,
    epoch: LeaderEpoch,
    deltas: &[i32],
    last_offset_delta: i32,
) -> Vec<u8> {
    let mut records = Vec::new();
    for delta in deltas {
        let value = format!("v{}", offset + Offset::from(*delta));
        let mut record = vec![0];
        write_varlong(&mut record, 0);
        write_varint(&mut record, *delta);
        write_varint(&mut record, -1);
        write_varint(&mut record, value.len() as i32);
        record.extend_from_slice(value.as_bytes());
        write_varint(&mut record, 0);
        write_varint(&mut records, record.len() as i32);
        records.extend_from_slice(&record);
    }
    let sound = stored_batch(offset, epoch, b"");
    let header = BatchHeader {
        batch_length: (HEADER_BYTES - LOG_OVERHEAD_BYTES + records.len()) as i32,
        last_offset_delta,
        record_count: deltas.len() as i32,
        ..BatchHeader::read(&sound).expect("whole")
    };
    let crc = crc32c::crc32c(&[&header.write()[ATTRIBUTES_AT..], &records[..]].concat());
    [&BatchHeader { crc, ..header }.write()[..], &records[..]].concat()
}

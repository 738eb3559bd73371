//! Stored batches for tests.

use crate::base::{LeaderEpoch, Offset};
use crate::record::builder::{NewRecord, ProducerFields};
use crate::record::validate::Rules;
use crate::record::{BatchBuilder, Codec, ValidBatch};

/// The bytes of a batch of one record as they lie in a log.
pub(super) fn stored_batch(offset: Offset, epoch: LeaderEpoch, value: &[u8]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    let record = NewRecord { key: None, value: Some(value), headers: &[], timestamp: 1 };
    builder.append(&record).expect("fits");
    let rules = Rules {
        max_batch_bytes: 1 << 20,
        now_ms: 1,
        timestamp_after_max_ms: 1,
        max_decompressed_bytes: 1 << 20,
    };
    let batch = ValidBatch::build(&mut builder, Codec::None, ProducerFields::NONE, &rules);
    let mut batch = batch.expect("valid");
    [&batch.place(offset, epoch)[..], batch.body()].concat()
}

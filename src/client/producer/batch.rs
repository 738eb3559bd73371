//! A batch that is on its way, and how it gets its bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::super::accumulator::batch_bytes_max;
use super::super::metadata::KnownTopic;
use super::delivery::PledgeHolder;
use crate::base::Error;
use crate::base::limits::DECOMPRESSED_BYTES_MAX;
use crate::record::header::{ATTRIBUTES_AT, CODEC_MASK, LOG_OVERHEAD_BYTES};
use crate::record::{BatchBuilder, BatchHeader, Codec, HEADER_BYTES, ProducerFields, RecordBatch};

/// Records of one partition that are sent together.
#[derive(Debug)]
pub(in crate::client) struct Batch {
    /// Number within the producer, by age.
    pub(in crate::client) number: u64,
    pub(in crate::client) topic: Arc<KnownTopic>,
    pub(in crate::client) partition: i32,
    pub(in crate::client) record_count: i32,
    pub(in crate::client) created_at: Duration,
    pub(in crate::client) body: Body,
    pub(in crate::client) holder: PledgeHolder,
    /// What the broker last refused it with, while it may still be stored.
    pub(in crate::client) last_refusal: Option<Error>,
    /// The producer's memory that the records take, given back on drop.
    #[allow(dead_code)]
    pub(in crate::client) memory: OwnedSemaphorePermit,
}

/// The records of a batch.
#[derive(Debug)]
pub(in crate::client) enum Body {
    /// Not sent yet.
    Open(BatchBuilder),
    /// As sent.
    Sealed(Bytes),
}

impl Batch {
    /// The bytes to send, with these producer fields; sealed at the first call. Cost: compression at the first call,
    /// one copy when the fields changed, else nothing.
    ///
    /// Holds: at most the topic's batch size, because a codec that makes the batch longer is left out.
    pub(super) fn encode(&mut self, codec: Codec, producer: ProducerFields) -> Bytes {
        let bytes = match &mut self.body {
            Body::Sealed(bytes) => restamp(bytes, producer),
            Body::Open(builder) => {
                let plain_bytes = builder.size_bytes();
                let built = std::mem::take(builder).into_batch(codec, producer);
                let built = built.expect("it has records, and append has checked their size");
                if built.len() > plain_bytes.max(batch_bytes_max(&self.topic)) {
                    without_codec(&built)
                } else {
                    built
                }
            }
        };
        self.body = Body::Sealed(bytes.clone());
        bytes
    }
}

/// The same batch with other producer fields.
fn restamp(batch: &Bytes, producer: ProducerFields) -> Bytes {
    let mut header = BatchHeader::read(batch).expect("a sealed batch has a header");
    let fields = ProducerFields {
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
    };
    if fields == producer {
        return batch.clone();
    }
    header.producer_id = producer.producer_id;
    header.producer_epoch = producer.producer_epoch;
    header.base_sequence = producer.base_sequence;
    assemble(header, &batch[HEADER_BYTES..])
}

/// The same batch, not compressed.
fn without_codec(batch: &Bytes) -> Bytes {
    let own = "the batch was built by this producer";
    let batch = RecordBatch::parse(batch.clone()).expect(own);
    let records = batch.records(DECOMPRESSED_BYTES_MAX).expect(own);
    let mut header = *batch.header();
    header.attributes &= !CODEC_MASK;
    assemble(header, records.bytes())
}

/// Header and body with length and checksum set.
fn assemble(mut header: BatchHeader, body: &[u8]) -> Bytes {
    let length = HEADER_BYTES - LOG_OVERHEAD_BYTES + body.len();
    header.batch_length = i32::try_from(length).expect("a batch is far below 2 GiB");
    header.crc = crc32c::crc32c_append(crc32c::crc32c(&header.write()[ATTRIBUTES_AT..]), body);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend_from_slice(&header.write());
    bytes.extend_from_slice(body);
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::NewRecord;

    const STAMP: ProducerFields = ProducerFields { producer_id: 5, producer_epoch: 1, base_sequence: 40 };

    fn built(value: &[u8], codec: Codec) -> Bytes {
        let mut builder = BatchBuilder::new();
        let record = NewRecord { timestamp: 1, key: None, value: Some(value), headers: &[] };
        builder.append(&record).expect("small");
        builder.build(codec, ProducerFields::NONE).expect("small")
    }

    #[test]
    fn new_producer_fields_leave_a_valid_batch() {
        let batch = RecordBatch::parse(restamp(&built(b"value", Codec::Lz4), STAMP)).expect("valid");
        let header = batch.header();
        assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (5, 1, 40));
        assert_eq!(batch.codec(), Ok(Codec::Lz4));
        assert_eq!(batch.records(1 << 20).expect("readable").iter().count(), 1);
    }

    #[test]
    fn the_same_fields_cost_no_copy() {
        let batch = built(b"value", Codec::None);
        assert_eq!(restamp(&batch, ProducerFields::NONE).as_ptr(), batch.as_ptr());
    }

    #[test]
    fn a_codec_can_be_taken_off() {
        let value = [7u8; 1000];
        assert_eq!(without_codec(&built(&value, Codec::Zstd)), built(&value, Codec::None));
    }
}

//! A reader's place in one partition, and how stored batches become records there. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::super::types::ConsumerRecord;
use crate::base::limits::DECOMPRESSED_BYTES_MAX;
use crate::base::{LeaderEpoch, Offset, TopicId};
use crate::proto::grpc;
use crate::record::header::LOG_OVERHEAD_BYTES;
use crate::record::{BatchError, RecordBatch};

/// Topic, partition and offset, with the id and epoch that guard against a topic or records that were replaced.
#[derive(Debug)]
pub(in crate::client) struct Cursor {
    pub(in crate::client) topic: Arc<str>,
    pub(in crate::client) topic_id: TopicId,
    pub(in crate::client) partition: i32,
    /// Offset of the next record for the caller.
    pub(in crate::client) position: Offset,
    /// Offset of the next record that is not decoded yet.
    pub(in crate::client) read_offset: Offset,
    /// Epoch of the record before `read_offset`, if that was read.
    pub(in crate::client) leader_epoch: Option<LeaderEpoch>,
    /// Where an epoch ends that this reader read beyond, as the broker told it.
    pub(in crate::client) epoch_end: Option<(LeaderEpoch, Offset)>,
    /// Failed for good; a seek starts it again.
    pub(in crate::client) stopped: bool,
    /// Where bytes did not pass their check last time.
    pub(in crate::client) doubted_offset: Option<Offset>,
    /// Passing errors since something was read last.
    pub(in crate::client) failures: u32,
}

impl Cursor {
    /// At `offset`, about to read.
    pub(in crate::client) fn new(topic: Arc<str>, topic_id: TopicId, partition: i32, offset: Offset) -> Self {
        Self {
            topic,
            topic_id,
            partition,
            position: offset,
            read_offset: offset,
            leader_epoch: None,
            epoch_end: None,
            stopped: false,
            doubted_offset: None,
            failures: 0,
        }
    }

    /// Goes to `offset`, whatever happened before. At the end of an epoch as the broker told it, what lies below is known to be of
    /// that epoch, so that a further loss is noticed before anything is read.
    pub(in crate::client) fn seek(&mut self, offset: Offset) {
        let told = self.epoch_end.filter(|(_, end)| *end == offset);
        *self = Self::new(self.topic.clone(), self.topic_id, self.partition, offset);
        self.leader_epoch = told.map(|(epoch, _)| epoch);
    }

    /// What to ask the broker for.
    pub(in crate::client) fn request(&self) -> grpc::FetchPartition {
        grpc::FetchPartition {
            topic: self.topic.to_string(),
            topic_id: Some(Bytes::copy_from_slice(&self.topic_id.0)),
            partition: self.partition,
            offset: self.read_offset,
            leader_epoch: self.leader_epoch,
            max_bytes: 0,
        }
    }

    /// Takes the first batch off `batches` and gives its records from `read_offset` on: none of a control batch, and
    /// none of what was read before. Keys and values are slices of the batch.
    ///
    /// Errors: the batch fails its check or is cut; cursor and `batches` then stay as they were.
    pub(in crate::client) fn read_batch(
        &mut self,
        batches: &mut Bytes,
    ) -> Result<VecDeque<ConsumerRecord>, BatchError> {
        let mut rest = batches.clone();
        let short = BatchError::Short { needed_bytes: LOG_OVERHEAD_BYTES, bytes: rest.len() };
        let batch = RecordBatch::take_first(&mut rest)?.ok_or(short)?;
        let header = *batch.header();
        let mut read = VecDeque::new();
        if header.last_offset() >= self.read_offset && !header.is_control() {
            let records = batch.records(DECOMPRESSED_BYTES_MAX)?;
            let place = (&self.topic, self.partition);
            for record in &records {
                let record = record?;
                if record.offset >= self.read_offset {
                    read.push_back(ConsumerRecord::of(place, &header, &records, &record));
                }
            }
        }
        *batches = rest;
        if header.last_offset() >= self.read_offset {
            self.read_offset = header.last_offset() + 1;
            self.leader_epoch = Some(header.leader_epoch);
            self.doubted_offset = None;
            self.failures = 0;
        }
        Ok(read)
    }

    /// Moves over offsets that hold no records for a reader.
    pub(in crate::client) fn skip_to(&mut self, next_offset: Offset, leader_epoch: Option<LeaderEpoch>) {
        if next_offset > self.read_offset {
            self.read_offset = next_offset;
            self.leader_epoch = leader_epoch.or(self.leader_epoch);
        }
        self.position = self.read_offset;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, Codec, NewRecord, ProducerFields};

    fn batch(base_offset: Offset, values: &[&str], codec: Codec) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        for value in values {
            let headers = [("h", Some(value.as_bytes())), ("h", None)];
            let record =
                NewRecord { timestamp: 9, key: None, value: Some(value.as_bytes()), headers: &headers };
            builder.append(&record).expect("sound");
        }
        let mut bytes = builder.build(codec, ProducerFields::NONE).expect("sound").to_vec();
        // Base offset and leader epoch lie outside the checksum.
        bytes[..8].copy_from_slice(&base_offset.to_be_bytes());
        bytes[12..16].copy_from_slice(&3i32.to_be_bytes());
        bytes
    }

    fn cursor(offset: Offset) -> Cursor {
        Cursor::new("t".into(), TopicId([1; 16]), 0, offset)
    }

    fn values(records: &VecDeque<ConsumerRecord>) -> Vec<(Offset, &[u8])> {
        records.iter().map(|record| (record.offset, record.value.as_deref().expect("a value"))).collect()
    }

    #[test]
    fn records_below_the_asked_offset_are_skipped() {
        for codec in [Codec::None, Codec::Lz4] {
            let mut batches =
                Bytes::from([batch(10, &["a", "b", "c"], codec), batch(13, &["d"], codec)].concat());
            let mut cursor = cursor(11);
            let read = cursor.read_batch(&mut batches).expect("valid");
            assert_eq!(values(&read), [(11, &b"b"[..]), (12, b"c")]);
            assert_eq!((cursor.read_offset, cursor.leader_epoch), (13, Some(3)));
            assert_eq!(values(&cursor.read_batch(&mut batches).expect("valid")), [(13, &b"d"[..])]);
            assert!(batches.is_empty());
            assert_eq!(cursor.request().offset, 14);
        }
    }

    #[test]
    fn what_was_read_before_comes_not_again() {
        let mut cursor = cursor(20);
        let mut batches = Bytes::from(batch(10, &["a"], Codec::None));
        assert!(cursor.read_batch(&mut batches).expect("valid").is_empty());
        assert_eq!((cursor.read_offset, cursor.leader_epoch), (20, None));
    }

    #[test]
    fn headers_keep_their_order_and_nulls() {
        let mut batches = Bytes::from(batch(0, &["v"], Codec::None));
        let read = cursor(0).read_batch(&mut batches).expect("valid");
        let headers = [("h".to_owned(), Some(Bytes::from_static(b"v"))), ("h".to_owned(), None)];
        assert_eq!(read[0].headers, headers);
    }

    #[test]
    fn any_changed_bit_below_the_checksum_is_found() {
        let good = batch(0, &["some value"], Codec::None);
        for at in 16..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let mut cursor = cursor(0);
            assert!(cursor.read_batch(&mut Bytes::from(bad)).is_err(), "byte {at}");
            assert_eq!(cursor.read_offset, 0);
        }
        for length in 0..good.len() {
            assert!(
                cursor(0).read_batch(&mut Bytes::copy_from_slice(&good[..length])).is_err(),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn control_batches_are_passed_over() {
        let mut bytes = batch(5, &["marker"], Codec::None);
        bytes[22] |= 1 << 5;
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        let mut cursor = cursor(5);
        assert!(cursor.read_batch(&mut Bytes::from(bytes)).expect("valid").is_empty());
        assert_eq!(cursor.read_offset, 6);
    }

    #[test]
    fn a_seek_forgets_epoch_and_failure() {
        let mut cursor = cursor(5);
        cursor.leader_epoch = Some(1);
        cursor.stopped = true;
        cursor.seek(2);
        assert_eq!(
            (cursor.position, cursor.read_offset, cursor.leader_epoch, cursor.stopped),
            (2, 2, None, false)
        );
        cursor.epoch_end = Some((4, 3));
        cursor.seek(3);
        assert_eq!((cursor.request().offset, cursor.request().leader_epoch), (3, Some(4)), "as it was told");
        cursor.epoch_end = Some((4, 3));
        cursor.seek(2);
        assert_eq!(cursor.request().leader_epoch, None);
    }
}

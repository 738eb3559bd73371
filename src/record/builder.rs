//! Writes batches.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use super::batch::crc_of;
use super::compress::Codec;
use super::header::{BatchHeader, HEADER_BYTES, LOG_OVERHEAD_BYTES, MAGIC};
use super::iter::RecordFault;
use crate::base::time::NO_TIMESTAMP;
use crate::base::varint::{varlong_bytes, write_varint, write_varlong};
use crate::base::{Timestamp, limits};

/// A record to be written; everything is borrowed.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// Its time in ms, −1 for none.
    pub timestamp: Timestamp,
    /// `None`: no key, which differs from an empty one.
    pub key: Option<&'a [u8]>,
    /// `None`: no value, which differs from an empty one.
    pub value: Option<&'a [u8]>,
    /// Key and value of each header, in order; keys may come twice.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// What a batch says of its producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerFields {
    /// −1: none.
    pub producer_id: i64,
    /// −1: none.
    pub producer_epoch: i16,
    /// Sequence of the first record; −1: none.
    pub base_sequence: i32,
}

impl ProducerFields {
    /// No idempotent producer.
    pub const NONE: Self = Self { producer_id: -1, producer_epoch: -1, base_sequence: -1 };
}

/// Why a record or a batch can't be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BuildError {
    /// A batch needs at least one record.
    Empty,
    /// The batch would be longer than its length field can say.
    TooLarge {
        /// Bytes that it would have.
        bytes: usize,
    },
    /// The timestamp is below −1, or too far from that of the first record.
    Timestamp {
        /// In ms.
        timestamp: Timestamp,
    },
    /// A header is against the rules.
    Header(RecordFault),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the batch has no records"),
            Self::TooLarge { bytes } => {
                write!(f, "the batch would have {bytes} bytes, more than its length field can say")
            }
            Self::Timestamp { timestamp } => write!(f, "the timestamp {timestamp} is out of range"),
            Self::Header(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for BuildError {}

/// Whether a header may have this key.
pub(super) fn check_header_key(key: &str) -> Result<(), RecordFault> {
    match key.is_empty() || key.contains('\0') {
        true => Err(RecordFault::HeaderKeyName),
        false => Ok(()),
    }
}

/// Whether a record may have this many headers.
pub(super) fn check_header_count(count: usize) -> Result<(), RecordFault> {
    match count > limits::RECORD_HEADERS_MAX {
        true => Err(RecordFault::HeaderCount { count: i32::try_from(count).unwrap_or(i32::MAX) }),
        false => Ok(()),
    }
}

/// Collects records into a batch. What it builds passes every check of [`mod@super::validate`] that does not depend on a
/// topic. Its buffer is kept from one batch to the next.
#[derive(Debug)]
pub struct BatchBuilder {
    /// Room for the header, then the records. WHY: a batch that no codec changes is then built where it lies.
    buffer: Vec<u8>,
    record_count: i32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// An empty batch.
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// An empty batch whose buffer holds this many bytes, header included, before it grows.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut buffer = Vec::with_capacity(bytes.max(HEADER_BYTES));
        buffer.resize(HEADER_BYTES, 0);
        Self { buffer, record_count: 0, base_timestamp: NO_TIMESTAMP, max_timestamp: NO_TIMESTAMP }
    }

    /// Adds a record. Cost: one copy; allocates only while the buffer grows.
    ///
    /// Errors: all of [`BuildError`] but `Empty`; the batch then stays as it was.
    pub fn append(&mut self, record: &NewRecord<'_>) -> Result<(), BuildError> {
        check_headers(record)?;
        let timestamp = record.timestamp;
        let sizes = self.sizes_of(record).ok_or(BuildError::Timestamp { timestamp })?;
        let bytes = self.size_bytes() + sizes.total_bytes();
        if timestamp < NO_TIMESTAMP {
            return Err(BuildError::Timestamp { timestamp });
        }
        if bytes - LOG_OVERHEAD_BYTES > i32::MAX as usize {
            return Err(BuildError::TooLarge { bytes });
        }
        if self.record_count == 0 {
            self.base_timestamp = timestamp;
        }
        self.write(record, sizes);
        self.record_count += 1;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        Ok(())
    }

    fn sizes_of(&self, record: &NewRecord<'_>) -> Option<RecordSizes> {
        let base = if self.record_count == 0 { record.timestamp } else { self.base_timestamp };
        let timestamp_delta = record.timestamp.checked_sub(base)?;
        let headers: usize = record
            .headers
            .iter()
            .map(|(key, value)| field_bytes(Some(key.as_bytes())) + field_bytes(*value))
            .sum();
        let body_bytes = 1
            + varlong_bytes(timestamp_delta)
            + varlong_bytes(i64::from(self.record_count))
            + field_bytes(record.key)
            + field_bytes(record.value)
            + varlong_bytes(record.headers.len() as i64)
            + headers;
        Some(RecordSizes { timestamp_delta, body_bytes })
    }

    /// All lengths fit 32 bits: `append` has checked the size of the whole batch.
    fn write(&mut self, record: &NewRecord<'_>, sizes: RecordSizes) {
        let out = &mut self.buffer;
        write_varlong(out, sizes.body_bytes as i64);
        out.push(0);
        write_varlong(out, sizes.timestamp_delta);
        write_varint(out, self.record_count);
        write_field(out, record.key);
        write_field(out, record.value);
        write_varlong(out, record.headers.len() as i64);
        for (key, value) in record.headers {
            write_field(out, Some(key.as_bytes()));
            write_field(out, *value);
        }
    }

    /// Bytes of the batch so far, header included, before compression.
    pub fn size_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Bytes of the batch with this record added, before compression.
    pub fn size_bytes_with(&self, record: &NewRecord<'_>) -> usize {
        let sizes = self.sizes_of(record);
        self.size_bytes() + sizes.map_or(0, RecordSizes::total_bytes)
    }

    /// Records so far.
    pub fn record_count(&self) -> i32 {
        self.record_count
    }

    /// Whether there are no records yet.
    pub fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// Drops all records; the buffer stays.
    pub fn clear(&mut self) {
        self.buffer.truncate(HEADER_BYTES);
        self.record_count = 0;
        self.base_timestamp = NO_TIMESTAMP;
        self.max_timestamp = NO_TIMESTAMP;
    }

    /// Ends the batch, and begins the next with the same buffer. Base offset and leader epoch are 0: the broker sets
    /// them. Cost: one allocation of exactly the batch's size, plus the codec's.
    ///
    /// Errors: [`BuildError::Empty`]; [`BuildError::TooLarge`] when a codec made it longer.
    pub fn build(&mut self, codec: Codec, producer: ProducerFields) -> Result<Bytes, BuildError> {
        let (header, body) = self.build_parts(codec, producer)?;
        let mut batch = Vec::with_capacity(HEADER_BYTES + body.len());
        batch.extend_from_slice(&header.write());
        batch.extend_from_slice(&body);
        drop(body);
        self.clear();
        Ok(Bytes::from(batch))
    }

    /// The batch, with fields as those of [`BatchBuilder::build`]. Cost: the checksum; without a codec no copy and no allocation.
    ///
    /// Errors: as [`BatchBuilder::build`].
    pub fn into_batch(mut self, codec: Codec, producer: ProducerFields) -> Result<Bytes, BuildError> {
        if codec != Codec::None {
            return self.build(codec, producer);
        }
        let (header, _) = self.build_parts(codec, producer)?;
        self.buffer[..HEADER_BYTES].copy_from_slice(&header.write());
        Ok(Bytes::from(self.buffer))
    }

    /// Header and body of the batch; the records stay.
    pub(super) fn build_parts(
        &self,
        codec: Codec,
        producer: ProducerFields,
    ) -> Result<(BatchHeader, Cow<'_, [u8]>), BuildError> {
        if self.is_empty() {
            return Err(BuildError::Empty);
        }
        let body = codec.compress(&self.buffer[HEADER_BYTES..]);
        let header = BatchHeader {
            base_offset: 0,
            batch_length: 0,
            leader_epoch: 0,
            magic: MAGIC,
            crc: 0,
            attributes: u16::from(codec.id()),
            last_offset_delta: self.record_count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: producer.producer_id,
            producer_epoch: producer.producer_epoch,
            base_sequence: producer.base_sequence,
            record_count: self.record_count,
        };
        let bytes = HEADER_BYTES + body.len();
        Ok((seal(header, &body).ok_or(BuildError::TooLarge { bytes })?, body))
    }
}

/// The header with length and checksum set for this body; `None` when the length does not fit its field.
pub(super) fn seal(mut header: BatchHeader, body: &[u8]) -> Option<BatchHeader> {
    header.batch_length = i32::try_from(HEADER_BYTES - LOG_OVERHEAD_BYTES + body.len()).ok()?;
    header.crc = crc_of(&header.write(), body);
    Some(header)
}

#[derive(Clone, Copy)]
struct RecordSizes {
    timestamp_delta: i64,
    body_bytes: usize,
}

impl RecordSizes {
    fn total_bytes(self) -> usize {
        varlong_bytes(self.body_bytes as i64) + self.body_bytes
    }
}

fn check_headers(record: &NewRecord<'_>) -> Result<(), BuildError> {
    check_header_count(record.headers.len())
        .and_then(|()| record.headers.iter().try_for_each(|(key, _)| check_header_key(key)))
        .map_err(BuildError::Header)
}

fn field_bytes(field: Option<&[u8]>) -> usize {
    field.map_or(1, |bytes| varlong_bytes(bytes.len() as i64) + bytes.len())
}

fn write_field(out: &mut Vec<u8>, field: Option<&[u8]>) {
    let Some(bytes) = field else { return write_varint(out, -1) };
    write_varlong(out, bytes.len() as i64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_the_same_where_it_lies_and_copied() {
        let fields = ProducerFields { producer_id: 7, producer_epoch: 2, base_sequence: 40 };
        for codec in Codec::ALL {
            let mut builder = BatchBuilder::with_capacity(300);
            let capacity = builder.buffer.capacity();
            for number in 0..5 {
                let headers = [("h", Some(&b"x"[..])), ("i", None)];
                let value = vec![number; usize::from(number) * 10];
                let record = NewRecord { timestamp: 5, key: None, value: Some(&value), headers: &headers };
                builder.append(&record).expect("sound");
            }
            assert_eq!(builder.buffer.capacity(), capacity, "the room was enough");
            let (header, body) = builder.build_parts(codec, fields).expect("sound");
            let copied = [&header.write()[..], &body].concat();
            drop(body);
            let place = builder.buffer.as_ptr();
            let batch = builder.into_batch(codec, fields).expect("sound");
            assert_eq!(batch, copied);
            assert_eq!(batch.as_ptr() == place, codec == Codec::None);
        }
        let nothing = BatchBuilder::new().into_batch(Codec::None, fields);
        assert_eq!(nothing, Err(BuildError::Empty));
    }
}

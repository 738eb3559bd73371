//! Every check that a batch from a producer must pass before it is stored.
//!
//! A later version must be able to live with every batch that this one took, so whatever has no meaning yet is
//! refused. Compressed records are unpacked and walked too.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use super::batch::{BatchError, RecordBatch, codec_of, open_records};
use super::builder::{BatchBuilder, BuildError, ProducerFields, check_header_count, check_header_key, seal};
use super::compress::Codec;
use super::header::{
    APPEND_TIME_BIT, BatchHeader, CODEC_MASK, CONTROL_BIT, DELETE_HORIZON_BIT, HEADER_BYTES,
    TRANSACTIONAL_BIT,
};
use super::iter::{RawRecord, RecordFault, Records, read_record, timestamp_of};
use crate::base::time::NO_TIMESTAMP;
use crate::base::{LeaderEpoch, Offset, Timestamp};

/// What a topic allows.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Largest whole batch in bytes.
    pub max_batch_bytes: usize,
    /// The broker's time in ms.
    pub now_ms: Timestamp,
    /// How far a timestamp may lie in the future, in ms; `i64::MAX`: any distance, which is also what a topic with
    /// append time gives, because its records' own times are not used.
    pub timestamp_after_max_ms: i64,
    /// Most bytes that the records may unpack to.
    pub max_decompressed_bytes: usize,
    /// Whether each record must have a key, as in a compacted topic.
    pub needs_keys: bool,
}

/// Why a batch from a producer is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InvalidBatch {
    /// Larger than the topic allows (RECORD_TOO_LARGE).
    TooLarge {
        /// Of the whole batch.
        bytes: usize,
        /// The bound.
        max_bytes: usize,
    },
    /// It claims to be part of a transaction.
    Transactional,
    /// It claims to be a control batch; only the broker writes those.
    Control,
    /// It claims a delete horizon; only compaction sets one.
    DeleteHorizon,
    /// It claims append time; only the broker sets it.
    AppendTime,
    /// Attribute bits are set that have no meaning.
    UnusedAttributes {
        /// All attributes as they stand.
        attributes: u16,
    },
    /// The base offset is not 0.
    BaseOffset {
        /// As it stands.
        base_offset: Offset,
    },
    /// The record count is not positive, or not last offset delta + 1.
    RecordCount {
        /// As it stands.
        record_count: i32,
        /// As it stands.
        last_offset_delta: i32,
    },
    /// A producer id without an epoch.
    ProducerEpoch {
        /// As it stands.
        producer_epoch: i16,
    },
    /// A producer id without a sequence.
    BaseSequence {
        /// As it stands.
        base_sequence: i32,
    },
    /// A record without a key, where compaction goes by keys.
    NoKey {
        /// Place of the record, from 0.
        index: i32,
    },
    /// A timestamp below −1 (INVALID_TIMESTAMP).
    NegativeTimestamp {
        /// Place of the record, from 0.
        index: i32,
        /// In ms.
        timestamp: Timestamp,
    },
    /// A timestamp too far in the future (INVALID_TIMESTAMP).
    LateTimestamp {
        /// The latest of the batch, in ms.
        timestamp: Timestamp,
        /// The latest that is allowed, in ms.
        max_timestamp: Timestamp,
    },
    /// The max timestamp is not that of the records.
    MaxTimestamp {
        /// As it stands, in ms.
        header: Timestamp,
        /// That of the records, in ms.
        records: Timestamp,
    },
    /// The codec is unknown (UNSUPPORTED_COMPRESSION), the records can't be unpacked or read.
    Batch(BatchError),
    /// The broker itself could not write it.
    Build(BuildError),
}

impl fmt::Display for InvalidBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes, max_bytes } => {
                write!(f, "the batch has {bytes} bytes, at most {max_bytes} are allowed")
            }
            Self::Transactional => write!(f, "the batch is transactional, which is not supported"),
            Self::Control => write!(f, "the batch is a control batch, which only the broker writes"),
            Self::DeleteHorizon => write!(f, "the batch has a delete horizon, which only the broker sets"),
            Self::AppendTime => write!(f, "the batch claims append time, which only the broker sets"),
            Self::UnusedAttributes { attributes } => {
                write!(f, "the batch attributes {attributes:#06x} have bits without a meaning")
            }
            Self::BaseOffset { base_offset } => write!(f, "the base offset is {base_offset}, not 0"),
            Self::RecordCount { record_count, last_offset_delta } => write!(
                f,
                "the record count is {record_count} and the last offset delta {last_offset_delta}, expected 1 and 0, \
                 2 and 1, and so on"
            ),
            Self::ProducerEpoch { producer_epoch } => {
                write!(f, "the batch has a producer id, but producer epoch {producer_epoch}")
            }
            Self::BaseSequence { base_sequence } => {
                write!(f, "the batch has a producer id, but base sequence {base_sequence}")
            }
            Self::NoKey { index } => {
                write!(f, "record {index} has no key, which every record of a compacted topic needs")
            }
            Self::NegativeTimestamp { index, timestamp } => {
                write!(f, "record {index} has timestamp {timestamp}; it must not be negative")
            }
            Self::LateTimestamp { timestamp, max_timestamp } => {
                write!(f, "the batch has timestamp {timestamp}, later than {max_timestamp}")
            }
            Self::MaxTimestamp { header, records } => {
                write!(f, "the batch says max timestamp {header}, its records have {records}")
            }
            Self::Batch(error) => error.fmt(f),
            Self::Build(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for InvalidBatch {}

impl From<BatchError> for InvalidBatch {
    fn from(error: BatchError) -> Self {
        Self::Batch(error)
    }
}

impl From<BuildError> for InvalidBatch {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

/// Checks a batch from a producer against the format and `rules`. Framing and checksum are right already.
///
/// Cost: walks every record without an allocation, unpacked first where there is a codec.
/// Errors: all of [`InvalidBatch`] but `Build`.
pub fn validate(batch: RecordBatch, rules: &Rules) -> Result<ValidBatch, InvalidBatch> {
    let header = *batch.header();
    check_header(&header, rules)?;
    let body = batch.body();
    let records = open_records(&header, &body, rules.max_decompressed_bytes)?;
    check_records(&header, &records, rules.needs_keys)?;
    Ok(ValidBatch { header, body })
}

fn check_header(header: &BatchHeader, rules: &Rules) -> Result<(), InvalidBatch> {
    check_size(header, rules)?;
    check_attributes(header.attributes)?;
    codec_of(header)?;
    if header.base_offset != 0 {
        return Err(InvalidBatch::BaseOffset { base_offset: header.base_offset });
    }
    let (record_count, last_offset_delta) = (header.record_count, header.last_offset_delta);
    if record_count <= 0 || record_count - 1 != last_offset_delta {
        return Err(InvalidBatch::RecordCount { record_count, last_offset_delta });
    }
    check_producer(header)?;
    let (timestamp, max_timestamp) =
        (header.max_timestamp, rules.now_ms.saturating_add(rules.timestamp_after_max_ms));
    if timestamp > max_timestamp {
        return Err(InvalidBatch::LateTimestamp { timestamp, max_timestamp });
    }
    Ok(())
}

fn check_size(header: &BatchHeader, rules: &Rules) -> Result<(), InvalidBatch> {
    let max_bytes = rules.max_batch_bytes;
    match header.total_bytes() {
        Some(bytes) if bytes > max_bytes => Err(InvalidBatch::TooLarge { bytes, max_bytes }),
        _ => Ok(()),
    }
}

fn check_attributes(attributes: u16) -> Result<(), InvalidBatch> {
    let known = CODEC_MASK | APPEND_TIME_BIT | TRANSACTIONAL_BIT | CONTROL_BIT | DELETE_HORIZON_BIT;
    if attributes & !known != 0 {
        return Err(InvalidBatch::UnusedAttributes { attributes });
    }
    // A control batch of a transaction is a control batch first: that is what no later version will allow either.
    let refused = [
        (CONTROL_BIT, InvalidBatch::Control),
        (DELETE_HORIZON_BIT, InvalidBatch::DeleteHorizon),
        (APPEND_TIME_BIT, InvalidBatch::AppendTime),
        (TRANSACTIONAL_BIT, InvalidBatch::Transactional),
    ];
    refused.into_iter().find(|(bit, _)| attributes & bit != 0).map_or(Ok(()), |(_, error)| Err(error))
}

/// Without a producer id, epoch and sequence have no meaning and are not looked at: kafkajs sends sequence 0 then.
fn check_producer(header: &BatchHeader) -> Result<(), InvalidBatch> {
    if header.has_producer() && header.producer_epoch < 0 {
        return Err(InvalidBatch::ProducerEpoch { producer_epoch: header.producer_epoch });
    }
    if header.has_producer() && header.base_sequence < 0 {
        return Err(InvalidBatch::BaseSequence { base_sequence: header.base_sequence });
    }
    Ok(())
}

fn check_records(header: &BatchHeader, records: &Records, needs_keys: bool) -> Result<(), InvalidBatch> {
    let mut rest = &records.bytes()[..];
    let mut max_timestamp = NO_TIMESTAMP;
    for index in 0..header.record_count {
        let (has_key, timestamp) = read_record(&mut rest)
            .and_then(|raw| Ok((raw.key.is_some(), check_record(header, index, &raw)?)))
            .map_err(|fault| BatchError::Record { index, fault })?;
        if needs_keys && !has_key {
            return Err(InvalidBatch::NoKey { index });
        }
        if timestamp < NO_TIMESTAMP {
            return Err(InvalidBatch::NegativeTimestamp { index, timestamp });
        }
        max_timestamp = max_timestamp.max(timestamp);
    }
    if !rest.is_empty() {
        return Err(BatchError::UnreadBytes { bytes: rest.len() }.into());
    }
    if header.max_timestamp != max_timestamp {
        return Err(InvalidBatch::MaxTimestamp { header: header.max_timestamp, records: max_timestamp });
    }
    Ok(())
}

fn check_record(header: &BatchHeader, index: i32, raw: &RawRecord<'_>) -> Result<Timestamp, RecordFault> {
    if raw.attributes != 0 {
        return Err(RecordFault::Attributes { attributes: raw.attributes });
    }
    if raw.offset_delta != index {
        return Err(RecordFault::OffsetDelta { delta: raw.offset_delta });
    }
    check_header_count(raw.headers.len())?;
    for (key, _) in raw.headers {
        check_header_key(key)?;
    }
    timestamp_of(header, raw)
}

/// A batch that may be stored: validated, or built by the broker itself. Header and body are apart, so that the header
/// changes without a copy of the body. A clone shares the body.
#[derive(Clone, Debug)]
pub struct ValidBatch {
    header: BatchHeader,
    body: Bytes,
}

impl ValidBatch {
    /// Ends the batch of a builder whose records came from a client, under the same rules as an encoded one.
    ///
    /// Errors: [`InvalidBatch::Build`], and those about size, producer fields and late timestamps.
    pub fn build(
        builder: &mut BatchBuilder,
        codec: Codec,
        producer: ProducerFields,
        rules: &Rules,
    ) -> Result<Self, InvalidBatch> {
        let batch = Self::end(builder, codec, producer)?;
        check_header(&batch.header, rules)?;
        Ok(batch)
    }

    /// Ends the batch of a builder whose records are the broker's own. No topic's rules apply.
    ///
    /// Errors: [`BuildError::Empty`], [`BuildError::TooLarge`].
    pub fn internal(builder: &mut BatchBuilder, codec: Codec) -> Result<Self, BuildError> {
        Self::end(builder, codec, ProducerFields::NONE)
    }

    fn end(builder: &mut BatchBuilder, codec: Codec, producer: ProducerFields) -> Result<Self, BuildError> {
        let (header, body) = builder.build_parts(codec, producer)?;
        let body = into_bytes(body);
        builder.clear();
        Ok(Self { header, body })
    }

    /// The header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The bytes behind the header: the records, compressed where there is a codec.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Bytes of the whole batch.
    pub fn total_bytes(&self) -> usize {
        HEADER_BYTES + self.body.len()
    }

    /// Number of records.
    pub fn record_count(&self) -> i32 {
        self.header.record_count
    }

    /// Its codec.
    pub fn codec(&self) -> Codec {
        codec_of(&self.header).expect("validated, or written by a builder")
    }

    /// Gives the batch its place in a log, and returns the 61 bytes to write before [`Self::body`]. Neither field is
    /// covered by the checksum. Cost: no pass over the body.
    pub fn place(&mut self, base_offset: Offset, leader_epoch: LeaderEpoch) -> [u8; HEADER_BYTES] {
        self.header.base_offset = base_offset;
        self.header.leader_epoch = leader_epoch;
        self.header.write()
    }

    /// Makes `now_ms` the time of all records (`message.timestamp.type=LogAppendTime`). Cost: reads the body once for
    /// the checksum, copies nothing.
    #[must_use]
    pub fn with_append_time(mut self, now_ms: Timestamp) -> Self {
        self.set_append_time(now_ms);
        self
    }

    /// The same in place.
    pub fn set_append_time(&mut self, now_ms: Timestamp) {
        self.header.attributes |= APPEND_TIME_BIT;
        self.header.max_timestamp = now_ms;
        self.header = seal(self.header, &self.body).expect("the length does not change");
    }

    /// The records, unpacked to at most `max_decompressed` bytes.
    ///
    /// Errors: [`BatchError::Decompress`].
    pub fn records(&self, max_decompressed: usize) -> Result<Records, BatchError> {
        open_records(&self.header, &self.body, max_decompressed)
    }

    /// The whole batch in one piece. Cost: one copy.
    pub fn to_bytes(&self) -> Bytes {
        [&self.header.write()[..], &self.body].concat().into()
    }
}

fn into_bytes(body: Cow<'_, [u8]>) -> Bytes {
    match body {
        Cow::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    }
}

/// Compresses the records of `batch` with another codec and keeps everything else. With the same codec the batch comes
/// back untouched.
///
/// Cost: unpacks and packs all records.
/// Errors: [`InvalidBatch::TooLarge`] when it has grown over the rules, [`InvalidBatch::Batch`] when it does not unpack
/// within them.
pub fn recompress(batch: ValidBatch, codec: Codec, rules: &Rules) -> Result<ValidBatch, InvalidBatch> {
    if batch.codec() == codec {
        return Ok(batch);
    }
    let records = batch.records(rules.max_decompressed_bytes)?;
    let body = match codec {
        Codec::None => records.bytes().clone(),
        _ => into_bytes(codec.compress(records.bytes())),
    };
    let bytes = HEADER_BYTES + body.len();
    let mut header = batch.header;
    header.attributes = header.attributes & !CODEC_MASK | u16::from(codec.id());
    let header = seal(header, &body).ok_or(BuildError::TooLarge { bytes })?;
    check_size(&header, rules)?;
    Ok(ValidBatch { header, body })
}

#[cfg(test)]
mod tests;

//! Makes what a producer sent into a batch that may be stored under the settings of its topic.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::budget::Budget;
use crate::base::limits::{DECOMPRESSED_BYTES_MAX, DECOMPRESSION_RATIO_MAX};
use crate::base::{Error, Timestamp};
use crate::broker::errors::Place;
use crate::broker::request::Record;
use crate::broker::unpacking::Unpacking;
use crate::config::{CompressionType, TimestampType, TopicConfig};
use crate::record::{
    BatchBuilder, BatchError, BuildError, Codec, DecompressError, InvalidBatch, NewRecord, ProducerFields,
    RecordBatch, Rules, ValidBatch, recompress, validate,
};

/// Most bytes that one batch of a topic may unpack to.
pub fn decompressed_bytes_max(max_message_bytes: usize) -> usize {
    max_message_bytes.saturating_mul(DECOMPRESSION_RATIO_MAX).min(DECOMPRESSED_BYTES_MAX)
}

/// What a topic with these settings takes at the time `now_ms`.
pub fn rules_of(config: &TopicConfig, now_ms: Timestamp) -> Rules {
    Rules {
        max_batch_bytes: config.max_message_bytes,
        now_ms,
        timestamp_after_max_ms: match config.timestamp_type {
            TimestampType::Create => config.timestamp_after_max_ms,
            TimestampType::Append => i64::MAX,
        },
        max_decompressed_bytes: decompressed_bytes_max(config.max_message_bytes),
        needs_keys: config.is_compacted(),
    }
}

/// Checks an encoded batch and changes only what the topic asks for: codec, append time.
///
/// Cost: one pass for the checksum, one over the records; what a compressed batch unpacks to is debited from `budget`
/// meanwhile. Errors: THROTTLED where there is no memory for that.
pub fn take_batch(
    bytes: Bytes,
    config: &TopicConfig,
    now_ms: Timestamp,
    place: Place<'_>,
    budget: &Arc<Budget>,
) -> Result<ValidBatch, Error> {
    let mut rules = rules_of(config, now_ms);
    let batch = RecordBatch::parse(bytes).map_err(|error| place.invalid_batch(error.into()))?;
    let unpacking = (!matches!(batch.codec(), Ok(Codec::None)))
        .then(|| Unpacking::begin(budget, rules.max_decompressed_bytes));
    if let Some(unpacking) = &unpacking {
        rules.max_decompressed_bytes = unpacking.bytes_max();
    }
    let checked = validate(batch, &rules).and_then(|batch| match codec_of(config) {
        Some(codec) => recompress(batch, codec, &rules),
        None => Ok(batch),
    });
    if let (
        Err(InvalidBatch::Batch(BatchError::Decompress(DecompressError::TooLarge { .. }))),
        Some(unpacking),
    ) = (&checked, &unpacking)
    {
        unpacking.refused()?;
    }
    Ok(stamp(checked.map_err(|error| place.invalid_batch(error))?, config, now_ms))
}

/// Structured records to be encoded as one batch.
pub struct Selection<'a> {
    /// All records of the item.
    pub records: &'a [Record],
    /// Which of them, in order; `None`: all.
    pub indexes: Option<&'a [u32]>,
    /// The idempotent producer, if any.
    pub producer: ProducerFields,
}

impl Selection<'_> {
    /// The records with their places in the item.
    fn iter(&self) -> impl Iterator<Item = (usize, &Record)> {
        let count = self.indexes.map_or(self.records.len(), <[u32]>::len);
        (0..count).map(|at| {
            let index = self.indexes.map_or(at, |indexes| indexes[at] as usize);
            (index, &self.records[index])
        })
    }
}

/// Encodes structured records with the topic's codec. Records without a time get `now_ms`.
///
/// Cost: one copy of the records, and the codec's.
pub fn encode_records(
    selection: &Selection<'_>,
    config: &TopicConfig,
    now_ms: Timestamp,
    place: Place<'_>,
) -> Result<ValidBatch, Error> {
    let mut builder = BatchBuilder::new();
    let mut headers = Vec::new();
    for (index, record) in selection.iter() {
        if record.timestamp.is_some_and(|timestamp| timestamp < 0) {
            let timestamp = record.timestamp.unwrap_or(now_ms);
            return Err(
                place.invalid_batch(InvalidBatch::NegativeTimestamp { index: index as i32, timestamp })
            );
        }
        if config.is_compacted() && record.key.is_none() {
            let error = place.invalid_batch(InvalidBatch::NoKey { index: index as i32 });
            return Err(error.with("record", index));
        }
        headers.clear();
        headers.extend(record.headers.iter().map(|header| (header.key.as_str(), header.value.as_deref())));
        let record = NewRecord {
            timestamp: record.timestamp.unwrap_or(now_ms),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        builder.append(&record).map_err(|error| record_error(place, index, error))?;
    }
    let codec = codec_of(config).unwrap_or(Codec::None);
    let rules = rules_of(config, now_ms);
    let batch = ValidBatch::build(&mut builder, codec, selection.producer, &rules)
        .map_err(|error| place.invalid_batch(error))?;
    Ok(stamp(batch, config, now_ms))
}

fn record_error(place: Place<'_>, index: usize, error: BuildError) -> Error {
    let mut refused = place.invalid_batch(InvalidBatch::Build(error));
    refused.message = format!("record {index}: {}", refused.message);
    refused.with("record", index)
}

/// The codec that a topic insists on.
fn codec_of(config: &TopicConfig) -> Option<Codec> {
    match config.compression_type {
        CompressionType::Producer => None,
        CompressionType::Codec(id) => Codec::from_id(id),
    }
}

fn stamp(batch: ValidBatch, config: &TopicConfig, now_ms: Timestamp) -> ValidBatch {
    match config.timestamp_type {
        TimestampType::Create => batch,
        TimestampType::Append => batch.with_append_time(now_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;
    use crate::broker::request::Header;

    const PLACE: Place<'static> = Place { topic: "t", partition: 0, stopping: false };

    fn record(value: &'static str, timestamp: Option<i64>) -> Record {
        let headers = vec![Header { key: "h".to_owned(), value: None }];
        Record { value: Some(Bytes::from(value)), timestamp, headers, ..Record::default() }
    }

    fn encode(records: &[Record], config: &TopicConfig) -> Result<ValidBatch, Error> {
        let selection = Selection { records, indexes: None, producer: ProducerFields::NONE };
        encode_records(&selection, config, 1_000, PLACE)
    }

    fn all(batch: &ValidBatch) -> Vec<(i64, Option<Vec<u8>>, usize)> {
        let records = batch.records(1 << 20).expect("it unpacks");
        let read = records.iter().map(|record| record.expect("it is whole"));
        read.map(|record| (record.timestamp, record.value.map(<[u8]>::to_vec), record.headers.len()))
            .collect()
    }

    #[test]
    fn records_keep_their_times_and_get_the_brokers_when_they_have_none() {
        let batch =
            encode(&[record("a", Some(5)), record("b", None)], &TopicConfig::default()).expect("fine");
        assert_eq!(all(&batch), [(5, Some(b"a".to_vec()), 1), (1_000, Some(b"b".to_vec()), 1)]);
        let indexes = [1u32];
        let records = [record("a", None), record("b", None)];
        let selection =
            Selection { records: &records, indexes: Some(&indexes), producer: ProducerFields::NONE };
        let batch = encode_records(&selection, &TopicConfig::default(), 1_000, PLACE).expect("fine");
        assert_eq!(all(&batch), [(1_000, Some(b"b".to_vec()), 1)]);
    }

    #[test]
    fn the_topics_codec_and_append_time_are_applied_to_both_forms() {
        let config = TopicConfig {
            compression_type: CompressionType::Codec(Codec::Zstd.id()),
            timestamp_type: TimestampType::Append,
            ..TopicConfig::default()
        };
        let encoded = encode(&[record("a", Some(5))], &TopicConfig::default()).expect("fine").to_bytes();
        let sent = take_batch(encoded, &config, 2_000, PLACE, &Budget::new(1 << 20)).expect("fine");
        let built = encode(&[record("a", Some(5))], &config).expect("fine");
        for (batch, now_ms) in [(sent, 2_000), (built, 1_000)] {
            assert_eq!(batch.codec(), Codec::Zstd);
            assert!(batch.header().is_append_time());
            assert_eq!(all(&batch), [(now_ms, Some(b"a".to_vec()), 1)]);
            RecordBatch::parse(batch.to_bytes()).expect("the checksum holds");
        }
    }

    #[test]
    fn what_breaks_the_rules_is_named() {
        let small = TopicConfig { max_message_bytes: 70, ..TopicConfig::default() };
        let error = encode(&[record("0123456789", None)], &small).expect_err("too large");
        assert_eq!(error.kind, ErrorKind::RecordTooLarge);
        let error =
            encode(&[record("a", None), record("b", Some(-1))], &TopicConfig::default()).expect_err("time");
        assert_eq!(error.kind, ErrorKind::InvalidTimestamp);
        assert!(error.message.contains("record 1"), "{error}");
        let far = [record("a", Some(i64::MAX))];
        assert_eq!(encode(&far, &TopicConfig::default()).expect_err("far").kind, ErrorKind::InvalidTimestamp);
        let error = encode(&[], &TopicConfig::default()).expect_err("empty");
        assert_eq!(error.kind, ErrorKind::InvalidRecord);
        let mut nameless = record("a", None);
        nameless.headers[0].key.clear();
        let error = encode(&[nameless], &TopicConfig::default()).expect_err("no header name");
        assert_eq!((error.kind, &*error.metadata["record"]), (ErrorKind::InvalidRecord, "0"));
        let error =
            take_batch(Bytes::from_static(b"junk"), &TopicConfig::default(), 0, PLACE, &Budget::new(1))
                .expect_err("junk");
        assert_eq!(error.kind, ErrorKind::CorruptBatch);
    }

    #[test]
    fn unpacking_takes_memory_from_the_budget() {
        let config = TopicConfig {
            compression_type: CompressionType::Codec(Codec::Gzip.id()),
            ..TopicConfig::default()
        };
        let packed = encode(&[record("abc", None)], &config).expect("fine").to_bytes();
        let budget = Budget::new(300);
        let take = || take_batch(packed.clone(), &config, 1_000, PLACE, &budget);
        let others = budget.try_debit(299).expect("there");
        assert_eq!(take().expect_err("nothing is left").kind, ErrorKind::Throttled);
        drop(others);
        take().expect("there is room");
        assert_eq!(budget.used_bytes(), 0);
        let tiny = Budget::new(4);
        let error = take_batch(packed.clone(), &config, 1_000, PLACE, &tiny).expect_err("it never fits");
        assert_eq!(error.kind, ErrorKind::RecordTooLarge);
    }
}

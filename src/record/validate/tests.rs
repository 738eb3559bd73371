//! Every rule of validation, and the malformed batches that break it.
#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::batch::{check_crc, verify};
use super::super::builder::NewRecord;
use super::super::compress::DecompressError;
use super::super::tests::{
    BASE_MS, DATA, builder_of, codec, data_header, decode, encode, from_hex, owned, seal_batch,
};
use super::*;

const RULES: Rules = Rules {
    max_batch_bytes: 1 << 20,
    now_ms: BASE_MS,
    timestamp_after_max_ms: i64::MAX,
    max_decompressed_bytes: 1 << 20,
    needs_keys: false,
};

fn check(bytes: Bytes) -> Result<ValidBatch, InvalidBatch> {
    validate(RecordBatch::parse(bytes).unwrap(), &RULES)
}

/// The three golden records under a changed header.
fn check_header_with(change: fn(&mut BatchHeader)) -> Option<InvalidBatch> {
    let mut header = data_header();
    change(&mut header);
    check(seal_batch(header, &from_hex(DATA)[HEADER_BYTES..])).err()
}

/// One record of these bytes, under a header that fits one record at `BASE_MS`.
fn check_body(attributes: u16, body: &[u8]) -> Option<InvalidBatch> {
    let header = BatchHeader {
        attributes,
        record_count: 1,
        last_offset_delta: 0,
        max_timestamp: BASE_MS,
        ..data_header()
    };
    check(seal_batch(header, body)).err()
}

fn fault(index: i32, fault: RecordFault) -> Option<InvalidBatch> {
    Some(InvalidBatch::Batch(BatchError::Record { index, fault }))
}

fn unpacking(error: DecompressError) -> Option<InvalidBatch> {
    Some(InvalidBatch::Batch(BatchError::Decompress(error)))
}

proptest! {
    #[test]
    fn whatever_a_builder_builds_is_valid(records in vec(owned(), 1..12), codec in codec()) {
        let bytes = encode(&records, codec);
        let batch = check(bytes.clone()).unwrap();
        prop_assert_eq!(&batch.to_bytes(), &bytes);
        prop_assert_eq!(batch.total_bytes(), bytes.len());
        prop_assert_eq!((batch.codec(), batch.record_count()), (codec, records.len() as i32));
        let built = ValidBatch::internal(&mut builder_of(&records), codec).unwrap();
        prop_assert_eq!(built.to_bytes(), bytes);
    }

    #[test]
    fn recompression_keeps_everything_else(records in vec(owned(), 1..12), from in codec(), to in codec()) {
        let producer = ProducerFields { producer_id: 9, producer_epoch: 2, base_sequence: 5 };
        let before = ValidBatch::build(&mut builder_of(&records), from, producer, &RULES).unwrap();
        let after = recompress(before.clone(), to, &RULES).unwrap();
        prop_assert_eq!(after.codec(), to);
        let mut header = *after.header();
        header.attributes = before.header().attributes;
        header.crc = before.header().crc;
        header.batch_length = before.header().batch_length;
        prop_assert_eq!(&header, before.header());
        let found = decode(&check(after.to_bytes()).unwrap().records(1 << 20).unwrap()).unwrap();
        prop_assert_eq!(found, (0..).zip(records).collect::<Vec<_>>());
    }

    /// With the checksum made to fit, as a producer with a bug would send it.
    #[test]
    fn a_changed_byte_never_panics(
        records in vec(owned(), 1..4), codec in codec(), at: prop::sample::Index, byte: u8,
    ) {
        let mut bytes = encode(&records, codec).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let header = BatchHeader { magic: 2, ..BatchHeader::read(&bytes).unwrap() };
        if let Ok(batch) = check(seal_batch(header, &bytes[HEADER_BYTES..])) {
            prop_assert!(decode(&batch.records(1 << 20).unwrap()).is_ok());
        }
    }

    #[test]
    fn a_record_cut_anywhere_is_refused(records in vec(owned(), 1..4)) {
        let bytes = encode(&records, Codec::None);
        let header = BatchHeader::read(&bytes).unwrap();
        for end in HEADER_BYTES..bytes.len() {
            prop_assert!(check(seal_batch(header, &bytes[HEADER_BYTES..end])).is_err());
        }
    }
}

#[test]
fn the_data_vector_is_valid() {
    let batch = check(from_hex(DATA).into()).unwrap();
    assert_eq!(batch.to_bytes(), from_hex(DATA));
}

/// Rows 19 to 38 of the table of malformed inputs that concern one batch; 20 is gRPC's, 21 compaction's.
#[test]
fn malformed_headers() {
    type Row = (&'static str, fn(&mut BatchHeader), InvalidBatch);
    let count =
        |record_count, last_offset_delta| InvalidBatch::RecordCount { record_count, last_offset_delta };
    let codec = |id| InvalidBatch::Batch(BatchError::Codec { id });
    let rows: [Row; 23] = [
        ("26 none", |h| h.record_count = 0, count(0, 2)),
        ("26 negative", |h| h.record_count = -1, count(-1, 2)),
        ("26 most", |h| h.record_count = i32::MAX, count(i32::MAX, 2)),
        ("26 none at all", |h| (h.record_count, h.last_offset_delta) = (0, -1), count(0, -1)),
        (
            "26 least",
            |h| (h.record_count, h.last_offset_delta) = (i32::MIN, i32::MAX),
            count(i32::MIN, i32::MAX),
        ),
        ("27", |h| h.record_count = 2, count(2, 2)),
        ("27 delta", |h| h.last_offset_delta = 3, count(3, 3)),
        ("28", |h| h.base_offset = i64::MAX, InvalidBatch::BaseOffset { base_offset: i64::MAX }),
        ("28 one", |h| h.base_offset = 1, InvalidBatch::BaseOffset { base_offset: 1 }),
        ("33 five", |h| h.attributes = 5, codec(5)),
        ("33 six", |h| h.attributes = 6, codec(6)),
        ("33 seven", |h| h.attributes = 7, codec(7)),
        ("37", |h| h.attributes = 0x20, InvalidBatch::Control),
        ("37 of a transaction", |h| h.attributes = 0x30, InvalidBatch::Control),
        ("transactional", |h| h.attributes = 0x10, InvalidBatch::Transactional),
        ("append time", |h| h.attributes = 8, InvalidBatch::AppendTime),
        ("delete horizon", |h| h.attributes = 0x40, InvalidBatch::DeleteHorizon),
        ("unused", |h| h.attributes = 0x80, InvalidBatch::UnusedAttributes { attributes: 0x80 }),
        ("unused", |h| h.attributes = 0x8000, InvalidBatch::UnusedAttributes { attributes: 0x8000 }),
        (
            "38",
            |h| (h.producer_id, h.producer_epoch, h.base_sequence) = (0, 0, -1),
            InvalidBatch::BaseSequence { base_sequence: -1 },
        ),
        (
            "38 epoch",
            |h| (h.producer_id, h.producer_epoch, h.base_sequence) = (0, -1, 0),
            InvalidBatch::ProducerEpoch { producer_epoch: -1 },
        ),
        (
            "max timestamp above",
            |h| h.max_timestamp += 1,
            InvalidBatch::MaxTimestamp { header: BASE_MS + 11, records: BASE_MS + 10 },
        ),
        (
            "max timestamp",
            |h| h.max_timestamp -= 1,
            InvalidBatch::MaxTimestamp { header: BASE_MS + 9, records: BASE_MS + 10 },
        ),
    ];
    for (row, change, error) in rows {
        assert_eq!(check_header_with(change), Some(error), "row {row}");
    }
    assert_eq!(check_header_with(|_| ()), None);
    assert_eq!(check_header_with(|h| h.base_sequence = 0), None, "kafkajs");
    assert_eq!(check_header_with(|h| h.leader_epoch = -1), None, "the broker sets it");
    let producer: fn(&mut BatchHeader) =
        |h| (h.producer_id, h.producer_epoch, h.base_sequence) = (0, i16::MAX, i32::MAX);
    assert_eq!(check_header_with(producer), None);
}

#[test]
fn malformed_bodies() {
    let record = [14, 0, 0, 0, 1, 1, 0, 0];
    let one = &[12, 0, 0, 0, 1, 1, 0][..];
    assert_eq!(check_body(0, one), None);
    assert_eq!(check_body(0, &record), fault(0, RecordFault::Unread { bytes: 1 }));
    let rows: [(&str, &[u8], RecordFault); 12] = [
        ("22 empty key", &[16, 0, 0, 0, 1, 1, 2, 0, 1], RecordFault::HeaderKeyName),
        ("22 NUL", &[18, 0, 0, 0, 1, 1, 2, 2, 0, 1], RecordFault::HeaderKeyName),
        ("22 not UTF-8", &[18, 0, 0, 0, 1, 1, 2, 2, 0xff, 1], RecordFault::HeaderKeyNotUtf8),
        ("22 no key", &[16, 0, 0, 0, 1, 1, 2, 1, 1], RecordFault::FieldLength { length: -1, left_bytes: 2 }),
        ("22 count", &[16, 0, 0, 0, 1, 1, 0x80, 0x7f, 0], RecordFault::HeaderCount { count: 8128 }),
        ("22 negative count", &[12, 0, 0, 0, 1, 1, 1], RecordFault::HeaderCount { count: -1 }),
        ("30 long", &[0x80; 11], RecordFault::Number),
        ("30 negative", &[12, 0, 0, 0, 3, 1, 0], RecordFault::FieldLength { length: -2, left_bytes: 2 }),
        ("30 past the end", &[12, 0, 0, 0, 8, 1, 0], RecordFault::FieldLength { length: 4, left_bytes: 2 }),
        ("30 record", &[14, 0, 0, 0, 1, 1, 0], RecordFault::RecordLength { length: 7, left_bytes: 6 }),
        ("36", &[12, 3, 0, 0, 1, 1, 0], RecordFault::Attributes { attributes: 3 }),
        ("offset delta", &[12, 0, 0, 2, 1, 1, 0], RecordFault::OffsetDelta { delta: 1 }),
    ];
    for (row, body, expected) in rows {
        assert_eq!(check_body(0, body), fault(0, expected), "row {row}");
        let packed = Codec::Lz4.compress(body);
        assert_eq!(check_body(3, &packed), fault(0, expected), "row {row}, compressed");
    }
    let behind = Some(InvalidBatch::Batch(BatchError::UnreadBytes { bytes: 2 }));
    assert_eq!(check_body(0, &[one, &[0, 0]].concat()), behind, "row 31");
    assert_eq!(check_body(1, &Codec::Gzip.compress(&[one, &[0, 0]].concat())), behind, "row 31, compressed");
    assert_eq!(check_body(0, &[]), fault(0, RecordFault::Number));
    assert_eq!(check_body(4, &[]), fault(0, RecordFault::Number));
}

#[test]
fn a_batch_above_the_bound_is_too_large() {
    let bytes = Bytes::from(from_hex(DATA));
    let batch = RecordBatch::parse(bytes).unwrap();
    assert!(validate(batch.clone(), &Rules { max_batch_bytes: 94, ..RULES }).is_ok());
    let refused = validate(batch, &Rules { max_batch_bytes: 93, ..RULES }).unwrap_err();
    assert_eq!(refused, InvalidBatch::TooLarge { bytes: 94, max_bytes: 93 });
}

#[test]
fn a_bomb_and_a_damaged_stream_are_refused() {
    let zeros = vec![0; 8 << 20];
    for codec in &Codec::ALL[1..] {
        let attributes = u16::from(codec.id());
        let max_bytes = RULES.max_decompressed_bytes;
        let bomb = unpacking(DecompressError::TooLarge { codec: *codec, max_bytes });
        assert_eq!(check_body(attributes, &codec.compress(&zeros)), bomb, "row 34");
        let corrupt = unpacking(DecompressError::Corrupt { codec: *codec });
        assert_eq!(check_body(attributes, &[0xff; 40]), corrupt, "row 35");
    }
}

#[test]
fn too_many_headers_are_refused() {
    let headers = vec![[2u8, b'h', 1]; 10_001].concat();
    let mut fields = vec![0, 0, 0, 1, 1];
    crate::base::varint::write_varint(&mut fields, 10_001);
    fields.extend(headers);
    let mut body = Vec::new();
    crate::base::varint::write_varint(&mut body, fields.len() as i32);
    body.extend(fields);
    assert_eq!(check_body(0, &body), fault(0, RecordFault::HeaderCount { count: 10_001 }), "row 22");
}

#[test]
fn times_out_of_range_are_refused() {
    let negative = |delta_ms| InvalidBatch::NegativeTimestamp { index: 0, timestamp: delta_ms };
    let change: fn(&mut BatchHeader) = |h| (h.base_timestamp, h.max_timestamp) = (-2, 8);
    assert_eq!(check_header_with(change), Some(negative(-2)));
    let change: fn(&mut BatchHeader) = |h| (h.base_timestamp, h.max_timestamp) = (-1, 9);
    assert_eq!(check_header_with(change), None);
    let change: fn(&mut BatchHeader) = |h| (h.base_timestamp, h.max_timestamp) = (i64::MAX, i64::MAX);
    assert_eq!(check_header_with(change), fault(1, RecordFault::TimestampDelta { delta: 5 }));

    let batch = RecordBatch::parse(from_hex(DATA).into()).unwrap();
    let within = |timestamp_after_max_ms| {
        validate(batch.clone(), &Rules { timestamp_after_max_ms, ..RULES }).map(|valid| valid.record_count())
    };
    assert_eq!(within(10), Ok(3));
    let late = InvalidBatch::LateTimestamp { timestamp: BASE_MS + 10, max_timestamp: BASE_MS + 9 };
    assert_eq!(within(9), Err(late));
}

#[test]
fn placing_leaves_the_checksum_alone() {
    let mut batch = check(from_hex(DATA).into()).unwrap();
    let header = batch.place(1_000_000, 7);
    let stored = [&header[..], batch.body()].concat();
    let found = verify(&stored).unwrap();
    assert_eq!((found.base_offset, found.leader_epoch, found.crc), (1_000_000, 7, 0xecd3_0887));
    assert_eq!((&found, &stored[..]), (batch.header(), &batch.to_bytes()[..]));
}

#[test]
fn append_time_changes_the_header_only() {
    let batch = check(from_hex(DATA).into()).unwrap();
    let body = batch.body().as_ptr();
    let stamped = batch.with_append_time(77);
    assert_eq!(stamped.body().as_ptr(), body);
    let bytes = stamped.to_bytes();
    assert!(check_crc(&bytes));
    let read = RecordBatch::parse(bytes).unwrap();
    assert!(read.header().is_append_time());
    let times: Vec<_> = read.records(0).unwrap().iter().map(|record| record.unwrap().timestamp).collect();
    assert_eq!(times, [77, 77, 77]);
    assert_eq!(read.header().base_timestamp, BASE_MS);
}

#[test]
fn structured_records_obey_the_same_rules() {
    let mut builder = BatchBuilder::new();
    let record = NewRecord { timestamp: BASE_MS + 1, key: None, value: Some(&[7; 200]), headers: &[] };
    let mut build = |producer, rules: &Rules| {
        builder.append(&record).unwrap();
        ValidBatch::build(&mut builder, Codec::None, producer, rules).map(|batch| batch.record_count())
    };
    assert_eq!(build(ProducerFields::NONE, &RULES), Ok(1));
    let late = build(ProducerFields::NONE, &Rules { timestamp_after_max_ms: 0, ..RULES });
    assert!(matches!(late, Err(InvalidBatch::LateTimestamp { .. })));
    let large = build(ProducerFields::NONE, &Rules { max_batch_bytes: 200, ..RULES });
    assert!(matches!(large, Err(InvalidBatch::TooLarge { max_bytes: 200, .. })));
    let unsequenced = build(ProducerFields { producer_id: 1, producer_epoch: 0, base_sequence: -1 }, &RULES);
    assert_eq!(unsequenced, Err(InvalidBatch::BaseSequence { base_sequence: -1 }));
    let empty = ValidBatch::build(&mut BatchBuilder::new(), Codec::None, ProducerFields::NONE, &RULES);
    assert_eq!(empty.unwrap_err(), InvalidBatch::Build(BuildError::Empty));
}

#[test]
fn recompression_obeys_the_bounds() {
    let zeros = [0u8; 9_000];
    let mut builder = BatchBuilder::new();
    builder.append(&NewRecord { timestamp: 0, key: None, value: Some(&zeros), headers: &[] }).unwrap();
    let packed = ValidBatch::internal(&mut builder, Codec::Zstd).unwrap();
    let grown =
        recompress(packed.clone(), Codec::None, &Rules { max_batch_bytes: 9_000, ..RULES }).unwrap_err();
    assert!(matches!(grown, InvalidBatch::TooLarge { max_bytes: 9_000, .. }));
    let bomb =
        recompress(packed, Codec::None, &Rules { max_decompressed_bytes: 9_000, ..RULES }).unwrap_err();
    let error = DecompressError::TooLarge { codec: Codec::Zstd, max_bytes: 9_000 };
    assert_eq!(Some(bomb), unpacking(error));
}

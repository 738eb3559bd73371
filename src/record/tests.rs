//! Tests of reading and writing together, and what the tests of this layer share.

#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::batch::{check_crc, first_batch_bytes, verify};
use super::header::{ATTRIBUTES_AT, CRC_AT, LEADER_EPOCH_AT, MAGIC_AT};
use super::*;
use crate::base::varint::write_varint;

/// Bound for tests that do not mean it.
pub(super) const MAX: usize = 1 << 20;

/// Three records of 2023: (k, v), (null, v2, h=x, +5 ms), (k, null, h=null, +10 ms).
pub(super) const DATA: &str = "0000000000000000000000520000000002ecd308870000000000020000018bcfe568000000018bcfe5680affff\
    ffffffffffffffffffffffff0000000310000000026b02760018000a0201047632020268027814001404026b0102026801";

/// A COMMIT marker at offset 42.
const CONTROL: &str = "000000000000002a000000420000000502ad320ccb0030000000000000018bcfe568000000018bcfe568000000000000\
    0003e80003ffffffff000000012000000008000000010c00000000000700";

pub(super) const BASE_MS: i64 = 1_700_000_000_000;

pub(super) fn from_hex(text: &str) -> Vec<u8> {
    let pair = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(pair).collect()
}

/// A record that owns its parts.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Owned {
    pub(super) timestamp: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(String, Option<Vec<u8>>)>,
}

pub(super) fn owned() -> impl Strategy<Value = Owned> {
    let field = || option::of(vec(any::<u8>(), 0..40));
    // Few distinct keys, so that some come twice.
    let headers = vec(("[ab]{1,2}|ż|h", field()), 0..4);
    (-1i64..i64::MAX / 2, field(), field(), headers).prop_map(|(timestamp, key, value, headers)| Owned {
        timestamp,
        key,
        value,
        headers,
    })
}

pub(super) fn codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(&Codec::ALL[..])
}

pub(super) fn builder_of(records: &[Owned]) -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    for record in records {
        let headers: Vec<_> =
            record.headers.iter().map(|(key, value)| (&key[..], value.as_deref())).collect();
        let record = NewRecord {
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        let expected = builder.size_bytes_with(&record);
        builder.append(&record).unwrap();
        assert_eq!(builder.size_bytes(), expected);
    }
    builder
}

pub(super) fn encode(records: &[Owned], codec: Codec) -> Bytes {
    builder_of(records).build(codec, ProducerFields::NONE).unwrap()
}

/// Offset and parts of all records, or the first error.
pub(super) fn decode(records: &Records) -> Result<Vec<(i64, Owned)>, BatchError> {
    let own = |view: RecordView<'_>| Owned {
        timestamp: view.timestamp,
        key: view.key.map(<[u8]>::to_vec),
        value: view.value.map(<[u8]>::to_vec),
        headers: view.headers.map(|(key, value)| (key.to_owned(), value.map(<[u8]>::to_vec))).collect(),
    };
    records.iter().map(|record| record.map(|view| (view.offset, own(view)))).collect()
}

/// A batch with this body whose length and checksum are right.
pub(super) fn seal_batch(mut header: BatchHeader, body: &[u8]) -> Bytes {
    header.batch_length = (body.len() + 49) as i32;
    let mut bytes = [&header.write()[..], body].concat();
    let crc = crc32c::crc32c(&bytes[ATTRIBUTES_AT..]);
    bytes[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

pub(super) fn data_header() -> BatchHeader {
    BatchHeader::read(&from_hex(DATA)).unwrap()
}

#[test]
fn the_data_vector_is_read_and_written_again() {
    let golden = from_hex(DATA);
    assert_eq!(golden.len(), 94);
    let batch = RecordBatch::parse(golden.clone().into()).unwrap();
    assert_eq!((batch.header().crc, batch.codec()), (0xecd3_0887, Ok(Codec::None)));
    let some = |text: &str| Some(text.as_bytes().to_vec());
    let expected = [
        Owned { timestamp: BASE_MS, key: some("k"), value: some("v"), headers: vec![] },
        Owned {
            timestamp: BASE_MS + 5,
            key: None,
            value: some("v2"),
            headers: vec![("h".into(), some("x"))],
        },
        Owned { timestamp: BASE_MS + 10, key: some("k"), value: None, headers: vec![("h".into(), None)] },
    ];
    let found = decode(&batch.records(0).unwrap()).unwrap();
    assert_eq!(found, [0, 1, 2].into_iter().zip(expected.clone()).collect::<Vec<_>>());
    assert_eq!(encode(&expected, Codec::None), golden);
}

#[test]
fn the_control_vector_is_read() {
    let golden = from_hex(CONTROL);
    assert_eq!(golden.len(), 78);
    assert!(check_crc(&golden));
    let batch = RecordBatch::parse(golden.into()).unwrap();
    let header = batch.header();
    assert!(header.is_control());
    assert_eq!((header.base_offset, header.leader_epoch, header.producer_id), (42, 5, 1000));
    let records = decode(&batch.records(0).unwrap()).unwrap();
    assert_eq!(records[0].0, 42);
    assert_eq!(records[0].1.key, Some(vec![0, 0, 0, 1]));
    assert_eq!(records[0].1.value, Some(vec![0, 0, 0, 0, 0, 7]));
}

proptest! {
    #[test]
    fn records_round_trip_through_every_codec(records in vec(owned(), 1..12), codec in codec()) {
        let bytes = encode(&records, codec);
        let batch = RecordBatch::parse(bytes.clone()).unwrap();
        prop_assert_eq!(batch.codec(), Ok(codec));
        prop_assert_eq!(batch.header(), &verify(&bytes).unwrap());
        let found = decode(&batch.records(MAX).unwrap()).unwrap();
        prop_assert_eq!(found, (0..).zip(records).collect::<Vec<_>>());
    }

    #[test]
    fn a_batch_cut_anywhere_is_no_batch(records in vec(owned(), 1..4), codec in codec()) {
        let bytes = encode(&records, codec);
        for end in 0..bytes.len() {
            prop_assert!(RecordBatch::parse(bytes.slice(..end)).is_err());
            prop_assert!(matches!(RecordBatch::take_first(&mut bytes.slice(..end)), Ok(None)));
            prop_assert!(!check_crc(&bytes[..end]));
        }
    }

    #[test]
    fn a_changed_bit_is_seen_or_lies_outside_the_checksum(
        records in vec(owned(), 1..4), codec in codec(), at: prop::sample::Index, bit in 0u32..8,
    ) {
        let mut bytes = encode(&records, codec).to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1u8 << bit;
        let is_broker_field = at < 8 || (LEADER_EPOCH_AT..MAGIC_AT).contains(&at);
        prop_assert_eq!(verify(&bytes).is_ok(), is_broker_field);
    }

    #[test]
    fn any_body_is_read_without_a_panic(
        body in vec(any::<u8>(), 0..200), id in 0u16..8, count: i32, last in prop::sample::select(vec![-1, 0, 3, i32::MAX]),
    ) {
        let header = BatchHeader { attributes: id, record_count: count, last_offset_delta: last, ..data_header() };
        let batch = RecordBatch::parse(seal_batch(header, &body)).unwrap();
        if let Ok(records) = batch.records(MAX) {
            prop_assert!(records.bytes().len() <= MAX);
            prop_assert!(records.iter().filter(|record| record.is_err()).count() <= 1);
        }
    }

    #[test]
    fn changed_records_are_read_without_a_panic(
        records in vec(owned(), 1..6), at: prop::sample::Index, byte: u8,
    ) {
        let mut bytes = encode(&records, Codec::None).to_vec();
        let at = at.index(bytes.len() - HEADER_BYTES) + HEADER_BYTES;
        bytes[at] = byte;
        let header = BatchHeader::read(&bytes).unwrap();
        let batch = RecordBatch::parse(seal_batch(header, &bytes[HEADER_BYTES..])).unwrap();
        let found = batch.records(MAX).unwrap();
        prop_assert!(found.iter().count() <= records.len() + 1);
        for view in found.iter().flatten() {
            prop_assert_eq!(view.headers.count(), view.headers.len());
        }
    }
}

#[test]
fn a_run_is_split_into_its_batches() {
    let first = from_hex(DATA);
    let mut run = Bytes::from([&first[..], &from_hex(CONTROL), &first[..50]].concat());
    assert_eq!(first_batch_bytes(&run), Ok(Some(94)));
    assert_eq!(first_batch_bytes(&run[..60]), Ok(None));
    assert_eq!(RecordBatch::take_first(&mut run).unwrap().unwrap().bytes(), &first);
    assert_eq!(RecordBatch::take_first(&mut run).unwrap().unwrap().header().base_offset, 42);
    assert!(RecordBatch::take_first(&mut run).unwrap().is_none());
    assert_eq!(run.len(), 50);
}

#[test]
fn framing_faults_have_their_own_errors() {
    let golden = from_hex(DATA);
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = golden.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        verify(&changed)
    };
    for length in [-1i32, 0, 48, i32::MIN] {
        assert_eq!(with(8, &length.to_be_bytes()), Err(BatchError::Length { length }));
    }
    let longer = with(8, &i32::MAX.to_be_bytes());
    assert_eq!(longer, Err(BatchError::Short { needed_bytes: i32::MAX as usize + 12, bytes: 94 }));
    let shorter = with(8, &49i32.to_be_bytes());
    assert_eq!(shorter, Err(BatchError::MoreThanOne { batch_bytes: 61, bytes: 94 }));
    for magic in [0, 1, 3, 127, 255] {
        assert_eq!(with(MAGIC_AT, &[magic]), Err(BatchError::Magic { magic }));
    }
    let crc = BatchError::Crc { stored: 1, computed: 0xecd3_0887 };
    assert_eq!(with(CRC_AT, &1u32.to_be_bytes()), Err(crc));
    let two = [&golden[..], &golden[..30]].concat();
    assert_eq!(verify(&two), Err(BatchError::MoreThanOne { batch_bytes: 94, bytes: 124 }));
    // An old message set is shorter than a header, but says what it is.
    assert_eq!(verify(&[0; 26]), Err(BatchError::Magic { magic: 0 }));
    assert_eq!(verify(&[]), Err(BatchError::Short { needed_bytes: 61, bytes: 0 }));
}

#[test]
fn a_compacted_batch_keeps_its_gaps() {
    let golden = from_hex(DATA);
    // The first record (8 bytes and its length) is gone.
    let header = BatchHeader { base_offset: 7, record_count: 2, ..data_header() };
    let batch = RecordBatch::parse(seal_batch(header, &golden[70..])).unwrap();
    let offsets: Vec<_> = decode(&batch.records(0).unwrap()).unwrap().into_iter().map(|(at, _)| at).collect();
    assert_eq!((offsets, batch.header().last_offset()), (vec![8, 9], 9));
    let empty = BatchHeader { record_count: 0, attributes: 1, ..header };
    let batch = RecordBatch::parse(seal_batch(empty, &[])).unwrap();
    assert_eq!(decode(&batch.records(0).unwrap()), Ok(vec![]));
}

#[test]
fn append_time_is_the_time_of_every_record() {
    let header = BatchHeader { attributes: 8, max_timestamp: 99, ..data_header() };
    let batch = RecordBatch::parse(seal_batch(header, &from_hex(DATA)[61..])).unwrap();
    let records = decode(&batch.records(0).unwrap()).unwrap();
    assert!(records.iter().all(|(_, record)| record.timestamp == 99));
}

#[test]
fn a_walk_ends_at_the_first_wrong_record() {
    let body = &from_hex(DATA)[61..];
    let read = |change: fn(&mut BatchHeader)| {
        let mut header = data_header();
        change(&mut header);
        let records = RecordBatch::parse(seal_batch(header, body)).unwrap().records(0).unwrap();
        (records.iter().count(), decode(&records).unwrap_err())
    };
    let number = BatchError::Record { index: 3, fault: RecordFault::Number };
    assert_eq!(read(|header| header.record_count = i32::MAX), (4, number));
    assert_eq!(read(|header| header.record_count = 2), (3, BatchError::UnreadBytes { bytes: 11 }));
    assert_eq!(read(|header| header.record_count = -5), (1, BatchError::UnreadBytes { bytes: 33 }));
    let delta = BatchError::Record { index: 2, fault: RecordFault::OffsetDelta { delta: 2 } };
    assert_eq!(read(|header| header.last_offset_delta = 1), (3, delta));
    let overflow = BatchError::Record { index: 1, fault: RecordFault::OffsetDelta { delta: 1 } };
    assert_eq!(read(|header| header.base_offset = i64::MAX), (2, overflow));
    let time = BatchError::Record { index: 1, fault: RecordFault::TimestampDelta { delta: 5 } };
    assert_eq!(read(|header| header.base_timestamp = i64::MAX), (2, time));
}

#[test]
fn offset_deltas_only_rise() {
    let record = &from_hex(DATA)[61..70];
    let header = BatchHeader { record_count: 2, ..data_header() };
    let twice = RecordBatch::parse(seal_batch(header, &[record, record].concat())).unwrap();
    let fault = RecordFault::OffsetDelta { delta: 0 };
    assert_eq!(decode(&twice.records(0).unwrap()), Err(BatchError::Record { index: 1, fault }));
}

#[test]
fn a_value_is_sliced_without_a_copy() {
    let batch = RecordBatch::parse(from_hex(DATA).into()).unwrap();
    let records = batch.records(0).unwrap();
    let value = records.iter().nth(1).unwrap().unwrap().value.unwrap();
    let slice = records.slice_ref(value);
    assert_eq!(&slice[..], b"v2");
    assert_eq!(slice.as_ptr(), value.as_ptr());
}

#[test]
fn a_builder_refuses_what_readers_would() {
    let plain = NewRecord { timestamp: 0, key: None, value: None, headers: &[] };
    let mut builder = BatchBuilder::new();
    assert_eq!(builder.build(Codec::None, ProducerFields::NONE), Err(BuildError::Empty));
    for name in ["", "a\0b"] {
        let record = NewRecord { headers: &[(name, None)], ..plain };
        assert_eq!(builder.append(&record), Err(BuildError::Header(RecordFault::HeaderKeyName)));
    }
    let many = vec![("h", None); 10_001];
    let refused = builder.append(&NewRecord { headers: &many, ..plain });
    assert_eq!(refused, Err(BuildError::Header(RecordFault::HeaderCount { count: 10_001 })));
    builder.append(&NewRecord { headers: &many[..10_000], ..plain }).unwrap();
    let timestamp = -2;
    assert_eq!(builder.append(&NewRecord { timestamp, ..plain }), Err(BuildError::Timestamp { timestamp }));
    builder.clear();
    builder.append(&NewRecord { timestamp: -1, ..plain }).unwrap();
    let timestamp = i64::MAX;
    assert_eq!(builder.append(&NewRecord { timestamp, ..plain }), Err(BuildError::Timestamp { timestamp }));
    assert_eq!(builder.record_count(), 1);
}

#[test]
fn a_builder_begins_anew_after_each_batch() {
    let record = |timestamp| NewRecord { timestamp, key: None, value: Some(b"v"), headers: &[] };
    let producer = ProducerFields { producer_id: 7, producer_epoch: 1, base_sequence: 40 };
    let mut builder = BatchBuilder::new();
    builder.append(&record(900)).unwrap();
    builder.append(&record(500)).unwrap();
    let first = RecordBatch::parse(builder.build(Codec::Zstd, producer).unwrap()).unwrap();
    assert_eq!((first.header().base_timestamp, first.header().max_timestamp), (900, 900));
    assert_eq!((first.header().producer_id, first.header().last_sequence()), (7, 41));
    assert!(builder.is_empty());
    builder.append(&record(5)).unwrap();
    let second = RecordBatch::parse(builder.build(Codec::None, ProducerFields::NONE).unwrap()).unwrap();
    assert_eq!((second.header().max_timestamp, second.header().record_count), (5, 1));
}

#[test]
fn malformed_records_have_their_own_faults() {
    // Attributes, timestamp delta, offset delta; then key, value, headers.
    let record = |fields: &[u8]| {
        let mut bytes = Vec::new();
        write_varint(&mut bytes, fields.len() as i32);
        [&bytes[..], fields].concat()
    };
    let field = |length, left_bytes| RecordFault::FieldLength { length, left_bytes };
    let rows: [(Vec<u8>, RecordFault); 14] = [
        (vec![0x80; 11], RecordFault::Number),
        (vec![3], RecordFault::RecordLength { length: -2, left_bytes: 0 }),
        (vec![40, 0], RecordFault::RecordLength { length: 20, left_bytes: 1 }),
        (record(&[]), RecordFault::Number),
        (record(&[0, 0, 0]), RecordFault::Number),
        (record(&[0, 0, 0, 3, 1, 0]), field(-2, 2)),
        (record(&[0, 0, 0, 20, 1, 0]), field(10, 2)),
        (record(&[0, 0, 0, 1, 2, 0]), RecordFault::Number),
        (record(&[0, 0, 0, 1, 1, 1]), RecordFault::HeaderCount { count: -1 }),
        (record(&[0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0xf]), RecordFault::HeaderCount { count: i32::MAX }),
        (record(&[0, 0, 0, 1, 1, 2, 1, 1]), field(-1, 2)),
        (record(&[0, 0, 0, 1, 1, 2, 2, 0xff, 1]), RecordFault::HeaderKeyNotUtf8),
        (record(&[0, 0, 0, 1, 1, 2, 2, b'h', 20]), field(10, 0)),
        (record(&[0, 0, 0, 1, 1, 0, 9, 9]), RecordFault::Unread { bytes: 2 }),
    ];
    for (body, fault) in rows {
        let header = BatchHeader { record_count: 1, last_offset_delta: 0, ..data_header() };
        let batch = RecordBatch::parse(seal_batch(header, &body)).unwrap();
        let error = decode(&batch.records(0).unwrap()).unwrap_err();
        assert_eq!(error, BatchError::Record { index: 0, fault }, "{body:02x?}");
    }
}

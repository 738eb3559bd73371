//! What is left of a batch, seen through the reader of batches.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::record::builder::ProducerFields;
use crate::record::tests::{BASE_MS, Owned, builder_of, codec, owned};
use crate::record::{Codec, ValidBatch};

fn stored(records: &[Owned], codec: Codec, is_append_time: bool) -> RecordBatch {
    let producer = ProducerFields { producer_id: 7, producer_epoch: 1, base_sequence: 40 };
    let bytes = builder_of(records).build(codec, producer).expect("has records");
    let mut batch = RecordBatch::parse(bytes).expect("valid");
    if is_append_time {
        let rules = crate::record::Rules {
            max_batch_bytes: 1 << 20,
            now_ms: BASE_MS,
            timestamp_after_max_ms: i64::MAX,
            max_decompressed_bytes: 1 << 20,
            needs_keys: false,
        };
        let valid: ValidBatch = crate::record::validate(batch, &rules).expect("valid");
        batch = RecordBatch::parse(valid.with_append_time(BASE_MS).to_bytes()).expect("valid");
    }
    let mut bytes = batch.bytes().to_vec();
    bytes[..8].copy_from_slice(&1_000i64.to_be_bytes());
    RecordBatch::parse(bytes.into()).expect("the offset lies outside the checksum")
}

fn views(batch: &RecordBatch) -> Vec<(i64, Owned)> {
    let records = batch.records(DECOMPRESSED_BYTES_MAX).expect("unpacks");
    let own = |record: RecordView<'_>| {
        let headers = record.headers.map(|(key, value)| (key.to_owned(), value.map(<[u8]>::to_vec)));
        let (key, value) = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec));
        (record.offset, Owned { timestamp: record.timestamp, key, value, headers: headers.collect() })
    };
    records.iter().map(|record| own(record.expect("valid"))).collect()
}

fn left(batch: &RecordBatch, retained: &Retained) -> Option<RecordBatch> {
    match retained {
        Retained::Whole => Some(batch.clone()),
        Retained::Rewritten(bytes) => Some(RecordBatch::parse(Bytes::from(bytes.clone())).expect("valid")),
        Retained::Nothing => None,
    }
}

proptest! {
    #[test]
    fn what_is_kept_stays_as_it_was_at_its_offset(
        records in vec(owned(), 1..12),
        picked in vec(any::<bool>(), 12),
        codec in codec(),
        is_append_time: bool,
        horizon in option::of(BASE_MS..BASE_MS * 2),
    ) {
        let batch = stored(&records, codec, is_append_time);
        let is_kept = |offset: i64| picked[(offset - 1_000) as usize];
        let retained = retain(&batch, horizon, &mut |record| is_kept(record.offset)).expect("readable");
        let expected: Vec<_> = views(&batch).into_iter().filter(|(offset, _)| is_kept(*offset)).collect();
        let Some(after) = left(&batch, &retained) else {
            prop_assert!(expected.is_empty());
            return Ok(());
        };
        prop_assert_eq!(views(&after), expected.clone());
        let (old, new) = (*batch.header(), *after.header());
        prop_assert_eq!(new.record_count as usize, expected.len());
        let greatest = expected.iter().map(|(_, record)| record.timestamp).max();
        prop_assert_eq!(Some(new.max_timestamp), greatest);
        let has_tombstone = expected.iter().any(|(_, record)| record.key.is_some() && record.value.is_none());
        prop_assert_eq!(new.delete_horizon(), horizon.filter(|_| has_tombstone));
        let same = |header: BatchHeader| BatchHeader {
            batch_length: 0, crc: 0, record_count: 0, max_timestamp: 0, base_timestamp: 0,
            attributes: header.attributes & !DELETE_HORIZON_BIT, ..header
        };
        prop_assert_eq!(same(new), same(old));
        // A horizon that stands stays.
        let again = retain(&after, Some(BASE_MS * 3), &mut |_| true).expect("readable");
        if new.delete_horizon().is_some() {
            prop_assert_eq!(again, Retained::Whole);
        }
    }
}

#[test]
fn an_emptied_batch_keeps_its_place_and_its_producer() {
    let record = Owned { timestamp: BASE_MS, key: Some(vec![1]), value: None, headers: Vec::new() };
    for codec in Codec::ALL {
        let batch = stored(&[record.clone(), record.clone()], codec, false);
        assert_eq!(retain(&batch, None, &mut |_| false).expect("readable"), Retained::Nothing);
        let after = RecordBatch::parse(Bytes::copy_from_slice(&emptied(batch.header()))).expect("valid");
        let (old, new) = (batch.header(), after.header());
        assert_eq!((new.base_offset, new.last_offset()), (old.base_offset, old.last_offset()));
        assert_eq!((new.producer_id, new.last_sequence()), (old.producer_id, old.last_sequence()));
        assert_eq!((new.record_count, new.max_timestamp, views(&after).len()), (0, NO_TIMESTAMP, 0));
    }
}

#[test]
fn a_batch_that_would_get_too_long_gets_no_horizon() {
    let record = Owned { timestamp: BASE_MS, key: Some(Vec::new()), value: None, headers: Vec::new() };
    // Each of these records takes 7 bytes at least, and three more with a horizon.
    let records = vec![record; BATCH_BYTES_MAX / 10];
    let batch = stored(&records, Codec::None, false);
    assert!(batch.bytes().len() < BATCH_BYTES_MAX);
    let retained = retain(&batch, Some(2 * BASE_MS), &mut |_| true).expect("readable");
    assert_eq!(retained, Retained::Whole);
}

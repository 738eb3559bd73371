//! Batches in memory: encoding, walking, validating, against copying and checksumming the same bytes.

use std::hint::black_box;

use bytes::Bytes;
use weir::record::builder::{NewRecord, ProducerFields};
use weir::record::{BatchBuilder, Codec, RecordBatch, Rules, validate};

use crate::case::{Case, Work, repeat};

/// Bytes of a batch, about what the bundled client sends at most by default.
const BATCH_BYTES: usize = 256 << 10;
const KEY: &[u8] = b"product-12345";
const TIMESTAMP: i64 = 1_700_000_000_000;

const RULES: Rules = Rules {
    max_batch_bytes: 4 << 20,
    now_ms: TIMESTAMP,
    timestamp_after_max_ms: i64::MAX,
    max_decompressed_bytes: 4 << 20,
    needs_keys: false,
};

/// Encode, iterate and validate, each with small and with larger records.
pub(crate) fn cases() -> Vec<Case> {
    let small = batch(BATCH_BYTES, 100);
    let large = batch(BATCH_BYTES, 1024);
    let case = |name, batch: &Bytes, figure: Work, ceiling_name, ceiling: Work| {
        let bytes = batch.len() as u64;
        Case { name, bytes, figure, ceiling_name, ceiling }
    };
    let copy_and_crc = "memcpy + CRC-32C";
    vec![
        case("encode 100 B", &small, encode(100), copy_and_crc, copy(&small, true)),
        case("encode 1 KiB", &large, encode(1024), copy_and_crc, copy(&large, true)),
        case("iterate 100 B", &small, iterate(&small), "memcpy", copy(&small, false)),
        case("iterate 1 KiB", &large, iterate(&large), "memcpy", copy(&large, false)),
        case("validate 100 B", &small, check(&small), "CRC-32C", crc(&small)),
        case("validate 1 KiB", &large, check(&large), "CRC-32C", crc(&large)),
    ]
}

/// A batch of up to `batch_bytes` whose records have keys of 13 bytes and values of `value_bytes`.
pub(crate) fn batch(batch_bytes: usize, value_bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new();
    fill(&mut builder, batch_bytes, &vec![b'v'; value_bytes]);
    builder.build(Codec::None, ProducerFields::NONE).expect("has records")
}

fn fill(builder: &mut BatchBuilder, batch_bytes: usize, value: &[u8]) {
    let record = NewRecord { timestamp: TIMESTAMP, key: Some(KEY), value: Some(value), headers: &[] };
    while builder.size_bytes_with(&record) <= batch_bytes {
        builder.append(&record).expect("fits");
    }
}

fn encode(value_bytes: usize) -> Work {
    let (mut builder, value) = (BatchBuilder::new(), vec![b'v'; value_bytes]);
    repeat(move || {
        fill(&mut builder, BATCH_BYTES, black_box(&value));
        black_box(builder.build(Codec::None, ProducerFields::NONE).expect("has records"));
    })
}

fn iterate(batch: &Bytes) -> Work {
    let batch = RecordBatch::parse(batch.clone()).expect("valid");
    let count = batch.header().record_count as usize;
    repeat(move || {
        let records = black_box(&batch).records(RULES.max_decompressed_bytes).expect("no codec");
        let seen = records.iter().filter(|record| black_box(record).is_ok()).count();
        assert_eq!(seen, count, "every record is walked");
    })
}

fn check(batch: &Bytes) -> Work {
    let batch = batch.clone();
    repeat(move || {
        let parsed = RecordBatch::parse(black_box(&batch).clone()).expect("valid");
        black_box(validate(parsed, &RULES).expect("valid"));
    })
}

fn copy(batch: &Bytes, with_crc: bool) -> Work {
    let (batch, mut target) = (batch.clone(), vec![0u8; batch.len()]);
    repeat(move || {
        target.copy_from_slice(black_box(&batch));
        let copied = black_box(&target);
        if with_crc {
            black_box(crc32c::crc32c(copied));
        }
    })
}

fn crc(batch: &Bytes) -> Work {
    let batch = batch.clone();
    repeat(move || {
        black_box(crc32c::crc32c(black_box(&batch)));
    })
}

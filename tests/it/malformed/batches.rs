//! Record batches, encoded by a client.

use tonic::transport::Channel;
use weir::proto::grpc as pb;
use weir::proto::grpc::ErrorReason as Reason;
use weir::proto::grpc::producer_service_client::ProducerServiceClient;
use weir::record::builder::{NewRecord, ProducerFields};
use weir::record::{BatchBuilder, Codec};

use super::{Answer, Line, TOPIC, Target, assert_all, of_item, of_status};

const LENGTH_AT: usize = 8;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const LAST_DELTA_AT: usize = 23;
const BASE_TIMESTAMP_AT: usize = 27;
const MAX_TIMESTAMP_AT: usize = 35;
const PRODUCER_ID_AT: usize = 43;
const COUNT_AT: usize = 57;
const RECORDS_AT: usize = 61;
/// Times that every batch is sent.
const ROUNDS: usize = 8;
/// An hour from now is allowed by default, this is not.
const YEAR_9999_MS: i64 = 253_370_764_800_000;

/// Two records that would be taken.
fn sound(codec: Codec) -> Vec<u8> {
    encoded(codec, &["first", "second"])
}

fn encoded(codec: Codec, values: &[&str]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for value in values {
        let record = NewRecord { timestamp: 1, key: None, value: Some(value.as_bytes()), headers: &[] };
        builder.append(&record).unwrap();
    }
    builder.build(codec, ProducerFields::NONE).unwrap().to_vec()
}

/// The same with other bytes at one place and a checksum that fits them.
fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut batch = sound(Codec::None);
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    sealed(batch)
}

fn sealed(mut batch: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
    batch[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// The same with other records and a length that fits them.
fn with_records(codec: u8, records: &[u8]) -> Vec<u8> {
    let mut batch = sound(Codec::None)[..RECORDS_AT].to_vec();
    batch[ATTRIBUTES_AT + 1] = codec;
    batch.extend_from_slice(records);
    let length = (batch.len() - LENGTH_AT - 4) as i32;
    batch[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
    sealed(batch)
}

/// 64 MiB of zeros, packed.
fn bomb() -> Vec<u8> {
    use std::io::Write;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0u8; 1 << 20];
    for _ in 0..64 {
        packer.write_all(&zeros).unwrap();
    }
    with_records(1, &packer.finish().unwrap())
}

type Row = (&'static str, Vec<u8>, Reason, &'static [&'static str]);

fn table() -> Vec<Row> {
    let mut flipped = sound(Codec::None);
    *flipped.last_mut().unwrap() ^= 1;
    let cut = sound(Codec::None)[..RECORDS_AT + 3].to_vec();
    let two = [sound(Codec::None), sound(Codec::None)].concat();
    let half = [sound(Codec::None), sound(Codec::None)[..30].to_vec()].concat();
    let mut trailing = sound(Codec::None)[RECORDS_AT..].to_vec();
    trailing.extend_from_slice(b"more");
    let records = |bytes: &[u8]| with_records(0, bytes);
    let max = i32::MAX.to_be_bytes();
    vec![
        ("no bytes", Vec::new(), Reason::CorruptBatch, &[]),
        ("one byte", vec![0], Reason::CorruptBatch, &[]),
        ("a wrong checksum", flipped, Reason::CorruptBatch, &["checksum"]),
        ("a cut batch", cut, Reason::CorruptBatch, &["bytes"]),
        ("a length of -1", with(LENGTH_AT, &(-1i32).to_be_bytes()), Reason::CorruptBatch, &["length -1"]),
        ("a length of 48", with(LENGTH_AT, &48i32.to_be_bytes()), Reason::CorruptBatch, &["length 48"]),
        ("a length beyond the request", with(LENGTH_AT, &max), Reason::CorruptBatch, &["bytes"]),
        ("magic 0", with(MAGIC_AT, &[0]), Reason::InvalidRecord, &["magic 0"]),
        ("magic 1", with(MAGIC_AT, &[1]), Reason::InvalidRecord, &["magic 1"]),
        ("magic 3", with(MAGIC_AT, &[3]), Reason::InvalidRecord, &["magic 3"]),
        ("magic 127", with(MAGIC_AT, &[127]), Reason::InvalidRecord, &["magic 127"]),
        ("record count 0", with(COUNT_AT, &0i32.to_be_bytes()), Reason::InvalidRecord, &["0"]),
        ("record count -1", with(COUNT_AT, &(-1i32).to_be_bytes()), Reason::InvalidRecord, &["-1"]),
        ("record count 2^31-1", with(COUNT_AT, &max), Reason::InvalidRecord, &["2147483647"]),
        (
            "a count that is not the delta + 1",
            with(LAST_DELTA_AT, &7i32.to_be_bytes()),
            Reason::InvalidRecord,
            &["7"],
        ),
        ("a base offset", with(0, &5i64.to_be_bytes()), Reason::InvalidRecord, &["5"]),
        ("an offset that overflows", with(0, &i64::MAX.to_be_bytes()), Reason::InvalidRecord, &["offset"]),
        ("a varint of eleven bytes", records(&[0xff; 11]), Reason::InvalidRecord, &["record 0"]),
        ("a record of length -2", records(&[3, 0]), Reason::InvalidRecord, &["record 0"]),
        ("a record beyond the end", records(&[0x7e, 0, 0]), Reason::InvalidRecord, &["record 0"]),
        ("bytes behind the last record", records(&trailing), Reason::InvalidRecord, &["4 bytes follow"]),
        ("two batches", two, Reason::InvalidRecord, &["one batch"]),
        ("a batch and half of one", half, Reason::InvalidRecord, &["one batch"]),
        ("compression 5", with(ATTRIBUTES_AT, &[0, 5]), Reason::UnsupportedCompression, &["5"]),
        ("compression 7", with(ATTRIBUTES_AT, &[0, 7]), Reason::UnsupportedCompression, &["7"]),
        ("gzip that unpacks to 64 MiB", bomb(), Reason::RecordTooLarge, &["16777408", "max.message.bytes"]),
        ("no gzip", with_records(1, b"this is no gzip stream"), Reason::InvalidRecord, &["gzip"]),
        ("no snappy", with_records(2, &[0xff; 20]), Reason::InvalidRecord, &["snappy"]),
        (
            "a snappy length that lies",
            with_records(2, &[0xff, 0xff, 0xff, 0x7f, 0, b'x']),
            Reason::InvalidRecord,
            &["snappy"],
        ),
        ("no lz4", with_records(3, b"this is no lz4 frame"), Reason::InvalidRecord, &["lz4"]),
        ("no zstd", with_records(4, b"this is no zstd frame"), Reason::InvalidRecord, &["zstd"]),
        (
            "a zstd window of 2 GiB",
            with_records(4, &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 1, 0, 0]),
            Reason::InvalidRecord,
            &["zstd"],
        ),
        ("a batch in a batch", with_records(0, &sound(Codec::None)), Reason::InvalidRecord, &["record 0"]),
        ("a transactional batch", with(ATTRIBUTES_AT, &[0, 0x10]), Reason::InvalidRecord, &["transaction"]),
        ("a control batch", with(ATTRIBUTES_AT, &[0, 0x20]), Reason::InvalidRecord, &["control"]),
        ("a delete horizon", with(ATTRIBUTES_AT, &[0, 0x40]), Reason::InvalidRecord, &["horizon"]),
        ("append time", with(ATTRIBUTES_AT, &[0, 0x08]), Reason::InvalidRecord, &["append time"]),
        ("unused attributes", with(ATTRIBUTES_AT, &[0x80, 0]), Reason::InvalidRecord, &["attributes"]),
        (
            "a producer id without epoch",
            with(PRODUCER_ID_AT, &9i64.to_be_bytes()),
            Reason::InvalidRecord,
            &["epoch"],
        ),
        (
            "a producer id without sequence",
            with(PRODUCER_ID_AT, &[9i64.to_be_bytes().to_vec(), vec![0, 0]].concat()),
            Reason::InvalidRecord,
            &["sequence"],
        ),
        (
            "a max timestamp that is not true",
            with(MAX_TIMESTAMP_AT, &77i64.to_be_bytes()),
            Reason::InvalidRecord,
            &["77"],
        ),
    ]
}

/// All records have this timestamp.
fn at_time(timestamp: i64) -> Vec<u8> {
    let mut batch = sound(Codec::None);
    for at in [BASE_TIMESTAMP_AT, MAX_TIMESTAMP_AT] {
        batch[at..at + 8].copy_from_slice(&timestamp.to_be_bytes());
    }
    sealed(batch)
}

/// A batch of a producer with id.
fn of_producer(producer_id: i64, base_sequence: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.append(&NewRecord { timestamp: 1, key: None, value: Some(b"v"), headers: &[] }).unwrap();
    let producer = ProducerFields { producer_id, producer_epoch: 0, base_sequence };
    builder.build(Codec::None, producer).unwrap().to_vec()
}

async fn send(calls: &mut ProducerServiceClient<Channel>, batch: &[u8]) -> Result<Answer, String> {
    let payload = Some(pb::produce_batch::Payload::Batch(batch.to_vec().into()));
    let (topic, partition) = (TOPIC.to_owned(), Some(0));
    let batch = pb::ProduceBatch { topic, partition, payload, ..pb::ProduceBatch::default() };
    match calls.produce(pb::ProduceRequest { acks: pb::Acks::All.into(), batches: vec![batch] }).await {
        Ok(reply) => of_item(reply.into_inner().results[0].error.as_ref()),
        Err(status) => of_status(&status),
    }
}

#[tokio::test]
async fn batches_are_refused_with_the_reason() {
    let target = Target::start().await;
    let mut calls = ProducerServiceClient::new(target.channel.clone());
    let id = calls.init_producer(pb::InitProducerRequest {}).await.unwrap().into_inner().producer_id;
    let mut rows = table();
    let large = "x".repeat(2 << 20);
    rows.extend([
        ("a timestamp of -2", at_time(-2), Reason::InvalidTimestamp, &["-2"][..]),
        (
            "a timestamp in the year 9999",
            at_time(YEAR_9999_MS),
            Reason::InvalidTimestamp,
            &["message.timestamp.after.max.ms"],
        ),
        (
            "a batch above max.message.bytes",
            encoded(Codec::None, &[&large]),
            Reason::RecordTooLarge,
            &["max.message.bytes"],
        ),
        ("a first sequence of 5", of_producer(id, 5), Reason::OutOfOrderSequence, &["5"]),
    ]);
    let mut lines = Vec::new();
    for _ in 0..ROUNDS {
        lines.clear();
        for (name, batch, reason, says) in &rows {
            let answer = send(&mut calls, batch).await;
            if let Ok(answer) = &answer {
                assert!(
                    answer.message.contains("'good'"),
                    "{name}: the topic is not named: {}",
                    answer.message
                );
            }
            lines.push(Line { name: (*name).to_owned(), answer, reason: *reason, says });
        }
    }
    assert_all("batches", &lines);
    target.assert_unharmed().await;
}

//! Decodes stored batches into structured records, from exactly the asked offset and up to a number of bytes.
//!
//! Whoever looks at bytes checks them: a batch whose checksum does not hold is damage, never data.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::budget::{Budget, Debit};
use crate::base::limits::DECOMPRESSED_BYTES_MAX;
use crate::base::{Error, ErrorKind, LeaderEpoch, Offset};
use crate::broker::errors::Place;
use crate::broker::request::{Header, Record};
use crate::broker::unpacking::Unpacking;
use crate::log::LogSlice;
use crate::record::{BatchError, BatchHeader, Codec, DecompressError, RecordBatch, RecordView, Records};

/// How much one answer may hold.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Bytes to stay within, except for a first record that is larger.
    pub asked_bytes: usize,
    /// Bytes that no answer may pass.
    pub hard_bytes: usize,
}

/// Records of one partition, with where to read on.
#[derive(Debug, Default)]
pub struct Decoded {
    /// The records, in order.
    pub records: Vec<Record>,
    /// What they take in a message.
    pub size_bytes: usize,
    /// After the last record given or passed over.
    pub next_offset: Offset,
    /// Leader epoch of the last batch that was entered.
    pub leader_epoch: Option<LeaderEpoch>,
    /// Memory of unpacked batches.
    pub debits: Vec<Debit>,
}

/// Decodes the records of `slice` from `from` on. Control batches are passed over.
///
/// Cost: one pass for the checksum, one over the records; unpacked batches are debited from `budget`.
/// Errors, only where not a single record comes before: DAMAGED_RANGE; RECORD_TOO_LARGE for a record that fits no
/// message; THROTTLED.
pub fn decode(
    slice: &LogSlice,
    from: Offset,
    room: Room,
    budget: &Arc<Budget>,
    place: Place<'_>,
) -> Result<Decoded, Error> {
    let mut decoder =
        Decoder { from, room, budget, place, out: Decoded { next_offset: from, ..Decoded::default() } };
    let mut rest = slice.bytes.clone();
    loop {
        match decoder.take_batch(&mut rest, slice.next_offset) {
            Ok(Step::More) => {}
            Ok(Step::Full) => return Ok(decoder.out),
            Ok(Step::End) => break,
            Err(_) if !decoder.out.records.is_empty() => return Ok(decoder.out),
            Err(error) => return Err(error),
        }
    }
    decoder.out.next_offset = decoder.out.next_offset.max(slice.next_offset);
    Ok(decoder.out)
}

enum Step {
    More,
    Full,
    End,
}

struct Decoder<'a> {
    from: Offset,
    room: Room,
    budget: &'a Arc<Budget>,
    place: Place<'a>,
    out: Decoded,
}

impl Decoder<'_> {
    fn take_batch(&mut self, rest: &mut Bytes, end: Offset) -> Result<Step, Error> {
        let damaged = |header: Option<BatchHeader>| match header {
            Some(header) if header.last_offset() >= self.out.next_offset => {
                self.place.damaged(header.base_offset.max(self.out.next_offset), header.last_offset() + 1)
            }
            _ => self.place.damaged(self.out.next_offset, end),
        };
        let batch = match RecordBatch::take_first(rest) {
            Ok(Some(batch)) => batch,
            Ok(None) if rest.is_empty() => return Ok(Step::End),
            Ok(None) | Err(_) => return Err(damaged(BatchHeader::read(rest))),
        };
        let header = *batch.header();
        if header.last_offset() < self.from || header.is_control() {
            self.out.next_offset = self.out.next_offset.max(header.last_offset() + 1);
            return Ok(Step::More);
        }
        let is_packed = !matches!(batch.codec(), Ok(Codec::None));
        let unpacking = is_packed.then(|| Unpacking::begin(self.budget, DECOMPRESSED_BYTES_MAX));
        let records = match batch.records(unpacking.as_ref().map_or(0, Unpacking::bytes_max)) {
            Ok(records) => records,
            Err(BatchError::Decompress(DecompressError::TooLarge { max_bytes, .. })) => {
                unpacking.as_ref().map_or(Ok(()), Unpacking::refused)?;
                return Err(self
                    .too_large(header.base_offset, format_args!("unpacks to more than {max_bytes} bytes")));
            }
            Err(_) => return Err(damaged(Some(header))),
        };
        self.out.debits.extend(unpacking.map(|unpacking| unpacking.end(records.bytes().len())));
        self.take_records(&header, &records)
    }

    fn take_records(&mut self, header: &BatchHeader, records: &Records) -> Result<Step, Error> {
        for record in records {
            let record = record.map_err(|_| {
                self.place.damaged(self.out.next_offset.max(header.base_offset), header.last_offset() + 1)
            })?;
            if record.offset < self.from {
                continue;
            }
            let size_bytes = self.out.size_bytes + message_bytes(&record);
            let is_first = self.out.records.is_empty();
            if is_first && size_bytes > self.room.hard_bytes {
                return Err(
                    self.too_large(record.offset, format_args!("takes {size_bytes} bytes as a record"))
                );
            }
            if !is_first && size_bytes > self.room.asked_bytes.min(self.room.hard_bytes) {
                return Ok(Step::Full);
            }
            self.out.records.push(owned(&record, records));
            self.out.size_bytes = size_bytes;
            self.out.next_offset = record.offset + 1;
            self.out.leader_epoch = Some(header.leader_epoch);
        }
        self.out.next_offset = self.out.next_offset.max(header.last_offset() + 1);
        Ok(Step::More)
    }

    fn too_large(&self, offset: Offset, what: std::fmt::Arguments<'_>) -> Error {
        let message = format!(
            "{}: offset {offset} {what}, more than one message holds; read it with form BATCH",
            self.place
        );
        Error::new(ErrorKind::RecordTooLarge, message)
            .with("topic", self.place.topic)
            .with("partition", self.place.partition)
            .with("offset", offset)
            .with("limit", self.room.hard_bytes)
    }
}

fn owned(view: &RecordView<'_>, records: &Records) -> Record {
    let slice = |part: Option<&[u8]>| part.map(|part| records.slice_ref(part));
    let header = |(key, value): (&str, Option<&[u8]>)| Header { key: key.to_owned(), value: slice(value) };
    Record {
        offset: view.offset,
        timestamp: Some(view.timestamp),
        key: slice(view.key),
        value: slice(view.value),
        headers: view.headers.map(header).collect(),
    }
}

/// Most bytes that a field of this length takes in a message with its tag and length.
fn field_bytes(len: usize) -> usize {
    let length_bytes = match len {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 5,
    };
    1 + length_bytes + len
}

/// Most bytes that a record takes in a message: protobuf, which is the widest of the doors' forms for binary fields.
fn message_bytes(record: &RecordView<'_>) -> usize {
    /// Tag and a 64-bit varint, twice: offset and timestamp.
    const NUMBERS_BYTES: usize = 22;
    let optional = |part: Option<&[u8]>| part.map_or(0, |part| field_bytes(part.len()));
    let header = |(key, value): (&str, Option<&[u8]>)| field_bytes(field_bytes(key.len()) + optional(value));
    let headers: usize = record.headers.map(header).sum();
    field_bytes(NUMBERS_BYTES + optional(record.key) + optional(record.value) + headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, Codec, NewRecord, ProducerFields};

    const PLACE: Place<'static> = Place { topic: "t", partition: 0, stopping: false };
    const ROOM: Room = Room { asked_bytes: 1 << 20, hard_bytes: 4 << 20 };

    fn batch(base_offset: Offset, values: &[&[u8]], codec: Codec) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        for value in values {
            let headers = [("h", None), ("h", Some(&b"x"[..]))];
            let record = NewRecord { timestamp: 7, key: None, value: Some(value), headers: &headers };
            builder.append(&record).expect("fine");
        }
        let mut bytes = builder.build(codec, ProducerFields::NONE).expect("fine").to_vec();
        bytes[..8].copy_from_slice(&base_offset.to_be_bytes());
        bytes
    }

    fn slice(batches: &[Vec<u8>], next_offset: Offset) -> LogSlice {
        LogSlice { bytes: batches.concat().into(), next_offset, leader_epoch: Some(0) }
    }

    fn offsets(decoded: &Decoded) -> Vec<Offset> {
        decoded.records.iter().map(|record| record.offset).collect()
    }

    fn read(slice: &LogSlice, from: Offset, room: Room) -> Result<Decoded, Error> {
        decode(slice, from, room, &Budget::new(1 << 30), PLACE)
    }

    #[test]
    fn records_begin_at_exactly_the_asked_offset() {
        let slice = slice(&[batch(10, &[b"a", b"b"], Codec::None), batch(12, &[b"c"], Codec::Zstd)], 13);
        let decoded = read(&slice, 11, ROOM).expect("fine");
        assert_eq!(offsets(&decoded), [11, 12]);
        assert_eq!((decoded.next_offset, decoded.leader_epoch), (13, Some(0)));
        assert_eq!(decoded.records[1].value.as_deref(), Some(&b"c"[..]));
        assert_eq!(decoded.records[1].headers.len(), 2);
        assert_eq!(decoded.debits.len(), 1, "only what was unpacked takes memory of its own");
    }

    #[test]
    fn a_full_answer_says_where_to_read_on_and_always_has_a_record() {
        let values: Vec<&[u8]> = vec![&[0; 100]; 10];
        let slice = slice(&[batch(0, &values, Codec::Lz4)], 10);
        let room = Room { asked_bytes: 300, ..ROOM };
        let decoded = read(&slice, 0, room).expect("fine");
        assert_eq!((offsets(&decoded), decoded.next_offset), (vec![0, 1], 2));
        assert!(decoded.size_bytes <= 300);
        let decoded = read(&slice, 9, Room { asked_bytes: 1, ..ROOM }).expect("fine");
        assert_eq!((offsets(&decoded), decoded.next_offset), (vec![9], 10));
    }

    #[test]
    fn a_record_that_fits_no_message_points_to_the_other_form() {
        let large = vec![0u8; 5 << 20];
        let slice = slice(&[batch(0, &[b"a", &large], Codec::Zstd)], 2);
        assert_eq!(offsets(&read(&slice, 0, ROOM).expect("the first fits")), [0]);
        let error = read(&slice, 1, ROOM).expect_err("it fits no message");
        assert_eq!(error.kind, ErrorKind::RecordTooLarge);
        assert!(error.message.contains("BATCH"), "{error}");
    }

    #[test]
    fn damage_is_named_but_what_comes_before_it_is_given() {
        let mut bad = batch(12, &[b"c", b"d"], Codec::None);
        *bad.last_mut().expect("not empty") ^= 1;
        let slice = slice(&[batch(10, &[b"a", b"b"], Codec::None), bad], 14);
        let decoded = read(&slice, 10, ROOM).expect("the first batch is whole");
        assert_eq!((offsets(&decoded), decoded.next_offset), (vec![10, 11], 12));
        let error = read(&slice, 12, ROOM).expect_err("damaged");
        assert_eq!(error.kind, ErrorKind::DamagedRange);
        assert_eq!((&*error.metadata["first"], &*error.metadata["end"]), ("12", "14"));
    }

    #[test]
    fn gaps_and_control_batches_are_passed_over() {
        let mut control = batch(10, &[b"x"], Codec::None);
        control[22] |= 1 << 5;
        let crc = crc32c::crc32c(&control[21..]);
        control[17..21].copy_from_slice(&crc.to_be_bytes());
        let decoded = read(&slice(&[control], 15), 10, ROOM).expect("fine");
        assert!(decoded.records.is_empty());
        assert_eq!(decoded.next_offset, 15);
    }

    #[test]
    fn unpacking_takes_memory_from_the_budget() {
        let slice = slice(&[batch(0, &[&[0; 1000]], Codec::Gzip)], 1);
        let budget = Budget::new(3_000);
        let others = budget.try_debit(2_500).expect("there");
        assert_eq!(decode(&slice, 0, ROOM, &budget, PLACE).expect_err("too much").kind, ErrorKind::Throttled);
        drop(others);
        let decoded = decode(&slice, 0, ROOM, &budget, PLACE).expect("there is room");
        assert_eq!((decoded.debits.len(), budget.used_bytes() < 1_100), (1, true));
    }
}

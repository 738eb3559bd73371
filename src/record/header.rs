//! The header of a record batch: Kafka's record batch v2, byte for byte.
//!
//! All numbers are big-endian. Source: Kafka `DefaultRecordBatch`.
//!
//! | at | bytes | field | in the CRC | meaning |
//! |---:|---:|---|---|---|
//! | 0 | 8 | base offset | no | offset of the first record; set by the broker |
//! | 8 | 4 | batch length | no | bytes after this field: whole batch − 12 |
//! | 12 | 4 | leader epoch | no | set by the broker |
//! | 16 | 1 | magic | no | 2 |
//! | 17 | 4 | crc | – | CRC-32C of all bytes from 21 on |
//! | 21 | 2 | attributes | yes | bits 0–2 codec, 3 append time, 4 transactional, 5 control, 6 delete horizon |
//! | 23 | 4 | last offset delta | yes | last offset − base offset |
//! | 27 | 8 | base timestamp | yes | ms; records carry deltas to it |
//! | 35 | 8 | max timestamp | yes | ms |
//! | 43 | 8 | producer id | yes | −1: none |
//! | 51 | 2 | producer epoch | yes | −1: none |
//! | 53 | 4 | base sequence | yes | −1: none |
//! | 57 | 4 | record count | yes | |
//! | 61 | … | records | yes | one compressed stream when a codec is set |

use crate::base::{LeaderEpoch, Offset, Timestamp};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 61;
/// Bytes before those that the batch length counts.
pub const LOG_OVERHEAD_BYTES: usize = 12;
/// Position of the leader epoch.
pub const LEADER_EPOCH_AT: usize = 12;
/// Position of the magic byte.
pub const MAGIC_AT: usize = 16;
/// Position of the CRC.
pub const CRC_AT: usize = 17;
/// Position of the attributes: the first byte that the CRC covers.
pub const ATTRIBUTES_AT: usize = 21;
/// Position of the max timestamp.
pub const MAX_TIMESTAMP_AT: usize = 35;
/// The one magic byte that is understood.
pub const MAGIC: u8 = 2;

/// Attribute bits 0–2: the codec.
pub const CODEC_MASK: u16 = 0b111;
/// Attribute bit 3: timestamps are the broker's append time.
pub const APPEND_TIME_BIT: u16 = 1 << 3;
/// Attribute bit 4: part of a transaction.
pub const TRANSACTIONAL_BIT: u16 = 1 << 4;
/// Attribute bit 5: a control batch.
pub const CONTROL_BIT: u16 = 1 << 5;
/// Attribute bit 6: the base timestamp is a delete horizon.
pub const DELETE_HORIZON_BIT: u16 = 1 << 6;

/// The decoded header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Bytes after the length field.
    pub batch_length: i32,
    /// Leadership under which it was appended.
    pub leader_epoch: LeaderEpoch,
    /// Version of the format.
    pub magic: u8,
    /// CRC-32C as stored.
    pub crc: u32,
    /// Codec and flags.
    pub attributes: u16,
    /// Last offset − base offset.
    pub last_offset_delta: i32,
    /// Timestamp that the records' deltas count from.
    pub base_timestamp: Timestamp,
    /// Greatest timestamp.
    pub max_timestamp: Timestamp,
    /// −1: none.
    pub producer_id: i64,
    /// −1: none.
    pub producer_epoch: i16,
    /// Sequence of the first record; −1: none.
    pub base_sequence: i32,
    /// Number of records.
    pub record_count: i32,
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0u8; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

impl BatchHeader {
    /// Reads the 61 bytes at the front of `bytes`, whatever they say; `None` when there are fewer.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let b = bytes.get(..HEADER_BYTES)?;
        Some(Self {
            base_offset: i64::from_be_bytes(take(b, 0)),
            batch_length: i32::from_be_bytes(take(b, 8)),
            leader_epoch: i32::from_be_bytes(take(b, LEADER_EPOCH_AT)),
            magic: b[MAGIC_AT],
            crc: u32::from_be_bytes(take(b, CRC_AT)),
            attributes: u16::from_be_bytes(take(b, ATTRIBUTES_AT)),
            last_offset_delta: i32::from_be_bytes(take(b, 23)),
            base_timestamp: i64::from_be_bytes(take(b, 27)),
            max_timestamp: i64::from_be_bytes(take(b, MAX_TIMESTAMP_AT)),
            producer_id: i64::from_be_bytes(take(b, 43)),
            producer_epoch: i16::from_be_bytes(take(b, 51)),
            base_sequence: i32::from_be_bytes(take(b, 53)),
            record_count: i32::from_be_bytes(take(b, 57)),
        })
    }

    /// The 61 bytes.
    pub fn write(&self) -> [u8; HEADER_BYTES] {
        let mut b = [0u8; HEADER_BYTES];
        b[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        b[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        b[12..16].copy_from_slice(&self.leader_epoch.to_be_bytes());
        b[MAGIC_AT] = self.magic;
        b[17..21].copy_from_slice(&self.crc.to_be_bytes());
        b[21..23].copy_from_slice(&self.attributes.to_be_bytes());
        b[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        b[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        b[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        b[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        b[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        b[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        b[57..61].copy_from_slice(&self.record_count.to_be_bytes());
        b
    }

    /// Bytes of the whole batch, or `None` when the length field can't be true.
    pub fn total_bytes(&self) -> Option<usize> {
        let length = usize::try_from(self.batch_length).ok()?;
        (length >= HEADER_BYTES - LOG_OVERHEAD_BYTES).then_some(length + LOG_OVERHEAD_BYTES)
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> Offset {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// Sequence of the last record: 32-bit, wrapping from the greatest value to 0.
    pub fn last_sequence(&self) -> i32 {
        self.base_sequence.wrapping_add(self.last_offset_delta) & i32::MAX
    }

    /// Whether timestamps are the broker's append time.
    pub fn is_append_time(&self) -> bool {
        self.attributes & APPEND_TIME_BIT != 0
    }

    /// From when on its tombstones may go, in ms, once compaction has said so.
    pub fn delete_horizon(&self) -> Option<Timestamp> {
        (self.attributes & DELETE_HORIZON_BIT != 0).then_some(self.base_timestamp)
    }

    /// Whether it is part of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Whether it is a control batch.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// Whether an idempotent producer sent it.
    pub fn has_producer(&self) -> bool {
        self.producer_id >= 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_61_bytes_round_trip(bytes in proptest::collection::vec(any::<u8>(), HEADER_BYTES)) {
            let header = BatchHeader::read(&bytes).expect("long enough");
            prop_assert_eq!(&header.write()[..], &bytes[..]);
            prop_assert!(BatchHeader::read(&bytes[..HEADER_BYTES - 1]).is_none());
        }
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let mut header = BatchHeader::read(&[0u8; HEADER_BYTES]).expect("long enough");
        header.base_sequence = i32::MAX;
        header.last_offset_delta = 1;
        assert_eq!(header.last_sequence(), 0);
    }
}

//! What sealing a segment writes down, behind the entries of its offset index. 80 bytes, big-endian:
//!
//! | at | bytes | field |
//! |---:|---:|---|
//! | 0 | 8 | magic `WEIRSEAL` |
//! | 8 | 8 | length of the log file |
//! | 16 | 4 | number of index entries, the closing one included |
//! | 20 | 4 | CRC chain: CRC-32 of all interval CRCs in order |
//! | 24 | 8 | end offset: one past the last record |
//! | 32 | 8 | first append time, ms |
//! | 40 | 8 | last append time, ms |
//! | 48 | 8 | max timestamp, ms; −1 when the segment is empty |
//! | 56 | 8 | first offset with the max timestamp |
//! | 64 | 4 | leader epoch of the last batch; −1 when the segment is empty |
//! | 68 | 8 | 0: not compacted; else when its first tombstone may go, ms, the greatest number without one |
//! | 76 | 4 | CRC-32 of bytes 0 to 75 |
//!
//! The index is synced before the footer is written: a footer proves everything before it.

use crate::base::{LeaderEpoch, Offset, Timestamp};

/// Bytes of a footer.
pub const FOOTER_BYTES: usize = 80;

const MAGIC: &[u8; 8] = b"WEIRSEAL";

/// The facts of a sealed segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Footer {
    /// Length of the log file.
    pub log_bytes: u64,
    /// Number of index entries, the closing one included.
    pub entry_count: u32,
    /// CRC-32 of all interval CRCs in order.
    pub crc_chain: u32,
    /// One past the last record.
    pub end_offset: Offset,
    /// When its first batch was appended.
    pub first_append_ms: Timestamp,
    /// When its last batch was appended.
    pub last_append_ms: Timestamp,
    /// Greatest record timestamp, −1 when empty.
    pub max_timestamp: Timestamp,
    /// First offset with it.
    pub max_timestamp_offset: Offset,
    /// Leader epoch of the last batch, −1 when empty.
    pub last_epoch: LeaderEpoch,
    /// Set when compaction has written the segment and all of it was clean then: when the first of its tombstones may go, ms;
    /// `Timestamp::MAX` without one.
    pub cleaned: Option<Timestamp>,
}

impl Footer {
    /// The 80 bytes.
    pub fn write(&self) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0u8; FOOTER_BYTES];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.log_bytes.to_be_bytes());
        bytes[16..20].copy_from_slice(&self.entry_count.to_be_bytes());
        bytes[20..24].copy_from_slice(&self.crc_chain.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.end_offset.to_be_bytes());
        bytes[32..40].copy_from_slice(&self.first_append_ms.to_be_bytes());
        bytes[40..48].copy_from_slice(&self.last_append_ms.to_be_bytes());
        bytes[48..56].copy_from_slice(&self.max_timestamp.to_be_bytes());
        bytes[56..64].copy_from_slice(&self.max_timestamp_offset.to_be_bytes());
        bytes[64..68].copy_from_slice(&self.last_epoch.to_be_bytes());
        bytes[68..76].copy_from_slice(&self.cleaned.unwrap_or(0).to_be_bytes());
        let crc = crc32fast::hash(&bytes[..76]);
        bytes[76..80].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// Reads a footer; `None` when these are not the bytes of one.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let long =
            |at: usize| -> Option<i64> { Some(i64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?)) };
        let word =
            |at: usize| -> Option<u32> { Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?)) };
        let footer = Self {
            log_bytes: long(8)? as u64,
            entry_count: word(16)?,
            crc_chain: word(20)?,
            end_offset: long(24)?,
            first_append_ms: long(32)?,
            last_append_ms: long(40)?,
            max_timestamp: long(48)?,
            max_timestamp_offset: long(56)?,
            last_epoch: word(64)? as i32,
            cleaned: Some(long(68)?).filter(|cleaned| *cleaned != 0),
        };
        (footer.write()[..] == *bytes).then_some(footer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_round_trips_and_any_flipped_bit_is_found() {
        let footer = Footer {
            log_bytes: 1,
            entry_count: 2,
            crc_chain: 3,
            end_offset: 4,
            first_append_ms: 5,
            last_append_ms: 6,
            max_timestamp: 7,
            max_timestamp_offset: 8,
            last_epoch: -1,
            cleaned: None,
        };
        let cleaned = Footer { cleaned: Some(9), ..footer };
        assert_eq!(Footer::read(&cleaned.write()), Some(cleaned));
        let bytes = footer.write();
        assert_eq!(Footer::read(&bytes), Some(footer));
        for bit in 0..FOOTER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Footer::read(&flipped), None, "bit {bit}");
        }
    }
}

//! Walks the records of a batch without an allocation per record.
//!
//! A record, uncompressed. All numbers but the attributes are zig-zag varints ([`crate::base::varint`]); times are
//! 64-bit, everything else 32-bit. Source: Kafka `DefaultRecord`.
//!
//! | field | meaning |
//! |---|---|
//! | length | bytes of the record after this field |
//! | attributes | one byte, 0 |
//! | timestamp delta | ms to the batch's base timestamp |
//! | offset delta | to the batch's base offset |
//! | key length, key | −1: no key |
//! | value length, value | −1: no value (a tombstone) |
//! | header count | then that many headers |
//! | header key length, key | UTF-8, never absent |
//! | header value length, value | −1: no value |

use std::fmt;
use std::iter::FusedIterator;

use bytes::Bytes;

use super::batch::BatchError;
use super::header::BatchHeader;
use crate::base::varint::{read_varint, read_varlong};
use crate::base::{Offset, Timestamp};

/// Fewest bytes of one header: two lengths.
const RECORD_HEADER_BYTES_MIN: usize = 2;

/// What is wrong with one record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordFault {
    /// A number is cut short, longer than its type allows, or out of range.
    Number,
    /// The record's length is negative or reaches past the end of the batch.
    RecordLength {
        /// As it stands.
        length: i32,
        /// Bytes that are there.
        left_bytes: usize,
    },
    /// The record's length counts more bytes than its fields have.
    Unread {
        /// Bytes that belong to no field.
        bytes: usize,
    },
    /// The length of a key or value is below −1 (for a header's key: below 0) or reaches past the end of the record.
    FieldLength {
        /// As it stands.
        length: i32,
        /// Bytes that are there.
        left_bytes: usize,
    },
    /// The record's attributes are not 0.
    Attributes {
        /// As they stand.
        attributes: u8,
    },
    /// The number of headers is negative, more than the bytes can hold, or above the limit.
    HeaderCount {
        /// As it stands.
        count: i32,
    },
    /// The key of a header is not UTF-8.
    HeaderKeyNotUtf8,
    /// The key of a header is empty or holds a NUL.
    HeaderKeyName,
    /// The offset delta is out of order or above the batch's last one.
    OffsetDelta {
        /// As it stands.
        delta: i32,
    },
    /// Base timestamp + delta is not a 64-bit number.
    TimestampDelta {
        /// As it stands.
        delta: i64,
    },
}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number => write!(f, "a number is cut short or out of range"),
            Self::RecordLength { length, left_bytes } => {
                write!(f, "the record length is {length}, but {left_bytes} bytes are left")
            }
            Self::Unread { bytes } => write!(f, "{bytes} bytes follow the last field"),
            Self::FieldLength { length, left_bytes } => {
                write!(f, "a field length is {length}, but {left_bytes} bytes are left")
            }
            Self::Attributes { attributes } => write!(f, "the attributes are {attributes}, not 0"),
            Self::HeaderCount { count } => write!(f, "the header count {count} is out of range"),
            Self::HeaderKeyNotUtf8 => write!(f, "the key of a header is not UTF-8"),
            Self::HeaderKeyName => write!(f, "the key of a header is empty or holds a NUL"),
            Self::OffsetDelta { delta } => write!(f, "the offset delta {delta} is out of order"),
            Self::TimestampDelta { delta } => write!(f, "the timestamp delta {delta} overflows"),
        }
    }
}

/// One record as it stands in the bytes: nothing is added to the deltas yet.
pub(super) struct RawRecord<'a> {
    pub(super) attributes: u8,
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: HeadersView<'a>,
}

/// Reads the record at the front of `rest` and moves `rest` behind it. All lengths are checked; deltas, attributes
/// and limits are not.
pub(super) fn read_record<'a>(rest: &mut &'a [u8]) -> Result<RawRecord<'a>, RecordFault> {
    let length = read_varint(rest).ok_or(RecordFault::Number)?;
    let wrong = RecordFault::RecordLength { length, left_bytes: rest.len() };
    let (mut fields, behind) =
        usize::try_from(length).ok().and_then(|at| rest.split_at_checked(at)).ok_or(wrong)?;
    *rest = behind;
    let (attributes, after) = fields.split_first().ok_or(RecordFault::Number)?;
    fields = after;
    let record = RawRecord {
        attributes: *attributes,
        timestamp_delta: read_varlong(&mut fields).ok_or(RecordFault::Number)?,
        offset_delta: read_varint(&mut fields).ok_or(RecordFault::Number)?,
        key: read_field(&mut fields)?,
        value: read_field(&mut fields)?,
        headers: read_headers(&mut fields)?,
    };
    if !fields.is_empty() {
        return Err(RecordFault::Unread { bytes: fields.len() });
    }
    Ok(record)
}

/// Reads a length and as many bytes; −1 is "absent".
fn read_field<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, RecordFault> {
    let length = read_varint(rest).ok_or(RecordFault::Number)?;
    if length == -1 {
        return Ok(None);
    }
    let wrong = RecordFault::FieldLength { length, left_bytes: rest.len() };
    let (field, behind) =
        usize::try_from(length).ok().and_then(|at| rest.split_at_checked(at)).ok_or(wrong)?;
    *rest = behind;
    Ok(Some(field))
}

/// Reads one header.
fn read_header<'a>(rest: &mut &'a [u8]) -> Result<(&'a str, Option<&'a [u8]>), RecordFault> {
    let absent = RecordFault::FieldLength { length: -1, left_bytes: rest.len() };
    let key = read_field(rest)?.ok_or(absent)?;
    let key = std::str::from_utf8(key).map_err(|_| RecordFault::HeaderKeyNotUtf8)?;
    Ok((key, read_field(rest)?))
}

/// Walks the headers once, so that [`HeadersView`] can't fail later.
fn read_headers<'a>(rest: &mut &'a [u8]) -> Result<HeadersView<'a>, RecordFault> {
    let count = read_varint(rest).ok_or(RecordFault::Number)?;
    let wrong = RecordFault::HeaderCount { count };
    let left = usize::try_from(count).map_err(|_| wrong)?;
    if left > rest.len() / RECORD_HEADER_BYTES_MIN {
        return Err(wrong);
    }
    let all = *rest;
    for _ in 0..left {
        read_header(rest)?;
    }
    Ok(HeadersView { rest: &all[..all.len() - rest.len()], left })
}

/// The headers of one record, in their order; keys may come twice. An iterator over (key, value); value `None` is
/// "absent", which differs from empty.
#[derive(Clone, Copy, Debug)]
pub struct HeadersView<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Iterator for HeadersView<'a> {
    type Item = (&'a str, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(read_header(&mut self.rest).expect("read_headers has walked these bytes"))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for HeadersView<'_> {}
impl FusedIterator for HeadersView<'_> {}

/// One record, borrowed from its [`Records`].
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    /// Its offset.
    pub offset: Offset,
    /// Its time in ms: the producer's, or the broker's where the batch says append time.
    pub timestamp: Timestamp,
    /// `None`: no key, which differs from an empty one.
    pub key: Option<&'a [u8]>,
    /// `None`: no value, which differs from an empty one.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: HeadersView<'a>,
}

impl RecordView<'_> {
    /// Whether it says that its key has no value any more.
    pub fn is_tombstone(&self) -> bool {
        self.key.is_some() && self.value.is_none()
    }
}

/// The records of one batch, decompressed. A clone shares the bytes.
#[derive(Clone, Debug)]
pub struct Records {
    header: BatchHeader,
    bytes: Bytes,
}

impl Records {
    pub(super) fn new(header: BatchHeader, bytes: Bytes) -> Self {
        Self { header, bytes }
    }

    /// Walks the records in order. Cost: no allocation. The iterator ends after its first error.
    ///
    /// Errors: [`BatchError::Record`], and [`BatchError::UnreadBytes`] behind the last record.
    pub fn iter(&self) -> RecordIter<'_> {
        RecordIter { header: self.header, rest: &self.bytes, index: 0, delta_min: 0 }
    }

    /// The bytes of all records.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// A key or value of one of these records as `Bytes`, without a copy. It keeps the bytes of the whole batch alive.
    ///
    /// Panics: when `part` was not borrowed from these records.
    pub fn slice_ref(&self, part: &[u8]) -> Bytes {
        self.bytes.slice_ref(part)
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = Result<RecordView<'a>, BatchError>;
    type IntoIter = RecordIter<'a>;

    fn into_iter(self) -> RecordIter<'a> {
        self.iter()
    }
}

/// Iterator over the records of one batch; see [`Records::iter`].
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    header: BatchHeader,
    rest: &'a [u8],
    index: i32,
    delta_min: i32,
}

impl<'a> RecordIter<'a> {
    fn read(&mut self) -> Result<RecordView<'a>, RecordFault> {
        let raw = read_record(&mut self.rest)?;
        // Compaction leaves gaps between the deltas, so that they only rise.
        let delta = raw.offset_delta;
        if delta < self.delta_min || delta > self.header.last_offset_delta {
            return Err(RecordFault::OffsetDelta { delta });
        }
        self.delta_min = delta.saturating_add(1);
        let offset = self.header.base_offset.checked_add(i64::from(delta));
        Ok(RecordView {
            offset: offset.ok_or(RecordFault::OffsetDelta { delta })?,
            timestamp: timestamp_of(&self.header, &raw)?,
            key: raw.key,
            value: raw.value,
            headers: raw.headers,
        })
    }

    /// Bytes that are not walked yet.
    pub(super) fn left_bytes(&self) -> usize {
        self.rest.len()
    }

    fn stop(&mut self) {
        self.index = self.header.record_count;
        self.rest = &[];
    }
}

/// Time of a record in ms.
pub(super) fn timestamp_of(header: &BatchHeader, raw: &RawRecord<'_>) -> Result<Timestamp, RecordFault> {
    if header.is_append_time() {
        return Ok(header.max_timestamp);
    }
    let delta = raw.timestamp_delta;
    header.base_timestamp.checked_add(delta).ok_or(RecordFault::TimestampDelta { delta })
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<RecordView<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.index;
        if index >= self.header.record_count {
            let bytes = self.rest.len();
            self.stop();
            return (bytes > 0).then_some(Err(BatchError::UnreadBytes { bytes }));
        }
        self.index += 1;
        let record = self.read();
        if record.is_err() {
            self.stop();
        }
        Some(record.map_err(|fault| BatchError::Record { index, fault }))
    }
}

impl FusedIterator for RecordIter<'_> {}

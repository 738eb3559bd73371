//! Writes Kafka's primitive types.

use bytes::Bytes;

use crate::base::TopicId;

/// Bytes in the making.
#[derive(Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// What was written.
    pub(super) fn finish(self) -> Bytes {
        self.bytes.into()
    }

    pub(super) fn i8(&mut self, value: i8) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub(super) fn i16(&mut self, value: i16) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub(super) fn topic_id(&mut self, id: TopicId) {
        self.bytes.extend(id.0);
    }

    fn varint(&mut self, value: usize) {
        let mut rest = u32::try_from(value).expect("limits keep every length far below 4 GiB");
        while rest >= 0x80 {
            self.bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.bytes.push(rest as u8);
    }

    /// A string of the older form.
    pub(super) fn string(&mut self, text: &str) {
        self.i16(i16::try_from(text.len()).expect("names of groups, members and topics are short"));
        self.bytes.extend(text.as_bytes());
    }

    pub(super) fn compact_string(&mut self, text: &str) {
        self.varint(text.len() + 1);
        self.bytes.extend(text.as_bytes());
    }

    /// A compact string or null.
    pub(super) fn compact_nullable(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.compact_string(text),
            None => self.varint(0),
        }
    }

    /// The count of a compact array; its elements follow.
    pub(super) fn count(&mut self, count: usize) {
        self.varint(count + 1);
    }

    /// The tagged fields at the end of a structure, in ascending order of tags.
    pub(super) fn tags(&mut self, fields: &[(usize, Bytes)]) {
        debug_assert!(fields.is_sorted_by(|a, b| a.0 < b.0), "tags ascend");
        self.varint(fields.len());
        for (tag, bytes) in fields {
            self.varint(*tag);
            self.varint(bytes.len());
            self.bytes.extend(bytes);
        }
    }
}

/// The bytes of a field that is a number.
pub(super) fn number(value: i64) -> Bytes {
    Bytes::copy_from_slice(&value.to_be_bytes())
}

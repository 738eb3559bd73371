//! Reads Kafka's primitive types; everything is checked against what is left.

use std::sync::Arc;

use crate::base::TopicId;

/// A place in stored bytes. Each method gives `None` where the bytes are not of its kind; then the whole record is malformed.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether all was read.
    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    pub(super) fn i8(&mut self) -> Option<i8> {
        self.array().map(i8::from_be_bytes)
    }

    pub(super) fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    pub(super) fn topic_id(&mut self) -> Option<TopicId> {
        self.array().map(TopicId)
    }

    /// An unsigned varint of 32 bits: at most five bytes.
    fn varint(&mut self) -> Option<u32> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.array::<1>()?[0];
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0xf {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn text(&mut self, bytes: usize) -> Option<Arc<str>> {
        std::str::from_utf8(self.take(bytes)?).ok().map(Arc::from)
    }

    /// A string of the older form.
    pub(super) fn string(&mut self) -> Option<Arc<str>> {
        let bytes = self.i16()?;
        self.text(usize::try_from(bytes).ok()?)
    }

    /// A compact string that may be null.
    pub(super) fn compact_nullable(&mut self) -> Option<Option<Arc<str>>> {
        match self.varint()?.checked_sub(1) {
            None => Some(None),
            Some(bytes) => self.text(bytes as usize).map(Some),
        }
    }

    pub(super) fn compact_string(&mut self) -> Option<Arc<str>> {
        self.compact_nullable()?
    }

    /// A compact array; null counts as malformed. An element has at least one byte, so a count beyond the bytes fails at once.
    pub(super) fn list<T>(&mut self, mut element: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.varint()?.checked_sub(1)? as usize;
        if count > self.rest.len() {
            return None;
        }
        (0..count).map(|_| element(self)).collect()
    }

    /// The tagged fields at the end of a structure: each is shown with its bytes, which have to be read in full. Tags that `field`
    /// does not know it answers with `Some(false)`.
    pub(super) fn tags(&mut self, mut field: impl FnMut(u32, &mut Reader<'a>) -> Option<bool>) -> Option<()> {
        let mut last = None;
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            if last.is_some_and(|last| tag <= last) {
                return None;
            }
            last = Some(tag);
            let bytes = self.varint()? as usize;
            let mut inner = Reader::new(self.take(bytes)?);
            let known = field(tag, &mut inner)?;
            if known && !inner.is_at_end() {
                return None;
            }
        }
        Some(())
    }
}

//! A record to be sent.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::Timestamp;

/// Bytes that a record takes beside its key, value and headers, at most.
const OVERHEAD_BYTES: usize = 64;

/// A record to be sent.
///
/// ```
/// use weir::Record;
///
/// let record = Record::to("orders").key("u1").value("{}").header("source", "web").timestamp(1_767_268_801_000);
/// assert_eq!(record.partition, None, "the key chooses");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition; `None` lets the key choose, or turns when there is no key.
    pub partition: Option<i32>,
    /// `None`: no key, which differs from an empty one.
    pub key: Option<Bytes>,
    /// `None`: no value (a tombstone in a compacted topic), which differs from an empty one.
    pub value: Option<Bytes>,
    /// In order; keys may repeat but not be empty.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// In ms since 1970; `None` means the client's clock when the record is sent.
    pub timestamp: Option<Timestamp>,
}

impl Record {
    /// A record for a topic, without key and value.
    pub fn to(topic: impl Into<Arc<str>>) -> Self {
        Self {
            topic: topic.into(),
            partition: None,
            key: None,
            value: None,
            headers: Vec::new(),
            timestamp: None,
        }
    }

    /// Sets the key: records of one key go to one partition, in order.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the value.
    #[must_use]
    pub fn value(mut self, value: impl Into<Bytes>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push((key.into(), Some(value.into())));
        self
    }

    /// Names the partition, whatever the key.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Sets the timestamp in ms since 1970.
    #[must_use]
    pub fn timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// Bytes of key and value.
    pub(in crate::client) fn payload_bytes(&self) -> usize {
        let bytes_of = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        bytes_of(&self.key) + bytes_of(&self.value)
    }

    /// Memory that the record is counted with until it has its result.
    pub(in crate::client) fn memory_bytes(&self) -> usize {
        let headers = self.headers.iter();
        let of_headers: usize =
            headers.map(|(key, value)| key.len() + value.as_ref().map_or(0, Bytes::len) + 10).sum();
        self.payload_bytes() + of_headers + OVERHEAD_BYTES
    }
}

//! What a run needs of a system that keeps records. Every system gets the same generator and the same checks.

mod weir;

use std::time::Duration;

use bytes::Bytes;

use crate::base::{Error, Offset};
use crate::client::{Acks, Codec};

pub use weir::WeirDriver;

/// A system under test.
// WHY no Send: a run lives on one thread, as a client of it would.
#[allow(async_fn_in_trait)]
pub trait Driver {
    /// Writes records.
    type Writer: Writer;
    /// Reads records.
    type Reader: Reader;

    /// Its name as reports show it.
    fn name(&self) -> &'static str;

    /// The version that answers.
    async fn version(&self) -> Result<String, Error>;

    /// Makes a topic.
    async fn create(&self, topic: &str, partitions: i32, flush: Flush) -> Result<(), Error>;

    /// Removes a topic with its records.
    async fn delete(&self, topic: &str) -> Result<(), Error>;

    /// What follows the last record of each partition, by number.
    async fn ends(&self, topic: &str) -> Result<Vec<Offset>, Error>;

    /// Someone who writes, on a connection of its own.
    async fn writer(&self, topic: &str, options: &WriteOptions) -> Result<Self::Writer, Error>;

    /// Someone who reads every partition from these offsets on, on a connection of its own.
    async fn reader(&self, topic: &str, from: &[Offset]) -> Result<Self::Reader, Error>;
}

/// Writes records of one topic.
#[allow(async_fn_in_trait)]
pub trait Writer {
    /// Ends when the record is acknowledged, or has failed.
    type Ack: Future<Output = Result<(), Error>> + Unpin;

    /// Hands a record over; waits while too many are under way. Whoever is not interested drops the answer.
    async fn send(&mut self, partition: i32, value: Bytes) -> Result<Self::Ack, Error>;

    /// Records that were acknowledged so far.
    fn acknowledged(&self) -> u64;

    /// Waits for what is under way. Returns how many records were acknowledged in all.
    ///
    /// Errors: a record failed.
    async fn close(self) -> Result<u64, Error>;
}

/// Reads records of one topic.
#[allow(async_fn_in_trait)]
pub trait Reader {
    /// Waits for records and hands on those that are there, at least one, with partition, offset and value.
    async fn take(&mut self, each: &mut impl FnMut(i32, Offset, &[u8])) -> Result<(), Error>;
}

/// How safe a record of a topic is when it is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flush {
    /// On the disk.
    Ack,
    /// In the memory of the operating system.
    Os,
}

impl Flush {
    /// As Weir's topic key `flush` writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::Os => "os",
        }
    }
}

/// How a writer goes about it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct WriteOptions {
    /// When a record counts as written.
    pub acks: Acks,
    /// Largest batch in bytes.
    pub batch_bytes: usize,
    /// How long a batch waits for more records.
    pub linger: Duration,
    /// How batches are compressed.
    pub codec: Codec,
}

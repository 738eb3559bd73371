//! Options of a producer.

use std::time::Duration;

use super::super::handle::Parts;
use super::super::types::Acks;
use super::Producer;
use crate::base::limits::BATCH_BYTES_MAX;
use crate::base::size::print_bytes;
use crate::base::{Error, ErrorKind};
use crate::record::{Codec, HEADER_BYTES};

/// A record that has no result after this long fails.
const DELIVERY_TIMEOUT_DEFAULT: Duration = Duration::from_secs(120);
/// Size at which a batch is closed: larger ones gain nothing measurable.
const BATCH_BYTES_DEFAULT: usize = 256 << 10;
/// Records without result may take this much memory.
const BUFFER_MEMORY_DEFAULT: usize = 32 << 20;
/// Smallest `batch_bytes`: a header and a small record.
const BATCH_BYTES_MIN: usize = HEADER_BYTES + 64;
/// Largest `buffer_memory`: what a count of 32 bits holds.
const BUFFER_MEMORY_MAX: usize = u32::MAX as usize;

/// What a producer was told.
#[derive(Clone, Debug)]
pub(in crate::client) struct Options {
    pub(in crate::client) acks: Acks,
    pub(in crate::client) linger: Duration,
    pub(in crate::client) batch_bytes: usize,
    pub(in crate::client) codec: Codec,
    pub(in crate::client) delivery_timeout: Duration,
    pub(in crate::client) buffer_memory: usize,
    pub(in crate::client) idempotent: bool,
}

impl Options {
    /// Sequences need answers.
    pub(in crate::client) fn is_sequenced(&self) -> bool {
        self.idempotent && self.acks != Acks::None
    }
}

/// Sets a producer up; made by [`crate::client::Client::producer`].
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// use std::time::Duration;
/// use weir::client::Codec;
///
/// let producer = client
///     .producer()
///     .linger(Duration::from_millis(5))
///     .compression(Codec::Zstd)
///     .delivery_timeout(Duration::from_secs(30))
///     .build()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "there is no producer before build()"]
pub struct ProducerBuilder {
    parts: Parts,
    options: Options,
}

impl ProducerBuilder {
    pub(in crate::client) fn new(parts: Parts) -> Self {
        let options = Options {
            acks: Acks::All,
            linger: Duration::ZERO,
            batch_bytes: BATCH_BYTES_DEFAULT,
            codec: Codec::None,
            delivery_timeout: DELIVERY_TIMEOUT_DEFAULT,
            buffer_memory: BUFFER_MEMORY_DEFAULT,
            idempotent: true,
        };
        Self { parts, options }
    }

    /// When a record counts as delivered; `Acks::All` unless told.
    pub fn acks(mut self, acks: Acks) -> Self {
        self.options.acks = acks;
        self
    }

    /// How long a batch waits for more records; zero unless told. With zero a batch goes when the connection is free,
    /// so that records sent in a burst share batches anyway.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.options.linger = linger;
        self
    }

    /// Size in bytes, before compression, at which a batch goes without waiting longer; 256 KiB unless told. A topic's
    /// `max.message.bytes` holds as well. One larger record is a batch of its own.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.options.batch_bytes = bytes;
        self
    }

    /// How batches are compressed; not at all unless told.
    pub fn compression(mut self, codec: Codec) -> Self {
        self.options.codec = codec;
        self
    }

    /// How long after `send` a record without result fails; 120 s unless told.
    pub fn delivery_timeout(mut self, timeout: Duration) -> Self {
        self.options.delivery_timeout = timeout;
        self
    }

    /// Bytes that records without result may take; `send` waits when they are used up. 32 MiB unless told.
    pub fn buffer_memory(mut self, bytes: usize) -> Self {
        self.options.buffer_memory = bytes;
        self
    }

    /// Whether a retry can neither store a record twice nor change the order; true unless told. Without it a record
    /// may be stored twice after a lost connection, and one batch of a partition is on its way at a time. Has no
    /// meaning with `Acks::None`, where nothing is tried again.
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.options.idempotent = idempotent;
        self
    }

    /// The producer. It starts a task on the tokio runtime around it; nothing is sent before the first record.
    ///
    /// Errors: INVALID_REQUEST when a size is out of range.
    pub async fn build(self) -> Result<Producer, Error> {
        let Options { batch_bytes, buffer_memory, .. } = self.options;
        check("batch_bytes", batch_bytes, BATCH_BYTES_MIN, BATCH_BYTES_MAX)?;
        check("buffer_memory", buffer_memory, batch_bytes, BUFFER_MEMORY_MAX)?;
        Ok(Producer::start(self.parts, self.options))
    }
}

fn check(name: &'static str, bytes: usize, min: usize, max: usize) -> Result<(), Error> {
    if (min..=max).contains(&bytes) {
        return Ok(());
    }
    let print = |bytes: usize| print_bytes(bytes as u64);
    let message = format!("{name} is {}; give {} to {}", print(bytes), print(min), print(max));
    Err(Error::new(ErrorKind::InvalidRequest, message).with("field", name))
}

//! Weir through its own client library.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;

use super::{Driver, Flush, Reader, WriteOptions, Writer};
use crate::base::{Error, ErrorKind, Offset};
use crate::client::{Client, Consumer, Delivery, Producer, Record, Start};

/// Records without result may take this much memory: enough to hold whole batches of the largest size on the way.
const BUFFER_MEMORY: usize = 64 << 20;
/// Records that are handed on at once at most, so that others get their turn.
const TAKEN_MAX: usize = 4_096;

/// Connects to one broker.
#[derive(Clone, Debug)]
pub struct WeirDriver {
    address: String,
    timeout: Duration,
}

/// Writes on a producer of its own.
pub struct WeirWriter {
    producer: Producer,
    topic: Arc<str>,
}

/// Reads on a consumer of its own.
pub struct WeirReader(Consumer);

/// The answer to one record.
pub struct WeirAck(Delivery);

impl WeirDriver {
    /// For the broker at `address`; a connection or request may take `timeout`.
    pub fn new(address: impl Into<String>, timeout: Duration) -> Self {
        Self { address: address.into(), timeout }
    }

    async fn client(&self) -> Result<Client, Error> {
        let builder = Client::builder(&self.address);
        builder.connect_timeout(self.timeout).request_timeout(self.timeout).connect().await
    }
}

impl Driver for WeirDriver {
    type Writer = WeirWriter;
    type Reader = WeirReader;

    fn name(&self) -> &'static str {
        "weir"
    }

    async fn version(&self) -> Result<String, Error> {
        Ok(self.client().await?.admin().cluster().await?.version)
    }

    async fn create(&self, topic: &str, partitions: i32, flush: Flush) -> Result<(), Error> {
        let client = self.client().await?;
        let topic = client.admin().create_topic(topic).partitions(partitions).config("flush", flush.name());
        topic.await.map(drop)
    }

    async fn delete(&self, topic: &str) -> Result<(), Error> {
        self.client().await?.admin().delete_topic(topic).await.map(drop)
    }

    async fn ends(&self, topic: &str) -> Result<Vec<Offset>, Error> {
        let described = self.client().await?.admin().describe_topic(topic).await?;
        Ok(described.partitions.iter().map(|partition| partition.log_end_offset).collect())
    }

    async fn writer(&self, topic: &str, options: &WriteOptions) -> Result<WeirWriter, Error> {
        let producer = self.client().await?.producer();
        let producer = producer.acks(options.acks).batch_bytes(options.batch_bytes).linger(options.linger);
        let producer = producer.compression(options.codec).buffer_memory(BUFFER_MEMORY);
        let producer = producer.delivery_timeout(self.timeout).build().await?;
        Ok(WeirWriter { producer, topic: topic.into() })
    }

    async fn reader(&self, topic: &str, from: &[Offset]) -> Result<WeirReader, Error> {
        let mut builder = self.client().await?.consumer().topic(topic);
        for (partition, offset) in (0..).zip(from) {
            builder = builder.start_at(topic, partition, Start::Offset(*offset));
        }
        builder.build().await.map(WeirReader)
    }
}

impl Writer for WeirWriter {
    type Ack = WeirAck;

    async fn send(&mut self, partition: i32, value: Bytes) -> Result<WeirAck, Error> {
        let record = Record::to(self.topic.clone()).partition(partition).value(value);
        self.producer.send(record).await.map(WeirAck)
    }

    fn acknowledged(&self) -> u64 {
        self.producer.report().delivered
    }

    async fn close(self) -> Result<u64, Error> {
        let report = self.producer.close().await;
        if report.failed > 0 {
            let message =
                format!("{} records were not acknowledged; look at the broker's log", report.failed);
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        Ok(report.delivered)
    }
}

impl Future for WeirAck {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(Pin::new(&mut self.0).poll(context)).map(drop))
    }
}

impl Reader for WeirReader {
    async fn take(&mut self, each: &mut impl FnMut(i32, Offset, &[u8])) -> Result<(), Error> {
        let mut taken = 0;
        poll_fn(|context| {
            while taken < TAKEN_MAX {
                match Pin::new(&mut self.0).poll_next(context) {
                    Poll::Ready(Some(record)) => {
                        let record = record?;
                        each(record.partition, record.offset, record.value.as_deref().unwrap_or_default());
                        taken += 1;
                    }
                    Poll::Ready(None) => return Poll::Ready(Err(stands_still())),
                    Poll::Pending if taken == 0 => return Poll::Pending,
                    Poll::Pending => break,
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }
}

fn stands_still() -> Error {
    Error::new(ErrorKind::Unavailable, "the consumer stands still; look at the broker's log")
}

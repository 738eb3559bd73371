//! [`Client`]: where everything begins.

use std::sync::Arc;
use std::time::Duration;

use super::admin::Admin;
use super::connection::{Connection, Timeouts};
use super::consumer::ConsumerBuilder;
use super::metadata::Metadata;
use super::producer::ProducerBuilder;
use crate::base::{Error, ErrorKind};
use crate::env::{Clock, RealClock, Rng};

/// How long opening a connection may take.
const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// How long a request may take. Creating a topic of many partitions on a slow disk takes seconds.
const REQUEST_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// A client of one broker. Cheap to clone; all clones share one connection and what is known of topics.
///
/// ```no_run
/// # async fn example() -> Result<(), weir::Error> {
/// use weir::{Acks, Client, Record};
///
/// let client = Client::connect("weir://127.0.0.1:7070").await?;
/// client.admin().create_topic("orders").partitions(6).config("retention.ms", "7d").await?;
/// let producer = client.producer().acks(Acks::All).build().await?;
/// let delivery = producer.send(Record::to("orders").key("u1").value("hi")).await?;
/// let stored = delivery.await?;
/// println!("{}/{} at {}", stored.topic, stored.partition, stored.offset);
/// producer.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    parts: Parts,
}

/// What producers, consumers and admins share.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) connection: Connection,
    pub(super) metadata: Metadata,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rng: Arc<Rng>,
}

impl Client {
    /// A client of the broker at `weir://host:port` or `host:port` (port 7070 when none is given), with the default
    /// time limits; of several addresses, with commas between them, the first one that takes the connection. It is opened by
    /// the first request, and again by the next one after it was lost.
    ///
    /// Errors: INVALID_REQUEST when an address can't be read.
    pub async fn connect(address: &str) -> Result<Self, Error> {
        Self::builder(address).connect().await
    }

    /// The same with other time limits.
    pub fn builder(address: &str) -> ClientBuilder {
        ClientBuilder {
            address: address.to_owned(),
            timeouts: Timeouts { connect: CONNECT_TIMEOUT_DEFAULT, request: REQUEST_TIMEOUT_DEFAULT },
            env: None,
        }
    }

    /// Administers topics and groups.
    pub fn admin(&self) -> Admin {
        Admin::new(self.parts.connection.clone(), self.parts.metadata.clone())
    }

    /// Builds a producer.
    pub fn producer(&self) -> ProducerBuilder {
        ProducerBuilder::new(self.parts.clone())
    }

    /// Builds a consumer: by itself, or with [`ConsumerBuilder::group`] as a member of a group.
    pub fn consumer(&self) -> ConsumerBuilder {
        ConsumerBuilder::new(self.parts.clone())
    }

    /// Host and port of the broker.
    pub fn address(&self) -> &str {
        self.parts.connection.address()
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("address", &self.address()).finish_non_exhaustive()
    }
}

/// Sets a client up; made by [`Client::builder`].
///
/// ```no_run
/// # async fn example() -> Result<(), weir::Error> {
/// use std::time::Duration;
///
/// let client = weir::Client::builder("weir://127.0.0.1:7070")
///     .connect_timeout(Duration::from_secs(1))
///     .request_timeout(Duration::from_secs(10))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is connected before connect()"]
pub struct ClientBuilder {
    address: String,
    timeouts: Timeouts,
    env: Option<(Arc<dyn Clock>, Arc<Rng>)>,
}

impl ClientBuilder {
    /// How long opening a connection may take; 5 s unless told.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.connect = timeout;
        self
    }

    /// How long one request may take; 30 s unless told.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.request = timeout;
        self
    }

    /// Takes clock and random numbers from the caller instead of the machine.
    pub fn env(mut self, clock: Arc<dyn Clock>, rng: Arc<Rng>) -> Self {
        self.env = Some((clock, rng));
        self
    }

    /// The client; nothing is sent yet.
    ///
    /// Errors: INVALID_REQUEST when the address can't be read.
    pub async fn connect(self) -> Result<Client, Error> {
        let (clock, rng) = match self.env {
            Some(env) => env,
            None => (Arc::new(RealClock::new()) as Arc<dyn Clock>, Arc::new(os_rng()?)),
        };
        let connection = Connection::new(&self.address, self.timeouts, clock.clone())?;
        let metadata = Metadata::new(connection.clone(), clock.clone());
        Ok(Client { parts: Parts { connection, metadata, clock, rng } })
    }
}

fn os_rng() -> Result<Rng, Error> {
    Rng::from_os().map_err(|error| {
        Error::new(ErrorKind::Internal, format!("the operating system gives no random numbers: {error}"))
    })
}

//! A whole broker in this process, on a folder of the real disk and behind a real socket.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use weir::Client;
use weir::api::{Serving, serve};
use weir::broker::Broker;
use weir::client::{ConsumerRecord, Event, Start};
use weir::config::{BrokerSettings, Machine};
use weir::env::{Disk, Env, RealClock, RealDisk, Rng};

const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// A broker that serves until [`Whole::stop`].
pub(crate) struct Whole {
    broker: Arc<Broker>,
    address: String,
    close: oneshot::Sender<()>,
    door: JoinHandle<std::io::Result<Serving>>,
    groups: JoinHandle<()>,
}

impl Whole {
    /// Starts a broker on `folder` and a free port.
    pub(crate) async fn start(folder: &Path) -> Self {
        Self::start_at(folder, "127.0.0.1:0").await
    }

    /// The same at an address, such as that of a broker that was stopped.
    pub(crate) async fn start_at(folder: &Path, address: &str) -> Self {
        Self::start_on(Arc::new(RealDisk::new()), folder, address).await
    }

    /// The same on another disk.
    pub(crate) async fn start_on(disk: Arc<dyn Disk>, folder: &Path, address: &str) -> Self {
        let env = Env { disk, clock: Arc::new(RealClock::new()), rng: Arc::new(Rng::seeded(7)) };
        let machine = Machine { memory_bytes: 1 << 30, cores: 1, descriptors_max: 1024 };
        let mut settings = BrokerSettings::defaults(&machine);
        settings.data_dir = folder.to_owned();
        let broker = Broker::start(env, settings).await.unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (close, closed) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = closed.await;
        };
        let door = tokio::spawn(serve(broker.clone(), listener, shutdown, STOP_DEADLINE));
        let groups = tokio::spawn(broker.clone().look_after_groups());
        Self { broker, address, close, door, groups }
    }

    /// The broker itself.
    pub(crate) fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The same for the generated clients.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The client library.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.address).await.unwrap()
    }

    /// Stops it cleanly. Before: the clients are dropped.
    pub(crate) async fn stop(self) {
        self.close.send(()).unwrap();
        assert_eq!(self.door.await.unwrap().unwrap(), Serving::Drained);
        self.groups.abort();
        assert!(self.broker.stop(STOP_DEADLINE).await, "stops cleanly");
    }
}

/// Every record that a topic holds, partition by partition in the order of offsets.
pub(crate) async fn read_all(client: &Client, topic: &str) -> Vec<ConsumerRecord> {
    let partitions = client.admin().describe_topic(topic).await.unwrap().partitions;
    let ends = partitions.iter().map(|partition| partition.high_watermark).collect::<Vec<_>>();
    let mut consumer = client.consumer().topic(topic).start(Start::Beginning).build().await.unwrap();
    let mut records = Vec::new();
    let reached = |consumer: &weir::client::Consumer| {
        (0..).zip(&ends).all(|(partition, end)| consumer.position(topic, partition) >= Some(*end))
    };
    while !reached(&consumer) {
        match consumer.next_event().await.unwrap() {
            Event::Record(record) => records.push(record),
            Event::CaughtUp { .. } => {}
            Event::Error(error) => panic!("{error}"),
        }
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}

//! Accepts connections, deals them to shards, and ends serving in order.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::arrival::Accepted;
use super::door::Door;
use super::shard;
use super::windows::WindowGate;
use crate::broker::Broker;
use crate::env::rule::Rule;
use crate::env::threads;
use crate::metrics::Refusal;

/// Pause after an accept that failed, such as for want of descriptors, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How serving ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Serving {
    /// Every connection was drained.
    Drained,
    /// The deadline passed with requests unanswered; their connections were cut or are left to the end of the runtime.
    CutOff,
}

/// Serves the broker on `listener` until `shutdown` resolves or the broker stops by itself. Then no connection is
/// accepted, parked requests are answered, streams end, and connections have `deadline` to drain. The broker's own stop
/// comes after.
///
/// Errors: a shard can't be started.
pub async fn serve(
    broker: Arc<Broker>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
    deadline: Duration,
) -> io::Result<Serving> {
    let (stop, stopping) = watch::channel(false);
    let door = Door { broker: broker.clone(), stopping };
    let mut shards = Shards::start(&door, broker.settings().shards)?;
    let own_shard = shards.own.take();
    let draining = async {
        if let Some(connections) = own_shard {
            shard::serve(door, connections).await;
        }
    };
    let mut draining = std::pin::pin!(draining.fuse());
    let mut broker_stops = broker.stopping();
    tokio::select! {
        () = shutdown => {}
        _ = broker_stops.wait_for(|stops| *stops) => {}
        () = accept(&broker, &listener, &shards.queues) => {}
        () = &mut draining, if shards.threads.is_empty() => {}
    }
    drop(listener);
    stop.send_replace(true);
    let drained = async {
        draining.await;
        shards.drained().await;
    };
    tokio::select! {
        () = drained => Ok(Serving::Drained),
        () = broker.env().clock.sleep(deadline), if Rule::KeepDeadline.holds() => Ok(Serving::CutOff),
    }
}

/// Accepts for ever. Above `max.connections`, without descriptors to spare, or without memory for what it may send, a connection is closed at once.
async fn accept(broker: &Broker, listener: &TcpListener, queues: &[mpsc::Sender<Accepted>]) {
    let gate = WindowGate::new(broker.budget().clone());
    let most = broker.connections_max().min(Semaphore::MAX_PERMITS);
    let places = Arc::new(Semaphore::new(most));
    let mut turns = queues.iter().cycle();
    loop {
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                broker.env().clock.sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            broker.counters().refused(Refusal::Connections).increment();
            tracing::warn!(
                most,
                "a connection was refused: no more fit max.connections and the limit of open files"
            );
            continue;
        };
        let Some(admission) = gate.admit() else {
            broker.counters().refused(Refusal::Memory).increment();
            tracing::warn!("a connection was refused: memory.bytes is used up");
            continue;
        };
        let accepted = Accepted::new(socket, place, admission);
        let (Ok(accepted), Some(shard)) = (accepted, turns.next()) else { continue };
        if shard.send(accepted).await.is_err() {
            return;
        }
    }
}

/// Where connections are served: here when there is one shard, else each on a thread of its own.
struct Shards {
    queues: Vec<mpsc::Sender<Accepted>>,
    own: Option<mpsc::Receiver<Accepted>>,
    threads: Vec<oneshot::Receiver<()>>,
    /// Dropped when nobody waits for the shards any more: they end at once then.
    _cut: watch::Sender<()>,
}

impl Shards {
    fn start(door: &Door, count: usize) -> io::Result<Self> {
        let (cut, cut_off) = watch::channel(());
        let (queues, mut ends): (Vec<_>, Vec<_>) =
            (0..count.max(1)).map(|_| mpsc::channel(shard::DEALT_MAX)).unzip();
        if ends.len() == 1 {
            return Ok(Self { queues, own: ends.pop(), threads: Vec::new(), _cut: cut });
        }
        let threads = ends
            .into_iter()
            .enumerate()
            .map(|(index, connections)| start_shard(index, door.clone(), connections, cut_off.clone()));
        Ok(Self { queues, own: None, threads: threads.collect::<io::Result<_>>()?, _cut: cut })
    }

    async fn drained(&mut self) {
        for thread in &mut self.threads {
            // A shard that is gone without a word has nothing left to drain.
            let _ = thread.await;
        }
    }
}

fn start_shard(
    index: usize,
    door: Door,
    connections: mpsc::Receiver<Accepted>,
    mut cut_off: watch::Receiver<()>,
) -> io::Result<oneshot::Receiver<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (done, drained) = oneshot::channel();
    threads::spawn(&format!("weir-shard-{index}"), move || {
        runtime.block_on(async {
            tokio::select! {
                () = shard::serve(door, connections) => {}
                // Nothing is ever sent: this resolves when the sender is dropped.
                _ = cut_off.changed() => {}
            }
        });
        // What waits for the disk is not worth waiting for here: the broker's stop closes the logs.
        runtime.shutdown_background();
        let _ = done.send(());
    })?;
    Ok(drained)
}

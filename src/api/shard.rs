//! What one shard serves: each connection that is dealt to it goes to the door for which its first bytes ask.

use futures_util::future::join;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::arrival::{Accepted, Arrived, stopped};
use super::door::Door;
use super::windows::WIDE;
use super::{grpc, http};
use crate::metrics::Protocol;

/// Accepted connections that wait for their shard to take them.
pub(super) const DEALT_MAX: usize = 128;

/// Connections that speak gRPC, for the servers of one shard. WHY two: a server gives the same windows to all its connections.
pub struct Connections {
    /// Those with wide windows.
    pub wide: mpsc::Receiver<Arrived>,
    /// Those with narrow windows.
    pub narrow: mpsc::Receiver<Arrived>,
}

#[derive(Clone)]
struct Queues {
    wide: mpsc::Sender<Arrived>,
    narrow: mpsc::Sender<Arrived>,
}

impl Queues {
    fn new() -> (Self, Connections) {
        let (wide, wide_end) = mpsc::channel(DEALT_MAX);
        let (narrow, narrow_end) = mpsc::channel(DEALT_MAX);
        (Self { wide, narrow }, Connections { wide: wide_end, narrow: narrow_end })
    }

    fn of(&self, arrived: &Arrived) -> &mpsc::Sender<Arrived> {
        if arrived.windows() == WIDE { &self.wide } else { &self.narrow }
    }
}

/// Serves connections until the door stops and all of them are drained. Requests that began are answered.
///
/// Cost of a stop: as long as the slowest client takes to read its answers; bound it from outside.
pub async fn serve(door: Door, accepted: mpsc::Receiver<Accepted>) {
    let (queues, connections) = Queues::new();
    join(grpc::serve(door.clone(), connections), deal(door, accepted, queues)).await;
}

async fn deal(door: Door, mut accepted: mpsc::Receiver<Accepted>, queues: Queues) {
    let mut open = JoinSet::new();
    let mut stop = std::pin::pin!(stopped(door.stopping.clone()));
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(_) = open.join_next(), if !open.is_empty() => {}
            next = accepted.recv() => match next {
                Some(next) => {
                    open.spawn(attend(door.clone(), next, queues.clone()));
                }
                None => break,
            },
        }
    }
    drop(queues);
    while open.join_next().await.is_some() {}
}

/// Finds out what a connection speaks and hands it over; HTTP/1.1 is served here.
async fn attend(door: Door, accepted: Accepted, queues: Queues) {
    let clock = door.broker.env().clock.clone();
    let mut arrived = match accepted.arrive(&*clock) {
        Ok(arrived) => arrived,
        Err(error) => return tracing::warn!(%error, "a connection could not be served"),
    };
    let spoken = tokio::select! {
        spoken = arrived.greet(&*clock, door.broker.counters()) => spoken,
        // A peer that has not begun to speak has asked for nothing.
        () = stopped(door.stopping.clone()) => return,
    };
    match spoken {
        Ok(Protocol::Grpc) => {
            // Without its server it is closed.
            let _ = queues.of(&arrived).send(arrived).await;
        }
        Ok(Protocol::Http) => http::serve(door, arrived.into_http()).await,
        Err(error) => tracing::debug!(%error, "a connection ended before it said what it speaks"),
    }
}

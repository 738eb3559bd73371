//! Parks a reader until there is more to read.

use std::pin::Pin;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;

use crate::base::Offset;
use crate::env::clock::Sleep;
use crate::log::AppendError;
use crate::replica::Partition;

/// Why a parked reader goes on.
#[derive(Debug)]
pub enum Wake {
    /// A mark has moved.
    More,
    /// The log with this index went offline or was closed.
    Broken(usize, AppendError),
    /// The time is over.
    TimeUp,
    /// The broker stops.
    Stopping,
}

/// Waits until the high watermark of one of `places` is at least the offset beside it, the time is over, or the broker
/// stops.
///
/// Cost: one allocation for each place; no polling while nothing happens.
pub async fn pause<'a>(
    places: impl Iterator<Item = (&'a Partition, Offset)>,
    deadline: Option<&mut Sleep>,
    stopping: &mut watch::Receiver<bool>,
) -> Wake {
    let mut marks: FuturesUnordered<_> = places
        .enumerate()
        .map(|(index, (partition, at_least))| {
            let mark = partition.readable(at_least);
            async move { (index, mark.await) }
        })
        .collect();
    tokio::select! {
        biased;
        // A broker that went away without a word has stopped.
        _ = stopping.wait_for(|stopping| *stopping) => Wake::Stopping,
        Some((index, mark)) = marks.next() => match mark {
            Ok(_) => Wake::More,
            Err(error) => Wake::Broken(index, error),
        },
        () = over(deadline) => Wake::TimeUp,
    }
}

async fn over(deadline: Option<&mut Sleep>) {
    match deadline {
        Some(sleep) => Pin::new(sleep).await,
        None => std::future::pending().await,
    }
}

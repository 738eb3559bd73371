//! Many records at a time, in order for each key.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::super::types::ConsumerRecord;
use super::GroupConsumer;
use super::event::GroupEvent;
use super::giving::Given;
use super::lanes::Lanes;
use super::state::Ticket;
use crate::base::{Error, ErrorKind, Offset};

/// Records that wait for each that is worked on: enough that other keys are found behind a busy one.
const WAITING_PER_RUNNING: usize = 16;

/// What has to keep its order: a key of a topic; a record without key stands alone.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Lane {
    Key(Arc<str>, Bytes),
    Alone(Arc<str>, i32, Offset),
}

impl Lane {
    fn of(record: &ConsumerRecord) -> Self {
        match &record.key {
            Some(key) => Self::Key(record.topic.clone(), key.clone()),
            None => Self::Alone(record.topic.clone(), record.partition, record.offset),
        }
    }
}

impl GroupConsumer {
    /// Works on up to `parallel` records at a time, those of one key one after the other, until `work` fails or another takes the
    /// member's place. Each partition is committed up to its first unfinished record. Records of a partition that was given up meanwhile
    /// are left to its next owner, those that were begun are finished first.
    ///
    /// Passing errors of the group (a lost connection, a member given up and joined anew) are no end. Dropping the future leaves the group
    /// without a commit, as dropping the consumer does; [`GroupConsumer::run_by_key_until`] ends in good order.
    ///
    /// ```no_run
    /// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
    /// // 64 users at a time; what one user did is worked on in the order in which it was done.
    /// let consumer = client.consumer().group("shop").topic("activity").build().await?;
    /// let work = |record: weir::client::ConsumerRecord| async move {
    ///     println!("{:?} {:?}", record.key, record.value);
    ///     Ok::<(), weir::Error>(())
    /// };
    /// // Until Ctrl-C, which finishes and commits what was begun.
    /// let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    /// consumer.run_by_key_until(64, work, stop).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Errors: that of `work`, after the records in work are finished and committed; DAMAGED_RANGE, DIVERGED, OFFSET_OUT_OF_RANGE;
    /// MEMBER_FENCED; INVALID_REQUEST for a consumer that commits by hand or before processing.
    pub async fn run_by_key<F, Fut, E>(self, parallel: usize, work: F) -> Result<(), E>
    where
        F: FnMut(ConsumerRecord) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: From<Error>,
    {
        self.run_by_key_until(parallel, work, std::future::pending()).await
    }

    /// The same until `stop` resolves: then what was begun is finished and committed, and the member leaves.
    ///
    /// Errors: as [`GroupConsumer::run_by_key`], and TIMED_OUT as [`GroupConsumer::close`].
    pub async fn run_by_key_until<F, Fut, E>(
        mut self,
        parallel: usize,
        mut work: F,
        stop: impl Future<Output = ()>,
    ) -> Result<(), E>
    where
        F: FnMut(ConsumerRecord) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: From<Error>,
    {
        self.go_parallel()?;
        let mut lanes: Lanes<Lane, (ConsumerRecord, Ticket)> = Lanes::new(parallel);
        let waiting_max = parallel.saturating_mul(WAITING_PER_RUNNING);
        let mut running = FuturesUnordered::new();
        let mut stop = std::pin::pin!(stop);
        let mut result = Ok(());
        let mut is_over = false;
        loop {
            while !is_over && let Some((lane, (record, ticket))) = lanes.begin() {
                if self.start(ticket) {
                    let worked = work(record);
                    running.push(async move { (lane, ticket, worked.await) });
                } else {
                    lanes.end(lane);
                }
            }
            if is_over && running.is_empty() {
                break;
            }
            let wants_more = !is_over && lanes.waiting() < waiting_max;
            tokio::select! {
                Some((lane, ticket, worked)) = running.next() => {
                    lanes.end(lane);
                    match worked {
                        Ok(()) => self.finish(ticket),
                        Err(error) => {
                            is_over = true;
                            result = result.and(Err(error));
                        }
                    }
                }
                given = poll_fn(|context| self.poll_given(context)), if wants_more => match take(given) {
                    Ok(Some((record, ticket))) => lanes.push(Lane::of(&record), (record, ticket)),
                    Ok(None) => {}
                    Err(error) => {
                        is_over = true;
                        result = result.and(error.map_or(Ok(()), |error| Err(E::from(error))));
                    }
                },
                () = &mut stop, if !is_over => is_over = true,
            }
        }
        let closed = self.close().await.map_err(E::from);
        result.and(closed)
    }
}

/// A record, or nothing of interest.
///
/// Errors: what ends the run.
fn take(given: Option<Given>) -> Result<Option<(ConsumerRecord, Ticket)>, Option<Error>> {
    match given {
        None => Err(None),
        Some((GroupEvent::Record(record), Some(ticket))) => Ok(Some((record, ticket))),
        Some((GroupEvent::Error(error), _)) => match error.kind {
            // The member is back already, or the next owner reads the record again.
            ErrorKind::UnknownMember | ErrorKind::PartitionNotOwned => {
                tracing::warn!(%error, "a group consumer goes on");
                Ok(None)
            }
            _ => Err(Some(error)),
        },
        Some(_) => Ok(None),
    }
}

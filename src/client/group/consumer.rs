//! The application's side: records, events, commits, places.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::super::handle::Parts;
use super::super::types::ConsumerRecord;
use super::event::{GroupEvent, OwnedPartition};
use super::giving::Given;
use super::options::{CommitMode, Options};
use super::state::{CommitRequest, Life, Shared, State, Ticket, Wanted};
use super::task;
use crate::base::{Error, ErrorKind, Offset, TopicPartition};

/// A member of a consumer group; also a `Stream` of records and errors.
///
/// Each partition has one owner at a time, so its records come in order. A record counts as processed when the next one is asked for;
/// processed records are committed every second, when their partition is given up, and by [`GroupConsumer::close`], so that each record
/// is processed at least once. The member lives as long as its connection does, however slowly the application works: a task behind it
/// answers the broker. After a lost connection it comes back as the same member and goes on where it stood.
///
/// Dropping it leaves the group without a commit: what was processed since the last one is read again by others. A process that dies
/// leaves its partitions to others after the session timeout.
///
/// # When a record counts as done
///
/// At least once: it is committed after it was processed. After a crash those since the last commit are processed again.
///
/// ```no_run
/// # async fn process(record: weir::client::ConsumerRecord) {}
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// let mut consumer = client.consumer().group("billing").topic("orders").build().await?;
/// while let Some(record) = consumer.next().await {
///     process(record?).await;
/// }
/// # Ok(())
/// # }
/// ```
///
/// At most once: it is committed before it is given out. After a crash those that were not processed yet are left out.
///
/// ```no_run
/// # async fn process(record: weir::client::ConsumerRecord) {}
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// let mut consumer = client.consumer().group("billing").topic("orders").commit_before_processing().build().await?;
/// while let Some(record) = consumer.next().await {
///     process(record?).await;
/// }
/// # Ok(())
/// # }
/// ```
///
/// When the program says so, for work that is done many records at a time; also at least once:
///
/// ```no_run
/// # async fn process(record: &weir::client::ConsumerRecord) -> bool { true }
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// let mut consumer = client.consumer().group("billing").topic("orders").manual_commit().build().await?;
/// while let Some(record) = consumer.next().await.transpose()? {
///     if process(&record).await {
///         consumer.commit(&record).await?;
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// Many records at a time, in order for each key: [`GroupConsumer::run_by_key`].
///
/// # What it tells
///
/// A member that is too slow, or that is no member any more, hears of it: as an item of its own kind, between records, never in a log
/// alone.
///
/// | kind | what happened | what follows |
/// |---|---|---|
/// | `PartitionNotOwned` | a stall: a record was in work when its partition had to be given up, for four fifths of the rebalance timeout; the next owner reads it again | records of the other partitions |
/// | `UnknownMember` | the member was away for longer than its session timeout, and all that it had went to others | it joins anew by itself; records |
/// | `MemberFenced` | another took its place: the same instance id joined elsewhere | `None` |
/// | `OffsetOutOfRange`, `Diverged`, `DamagedRange` | a partition can't be read on; the error names the range | records of other partitions; this one after [`GroupConsumer::seek`] |
///
/// ```no_run
/// # async fn process(record: weir::client::ConsumerRecord) {}
/// # async fn example(mut consumer: weir::client::GroupConsumer) -> Result<(), weir::Error> {
/// use weir::ErrorKind;
///
/// while let Some(next) = consumer.next().await {
///     match next {
///         Ok(record) => process(record).await,
///         Err(error) if error.kind == ErrorKind::PartitionNotOwned => eprintln!("too slow: {error}"),
///         Err(error) if error.kind == ErrorKind::UnknownMember => eprintln!("was away: {error}"),
///         Err(error) => return Err(error),
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct GroupConsumer {
    shared: Arc<Shared>,
    task: Option<JoinHandle<Result<(), Error>>>,
    mode: CommitMode,
    group: Arc<str>,
}

impl GroupConsumer {
    pub(super) async fn join(parts: Parts, options: Options) -> Result<Self, Error> {
        let member = options.member()?;
        let (mode, group) = (options.commit, options.group.as_str().into());
        let shared = Arc::new(Shared::new(&options));
        let (first, joined) = oneshot::channel();
        let task = tokio::spawn(task::run(shared.clone(), parts, options, member, first));
        // Dropped while it waits, it takes the task with it.
        let consumer = Self { shared, task: Some(task), mode, group };
        let gone = || Error::new(ErrorKind::Internal, "the task of the group consumer ended");
        joined.await.unwrap_or_else(|_| Err(gone()))?;
        Ok(consumer)
    }

    /// The group.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The member's identity, as the group lists it; another one after it joined anew.
    pub fn member_id(&self) -> Arc<str> {
        self.shared.lock().member_id.clone()
    }

    /// The next event; the record that was given out before counts as processed with this call. `None` when another took the member's
    /// place.
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    pub async fn next_event(&mut self) -> Option<GroupEvent> {
        poll_fn(|context| self.poll_given(context)).await.map(|(event, _)| event)
    }

    /// The next record or error; the record that was given out before counts as processed with this call. `None` when another took the
    /// member's place.
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<ConsumerRecord, Error>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Commits a record and all before it in its partition. Waits until that is durable, over a lost connection too.
    ///
    /// Errors: PARTITION_NOT_OWNED when the partition went to another since the record was given out; UNKNOWN_MEMBER, MEMBER_FENCED.
    pub async fn commit(&self, record: &ConsumerRecord) -> Result<(), Error> {
        let wanted = {
            let state = self.shared.lock();
            let id = state.find(&record.topic, record.partition);
            let held = id.and_then(|id| Some((id, state.holdings.get(&id)?)));
            let held = held.filter(|(_, holding)| holding.progress.has_given(record.offset));
            held.map(|(id, holding)| Wanted {
                id,
                ownership_epoch: holding.ownership_epoch,
                place: (record.offset + 1, Some(record.leader_epoch)),
            })
        };
        match wanted {
            Some(wanted) => self.commit_offsets(vec![wanted]).await,
            None => Err(gone(record)),
        }
    }

    /// Commits every record that was given out so far, finished or not. Waits until that is durable.
    ///
    /// Errors: as [`GroupConsumer::commit`].
    pub async fn commit_all(&self) -> Result<(), Error> {
        let offsets = {
            let state = self.shared.lock();
            let given = state.holdings.iter().filter(|(_, holding)| {
                let offset = holding.progress.given().0;
                holding.committed != Some(offset) && holding.progress.has_given(offset - 1)
            });
            let wanted = given.map(|(id, holding)| Wanted {
                id: *id,
                ownership_epoch: holding.ownership_epoch,
                place: holding.progress.given(),
            });
            wanted.collect()
        };
        self.commit_offsets(offsets).await
    }

    async fn commit_offsets(&self, offsets: Vec<Wanted>) -> Result<(), Error> {
        let (reply, result) = oneshot::channel();
        {
            let mut state = self.shared.lock();
            if state.life != Life::Ended {
                state.requests.push(CommitRequest { offsets, reply });
            }
        }
        self.shared.wake.notify_one();
        let over =
            || Error::new(ErrorKind::MemberFenced, "the member is gone: nothing of it can be committed");
        result.await.unwrap_or_else(|_| Err(over()))
    }

    /// Reads a partition on from `offset`, which is committed once something behind it is processed; a partition that stood still after an
    /// error goes on.
    ///
    /// Errors: PARTITION_NOT_OWNED.
    pub fn seek(&self, topic: &str, partition: i32, offset: Offset) -> Result<(), Error> {
        self.change(topic, [partition], |state, id| state.seek(id, offset))
    }

    /// Gives nothing out of these partitions until they are resumed; the member keeps them. What is paused stays so over a lost
    /// connection, not over another owner.
    ///
    /// Errors: PARTITION_NOT_OWNED; those named before it are paused.
    pub fn pause(&self, topic: &str, partitions: impl IntoIterator<Item = i32>) -> Result<(), Error> {
        self.change(topic, partitions, State::pause)
    }

    /// Goes on with paused partitions where they stood; others are left as they are.
    ///
    /// Errors: PARTITION_NOT_OWNED; those named before it are resumed.
    pub fn resume(&self, topic: &str, partitions: impl IntoIterator<Item = i32>) -> Result<(), Error> {
        self.change(topic, partitions, State::resume)
    }

    fn change(
        &self,
        topic: &str,
        partitions: impl IntoIterator<Item = i32>,
        change: impl Fn(&mut State, TopicPartition),
    ) -> Result<(), Error> {
        let mut state = self.shared.lock();
        let mut result = Ok(());
        for partition in partitions {
            match state.find(topic, partition) {
                Some(id) => change(&mut state, id),
                None => {
                    result = Err(not_owned(topic, partition));
                    break;
                }
            }
        }
        drop(state);
        self.shared.wake.notify_one();
        result
    }

    /// What the member owns at this moment.
    pub fn assignment(&self) -> Vec<OwnedPartition> {
        let state = self.shared.lock();
        let owned = state.holdings.values().filter(|holding| !holding.is_revoked);
        let by_name =
            owned.map(|holding| holding.seen()).map(|seen| ((seen.topic.clone(), seen.partition), seen));
        by_name.collect::<BTreeMap<_, _>>().into_values().collect()
    }

    /// Counts what was given out as processed, commits it unless commits are by hand, and leaves the group: its partitions go to others
    /// at once; those of a member with an instance id stay its own for the session timeout.
    ///
    /// Errors: TIMED_OUT when the broker could not be told.
    pub async fn close(self) -> Result<(), Error> {
        self.end(Life::Closing { for_good: false }).await
    }

    /// Like [`GroupConsumer::close`], but leaves for good with an instance id too.
    pub async fn leave(self) -> Result<(), Error> {
        self.end(Life::Closing { for_good: true }).await
    }

    async fn end(mut self, life: Life) -> Result<(), Error> {
        {
            let mut state = self.shared.lock();
            if let Some(ticket) = state.in_hand.take() {
                state.finish(ticket);
            }
            if state.life == Life::Ended {
                return Ok(());
            }
            state.life = life;
            state.is_dirty = true;
        }
        self.shared.wake.notify_one();
        let Some(task) = self.task.take() else { return Ok(()) };
        let failed =
            |error| Error::new(ErrorKind::Internal, "the task of the group consumer failed").caused_by(error);
        task.await.unwrap_or_else(|error| Err(failed(error)))
    }

    /// The next event with its ticket. Without tickets in use, what was given out before is finished.
    pub(super) fn poll_given(&mut self, context: &mut Context<'_>) -> Poll<Option<Given>> {
        let mut state = self.shared.lock();
        let finished = state.in_hand.take();
        let mut is_heard = finished.is_some_and(|ticket| state.finish(ticket));
        let given = state.poll(context);
        if let Poll::Ready(Some((_, ticket))) = &given
            && !state.is_parallel
        {
            state.in_hand = *ticket;
        }
        is_heard |= given.is_pending() || state.has_credit() || !state.frames.is_empty();
        drop(state);
        if is_heard {
            self.shared.wake.notify_one();
        }
        given
    }

    /// Hands records out by ticket from here on.
    ///
    /// Errors: INVALID_REQUEST where commits do not follow what is finished.
    pub(super) fn go_parallel(&self) -> Result<(), Error> {
        if !matches!(self.mode, CommitMode::After(_)) {
            let message = "run_by_key commits what is finished; leave manual_commit() and commit_before_processing() out";
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        self.shared.lock().is_parallel = true;
        Ok(())
    }

    /// Whether a record may be worked on still.
    pub(super) fn start(&self, ticket: Ticket) -> bool {
        self.shared.lock().start(ticket)
    }

    /// A record is finished.
    pub(super) fn finish(&self, ticket: Ticket) {
        if self.shared.lock().finish(ticket) {
            self.shared.wake.notify_one();
        }
    }
}

impl Stream for GroupConsumer {
    type Item = Result<ConsumerRecord, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            return Poll::Ready(match ready!(self.poll_given(context)).map(|(event, _)| event) {
                Some(GroupEvent::Record(record)) => Some(Ok(record)),
                Some(GroupEvent::Error(error)) => Some(Err(error)),
                Some(_) => continue,
                None => None,
            });
        }
    }
}

impl Drop for GroupConsumer {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

fn gone(record: &ConsumerRecord) -> Error {
    not_owned(&record.topic, record.partition).with("offset", record.offset)
}

fn not_owned(topic: &str, partition: i32) -> Error {
    let message = format!(
        "this member does not own topic '{topic}', partition {partition}, or not since the record was given out; its owner \
         reads on from the last commit"
    );
    Error::new(ErrorKind::PartitionNotOwned, message).with("topic", topic).with("partition", partition)
}

//! Partitions on their way to another member: first the application finishes, then they are committed, then they go.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, select};

use super::super::types::ConsumerRecord;
use super::event::OwnedPartition;
use super::options::OnRevoke;
use super::state::{Shared, State};
use crate::base::{Error, ErrorKind, TopicPartition};
use crate::env::Clock;

/// Partitions that are being given up, as the `on_revoke` callback sees them. When the callback ends, they are committed and go to
/// their next owner; until then nobody reads them, and nobody else's partitions wait.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// # async fn write_out(partition: i32) {}
/// let builder = client.consumer().group("billing").topics(["orders"]);
/// let consumer = builder
///     .on_revoke(|revocation| async move {
///         for owned in revocation.partitions() {
///             write_out(owned.partition).await;
///         }
///     })
///     .build()
///     .await?;
/// # Ok(())
/// # }
/// ```
pub struct Revocation {
    partitions: Vec<OwnedPartition>,
    shared: Arc<Shared>,
}

impl Revocation {
    /// What is given up.
    pub fn partitions(&self) -> &[OwnedPartition] {
        &self.partitions
    }

    /// Commits a record of these partitions, and all before it, when the callback ends. For consumers that commit by hand; it
    /// overrides what would be committed otherwise. A record of another partition changes nothing.
    pub fn commit(&self, record: &ConsumerRecord) {
        let mut state = self.shared.lock();
        let Some(id) = state.find(&record.topic, record.partition) else { return };
        let Some(holding) = state.holdings.get_mut(&id) else { return };
        if holding.is_revoked && holding.progress.has_given(record.offset) {
            holding.chosen = Some((record.offset + 1, Some(record.leader_epoch)));
        }
    }
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// Records of it are in work.
    Working,
    /// The callback runs.
    Called,
    /// To be committed and given up.
    Done,
}

/// One revocation under way.
struct UnderWay {
    number: u64,
    ids: Vec<TopicPartition>,
    /// When it is given up whatever the application does.
    until: Duration,
    step: Step,
}

/// Every revocation under way.
#[derive(Default)]
pub(super) struct Revocations {
    next_number: u64,
    under_way: Vec<UnderWay>,
}

/// What a callback ends with: the number of its revocation.
pub(super) type Callback = BoxFuture<'static, u64>;

impl Revocations {
    /// The broker wants partitions back within `deadline`. WHY less than that: the answer has to arrive in time, or the member is
    /// fenced with all that it has.
    pub(super) fn begin(&mut self, ids: Vec<TopicPartition>, now: Duration, deadline: Duration) {
        if !ids.is_empty() {
            self.next_number += 1;
            let until = now + deadline.mul_f32(0.8);
            self.under_way.push(UnderWay { number: self.next_number, ids, until, step: Step::Working });
        }
    }

    /// When somebody has to look again, whatever the application does.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.under_way.iter().filter(|one| one.step == Step::Working).map(|one| one.until).min()
    }

    /// Takes those a step on whose records are finished or whose time is over. Gives the callbacks that are to run.
    pub(super) fn step(
        &mut self,
        shared: &Arc<Shared>,
        clock: &Arc<dyn Clock>,
        on_revoke: Option<&OnRevoke>,
    ) -> Vec<Callback> {
        let now = clock.monotonic();
        let mut callbacks = Vec::new();
        for one in self.under_way.iter_mut().filter(|one| one.step == Step::Working) {
            let mut state = shared.lock();
            let in_work = state.in_work(&one.ids);
            if in_work.is_some() && now < one.until {
                continue;
            }
            if let Some(place) = in_work {
                state.tell(super::event::GroupEvent::Error(took_too_long(&place)));
            }
            let partitions = seen(&state, &one.ids);
            drop(state);
            let Some(on_revoke) = on_revoke.filter(|_| !partitions.is_empty()) else {
                one.step = Step::Done;
                continue;
            };
            one.step = Step::Called;
            let called = on_revoke(Revocation { partitions, shared: shared.clone() });
            let (number, over) = (one.number, clock.sleep(one.until.saturating_sub(now)));
            callbacks.push(async move { select(called, over).map(|_| number).await }.boxed());
        }
        callbacks
    }

    /// A callback ended, or took until its deadline.
    pub(super) fn called(&mut self, number: u64) {
        let ended = self.under_way.iter_mut().filter(|one| one.number == number);
        ended.for_each(|one| one.step = Step::Done);
    }

    /// Takes what is to be given up now.
    pub(super) fn take_done(&mut self) -> Vec<TopicPartition> {
        let done = self.under_way.extract_if(.., |one| one.step == Step::Done);
        done.flat_map(|one| one.ids).collect()
    }
}

fn seen(state: &State, ids: &[TopicPartition]) -> Vec<OwnedPartition> {
    ids.iter().filter_map(|id| state.holdings.get(id)).map(|holding| holding.seen()).collect()
}

/// A stall is told, never only logged.
fn took_too_long((topic, partition, offset): &(String, i32, i64)) -> Error {
    let message = format!(
        "topic '{topic}', partition {partition}: the record at offset {offset} was in work when the partition had to be \
         given up; its next owner reads it again: work faster, or raise the rebalance timeout"
    );
    let error = Error::new(ErrorKind::PartitionNotOwned, message);
    error.with("topic", topic).with("partition", partition).with("offset", offset)
}

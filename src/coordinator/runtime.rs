//! Runs one shard on its partition log: loaded by replay, one command after the other, replies parked until committed.
//!
//! A command decides on the state that all commands before it have left, puts its records at the end of the log, and only
//! then are they replayed, with the offsets that they got: the state never holds what the log does not. The reply waits until
//! everything that the command saw is committed, also where it wrote nothing; meanwhile the next command runs. When an append
//! fails and nobody knows what the log holds, the state is dropped and loaded anew.
//!
//! Source: Kafka's `CoordinatorRuntime`, which replays first and takes back what fails.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;

use super::shard::{Effects, Now, Shard, StoredRecord};
use super::timers::Timers;
use crate::base::limits::DECOMPRESSED_BYTES_MAX;
use crate::base::{Offset, Timestamp};
use crate::env::Clock;
use crate::record::{BatchBuilder, BatchError, BuildError, Codec, NewRecord, RecordBatch, ValidBatch};
use crate::replica::{AppendError, Partition, ReadError, Ticket, Wait};

/// Bytes of one read at a load.
const LOAD_BYTES: usize = 1 << 20;

/// No timer is armed.
const NEVER_MS: u64 = u64::MAX;

/// Who is told the signals of a shard, after the records behind them were replayed. Must not block.
pub trait Listener<S>: Send + Sync {
    /// Takes one signal.
    fn take(&self, signal: S);

    /// A timer was armed or cancelled: [`ShardHost::next_timer`] may give another time.
    fn timers_changed(&self);
}

/// Why a command was not carried out.
#[derive(Debug)]
pub enum RunError<E> {
    /// The machine refused it; nothing was written.
    Refused(E),
    /// Its records are not in the log, or nobody knows.
    Append(AppendError),
    /// Its records do not fit one batch; nothing was written.
    TooLarge(BuildError),
    /// The state can't be loaded; nothing was written.
    Load(LoadError),
}

/// Why the state of a shard can't be loaded from its log.
#[derive(Debug)]
pub enum LoadError {
    /// The log can't be read.
    Read(ReadError),
    /// A stored batch can't be read.
    Batch(BatchError),
    /// What the log holds is never committed.
    Offline(AppendError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Batch(error) => error.fmt(f),
            Self::Offline(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LoadError {}

/// One shard with its log. Cheap to share.
pub struct ShardHost<S: Shard> {
    partition: Arc<Partition>,
    clock: Arc<dyn Clock>,
    listener: Arc<dyn Listener<S::Signal>>,
    turn: Mutex<Turn<S>>,
    /// Monotonic time of the next timer.
    next_timer_ms: AtomicU64,
}

/// What only the command whose turn it is may touch.
struct Turn<S: Shard> {
    /// `None` before the first load, and after a failure.
    state: Option<State<S>>,
    /// An append whose command may have been dropped while it waited: the next one sees to it first.
    under_way: Option<(Ticket, Effects<S>)>,
    builder: BatchBuilder,
}

struct State<S: Shard> {
    shard: S,
    timers: Timers<S::Timer>,
    /// All records below it were replayed.
    end: Offset,
}

impl<S: Shard + Default> ShardHost<S> {
    /// A shard that is loaded at its first use.
    pub fn new(
        partition: Arc<Partition>,
        clock: Arc<dyn Clock>,
        listener: Arc<dyn Listener<S::Signal>>,
    ) -> Arc<Self> {
        let turn = Mutex::new(Turn { state: None, under_way: None, builder: BatchBuilder::new() });
        Arc::new(Self { partition, clock, listener, turn, next_timer_ms: AtomicU64::new(NEVER_MS) })
    }

    /// Its log.
    pub fn partition(&self) -> &Arc<Partition> {
        &self.partition
    }

    /// Carries a command out; the reply comes when everything behind it is committed.
    ///
    /// Cost: one append where something changes; commands of one shard take turns until theirs has its offset. Cancel safe:
    /// what was appended is replayed in any case. Errors: [`RunError`].
    pub async fn run(&self, command: S::Command) -> Result<S::Reply, RunError<S::Error>> {
        self.step(|shard, now, out| shard.handle(command, now, out)).await
    }

    /// Looks at the state. What is seen is committed when this returns.
    pub async fn look<T>(&self, look: impl FnOnce(&S) -> T) -> Result<T, RunError<S::Error>> {
        self.step(|shard, _, _| Ok(look(shard))).await
    }

    /// Loads the state, if need be.
    pub async fn load(&self) -> Result<(), RunError<S::Error>> {
        self.look(|_| ()).await
    }

    /// Monotonic time at which [`Self::expire`] has something to do.
    pub fn next_timer(&self) -> Option<Duration> {
        match self.next_timer_ms.load(Ordering::Acquire) {
            NEVER_MS => None,
            at => Some(Duration::from_millis(at)),
        }
    }

    /// Lets the timers go off that are due. A failure is told by the next command.
    pub async fn expire(&self) {
        while let Some(timer) = self.take_due().await {
            let expire = |shard: &S, now, out: &mut Effects<S>| {
                shard.expire(timer, now, out);
                Ok(())
            };
            let done = self.step(expire).await;
            if done.is_err() {
                return;
            }
        }
    }

    /// Puts all timers off by the time for which this process stood still: its own stall expires nobody.
    pub async fn put_off(&self, by: Duration) {
        let mut turn = self.turn.lock().await;
        if let Some(state) = &mut turn.state {
            state.timers.give_credit(by);
            self.note_next(state);
        }
    }

    async fn take_due(&self) -> Option<S::Timer> {
        let mut turn = self.turn.lock().await;
        let state = turn.state.as_mut()?;
        let due = state.timers.pop_due(self.clock.monotonic());
        self.note_next(state);
        due
    }

    async fn step<T>(
        &self,
        work: impl FnOnce(&S, Now, &mut Effects<S>) -> Result<T, S::Error>,
    ) -> Result<T, RunError<S::Error>> {
        let mut turn = self.turn.lock().await;
        self.settle(&mut turn).await.ok();
        self.load_if_needed(&mut turn).await.map_err(RunError::Load)?;
        let now = self.now();
        let Turn { state, under_way, builder } = &mut *turn;
        let state = state.as_mut().expect("was loaded");
        let mut effects = Effects::default();
        let reply = work(&state.shard, now, &mut effects).map_err(RunError::Refused)?;
        if effects.records.is_empty() {
            self.apply(state, effects, state.end);
        } else {
            let batch = build(builder, &effects.records, now.wall).map_err(RunError::TooLarge)?;
            *under_way = Some((self.partition.append(batch, None), effects));
            self.settle(&mut turn).await.map_err(RunError::Append)?;
        }
        let end = turn.state.as_ref().expect("it stays when the append succeeds").end;
        drop(turn);
        self.committed(end).await.map_err(RunError::Append)?;
        Ok(reply)
    }

    /// Sees an append to its offset, and replays it.
    ///
    /// Cancel safe. Errors: those of the append; unless it is known that nothing was written, the state is dropped.
    async fn settle(&self, turn: &mut Turn<S>) -> Result<(), AppendError> {
        let Some((ticket, _)) = &mut turn.under_way else { return Ok(()) };
        let outcome = ticket.await;
        let (_, effects) = turn.under_way.take().expect("it was there");
        match (outcome, &mut turn.state) {
            (Ok(appended), Some(state)) => {
                self.apply(state, effects, appended.base_offset);
                Ok(())
            }
            (Ok(_), None) => Ok(()),
            (Err(error), _) => {
                if !is_not_written(&error) {
                    self.forget(turn);
                }
                Err(error)
            }
        }
    }

    /// Changes the state as the records say, then arms the timers and tells the signals.
    fn apply(&self, state: &mut State<S>, effects: Effects<S>, base_offset: Offset) {
        for (record, offset) in effects.records.iter().zip(base_offset..) {
            state.shard.replay(offset, record);
            state.end = offset + 1;
        }
        let now = self.clock.monotonic();
        for (timer, after) in effects.timers {
            match after {
                Some(after) => state.timers.arm(timer, now + after),
                None => {
                    state.timers.cancel(&timer);
                }
            }
        }
        if self.note_next(state) {
            self.listener.timers_changed();
        }
        for signal in effects.signals {
            self.listener.take(signal);
        }
    }

    async fn load_if_needed(&self, turn: &mut Turn<S>) -> Result<(), LoadError> {
        if turn.state.is_some() {
            return Ok(());
        }
        // What the log holds may not be committed yet, and then might be lost once more.
        self.committed(self.partition.offsets().log_end).await.map_err(LoadError::Offline)?;
        let partition = self.partition.clone();
        let (shard, end) = tokio::task::spawn_blocking(move || replay_all::<S>(&partition))
            .await
            .unwrap_or(Err(LoadError::Read(ReadError::Closed)))?;
        let mut effects = Effects::default();
        shard.loaded(self.now(), &mut effects);
        debug_assert!(effects.records.is_empty(), "a load writes nothing");
        let state = turn.state.insert(State { shard, timers: Timers::default(), end });
        self.apply(state, effects, end);
        Ok(())
    }

    /// Waits until all below `end` is committed; when that fails nobody knows what is, and the state is dropped.
    async fn committed(&self, end: Offset) -> Result<(), AppendError> {
        if end == 0 || self.partition.offsets().high_watermark >= end {
            return Ok(());
        }
        match self.partition.committed(end - 1).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn forget(&self, turn: &mut Turn<S>) {
        turn.state = None;
        self.next_timer_ms.store(NEVER_MS, Ordering::Release);
    }

    /// Whether the next timer goes off earlier than the one before would have.
    fn note_next(&self, state: &State<S>) -> bool {
        // Rounded up: a timer that is looked at too early would be looked at again at once.
        let at = state.timers.next().map_or(NEVER_MS, |at| at.as_millis() as u64 + 1);
        at < self.next_timer_ms.swap(at, Ordering::AcqRel)
    }

    fn now(&self) -> Now {
        Now { monotonic: self.clock.monotonic(), wall: self.clock.now_ms() }
    }
}

fn is_not_written(error: &AppendError) -> bool {
    matches!(error, AppendError::DiskFull | AppendError::NotWritten(_))
}

fn build(
    builder: &mut BatchBuilder,
    records: &[StoredRecord],
    timestamp: Timestamp,
) -> Result<ValidBatch, BuildError> {
    builder.clear();
    for StoredRecord { key, value } in records {
        builder.append(&NewRecord { timestamp, key: Some(key), value: value.as_deref(), headers: &[] })?;
    }
    ValidBatch::internal(builder, Codec::None)
}

/// Replays a whole log. May block.
fn replay_all<S: Shard + Default>(partition: &Partition) -> Result<(S, Offset), LoadError> {
    let mut shard = S::default();
    let offsets = partition.offsets();
    let (mut from, end) = (offsets.log_start, offsets.log_end);
    while from < end {
        let slice = partition.read(from, LOAD_BYTES, Wait::Allowed).map_err(LoadError::Read)?;
        if slice.bytes.is_empty() {
            // Never a part of the state for all of it.
            return Err(LoadError::Read(ReadError::Damaged { first: from, end }));
        }
        replay_batches(slice.bytes, from, &mut shard).map_err(LoadError::Batch)?;
        from = slice.next_offset;
    }
    Ok((shard, end))
}

fn replay_batches<S: Shard>(mut run: Bytes, from: Offset, shard: &mut S) -> Result<(), BatchError> {
    while let Some(batch) = RecordBatch::take_first(&mut run)? {
        let records = batch.records(DECOMPRESSED_BYTES_MAX)?;
        for record in &records {
            let record = record?;
            if let (Some(key), true) = (record.key, record.offset >= from) {
                shard.replay(record.offset, &copied(key, record.value));
            }
        }
    }
    Ok(())
}

/// WHY a copy: what a shard keeps of a record would keep the whole read alive.
fn copied(key: &[u8], value: Option<&[u8]>) -> StoredRecord {
    StoredRecord { key: Bytes::copy_from_slice(key), value: value.map(Bytes::copy_from_slice) }
}

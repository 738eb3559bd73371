//! Runs one shard on its partition log: loaded by replay, one command after the other, replies parked until committed.
//!
//! A command decides on the state that all commands before it have left, puts its records at the end of the log, and only
//! then are they replayed, with the offsets that they got: the state never holds what the log does not. The reply waits until
//! everything that the command saw is committed, also where it wrote nothing; meanwhile the next command runs. When an append
//! fails and nobody knows what the log holds, the state is dropped and loaded anew. Records that are too many for one batch are
//! appended batch by batch, each once the one before has its offset; each machine says why a beginning of them does no harm.
//!
//! A timer whose records could not be appended goes off again later. What a shard keeps is debited from the memory budget;
//! where that is used up, commands that add to it are refused.
//!
//! Source: Kafka's `CoordinatorRuntime`, which replays first and takes back what fails.

mod batches;
mod load;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use self::batches::{PART_BYTES_MAX, Part, parts_of};
pub use self::load::LoadError;
use self::load::replay_all;
use super::shard::{Effects, Now, Shard};
use super::timers::Timers;
use crate::base::Offset;
use crate::base::budget::{Budget, Debit};
use crate::env::Clock;
use crate::env::rule::Rule;
use crate::env::threads::off_shard;
use crate::record::{BatchBuilder, BuildError};
use crate::replica::{AppendError, Partition, Ticket};

/// No timer is armed.
const NEVER_MS: u64 = u64::MAX;

/// So long a timer waits whose records could not be appended; twice as long after each failure, up to 64 times. WHY: a full disk
/// stays full for a while.
const AGAIN_PAUSE: Duration = Duration::from_millis(500);

/// Doublings of [`AGAIN_PAUSE`].
const AGAIN_DOUBLINGS_MAX: u32 = 6;

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
    /// Some of its records are in the log, the others are not, or nobody knows.
    Parted(AppendError),
    /// One of its records fits no batch; nothing was written.
    TooLarge(BuildError),
    /// Its records have to go in one batch, and are too many for one; nothing was written.
    TooMany,
    /// The memory budget has no room for what it adds; nothing was written.
    NoMemory,
    /// The state can't be loaded; nothing was written.
    Load(LoadError),
}

/// One shard with its log. Cheap to share.
pub struct ShardHost<S: Shard> {
    partition: Arc<Partition>,
    clock: Arc<dyn Clock>,
    listener: Arc<dyn Listener<S::Signal>>,
    budget: Arc<Budget>,
    /// Makes a shard that holds nothing.
    empty: Box<dyn Fn() -> S + Send + Sync>,
    turn: Mutex<Turn<S>>,
    /// Monotonic time of the next timer.
    next_timer_ms: AtomicU64,
    /// Whether the last load failed for what the log holds.
    is_damaged: AtomicBool,
}

/// What only the command whose turn it is may touch.
struct Turn<S: Shard> {
    /// `None` before the first load, and after a failure.
    state: Option<State<S>>,
    /// Appends whose command may have been dropped while it waited: the next one sees to them first.
    under_way: Option<UnderWay<S>>,
    builder: BatchBuilder,
    /// Timers and loads that failed since the last append that succeeded.
    failures: u32,
    /// The load that failed last.
    unusable: Option<Unusable>,
}

/// Why there is no state, for a while. WHY: each load reads the whole log, and many may ask.
struct Unusable {
    error: LoadError,
    /// Monotonic time at which a load may be tried again.
    until: Duration,
}

/// Effects on their way into the log.
struct UnderWay<S: Shard> {
    effects: Effects<S>,
    /// The timer behind them, if it is one.
    timer: Option<S::Timer>,
    /// Of the batch that is being appended.
    ticket: Ticket,
    /// Its records.
    count: usize,
    /// What follows it.
    rest: VecDeque<Part>,
    /// Records before it: in the log, and replayed.
    done: usize,
}

struct State<S: Shard> {
    shard: S,
    timers: Timers<S::Timer>,
    /// All records below it were replayed.
    end: Offset,
    /// What the shard keeps in memory, as far as there was room.
    debit: Debit,
}

impl<S: Shard> State<S> {
    /// Debits what the shard keeps by now. Whether there was room.
    fn weigh(&mut self, budget: &Arc<Budget>) -> bool {
        let bytes = self.shard.memory_bytes();
        if self.debit.try_resize(bytes).is_some() {
            return true;
        }
        self.debit.join(budget.debit_up_to(bytes - self.debit.bytes()));
        false
    }
}

impl<S: Shard> ShardHost<S> {
    /// A shard that is loaded at its first use, into what `empty` gives.
    pub fn new(
        partition: Arc<Partition>,
        clock: Arc<dyn Clock>,
        listener: Arc<dyn Listener<S::Signal>>,
        budget: Arc<Budget>,
        empty: impl Fn() -> S + Send + Sync + 'static,
    ) -> Arc<Self> {
        let turn = Mutex::new(Turn {
            state: None,
            under_way: None,
            builder: BatchBuilder::new(),
            failures: 0,
            unusable: None,
        });
        let (empty, next_timer_ms) = (Box::new(empty), AtomicU64::new(NEVER_MS));
        let is_damaged = AtomicBool::new(false);
        Arc::new(Self { partition, clock, listener, budget, empty, turn, next_timer_ms, is_damaged })
    }

    /// Whether its last load failed for what its log holds. Cost: none; loads nothing.
    pub fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::Relaxed)
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
        let work = |state: &mut State<S>, now, out: &mut Effects<S>| {
            if state.shard.adds(&command) && !state.weigh(&self.budget) {
                return Err(RunError::NoMemory);
            }
            state.shard.handle(command, now, out).map_err(RunError::Refused)
        };
        self.step(work).await
    }

    /// Looks at the state. What is seen is committed when this returns.
    pub async fn look<T>(&self, look: impl FnOnce(&S) -> T) -> Result<T, RunError<S::Error>> {
        self.step(|state, _, _| Ok(look(&state.shard))).await
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

    /// Lets the timers go off that are due. One whose records could not be appended goes off again later, as does the load of a
    /// state that was dropped.
    pub async fn expire(&self) {
        while self.expire_next().await {}
    }

    /// Lets one timer go off. Whether there may be another one.
    async fn expire_next(&self) -> bool {
        let mut turn = self.turn.lock().await;
        self.settle(&mut turn).await.ok();
        if self.load_if_needed(&mut turn).await.is_err() {
            self.load_at(turn.unusable.as_ref().expect("that load failed").until);
            return false;
        }
        let now = self.now();
        let state = turn.state.as_mut().expect("was loaded");
        let Some(timer) = state.timers.pop_due(now.monotonic) else {
            self.note_next(state);
            return false;
        };
        let mut effects = Effects::default();
        state.shard.expire(timer.clone(), now, &mut effects);
        self.carry_out(&mut turn, effects, Some(timer)).await.is_ok()
    }

    async fn step<T>(
        &self,
        work: impl FnOnce(&mut State<S>, Now, &mut Effects<S>) -> Result<T, RunError<S::Error>>,
    ) -> Result<T, RunError<S::Error>> {
        let mut turn = self.turn.lock().await;
        self.settle(&mut turn).await.ok();
        self.load_if_needed(&mut turn).await.map_err(RunError::Load)?;
        let mut effects = Effects::default();
        let reply = work(turn.state.as_mut().expect("was loaded"), self.now(), &mut effects)?;
        self.carry_out(&mut turn, effects, None).await?;
        let end = turn.state.as_ref().expect("it stays when the append succeeds").end;
        drop(turn);
        if Rule::AwaitCommit.holds() {
            self.committed(end).await.map_err(RunError::Append)?;
        }
        Ok(reply)
    }

    /// Appends what is to be appended, and sees to it. Cancel safe.
    async fn carry_out(
        &self,
        turn: &mut Turn<S>,
        effects: Effects<S>,
        timer: Option<S::Timer>,
    ) -> Result<(), RunError<S::Error>> {
        if effects.records.is_empty() {
            self.apply(turn.state.as_mut().expect("was loaded"), effects);
            return Ok(());
        }
        let wall = self.now().wall;
        let mut rest = match parts_of(&mut turn.builder, &effects.records, wall, PART_BYTES_MAX) {
            Ok(parts) => parts,
            Err(error) => {
                self.put_back(turn, timer);
                return Err(RunError::TooLarge(error));
            }
        };
        if effects.in_one_batch && rest.len() > 1 {
            return Err(RunError::TooMany);
        }
        let Part { batch, record_count: count } = rest.pop_front().expect("there is a record");
        let ticket = self.partition.append(batch, None);
        turn.under_way = Some(UnderWay { effects, timer, ticket, count, rest, done: 0 });
        self.settle(turn).await
    }

    /// Sees appends to their offsets, and replays them.
    ///
    /// Cancel safe. Errors: those of the append; unless it is known that nothing was written, the state is dropped.
    async fn settle(&self, turn: &mut Turn<S>) -> Result<(), RunError<S::Error>> {
        while let Some(work) = &mut turn.under_way {
            let outcome = (&mut work.ticket).await;
            match (outcome, &mut turn.state) {
                (Ok(appended), Some(state)) => {
                    let records = &work.effects.records[work.done..work.done + work.count];
                    for (record, offset) in records.iter().zip(appended.base_offset..) {
                        state.shard.replay(offset, record);
                        state.end = offset + 1;
                    }
                    turn.failures = 0;
                    if let Some(Part { batch, record_count }) = work.rest.pop_front() {
                        (work.done, work.count) = (work.done + work.count, record_count);
                        work.ticket = self.partition.append(batch, None);
                        continue;
                    }
                    let work = turn.under_way.take().expect("it was there");
                    self.apply(state, work.effects);
                }
                (Ok(_), None) => turn.under_way = None,
                (Err(error), _) => return Err(self.give_up(turn, error)),
            }
        }
        Ok(())
    }

    /// What becomes of effects that could not be appended.
    fn give_up(&self, turn: &mut Turn<S>, error: AppendError) -> RunError<S::Error> {
        let work = turn.under_way.take().expect("it failed");
        let is_begun = work.done > 0;
        if is_begun || !is_not_written(&error) {
            self.load_later(turn);
        } else {
            self.put_back(turn, work.timer);
        }
        if is_begun { RunError::Parted(error) } else { RunError::Append(error) }
    }

    /// A timer that went off in vain goes off again.
    fn put_back(&self, turn: &mut Turn<S>, timer: Option<S::Timer>) {
        let (Some(timer), Some(_)) = (timer, &turn.state) else { return };
        let again = self.clock.monotonic() + pause_after(&mut turn.failures);
        let state = turn.state.as_mut().expect("was looked at");
        state.timers.arm(timer, again);
        if self.note_next(state) {
            self.listener.timers_changed();
        }
    }

    /// Drops the state. It is loaded by the next command, or when the next timer would be: those of the shard are armed by a load.
    fn load_later(&self, turn: &mut Turn<S>) {
        turn.state = None;
        self.load_at(self.clock.monotonic() + pause_after(&mut turn.failures));
    }

    fn load_at(&self, again: Duration) {
        self.next_timer_ms.store(again.as_millis() as u64 + 1, Ordering::Release);
        self.listener.timers_changed();
    }

    /// What follows the replay: memory is debited, timers are armed, signals told.
    fn apply(&self, state: &mut State<S>, effects: Effects<S>) {
        // Where there is no room, commands that need more are refused.
        let _ = state.weigh(&self.budget);
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

    /// Loads the state where there is none. Errors: of a load that failed, also for a while after it.
    async fn load_if_needed(&self, turn: &mut Turn<S>) -> Result<(), LoadError> {
        if turn.state.is_some() {
            return Ok(());
        }
        if let Some(Unusable { error, until }) = &turn.unusable
            && self.clock.monotonic() < *until
        {
            return Err(error.clone());
        }
        let loaded = self.load_anew(turn).await;
        // An offline partition is known as that.
        let is_damaged = matches!(loaded, Err(LoadError::Read(_) | LoadError::Batch(_)));
        self.is_damaged.store(is_damaged, Ordering::Relaxed);
        turn.unusable = loaded.as_ref().err().map(|error| Unusable {
            error: error.clone(),
            until: self.clock.monotonic() + pause_after(&mut turn.failures),
        });
        loaded
    }

    async fn load_anew(&self, turn: &mut Turn<S>) -> Result<(), LoadError> {
        // What the log holds may not be committed yet, and then might be lost once more.
        self.committed(self.partition.offsets().log_end).await.map_err(LoadError::Offline)?;
        let partition = self.partition.clone();
        let empty = (self.empty)();
        let (shard, end) = off_shard(move || replay_all(&partition, empty)).await?;
        let mut effects = Effects::default();
        shard.loaded(self.now(), &mut effects);
        debug_assert!(effects.records.is_empty(), "a load writes nothing");
        let debit = self.budget.debit_up_to(0);
        let state = turn.state.insert(State { shard, timers: Timers::default(), end, debit });
        self.apply(state, effects);
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

/// How long to wait after one more failure.
fn pause_after(failures: &mut u32) -> Duration {
    let pause = AGAIN_PAUSE * (1 << *failures);
    *failures = AGAIN_DOUBLINGS_MAX.min(*failures + 1);
    pause
}

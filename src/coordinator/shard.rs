//! The contract of a coordinator: a state machine over one partition of an internal topic.
//!
//! [`Shard::handle`] decides and changes nothing; what is to change goes out as records. They are appended, and then
//! [`Shard::replay`] takes them in: the only way to another state, at run time and after a restart alike. `&self` against
//! `&mut self` makes the compiler hold this rule.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::base::{Offset, Timestamp};

/// The moment of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// Drives timers; since any fixed point.
    pub monotonic: Duration,
    /// Written into records, in ms; decides nothing.
    pub wall: Timestamp,
}

/// A record of an internal topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredRecord {
    /// What it is about; the newest record of a key counts.
    pub key: Bytes,
    /// What holds from here on; `None` is a tombstone.
    pub value: Option<Bytes>,
}

/// What a command wants: nothing of it has happened yet.
pub struct Effects<S: Shard + ?Sized> {
    /// Appended in this order, then replayed. One batch, or several where one would be too large: each machine says
    /// where its records may be parted.
    pub records: Vec<StoredRecord>,
    /// Whether they go in one batch only: where they are too many for it, nothing happens and the command fails.
    pub in_one_batch: bool,
    /// Armed to go off after so long, or cancelled; applied after the replay, in this order.
    pub timers: Vec<(S::Timer, Option<Duration>)>,
    /// Told to whoever listens, after the replay.
    pub signals: Vec<S::Signal>,
}

impl<S: Shard + ?Sized> Effects<S> {
    /// Nothing is wanted.
    pub fn new() -> Self {
        Self { records: Vec::new(), in_one_batch: false, timers: Vec::new(), signals: Vec::new() }
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.timers.is_empty() && self.signals.is_empty()
    }

    /// The timer goes off after so long; one of that name that runs is replaced.
    pub fn arm(&mut self, timer: S::Timer, after: Duration) {
        self.timers.push((timer, Some(after)));
    }

    /// The timer does not go off.
    pub fn cancel(&mut self, timer: S::Timer) {
        self.timers.push((timer, None));
    }

    /// Tells whoever listens.
    pub fn signal(&mut self, signal: S::Signal) {
        self.signals.push(signal);
    }
}

impl<S: Shard + ?Sized> Default for Effects<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Shard + ?Sized> fmt::Debug for Effects<S>
where
    S::Timer: fmt::Debug,
    S::Signal: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Effects")
            .field("records", &self.records)
            .field("timers", &self.timers)
            .field("signals", &self.signals)
            .finish()
    }
}

/// A state machine over one partition of an internal topic. Pure: no clock, no randomness, no I/O.
///
/// Whoever runs it gives it one command at a time, and the next one only after the records of the one before were replayed.
/// After a failed append it throws the machine away and replays the log into a new one.
pub trait Shard: Send + 'static {
    /// What it is asked for.
    type Command;
    /// What it answers; true once the records are committed.
    type Reply;
    /// Why it refuses; then it wants nothing.
    type Error;
    /// Name of a timer.
    type Timer: Clone + Ord + Send;
    /// What others want to know of.
    type Signal;

    /// Decides and changes nothing: what is to change goes out as records.
    ///
    /// Errors: the command is refused; what was put into `out` until then does not count.
    fn handle(
        &self,
        command: Self::Command,
        now: Now,
        out: &mut Effects<Self>,
    ) -> Result<Self::Reply, Self::Error>;

    /// A timer went off: what it stands for may be long gone; then nothing happens.
    fn expire(&self, timer: Self::Timer, now: Now, out: &mut Effects<Self>);

    /// Takes one record. It can't fail: what it does not understand changes nothing.
    ///
    /// Holds: the state is the same for the whole log and for every compacted form of it.
    fn replay(&mut self, offset: Offset, record: &StoredRecord);

    /// After all records were replayed: arms all timers in full, asks for what is missing.
    fn loaded(&self, now: Now, out: &mut Effects<Self>);

    /// About how many bytes of memory the state takes. Must be cheap: asked for after each command.
    fn memory_bytes(&self) -> u64;

    /// Whether a command may make the state take more memory for good: refused while there is none. Must be cheap.
    fn adds(&self, command: &Self::Command) -> bool;
}

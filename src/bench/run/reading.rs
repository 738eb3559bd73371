//! Reading back: every value is held against its lane, and timed where that is asked for.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::sync::Notify;

use super::super::driver::Reader;
use super::lanes::{Chains, Depth};
use super::tally::Tally;
use crate::base::{Error, ErrorKind};
use crate::env::Clock;

/// Records that were written and do not come for this long are lost.
const LOST_AFTER: Duration = Duration::from_secs(10);

/// How much there is to read: told when the writers are done.
#[derive(Debug, Default)]
pub(super) struct Written {
    count: Cell<Option<u64>>,
    told: Notify,
}

impl Written {
    /// Of a number that is known from the start.
    pub(super) fn of(count: u64) -> Self {
        Self { count: Cell::new(Some(count)), told: Notify::new() }
    }

    /// Tells it.
    pub(super) fn tell(&self, count: u64) {
        self.count.set(Some(count));
        self.told.notify_one();
    }
}

/// One pass over what was written.
pub(super) struct Reading<'a> {
    pub(super) clock: &'a dyn Clock,
    pub(super) tally: &'a RefCell<Tally>,
    /// Whether the time from due to read is noted.
    pub(super) is_timed: bool,
    /// How closely values are looked at.
    pub(super) depth: Depth,
}

impl Reading<'_> {
    /// Reads until all that was written has come; `chains` are those of nothing.
    ///
    /// Errors: a value is not the one that was written, or does not come.
    pub(super) async fn run<R: Reader>(
        &self,
        reader: &mut R,
        written: &Written,
        mut chains: Chains,
    ) -> Result<Chains, Error> {
        let mut came_at = self.clock.monotonic();
        while written.count.get().is_none_or(|count| chains.count() < count) {
            let before = chains.count();
            tokio::select! {
                taken = self.take(reader, &mut chains) => taken?,
                () = written.told.notified() => {}
                () = self.clock.sleep(LOST_AFTER) => {}
            }
            let now = self.clock.monotonic();
            if chains.count() > before {
                came_at = now;
                self.tally.borrow_mut().add_read(now, chains.count() - before);
            } else if written.count.get().is_some() && now.saturating_sub(came_at) >= LOST_AFTER {
                return Err(lost(chains.count(), &written.count));
            }
        }
        Ok(chains)
    }

    async fn take<R: Reader>(&self, reader: &mut R, chains: &mut Chains) -> Result<(), Error> {
        let mut wrong = None;
        let mut now = None;
        let each = &mut |partition, offset, value: &[u8]| match chains.add_read(
            (partition, offset),
            value,
            self.depth,
        ) {
            Err(error) => drop(wrong.get_or_insert(error)),
            Ok(stamp) if self.is_timed => {
                let now = *now.get_or_insert_with(|| self.clock.monotonic());
                self.tally.borrow_mut().add_end_to_end(stamp.due, now);
            }
            Ok(_) => {}
        };
        reader.take(each).await?;
        wrong.map_or(Ok(()), Err)
    }
}

fn lost(read: u64, written: &Cell<Option<u64>>) -> Error {
    let written = written.get().unwrap_or_default();
    let message = format!("{read} of {written} records came, and no other for {} s", LOST_AFTER.as_secs());
    Error::new(ErrorKind::DamagedRange, message)
}

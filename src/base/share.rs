//! A fixed share of the memory budget that is waited for in turn: for what can't be refused, only put off.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What portions are counted in, so that all of the memory of a machine has a number of 32 bits.
const UNIT_BYTES: u64 = 1 << 10;

/// A number of bytes that is handed out in portions. Who waits gets its portion in the order of asking, so that a large
/// portion is not passed by small ones for ever.
#[derive(Debug)]
pub struct Share {
    units: Arc<Semaphore>,
    units_max: u32,
    needed: AtomicUsize,
}

impl Share {
    /// A share of `bytes`.
    pub fn new(bytes: u64) -> Arc<Self> {
        let most = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
        let units_max = u32::try_from(bytes / UNIT_BYTES).unwrap_or(most).clamp(1, most);
        let units = Arc::new(Semaphore::new(units_max as usize));
        Arc::new(Self { units, units_max, needed: AtomicUsize::new(0) })
    }

    /// Takes `bytes`, or the whole share where that is less; `None` when they are not there or others wait for them.
    /// Cost: no allocation.
    pub fn try_take(&self, bytes: u64) -> Option<Portion> {
        self.units.clone().try_acquire_many_owned(self.units_of(bytes)).ok().map(Portion)
    }

    /// Waits for its turn to take `bytes`, or the whole share where that is less.
    pub fn take(self: &Arc<Self>, bytes: u64) -> impl Future<Output = Portion> + Send + use<> {
        let (units, count) = (self.units.clone(), self.units_of(bytes));
        async move { Portion(units.acquire_many_owned(count).await.expect("the semaphore is never closed")) }
    }

    /// Makes it known, until the result is dropped, that somebody needs what others hold.
    pub fn be_short(self: &Arc<Self>) -> Shortage {
        self.needed.fetch_add(1, Ordering::Relaxed);
        Shortage(self.clone())
    }

    /// Whether somebody needs what others hold.
    pub fn is_short(&self) -> bool {
        self.needed.load(Ordering::Relaxed) > 0
    }

    /// Bytes taken at this moment.
    pub fn used_bytes(&self) -> u64 {
        (self.units_max as u64).saturating_sub(self.units.available_permits() as u64) * UNIT_BYTES
    }

    fn units_of(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(self.units_max)
    }
}

/// Somebody needs what others hold of a [`Share`].
#[derive(Debug)]
pub struct Shortage(Arc<Share>);

impl Drop for Shortage {
    fn drop(&mut self) {
        self.0.needed.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes of a [`Share`], given back on drop.
#[derive(Debug)]
pub struct Portion(OwnedSemaphorePermit);

impl Portion {
    /// Takes in another portion of the same share.
    pub fn join(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    /// Gives back what is above `bytes`, rounded up to a KiB.
    pub fn shrink_to(&mut self, bytes: u64) {
        let units = usize::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(usize::MAX);
        drop(self.0.split(self.0.num_permits().saturating_sub(units)));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const KIB: u64 = UNIT_BYTES;

    #[test]
    fn portions_come_in_the_order_of_asking() {
        let share = Share::new(10 * KIB);
        let mut held = share.try_take(6 * KIB).expect("there");
        let mut large = Box::pin(share.take(8 * KIB));
        assert!((&mut large).now_or_never().is_none());
        assert!(share.try_take(KIB).is_none(), "the large portion comes first");
        let mut small = Box::pin(share.take(1));
        assert!((&mut small).now_or_never().is_none());
        held.shrink_to(3 * KIB);
        assert!((&mut small).now_or_never().is_none());
        held.shrink_to(2 * KIB);
        let large = large.now_or_never().expect("its turn");
        assert!(small.as_mut().now_or_never().is_none());
        drop(large);
        held.join(small.now_or_never().expect("its turn"));
        assert_eq!(share.used_bytes(), 3 * KIB);
    }

    #[test]
    fn nobody_asks_for_more_than_there_is_and_a_shortage_ends() {
        let share = Share::new(10 * KIB);
        let all = share.try_take(u64::MAX).expect("all of it");
        let shortage = share.be_short();
        assert!(share.is_short());
        drop(shortage);
        assert!(!share.is_short());
        drop(all);
        assert_eq!(share.used_bytes(), 0);
    }
}

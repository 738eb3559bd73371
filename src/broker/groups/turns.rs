//! Those who want something of the group machines have their turn a few at a time.

use tokio::sync::Semaphore;

/// Those who go on in one go. WHY so few: a thousand members join or are answered at once, each of which is work for the shard, and
/// whatever else it has to do would wait behind all of them.
const AT_ONCE: usize = 16;

/// Lets a few go on, then others of the shard, then a few more, in the order in which they came.
pub(super) struct Turns(Semaphore);

impl Default for Turns {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

impl Turns {
    /// Waits for a turn. Cancel safe. Must be polled until it ends, or fewer have one.
    pub(super) async fn take(&self) {
        let turn = self.0.acquire().await.expect("it is never closed");
        tokio::task::yield_now().await;
        drop(turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_crowd_goes_on_a_few_at_a_time_and_in_its_order() {
        let turns = Turns::default();
        let mut crowd: Vec<_> = (0..40).map(|number| (number, Box::pin(turns.take()))).collect();
        let mut went = || {
            let gone = crowd.extract_if(.., |(_, turn)| turn.as_mut().now_or_never().is_some());
            gone.map(|(number, _)| number).collect::<Vec<usize>>()
        };
        let rounds: [Vec<usize>; 5] = std::array::from_fn(|_| went());
        let all = |from: usize, to: usize| (from..to).collect::<Vec<usize>>();
        assert_eq!(rounds, [vec![], all(0, 16), all(16, 32), all(32, 40), vec![]]);
    }
}

//! The pieces of replies that a connection was given and has not sent, so that it knows how long it keeps one.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;

/// How long a piece may stay unread: a slower client than one piece in that time can't be told from one that is gone.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What is under way on one connection.
#[derive(Default)]
pub struct UnderWay {
    pieces: Mutex<Pieces>,
}

#[derive(Default)]
struct Pieces {
    /// When each of them began. At most one for each call, so that looking through them costs little.
    since: Vec<Duration>,
    watcher: Option<Waker>,
}

impl UnderWay {
    /// A piece is under way from `now` on, by the monotonic clock.
    pub fn begin(&self, now: Duration) {
        let watcher = {
            let mut pieces = self.pieces.lock();
            pieces.since.push(now);
            pieces.watcher.take()
        };
        if let Some(watcher) = watcher {
            watcher.wake();
        }
    }

    /// One that began at `since` is sent or dropped.
    pub fn end(&self, since: Duration) {
        let mut pieces = self.pieces.lock();
        if let Some(index) = pieces.since.iter().position(|began| *began == since) {
            pieces.since.swap_remove(index);
        }
    }

    /// When the oldest piece began; while there is none, the next one wakes the caller.
    pub fn poll_oldest(&self, cx: &mut Context<'_>) -> Poll<Duration> {
        let mut pieces = self.pieces.lock();
        match pieces.since.iter().min() {
            Some(oldest) => Poll::Ready(*oldest),
            None => {
                pieces.watcher = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt;
    use futures_util::future::join;

    use super::*;

    #[test]
    fn the_oldest_is_known_in_whatever_order_they_end() {
        let under_way = UnderWay::default();
        let oldest = || poll_fn(|cx| under_way.poll_oldest(cx)).now_or_never().map(|since| since.as_secs());
        assert_eq!(oldest(), None);
        for seconds in [1, 1, 2, 3] {
            under_way.begin(Duration::from_secs(seconds));
        }
        for (ended, left) in [(2, Some(1)), (1, Some(1)), (1, Some(3)), (3, None)] {
            under_way.end(Duration::from_secs(ended));
            assert_eq!(oldest(), left);
        }
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_the_first() {
        let under_way = UnderWay::default();
        let begins = async {
            tokio::task::yield_now().await;
            under_way.begin(Duration::from_secs(7));
        };
        let (oldest, ()) = join(poll_fn(|cx| under_way.poll_oldest(cx)), begins).await;
        assert_eq!(oldest, Duration::from_secs(7));
    }
}

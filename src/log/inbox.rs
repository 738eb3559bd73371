//! Where appends wait until somebody drains the log, and the tickets that tell how they fared.
//!
//! Whoever gets the log's writer with `try_lock` drains the inbox and looks again after unlocking, so that nobody waits for
//! the lock and nothing is left behind. Cost: one allocation for each append.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::errors::AppendError;
use crate::base::budget::Debit;
use crate::base::{LeaderEpoch, Offset, Timestamp};
use crate::record::ValidBatch;

/// Where an append ended up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// Offset of the first record; −1 for a duplicate whose offset is no longer known.
    pub base_offset: Offset,
    /// The append is committed once the high watermark is above this.
    pub last_offset: Offset,
    /// Leadership under which it was appended.
    pub leader_epoch: LeaderEpoch,
    /// Set when the topic uses append time.
    pub append_time: Option<Timestamp>,
    /// Whether the batch had been stored before.
    pub duplicate: bool,
}

/// An append that has no offset yet. Resolves when the batch is written, which is before it is flushed or committed.
#[derive(Debug)]
#[must_use = "the append's outcome is told here"]
pub struct Ticket(Arc<Mutex<Cell>>);

#[derive(Debug, Default)]
struct Cell {
    outcome: Option<Result<Appended, AppendError>>,
    waker: Option<Waker>,
}

impl Ticket {
    /// A ticket that is resolved already.
    pub fn resolved(outcome: Result<Appended, AppendError>) -> Self {
        Self(Arc::new(Mutex::new(Cell { outcome: Some(outcome), waker: None })))
    }

    /// The outcome, when it is known.
    pub fn peek(&self) -> Option<Result<Appended, AppendError>> {
        self.0.lock().outcome.clone()
    }
}

impl Future for Ticket {
    type Output = Result<Appended, AppendError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut cell = self.0.lock();
        match &cell.outcome {
            Some(outcome) => Poll::Ready(outcome.clone()),
            None => {
                cell.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// An append on its way: the batch and the other end of its ticket.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) batch: ValidBatch,
    /// The memory that its bytes take, given back when it is answered: its sender may be gone by then.
    _debit: Option<Arc<Debit>>,
    cell: Arc<Mutex<Cell>>,
}

impl Append {
    pub(super) fn resolve(self, outcome: Result<Appended, AppendError>) {
        let mut cell = self.cell.lock();
        cell.outcome = Some(outcome);
        let waker = cell.waker.take();
        drop(cell);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Appends in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Inbox(Mutex<VecDeque<Append>>);

impl Inbox {
    pub(super) fn put(&self, batch: ValidBatch, debit: Option<Arc<Debit>>) -> Ticket {
        let cell = Arc::new(Mutex::new(Cell::default()));
        self.0.lock().push_back(Append { batch, _debit: debit, cell: cell.clone() });
        Ticket(cell)
    }

    /// Moves up to `most` appends to `out`.
    pub(super) fn take(&self, most: usize, out: &mut Vec<Append>) {
        let mut queue = self.0.lock();
        let count = queue.len().min(most);
        out.extend(queue.drain(..count));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

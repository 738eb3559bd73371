//! Once faults are over, every partition has one owner that has read all of it: rebalances end, and nothing is forgotten (G6).
//!
//! Source: KIP-848, "the group converges"; Jepsen's "unseen".

use super::{Checked, Invariant, ensure};
use crate::event::Event;

#[derive(Default)]
pub(super) struct Handover;

impl Invariant for Handover {
    fn see(&mut self, event: &Event) -> Checked {
        if let Event::Drained { place, owners, lag } = event {
            ensure!(*owners == 1, "{place:?} has {owners} owners when all is quiet");
            ensure!(*lag == 0, "{place:?}: {lag} records are never read");
        }
        Ok(())
    }
}

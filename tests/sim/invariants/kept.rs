//! A member is not told to let go of what it is to keep, and is told before it loses what it is not.
//!
//! Source: KIP-848, incremental reconciliation; "members that keep a partition never stop reading it".

use super::{Checked, Invariant, ensure};
use crate::event::Event;

#[derive(Default)]
pub(super) struct Kept;

impl Invariant for Kept {
    fn see(&mut self, event: &Event) -> Checked {
        match event {
            Event::Revoked { place, member, is_target } => {
                ensure!(!is_target, "{member} is to let go of {place:?}, which it is to own");
                Ok(())
            }
            Event::Lost { place, member } => Err(format!("{member} loses {place:?} and was not asked")),
            _ => Ok(()),
        }
    }
}

//! What a coordinator knows is what all records of its log come to, also after restarts and compactions.
//!
//! Source: Kafka's `CoordinatorLoader`; `coordinator/shard.rs`.

use super::{Checked, Invariant, ensure};
use crate::event::Event;

#[derive(Default)]
pub(super) struct Replay;

impl Invariant for Replay {
    fn see(&mut self, event: &Event) -> Checked {
        if let Event::Compared { live, history } = event {
            ensure!(live == history, "the coordinator knows\n  {live}\nand its history is\n  {history}");
        }
        Ok(())
    }
}

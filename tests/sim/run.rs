//! One run from a seed.

use std::collections::BTreeMap;

use crate::rules::SimRule;
use crate::world::{Breach, Stepped, World};

/// Steps of a run, at least; as many again at most.
const STEPS: usize = 250;

/// What came of a run.
pub(super) struct Outcome {
    /// The same for the same story.
    pub(super) hash: u64,
    pub(super) lines: u64,
    pub(super) faults: BTreeMap<&'static str, u64>,
    pub(super) breach: Option<Breach>,
}

/// Runs a world.
pub(super) fn run(seed: u64, rule: Option<SimRule>, is_printed: bool) -> Outcome {
    let mut world = World::new(seed, rule, is_printed);
    let breach = live(&mut world).err();
    Outcome { hash: world.trace.hash(), lines: world.trace.lines(), faults: world.faults, breach }
}

fn live(world: &mut World) -> Stepped {
    let known = world.draw_faults();
    let steps = STEPS + world.below(STEPS);
    let one_in = 10 + world.below(60);
    world.start_broker()?;
    for _ in 0..steps {
        if world.one_in(one_in) {
            world.fail(&known)?;
        }
        world.act()?;
        world.notice_death();
    }
    world.drain()
}

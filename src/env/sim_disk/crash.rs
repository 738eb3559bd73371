//! What is left of a [`SimDisk`] after a killed process or a power cut.

use std::sync::Arc;

use super::SimDisk;
use super::state::{State, Unit};

/// Which waiting units a power cut keeps: bit or entry `i` is for unit `i`.
type Kept = Vec<bool>;

impl SimDisk {
    /// How many units wait for a sync.
    pub fn pending(&self) -> usize {
        self.state.lock().pending.len()
    }

    /// The disk as a new process finds it after this one was killed: everything that was written is there, and what
    /// waits for a sync still waits. Planned faults are gone, ignored rules stay. This disk is not changed.
    pub fn kill(&self) -> Self {
        Self::from_state(self.state.lock().restarted())
    }

    /// The same with the planned faults, for a scenario that is run again and again.
    pub(super) fn fork(&self) -> Self {
        let state = self.state.lock();
        Self::from_state(State { faults: state.faults.clone(), ..state.restarted() })
    }

    /// The disk after a power cut that kept the waiting units for which `keep` holds, each in its order, and lost the
    /// others. With `torn_sectors`, of the last kept block only so many sectors arrived. This disk is not changed.
    pub fn crash(&self, keep: impl Fn(usize) -> bool, torn_sectors: Option<usize>) -> Self {
        let mut before = self.state.lock().restarted();
        let units = std::mem::take(&mut before.pending);
        let kept: Kept = (0..units.len()).map(keep).collect();
        Self::from_state(crashed(&before, &units, &kept, torn_sectors))
    }

    /// What a power cut may leave now: every subset of the waiting units when there are at most `limit_units`, else
    /// none, all, and `random_states` drawn from `seed`, half of them prefixes. Each also with its last block torn in
    /// the middle, where it spans more than a sector.
    pub fn crash_states(
        &self,
        limit_units: usize,
        random_states: u32,
        seed: u64,
    ) -> impl Iterator<Item = SimDisk> + use<> {
        let mut before = self.state.lock().restarted();
        let units = std::mem::take(&mut before.pending);
        let sector_bytes = before.options.sector_bytes;
        selections(units.len(), limit_units, random_states, seed).flat_map(move |kept| {
            let whole = crashed(&before, &units, &kept, None);
            let half = half_of_last_block(&units, &kept, sector_bytes);
            let torn = half.map(|half| crashed(&before, &units, &kept, Some(half)));
            std::iter::once(whole).chain(torn).map(Self::from_state)
        })
    }
}

/// The subsets that are tried.
fn selections(units: usize, limit: usize, random: u32, seed: u64) -> Box<dyn Iterator<Item = Kept>> {
    assert!(limit < 32, "all subsets of {limit} units are too many");
    if units <= limit {
        return Box::new(
            (0..1u64 << units).map(move |mask| (0..units).map(|i| mask >> i & 1 == 1).collect()),
        );
    }
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut draws: Vec<Kept> = vec![vec![false; units], vec![true; units]];
    for number in 0..random {
        // Every other one is a prefix, as when the device was only slow.
        let len = rng.usize(0..=units);
        let draw = (0..units).map(|i| if number % 2 == 0 { i < len } else { rng.bool() });
        draws.push(draw.collect());
    }
    Box::new(draws.into_iter())
}

/// Carries the kept units to the device, and forgets everything else.
fn crashed(before: &State, units: &[Unit], kept: &[bool], torn_sectors: Option<usize>) -> State {
    debug_assert!(before.pending.is_empty(), "what waits is given apart");
    let mut state = before.clone();
    let torn = torn_sectors.and_then(|sectors| Some((last_block(units, kept)?, sectors)));
    for (index, unit) in units.iter().enumerate().filter(|(index, _)| kept[*index]) {
        match torn {
            Some((at, sectors)) if at == index => {
                state.apply(&tear(unit, sectors, before.options.sector_bytes))
            }
            _ => state.apply(unit),
        }
    }
    let reachable = state.reachable(|dir| &dir.durable);
    state.files.retain(|inode, _| reachable.contains(inode));
    state.dirs.retain(|inode, _| reachable.contains(inode));
    state.files.values_mut().for_each(|body| body.current = Arc::clone(&body.durable));
    state.dirs.values_mut().for_each(|body| body.current = body.durable.clone());
    state
}

fn last_block(units: &[Unit], kept: &[bool]) -> Option<usize> {
    (0..units.len()).rev().find(|index| kept[*index] && matches!(units[*index], Unit::Block { .. }))
}

/// How many bytes the first `sectors` sectors hold of a unit, which may begin within a sector.
fn torn_bytes(position: u64, len: usize, sectors: usize, sector_bytes: usize) -> usize {
    let lead = (position % sector_bytes as u64) as usize;
    (sectors * sector_bytes).saturating_sub(lead).min(len)
}

fn tear(unit: &Unit, sectors: usize, sector_bytes: usize) -> Unit {
    match unit {
        Unit::Block { file, position, bytes } => {
            let count = torn_bytes(*position, bytes.len(), sectors, sector_bytes);
            Unit::Block { file: *file, position: *position, bytes: bytes[..count].into() }
        }
        whole => whole.clone(),
    }
}

/// The number of sectors that tears the last kept block in the middle, if it spans more than one.
fn half_of_last_block(units: &[Unit], kept: &[bool], sector_bytes: usize) -> Option<usize> {
    let Unit::Block { position, bytes, .. } = &units[last_block(units, kept)?] else {
        return None;
    };
    let sector = sector_bytes as u64;
    let sectors = (position + bytes.len() as u64).div_ceil(sector) - position / sector;
    (sectors > 1).then_some((sectors / 2) as usize)
}

//! What must hold whatever happens: one property a file, each with its source. They see events and nothing else.

mod commits;
mod compaction;
mod delivery;
mod durable_commits;
mod handover;
mod kept;
mod order;
mod owners;
mod records;
mod repeats;
mod replay;
mod sessions;
#[cfg(test)]
mod tests;

pub(super) use compaction::is_tombstone;

use super::event::Event;

/// `Err` is a sentence about what does not hold.
pub(super) type Checked = Result<(), String>;

/// A property of every run.
pub(super) trait Invariant {
    /// Takes what happened next.
    fn see(&mut self, event: &Event) -> Checked;
}

/// Gives up with a sentence where something does not hold.
macro_rules! ensure {
    ($holds:expr, $($what:tt)*) => {
        if !$holds {
            return Err(format!($($what)*));
        }
    };
}
use ensure;

/// All properties, each with its name.
pub(super) struct Invariants(Vec<(&'static str, Box<dyn Invariant>)>);

impl Invariants {
    /// Those of a run that begins.
    pub(super) fn new() -> Self {
        Self(vec![
            ("records", Box::<records::Records>::default()),
            ("compaction", Box::<compaction::Compaction>::default()),
            ("owners", Box::<owners::Owners>::default()),
            ("commits", Box::<commits::Commits>::default()),
            ("durable commits", Box::<durable_commits::DurableCommits>::default()),
            ("replay", Box::<replay::Replay>::default()),
            ("delivery", Box::<delivery::Delivery>::default()),
            ("order", Box::<order::Order>::default()),
            ("repeats", Box::<repeats::Repeats>::default()),
            ("kept", Box::<kept::Kept>::default()),
            ("sessions", Box::<sessions::Sessions>::default()),
            ("handover", Box::<handover::Handover>::default()),
        ])
    }

    /// Names of all of them.
    pub(super) fn names() -> Vec<&'static str> {
        Self::new().0.into_iter().map(|(name, _)| name).collect()
    }

    /// Shows all of them what happened.
    ///
    /// Errors: the name of the first that does not hold, and what it says.
    pub(super) fn see(&mut self, event: &Event) -> Result<(), (&'static str, String)> {
        self.0.iter_mut().try_for_each(|(name, invariant)| invariant.see(event).map_err(|what| (*name, what)))
    }
}

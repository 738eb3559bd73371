//! Named timers that go off by the time they are told, not by a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Timers by name. All times are those of [`Now::monotonic`](super::Now).
///
/// Holds: a name has one timer at most; timers go off in the order of their times, those of one moment by name.
#[derive(Clone, Debug)]
pub struct Timers<T> {
    /// When each goes off.
    by_name: BTreeMap<T, Duration>,
    by_time: BTreeSet<(Duration, T)>,
}

impl<T: Clone + Ord> Timers<T> {
    /// No timer runs.
    pub fn new() -> Self {
        Self { by_name: BTreeMap::new(), by_time: BTreeSet::new() }
    }

    /// Goes off at `time`; one of that name that runs is replaced. Cost: logarithmic, as everywhere here.
    pub fn arm(&mut self, name: T, time: Duration) {
        self.cancel(&name);
        self.by_time.insert((time, name.clone()));
        self.by_name.insert(name, time);
        debug_assert_eq!(self.by_name.len(), self.by_time.len());
    }

    /// Does not go off. Returns whether it ran.
    pub fn cancel(&mut self, name: &T) -> bool {
        let Some(time) = self.by_name.remove(name) else { return false };
        let was_there = self.by_time.remove(&(time, name.clone()));
        debug_assert!(was_there, "both sides hold the same timers");
        true
    }

    /// When the next one goes off.
    pub fn next(&self) -> Option<Duration> {
        self.by_time.first().map(|(time, _)| *time)
    }

    /// Takes one that is due at `now`.
    pub fn pop_due(&mut self, now: Duration) -> Option<T> {
        if self.next()? > now {
            return None;
        }
        let (_, name) = self.by_time.pop_first()?;
        self.by_name.remove(&name);
        Some(name)
    }

    /// How many run.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether none runs.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

impl<T: Clone + Ord> Default for Timers<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[derive(Clone, Debug)]
    enum Step {
        Arm(u8, u64),
        Cancel(u8),
        Pass(u64),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u8..6, 0u64..100).prop_map(|(name, after)| Step::Arm(name, after)),
            (0u8..6).prop_map(Step::Cancel),
            (0u64..60).prop_map(Step::Pass),
        ]
    }

    proptest! {
        #[test]
        fn they_go_off_as_a_plain_list_would(steps in proptest::collection::vec(any_step(), 0..60)) {
            let mut timers = Timers::new();
            let mut list: Vec<(u64, u8)> = Vec::new();
            let mut now = 0;
            for step in steps {
                match step {
                    Step::Arm(name, after) => {
                        timers.arm(name, ms(now + after));
                        list.retain(|(_, other)| *other != name);
                        list.push((now + after, name));
                    }
                    Step::Cancel(name) => {
                        prop_assert_eq!(timers.cancel(&name), list.iter().any(|(_, other)| *other == name));
                        list.retain(|(_, other)| *other != name);
                    }
                    Step::Pass(time) => now += time,
                }
                list.sort_unstable();
                prop_assert_eq!(timers.next(), list.first().map(|(time, _)| ms(*time)));
                while let Some(name) = timers.pop_due(ms(now)) {
                    let (time, expected) = list.remove(0);
                    prop_assert!(time <= now);
                    prop_assert_eq!(name, expected);
                }
                prop_assert!(list.first().is_none_or(|(time, _)| *time > now));
                prop_assert_eq!(timers.len(), list.len());
            }
        }
    }
}

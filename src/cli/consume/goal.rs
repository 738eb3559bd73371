//! When a consume is over: by position, so that gaps, empty and trimmed partitions end it as well. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::Offset;

/// A partition of a topic.
type Place = (Arc<str>, i32);

/// How far a partition is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Reach {
    /// First offset to read.
    pub(super) from: Offset,
    /// First offset not to read any more; `None` never ends.
    pub(super) stop: Option<Offset>,
    /// The end when the command started.
    pub(super) end: Offset,
}

/// What a record or position means for the whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Go on.
    On,
    /// Every partition has now been read to the end that it had at the start; they go on all the same.
    CaughtUp,
    /// Every partition is where it was to be read to.
    Over,
}

/// The reaches of all partitions, and which of them are not reached yet.
#[derive(Debug)]
pub(super) struct Goal {
    reaches: HashMap<Place, Reach>,
    /// Partitions before their stop.
    unfinished: usize,
    /// Partitions before the end that they had at the start.
    behind: usize,
    endless: bool,
}

impl Goal {
    /// Of these partitions. They are all at their `from`.
    pub(super) fn new(partitions: impl IntoIterator<Item = (Arc<str>, i32, Reach)>) -> Self {
        let reaches: HashMap<Place, Reach> =
            partitions.into_iter().map(|(topic, partition, reach)| ((topic, partition), reach)).collect();
        let unfinished = reaches.values().filter(|reach| !reach.is_over()).count();
        let behind = reaches.values().filter(|reach| reach.from < reach.end).count();
        let endless = reaches.values().any(|reach| reach.stop.is_none());
        Self { reaches, unfinished, behind, endless }
    }

    /// What the beginning itself means.
    pub(super) fn begin(&self) -> Step {
        if self.unfinished == 0 {
            Step::Over
        } else if self.behind == 0 && self.endless {
            Step::CaughtUp
        } else {
            Step::On
        }
    }

    /// How many partitions there are.
    pub(super) fn partition_count(&self) -> usize {
        self.reaches.len()
    }

    /// Whether a record is before its partition's stop.
    pub(super) fn wants(&self, topic: &Arc<str>, partition: i32, offset: Offset) -> bool {
        let reach = self.reaches.get(&(topic.clone(), partition));
        reach.is_some_and(|reach| reach.stop.is_none_or(|stop| offset < stop))
    }

    /// The reader of a partition is now at `position`: everything below was read, or is not there.
    pub(super) fn advance(&mut self, topic: &Arc<str>, partition: i32, position: Offset) -> Step {
        let Some(reach) = self.reaches.get_mut(&(topic.clone(), partition)) else { return Step::On };
        let before = *reach;
        reach.from = reach.from.max(position);
        let finishes = !before.is_over() && reach.is_over();
        let catches_up = before.from < before.end && reach.from >= reach.end;
        self.unfinished -= usize::from(finishes);
        self.behind -= usize::from(catches_up);
        if self.unfinished == 0 {
            Step::Over
        } else if catches_up && self.behind == 0 && self.endless {
            Step::CaughtUp
        } else {
            Step::On
        }
    }

    /// A partition failed for good: nothing more comes from it.
    pub(super) fn give_up(&mut self, topic: &Arc<str>, partition: i32) -> Step {
        let Some(reach) = self.reaches.remove(&(topic.clone(), partition)) else { return Step::On };
        self.unfinished -= usize::from(!reach.is_over());
        self.behind -= usize::from(reach.from < reach.end);
        if self.unfinished == 0 { Step::Over } else { Step::On }
    }
}

impl Reach {
    /// Whether nothing is left to read.
    pub(super) fn is_over(&self) -> bool {
        self.stop.is_some_and(|stop| self.from >= stop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goal(reaches: &[(i64, Option<i64>, i64)]) -> Goal {
        let reach = |(partition, (from, stop, end)): (i32, &(i64, Option<i64>, i64))| {
            ("t".into(), partition, Reach { from: *from, stop: *stop, end: *end })
        };
        Goal::new((0..).zip(reaches).map(reach))
    }

    fn topic() -> Arc<str> {
        "t".into()
    }

    #[test]
    fn empty_and_trimmed_partitions_are_over_at_once() {
        assert_eq!(goal(&[(0, Some(0), 0), (7, Some(7), 7)]).begin(), Step::Over);
        assert_eq!(goal(&[(9, Some(7), 7)]).begin(), Step::Over, "an absolute offset behind the end");
    }

    #[test]
    fn a_gap_at_the_end_is_passed_by_position() {
        let mut goal = goal(&[(0, Some(10), 10), (0, Some(0), 0)]);
        assert_eq!(goal.begin(), Step::On);
        assert_eq!(goal.advance(&topic(), 0, 6), Step::On);
        assert_eq!(goal.advance(&topic(), 0, 10), Step::Over);
    }

    #[test]
    fn records_behind_the_stop_are_not_wanted() {
        let goal = goal(&[(0, Some(10), 10), (0, None, 5)]);
        assert!(goal.wants(&topic(), 0, 9));
        assert!(!goal.wants(&topic(), 0, 10));
        assert!(goal.wants(&topic(), 1, 1_000));
        assert!(!goal.wants(&topic(), 2, 0), "not a partition of this command");
    }

    #[test]
    fn a_follower_catches_up_once() {
        let mut goal = goal(&[(0, None, 5), (5, None, 5)]);
        assert_eq!(goal.begin(), Step::On);
        assert_eq!(goal.advance(&topic(), 0, 5), Step::CaughtUp);
        assert_eq!(goal.advance(&topic(), 0, 6), Step::On);
        assert_eq!(goal.advance(&topic(), 1, 6), Step::On);
    }

    #[test]
    fn a_follower_at_the_end_waits_from_the_beginning() {
        assert_eq!(goal(&[(5, None, 5)]).begin(), Step::CaughtUp);
    }

    #[test]
    fn a_lost_partition_keeps_nobody_waiting() {
        let mut goal = goal(&[(0, Some(5), 5), (0, Some(5), 5)]);
        assert_eq!(goal.give_up(&topic(), 1), Step::On);
        assert_eq!(goal.give_up(&topic(), 1), Step::On);
        assert_eq!(goal.advance(&topic(), 0, 5), Step::Over);
    }

    #[test]
    fn positions_never_go_back() {
        let mut goal = goal(&[(0, Some(5), 5)]);
        assert_eq!(goal.advance(&topic(), 0, 4), Step::On);
        assert_eq!(goal.advance(&topic(), 0, 1), Step::On);
        assert_eq!(goal.advance(&topic(), 0, 5), Step::Over);
        assert_eq!(goal.advance(&topic(), 0, 2), Step::Over, "what was reached stays reached");
        assert_eq!(goal.advance(&topic(), 0, 9), Step::Over);
    }
}

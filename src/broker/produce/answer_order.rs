//! Keeps answers in order per partition while partitions overtake one another.

use std::collections::{HashMap, VecDeque};

use crate::base::TopicPartition;

/// Answers that wait for those before them in one of their partitions. Numbers are given by the caller and rise.
#[derive(Debug)]
pub struct AnswerOrder<A> {
    lanes: HashMap<TopicPartition, VecDeque<u64>>,
    waiting: HashMap<u64, Waiting<A>>,
}

#[derive(Debug)]
struct Waiting<A> {
    partitions: Vec<TopicPartition>,
    /// In how many of its partitions another answer comes first.
    held_by: usize,
    answer: Option<A>,
}

impl<A> Default for AnswerOrder<A> {
    fn default() -> Self {
        Self { lanes: HashMap::new(), waiting: HashMap::new() }
    }
}

impl<A> AnswerOrder<A> {
    /// Notes a request whose answer has to keep its place in these partitions.
    pub fn enter(&mut self, number: u64, partitions: impl Iterator<Item = TopicPartition>) {
        let mut entered = Vec::new();
        let mut held_by = 0;
        for partition in partitions {
            let lane = self.lanes.entry(partition).or_default();
            if lane.back() == Some(&number) {
                continue;
            }
            held_by += usize::from(!lane.is_empty());
            lane.push_back(number);
            entered.push(partition);
        }
        self.waiting.insert(number, Waiting { partitions: entered, held_by, answer: None });
    }

    /// Takes the answer to a request, and gives all answers that may go out now, in their order.
    ///
    /// Panics: when the request was not entered, or answered before.
    pub fn finish(&mut self, number: u64, answer: A) -> Vec<A> {
        let waiting = self.waiting.get_mut(&number).expect("a request is entered before it is answered");
        assert!(waiting.answer.is_none(), "a request is answered once");
        waiting.answer = Some(answer);
        let mut ready = VecDeque::from([number]);
        let mut released = Vec::new();
        while let Some(number) = ready.pop_front() {
            released.extend(self.release(number, &mut ready));
        }
        released
    }

    /// Lets an answer go if nothing holds it, and adds those that waited for it alone to `ready`.
    fn release(&mut self, number: u64, ready: &mut VecDeque<u64>) -> Option<A> {
        let is_free = |waiting: &Waiting<A>| waiting.held_by == 0 && waiting.answer.is_some();
        if !self.waiting.get(&number).is_some_and(is_free) {
            return None;
        }
        let Waiting { partitions, answer, .. } = self.waiting.remove(&number)?;
        for partition in partitions {
            let lane = self.lanes.get_mut(&partition).expect("entered lanes stay");
            assert_eq!(
                lane.pop_front(),
                Some(number),
                "an answer that nothing holds is the first of its lanes"
            );
            if let Some(next) = lane.front() {
                let waiting = self.waiting.get_mut(next).expect("what stands in a lane is waiting");
                waiting.held_by -= 1;
                ready.push_back(*next);
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::TopicId;

    fn lane(partition: i32) -> TopicPartition {
        TopicPartition { topic_id: TopicId([0; 16]), partition }
    }

    #[test]
    fn partitions_overtake_one_another_but_not_themselves() {
        let mut order = AnswerOrder::default();
        order.enter(1, [lane(0)].into_iter());
        order.enter(2, [lane(1)].into_iter());
        order.enter(3, [lane(0), lane(1), lane(0)].into_iter());
        order.enter(4, std::iter::empty());
        assert_eq!(order.finish(4, "d"), ["d"], "what went to no partition waits for nobody");
        assert_eq!(order.finish(3, "c"), [""; 0]);
        assert_eq!(order.finish(2, "b"), ["b"]);
        assert_eq!(order.finish(1, "a"), ["a", "c"]);
        assert!(order.waiting.is_empty());
    }

    proptest! {
        #[test]
        fn every_answer_goes_out_once_and_in_order(
            requests in proptest::collection::vec(proptest::collection::vec(0..4i32, 0..4), 1..30),
            seed in any::<u64>(),
        ) {
            let mut order = AnswerOrder::default();
            for (number, partitions) in requests.iter().enumerate() {
                order.enter(number as u64, partitions.iter().map(|partition| lane(*partition)));
            }
            let mut numbers: Vec<usize> = (0..requests.len()).collect();
            fastrand::Rng::with_seed(seed).shuffle(&mut numbers);
            let out: Vec<usize> =
                numbers.into_iter().flat_map(|number| order.finish(number as u64, number)).collect();
            prop_assert_eq!(out.len(), requests.len());
            for partition in 0..4 {
                let of_lane: Vec<usize> =
                    out.iter().copied().filter(|number| requests[*number].contains(&partition)).collect();
                prop_assert!(of_lane.is_sorted());
            }
        }
    }
}

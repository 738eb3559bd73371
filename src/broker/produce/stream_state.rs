//! What a produce stream keeps in mind so that a failed item is never overtaken by a later one.
//!
//! A producer id gives order by its sequences. Without one, and with an answer asked for, the stream keeps it: after
//! a failed item, later items of that partition fail too (PRECEDING_FAILED) until a request says `resume`. An item
//! that named no partition and failed before one was chosen stands for all of its topic.

use std::collections::{HashMap, HashSet};
use std::future::Future;

use crate::base::{Error, ErrorKind};

/// Failed partitions that one stream remembers one by one; beyond, all of its items fail until `resume`, so that a
/// client that names ever new topics takes no memory.
const FAILED_LANES_MAX: usize = 1_000;

/// Failed partitions of one stream, and the appends whose end it does not know yet. `T` resolves to whether the append
/// was written.
#[derive(Debug)]
pub struct ProduceStream<T> {
    failed: HashSet<Lane>,
    unsettled: HashMap<Lane, T>,
}

/// A partition of a topic by name, or the whole topic.
type Lane = (String, Option<i32>);

impl<T> Default for ProduceStream<T> {
    fn default() -> Self {
        Self { failed: HashSet::new(), unsettled: HashMap::new() }
    }
}

impl<T: Future<Output = bool> + Unpin> ProduceStream<T> {
    /// Lifts every failure: what failed before is settled as far as the producer is concerned.
    pub fn resume(&mut self) {
        self.failed.clear();
        self.unsettled.clear();
    }

    /// Waits until the fate of the last item of this partition is known, and refuses the next one if it failed.
    ///
    /// Cost: nothing while nothing failed and every append was written at once.
    /// Errors: PRECEDING_FAILED, not written.
    pub async fn admit(&mut self, topic: &str, partition: Option<i32>) -> Result<(), Error> {
        if self.failed.is_empty() && self.unsettled.is_empty() {
            return Ok(());
        }
        let lane = (topic.to_owned(), partition);
        if let Some(append) = self.unsettled.remove(&lane)
            && !append.await
        {
            self.failed.insert(lane.clone());
        }
        match self.is_failed(lane) {
            true => Err(preceding_failed(topic, partition)),
            false => Ok(()),
        }
    }

    fn is_failed(&self, lane: Lane) -> bool {
        self.failed.len() >= FAILED_LANES_MAX
            || self.failed.contains(&lane)
            || self.failed.contains(&(lane.0, None))
    }

    /// Notes that an item of this partition was not written, or perhaps not.
    pub fn fail(&mut self, topic: &str, partition: Option<i32>) {
        if self.failed.len() < FAILED_LANES_MAX {
            self.failed.insert((topic.to_owned(), partition));
        }
    }

    /// Notes an append whose end is not known yet.
    pub fn watch(&mut self, topic: &str, partition: i32, append: T) {
        self.unsettled.insert((topic.to_owned(), Some(partition)), append);
    }
}

fn preceding_failed(topic: &str, partition: Option<i32>) -> Error {
    let kind = ErrorKind::PrecedingFailed;
    let place = match partition {
        Some(partition) => format!("partition {partition} of topic '{topic}'"),
        None => format!("topic '{topic}'"),
    };
    let what = "an earlier item of this stream failed";
    let error = Error::new(kind, format!("{place}: {what}; {}", kind.row().advice)).with("topic", topic);
    match partition {
        Some(partition) => error.with("partition", partition),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};

    use futures_util::FutureExt;

    use super::*;

    fn admitted(stream: &mut ProduceStream<Ready<bool>>, topic: &str, partition: Option<i32>) -> bool {
        let outcome = stream.admit(topic, partition).now_or_never().expect("nothing to wait for");
        outcome.map_err(|error| assert_eq!(error.kind, ErrorKind::PrecedingFailed)).is_ok()
    }

    #[test]
    fn a_failure_stops_its_partition_alone_until_resume() {
        let mut stream = ProduceStream::default();
        assert!(admitted(&mut stream, "a", Some(0)));
        stream.fail("a", Some(0));
        assert!(!admitted(&mut stream, "a", Some(0)));
        assert!(!admitted(&mut stream, "a", Some(0)), "it stays failed");
        assert!(admitted(&mut stream, "a", Some(1)));
        assert!(admitted(&mut stream, "b", Some(0)));
        stream.resume();
        assert!(admitted(&mut stream, "a", Some(0)));
    }

    #[test]
    fn a_failure_without_partition_stops_the_topic() {
        let mut stream = ProduceStream::default();
        stream.fail("a", None);
        assert!(!admitted(&mut stream, "a", Some(4)));
        assert!(!admitted(&mut stream, "a", None));
        assert!(admitted(&mut stream, "b", None));
    }

    #[test]
    fn the_next_item_waits_for_the_fate_of_the_last() {
        let mut stream = ProduceStream::default();
        stream.watch("a", 0, ready(true));
        assert!(admitted(&mut stream, "a", Some(0)));
        stream.watch("a", 0, ready(false));
        assert!(admitted(&mut stream, "a", Some(1)), "another partition does not care");
        assert!(!admitted(&mut stream, "a", Some(0)));
        assert!(!admitted(&mut stream, "a", Some(0)));
    }

    #[test]
    fn what_failed_before_resume_is_forgotten_even_when_it_becomes_known_later() {
        let mut stream = ProduceStream::default();
        stream.watch("a", 0, ready(false));
        stream.resume();
        assert!(admitted(&mut stream, "a", Some(0)));
    }

    #[test]
    fn ever_new_topics_take_no_memory_and_no_failure_is_forgotten() {
        let mut stream = ProduceStream::default();
        for number in 0..FAILED_LANES_MAX + 5 {
            stream.fail(&format!("t{number}"), None);
        }
        assert_eq!(stream.failed.len(), FAILED_LANES_MAX);
        assert!(!admitted(&mut stream, &format!("t{}", FAILED_LANES_MAX + 4), Some(0)));
        stream.resume();
        assert!(admitted(&mut stream, "t0", Some(0)));
    }

    #[test]
    fn an_append_without_end_holds_its_partition_back() {
        let mut stream = ProduceStream::default();
        stream.watch("a", 0, futures_util::future::pending());
        assert!(stream.admit("a", Some(0)).now_or_never().is_none());
        assert!(stream.admit("a", Some(1)).now_or_never().is_some());
    }
}

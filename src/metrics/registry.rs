//! What is counted while requests run, and where.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::counter::{Counter, Gauge, Histogram};
use super::rates::{Counts, Rate};
use crate::base::error::KINDS;
use crate::base::{ErrorKind, TopicId};

/// Topics that have series of their own; all others share one. WHY: each series costs whoever keeps them some KiB of memory,
/// and a thousand topics are more than any dashboard shows.
pub const TOPICS_MAX: usize = 1_000;

/// Name of the series that all other topics share: no topic can be called so.
pub const OTHER_TOPICS: &str = "(others)";

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word in labels.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

words! {
    /// A method of gRPC.
    Method {
        /// Writes records, one request.
        Produce "Produce",
        /// Writes records; each message counts as a request.
        ProduceStream "ProduceStream",
        /// Reads records.
        Fetch "Fetch",
        /// Follows records; each answer counts as a request.
        Tail "Tail",
        /// Reads with a group; each message with records counts as a request.
        Consume "Consume",
        /// Tells that a member lives.
        Heartbeat "Heartbeat",
        /// Ends a membership.
        LeaveGroup "LeaveGroup",
        /// Keeps offsets.
        CommitOffsets "CommitOffsets",
        /// Tells committed offsets.
        GetOffsets "GetOffsets",
        /// Lists groups.
        ListGroups "ListGroups",
        /// Describes a group.
        GetGroup "GetGroup",
        /// Sets offsets of an empty group.
        ResetOffsets "ResetOffsets",
        /// Deletes a group.
        DeleteGroup "DeleteGroup",
        /// Deletes offsets of a group.
        DeleteOffsets "DeleteOffsets",
        /// Looks offsets up.
        ListOffsets "ListOffsets",
        /// Gives a producer id.
        InitProducer "InitProducer",
        /// Makes a topic.
        CreateTopic "CreateTopic",
        /// Describes a topic.
        GetTopic "GetTopic",
        /// Describes topics.
        ListTopics "ListTopics",
        /// Changes a topic.
        UpdateTopic "UpdateTopic",
        /// Deletes a topic.
        DeleteTopic "DeleteTopic",
        /// Removes records.
        TrimTopic "TrimTopic",
        /// Lists config keys.
        ListConfigKeys "ListConfigKeys",
        /// Lists segments.
        ListSegments "ListSegments",
        /// Tells what runs here.
        GetCluster "GetCluster",
        /// Tells how to route.
        GetMetadata "GetMetadata",
        /// Tells how the broker fares.
        GetStats "GetStats",
        /// Health, reflection, and what does not exist.
        Other "Other",
    }
}

words! {
    /// What a connection speaks.
    Protocol {
        /// HTTP/2 with gRPC.
        Grpc "grpc",
        /// HTTP/1.1.
        Http "http",
    }
}

words! {
    /// Why a connection was refused.
    Refusal {
        /// `max.connections` is reached.
        Connections "max_connections",
        /// `memory.bytes` is used up.
        Memory "memory",
    }
}

impl Method {
    /// The method of a path such as `/weir.v1.ProducerService/Produce`.
    pub fn of_path(path: &str) -> Self {
        let name = path.strip_prefix("/weir.v1.").and_then(|rest| rest.split_once('/')).map(|(_, name)| name);
        let found = name.and_then(|name| Self::ALL.iter().find(|method| method.word() == name));
        found.copied().unwrap_or(Self::Other)
    }

    /// Whether the messages of a call are counted, not the call.
    pub fn is_stream(self) -> bool {
        matches!(self, Self::ProduceStream | Self::Tail | Self::Consume)
    }
}

/// One for each word of a table. WHY not an array by itself: those of over 32 have no default.
#[derive(Debug)]
struct Each<T, const N: usize>([T; N]);

impl<T: Default, const N: usize> Default for Each<T, N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| T::default()))
    }
}

/// What the doors and the broker count.
#[derive(Debug, Default)]
pub struct Counters {
    requests: Each<Counter, { Method::ALL.len() }>,
    durations: Each<Histogram, { Method::ALL.len() }>,
    open_streams: Each<Gauge, { Method::ALL.len() }>,
    errors: Each<Counter, { KINDS.len() }>,
    connections: Each<Gauge, { Protocol::ALL.len() }>,
    accepted: Each<Counter, { Protocol::ALL.len() }>,
    refused: Each<Counter, { Refusal::ALL.len() }>,
    /// Records and bytes of all topics, deleted ones too.
    pub traffic: TopicCounters,
}

impl Counters {
    /// Requests of a method.
    pub fn requests(&self, method: Method) -> &Counter {
        &self.requests.0[method as usize]
    }

    /// How long requests of a method took until they were answered.
    pub fn durations(&self, method: Method) -> &Histogram {
        &self.durations.0[method as usize]
    }

    /// Calls of a streaming method that are open.
    pub fn open_streams(&self, method: Method) -> &Gauge {
        &self.open_streams.0[method as usize]
    }

    /// Errors that clients were told.
    pub fn errors(&self, kind: ErrorKind) -> &Counter {
        &self.errors.0[kind as usize]
    }

    /// Connections that are open.
    pub fn connections(&self, protocol: Protocol) -> &Gauge {
        &self.connections.0[protocol as usize]
    }

    /// Connections that have begun to speak.
    pub fn accepted(&self, protocol: Protocol) -> &Counter {
        &self.accepted.0[protocol as usize]
    }

    /// Connections that were refused.
    pub fn refused(&self, why: Refusal) -> &Counter {
        &self.refused.0[why as usize]
    }
}

/// What logs count.
#[derive(Debug, Default)]
pub struct LogCounters {
    /// Batches that were written.
    pub appends: Counter,
    /// Their bytes.
    pub append_bytes: Counter,
    /// Rounds of syncs.
    pub sync_rounds: Histogram,
    /// Logs that went offline because a sync failed.
    pub sync_failures: Counter,
    /// Passes of compaction that came to their end.
    pub compaction_passes: Counter,
    /// Passes that were given up.
    pub compaction_failures: Counter,
    /// Bytes that passes have read.
    pub compaction_read_bytes: Counter,
    /// Bytes that passes have written.
    pub compaction_written_bytes: Counter,
    /// Records that passes have removed.
    pub compaction_removed_records: Counter,
    /// Bytes of compacted logs that may be cleaned and are not, at the last look.
    pub compaction_dirty_bytes: Gauge,
    /// The greatest dirty share of a log, in millionths, at the last look.
    pub compaction_dirty_millionths: Gauge,
}

/// Records and bytes that were written and read.
#[derive(Debug, Default)]
pub struct TopicCounters {
    /// Records written.
    pub records_in: Counter,
    /// Bytes of their batches.
    pub bytes_in: Counter,
    /// Records given to readers.
    pub records_out: Counter,
    /// Bytes of what was given.
    pub bytes_out: Counter,
}

impl TopicCounters {
    /// Counts what was written.
    pub fn note_in(&self, records: u64, bytes: u64) {
        self.records_in.add(records);
        self.bytes_in.add(bytes);
    }

    /// Counts what was given to a reader.
    pub fn note_out(&self, records: u64, bytes: u64) {
        self.records_out.add(records);
        self.bytes_out.add(bytes);
    }
}

/// Counters of the topics: the first [`TOPICS_MAX`] that are seen have their own, the others share one. A topic keeps what it
/// has until it is deleted, so that no counter goes back.
#[derive(Debug, Default)]
pub struct TopicBook {
    own: Mutex<Own>,
    others: Arc<TopicCounters>,
}

#[derive(Debug, Default)]
struct Own {
    topics: BTreeMap<TopicId, Entry>,
    /// When the last two looks were; a topic that came later had counted nothing then.
    looked_at: [Duration; 2],
}

#[derive(Debug, Default)]
struct Entry {
    counters: Arc<TopicCounters>,
    /// What the last two looks found.
    seen: [Counts; 2],
}

impl TopicBook {
    /// The counters of a topic. Cost: a lookup; not for the hot path.
    pub fn of(&self, id: TopicId) -> Arc<TopicCounters> {
        self.own(id).unwrap_or_else(|| self.others.clone())
    }

    /// The counters that this topic has for itself.
    pub fn own(&self, id: TopicId) -> Option<Arc<TopicCounters>> {
        let topics = &mut self.own.lock().topics;
        if topics.len() >= TOPICS_MAX {
            return topics.get(&id).map(|entry| entry.counters.clone());
        }
        Some(topics.entry(id).or_default().counters.clone())
    }

    /// Looks at all counters, so that [`Self::rate`] covers the time from the look before this one on. To be called every
    /// [`LOOK_EVERY`](super::rates::LOOK_EVERY), with the monotonic time.
    pub fn look(&self, now: Duration) {
        let mut own = self.own.lock();
        own.looked_at = [own.looked_at[1], now];
        for entry in own.topics.values_mut() {
            entry.seen = [entry.seen[1], Counts::of(&entry.counters)];
        }
    }

    /// What is written to a topic and read from it a second, lately; nothing for one that has no counters for itself.
    pub fn rate(&self, id: TopicId, now: Duration) -> Option<Rate> {
        let own = self.own.lock();
        let window = now.saturating_sub(own.looked_at[0]);
        let none = Entry::default();
        let has_room = own.topics.len() < TOPICS_MAX;
        let entry = own.topics.get(&id).or(has_room.then_some(&none))?;
        Some(Counts::of(&entry.counters).rate_since(entry.seen[0], window))
    }

    /// The counters of the topics that have none for themselves.
    pub fn others(&self) -> &Arc<TopicCounters> {
        &self.others
    }

    /// Forgets every topic that is not alive.
    pub fn retain(&self, is_alive: impl Fn(TopicId) -> bool) {
        self.own.lock().topics.retain(|id, _| is_alive(*id));
    }

    /// The topic is deleted: its counters go, and its place is free for a topic that is seen for the first time.
    pub fn forget(&self, id: TopicId) {
        self.own.lock().topics.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_found_by_their_paths() {
        assert_eq!(Method::of_path("/weir.v1.ProducerService/Produce"), Method::Produce);
        assert_eq!(Method::of_path("/weir.v1.ConsumerService/Tail"), Method::Tail);
        for path in ["/grpc.health.v1.Health/Check", "/weir.v1.X/Nothing", "/weir.v1.X", "", "/metrics"] {
            assert_eq!(Method::of_path(path), Method::Other, "{path}");
        }
    }

    #[test]
    fn each_word_has_its_place() {
        let counters = Counters::default();
        for method in Method::ALL {
            counters.requests(*method).add(1 + *method as u64);
        }
        for method in Method::ALL {
            assert_eq!(counters.requests(*method).get(), 1 + *method as u64);
        }
        counters.errors(ErrorKind::Internal).increment();
        assert_eq!(counters.errors(ErrorKind::Internal).get(), 1);
    }

    #[test]
    fn a_rate_covers_the_time_since_the_look_before_the_last() {
        let (book, id) = (TopicBook::default(), TopicId([1; 16]));
        let seconds = Duration::from_secs;
        let records_in = |now| book.rate(id, seconds(now)).map(|rate| (rate.records_in, rate.window));
        assert_eq!(records_in(0), Some((0.0, seconds(0))), "no time has passed");
        book.of(id).note_in(20, 2_000);
        assert_eq!(records_in(4), Some((5.0, seconds(4))), "since the start");
        book.look(seconds(5));
        book.of(id).note_in(10, 1_000);
        assert_eq!(records_in(6), Some((5.0, seconds(6))));
        book.look(seconds(10));
        assert_eq!(records_in(10), Some((2.0, seconds(5))), "the first 20 are forgotten");
        let late = TopicId([2; 16]);
        book.of(late).note_out(30, 300);
        let rate = book.rate(late, seconds(15)).expect("has its own");
        assert_eq!((rate.records_out, rate.bytes_out, rate.records_in), (3.0, 30.0, 0.0));
        book.look(seconds(15));
        book.look(seconds(20));
        assert_eq!(records_in(20), Some((0.0, seconds(5))), "nothing came lately");
    }

    #[test]
    fn a_topic_keeps_its_counters_until_it_is_deleted() {
        let book = TopicBook::default();
        let id = |number: usize| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&number.to_be_bytes());
            TopicId(id)
        };
        for number in 0..TOPICS_MAX {
            book.of(id(number)).note_in(1, 2);
        }
        book.of(id(TOPICS_MAX)).note_in(10, 20);
        book.of(id(TOPICS_MAX + 1)).note_in(10, 20);
        assert_eq!(book.others().records_in.get(), 20);
        assert!(book.own(id(TOPICS_MAX)).is_none());
        assert_eq!(book.of(id(7)).records_in.get(), 1);
        assert!(book.rate(id(7), Duration::from_secs(1)).is_some());
        assert!(book.rate(id(TOPICS_MAX), Duration::from_secs(1)).is_none());
        book.forget(id(7));
        assert_eq!(book.own(id(TOPICS_MAX)).map(|counters| counters.records_in.get()), Some(0));
        assert!(book.own(id(7)).is_none(), "no room any more");
    }
}

//! How the broker fares: what there is, what was counted, and what is wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Broker;
use super::groups::offsets_topic::OFFSETS_TOPIC;
use super::topics::names::is_internal;
use crate::base::size::print_bytes;
use crate::env::process;
use crate::env::rule::Rule;
use crate::env::threads::off_shard;
use crate::metrics::export;
use crate::metrics::names::{Snapshot, State, TopicState};
use crate::metrics::rates::LOOK_EVERY;
use crate::metrics::registry::OTHER_TOPICS;
use crate::metrics::{Method, Protocol};

/// Offline partitions that are named; the others are counted.
const NAMED_MAX: usize = 5;

/// Part of a bound from which somebody should look: nine tenths.
const NEARLY: (u64, u64) = (9, 10);

/// Everything at one moment.
pub struct Stats {
    /// What there is.
    pub state: State,
    /// Topics with counters of their own by name, then what the others share.
    pub topics: Vec<TopicState>,
    /// What is wrong, the worst first; empty when all is well.
    pub problems: Vec<Problem>,
}

/// What is wrong with a broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    /// It takes no new requests.
    Stopping,
    /// Partitions take no appends: how many, and the first of them as `topic[partition]`.
    Offline(u64, Vec<String>),
    /// Groups can't be used, as these partitions of the offsets topic can't be replayed.
    GroupsDamaged(Vec<i32>),
    /// Free space is below the reserve: appends are refused.
    DiskFull {
        /// Free bytes.
        free: u64,
        /// The reserve.
        reserve: u64,
    },
    /// Free space is below twice the reserve.
    DiskNearlyFull {
        /// Free bytes.
        free: u64,
        /// The reserve.
        reserve: u64,
    },
    /// Most of the memory budget is taken.
    MemoryNearlyUsed {
        /// Taken bytes.
        used: u64,
        /// All of them.
        limit: u64,
    },
    /// Most of `max.connections` is reached.
    ConnectionsNearlyUsed {
        /// Open connections.
        open: u64,
        /// Most of them.
        limit: u64,
    },
}

impl Problem {
    /// Whether requests fail because of it; otherwise they may do so soon.
    pub fn is_critical(&self) -> bool {
        matches!(self, Self::Stopping | Self::Offline(..) | Self::GroupsDamaged(_) | Self::DiskFull { .. })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopping => write!(f, "the broker is stopping"),
            Self::Offline(count, named) => {
                let more = if *count > named.len() as u64 { ", ..." } else { "" };
                let plural = if *count == 1 { "" } else { "s" };
                write!(f, "{count} partition{plural} offline: {}{more}", named.join(", "))?;
                write!(f, "; `weir topic describe` tells why")
            }
            Self::GroupsDamaged(partitions) => {
                let named: Vec<String> = partitions
                    .iter()
                    .take(NAMED_MAX)
                    .map(|number| format!("{OFFSETS_TOPIC}[{number}]"))
                    .collect();
                let more = if partitions.len() > NAMED_MAX { ", ..." } else { "" };
                write!(f, "groups can't be used, as their log is damaged: {}{more}", named.join(", "))?;
                write!(f, "; `weir group list` tells why")
            }
            Self::DiskFull { free, reserve } => write!(
                f,
                "disk full: {} free, {} reserved; delete or trim topics, or lower retention",
                print_bytes(*free),
                print_bytes(*reserve)
            ),
            Self::DiskNearlyFull { free, reserve } => write!(
                f,
                "disk nearly full: {} free, producers are refused below {}",
                print_bytes(*free),
                print_bytes(*reserve)
            ),
            Self::MemoryNearlyUsed { used, limit } => write!(
                f,
                "memory nearly used up: {} of {}; raise memory.bytes, or connect fewer clients",
                print_bytes(*used),
                print_bytes(*limit)
            ),
            Self::ConnectionsNearlyUsed { open, limit } => {
                write!(f, "{open} of {limit} connections; raise max.connections, or connect fewer clients")
            }
        }
    }
}

impl Stats {
    /// The metrics in Prometheus' text form.
    pub fn metrics_text(&self, broker: &Broker) -> String {
        let (counters, log) = (broker.counters(), broker.store.counters());
        export::text(&Snapshot { counters, log, state: &self.state, topics: &self.topics })
    }
}

impl Broker {
    /// How it fares. Cost: a look at every partition, off the shard; opens none.
    pub async fn stats(self: &Arc<Self>) -> Stats {
        let broker = self.clone();
        off_shard(move || broker.look_around()).await
    }

    /// Keeps the rates of the topics, for as long as it is polled. Cost: every few seconds a look at their counters.
    pub async fn keep_rates(self: Arc<Self>) {
        loop {
            self.env.clock.sleep(LOOK_EVERY).await;
            self.partitions.note_rates();
        }
    }

    fn look_around(&self) -> Stats {
        let mut state = self.machine_state();
        let (topics, offline) = self.look_at_topics(&mut state);
        let problems = self.problems(&state, offline);
        Stats { state, topics, problems }
    }

    fn machine_state(&self) -> State {
        let resident = process::resident();
        let (descriptors, descriptors_max) = process::descriptors();
        // A disk that does not answer shows as one without space, which it is worth as much as.
        let space = self.env.disk.space(&self.settings.data_dir).ok();
        State {
            version: env!("CARGO_PKG_VERSION"),
            uptime: self.uptime(),
            memory_used_bytes: self.budget().used_bytes(),
            memory_limit_bytes: self.budget().limit_bytes(),
            disk_free_bytes: space.map_or(0, |space| space.free_bytes),
            disk_total_bytes: space.map_or(0, |space| space.total_bytes),
            disk_reserve_bytes: self.store.disk_reserve_bytes(),
            disk_full: self.store.is_full(),
            group_logs_damaged: self.groups().damaged().len() as u64,
            resident_anon_bytes: resident.anon_bytes,
            resident_file_bytes: resident.file_bytes,
            descriptors,
            descriptors_max,
            ..State::default()
        }
    }

    /// The topics of users, with their sums in `state`; and the first offline partitions, also the broker's own: groups need theirs.
    fn look_at_topics(&self, state: &mut State) -> (Vec<TopicState>, Vec<String>) {
        let (image, book) = (self.image(), self.partitions.topics());
        let (mut own, mut offline) = (BTreeMap::new(), Vec::new());
        let mut others = TopicState { counters: book.others().clone(), ..TopicState::default() };
        others.name = OTHER_TOPICS.into();
        for topic in image.topics().filter(|topic| topic.is_ready()) {
            let mut seen = TopicState { name: topic.name.clone(), ..TopicState::default() };
            for id in topic.ids(0, topic.ready_count) {
                let look = self.partitions.look(topic, id);
                seen.partitions += 1;
                seen.size_bytes += look.size.map_or(0, |size| size.size_bytes);
                seen.segments += look.size.map_or(0, |size| size.segment_count as u64);
                state.unsynced_bytes += look.unsynced_bytes;
                if look.is_offline {
                    seen.partitions_offline += 1;
                    if offline.len() < NAMED_MAX {
                        offline.push(format!("{}[{}]", topic.name, id.partition));
                    }
                }
            }
            state.partitions_offline += seen.partitions_offline;
            if is_internal(&topic.name) {
                continue;
            }
            state.topics += 1;
            state.partitions += seen.partitions;
            state.log_size_bytes += seen.size_bytes;
            state.segments += seen.segments;
            match book.own(topic.id) {
                Some(counters) => {
                    own.insert(topic.name.clone(), TopicState { counters, ..seen });
                }
                None => others.take_in(&seen),
            }
        }
        // Those that were deleted while this looked.
        self.partitions.forget_dead();
        let has_others = others.partitions > 0 || others.counters.records_in.get() > 0;
        let topics = own.into_values().chain(has_others.then_some(others)).collect();
        (topics, offline)
    }

    fn problems(&self, state: &State, offline: Vec<String>) -> Vec<Problem> {
        let (free, reserve) = (state.disk_free_bytes, state.disk_reserve_bytes);
        let (used, limit) = (state.memory_used_bytes, state.memory_limit_bytes);
        let open: u64 =
            Protocol::ALL.iter().map(|protocol| self.counters().connections(*protocol).get()).sum();
        let places = self.connections_max() as u64;
        let is_near = |number: u64, bound: u64| {
            bound > 0 && number.saturating_mul(NEARLY.1) >= bound.saturating_mul(NEARLY.0)
        };
        let damaged = self.groups().damaged();
        let found = [
            self.refuse_when_stopping().is_err().then_some(Problem::Stopping),
            (state.partitions_offline > 0).then_some(Problem::Offline(state.partitions_offline, offline)),
            (!damaged.is_empty()).then_some(Problem::GroupsDamaged(damaged)),
            state.disk_full.then_some(Problem::DiskFull { free, reserve }),
            (!state.disk_full && free < reserve.saturating_mul(2))
                .then_some(Problem::DiskNearlyFull { free, reserve }),
            is_near(used, limit).then_some(Problem::MemoryNearlyUsed { used, limit }),
            is_near(open, places).then_some(Problem::ConnectionsNearlyUsed { open, limit: places }),
        ];
        found.into_iter().flatten().collect()
    }

    /// Connections at a time: `max.connections`, or what the limit of descriptors leaves beside the log files.
    pub fn connections_max(&self) -> usize {
        match Rule::SpareDescriptors.holds() {
            true => self.settings.connections_within(process::descriptors_max()),
            false => self.settings.connections_max,
        }
    }

    /// Requests of all methods so far.
    pub fn request_count(&self) -> u64 {
        Method::ALL.iter().map(|method| self.counters().requests(*method).get()).sum()
    }
}

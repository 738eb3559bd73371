//! The topic that holds all groups: its name and its settings.

use crate::cluster::Configs;

/// Name of the topic.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Its settings: only the newest record of each key counts. Segments are small, because what lies in the segment that is written to
/// is not compacted, and a start replays it.
pub fn configs() -> Configs {
    [("cleanup.policy", "compact"), ("segment.bytes", "4194304"), ("min.cleanable.dirty.ratio", "0.2")]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

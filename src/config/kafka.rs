//! Keys that Kafka has and Weir has not: what to do without them. Whoever brings a config along learns why.

/// Keys of topics with what takes their place, or why nothing does.
const TOPIC_KEYS: &[(&str, &str)] = &[
    ("file.delete.delay.ms", "files of deleted records go at once"),
    ("flush.messages", "flush, flush.ms and flush.bytes say when records are synced"),
    ("index.interval.bytes", "Weir chooses how dense its indexes are"),
    ("message.downconversion.enable", "there is one format of records, and nothing to convert"),
    ("message.format.version", "there is one format of records"),
    ("message.timestamp.before.max.ms", "old timestamps are taken as they are"),
    ("message.timestamp.difference.max.ms", "use message.timestamp.after.max.ms"),
    ("min.insync.replicas", "this version keeps 1 copy of each partition, which is always in sync"),
    ("preallocate", "files grow as they are written"),
    ("remote.storage.enable", "records are kept on this broker only"),
    ("segment.index.bytes", "an index is as large as its segment needs"),
    ("segment.jitter.ms", "segments of different partitions are rolled by their own clocks"),
    (
        "unclean.leader.election.enable",
        "this version keeps 1 copy of each partition: there is no other leader",
    ),
];

/// Why a key of Kafka's topics is none of Weir's; nothing for names that Kafka does not know either.
pub fn missing_topic_key(name: &str) -> Option<&'static str> {
    TOPIC_KEYS.iter().find(|(known, _)| *known == name).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::topic::topic_key;

    #[test]
    fn what_weir_has_is_not_called_missing() {
        assert!(TOPIC_KEYS.is_sorted_by_key(|(name, _)| *name));
        for (name, why) in TOPIC_KEYS {
            let error = topic_key(name).expect_err("Weir has it").to_string();
            assert!(error.contains(why) && error.starts_with(name), "{error}");
            for word in why.split([' ', ',']).filter(|word| word.contains('.')) {
                assert!(topic_key(word).is_ok(), "{name}: {word}");
            }
        }
        assert_eq!(missing_topic_key("retention.ms"), None);
    }
}

//! Topic settings: the table of their keys, and the typed struct.
//!
//! A topic stores only what was set on it, as pairs of key and value; [`TopicConfig`] is what these and the defaults come
//! to. Each key is one row of [`TOPIC_KEYS`] that says what it takes and which field it fills.

use std::collections::{BTreeMap, BTreeSet};

use super::def::{
    ConfigError, DURATION_MS_MAX, Fallback, Key, KeyKind, Range, SIZE_BYTES_MAX, Value, Words, unknown_key,
};
use super::kafka::missing_topic_key;
use crate::base::limits::{BATCH_BYTES_MAX, SEGMENT_BYTES_MAX, UNSYNCED_BYTES_MAX, UNSYNCED_MS_MAX};

/// Smallest `segment.bytes`. A batch that is larger than the segment size gets a segment of its own, so small
/// segments need no rule about `max.message.bytes`.
const SEGMENT_BYTES_MIN: i64 = 1_024;

/// Smallest `max.message.bytes`: room for the header of a batch and a small record.
const MESSAGE_BYTES_MIN: i64 = 128;

/// How old records go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CleanupPolicy {
    /// Whole segments, by age and size.
    Delete,
    /// Those whose key has a newer record.
    Compact,
    /// Both.
    CompactDelete,
}

/// When appended records of a topic are synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlushMode {
    /// Before the answer, many appends sharing one sync.
    Ack,
    /// After `flush.ms` or `flush.bytes`, whichever comes first.
    Interval,
    /// When the operating system does, and in the background after 64 MiB or 60 s.
    Os,
}

/// Which codec batches are stored with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompressionType {
    /// As the producer sent them.
    Producer,
    /// Codec id 0 to 4: none, gzip, snappy, lz4, zstd.
    Codec(u8),
}

/// Whose clock timestamps tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimestampType {
    /// The producer's.
    Create,
    /// The broker's at the append.
    Append,
}

/// All settings of one topic, defaults filled in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicConfig {
    /// `cleanup.policy`.
    pub cleanup: CleanupPolicy,
    /// `retention.ms`; -1 keeps for ever.
    pub retention_ms: i64,
    /// `retention.bytes` of each partition; -1 is no bound.
    pub retention_bytes: i64,
    /// `min.cleanable.dirty.ratio`, in millionths.
    pub min_dirty_millionths: u32,
    /// `delete.retention.ms`: how long a tombstone stays after the pass that first met it.
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`; -1 is no bound.
    pub max_compaction_lag_ms: i64,
    /// `segment.bytes`; a larger batch gets a segment of its own.
    pub segment_bytes: u64,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `max.message.bytes`: largest batch.
    pub max_message_bytes: usize,
    /// `compression.type`.
    pub compression_type: CompressionType,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `flush`.
    pub flush: FlushMode,
    /// `flush.ms`, used with `flush=interval`.
    pub flush_ms: i64,
    /// `flush.bytes`, used with `flush=interval`.
    pub flush_bytes: i64,
}

/// One row of the table of topic keys.
#[derive(Debug)]
pub struct TopicKey {
    /// Name, type, default, range, doc.
    pub key: Key,
    get: fn(&TopicConfig) -> Value,
    set: fn(&mut TopicConfig, &Value),
}

/// A key of a topic with its value in canonical form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicSetting {
    /// The key.
    pub key: &'static str,
    /// Canonical: sizes in bytes, durations in ms.
    pub value: String,
    /// True when it was set on the topic, false when it is the default.
    pub is_set: bool,
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self {
            cleanup: CleanupPolicy::Delete,
            retention_ms: 604_800_000,
            retention_bytes: -1,
            min_dirty_millionths: 500_000,
            delete_retention_ms: 86_400_000,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: -1,
            segment_bytes: 1 << 30,
            segment_ms: 604_800_000,
            max_message_bytes: 1_048_588,
            compression_type: CompressionType::Producer,
            timestamp_type: TimestampType::Create,
            timestamp_after_max_ms: 3_600_000,
            flush: FlushMode::Ack,
            flush_ms: 1_000,
            flush_bytes: 1 << 20,
        }
    }
}

impl TopicConfig {
    /// Reads the settings of a topic; what is not named has its default.
    ///
    /// Errors: every mistake of all pairs, in their order.
    pub fn from_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Vec<ConfigError>> {
        let mut config = Self::default();
        let mut errors = Vec::new();
        let mut seen = BTreeSet::new();
        for (name, text) in pairs {
            let twice = !seen.insert(name);
            match config.set_one(name, text) {
                Err(error) => errors.push(error),
                Ok(key) if twice => errors.push(key.error("is given twice")),
                Ok(_) => {}
            }
        }
        if config.max_compaction_lag_ms >= 0 && config.min_compaction_lag_ms > config.max_compaction_lag_ms {
            errors.push(ConfigError {
                key: "min.compaction.lag.ms".to_owned(),
                message: format!(
                    "{} is above max.compaction.lag.ms, {}",
                    config.min_compaction_lag_ms, config.max_compaction_lag_ms
                ),
            });
        }
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    /// Whether older records go when their key has a newer one.
    pub fn is_compacted(&self) -> bool {
        self.cleanup != CleanupPolicy::Delete
    }

    /// Whether segments go by age and size.
    pub fn is_deleted(&self) -> bool {
        self.cleanup != CleanupPolicy::Compact
    }

    /// Age at which a new segment begins: a compacted topic must be able to compact within `max.compaction.lag.ms`.
    pub fn roll_after_ms(&self) -> i64 {
        match self.max_compaction_lag_ms {
            lag_ms @ 0.. if self.is_compacted() => self.segment_ms.min(lag_ms),
            _ => self.segment_ms,
        }
    }

    /// Every key in the order of the table; those in `set` are marked as set.
    pub fn to_pairs(&self, set: &BTreeMap<String, String>) -> Vec<TopicSetting> {
        let setting = |row: &TopicKey| TopicSetting {
            key: row.key.name,
            value: (row.get)(self).to_string(),
            is_set: set.contains_key(row.key.name),
        };
        TOPIC_KEYS.iter().map(setting).collect()
    }

    fn set_one(&mut self, name: &str, text: &str) -> Result<&'static Key, ConfigError> {
        let row = topic_key(name)?;
        (row.set)(self, &row.key.parse(text)?);
        Ok(&row.key)
    }
}

/// The row of a topic key.
///
/// Errors: there is no such key; the nearest one is named.
pub fn topic_key(name: &str) -> Result<&'static TopicKey, ConfigError> {
    let row = TOPIC_KEYS.iter().find(|row| row.key.name == name);
    row.ok_or_else(|| match missing_topic_key(name) {
        Some(why) => {
            ConfigError { key: name.to_owned(), message: format!("Weir has no such config key: {why}") }
        }
        None => unknown_key(name, TOPIC_KEYS.iter().map(|row| row.key.name), "weir topic config-keys"),
    })
}

const CLEANUP: Words = Words {
    choices: &["delete", "compact", "compact,delete"],
    aliases: &[
        ("delete,compact", "compact,delete"),
        ("compact, delete", "compact,delete"),
        ("delete, compact", "compact,delete"),
    ],
    refused: &[],
};
const COMPRESSION: Words = Words {
    choices: &["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"],
    aliases: &[("none", "uncompressed")],
    refused: &[],
};
const TIMESTAMP: Words = Words::of(&["CreateTime", "LogAppendTime"]);
const FLUSH: Words = Words::of(&["ack", "interval", "os"]);

/// Every topic key, in the order in which `topic describe` shows them.
pub static TOPIC_KEYS: &[TopicKey] = &[
    TopicKey {
        key: Key {
            name: "cleanup.policy",
            kind: KeyKind::Word(&CLEANUP),
            default: Fallback::Value("delete"),
            doc: "How old records go: delete removes whole segments by age and size, compact keeps the newest record of each key.",
        },
        get: |config| Value::Word(config.cleanup.word()),
        set: |config, value| config.cleanup = CleanupPolicy::of(value.word()),
    },
    TopicKey {
        key: Key {
            name: "min.cleanable.dirty.ratio",
            kind: KeyKind::Ratio,
            default: Fallback::Value("0.5"),
            doc: "Share of a compacted log's sealed bytes that must be new before it is compacted again.",
        },
        get: |config| Value::Ratio(config.min_dirty_millionths),
        set: |config, value| config.min_dirty_millionths = value.millionths(),
    },
    TopicKey {
        key: Key {
            name: "delete.retention.ms",
            kind: KeyKind::Duration(Range::of(0, DURATION_MS_MAX)),
            default: Fallback::Value("86400000"),
            doc: "How long compaction keeps a record without value, counted from the first pass over it.",
        },
        get: |config| Value::Number(config.delete_retention_ms),
        set: |config, value| config.delete_retention_ms = value.number(),
    },
    TopicKey {
        key: Key {
            name: "min.compaction.lag.ms",
            kind: KeyKind::Duration(Range::of(0, DURATION_MS_MAX)),
            default: Fallback::Value("0"),
            doc: "How long a record is safe from compaction after its append.",
        },
        get: |config| Value::Number(config.min_compaction_lag_ms),
        set: |config, value| config.min_compaction_lag_ms = value.number(),
    },
    TopicKey {
        key: Key {
            name: "max.compaction.lag.ms",
            kind: KeyKind::Duration(Range::or_none(1, DURATION_MS_MAX)),
            default: Fallback::Value("-1"),
            doc: "Time after its append by which a record is compacted, whatever the dirty ratio; -1 for none.",
        },
        get: |config| Value::Number(config.max_compaction_lag_ms),
        set: |config, value| config.max_compaction_lag_ms = value.number(),
    },
    TopicKey {
        key: Key {
            name: "retention.ms",
            kind: KeyKind::Duration(Range::or_none(0, DURATION_MS_MAX)),
            default: Fallback::Value("604800000"),
            doc: "How long records are kept, counted from their append by the broker's clock.",
        },
        get: |config| Value::Number(config.retention_ms),
        set: |config, value| config.retention_ms = value.number(),
    },
    TopicKey {
        key: Key {
            name: "retention.bytes",
            kind: KeyKind::Bytes(Range::or_none(0, SIZE_BYTES_MAX)),
            default: Fallback::Value("-1"),
            doc: "How many bytes each partition keeps; the oldest segments go first.",
        },
        get: |config| Value::Number(config.retention_bytes),
        set: |config, value| config.retention_bytes = value.number(),
    },
    TopicKey {
        key: Key {
            name: "segment.bytes",
            kind: KeyKind::Bytes(Range::of(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX as i64)),
            default: Fallback::Value("1073741824"),
            doc: "Size at which a new segment begins; a batch larger than this gets a segment of its own.",
        },
        get: |config| Value::Number(config.segment_bytes as i64),
        set: |config, value| config.segment_bytes = value.number().unsigned_abs(),
    },
    TopicKey {
        key: Key {
            name: "segment.ms",
            kind: KeyKind::Duration(Range::of(1, DURATION_MS_MAX)),
            default: Fallback::Value("604800000"),
            doc: "Age at which a new segment begins, counted from the first append to the old one.",
        },
        get: |config| Value::Number(config.segment_ms),
        set: |config, value| config.segment_ms = value.number(),
    },
    TopicKey {
        key: Key {
            name: "max.message.bytes",
            kind: KeyKind::Bytes(Range::of(MESSAGE_BYTES_MIN, BATCH_BYTES_MAX as i64)),
            default: Fallback::Value("1048588"),
            doc: "Largest batch that the topic takes, as stored.",
        },
        get: |config| Value::Number(config.max_message_bytes as i64),
        set: |config, value| config.max_message_bytes = value.number().unsigned_abs() as usize,
    },
    TopicKey {
        key: Key {
            name: "compression.type",
            kind: KeyKind::Word(&COMPRESSION),
            default: Fallback::Value("producer"),
            doc: "Codec of stored batches; producer keeps what was sent, anything else encodes anew where it differs.",
        },
        get: |config| Value::Word(config.compression_type.word()),
        set: |config, value| config.compression_type = CompressionType::of(value.word()),
    },
    TopicKey {
        key: Key {
            name: "message.timestamp.type",
            kind: KeyKind::Word(&TIMESTAMP),
            default: Fallback::Value("CreateTime"),
            doc: "Whose clock stamps records: the producer's, or the broker's at the append.",
        },
        get: |config| match config.timestamp_type {
            TimestampType::Create => Value::Word("CreateTime"),
            TimestampType::Append => Value::Word("LogAppendTime"),
        },
        set: |config, value| {
            config.timestamp_type = match value.word() {
                "LogAppendTime" => TimestampType::Append,
                _ => TimestampType::Create,
            }
        },
    },
    TopicKey {
        key: Key {
            name: "message.timestamp.after.max.ms",
            kind: KeyKind::Duration(Range::of(0, DURATION_MS_MAX)),
            default: Fallback::Value("3600000"),
            doc: "How far a producer's timestamp may lie ahead of the broker's clock.",
        },
        get: |config| Value::Number(config.timestamp_after_max_ms),
        set: |config, value| config.timestamp_after_max_ms = value.number(),
    },
    TopicKey {
        key: Key {
            name: "flush",
            kind: KeyKind::Word(&FLUSH),
            default: Fallback::Value("ack"),
            doc: "When appends are synced: ack before the answer, interval by flush.ms and flush.bytes, os when the system does.",
        },
        get: |config| Value::Word(config.flush.word()),
        set: |config, value| config.flush = FlushMode::of(value.word()),
    },
    TopicKey {
        key: Key {
            name: "flush.ms",
            kind: KeyKind::Duration(Range::of(1, UNSYNCED_MS_MAX)),
            default: Fallback::Value("1000"),
            doc: "With flush=interval, longest time that an append stays un-synced; without it, no effect.",
        },
        get: |config| Value::Number(config.flush_ms),
        set: |config, value| config.flush_ms = value.number(),
    },
    TopicKey {
        key: Key {
            name: "flush.bytes",
            kind: KeyKind::Bytes(Range::of(1, UNSYNCED_BYTES_MAX as i64)),
            default: Fallback::Value("1048576"),
            doc: "With flush=interval, most bytes that stay un-synced; without it, no effect.",
        },
        get: |config| Value::Number(config.flush_bytes),
        set: |config, value| config.flush_bytes = value.number(),
    },
];

impl CleanupPolicy {
    /// The words of `cleanup.policy`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Compact => "compact",
            Self::CompactDelete => "compact,delete",
        }
    }

    fn of(word: &str) -> Self {
        match word {
            "compact" => Self::Compact,
            "compact,delete" => Self::CompactDelete,
            _ => Self::Delete,
        }
    }
}

impl FlushMode {
    /// The word of `flush`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::Interval => "interval",
            Self::Os => "os",
        }
    }

    fn of(word: &str) -> Self {
        match word {
            "interval" => Self::Interval,
            "os" => Self::Os,
            _ => Self::Ack,
        }
    }
}

impl CompressionType {
    /// The word of `compression.type`. Panics: a codec id that is not 0 to 4.
    pub fn word(self) -> &'static str {
        match self {
            Self::Producer => COMPRESSION.choices[0],
            Self::Codec(id) => COMPRESSION.choices[usize::from(id) + 1],
        }
    }

    fn of(word: &str) -> Self {
        // WHY: after `producer` the choices stand in the order of Kafka's codec ids.
        match COMPRESSION.choices.iter().position(|choice| *choice == word) {
            Some(index @ 1..) => Self::Codec(index as u8 - 1),
            _ => Self::Producer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<String> {
        let errors = TopicConfig::from_pairs(pairs).expect_err("a mistake");
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_defaults_of_the_table_are_those_of_the_struct() {
        let pairs = TOPIC_KEYS.iter().map(|row| (row.key.name, row.key.default_text()));
        assert_eq!(TopicConfig::from_pairs(pairs), Ok(TopicConfig::default()));
        assert_eq!(TopicConfig::from_pairs([]), Ok(TopicConfig::default()));
        for (row, setting) in TOPIC_KEYS.iter().zip(TopicConfig::default().to_pairs(&BTreeMap::new())) {
            assert_eq!((row.key.name, row.key.default_text()), (setting.key, setting.value.as_str()));
            assert!(!setting.is_set);
        }
    }

    /// For each key a value that is not its default, and its canonical form.
    const OTHERS: &[(&str, &str, &str)] = &[
        ("cleanup.policy", "delete,compact", "compact,delete"),
        ("min.cleanable.dirty.ratio", "0.10", "0.1"),
        ("delete.retention.ms", "1h", "3600000"),
        ("min.compaction.lag.ms", "1m", "60000"),
        ("max.compaction.lag.ms", "2d", "172800000"),
        ("retention.ms", "1d", "86400000"),
        ("retention.bytes", "1GiB", "1073741824"),
        ("segment.bytes", "1KiB", "1024"),
        ("segment.ms", "1h", "3600000"),
        ("max.message.bytes", "64KiB", "65536"),
        ("compression.type", "zstd", "zstd"),
        ("message.timestamp.type", "logappendtime", "LogAppendTime"),
        ("message.timestamp.after.max.ms", "5m", "300000"),
        ("flush", "os", "os"),
        ("flush.ms", "20ms", "20"),
        ("flush.bytes", "64MiB", "67108864"),
    ];

    #[test]
    fn each_key_fills_its_own_field_and_is_printed_back() {
        for (name, text, canonical) in OTHERS {
            let config = TopicConfig::from_pairs([(*name, *text)]).expect(name);
            let set = BTreeMap::from([((*name).to_owned(), (*text).to_owned())]);
            let defaults = TopicConfig::default().to_pairs(&BTreeMap::new());
            for (setting, default) in config.to_pairs(&set).iter().zip(defaults) {
                let is_this = setting.key == *name;
                assert_eq!(setting.is_set, is_this);
                assert_eq!(setting.value, if is_this { (*canonical).to_owned() } else { default.value });
            }
        }
        assert_eq!(OTHERS.len(), TOPIC_KEYS.len(), "every key");
    }

    #[test]
    fn words_stand_for_what_they_say() {
        let codec =
            |word| TopicConfig::from_pairs([("compression.type", word)]).expect(word).compression_type;
        let words = ["none", "gzip", "snappy", "lz4", "zstd"];
        assert_eq!(words.map(codec), [0, 1, 2, 3, 4].map(CompressionType::Codec));
        assert_eq!(codec("uncompressed").word(), "uncompressed");
        assert_eq!(codec("Producer"), CompressionType::Producer);
        let flush = |word| TopicConfig::from_pairs([("flush", word)]).expect(word).flush;
        assert_eq!(
            ["ack", "interval", "os"].map(flush),
            [FlushMode::Ack, FlushMode::Interval, FlushMode::Os]
        );
    }

    #[test]
    fn all_mistakes_come_at_once() {
        let pairs = [
            ("retention.ms", "abc"),
            ("retention_ms", "7d"),
            ("segment.ms", "1d"),
            ("segment.ms", "1d"),
            ("cleanup.policy", "compost"),
            ("min.cleanable.dirty.ratio", "1.1"),
            ("min.compaction.lag.ms", "2d"),
            ("max.compaction.lag.ms", "1d"),
            ("segment.bytes", "1"),
            ("segment.bytes2", "4GiB"),
            ("max.message.bytes", "1GiB"),
            ("flush.ms", "-5"),
        ];
        let errors = errors(pairs);
        let expected = [
            "retention.ms: 'abc' is not a duration",
            "retention_ms: there is no such config key. Did you mean 'retention.ms'? `weir topic config-keys` lists them",
            "segment.ms: is given twice",
            "cleanup.policy: 'compost' is not one of delete, compact, compact,delete.",
            "min.cleanable.dirty.ratio: '1.1' is not a share such as 0.5, from 0 to 1",
            "segment.bytes: 1 is out of range: 1024 (1.0 KiB) to 2147483647 (2.0 GiB)",
            "segment.bytes2: there is no such config key. Did you mean 'segment.bytes'? `weir topic config-keys` lists them",
            "max.message.bytes: 1073741824 is out of range: 128 to ",
            "flush.ms: '-5' is not a duration",
            "min.compaction.lag.ms: 172800000 is above max.compaction.lag.ms, 86400000",
        ];
        assert_eq!(errors.len(), expected.len(), "{errors:#?}");
        for (error, expected) in errors.iter().zip(expected) {
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_batch_may_be_larger_than_a_segment() {
        let pairs = [("segment.bytes", "1024"), ("max.message.bytes", "1048576")];
        let config = TopicConfig::from_pairs(pairs).expect("no rule between the two");
        assert_eq!((config.segment_bytes, config.max_message_bytes), (1024, 1 << 20));
    }

    #[test]
    fn docs_are_sentences() {
        for row in TOPIC_KEYS {
            assert!(row.key.doc.ends_with('.') && row.key.doc.len() > 20, "{}", row.key.name);
        }
    }
}

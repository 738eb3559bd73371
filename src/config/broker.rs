//! Broker settings: the table of their keys, and the typed struct.
//!
//! Each key is one row of [`BROKER_KEYS`]. Defaults that depend on the machine are worked out from [`Machine`], which the
//! caller fills in, so that nothing here looks at the machine itself.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::def::{ConfigError, DURATION_MS_MAX, Fallback, Key, KeyKind, Range, SIZE_BYTES_MAX, Value, Words};
use crate::base::limits::RECOVERY_THREADS;

const MIB: u64 = 1 << 20;

/// Smallest `memory.bytes`: a few gRPC messages of the largest size.
const MEMORY_BYTES_MIN: u64 = 16 * MIB;

/// Most shards: more threads than any machine that this was measured on has cores.
const SHARDS_MAX: usize = 256;

/// Fewest files: below this the log of one busy topic closes and opens files all the time.
const OPEN_FILES_MIN: u64 = 16;

/// Most files that make sense in one process.
const OPEN_FILES_MAX: u64 = 1 << 20;

/// Descriptors that are left for what is neither a log file nor a connection: folders while they are synced, sockets that listen,
/// files that are made, or in use beyond those held open. A quarter of all where there are few.
const DESCRIPTORS_KEPT: u64 = 64;

/// Smallest `disk.reserve.bytes`: room for what a start, a trim and a delete write before they free any.
const DISK_RESERVE_BYTES_MIN: u64 = MIB;

/// Bounds of the default `disk.reserve.bytes`: what deletes need on a small disk, and enough on the largest.
const DISK_RESERVE_BYTES: (u64, u64) = (4 * MIB, 1024 * MIB);

/// Smallest `compaction.memory.bytes`: some ten thousand keys a stretch. Below it a log is read over and over.
const COMPACTION_BYTES_MIN: u64 = MIB;

/// Bounds of the default `compaction.memory.bytes`. A key takes 36 bytes, so these are 230 thousand keys and 3.7 million; the upper one
/// is what Kafka's cleaner takes by default (128 MiB) with its 24 bytes a key.
const COMPACTION_BYTES: (u64, u64) = (8 * MIB, 128 * MIB);

/// What the defaults depend on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Machine {
    /// Memory that the process may use: RAM, or the limit of its container where that is lower.
    pub memory_bytes: u64,
    /// Cores that the process may use.
    pub cores: usize,
    /// Files that the process may hold open.
    pub descriptors_max: u64,
}

/// Where the value of a setting comes from; later ones win.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The config file.
    File,
    /// An environment variable.
    Environment,
    /// The command line.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
            Self::Flag => "flag",
        })
    }
}

/// All settings of a broker, defaults filled in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerSettings {
    /// `data.dir`.
    pub data_dir: PathBuf,
    /// `listen`: where gRPC is served; port 0 takes a free one.
    pub listen: SocketAddr,
    /// `node.id`.
    pub node_id: i32,
    /// `insecure.no.auth`: serve other machines although nobody is asked who they are.
    pub insecure_no_auth: bool,
    /// `memory.bytes`: the memory budget.
    pub memory_bytes: u64,
    /// `disk.reserve.bytes`, or `None` for the share of the disk that [`BrokerSettings::disk_reserve_of`] tells.
    pub disk_reserve_bytes: Option<u64>,
    /// `shards`: threads that serve connections.
    pub shards: usize,
    /// `open.files.max`: log files held open.
    pub open_files_max: usize,
    /// `compaction.memory.bytes`: what the keys of one log may take during its compaction.
    pub compaction_memory_bytes: u64,
    /// Logs that are recovered at a time after an unclean end. No key: a simulation takes 1, so that there is an order.
    pub recovery_threads: usize,
    /// `max.connections`.
    pub connections_max: usize,
    /// `shutdown.timeout.ms`: how long a stop waits for requests.
    pub shutdown_timeout_ms: i64,
    /// `log.retention.check.interval.ms`.
    pub retention_check_ms: i64,
    /// `log.level`.
    pub log_level: LogLevel,
    /// `log.format`.
    pub log_format: LogFormat,
    sources: BTreeMap<&'static str, Source>,
}

/// The least important log lines that are still written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogLevel(&'static str);

impl LogLevel {
    /// The word: off, error, warn, info or debug.
    pub fn word(self) -> &'static str {
        self.0
    }
}

/// How log lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogFormat(&'static str);

impl LogFormat {
    /// Whether each line is a JSON object.
    pub fn is_json(self) -> bool {
        self.0 == "json"
    }
}

/// One row of the table of broker keys.
#[derive(Debug)]
pub struct BrokerKey {
    /// Name, type, default, range, doc.
    pub key: Key,
    get: fn(&BrokerSettings) -> Option<Value>,
    set: fn(&mut BrokerSettings, &Value),
}

/// A setting as `--print-config` and the API show it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerSetting {
    /// The key.
    pub key: &'static str,
    /// Canonical form, or words where the default is worked out later.
    pub value: String,
    /// Where the value comes from.
    pub source: Source,
}

impl BrokerSettings {
    /// The settings when nobody sets anything.
    pub fn defaults(machine: &Machine) -> Self {
        Self {
            data_dir: PathBuf::from("./weir-data"),
            listen: (Ipv4Addr::LOCALHOST, 7070).into(),
            node_id: 1,
            insecure_no_auth: false,
            memory_bytes: (machine.memory_bytes / 4).max(MEMORY_BYTES_MIN),
            disk_reserve_bytes: None,
            shards: if machine.cores <= 2 { 1 } else { (machine.cores - 1).min(SHARDS_MAX) },
            open_files_max: (machine.descriptors_max / 2).clamp(OPEN_FILES_MIN, OPEN_FILES_MAX) as usize,
            compaction_memory_bytes: (machine.memory_bytes / 32)
                .clamp(COMPACTION_BYTES.0, COMPACTION_BYTES.1),
            recovery_threads: RECOVERY_THREADS,
            connections_max: 10_000,
            shutdown_timeout_ms: 10_000,
            retention_check_ms: 30_000,
            log_level: LogLevel("info"),
            log_format: LogFormat("text"),
            sources: BTreeMap::new(),
        }
    }

    /// Log files held open by a process that may hold so many descriptors: `open.files.max`, and at most half of them.
    pub fn open_files_within(&self, descriptors_max: u64) -> usize {
        self.open_files_max.min(usize::try_from(descriptors_max / 2).unwrap_or(usize::MAX))
    }

    /// Connections at a time of such a process: `max.connections`, and no more than leave the files theirs.
    pub fn connections_within(&self, descriptors_max: u64) -> usize {
        let kept = DESCRIPTORS_KEPT.min(descriptors_max / 4);
        let left = descriptors_max.saturating_sub(self.open_files_within(descriptors_max) as u64 + kept);
        self.connections_max.min(usize::try_from(left).unwrap_or(usize::MAX)).max(1)
    }

    /// Free bytes that user appends leave on a file system of `total_bytes`: `disk.reserve.bytes`, else 2 % of it,
    /// at least 4 MiB and at most 1 GiB.
    pub fn disk_reserve_of(&self, total_bytes: u64) -> u64 {
        let (min, max) = DISK_RESERVE_BYTES;
        self.disk_reserve_bytes.unwrap_or((total_bytes / 50).clamp(min, max))
    }

    /// Every setting with its source, in the order of the table.
    pub fn settings(&self) -> Vec<BrokerSetting> {
        let setting = |row: &BrokerKey| BrokerSetting {
            key: row.key.name,
            value: (row.get)(self)
                .map_or_else(|| row.key.default_text().to_owned(), |value| value.to_string()),
            source: self.source(row.key.name),
        };
        BROKER_KEYS.iter().map(setting).collect()
    }

    /// Where the value of a key comes from.
    pub fn source(&self, key: &str) -> Source {
        self.sources.get(key).copied().unwrap_or(Source::Default)
    }

    /// Sets one key; `value` was read by the key of `row`.
    pub(super) fn set(&mut self, row: &'static BrokerKey, value: &Value, source: Source) {
        (row.set)(self, value);
        self.sources.insert(row.key.name, source);
    }

    /// What holds between settings: other machines are served only by somebody who says so.
    ///
    /// Errors: the key to change, and how.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.insecure_no_auth || self.listen.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        let message = format!(
            "{} can be reached from other machines, and Weir does not ask anybody who they are yet: listen on 127.0.0.1, \
             or allow it with insecure.no.auth=true (--insecure-no-auth)",
            self.listen
        );
        Err(ConfigError { key: "listen".to_owned(), message })
    }
}

const FORMATS: Words = Words::of(&["text", "json"]);

const LEVELS: Words = Words::of(&["off", "error", "warn", "info", "debug"]);

/// Every broker key, in the order in which `--print-config` shows them.
pub static BROKER_KEYS: &[BrokerKey] = &[
    BrokerKey {
        key: Key {
            name: "data.dir",
            kind: KeyKind::Text,
            default: Fallback::Value("./weir-data"),
            doc: "Folder that holds everything durable; one broker at a time.",
        },
        get: |settings| Some(Value::Text(settings.data_dir.display().to_string())),
        set: |settings, value| settings.data_dir = PathBuf::from(value.text()),
    },
    BrokerKey {
        key: Key {
            name: "listen",
            kind: KeyKind::Address,
            default: Fallback::Value("127.0.0.1:7070"),
            doc: "Address of gRPC; port 0 takes a free one.",
        },
        get: |settings| Some(Value::Address(settings.listen)),
        set: |settings, value| settings.listen = value.address(),
    },
    BrokerKey {
        key: Key {
            name: "insecure.no.auth",
            kind: KeyKind::Bool,
            default: Fallback::Value("false"),
            doc: "Allows an address that other machines reach, although nobody is asked who they are.",
        },
        get: |settings| Some(Value::Bool(settings.insecure_no_auth)),
        set: |settings, value| settings.insecure_no_auth = value.is_true(),
    },
    BrokerKey {
        key: Key {
            name: "node.id",
            kind: KeyKind::Integer(Range::of(0, i32::MAX as i64)),
            default: Fallback::Value("1"),
            doc: "Number of this broker in its cluster; a data folder keeps the one that it began with.",
        },
        get: |settings| Some(Value::Number(settings.node_id.into())),
        set: |settings, value| settings.node_id = value.number() as i32,
    },
    BrokerKey {
        key: Key {
            name: "memory.bytes",
            kind: KeyKind::Bytes(Range::of(MEMORY_BYTES_MIN as i64, SIZE_BYTES_MAX)),
            default: Fallback::Computed("a quarter of RAM"),
            doc: "Memory for connections, requests and replies that are under way; what finds no room in it waits, or is refused with THROTTLED.",
        },
        get: |settings| Some(Value::Number(settings.memory_bytes as i64)),
        set: |settings, value| settings.memory_bytes = value.number().unsigned_abs(),
    },
    BrokerKey {
        key: Key {
            name: "disk.reserve.bytes",
            kind: KeyKind::Bytes(Range::of(DISK_RESERVE_BYTES_MIN as i64, SIZE_BYTES_MAX)),
            default: Fallback::Computed("2 % of the disk, 4 MiB to 1 GiB"),
            doc: "Free space that producers cannot use, so that a full disk can still be emptied through Weir.",
        },
        get: |settings| settings.disk_reserve_bytes.map(|bytes| Value::Number(bytes as i64)),
        set: |settings, value| settings.disk_reserve_bytes = Some(value.number().unsigned_abs()),
    },
    BrokerKey {
        key: Key {
            name: "shards",
            kind: KeyKind::Integer(Range::of(1, SHARDS_MAX as i64)),
            default: Fallback::Computed("1 on up to two cores, else one less than cores"),
            doc: "Threads that serve connections.",
        },
        get: |settings| Some(Value::Number(settings.shards as i64)),
        set: |settings, value| settings.shards = value.number().unsigned_abs() as usize,
    },
    BrokerKey {
        key: Key {
            name: "open.files.max",
            kind: KeyKind::Integer(Range::of(OPEN_FILES_MIN as i64, OPEN_FILES_MAX as i64)),
            default: Fallback::Computed("half of the descriptor limit"),
            doc: "Log files held open, at most half of the descriptor limit; the others are opened again when they are used.",
        },
        get: |settings| Some(Value::Number(settings.open_files_max as i64)),
        set: |settings, value| settings.open_files_max = value.number().unsigned_abs() as usize,
    },
    BrokerKey {
        key: Key {
            name: "compaction.memory.bytes",
            kind: KeyKind::Bytes(Range::of(COMPACTION_BYTES_MIN as i64, SIZE_BYTES_MAX)),
            default: Fallback::Computed("1/32 of RAM, 8 MiB to 128 MiB"),
            doc: "Memory for the keys of the one log that is being compacted, 36 bytes each; a log with more keys is compacted in stretches.",
        },
        get: |settings| Some(Value::Number(settings.compaction_memory_bytes as i64)),
        set: |settings, value| settings.compaction_memory_bytes = value.number().unsigned_abs(),
    },
    BrokerKey {
        key: Key {
            name: "max.connections",
            kind: KeyKind::Integer(Range::of(1, 1_000_000)),
            default: Fallback::Value("10000"),
            doc: "Connections at a time, fewer where the descriptor limit leaves none for more; others are closed as they come.",
        },
        get: |settings| Some(Value::Number(settings.connections_max as i64)),
        set: |settings, value| settings.connections_max = value.number().unsigned_abs() as usize,
    },
    BrokerKey {
        key: Key {
            name: "shutdown.timeout.ms",
            kind: KeyKind::Duration(Range::of(0, 3_600_000)),
            default: Fallback::Value("10000"),
            doc: "How long a stop waits for requests that are under way.",
        },
        get: |settings| Some(Value::Number(settings.shutdown_timeout_ms)),
        set: |settings, value| settings.shutdown_timeout_ms = value.number(),
    },
    BrokerKey {
        key: Key {
            name: "log.retention.check.interval.ms",
            kind: KeyKind::Duration(Range::of(10, DURATION_MS_MAX)),
            default: Fallback::Value("30000"),
            doc: "Time between two looks for segments that retention lets go.",
        },
        get: |settings| Some(Value::Number(settings.retention_check_ms)),
        set: |settings, value| settings.retention_check_ms = value.number(),
    },
    BrokerKey {
        key: Key {
            name: "log.level",
            kind: KeyKind::Word(&LEVELS),
            default: Fallback::Value("info"),
            doc: "The least important log lines that are written.",
        },
        get: |settings| Some(Value::Word(settings.log_level.word())),
        set: |settings, value| settings.log_level = LogLevel(value.word()),
    },
    BrokerKey {
        key: Key {
            name: "log.format",
            kind: KeyKind::Word(&FORMATS),
            default: Fallback::Value("text"),
            doc: "How log lines are written: as text, or each as a JSON object.",
        },
        get: |settings| Some(Value::Word(settings.log_format.0)),
        set: |settings, value| settings.log_format = LogFormat(value.word()),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine = Machine { memory_bytes: 4096 * MIB, cores: 2, descriptors_max: 1024 };

    #[test]
    fn the_defaults_of_the_table_are_those_of_the_struct() {
        let defaults = BrokerSettings::defaults(&MACHINE);
        for (row, setting) in BROKER_KEYS.iter().zip(defaults.settings()) {
            assert_eq!((setting.key, setting.source), (row.key.name, Source::Default));
            if let Fallback::Value(text) = row.key.default {
                assert_eq!(setting.value, text, "{}", setting.key);
                assert_eq!(row.key.parse(text).expect(text).to_string(), text);
            }
        }
    }

    #[test]
    fn defaults_follow_the_machine() {
        let small = BrokerSettings::defaults(&MACHINE);
        assert_eq!((small.memory_bytes, small.shards, small.open_files_max), (1024 * MIB, 1, 512));
        let large = Machine { cores: 16, descriptors_max: u64::MAX, ..MACHINE };
        let large = BrokerSettings::defaults(&large);
        assert_eq!((large.shards, large.open_files_max), (15, 1 << 20));
        let tiny = BrokerSettings::defaults(&Machine { memory_bytes: 0, cores: 0, descriptors_max: 0 });
        assert_eq!((tiny.memory_bytes, tiny.shards, tiny.open_files_max), (16 * MIB, 1, 16));
    }

    #[test]
    fn files_and_connections_share_the_descriptors_and_leave_some() {
        let shares = |descriptors_max| {
            let settings = BrokerSettings::defaults(&Machine { descriptors_max, ..MACHINE });
            (settings.open_files_within(descriptors_max), settings.connections_within(descriptors_max))
        };
        assert_eq!(shares(128), (64, 32));
        assert_eq!(shares(1024), (512, 448));
        assert_eq!(shares(65_536), (32_768, 10_000), "max.connections is a bound as well");
        assert_eq!(shares(0), (0, 1));
        let mut greedy = BrokerSettings::defaults(&MACHINE);
        greedy.open_files_max = 1 << 20;
        assert_eq!((greedy.open_files_within(1024), greedy.connections_within(1024)), (512, 448));
    }

    #[test]
    fn the_disk_reserve_is_a_share_within_bounds() {
        let mut settings = BrokerSettings::defaults(&MACHINE);
        assert_eq!(settings.disk_reserve_of(10 * MIB), 4 * MIB);
        assert_eq!(settings.disk_reserve_of(1000 * MIB), 20 * MIB);
        assert_eq!(settings.disk_reserve_of(1 << 50), 1024 * MIB);
        settings.disk_reserve_bytes = Some(7);
        assert_eq!(settings.disk_reserve_of(1 << 50), 7);
    }

    /// For each key a value that is not its default.
    const OTHERS: &[(&str, &str)] = &[
        ("data.dir", "/var/lib/weir"),
        ("listen", "127.0.0.1:0"),
        ("insecure.no.auth", "true"),
        ("node.id", "7"),
        ("memory.bytes", "67108864"),
        ("disk.reserve.bytes", "2097152"),
        ("shards", "3"),
        ("open.files.max", "100"),
        ("compaction.memory.bytes", "1048576"),
        ("max.connections", "50"),
        ("shutdown.timeout.ms", "500"),
        ("log.retention.check.interval.ms", "100"),
        ("log.level", "debug"),
        ("log.format", "json"),
    ];

    #[test]
    fn each_key_fills_its_own_field_and_is_printed_back() {
        let defaults = BrokerSettings::defaults(&MACHINE).settings();
        assert_eq!(OTHERS.len(), BROKER_KEYS.len());
        for (row, (name, text)) in BROKER_KEYS.iter().zip(OTHERS) {
            assert_eq!(row.key.name, *name);
            let mut settings = BrokerSettings::defaults(&MACHINE);
            settings.set(row, &row.key.parse(text).expect(text), Source::Flag);
            for (setting, default) in settings.settings().iter().zip(&defaults) {
                let is_this = setting.key == *name;
                assert_eq!(setting.value == default.value, !is_this, "{name} {}", setting.key);
                assert_eq!(setting.source, if is_this { Source::Flag } else { Source::Default });
            }
            let printed = settings.settings().into_iter().find(|setting| setting.key == *name);
            assert_eq!(printed.map(|setting| setting.value).as_deref(), Some(*text));
        }
    }

    #[test]
    fn only_loopback_is_open_without_a_word() {
        let mut settings = BrokerSettings::defaults(&MACHINE);
        for address in ["127.0.0.1:7070", "127.8.8.8:1", "[::1]:0", "[::ffff:127.0.0.1]:80"] {
            settings.listen = address.parse().expect(address);
            assert_eq!(settings.check(), Ok(()), "{address}");
        }
        for address in ["0.0.0.0:7070", "[::]:7070", "10.0.0.1:7070", "[::ffff:10.0.0.1]:80"] {
            settings.listen = address.parse().expect(address);
            let error = settings.check().expect_err(address).to_string();
            assert!(error.starts_with("listen: ") && error.contains("insecure.no.auth=true"), "{error}");
        }
        settings.insecure_no_auth = true;
        assert_eq!(settings.check(), Ok(()));
    }

    #[test]
    fn docs_are_sentences() {
        for row in BROKER_KEYS {
            assert!(row.key.doc.ends_with('.') && row.key.doc.len() > 20, "{}", row.key.name);
        }
    }
}

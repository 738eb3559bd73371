//! Every hard limit as a named constant with its reason. Limits that a user may move are config keys instead.

/// Longest topic name in bytes: with `-<partition>` it must fit a file name of 255 bytes (Kafka's limit).
pub const TOPIC_NAME_BYTES_MAX: usize = 249;

/// Most partitions of one topic: each costs a folder and three files.
pub const TOPIC_PARTITIONS_MAX: i32 = 10_000;

/// Most items of one request: bounds the work that one small message can ask for.
pub const REQUEST_ITEMS_MAX: usize = 10_000;

/// Largest gRPC message in bytes, both ways (tonic's default decode limit, set for encoding as well).
pub const GRPC_MESSAGE_BYTES_MAX: usize = 4 << 20;

/// Room that a message needs beside its batches or records, in bytes.
pub const GRPC_MESSAGE_OVERHEAD_BYTES: usize = 64 << 10;

/// Largest batch in bytes that any topic may allow: it must fit a gRPC message.
pub const BATCH_BYTES_MAX: usize = GRPC_MESSAGE_BYTES_MAX - GRPC_MESSAGE_OVERHEAD_BYTES;

/// Most bytes that one compressed batch may unpack to, as a multiple of its largest allowed size.
pub const DECOMPRESSION_RATIO_MAX: usize = 16;

/// Most bytes that one compressed batch may unpack to, whatever its topic allows.
pub const DECOMPRESSED_BYTES_MAX: usize = 64 << 20;

/// HTTP/2 window of one call in bytes: the bandwidth-delay product of 10 Gbit/s over 3 ms. Measured with frames of 1 MiB: larger
/// windows gain nothing.
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 4 << 20;

/// HTTP/2 window of a connection in bytes: two calls at full speed.
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// Largest HTTP/2 frame in bytes. Sizes between 16 KiB and this are slower than both (measured).
pub const HTTP2_FRAME_BYTES: u32 = 1 << 20;

/// Batches written by one system call: the kernel takes at most 1,024 slices, two for each batch.
pub const APPEND_BATCHES_MAX: usize = 512;

/// Bytes of log between two index entries (Kafka's `index.interval.bytes`).
pub const INDEX_INTERVAL_BYTES: u64 = 4_096;

/// Longest interval between two index entries that a broker writes: its last batch begins within [`INDEX_INTERVAL_BYTES`]. What another
/// program wrote may have larger batches.
pub const WRITTEN_INTERVAL_BYTES_MAX: u64 = INDEX_INTERVAL_BYTES + BATCH_BYTES_MAX as u64;

/// Largest segment in bytes: positions in an index are 32 bits, as in Kafka.
pub const SEGMENT_BYTES_MAX: u64 = i32::MAX as u64;

/// Bytes after which written data is pushed to the disk in the background, so that dirty pages stay below
/// the kernel's throttle.
pub const WRITE_BEHIND_BYTES: u64 = 8 << 20;

/// Un-synced bytes after which any log is synced in the background, whatever its flush setting.
pub const UNSYNCED_BYTES_MAX: u64 = 64 << 20;

/// Time in ms after which any log is synced in the background, whatever its flush setting.
pub const UNSYNCED_MS_MAX: i64 = 60_000;

/// Time in ms after the last append or read after which a log gives up its descriptors: long enough that a log which is
/// used now and then keeps them, short enough that many quiet ones cost none.
pub const IDLE_CLOSE_MS: i64 = 5 * 60_000;

/// Time in ms between two syncs of the flush journal itself.
pub const JOURNAL_SYNC_MS: i64 = 1_000;

/// Dirty files from which one `syncfs` is cheaper than one `fdatasync` each (measured: 1,000 files 132 ms one
/// by one, 8.4 ms by `syncfs`; a single `syncfs` costs about as much as 16 small syncs).
pub const SYNCFS_FILES_MIN: usize = 16;

/// Logs that are recovered at a time after an unclean end: recovery mostly waits for syncs, and each thread leaves memory in use
/// (measured on 2 cores, 200 logs: 2 take 0.4 of the time of 1, 4 take 0.24, 16 take 0.23; 100 idle logs take 10.5 MiB with 1,
/// 12.5 with 2 or 3, 14.6 with 4, 24.8 with 16).
pub const RECOVERY_THREADS: usize = 3;

/// Time in µs after which an append counts as slow, so that the next ones go to the writer thread.
pub const SLOW_APPEND_MICROS: u64 = 1_000;

/// Time in µs after which an append says that the disk itself stands still: then the next ones of every log go to the writer thread, or
/// each log would hold its shard up once (measured with 1 s for each write and five logs: 5 s without an answer to anything). Far above
/// what many large batches take in the page cache.
pub const STALLED_APPEND_MICROS: u64 = 50_000;

/// Batches of one producer that stay known for duplicate detection (Kafka's number).
pub const PRODUCER_BATCHES_KEPT: usize = 5;

/// Producers of one log that stay known: about 8 MiB; beyond it the ones that wrote longest ago are forgotten, whatever ids
/// clients make up.
pub const PRODUCERS_KEPT: usize = 50_000;

/// Producer ids that one metadata command reserves.
pub const PRODUCER_ID_BLOCK: i64 = 1_000;

/// Headers of one record; more is taken for an attack on memory.
pub const RECORD_HEADERS_MAX: usize = 10_000;

/// Longest wait of a fetch in ms.
pub const FETCH_WAIT_MS_MAX: i64 = 60_000;

/// Default bound of a fetch reply in bytes.
pub const FETCH_BYTES_DEFAULT: usize = 1 << 20;

/// Longest name of a group, a member or an instance in bytes: as a topic's, so that all fit one line and one record.
pub const GROUP_NAME_BYTES_MAX: usize = 249;

/// Partitions of `__consumer_offsets`, and therefore of coordinators (Kafka's number; it can't change, it decides where a
/// group's records lie).
pub const OFFSETS_PARTITIONS: i32 = 50;

/// Members of one group: the targets of all of them are written at once, and each gets a record of its own.
pub const GROUP_MEMBERS_MAX: usize = 5_000;

/// Topics that one member may name: more is a pattern's work.
pub const SUBSCRIPTION_TOPICS_MAX: usize = 1_000;

/// Longest pattern of a subscription in bytes.
pub const PATTERN_BYTES_MAX: usize = 1_024;

/// Memory in bytes that a compiled pattern may take: a short text can ask for gigabytes.
pub const PATTERN_MEMORY_BYTES_MAX: usize = 1 << 20;

/// Longest text in bytes that a client may keep beside a committed offset (Kafka's default).
pub const OFFSET_METADATA_BYTES_MAX: usize = 4_096;

/// Shortest session timeout in ms that a member may ask for: shorter ones expire on a busy machine's pauses.
pub const SESSION_TIMEOUT_MS_MIN: i32 = 1_000;

/// Longest session timeout in ms: for so long nobody reads the partitions of a member that crashed (Kafka's bound).
pub const SESSION_TIMEOUT_MS_MAX: i32 = 30 * 60_000;

/// Session timeout in ms of a member that asks for none.
pub const SESSION_TIMEOUT_MS_DEFAULT: i32 = 10_000;

/// Longest time in ms that a member may ask for to answer a revocation.
pub const REBALANCE_TIMEOUT_MS_MAX: i32 = 60 * 60_000;

/// Time in ms to answer a revocation, of a member that asks for none.
pub const REBALANCE_TIMEOUT_MS_DEFAULT: i32 = 60_000;

const _: () = assert!(BATCH_BYTES_MAX < GRPC_MESSAGE_BYTES_MAX);
const _: () = assert!((BATCH_BYTES_MAX as u64) < SEGMENT_BYTES_MAX);
const _: () = assert!(DECOMPRESSED_BYTES_MAX >= BATCH_BYTES_MAX);

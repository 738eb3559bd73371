//! The local log `__cluster_metadata`: where commands become durable, and then the image.
//!
//! Commands are committed one after the other: checked against the image, appended as one batch, synced, applied.
//! Readers take the image and wait for nobody. Every so many commands the image is written down whole
//! (`metadata.snapshot`) and the log below it trimmed; a start loads the snapshot and replays what follows.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use super::command::{Command, DecodeError};
use super::image::{ApplyError, Image};
use super::snapshot::{self, SNAPSHOT_FILE, SNAPSHOT_KIND};
use crate::base::{LeaderEpoch, Offset, TopicId, TopicPartition, limits};
use crate::config::TopicConfig;
use crate::env::{DiskErrorKind, Env};
use crate::log::flush::checkpoint::{self, CheckpointError};
use crate::log::folder;
use crate::log::{AppendError, LogSpec, LogStore, OpenError, PartitionLog, ReadError, Wait};
use crate::record::{BatchBuilder, BatchError, BuildError, Codec, NewRecord, RecordBatch, ValidBatch};

/// Name of the log's topic.
pub const METADATA_TOPIC: &str = "__cluster_metadata";

/// Identity of the log, the same in every cluster: it has to be known before anything is read. Random ids do not
/// collide with it.
pub const METADATA_ID: TopicPartition =
    TopicPartition { topic_id: TopicId(*b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"), partition: 0 };

/// Commands after which a snapshot is written: replaying as many takes a few milliseconds.
pub const SNAPSHOT_COMMANDS: i64 = 1_000;

/// Segments of the log are small, so that a trim removes them soon.
const SEGMENT_BYTES: u64 = 16 << 20;

/// Bytes of one read at replay.
const REPLAY_BYTES: usize = 1 << 20;

/// Alone, offsets of the log are never used twice (it is always synced before anybody sees a command), so one epoch
/// does; in a cluster the term takes its place.
const METADATA_EPOCH: LeaderEpoch = 0;

/// Why the metadata could not be loaded.
#[derive(Debug)]
pub enum MetadataError {
    /// The log can't be opened.
    Open(OpenError),
    /// What the log holds can't be used.
    Replay {
        /// The folder of the log.
        folder: PathBuf,
        /// What is wrong.
        error: ReplayError,
    },
    /// The snapshot is damaged, or of a newer Weir, and the log below it is gone.
    Snapshot(CheckpointError),
    /// The body of the snapshot makes no sense.
    SnapshotBody {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Commands between the snapshot and the start of the log are missing.
    Gap {
        /// The first offset that is missing.
        from: Offset,
        /// Where the log begins.
        log_start: Offset,
    },
}

/// Why what the metadata log holds can't be used.
#[derive(Debug)]
pub enum ReplayError {
    /// It can't be read.
    Read(ReadError),
    /// A stored batch can't be read.
    Batch(BatchError),
    /// A record is no command, or one of a newer Weir.
    Command {
        /// Where it is.
        offset: Offset,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// A command does not follow from those before it.
    Apply {
        /// Where it is.
        offset: Offset,
        /// What is wrong with it.
        error: ApplyError,
    },
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Batch(error) => error.fmt(f),
            Self::Command { offset, error } => write!(f, "offset {offset}: {error}"),
            Self::Apply { offset, error } => write!(f, "offset {offset}: {error}"),
        }
    }
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "metadata can't be loaded: ")?;
        match self {
            Self::Open(error @ OpenError::Disk(_)) => write!(f, "log {METADATA_TOPIC}: {error}"),
            Self::Open(error) => write!(
                f,
                "log {METADATA_TOPIC}: {error}; restore its folder and {SNAPSHOT_FILE} from one copy, no older than the rest"
            ),
            Self::Replay { folder, error } => write!(
                f,
                "the log in {}: {error}; restore that folder and {SNAPSHOT_FILE} from one copy, no older than \
                 the rest",
                folder.display()
            ),
            Self::Snapshot(error @ CheckpointError::Damaged { .. }) => write!(
                f,
                "{error}, and the log below it is gone; restore it and the folder of {METADATA_TOPIC} from one copy, no older than \
                 the rest"
            ),
            Self::Snapshot(error) => write!(f, "{error}"),
            Self::SnapshotBody { path, what } => write!(
                f,
                "{} makes no sense: {what}; restore it and the folder of {METADATA_TOPIC} from one copy, no older than the rest",
                path.display()
            ),
            Self::Gap { from, log_start } => write!(
                f,
                "commands {from} to {log_start} are neither in {SNAPSHOT_FILE} nor in log {METADATA_TOPIC}; \
                 restore both from one copy"
            ),
        }
    }
}

impl std::error::Error for MetadataError {}

/// Why a command was not committed.
#[derive(Clone, Debug)]
pub enum CommitError {
    /// It does not fit the image. Nothing was written.
    Refused(ApplyError),
    /// There is no room, not even in the reserve. Nothing was written.
    DiskFull(String),
    /// The disk refused it. Nothing was written.
    NotWritten(String),
    /// The broker is stopping. Whether the command was written, the next start tells.
    Closed,
    /// The log failed. Nobody knows whether the command is in it; the broker has to end, and a start will tell.
    Failed(String),
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::DiskFull(what) => write!(f, "the disk is full: {what}"),
            Self::NotWritten(what) => write!(f, "nothing was written: {what}"),
            Self::Closed => write!(f, "the broker is stopping"),
            Self::Failed(what) => write!(f, "the metadata log failed: {what}"),
        }
    }
}

impl std::error::Error for CommitError {}

impl From<ApplyError> for CommitError {
    fn from(error: ApplyError) -> Self {
        Self::Refused(error)
    }
}

impl From<AppendError> for CommitError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::DiskFull => Self::DiskFull("no free space is left".to_owned()),
            AppendError::NotWritten(error) if error.kind == DiskErrorKind::Full => {
                Self::DiskFull(error.to_string())
            }
            AppendError::NotWritten(error) => Self::NotWritten(error.to_string()),
            AppendError::Unknown(error) => Self::Failed(error.to_string()),
            AppendError::Offline(reason) => Self::Failed(reason),
            AppendError::Closed => Self::Closed,
            AppendError::OutOfOrderSequence { .. } | AppendError::ProducerFenced { .. } => {
                unreachable!("commands are appended without a producer id")
            }
        }
    }
}

/// The log and what its commands add up to. One for each broker.
pub struct MetadataLog {
    env: Env,
    data_dir: PathBuf,
    log: Arc<PartitionLog>,
    image: Arc<ArcSwap<Image>>,
    writer: Arc<Mutex<Writer>>,
    failure: watch::Sender<Option<String>>,
    /// The next offset of the newest image.
    changes: watch::Sender<Offset>,
}

/// What only the one who commits may touch.
struct Writer {
    builder: BatchBuilder,
    /// All commands below it are in the snapshot file.
    snapshot_offset: Offset,
}

impl MetadataLog {
    /// Opens the log in the data directory and replays it. May block.
    ///
    /// Before: the folder of the log is there. Errors: whatever keeps the image from being whole.
    pub fn open(env: Env, data_dir: &Path, store: &Arc<LogStore>) -> Result<Arc<Self>, MetadataError> {
        let (image, snapshot_error) = load_snapshot(&env, data_dir)?;
        let snapshot_offset = image.next_offset();
        let log = store.open_log(spec(snapshot_offset)).map_err(MetadataError::Open)?;
        let log_start = log.offsets().log_start;
        match snapshot_error {
            // WHY: the log still holds every command, so the snapshot is not needed.
            Some(error) if log_start == 0 => {
                tracing::warn!(%error, "metadata snapshot ignored, replaying the whole log")
            }
            Some(error) => return Err(MetadataError::Snapshot(error)),
            None => {}
        }
        if log_start > image.next_offset() {
            return Err(MetadataError::Gap { from: image.next_offset(), log_start });
        }
        let folder = folder::path_of(data_dir, METADATA_TOPIC, METADATA_ID.partition);
        let image = replay(&log, image).map_err(|error| MetadataError::Replay { folder, error })?;
        Ok(Arc::new(Self {
            changes: watch::Sender::new(image.next_offset()),
            env,
            data_dir: data_dir.to_owned(),
            log,
            image: Arc::new(ArcSwap::from_pointee(image)),
            writer: Arc::new(Mutex::new(Writer { builder: BatchBuilder::new(), snapshot_offset })),
            failure: watch::Sender::new(None),
        }))
    }

    /// The metadata at this moment. Cost: no lock, no wait.
    pub fn image(&self) -> Arc<Image> {
        self.image.load_full()
    }

    /// The place where the newest image is always found.
    pub fn shared_image(&self) -> Arc<ArcSwap<Image>> {
        self.image.clone()
    }

    /// The next offset of the newest image: changes with each command.
    pub fn changes(&self) -> watch::Receiver<Offset> {
        self.changes.subscribe()
    }

    /// Becomes `Some` reason when the log has failed: the broker has to end.
    pub fn failure(&self) -> watch::Receiver<Option<String>> {
        self.failure.subscribe()
    }

    /// Commits one command; see [`Self::commit_with`].
    pub async fn commit(self: &Arc<Self>, command: Command) -> Result<Arc<Image>, CommitError> {
        self.commit_with(|_| Ok::<_, CommitError>(vec![command])).await
    }

    /// Commits the commands that `decide` chooses from the image that they will follow, all or none of them; none
    /// chosen, nothing is written. Returns the image after them.
    ///
    /// Cost: one sync; callers take turns. Holds after: the commands are durable and in the image. Cancel safe: once
    /// decided, they are committed even if nobody waits any more. Errors: those of `decide`, and [`CommitError`].
    pub async fn commit_with<E>(
        self: &Arc<Self>,
        decide: impl FnOnce(&Image) -> Result<Vec<Command>, E>,
    ) -> Result<Arc<Image>, E>
    where
        E: From<CommitError>,
    {
        let writer = self.writer.clone().lock_owned().await;
        let before = self.image();
        let commands = decide(&before)?;
        if commands.is_empty() {
            return Ok(before);
        }
        let written = tokio::spawn(self.clone().write(writer, before, commands)).await;
        // WHY: only a runtime that ends cancels the task, and a panic ends the process.
        Ok(written.unwrap_or(Err(CommitError::Closed))?)
    }

    async fn write(
        self: Arc<Self>,
        mut writer: OwnedMutexGuard<Writer>,
        before: Arc<Image>,
        commands: Vec<Command>,
    ) -> Result<Arc<Image>, CommitError> {
        if let Some(reason) = &*self.failure.borrow() {
            return Err(CommitError::Failed(reason.clone()));
        }
        // Checks that all of them fit, before any of them is written.
        apply_all(&before, &commands, before.next_offset())?;
        let batch = build(&mut writer.builder, &commands, self.env.clock.now_ms());
        let result = match batch {
            Ok(batch) => self.append(batch).await,
            Err(error) => return Err(CommitError::Failed(error.to_string())),
        };
        let first_offset = result.inspect_err(|error| self.note_failure(error))?;
        let image = Arc::new(apply_all(&before, &commands, first_offset)?);
        self.image.store(image.clone());
        self.changes.send_replace(image.next_offset());
        if image.next_offset() - writer.snapshot_offset >= SNAPSHOT_COMMANDS {
            let (this, image) = (self.clone(), image.clone());
            tokio::task::spawn_blocking(move || this.write_snapshot(writer, &image));
        }
        Ok(image)
    }

    /// Appends, waits until it is durable, and returns the offset of the first record.
    async fn append(&self, batch: ValidBatch) -> Result<Offset, CommitError> {
        let appended = self.log.append(batch).await?;
        self.log.wait_high_watermark(appended.last_offset + 1).await.map_err(|error| match error {
            AppendError::Closed => CommitError::Closed,
            error => CommitError::Failed(CommitError::from(error).to_string()),
        })?;
        Ok(appended.base_offset)
    }

    fn note_failure(&self, error: &CommitError) {
        if let CommitError::Failed(reason) = error {
            tracing::error!(%reason, "the metadata log failed; the broker has to end");
            self.failure.send_replace(Some(reason.clone()));
        }
    }

    /// Writes the image down and trims the log. Whoever wants to commit waits meanwhile, whoever has does not.
    fn write_snapshot(&self, mut writer: OwnedMutexGuard<Writer>, image: &Image) {
        let path = self.data_dir.join(SNAPSHOT_FILE);
        // A failure is tried again after as many commands more; the log keeps all of them until then.
        writer.snapshot_offset = image.next_offset();
        let body = snapshot::encode(image);
        if let Err(error) = checkpoint::write(&*self.env.disk, &path, SNAPSHOT_KIND, &body) {
            tracing::warn!(%error, "metadata snapshot not written");
            return;
        }
        if let Err(error) = self.log.trim(image.next_offset()) {
            tracing::warn!(%error, "metadata log not trimmed");
        }
    }
}

/// How the log is opened: synced at each append, kept whole until a snapshot lets it be trimmed.
fn spec(trim_offset: Offset) -> LogSpec {
    LogSpec {
        id: METADATA_ID,
        topic: METADATA_TOPIC.into(),
        config: TopicConfig {
            retention_ms: -1,
            retention_bytes: -1,
            segment_bytes: SEGMENT_BYTES,
            ..TopicConfig::default()
        },
        leader_epoch: METADATA_EPOCH,
        trim_offset,
        internal: true,
    }
}

/// The image of the snapshot file. Where that is damaged, an empty one and what is wrong.
fn load_snapshot(env: &Env, data_dir: &Path) -> Result<(Image, Option<CheckpointError>), MetadataError> {
    let path = data_dir.join(SNAPSHOT_FILE);
    match checkpoint::read(&*env.disk, &path, SNAPSHOT_KIND) {
        Ok(body) => match snapshot::decode(&body) {
            Ok(image) => Ok((image, None)),
            Err(what) => Err(MetadataError::SnapshotBody { path, what }),
        },
        Err(CheckpointError::Missing) => Ok((Image::default(), None)),
        Err(error @ CheckpointError::Damaged { .. }) => Ok((Image::default(), Some(error))),
        Err(error) => Err(MetadataError::Snapshot(error)),
    }
}

fn replay(log: &PartitionLog, mut image: Image) -> Result<Image, ReplayError> {
    // WHY: what is in the log when it is opened is durable, whether or not the high watermark says so yet.
    let end = log.offsets().log_end;
    let mut from = image.next_offset();
    while from < end {
        let slice = log.read(from, end, REPLAY_BYTES, Wait::Allowed).map_err(ReplayError::Read)?;
        if slice.bytes.is_empty() {
            // WHY not the end: a command that is passed over takes topics with it.
            return Err(ReplayError::Read(ReadError::Damaged { first: from, end }));
        }
        image = replay_batches(slice.bytes, image)?;
        from = slice.next_offset;
    }
    Ok(image)
}

fn replay_batches(mut run: Bytes, mut image: Image) -> Result<Image, ReplayError> {
    while let Some(batch) = RecordBatch::take_first(&mut run).map_err(ReplayError::Batch)? {
        let records = batch.records(limits::DECOMPRESSED_BYTES_MAX).map_err(ReplayError::Batch)?;
        for record in &records {
            let record = record.map_err(ReplayError::Batch)?;
            let offset = record.offset;
            let command = Command::decode(record.value.unwrap_or_default())
                .map_err(|error| ReplayError::Command { offset, error })?;
            image = image.apply(&command, offset).map_err(|error| ReplayError::Apply { offset, error })?;
        }
    }
    Ok(image)
}

fn apply_all(before: &Image, commands: &[Command], first_offset: Offset) -> Result<Image, ApplyError> {
    let mut image = before.clone();
    for (command, offset) in commands.iter().zip(first_offset..) {
        image = image.apply(command, offset)?;
    }
    Ok(image)
}

fn build(builder: &mut BatchBuilder, commands: &[Command], now_ms: i64) -> Result<ValidBatch, BuildError> {
    builder.clear();
    for command in commands {
        let value = command.encode();
        builder.append(&NewRecord { timestamp: now_ms, key: None, value: Some(&value), headers: &[] })?;
    }
    ValidBatch::internal(builder, Codec::None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::command::tests::any_command;
    use crate::env::{DiskError, OpKind};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_committed_is_replayed(commands in proptest::collection::vec(any_command(), 1..40)) {
            let mut live = Image::default();
            let mut run = Vec::new();
            let mut builder = BatchBuilder::new();
            for pair in commands.chunks(2) {
                let first = live.next_offset();
                let Ok(next) = apply_all(&live, pair, first) else { continue };
                let mut batch = build(&mut builder, pair, 1_700_000_000_000).expect("fits");
                run.extend_from_slice(&batch.place(first, 0));
                run.extend_from_slice(batch.body());
                live = next;
            }
            let replayed = replay_batches(run.into(), Image::default()).expect("was committed");
            prop_assert_eq!(replayed, live);
        }
    }

    #[test]
    fn a_record_that_is_no_command_is_named() {
        let mut builder = BatchBuilder::new();
        let record = NewRecord { timestamp: 0, key: None, value: Some(b"\xff"), headers: &[] };
        builder.append(&record).expect("fits");
        let mut batch = ValidBatch::internal(&mut builder, Codec::None).expect("built");
        let mut run = batch.place(7, 0).to_vec();
        run.extend_from_slice(batch.body());
        let error = replay_batches(run.into(), Image::default()).expect_err("no command").to_string();
        assert!(error.contains("offset 7: not a metadata command"), "{error}");
    }

    #[test]
    fn a_full_disk_is_not_the_end_but_a_failed_sync_is() {
        let error =
            |kind| DiskError { kind, operation: OpKind::Write, path: "x".into(), detail: "no".to_owned() };
        let full = CommitError::from(AppendError::NotWritten(error(DiskErrorKind::Full)));
        assert!(matches!(full, CommitError::DiskFull(_)));
        let refused = CommitError::from(AppendError::NotWritten(error(DiskErrorKind::TooManyFiles)));
        assert!(matches!(refused, CommitError::NotWritten(_)));
        let failed = CommitError::from(AppendError::Unknown(error(DiskErrorKind::Io)));
        assert!(matches!(failed, CommitError::Failed(_)));
    }
}

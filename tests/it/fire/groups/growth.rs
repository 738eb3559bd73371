//! Many commits to few keys: compaction keeps the offsets log small, and a start replays what is left of it.
//!
//! `WEIR_COMMITS=5000000` is the long form: that many commits to 10,000 keys, with the settings as they are; it asserts the time of the
//! replay too.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use weir::client::Client;
use weir::proto::grpc as pb;
use weir::proto::grpc::group_service_client::GroupServiceClient;

use super::super::number;
use super::{client_with_topic, until};
use crate::process::{BrokerProcess, free_port};

const TOPIC: &str = "orders";
/// Offsets that one call commits.
const CALL_OFFSETS: usize = 100;
/// `segment.bytes` of the offsets log; what lies in the segment that is written to is not compacted.
const SEGMENT_BYTES: u64 = 4 << 20;
/// A key with its newest value takes less than this in the log.
const RECORD_BYTES_MAX: u64 = 256;
/// The longest replay that the long form allows, from the start of the process to the last group's offsets.
const REPLAY_MAX: Duration = Duration::from_secs(10);

/// What is committed: each group all partitions, so many times.
#[derive(Clone, Copy)]
struct Plan {
    groups: usize,
    partitions: usize,
    rounds: usize,
    is_long: bool,
}

impl Plan {
    fn of_environment() -> Self {
        match number("WEIR_COMMITS", 0) {
            0 => Self { groups: 1, partitions: 100, rounds: 1_200, is_long: false },
            commits => Self { groups: 10, partitions: 1_000, rounds: commits / 10_000, is_long: true },
        }
    }

    fn keys(self) -> usize {
        self.groups * self.partitions
    }

    /// Most bytes of the offsets log at rest: for each group's partition the open segment, and below it each key once.
    fn bytes_max(self) -> u64 {
        self.groups as u64 * SEGMENT_BYTES + self.keys() as u64 * RECORD_BYTES_MAX
    }
}

/// Each lies in a partition of the offsets log of its own.
fn name(group: usize) -> String {
    format!("group-{group}")
}

/// Commits every partition of a group, round after round. The offset is the number of the round.
async fn commit(address: String, group: usize, plan: Plan) {
    let mut calls = GroupServiceClient::connect(format!("http://{address}")).await.unwrap();
    for round in 1..=plan.rounds as i64 {
        for first in (0..plan.partitions).step_by(CALL_OFFSETS) {
            let offset = |partition| pb::PartitionOffset {
                topic: TOPIC.to_owned(),
                partition,
                offset: round,
                ..Default::default()
            };
            let offsets =
                (first as i32..).take(CALL_OFFSETS.min(plan.partitions - first)).map(offset).collect();
            let request = pb::CommitOffsetsRequest { group: name(group), offsets, ..Default::default() };
            let answer = calls.commit_offsets(request).await.unwrap().into_inner();
            let refused: Vec<_> = answer.partitions.into_iter().filter_map(|one| one.error).collect();
            assert!(refused.is_empty(), "refused: {refused:?}");
        }
    }
}

/// Bytes of all segments of the offsets log.
fn stored_bytes(data: &Path) -> u64 {
    let is_part =
        |folder: &std::fs::DirEntry| folder.file_name().to_string_lossy().starts_with("__consumer_offsets-");
    let folders = std::fs::read_dir(data).unwrap().map(Result::unwrap).filter(is_part);
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap));
    let logs = files.filter(|file| file.path().extension().is_some_and(|end| end == "log"));
    // A segment that compaction has just replaced is gone.
    logs.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

/// Every group's offsets are those of the last round.
async fn check(address: &str, plan: Plan) {
    let client = Client::connect(address).await.unwrap();
    for group in 0..plan.groups {
        let mut offsets = Vec::new();
        until("the group's offsets are told", async || {
            offsets = client.admin().group_offsets(&name(group)).await.unwrap_or_default();
            !offsets.is_empty()
        })
        .await;
        assert_eq!(offsets.len(), plan.partitions, "{}: keys", name(group));
        let wrong = offsets.iter().find(|at| at.offset != plan.rounds as i64);
        assert!(wrong.is_none(), "{}: {wrong:?} is not the last commit", name(group));
    }
}

#[tokio::test]
async fn many_commits_to_few_keys_stay_small_and_are_soon_replayed() {
    let (plan, folder, port) = (Plan::of_environment(), tempfile::tempdir().unwrap(), free_port());
    let data = folder.path().join("data");
    let settings: &[&str] = if plan.is_long { &[] } else { &["log.retention.check.interval.ms=100"] };
    let mut broker = BrokerProcess::start_with(&data, folder.path(), port, settings);
    broker.answers(None).await;
    let address = broker.address();
    client_with_topic(&address, TOPIC, plan.partitions as i32).await;
    let begun = Instant::now();
    let mut groups: JoinSet<()> =
        (0..plan.groups).map(|group| commit(address.clone(), group, plan)).collect();
    let mut largest = 0;
    while !groups.is_empty() {
        let pause = tokio::time::sleep(Duration::from_millis(100));
        tokio::select! {
            Some(ended) = groups.join_next() => ended.unwrap(),
            () = pause => largest = largest.max(stored_bytes(&data)),
        }
    }
    let took = begun.elapsed().as_secs_f64();
    let mut stored = 0;
    until("the offsets log is compacted", async || {
        stored = stored_bytes(&data);
        stored <= plan.bytes_max()
    })
    .await;
    check(&address, plan).await;
    broker.kill();
    let mut broker = BrokerProcess::start_with(&data, folder.path(), port, settings);
    broker.accepts().await;
    check(&address, plan).await;
    let replayed_in = broker.age();
    let commits = plan.keys() * plan.rounds;
    println!(
        "offsets log: {commits} commits to {} keys in {took:.1} s ({:.0}/s); it took {:.1} MiB at most, {:.1} MiB after compaction (allowed: \
         {:.1}); after kill -9 every key is told {} ms after the start",
        plan.keys(),
        commits as f64 / took,
        mib(largest),
        mib(stored),
        mib(plan.bytes_max()),
        replayed_in.as_millis()
    );
    assert!(
        !plan.is_long || replayed_in < REPLAY_MAX,
        "the replay took {replayed_in:?}, at most {REPLAY_MAX:?}"
    );
    broker.kill();
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

//! A wall clock that stands still, is set back or leaps ahead, by `libfaketime`; the monotonic clock goes on as it is.
//!
//! What recovery sets aside takes the place of nothing, append time never goes back within a partition, and a leap of a year takes no
//! more than one segment of a partition at a time.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use weir::client::{Client, Record};

use super::number;
use super::outcomes::skip;
use crate::process::{BrokerProcess, Manner, free_port};
use crate::whole::read_all;

const TOPIC: &str = "t";
const SEGMENT_BYTES: &str = "2KiB";
/// Torn ends that are set aside at the same time of day.
const CUTS_DEFAULT: usize = 3;
/// Records between two settings of the clock.
const RECORDS: usize = 40;
/// Times in the words of `libfaketime`: one that stands still, and ones that go on. WHY none of these lies in the past: times of files are
/// not faked.
const STILL: &str = "2024-01-01 00:00:00";
const STILL_MS: i64 = 1_704_067_200_000;
const NOW: &str = "+0";
const YEAR_AHEAD: &str = "+365d";
const FAR_AHEAD: &str = "+1000d";
const FARTHER_AHEAD: &str = "+1030d";
const FURTHEST_AHEAD: &str = "+1040d";
const DAY_MS: i64 = 86_400_000;
const WAIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// A data directory with a clock of its own.
struct World {
    folder: tempfile::TempDir,
    library: String,
    port: u16,
}

impl World {
    /// Errors: why there is no such clock here.
    fn new() -> Result<Self, String> {
        let tried = Command::new("faketime").args(["-f", "+0", "printenv", "LD_PRELOAD"]).output();
        let said = tried.map_err(|error| format!("faketime can't be run: {error}"))?;
        let library = String::from_utf8_lossy(&said.stdout).trim().replace("libfaketime.", "libfaketimeMT.");
        let mut date = Command::new("date");
        date.arg("+%s000").env("LD_PRELOAD", &library).env("FAKETIME", STILL).env("TZ", "UTC");
        let said = date.output().map_err(|error| format!("date can't be run: {error}"))?;
        let told = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        if told != STILL_MS.to_string() {
            return Err(format!("with {library} it is not {STILL_MS} but '{told}'"));
        }
        Ok(Self { folder: tempfile::tempdir().unwrap(), library, port: free_port() })
    }

    /// Sets the clock, also that of a broker that runs.
    fn set(&self, time: &str) {
        // Renamed in: whoever looks at the time finds a whole one.
        let (new, file) = (self.folder.path().join("clock.new"), self.clock());
        std::fs::write(&new, format!("{time}\n")).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    fn clock(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    fn log_folder(&self) -> PathBuf {
        self.folder.path().join(format!("data/{TOPIC}-0"))
    }

    fn is_last_segment_empty(&self) -> bool {
        let files = std::fs::read_dir(self.log_folder()).unwrap().map(|entry| entry.unwrap());
        let logs = files.filter(|file| file.file_name().to_string_lossy().ends_with(".log"));
        let last = logs.max_by_key(|file| file.file_name()).unwrap();
        last.metadata().unwrap().len() == 0
    }

    async fn start(&self) -> (BrokerProcess, Client) {
        let words = [
            "env".to_owned(),
            "TZ=UTC".to_owned(),
            format!("LD_PRELOAD={}", self.library),
            format!("FAKETIME_TIMESTAMP_FILE={}", self.clock().display()),
            "FAKETIME_NO_CACHE=1".to_owned(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        ];
        let settings = vec!["log.retention.check.interval.ms=100".to_owned()];
        let manner = Manner { under: words.to_vec(), settings };
        let data = self.folder.path().join("data");
        let mut broker = BrokerProcess::start_as(&data, self.folder.path(), self.port, &manner);
        broker.answers(None).await;
        let client = Client::connect(&broker.address()).await.unwrap();
        (broker, client)
    }

    async fn restart(&self, broker: BrokerProcess) -> (BrokerProcess, Client) {
        broker.kill();
        self.start().await
    }
}

async fn create(client: &Client, configs: &[(&str, &str)]) {
    let topic = client.admin().create_topic(TOPIC).partitions(1).config("segment.bytes", SEGMENT_BYTES);
    let topic = configs.iter().fold(topic, |topic, (key, value)| topic.config(*key, *value));
    topic.await.unwrap();
}

/// Appends records, one batch for each.
async fn append(client: &Client) {
    let producer = client.producer().build().await.unwrap();
    for _ in 0..RECORDS {
        producer.send(Record::to(TOPIC).timestamp(1).value(vec![7; 100])).await.unwrap().await.unwrap();
    }
    producer.close().await;
}

async fn segments(client: &Client) -> usize {
    let topic = client.admin().describe_topic(TOPIC).await.unwrap();
    topic.partitions[0].segment_count as usize
}

async fn until_segments(client: &Client, what: &str, is_so: impl Fn(usize) -> bool) {
    let begun = Instant::now();
    while !is_so(segments(client).await) {
        assert!(begun.elapsed() < WAIT, "{what} did not come");
        sleep(PAUSE).await;
    }
}

#[tokio::test]
async fn what_is_set_aside_while_the_clock_stands_still_stays() {
    let world = match World::new() {
        Ok(world) => world,
        Err(reason) => return skip("a clock that stands still", &reason),
    };
    world.set(STILL);
    let (mut broker, mut client) = world.start().await;
    create(&client, &[]).await;
    let record = Record::to(TOPIC).timestamp(1).value("kept");
    client.producer().build().await.unwrap().send(record).await.unwrap().await.unwrap();
    let cuts = number("WEIR_CUTS", CUTS_DEFAULT);
    let torn = |at: usize| format!("torn end {at}").into_bytes();
    for at in 0..cuts {
        broker.kill();
        let log = world.log_folder().join("00000000000000000000.log");
        OpenOptions::new().append(true).open(log).unwrap().write_all(&torn(at)).unwrap();
        (broker, client) = world.start().await;
        assert_eq!(read_all(&client, TOPIC).await.len(), 1);
    }
    let files = std::fs::read_dir(world.log_folder()).unwrap().map(|entry| entry.unwrap());
    let aside = files.filter(|file| file.file_name().to_string_lossy().contains(&format!(".cut-{STILL_MS}")));
    let mut found: Vec<Vec<u8>> = aside.map(|file| std::fs::read(file.path()).unwrap()).collect();
    found.sort();
    let expected: Vec<Vec<u8>> = (0..cuts).map(torn).collect();
    let lost = expected.iter().filter(|torn| !found.contains(torn)).count();
    assert!(lost == 0 && found.len() == cuts, "{lost} of {cuts} that were set aside are gone: {found:?}");
    println!("clock: {cuts} torn ends set aside while the clock stood still, all of them kept");
    broker.kill();
}

/// Records stay whatever the clock says, and segments of an hour are rolled.
const APPEND_TIME: [(&str, &str); 3] =
    [("message.timestamp.type", "LogAppendTime"), ("segment.ms", "1h"), ("retention.ms", "-1")];

#[tokio::test]
async fn append_time_never_goes_back() {
    let world = match World::new() {
        Ok(world) => world,
        Err(reason) => return skip("a clock that is set back", &reason),
    };
    world.set(FAR_AHEAD);
    let (broker, client) = world.start().await;
    create(&client, &APPEND_TIME).await;
    append(&client).await;
    // Set back while it runs, over a kill, and over a kill with an empty last segment.
    world.set(YEAR_AHEAD);
    append(&client).await;
    let (broker, client) = world.restart(broker).await;
    append(&client).await;
    world.set(FARTHER_AHEAD);
    append(&client).await;
    world.set(FURTHEST_AHEAD);
    let begun = Instant::now();
    while !world.is_last_segment_empty() {
        assert!(begun.elapsed() < WAIT, "the roll by age did not come");
        sleep(PAUSE).await;
    }
    world.set(YEAR_AHEAD);
    let (broker, client) = world.restart(broker).await;
    append(&client).await;
    let times: Vec<i64> = read_all(&client, TOPIC).await.iter().map(|record| record.timestamp).collect();
    assert_eq!(times.len(), 5 * RECORDS);
    let back = times.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert_eq!(back, 0, "append time goes back {back} times: {times:?}");
    assert!(times[3 * RECORDS] > times[0] + DAY_MS, "the clock is not the one that was set: {times:?}");
    println!("clock: {} append times, the clock set back twice and 2 kills: none goes back", times.len());
    broker.kill();
}

/// How many segments went at each time that some were removed.
fn removals(said: &str) -> Vec<usize> {
    let lines = said.lines().filter(|line| line.contains("removed old segments"));
    let count = |line: &str| line.split("segments=").nth(1)?.split(' ').next()?.parse().ok();
    lines.map(|line| count(line).unwrap_or_else(|| panic!("no count in: {line}"))).collect()
}

#[tokio::test]
async fn a_leap_ahead_takes_one_segment_at_a_time() {
    let world = match World::new() {
        Ok(world) => world,
        Err(reason) => return skip("a clock that leaps ahead", &reason),
    };
    world.set(NOW);
    let (broker, client) = world.start().await;
    create(&client, &[("retention.ms", "7d")]).await;
    append(&client).await;
    let full = segments(&client).await;
    assert!(full > 1, "{full} segments are too few");
    world.set(YEAR_AHEAD);
    until_segments(&client, "the end of all old segments", |now| now == 1).await;
    let said = broker.said_itself();
    let slow = removals(&said);
    assert!(slow.iter().all(|count| *count == 1), "a leap of a year took {slow:?} segments at a time");
    assert!(said.contains("the clock leapt ahead"), "{said}");
    let begun = Instant::now();
    while !broker.said_itself().contains("retention has caught up") {
        assert!(begun.elapsed() < WAIT, "retention stays slow");
        sleep(PAUSE).await;
    }
    // Without a leap all go at once that are old.
    append(&client).await;
    let client = Client::connect(&broker.address()).await.unwrap();
    client.admin().update_topic(TOPIC).set_config("retention.ms", "1").await.unwrap();
    until_segments(&client, "lower retention", |now| now == 1).await;
    let fast = removals(&broker.said_itself()).split_off(slow.len());
    assert!(fast.iter().max() > Some(&1), "retention stays slow: {fast:?}");
    println!(
        "clock: a leap of a year removed {} segments, one at a time; without one {fast:?} at a time",
        slow.len()
    );
    broker.kill();
}

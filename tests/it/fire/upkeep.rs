//! Trims and settings that survive `kill -9`, offsets by time whatever the order of the times, and what the broker does by itself to a
//! quiet topic: rolls and retention.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use weir::client::{At, Client, Partition, Record};

use super::number;
use crate::process::{BrokerProcess, free_port};
use crate::whole::read_all;

const TOPIC: &str = "upkeep";
const KILLS_DEFAULT: usize = 5;
/// Records of a round.
const RECORDS: std::ops::RangeInclusive<i64> = 5..=60;
/// The broker is killed this soon after a trim and a change of settings were asked for, in ms.
const KILL_MS: std::ops::RangeInclusive<u64> = 0..=80;
/// A segment of a few batches.
const SEGMENT_BYTES: &str = "2KiB";
/// What the broker does by itself and has not done after this long does not come.
const WAIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);
/// The setting that is changed; it changes nothing that this test sees.
const SETTING: &str = "max.message.bytes";

async fn create(client: &Client) {
    client.admin().create_topic(TOPIC).partitions(1).config("segment.bytes", SEGMENT_BYTES).await.unwrap();
}

async fn partition(client: &Client) -> Partition {
    client.admin().describe_topic(TOPIC).await.unwrap().partitions.remove(0)
}

async fn setting(client: &Client) -> String {
    let topic = client.admin().describe_topic(TOPIC).await.unwrap();
    topic.configs.into_iter().find(|config| config.key == SETTING).unwrap().value
}

/// Appends records whose value and time are those of `times`, one batch for each.
async fn append(client: &Client, times: impl Iterator<Item = i64>) {
    let producer = client.producer().build().await.unwrap();
    for time in times {
        let record = Record::to(TOPIC).timestamp(time).value(time.to_string());
        producer.send(record).await.unwrap().await.unwrap();
    }
    producer.close().await;
}

async fn restart(broker: BrokerProcess, folder: &std::path::Path) -> BrokerProcess {
    let port = broker.port();
    broker.kill();
    let mut broker = BrokerProcess::start(folder, port);
    broker.answers(Some(TOPIC)).await;
    broker
}

#[tokio::test]
async fn trims_and_settings_survive_kills() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = BrokerProcess::start(folder.path(), free_port());
    broker.answers(None).await;
    let client = Client::connect(&broker.address()).await.unwrap();
    create(&client).await;
    let mut rng = fastrand::Rng::with_seed(number("WEIR_SEED", 7) as u64);
    let (mut start, mut end, mut value) = (0, 0, setting(&client).await);
    let (kills, mut held, mut open) = (number("WEIR_KILLS", KILLS_DEFAULT), 0, 0);
    for _ in 0..kills {
        let more = rng.i64(RECORDS);
        append(&client, end..end + more).await;
        end += more;
        let to = rng.i64(start..=end);
        let new_value = rng.u32(100_000..1_000_000).to_string();
        let asked = {
            let (client, value) = (Client::connect(&broker.address()).await.unwrap(), new_value.clone());
            tokio::spawn(async move {
                let trimmed = client.admin().trim_topic(TOPIC, [(0, to)]).await;
                let altered = client.admin().update_topic(TOPIC).set_config(SETTING, value).await;
                (
                    trimmed.is_ok_and(|partitions| {
                        partitions.iter().all(|partition| partition.log_start_offset.is_ok())
                    }),
                    altered.is_ok(),
                )
            })
        };
        sleep(Duration::from_millis(rng.u64(KILL_MS))).await;
        let is_over = asked.is_finished();
        if !is_over {
            asked.abort();
        }
        broker = restart(broker, folder.path()).await;
        let (is_trimmed, is_altered) = if is_over { asked.await.unwrap() } else { (false, false) };
        let found = partition(&client).await;
        assert_eq!((found.log_end_offset, found.high_watermark), (end, end));
        assert!([start, to].contains(&found.log_start_offset), "trim from {start} to {to}: {found:?}");
        assert!(!is_trimmed || found.log_start_offset == to, "an acknowledged trim to {to}: {found:?}");
        let now = setting(&client).await;
        assert!(now == new_value || (!is_altered && now == value), "{value}, {new_value}: it is {now}");
        held += usize::from(is_trimmed);
        open += usize::from(!is_trimmed);
        (start, value) = (found.log_start_offset, now);
        let read: Vec<_> = read_all(&client, TOPIC).await.iter().map(|record| record.offset).collect();
        assert_eq!(read, (start..end).collect::<Vec<_>>());
    }
    println!(
        "upkeep: {kills} kills, {held} acknowledged trims held, {open} were cut short and happened whole or not at all"
    );
    broker.kill();
}

#[tokio::test]
async fn offsets_by_time_are_right_whatever_the_order_of_the_times() {
    const RECORDS: usize = 120;
    let folder = tempfile::tempdir().unwrap();
    let mut broker = BrokerProcess::start(folder.path(), free_port());
    broker.answers(None).await;
    let client = Client::connect(&broker.address()).await.unwrap();
    create(&client).await;
    let mut rng = fastrand::Rng::with_seed(number("WEIR_SEED", 7) as u64);
    let times: Vec<i64> = (0..RECORDS).map(|_| rng.i64(1_000..1_200)).collect();
    append(&client, times.iter().copied()).await;
    assert!(partition(&client).await.segment_count > 3);
    let mut asked = 0;
    for lived in ["before", "after"] {
        let all: BTreeSet<i64> = (995..1_205).collect();
        let places = all.iter().map(|at| (0, At::Timestamp(*at)));
        let found = client.admin().list_offsets(TOPIC, places).await.unwrap();
        for (at, found) in all.iter().zip(found) {
            let expected = times.iter().position(|time| time >= at).map(|offset| offset as i64);
            assert_eq!(found.unwrap().offset, expected, "time {at}, {lived} the kill");
            asked += 1;
        }
        let latest =
            client.admin().list_offsets(TOPIC, [(0, At::MaxTimestamp)]).await.unwrap().remove(0).unwrap();
        let max = times.iter().max().unwrap();
        assert_eq!(latest.offset, times.iter().position(|time| time == max).map(|offset| offset as i64));
        broker = restart(broker, folder.path()).await;
    }
    println!(
        "upkeep: {asked} offsets by time over {RECORDS} records with times out of order, before and after a kill: all right"
    );
    broker.kill();
}

/// Waits until the broker has done something by itself.
async fn until(client: &Client, what: &str, is_so: impl Fn(&Partition) -> bool) -> Partition {
    let begun = Instant::now();
    loop {
        let found = partition(client).await;
        if is_so(&found) {
            return found;
        }
        assert!(begun.elapsed() < WAIT, "{what} does not come: {found:?}");
        sleep(PAUSE).await;
    }
}

async fn set(client: &Client, key: &str, value: &str) {
    client.admin().update_topic(TOPIC).set_config(key, value).await.unwrap();
}

#[tokio::test]
async fn a_quiet_topic_rolls_and_expires_by_itself_and_keeps_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = BrokerProcess::start_with(
        &folder.path().join("data"),
        folder.path(),
        free_port(),
        &["log.retention.check.interval.ms=50"],
    );
    broker.answers(None).await;
    let client = Client::connect(&broker.address()).await.unwrap();
    client.admin().create_topic(TOPIC).partitions(1).await.unwrap();

    append(&client, 1_000..1_005).await;
    assert_eq!(partition(&client).await.segment_count, 1);
    set(&client, "segment.ms", "1ms").await;
    until(&client, "a roll by time", |found| found.segment_count == 2).await;
    set(&client, "segment.ms", "7d").await;

    set(&client, "segment.bytes", SEGMENT_BYTES).await;
    append(&client, 1_005..1_200).await;
    let full = partition(&client).await;
    set(&client, "retention.bytes", "6KiB").await;
    let less = until(&client, "retention by size", |found| found.log_start_offset > 5).await;
    assert!(less.size_bytes >= 6 << 10 && less.size_bytes < full.size_bytes, "{full:?}, then {less:?}");
    assert_eq!((less.log_end_offset, less.high_watermark), (200, 200));

    // The active segment has records and nobody appends.
    set(&client, "retention.ms", "1ms").await;
    until(&client, "retention of a quiet active segment", |found| found.log_start_offset == 200).await;
    let broker = restart(broker, folder.path()).await;
    let found = partition(&client).await;
    assert_eq!((found.log_start_offset, found.log_end_offset), (200, 200), "nothing that expired comes back");
    append(&client, 2_000..2_001).await;
    assert_eq!(partition(&client).await.log_end_offset, 201, "no offset is used again");
    println!(
        "upkeep: a quiet topic was rolled by time, cut by size and emptied by time, also its active segment; its end stayed"
    );
    broker.kill();
}

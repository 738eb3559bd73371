//! What a member of the client library is told when things go wrong: offsets that are gone, bytes that are damaged, work that takes too long.

use std::path::Path;
use std::time::Duration;

use weir::ErrorKind;
use weir::base::Error;
use weir::client::{GroupConsumer, GroupEvent, OutOfRange};

use super::consumer::{Seen, committed, member, soon};
use super::{TOPIC, produce, topic};
use crate::whole::Whole;

/// The next error.
async fn error_of(consumer: &mut GroupConsumer) -> Error {
    loop {
        if let Some(GroupEvent::Error(error)) = soon("an error", consumer.next_event()).await {
            return error;
        }
    }
}

/// A group that stands at offset 3 of a partition that begins at 6 and ends at 10.
async fn trimmed(whole: &Whole) {
    let client = whole.client().await;
    topic(whole, 1).await;
    produce(whole, 1, 0, 10).await;
    let mut consumer = member(&client).manual_commit().build().await.unwrap();
    let mut seen = Seen::default();
    seen.until(&mut consumer, "it owns all", |seen| seen.owned.len() == 1).await;
    soon("it leaves", consumer.close()).await.unwrap();
    client.admin().reset_offsets("g", [(TOPIC, 0, 3)]).await.unwrap();
    client.admin().trim_topic(TOPIC, [(0, 6)]).await.unwrap();
}

#[tokio::test]
async fn an_offset_that_is_gone_is_told_and_nothing_is_passed_over_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    trimmed(&whole).await;
    let client = whole.client().await;
    let mut consumer = member(&client).build().await.unwrap();
    let error = error_of(&mut consumer).await;
    assert_eq!(error.kind, ErrorKind::OffsetOutOfRange);
    let facts = ["topic", "partition", "offset", "start", "end", "lost"];
    assert_eq!(facts.map(|name| &*error.metadata[name]), [TOPIC, "0", "3", "6", "10", "3"]);
    assert_eq!(committed(&client).await[&0], 3, "it stands where it stood");
    consumer.seek(TOPIC, 0, 8).unwrap();
    let mut seen = Seen::default();
    seen.until(&mut consumer, "it goes on", |seen| seen.read.len() == 2).await;
    assert_eq!(seen.read, [(0, 8), (0, 9)]);
    soon("it leaves", consumer.close()).await.unwrap();
    drop(client);
    whole.stop().await;
}

#[tokio::test]
async fn a_member_may_go_on_at_either_end() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    trimmed(&whole).await;
    let client = whole.client().await;
    for (policy, first) in [(OutOfRange::Earliest, 6), (OutOfRange::Latest, 10)] {
        let builder = member(&client).out_of_range(policy).manual_commit();
        let mut consumer = builder.build().await.unwrap();
        assert_eq!(
            error_of(&mut consumer).await.kind,
            ErrorKind::OffsetOutOfRange,
            "it is told all the same"
        );
        if policy == OutOfRange::Latest {
            produce(&whole, 1, 10, 1).await;
        }
        let mut seen = Seen::default();
        seen.until(&mut consumer, "it goes on", |seen| !seen.read.is_empty()).await;
        assert_eq!(seen.read, [(0, first)]);
        soon("it leaves", consumer.close()).await.unwrap();
    }
    drop(client);
    whole.stop().await;
}

/// Flips a bit of the record of this offset, in a log whose batches have one record each.
fn damage(folder: &Path, offset: usize) {
    let path = folder.join(format!("{TOPIC}-0/00000000000000000000.log"));
    let mut bytes = std::fs::read(&path).unwrap();
    let mut position = 0;
    for _ in 0..offset {
        let length = u32::from_be_bytes(bytes[position + 8..position + 12].try_into().unwrap());
        position += 12 + length as usize;
    }
    bytes[position + 65] ^= 1;
    std::fs::write(&path, bytes).unwrap();
}

#[tokio::test]
async fn damaged_records_are_told_and_the_other_partitions_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    topic(&whole, 2).await;
    for number in 0..6 {
        produce(&whole, 2, number, 1).await;
    }
    whole.stop().await;
    damage(folder.path(), 2);
    let whole = Whole::start(folder.path()).await;
    let client = whole.client().await;
    let mut consumer = member(&client).build().await.unwrap();
    let mut seen = Seen::default();
    seen.until(&mut consumer, "it is told", |seen| !seen.errors.is_empty()).await;
    assert_eq!(seen.errors, [ErrorKind::DamagedRange]);
    let other = |seen: &Seen| seen.read.iter().filter(|(partition, _)| *partition == 1).count();
    seen.until(&mut consumer, "the other one is read", |seen| other(seen) == 6).await;
    assert!(seen.read.iter().all(|(partition, offset)| *partition == 1 || *offset < 2), "{:?}", seen.read);
    consumer.seek(TOPIC, 0, 3).unwrap();
    seen.until(&mut consumer, "it goes on behind", |seen| seen.read.contains(&(0, 5))).await;
    assert!(!seen.read.contains(&(0, 2)));
    soon("it leaves", consumer.close()).await.unwrap();
    drop(client);
    whole.stop().await;
}

#[tokio::test]
async fn work_that_takes_longer_than_a_rebalance_may_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::start(folder.path()).await;
    let client = whole.client().await;
    topic(&whole, 2).await;
    produce(&whole, 2, 0, 1).await;
    let builder = member(&client).rebalance_timeout(Duration::from_secs(1));
    let mut slow = builder.build().await.unwrap();
    let mut seen = Seen::default();
    seen.until(&mut slow, "it owns all", |seen| seen.owned.len() == 2).await;
    seen.until(&mut slow, "a record is in hand", |seen| seen.read.len() == 2).await;
    // The second record is in work, and nothing is asked for while somebody else waits for its partition.
    let mut quick = member(&client).build().await.unwrap();
    let mut other = Seen::default();
    other.until(&mut quick, "it got its share", |other| !other.owned.is_empty()).await;
    seen.until(&mut slow, "it is told", |seen| !seen.errors.is_empty()).await;
    assert!(
        [ErrorKind::PartitionNotOwned, ErrorKind::UnknownMember].contains(&seen.errors[0]),
        "{:?}",
        seen.errors
    );
    drop((slow, quick, client));
    whole.stop().await;
}

//! A file system with room for bytes, but for no other file: somebody else made files until none more went in.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use weir::client::{Client, Record};

use super::{Ext4, data, until};
use crate::fire::outcomes::skip;
use crate::process::{BrokerProcess, free_port};
use crate::whole::read_all;

const MEGABYTES: u32 = 64;
/// Files and folders that the file system has room for, about.
const FILES: u32 = 128;
/// Topics of one segment each, that are deleted one after the other.
const TOPICS: [&str; 3] = ["one", "two", "three"];
const RECORDS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes files until there is room for none more. Gives how many.
fn take_all_files(folder: &Path) -> usize {
    std::fs::create_dir_all(folder).unwrap();
    let begin = std::fs::read_dir(folder).unwrap().count();
    (begin..).take_while(|number| File::create(folder.join(number.to_string())).is_ok()).count()
}

async fn start(disk: &Ext4, port: u16) -> (BrokerProcess, Client) {
    let settings = ["log.retention.check.interval.ms=50"];
    let mut broker = BrokerProcess::start_with(&data(disk), disk.beside(), port, &settings);
    broker.answers(None).await;
    let client = Client::connect(&broker.address()).await.unwrap();
    (broker, client)
}

/// Sends a record; says whether it was stored.
async fn append(client: &Client, topic: &str, value: &str) -> Result<(), String> {
    let producer = client.producer().delivery_timeout(PATIENCE).build().await.unwrap();
    let delivery = producer.send(Record::to(topic).value(value.to_owned())).await.unwrap();
    delivery.await.map(drop).map_err(|error| error.to_string())
}

/// A call of the command line that there may be no room for: then it says so.
async fn works_or_is_refused(broker: &BrokerProcess, call: &[&str]) -> bool {
    let said = broker.run(call).await;
    if let Err(error) = &said {
        assert!(error.contains("[DISK_FULL]") && error.contains("delete"), "{call:?}: {error}");
    }
    said.is_ok()
}

async fn delete(broker: &BrokerProcess, disk: &Ext4, topic: &str) {
    let said = broker.run(&["topic", "delete", topic]).await;
    assert!(said.is_ok(), "delete of {topic}: {said:?}; the broker said\n{}", broker.said());
    let gone = data(disk).join("deleted");
    until("the unlinking of a deleted topic", || std::fs::read_dir(&gone).unwrap().count() == 0).await;
}

#[tokio::test]
async fn no_room_for_another_file() {
    let disk = match Ext4::with_files(MEGABYTES, FILES) {
        Ok(disk) => disk,
        Err(reason) => return skip("no room for another file", &reason),
    };
    let ballast = disk.path().join("ballast");
    let (broker, client) = start(&disk, free_port()).await;
    for topic in TOPICS {
        client.admin().create_topic(topic).partitions(1).await.unwrap();
        for number in 0..RECORDS {
            append(&client, topic, &number.to_string()).await.unwrap();
        }
    }
    let taken = take_all_files(&ballast);

    // Nobody is harmed, and who would need a file is told.
    for topic in TOPICS {
        assert_eq!(read_all(&client, topic).await.len(), RECORDS);
    }
    append(&client, "three", "there is room in the segment").await.unwrap();
    assert!(!works_or_is_refused(&broker, &["topic", "create", "four"]).await);
    let is_trimmed = works_or_is_refused(&broker, &["topic", "trim", "two", "--to", "end"]).await;
    let is_lowered =
        works_or_is_refused(&broker, &["topic", "alter", "three", "-c", "retention.ms=1ms"]).await;
    assert!(is_lowered, "a setting takes no file");

    // The first delete of this data directory, and one of a broker that came up without room.
    delete(&broker, &disk, "one").await;
    until("what the trim and retention could not remove", || {
        ["two-0", "three-0"].iter().all(|folder| log_bytes(&data(&disk).join(folder)) == 0)
    })
    .await;
    append(&client, "two", "there is room again").await.unwrap();
    let again = take_all_files(&ballast);
    let port = broker.port();
    broker.kill();
    // A folder of somebody else has no way to quarantine where none was made.
    std::fs::create_dir_all(data(&disk).join("stranger-0")).unwrap_or_default();
    let (broker, client) = start(&disk, port).await;
    assert_eq!(read_all(&client, "two").await.len(), 1);
    delete(&broker, &disk, "two").await;
    append(&client, "three", "and again").await.unwrap();
    broker.kill();
    println!(
        "no room for another file: {taken} and {again} files took all there was; the trim of a topic of one segment went through \
         ({is_trimmed}) or was refused, deletes went through, before and after a kill, and made room for all the rest"
    );
}

fn log_bytes(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let logs = files.filter(|file| file.file_name().to_string_lossy().ends_with(".log"));
    logs.map(|file| file.metadata().map_or(0, |file| file.len())).sum()
}

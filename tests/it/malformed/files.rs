//! Data directories that are none, or that somebody changed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::command_line::{Run, weir};
use super::{TOPIC, Target};
use crate::process::{BrokerProcess, free_port};
use weir::client::Client;

/// A broker that has not stopped after this long will not.
const STOP_WAIT: Duration = Duration::from_secs(30);

/// A data directory of a broker that was stopped cleanly.
async fn sound(folder: &Path) {
    let mut target = Target::start().await;
    target.broker.terminate();
    let ended = target.broker.ended(STOP_WAIT).await;
    assert!(ended.is_some_and(|status| status.success()), "stops cleanly");
    copy(&target.folder.path().join("data"), &folder.join("sound"));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() { copy(&from, &to) } else { assert!(fs::copy(&from, &to).is_ok()) }
    }
}

type Change = (&'static str, fn(&Path), &'static [&'static str]);

/// What makes a start impossible, and what it says.
const REFUSED: &[Change] = &[
    ("a foreign directory", |data| fs::remove_file(data.join("weir.meta")).unwrap(), &["weir.meta"]),
    ("an empty weir.meta", |data| fs::write(data.join("weir.meta"), "").unwrap(), &["weir.meta"]),
    (
        "a weir.meta of other bytes",
        |data| fs::write(data.join("weir.meta"), [7; 54]).unwrap(),
        &["weir.meta"],
    ),
    ("a weir.meta of a newer format", newer, &["weir.meta", "version"]),
    (
        "no metadata log",
        |data| fs::remove_dir_all(data.join("__cluster_metadata-0")).unwrap(),
        &["__cluster_metadata"],
    ),
    (
        "a file instead of the directory",
        |data| {
            fs::remove_dir_all(data).unwrap();
            fs::write(data, "x").unwrap();
        },
        &["data"],
    ),
    (
        "a directory as metadata segment",
        |data| {
            let segment = data.join("__cluster_metadata-0/00000000000000000000.log");
            fs::remove_file(&segment).unwrap();
            fs::create_dir(&segment).unwrap();
        },
        &["00000000000000000000.log"],
    ),
];

/// A version that does not exist yet, with a checksum that fits.
fn newer(data: &Path) {
    let path = data.join("weir.meta");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8..10].copy_from_slice(&99u16.to_be_bytes());
    let end = bytes.len() - 4;
    let crc = crc32fast::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(&crc.to_be_bytes());
    fs::write(&path, bytes).unwrap();
}

fn segment(data: &Path, name: &str) -> std::path::PathBuf {
    data.join(format!("{TOPIC}-0/{name}"))
}

/// What makes one partition unreadable; the broker runs, says so, and serves the other.
const OFFLINE: &[Change] = &[
    ("no folder", |data| fs::remove_dir_all(data.join("good-0")).unwrap(), &["good-0"]),
    (
        "a damaged partition.meta",
        |data| fs::write(segment(data, "partition.meta"), "x").unwrap(),
        &["partition.meta"],
    ),
    (
        "a directory named as a segment",
        |data| fs::create_dir(segment(data, "00000000000000000009.log")).unwrap(),
        &["00000000000000000009.log"],
    ),
    (
        "a link named as a segment",
        |data| {
            std::os::unix::fs::symlink("/dev/zero", segment(data, "00000000000000000009.log")).unwrap();
        },
        &["00000000000000000009.log"],
    ),
    (
        "a pipe named as a segment",
        |data| {
            let path = segment(data, "00000000000000000009.log");
            assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        },
        &["00000000000000000009.log"],
    ),
    ("a name that is no offset", |data| fs::write(segment(data, "latest.log"), "").unwrap(), &["latest.log"]),
    (
        "an offset of 21 digits",
        |data| fs::write(segment(data, "999999999999999999999.log"), "").unwrap(),
        &["999999999999999999999.log"],
    ),
    (
        "an offset that overflows",
        |data| fs::write(segment(data, "99999999999999999999.log"), "").unwrap(),
        &["99999999999999999999.log"],
    ),
];

#[tokio::test]
async fn data_directories_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    sound(folder.path()).await;
    let mut complaints = Vec::new();
    for (name, change, says) in REFUSED {
        let data = folder.path().join("data");
        copy(&folder.path().join("sound"), &data);
        change(&data);
        let Run { code, err, .. } =
            weir(folder.path(), &["serve", "--data-dir", "data", "--listen", "127.0.0.1:0"]);
        let missing = says.iter().find(|word| !err.contains(**word));
        if code != 78 || missing.is_some() || err.contains("panicked") {
            complaints.push(format!("{name}: exit code {code}, lacks {missing:?}: {err}"));
        }
        let _ = fs::remove_dir_all(&data).or_else(|_| fs::remove_file(&data));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    println!("malformed input, data directories: {} inputs, each refused with the reason", REFUSED.len());
}

#[tokio::test]
async fn a_partition_that_somebody_changed_is_offline_and_the_other_is_served() {
    let folder = tempfile::tempdir().unwrap();
    sound(folder.path()).await;
    let mut complaints = Vec::new();
    for (name, change, says) in OFFLINE {
        let data = folder.path().join("data");
        copy(&folder.path().join("sound"), &data);
        change(&data);
        let mut broker = BrokerProcess::start(folder.path(), free_port());
        broker.answers(None).await;
        let client = Client::connect(&broker.address()).await.unwrap();
        let topic = client.admin().describe_topic(TOPIC).await.unwrap();
        let told = topic.partitions[0].error.as_ref().map(ToString::to_string).unwrap_or_default();
        let missing = says.iter().find(|word| !told.contains(**word));
        if missing.is_some() || topic.partitions[1].error.is_some() || broker.said().contains("panicked") {
            complaints.push(format!(
                "{name}: lacks {missing:?}: '{told}', the other: {:?}",
                topic.partitions[1].error
            ));
        }
        broker.kill();
        fs::remove_dir_all(&data).unwrap();
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    println!(
        "malformed input, partitions: {} inputs, each told by name, the other partition served",
        OFFLINE.len()
    );
}

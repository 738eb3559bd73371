//! `weir consume -e` gives what is there when it begins, and ends: in a log that Kafka compacted, in one that begins late, in
//! an empty one, and while somebody writes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::served::{ROOT, Served};
use crate::whole::Whole;

/// The segments that Kafka's cleaner left; the second one begins where the first one ends.
const SEGMENTS: [&str; 2] = ["00000000000000000000.log", "00000000000000000179.log"];
/// The offsets that are left. There is a batch without records at 32 to 34, 67 to 69, 102 to 104, 137 to 139 and 172 to 174.
const LEFT: [(i64, i64); 7] = [(15, 20), (50, 55), (85, 90), (120, 125), (155, 160), (160, 172), (178, 180)];
/// Where the last batch of the first segment begins, which is behind its last one without records.
const BYTES_TO_EMPTY_BATCH_END: usize = 1_517;

fn compacted_folder() -> PathBuf {
    Path::new(ROOT).join("tests/golden/kafka-4.3-compacted")
}

fn expected_lines() -> String {
    fs::read_to_string(compacted_folder().join("expected.ndjson")).unwrap()
}

/// A broker whose topic `golden` holds these segments and nothing else that was there before.
async fn served_over(segments: &[(&str, Vec<u8>)]) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("weir-data");
    let broker = Whole::start(&data_dir).await;
    let create = broker.client().await.admin().create_topic("golden");
    create.config("retention.ms", "-1").await.unwrap();
    broker.stop().await;
    let partition = data_dir.join("golden-0");
    for entry in fs::read_dir(&partition).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() != "partition.meta" {
            fs::remove_file(path).unwrap();
        }
    }
    segments.iter().for_each(|(name, bytes)| fs::write(partition.join(name), bytes).unwrap());
    Served::start_in(folder)
}

fn segment(name: &'static str) -> (&'static str, Vec<u8>) {
    (name, fs::read(compacted_folder().join(name)).unwrap())
}

async fn served_compacted() -> Served {
    served_over(&SEGMENTS.map(segment)).await
}

/// The offsets of the range that are left, each with a blank behind it.
fn left(from: i64, to: i64) -> String {
    let all = LEFT.iter().flat_map(|(first, end)| *first..*end);
    all.filter(|offset| (from..to).contains(offset)).map(|offset| format!("{offset} ")).collect()
}

#[tokio::test]
async fn a_log_that_kafka_compacted_is_given_whole_and_ends() {
    let served = served_compacted().await;
    let ran = served.run(&["consume", "golden", "-e", "-J"]);
    assert_eq!((ran.code, ran.out), (0, expected_lines()), "{}", ran.err);
    assert!(ran.err.contains("reached end of 1 partition: 39 records"), "{}", ran.err);
    for name in SEGMENTS {
        let stored = fs::read(served.folder.path().join("weir-data/golden-0").join(name)).unwrap();
        assert_eq!(stored, segment(name).1, "{name}: reading changes nothing");
    }
    let verified = served.run(&["log", "verify", "weir-data/golden-0"]);
    assert_eq!(verified.code, 0, "{verified:?}");
}

#[tokio::test]
async fn reading_begins_and_ends_in_gaps() {
    let served = served_compacted().await;
    let read = |offsets: &str| {
        let ran = served.run(&["consume", "golden", "-e", "-f", "%o ", "-o", offsets]);
        assert_eq!(ran.code, 0, "-o {offsets}: {}", ran.err);
        ran.out
    };
    // At, before and behind the edges of gaps in batches, of lost batches, of those without records, and of segments.
    for from in [0, 1, 14, 15, 16, 19, 20, 31, 32, 34, 35, 36, 160, 171, 172, 174, 175, 177, 178, 179, 180] {
        assert_eq!(read(&from.to_string()), left(from, 180), "-o {from}");
    }
    for (from, to) in
        [(0, 15), (0, 16), (3, 9), (20, 32), (32, 34), (32, 35), (33, 51), (172, 178), (175, 177)]
    {
        assert_eq!(read(&format!("{from}:{to}")), left(from, to), "-o {from}:{to}");
        let follows = served.run(&["consume", "golden", "-f", "%o ", "-o", &format!("{from}:{to}")]);
        assert_eq!(
            (follows.code, follows.out),
            (0, left(from, to)),
            "-o {from}:{to} without -e: {}",
            follows.err
        );
    }
    assert_eq!(read("-3"), "178 179 ", "counted in offsets");
    assert_eq!(read("+15"), left(15, 180));
    assert_eq!(read("@1700000001600"), left(162, 180), "by time, across a batch without records");
    assert_eq!(served.prints(&["consume", "golden", "-o", "20", "-n", "2", "-f", "%o "]), "50 51 ");
}

#[tokio::test]
async fn a_log_that_begins_in_a_gap_after_a_trim_ends() {
    let served = served_compacted().await;
    for (to, expected) in
        [("16", left(16, 180)), ("33", left(33, 180)), ("177", left(177, 180)), ("end", String::new())]
    {
        served.prints(&["topic", "trim", "golden", "--to", to]);
        assert_eq!(served.prints(&["consume", "golden", "-e", "-f", "%o "]), expected, "trimmed to {to}");
    }
    assert_eq!(served.prints(&["consume", "golden", "-e", "-o", "180"]), "");
    assert_eq!(served.run(&["consume", "golden", "-e", "-o", "179"]).code, 1, "trimmed away");
}

#[tokio::test]
async fn a_log_whose_last_batch_has_no_record_ends() {
    let (name, mut bytes) = segment(SEGMENTS[0]);
    bytes.truncate(BYTES_TO_EMPTY_BATCH_END);
    let served = served_over(&[(name, bytes)]).await;
    assert_eq!(served.prints(&["consume", "golden", "-e", "-f", "%o "]), left(0, 175));
    for from in ["172", "173", "175"] {
        assert_eq!(served.prints(&["consume", "golden", "-e", "-o", from]), "", "-o {from}");
    }
    assert_eq!(served.prints(&["produce", "golden", "next", "--report", "%o"]), "175");
    assert_eq!(
        served.prints(&["consume", "golden", "-e", "-o", "160", "-f", "%o "]),
        left(160, 172) + "175 "
    );
}

#[test]
fn an_empty_topic_and_a_trimmed_one_end() {
    let served = Served::start();
    served.prints(&["topic", "create", "t", "-p", "3"]);
    for offset in ["start", "end", "0", "-5", "@now", ":end"] {
        let ran = served.run(&["consume", "t", "-e", "-o", offset]);
        assert_eq!((ran.code, ran.out.as_str()), (0, ""), "-o {offset}: {}", ran.err);
        assert!(ran.err.contains("reached end of 3 partitions: 0 records"), "{}", ran.err);
    }
    assert_eq!(served.pipe(&["produce", "t", "-p", "1", "-q"], b"a\nb\nc\n").code, 0);
    served.prints(&["topic", "trim", "t", "--to", "2", "-p", "1"]);
    assert_eq!(served.prints(&["consume", "t", "-e"]), "c\n");
    served.prints(&["topic", "trim", "t", "--to", "end"]);
    assert_eq!(served.prints(&["consume", "t", "-e"]), "");
}

#[test]
fn a_topic_that_is_written_to_all_the_time_ends_where_its_end_was() {
    let served = Served::start();
    served.prints(&["topic", "create", "t", "-p", "2"]);
    let endless = "while :; do echo x; done";
    let mut writer = served.weir(&["produce", "t", "-q", "-r", "5000"]);
    let mut lines = crate::served::command("sh", served.folder.path())
        .args(["-c", endless])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut writer = writer.stdin(lines.stdout.take().unwrap()).spawn().unwrap();
    let count = |arguments: &[&str]| served.prints(arguments).lines().count();
    let mut before = 0;
    for _ in 0..5 {
        // The next record that comes shows that the writing goes on, however busy the machine is.
        served.prints(&["consume", "t", "-o", "end", "-n", "1"]);
        let now = count(&["consume", "t", "-e"]);
        assert!(now > before, "{now} records after {before}");
        before = now;
        assert!(writer.try_wait().unwrap().is_none(), "it writes still");
        count(&["consume", "t", "-e", "-o", "-10"]);
    }
    lines.kill().unwrap();
    lines.wait().unwrap();
    assert!(writer.wait().unwrap().success());
}

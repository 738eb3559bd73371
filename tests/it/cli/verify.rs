//! `weir log verify` and `weir serve --check` on data directories that lost something.

use std::fs;
use std::path::Path;

use crate::served::{Ran, Served};

/// The folder of a broker that was killed: topic `orders` of two partitions, with records in both.
fn stopped() -> Served {
    let mut served = Served::start();
    served.prints(&["topic", "create", "orders", "-p", "2"]);
    for partition in ["0", "1"] {
        assert_eq!(served.pipe(&["produce", "orders", "-p", partition], b"one\ntwo\n").code, 0);
    }
    served.kill();
    served
}

/// A copy of the data directory in which something was changed, named from the folder that commands run in.
fn changed(served: &Served, change: impl FnOnce(&Path)) -> &'static str {
    let copy = served.folder.path().join("changed");
    let _ = fs::remove_dir_all(&copy);
    copy_folder(&served.folder.path().join("weir-data"), &copy);
    change(&copy);
    "changed"
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() { copy_folder(&from, &to) } else { assert!(fs::copy(&from, &to).is_ok()) }
    }
}

fn flip(path: &Path, byte: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[byte] ^= 1;
    fs::write(path, bytes).unwrap();
}

const METADATA_SEGMENT: &str = "__cluster_metadata-0/00000000000000000000.log";

/// What was done; what `log verify` says; what `serve --check` says, and with which code.
type Row = (&'static str, fn(&Path), &'static [&'static str], i32, &'static [&'static str]);

const ROWS: &[Row] = &[
    (
        "no folder of a partition",
        |data| fs::remove_dir_all(data.join("orders-1")).unwrap(),
        &["changed/orders-1: damaged: the folder is missing", "until the folder is put back from a copy"],
        0,
        &["warning: changed/orders-1: the folder is missing"],
    ),
    (
        "a partition in the place of another",
        |data| {
            fs::remove_dir_all(data.join("orders-1")).unwrap();
            copy_folder(&data.join("orders-0"), &data.join("orders-1"));
        },
        &["changed/orders-1: damaged: it belongs to partition", "until its own folder is put here"],
        0,
        &["warning: changed/orders-1: it belongs to partition"],
    ),
    (
        "a folder in the place of partition.meta",
        |data| {
            fs::remove_file(data.join("orders-1/partition.meta")).unwrap();
            fs::create_dir(data.join("orders-1/partition.meta")).unwrap();
        },
        &["changed/orders-1/partition.meta: damaged: open", "is a folder, not a regular file; move it away"],
        0,
        &["warning: changed/orders-1: the partition is offline: open"],
    ),
    (
        "no partition.meta",
        |data| fs::remove_file(data.join("orders-1/partition.meta")).unwrap(),
        &["changed/orders-1/partition.meta: damaged: file is missing", "1 thing damaged beside them"],
        0,
        &["warning: changed/orders-1: partition.meta in it is missing"],
    ),
    (
        "a link in the place of a folder",
        |data| {
            fs::rename(data.join("orders-1"), data.join("elsewhere")).unwrap();
            std::os::unix::fs::symlink("elsewhere", data.join("orders-1")).unwrap();
        },
        &["changed/orders-1: damaged: the partition is offline", "put the folder itself there"],
        0,
        &["warning: changed/orders-1: the partition is offline"],
    ),
    (
        "a folder that the metadata does not name",
        |data| copy_folder(&data.join("orders-0"), &data.join("orders-7")),
        &["changed/orders-7: damaged: the metadata names no such partition", "or move this one away"],
        0,
        &["warning: changed/orders-7: the metadata names no such partition"],
    ),
    (
        "no metadata log",
        |data| fs::remove_dir_all(data.join("__cluster_metadata-0")).unwrap(),
        &["changed/__cluster_metadata-0: damaged: the metadata log", "it is missing; restore it from a copy"],
        2,
        &["it is missing; restore it from a copy"],
    ),
    (
        "a damaged command",
        |data| flip(&data.join(METADATA_SEGMENT), 70),
        &[
            "changed: damaged: no broker starts here: metadata can't be loaded",
            "restore that folder and metadata.snapshot from one copy",
            "1 damaged",
        ],
        2,
        &["metadata can't be loaded", "restore that folder and metadata.snapshot from one copy"],
    ),
    (
        "a folder as metadata segment",
        |data| {
            fs::remove_file(data.join(METADATA_SEGMENT)).unwrap();
            fs::create_dir(data.join(METADATA_SEGMENT)).unwrap();
        },
        &["it is not a regular file; restore its folder and metadata.snapshot from one copy"],
        2,
        &["it is not a regular file; restore its folder and metadata.snapshot from one copy"],
    ),
    (
        "no weir.meta",
        |data| fs::remove_file(data.join("weir.meta")).unwrap(),
        &[
            "changed/weir.meta: damaged: it is missing; no broker starts here until it is put back from a copy",
        ],
        2,
        &["changed/weir.meta is missing", "no broker starts here until it is put back from a copy"],
    ),
    (
        "neither weir.meta nor metadata log",
        |data| {
            fs::remove_file(data.join("weir.meta")).unwrap();
            fs::remove_dir_all(data.join("__cluster_metadata-0")).unwrap();
        },
        &["changed/weir.meta: damaged: it is missing", "__cluster_metadata-0 is missing; restore its folder"],
        2,
        &["changed/weir.meta is missing", "no broker starts here until it is put back from a copy"],
    ),
    (
        "nothing but the folders of partitions",
        |data| {
            for file in ["weir.meta", "flush-journal"] {
                fs::remove_file(data.join(file)).unwrap();
            }
            fs::remove_dir_all(data.join("__cluster_metadata-0")).unwrap();
        },
        &["changed/weir.meta: damaged: it is missing"],
        2,
        &["changed/weir.meta is missing", "no broker starts here until it is put back from a copy"],
    ),
    (
        "a damaged weir.meta",
        |data| flip(&data.join("weir.meta"), 20),
        &["changed/weir.meta: damaged: changed/weir.meta is damaged", "restore it from a copy"],
        2,
        &["weir.meta is damaged", "restore it from a copy"],
    ),
];

const SEGMENT: &str = "orders-1/00000000000000000000.log";
const SERVED: &str = "readers of damaged offsets get DAMAGED_RANGE";
const OFFLINE: &str = "what is offline neither takes records nor gives any";

/// What was done to a partition; how many segments there are then, how many of them are damaged, and how much else; what is said of it;
/// and the hint that fits.
type Counted = (&'static str, fn(&Path), [u64; 3], &'static str, &'static str);

const COUNTED: &[Counted] = &[
    (
        "a lost segment",
        |data| fs::remove_file(data.join(SEGMENT)).unwrap(),
        [3, 1, 0],
        "it is missing",
        SERVED,
    ),
    (
        "an empty segment",
        |data| fs::write(data.join(SEGMENT), "").unwrap(),
        [3, 1, 0],
        "the file has 0 bytes",
        SERVED,
    ),
    ("a damaged segment", |data| flip(&data.join(SEGMENT), 70), [3, 1, 0], "the batch says checksum", SERVED),
    (
        "a link in the place of a segment",
        |data| {
            fs::rename(data.join(SEGMENT), data.join("aside")).unwrap();
            std::os::unix::fs::symlink("../aside", data.join(SEGMENT)).unwrap();
        },
        [3, 1, 0],
        "it is not a regular file; the partition stays offline until it is moved away",
        OFFLINE,
    ),
    (
        "a folder named as a segment",
        |data| fs::create_dir(data.join("orders-1/00000000000000000009.log")).unwrap(),
        [4, 1, 0],
        "it is not a regular file",
        OFFLINE,
    ),
    (
        "a name that is no offset",
        |data| fs::write(data.join("orders-1/+0000000000000000009.log"), "").unwrap(),
        [4, 1, 0],
        "its name is not an offset of 20 digits",
        OFFLINE,
    ),
    (
        "no partition.meta",
        |data| fs::remove_file(data.join("orders-1/partition.meta")).unwrap(),
        [3, 0, 1],
        "the partition stays offline until the file is put back",
        OFFLINE,
    ),
    (
        "no folder",
        |data| fs::remove_dir_all(data.join("orders-1")).unwrap(),
        [2, 0, 1],
        "the folder is missing",
        OFFLINE,
    ),
];

#[test]
fn what_is_counted_agrees_with_what_is_found_and_the_hint_fits() {
    let served = stopped();
    let mut found = Vec::new();
    for (name, change, counts, says, hint) in COUNTED {
        let data = changed(&served, change);
        let ran = served.run(&["log", "verify", data]);
        found.extend(complaints(name, &ran, 1, &[says, hint]));
        if ran.err.contains(SERVED) && ran.err.contains(OFFLINE) {
            found.push(format!("{name}: two hints that contradict each other"));
        }
        let ran = served.run(&["log", "verify", data, "-J"]);
        let told: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let damaged =
            told["findings"].as_array().unwrap().iter().any(|finding| finding["severity"] == "damaged");
        let counted =
            ["segments", "damaged_segments", "damaged_others"].map(|key| told[key].as_u64().unwrap());
        if counted != *counts || !damaged {
            found.push(format!("{name}: {counted:?}, not {counts:?}: {}", ran.out));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn complaints(what: &str, ran: &Ran, code: i32, words: &[&str]) -> Option<String> {
    let missing =
        words.iter().find(|word| !format!("{}{}", ran.out, ran.err).replace("\n  ", " ").contains(**word));
    (ran.code != code || missing.is_some()).then(|| format!("{what}: lacks {missing:?}: {ran:?}"))
}

#[test]
fn what_a_data_directory_lacks_is_found_by_who_verifies_it_and_by_who_asks_before_a_start() {
    let served = stopped();
    for path in ["weir-data", changed(&served, |_| {})] {
        let sound = served.run(&["log", "verify", path]);
        assert_eq!((sound.code, sound.out.contains("3 of 3 segments ok, 0 damaged")), (0, true), "{sound:?}");
        let check = served.run(&["serve", "--check", "--data-dir", path]);
        assert_eq!((check.code, check.err.as_str()), (0, ""), "{check:?}");
    }
    let mut found = Vec::new();
    for (name, change, verified, code, checked) in ROWS {
        let data = changed(&served, change);
        let ran = served.run(&["log", "verify", data]);
        found.extend(complaints(&format!("{name}, log verify"), &ran, 1, verified));
        let ran = served.run(&["serve", "--check", "--data-dir", data]);
        found.extend(complaints(&format!("{name}, serve --check"), &ran, *code, checked));
        for form in ["-J", "-q"] {
            let ran = served.run(&["log", "verify", data, form]);
            found.extend(
                (!ran.err.is_empty()).then(|| format!("{name}: {form} says more than it prints: {ran:?}")),
            );
        }
        served.run(&["serve", "--check", "--data-dir", data, "-J"]);
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

//! `weir consume -g` and `weir group`: real processes that share a topic, and what is said of them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use weir::proto::grpc as pb;
use weir::proto::grpc::group_service_client::GroupServiceClient;

use crate::served::{Ran, Served};

/// Longest wait for anything: a hang is a failure, and no test is about time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A topic with records `0` to `9` in each of three partitions.
fn served() -> Served {
    let served = Served::start();
    served.prints(&["topic", "create", "orders", "-p", "3"]);
    for partition in ["0", "1", "2"] {
        let values: Vec<String> = (0..10).map(|number| number.to_string()).collect();
        let fixed = ["produce", "orders", "-q", "-p", partition];
        served.prints(&fixed.into_iter().chain(values.iter().map(String::as_str)).collect::<Vec<_>>());
    }
    served
}

fn plain(served: &Served, arguments: &[&str]) -> String {
    served.prints(&[arguments, &["--output", "plain"]].concat())
}

/// Topic, partition, committed, end and lag of each line of `describe`.
fn standing(served: &Served, group: &str) -> Vec<String> {
    let lines = plain(served, &["group", "describe", group]);
    lines.lines().map(|line| line.split('\t').take(5).collect::<Vec<_>>().join(" ")).collect()
}

/// Partition, current and new offset of each line of a plan, or of what was set.
fn reset(served: &Served, rest: &[&str]) -> Vec<String> {
    let lines = plain(served, &[&["group", "reset-offsets", "g"], rest].concat());
    let cells = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        format!("{} {} {}", cells[1], cells[2], cells[4])
    };
    lines.lines().map(cells).collect()
}

fn member(served: &Served) -> Child {
    let mut weir = served.weir(&["consume", "orders", "-g", "g", "-q"]);
    weir.stdout(Stdio::null()).spawn().unwrap()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "it never came: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_stable(served: &Served, members: usize) -> bool {
    let ran = served.run(&["group", "list", "--output", "plain"]);
    ran.out.starts_with(&format!("g\tStable\t{members}\t"))
}

fn interrupt(member: &mut Child) {
    rustix::process::kill_process(Pid::from_child(member), Signal::INT).unwrap();
    assert_eq!(member.wait().unwrap().code(), Some(130));
}

fn said(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.err.contains(word), "{word}: {ran:?}");
    }
}

#[test]
fn a_group_reads_once_and_goes_on() {
    let served = served();
    let read = |more: &[&str]| {
        let ran = served.run(&[&["consume", "orders", "-g", "g", "-e"], more].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        (ran.out.lines().count(), ran.err)
    };
    let (count, err) = read(&["--commit", "none"]);
    assert_eq!(count, 30);
    assert!(err.contains("reached end of 3 partitions: 30 records"), "{err}");
    assert_eq!(read(&["-n", "7"]).0, 7, "nothing was committed before");
    assert_eq!(read(&[]).0, 23, "the seven were");
    assert_eq!(read(&[]).0, 0);
    served.prints(&["produce", "orders", "-q", "-p", "1", "x", "y"]);
    assert_eq!(read(&[]).0, 2);
    let missing = served.run(&["consume", "order", "-g", "g", "-e"]);
    assert_eq!(missing.code, 1);
    said(&missing, &["Did you mean 'orders'?"]);
}

#[test]
fn partitions_without_a_commit_count_as_well() {
    let served = served();
    assert_eq!(reset(&served, &["--to", "4", "-t", "orders:1", "--execute"]), ["1 - 4"]);
    assert_eq!(standing(&served, "g"), ["orders 0 - 10 10", "orders 1 4 10 6", "orders 2 - 10 10"]);
    assert!(plain(&served, &["group", "lag", "g"]).starts_with("g\t26\t"));
    assert_eq!(reset(&served, &["--to", "end"]), ["0 - 10", "1 4 10", "2 - 10"]);
}

#[test]
fn a_plan_changes_nothing_and_its_execution_is_what_it_said() {
    let served = served();
    reset(&served, &["--to", "5", "-t", "orders", "--execute"]);
    for (place, new) in [
        ("start", ["0", "0", "0"]),
        ("end", ["10", "10", "10"]),
        ("3", ["3", "3", "3"]),
        ("-2", ["8", "8", "8"]),
        ("+6", ["6", "6", "6"]),
        ("@-1h", ["0", "0", "0"]),
        ("@now", ["10", "10", "10"]),
    ] {
        let before = standing(&served, "g");
        let plan = reset(&served, &["--to", place]);
        assert_eq!(standing(&served, "g"), before, "a plan changed something: {place}");
        assert_eq!(reset(&served, &["--to", place, "--execute"]), plan, "{place}");
        let numbers = |lines: Vec<String>, at: usize| -> Vec<String> {
            lines.iter().map(|line| line.split(' ').nth(at).unwrap().to_owned()).collect()
        };
        assert_eq!(numbers(plan, 2), new, "{place}");
        assert_eq!(numbers(standing(&served, "g"), 2), new, "{place}");
    }
    let refused = served.run(&["group", "reset-offsets", "g", "--to", "11"]);
    assert_eq!(refused.code, 1);
    said(&refused, &["offset 11 is out of range: it begins at 0 and ends at 10"]);
    std::fs::write(served.folder.path().join("places.csv"), "orders,0,1\norders,2,9\n").unwrap();
    assert_eq!(reset(&served, &["--to-file", "places.csv"]), ["0 10 1", "2 10 9"]);
    served.prints(&["group", "reset-offsets", "h", "--to", "7", "-t", "orders:0", "--execute"]);
    assert_eq!(reset(&served, &["--to-group", "h"]), ["0 10 7"]);
    std::fs::write(served.folder.path().join("none.csv"), "").unwrap();
    for (source, why) in [
        (["--to-group", "nope"], "there is nothing to set: group 'nope' has no offset; `weir group list`"),
        (["--to-file", "none.csv"], "there is nothing to set: none.csv names no place; its lines are"),
    ] {
        said(&served.run(&[&["group", "reset-offsets", "g"][..], &source].concat()), &[why]);
    }
}

#[test]
fn where_one_place_is_wrong_nothing_is_set_whatever_the_source() {
    let served = served();
    reset(&served, &["--to", "5", "-t", "orders", "--execute"]);
    let before = standing(&served, "g");
    let file = served.folder.path().join("places.csv");
    let refuses = |source: &[&str], code: i32, why: &str| {
        for execute in [&[][..], &["--execute"]] {
            let ran = served.run(&[&["group", "reset-offsets", "g"], source, execute].concat());
            assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{source:?} {execute:?}: {ran:?}");
            said(&ran, &[why]);
            assert_eq!(standing(&served, "g"), before, "{source:?} {execute:?}: something was set");
        }
    };
    for (places, code, why) in [
        ("orders,0,4\nnope,0,1\norders,1,4\n", 1, "topic 'nope' does not exist"),
        (
            "orders,0,4\norders,1,5000\n",
            1,
            "partition 1: offset 5000 is out of range: it begins at 0 and ends at 10",
        ),
        ("orders,0,4\norders,3,4\n", 1, "topic 'orders' has no partition 3; its partitions are 0 to 2"),
        (
            "orders,0,4\norders,1,4\norders,0,4\n",
            2,
            "line 3: topic 'orders', partition 0 has a place already",
        ),
    ] {
        std::fs::write(&file, places).unwrap();
        refuses(&["--to-file", "places.csv"], code, why);
    }
    served.prints(&["group", "reset-offsets", "h", "--to", "4", "-t", "orders", "--execute"]);
    served.prints(&["topic", "trim", "orders", "--to", "5", "-p", "1"]);
    refuses(&["--to-group", "h"], 1, "partition 1: offset 4 is out of range: it begins at 5 and ends at 10");
    refuses(&["--to", "4"], 1, "partition 1: offset 4 is out of range");
}

#[test]
fn who_is_at_work_is_named_and_not_disturbed() {
    let served = served();
    let (mut one, mut two) = (member(&served), member(&served));
    until("both are in", || is_stable(&served, 2));
    let members = plain(&served, &["group", "describe", "g", "--members"]);
    let names: Vec<&str> = members.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(names.len(), 2);
    assert!(members.contains("\t127.0.0.1\t"), "{members}");
    let plan = served.run(&["group", "reset-offsets", "g", "--to", "start", "-t", "orders"]);
    assert_eq!(plan.code, 0, "a plan disturbs nobody: {plan:?}");
    said(&plan, &["cannot execute now", names[0], names[1]]);
    for arguments in [
        &["group", "reset-offsets", "g", "--to", "start", "-t", "orders", "--execute"][..],
        &["group", "delete", "g"],
    ] {
        let refused = served.run(arguments);
        assert_eq!(refused.code, 1, "{refused:?}");
        said(&refused, &["2 active members", names[0], names[1], "stop them first", "[GROUP_NOT_EMPTY]"]);
    }
    let refused = served.run(&["group", "delete-offsets", "g", "-t", "orders:0"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    interrupt(&mut one);
    until("the other has all", || is_stable(&served, 1));
    interrupt(&mut two);
    assert!(plain(&served, &["group", "list"]).starts_with("g\tEmpty\t0\t"));
    assert_eq!(served.prints(&["group", "delete-offsets", "g", "-t", "orders:0"]).lines().count(), 1);
    assert_eq!(served.prints(&["group", "delete", "g"]), "deleted g\n");
    assert_eq!(served.prints(&["group", "list"]), "");
}

#[test]
fn a_check_of_the_lag_speaks_as_nagios_does() {
    let served = served();
    served.prints(&["group", "reset-offsets", "g", "--to", "5", "-t", "orders", "--execute"]);
    let check = |limits: &[&str]| {
        let ran = served.run(&[&["group", "lag", "g"], limits].concat());
        (ran.code, ran.out)
    };
    for (limits, code, word) in [
        (&["--warn", "16"][..], 0, "OK"),
        (&["--warn", "15", "--crit", "16"], 1, "WARNING"),
        (&["--crit", "15"], 2, "CRITICAL"),
        (&["nobody", "--warn", "16"], 3, "UNKNOWN"),
    ] {
        let (is, out) = check(limits);
        assert!(is == code && out.starts_with(&format!("{word}: g lag 15 (oldest unread ")), "{is} {out}");
    }
    let crossed = served.run(&["group", "lag", "g", "--warn", "5", "--crit", "1"]);
    assert_eq!((crossed.code, crossed.out.as_str()), (2, ""));
    said(&crossed, &["--warn 5 is above --crit 1"]);
    let missing = served.run(&["group", "lag", "nobody"]);
    assert_eq!(missing.code, 1);
    said(
        &missing,
        &[
            "there is no group 'nobody'; correct the name; a group exists once it has a member or an offset   [GROUP_NOT_FOUND]",
        ],
    );
}

#[test]
fn a_member_that_is_asked_to_stop_commits_and_leaves() {
    let served = served();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        if signal == Signal::HUP && weir::env::process::ignores_hang_up() {
            return println!("not run: this process, and so a member, ignores SIGHUP");
        }
        // A member that did not leave would be in the way of this.
        reset(&served, &["--to", "start", "-t", "orders", "--execute"]);
        let mut weir = served.weir(&["consume", "orders", "-g", "g", "-q"]);
        let mut member = weir.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(member.stdout.take().unwrap()).lines();
        assert_eq!(lines.by_ref().take(30).filter(Result::is_ok).count(), 30);
        rustix::process::kill_process(Pid::from_child(&member), signal).unwrap();
        assert_eq!(member.wait().unwrap().code(), Some(code), "{signal:?}");
        assert!(
            plain(&served, &["group", "list"]).starts_with("g\tEmpty\t0\t"),
            "{signal:?}: it is still there"
        );
        let lag = plain(&served, &["group", "lag", "g"]);
        // The last record is done when the next is asked for, which a signal may forestall.
        assert!(["g\t0\t", "g\t1\t"].iter().any(|fine| lag.starts_with(fine)), "{signal:?}: {lag}");
    }
}

#[tokio::test]
async fn a_group_that_stands_above_the_end_is_no_group_that_reached_it() {
    let served = served();
    // A commit, as of a member that knows better: a reset would be refused.
    let groups = GroupServiceClient::connect(format!("http://{}", served.address)).await.unwrap();
    let reads = async |stands: [i64; 3]| {
        let place = |(partition, offset)| pb::PartitionOffset {
            topic: "orders".to_owned(),
            partition,
            offset,
            ..Default::default()
        };
        let offsets = (0..).zip(stands).map(place).collect();
        let commit = pb::CommitOffsetsRequest { group: "g".to_owned(), offsets, ..Default::default() };
        let kept = groups.clone().commit_offsets(commit).await.unwrap().into_inner();
        assert!(kept.partitions.iter().all(|kept| kept.error.is_none()), "{kept:?}");
        served.run(&["consume", "orders", "-g", "g", "-e"])
    };
    let one = reads([10, 5_000, 10]).await;
    assert_eq!((one.code, one.out.as_str()), (1, ""), "{one:?}");
    let cure = "weir group reset-offsets g --to start -t orders:1 --execute";
    said(
        &one,
        &["offset 5000 was asked for, it holds offsets 0 to 10", cure, "reached end of 2 partitions: 0"],
    );
    let all = reads([11, 11, 11]).await;
    assert_eq!((all.code, all.err.contains("reached end")), (1, false), "{all:?}");
    let none = reads([10, 9, 10]).await;
    assert_eq!((none.code, none.out.as_str()), (0, "9\n"), "{none:?}");
    said(&none, &["reached end of 3 partitions: 1 record"]);
}

#[test]
fn a_member_without_partitions_says_that_it_waits() {
    let served = Served::start();
    served.prints(&["topic", "create", "orders"]);
    let mut first = member(&served);
    until("the first member has the partition", || is_stable(&served, 1));
    let ran = served.run(&["consume", "orders", "-g", "g", "--idle-timeout", "3s"]);
    let told = "waiting for partitions: `weir group describe g --members` shows who has them\n";
    assert!(ran.code == 0 && ran.err.starts_with(told), "{ran:?}");
    first.kill().unwrap();
    first.wait().unwrap();
}

/// The first byte of the first batch's record in the partition of the offsets topic that holds a group, turned over.
fn damage(data: &std::path::Path, coordinator: &str) {
    let path = data.join(format!("__consumer_offsets-{coordinator}/00000000000000000000.log"));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[64] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_broken_offsets_log_hides_its_own_groups_only() {
    let mut served = served();
    for group in ["billing", "audit"] {
        served.prints(&["consume", "orders", "-g", group, "-e", "-q"]);
    }
    let places = plain(&served, &["group", "list"]);
    let places: Vec<Vec<&str>> = places.lines().map(|line| line.split('\t').collect()).collect();
    let (audit, billing) = (places[0][3], places[1][3]);
    assert_ne!(audit, billing, "they lie in two partitions");
    served.restart_after(|data| damage(data, billing));

    let ran = served.run(&["group", "list"]);
    assert!(ran.code == 1 && ran.out.contains("audit") && !ran.out.contains("billing"), "{ran:?}");
    let place =
        format!("error: partition {billing} of topic '__consumer_offsets': the stored bytes of offsets ");
    assert!(ran.err.starts_with(&place) && ran.err.lines().count() == 1, "{ran:?}");
    assert!(ran.err.contains("its groups can't be used until its folder is restored from a copy"), "{ran:?}");
    let ran = served.run(&["group", "list", "-J"]);
    let told: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &told["groups"][0]["group"]), (1, &"audit".into()), "{ran:?}");
    let error = &told["errors"][0];
    assert_eq!(error["coordinator_partition"].to_string(), billing, "{ran:?}");
    assert_eq!(error["error"]["reason"], "DAMAGED_RANGE", "{ran:?}");
    for command in [&["group", "describe", "billing"][..], &["consume", "orders", "-g", "billing", "-e"]] {
        let ran = served.run(command);
        assert!(
            ran.code == 1 && ran.err.contains("restored from a copy") && !ran.err.contains("seek"),
            "{ran:?}"
        );
    }
    let top = served.prints(&["top", "--once"]);
    assert!(top.contains("! partition ") && top.contains("audit"), "{top}");
    let health = served.run(&["cluster", "health"]);
    let place = format!("groups can't be used, as their log is damaged: __consumer_offsets[{billing}]");
    assert!(
        health.code == 2 && health.out.starts_with("CRITICAL") && health.out.contains(&place),
        "{health:?}"
    );
}

//! `weir serve --check` and `--print-config`.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;

use crate::served::{Ran, Served, WEIR, command};

#[test]
fn check_tells_the_state_of_the_data_directory_and_makes_nothing() {
    let served = Served::start();
    let ran = served.run(&["serve", "--check", "--data-dir", "elsewhere"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("data directory elsewhere: not there yet"), "{}", ran.out);
    assert!(!served.folder.path().join("elsewhere").exists());
    std::fs::create_dir(served.folder.path().join("empty")).unwrap();
    let ran = served.run(&["serve", "--check", "--data-dir", "empty"]);
    assert!(
        ran.code == 0 && ran.out.contains("data directory empty: empty; the first start fills it"),
        "{ran:?}"
    );
    for path in ["/proc/x", "/proc/x/y"] {
        let ran = served.run(&["serve", "--check", "--data-dir", path]);
        let words = "create folder /proc/x: No such file or directory (os error 2); choose another place";
        assert!(ran.code == 2 && ran.err.contains(words) && !ran.out.contains("not there"), "{ran:?}");
    }
    let ran = served.run(&["serve", "--check", "--data-dir", "weir-data"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("data directory weir-data: in use by pid "), "{}", ran.out);
    served.prints(&["serve", "--check", "--data-dir", "weir-data", "-J"]);
}

#[test]
fn a_stopped_directory_is_ready_and_a_foreign_one_is_refused_and_left_alone() {
    let mut served = Served::start();
    served.kill();
    let ran = served.run(&["serve", "--check", "--data-dir", "weir-data"]);
    assert!(ran.out.contains("ready, of node 1"), "{ran:?}");
    assert_eq!(served.run(&["serve", "--check", "--data-dir", "weir-data", "--node-id", "7"]).code, 2);
    let foreign = served.folder.path().join("photos");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("cat.jpg"), "x").unwrap();
    for flags in [&["--check"][..], &["--check", "-J"], &["--listen", "127.0.0.1:0"]] {
        let ran = served.run(&[&["serve", "--data-dir", "photos"], flags].concat());
        assert_eq!(ran.code, if flags.contains(&"--check") { 2 } else { 78 }, "{ran:?}");
        assert!(ran.err.contains("holds cat.jpg"), "{}", ran.err);
        assert_eq!(std::fs::read_dir(&foreign).unwrap().count(), 1, "nothing is left in it");
    }
}

#[test]
fn an_address_that_is_taken_is_told_with_what_to_do() {
    let served = Served::start();
    let ran = served.run(&["serve", "--data-dir", "other", "--listen", &served.address]);
    let told = format!(
        "error: can't listen on {}: another program listens there, perhaps another broker; stop it, or choose another address with --listen\n",
        served.address
    );
    assert_eq!((ran.code, ran.err), (1, told));
    assert!(!served.folder.path().join("other").exists(), "nothing was made");
}

#[test]
fn all_mistakes_are_told_at_once_with_what_would_be_right() {
    let served = Served::start();
    std::fs::write(
        served.folder.path().join("weir.toml"),
        "log.levle = \"debug\"\nlisten = \"nowhere\"\n[data]\ndri = \"x\"\n",
    )
    .unwrap();
    let ran = served.run(&["serve", "--check", "-c", "weir.toml", "-X", "shards=0"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    for words in [
        "weir.toml line 1: log.levle: there is no such config key. Did you mean 'log.level'?",
        "weir.toml line 2: listen: 'nowhere' is not an IP address and port",
        "weir.toml line 4: data.dri: there is no such config key. Did you mean 'data.dir'?",
        "command line: shards:",
        "`weir serve --print-config` lists them",
    ] {
        assert!(ran.err.contains(words), "lacks {words}: {}", ran.err);
    }
    assert_eq!(served.run(&["serve", "-c", "weir.toml"]).code, 78, "a start says the same with its own code");
}

#[test]
fn every_setting_is_printed_with_its_source() {
    let served = Served::start();
    std::fs::write(served.folder.path().join("weir.toml"), "log.level = \"warn\"\nshards = 2\n").unwrap();
    let arguments =
        ["serve", "--print-config", "-c", "weir.toml", "--listen", "127.0.0.1:1", "--output", "plain"];
    let output = served.weir(&arguments).env("WEIR_SHARDS", "3").output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    for line in [
        "listen\t127.0.0.1:1\tflag\n",
        "shards\t3\tenvironment\n",
        "log.level\twarn\tfile\n",
        "node.id\t1\tdefault\n",
    ] {
        assert!(out.contains(line), "lacks {line}: {out}");
    }
    assert!(served.prints(&["serve", "--print-config", "-J"]).contains("\"source\":\"default\""));
}

/// Interrupts a demo when it has printed a line with these words.
fn interrupt_demo_at(words: &str, flags: &[&str], code: i32) {
    let served = Served::start();
    let mut weir = served.weir(&[&["demo", "--speed", "2"], flags].concat());
    let mut demo = weir.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(demo.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains(words) {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended before it was interrupted");
    }
    let status = std::process::Command::new("kill").args(["-INT", &demo.id().to_string()]).status().unwrap();
    assert!(status.success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let ran = Ran::from(demo.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (code, ""), "{ran:?}");
    assert!(rest.ends_with("stopped cleanly\n"), "{rest}");
}

#[test]
fn a_demo_that_is_interrupted_while_it_starts_leaves_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let entries = || std::fs::read_dir(folder.path()).unwrap().count();
    for _ in 0..5 {
        let mut weir = command(WEIR, Path::new("/"));
        let mut demo = weir.arg("demo").env("TMPDIR", folder.path()).stdout(Stdio::null()).spawn().unwrap();
        while entries() == 0 {
            assert!(demo.try_wait().unwrap().is_none(), "it ended before it made a folder");
        }
        rustix::process::kill_process(rustix::process::Pid::from_child(&demo), rustix::process::Signal::INT)
            .unwrap();
        let status = demo.wait().unwrap();
        assert_eq!((status.code(), entries()), (Some(0), 0));
    }
}

#[test]
fn a_demo_that_is_interrupted_again_and_again_stops_in_peace() {
    let folder = tempfile::tempdir().unwrap();
    let mut weir = command(WEIR, Path::new("/"));
    let weir = weir.args(["demo", "--speed", "2"]).env("TMPDIR", folder.path());
    let mut demo = weir.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(demo.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains(" written, ") {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended before it was interrupted");
    }
    let pid = rustix::process::Pid::from_child(&demo);
    while demo.try_wait().unwrap().is_none() {
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }
    let ran = Ran::from(demo.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_demo_that_is_interrupted_while_records_flow_says_nothing_but_that_it_stops() {
    interrupt_demo_at(" written, ", &[], 0);
    interrupt_demo_at("reader 2 joined", &[], 0);
    // Its checks were asked for, and are not done.
    interrupt_demo_at(" written, ", &["--once"], 130);
    interrupt_demo_at("reader 2 joined", &["--once"], 130);
}

//! `weir produce`: what becomes a record, what it prints, how it ends.

use std::io::Write;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::served::Served;

fn served() -> Served {
    let served = Served::start();
    served.prints(&["topic", "create", "t"]);
    served
}

/// What a run with these arguments stored: key, its length, value, its length, one record after the other.
fn stored(arguments: &[&str], input: &[u8]) -> String {
    let served = served();
    let ran = served.pipe(&[&["produce", "t"], arguments].concat(), input);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{arguments:?}: {}", ran.err);
    served.prints(&["consume", "t", "-e", "-f", "%K:%k %V:%v|"])
}

#[test]
fn input_becomes_records() {
    std::thread::scope(|scope| {
        for (arguments, input, expected) in [
            (&[][..], "a\n\nb", "-1: 1:a|-1: 0:|-1: 1:b|"),
            (&["-Z"], "a\n\nb", "-1: 1:a|-1: -1:|-1: 1:b|"),
            (&["-Z", "-K:"], ":a\nk:\n", "-1: 1:a|1:k -1:|"),
            (&["-K:"], ":a\nk:\n", "0: 1:a|1:k 0:|"),
            (&["-D", "\\0"], "a\nb\0c\0", "-1: 3:a\nb|-1: 1:c|"),
            (&["-D", "--"], "a-b--c", "-1: 3:a-b|-1: 1:c|"),
            (&["-D", ";", "-K", "="], "a=1;b=2\n", "1:a 1:1|1:b 2:2\n|"),
            (&["--whole"], "a\nb\n", "-1: 4:a\nb\n|"),
            (&["--whole", "-k", "key"], "", "3:key 0:|"),
            (&["--whole", "-J"], "{\n\"value\": \"x\"\n}", "-1: 1:x|"),
            (&["-f", "%k=%v\\n"], "a=1\nb=2=3\n", "1:a 1:1|1:b 3:2=3|"),
            (&["-f", "%k{hex} %v{base64}"], "6b aGk=\n", "1:k 2:hi|"),
            (&["-f", "%v", "-k", "x"], "1\n", "1:x 1:1|"),
            (&["-n", "1"], "a\nb\n", "-1: 1:a|"),
        ] {
            scope.spawn(move || {
                assert_eq!(stored(arguments, input.as_bytes()), expected, "{arguments:?}");
            });
        }
    });
}

#[test]
fn a_file_is_one_record_with_whole() {
    let served = served();
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    std::fs::write(served.folder.path().join("cat.jpg"), &bytes).unwrap();
    assert_eq!(served.run(&["produce", "t", "-F", "cat.jpg", "--whole"]).code, 0);
    let read = served.weir(&["consume", "t", "-e", "-f", "%v"]).output().unwrap();
    assert!(read.stdout == bytes, "{} bytes of {}", read.stdout.len(), bytes.len());
    let ran = served.run(&["produce", "t", "-F", "nowhere", "--whole"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("can't read nowhere"), "{}", ran.err);
}

#[test]
fn a_record_that_is_refused_is_named_by_where_it_came_from() {
    let served = served();
    served.prints(&["topic", "create", "small", "-c", "max.message.bytes=200"]);
    let long = "x".repeat(300);
    std::fs::write(served.folder.path().join("big"), format!("a\n{long}\n")).unwrap();
    for (arguments, place) in [
        (&["a", &long][..], "error: value 2: "),
        (&["-F", "big"], "error: line 2: "),
        (&["-F", "big", "-D", "\\n"], "error: record 2: "),
        (&["-F", "big", "--whole"], "error: the record: "),
    ] {
        let ran = served.run(&[&["produce", "small"], arguments].concat());
        assert!(ran.code == 1 && ran.err.starts_with(place), "{arguments:?}: {ran:?}");
    }
    for arguments in [&["x"][..], &["-F", "big"]] {
        let ran = served.run(&[&["produce", "small", "-p", "4"], arguments].concat());
        let told =
            "error: topic 'small' has no partition 4; its only partition is 0   [PARTITION_NOT_FOUND]\n";
        assert_eq!((ran.code, ran.err.as_str()), (1, told));
    }
}

#[test]
fn a_line_for_a_partition_that_is_not_there_has_the_reason_of_the_flag() {
    let served = served();
    served.prints(&["topic", "create", "small"]);
    for (form, line) in [(&["-J"][..], "{\"partition\":4,\"value\":\"x\"}\n"), (&["-f", "%p %v\n"], "4 x\n")]
    {
        let ran = served.pipe(&[&["produce", "small"], form].concat(), line.as_bytes());
        assert!(ran.code == 1 && ran.err.contains("   [PARTITION_NOT_FOUND]\n"), "{form:?}: {ran:?}");
    }
    let ran = served.pipe(&["produce", "small", "-J"], b"nonsense\n");
    assert!(ran.code == 1 && !ran.err.contains("   ["), "{ran:?}");
}

#[test]
fn what_a_format_printed_it_reads() {
    let served = served();
    served.prints(&["topic", "create", "copy"]);
    let lines = b"{\"key\":\"\xc5\xbc\",\"value\":\"a b\",\"timestamp\":77,\"headers\":[{\"key\":\"h\",\"value\":\"1\"}]}\n";
    assert_eq!(served.pipe(&["produce", "t", "-J"], lines).code, 0);
    let format = "%t %p %o %d %H %h{%k=%v{hex},}%k{base64} %v\\n";
    let printed = served.prints(&["consume", "t", "-e", "-f", format]);
    let ran = served.pipe(&["produce", "copy", "-f", format], printed.as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let all = "%d %k %v %h{%k=%v}";
    let of = |topic| served.prints(&["consume", topic, "-e", "-f", all]);
    assert_eq!(of("copy"), of("t"));
    let ran = served.pipe(&["produce", "t", "-f", "%k=%v"], b"a=1\nplain\n");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("line 2: byte 1: \"=\" expected"), "{}", ran.err);
    assert_eq!(served.pipe(&["produce", "t", "-f", "%k%v"], b"").code, 2);
}

#[test]
fn tee_prints_what_was_written() {
    let served = served();
    let ran = served.pipe(&["produce", "t", "-T", "-K:"], b"a:1\nb:2");
    assert_eq!((ran.code, ran.out.as_str()), (0, "a:1\nb:2\n"), "{}", ran.err);
    let ran = served.pipe(&["produce", "t", "-T", "-D", ";"], b"a;b");
    assert_eq!((ran.code, ran.out.as_str()), (0, "a;b;"), "{}", ran.err);
    let ran = served.pipe(&["produce", "t", "-T", "-K:"], b"a:1\nplain\nb:2\n");
    assert_eq!((ran.code, ran.out.as_str()), (1, "a:1\n"), "{}", ran.err);
}

#[test]
fn ctrl_c_tells_what_was_done() {
    let served = served();
    let mut weir = served.weir(&["produce", "t", "--report", "%v\n"]);
    let mut process =
        weir.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    process.stdin.as_mut().unwrap().write_all(b"a\nb\n").unwrap();
    std::io::Read::read_exact(process.stdout.as_mut().unwrap(), &mut [0; 4]).unwrap();
    let input = process.stdin.take();
    kill_process(Pid::from_child(&process), Signal::INT).unwrap();
    let ended = process.wait_with_output().unwrap();
    drop(input);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(said.contains("interrupted: produced 2 records (2 B) to t"), "{said}");
}

#[test]
fn a_full_disk_is_told_as_such() {
    let served = served();
    let address = "127.0.0.1:0";
    let folder = served.folder.path();
    // A reserve that no disk has leaves no room for records.
    let mut full = crate::served::command(crate::served::WEIR, folder);
    full.args([
        "serve",
        "-J",
        "--data-dir",
        "full",
        "--listen",
        address,
        "-X",
        "disk.reserve.bytes=1152921504606846976",
    ]);
    let mut full = full.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(full.stdout.take().unwrap()), &mut line)
        .unwrap();
    let told: serde_json::Value = serde_json::from_str(&line).unwrap();
    let address = told["address"].as_str().unwrap();
    let weir = |arguments: &[&str]| {
        let mut weir: Command = served.weir(arguments);
        weir.args(["-b", address, "--timeout", "1s"]).output().unwrap()
    };
    let created = weir(&["topic", "create", "t"]);
    let produced = weir(&["produce", "t", "a", "b"]);
    full.kill().unwrap();
    full.wait().unwrap();
    assert_eq!(created.status.code(), Some(0), "{created:?}");
    let said = String::from_utf8_lossy(&produced.stderr).into_owned();
    assert_eq!(produced.status.code(), Some(1), "{said}");
    assert!(said.contains("[DISK_FULL]") && !said.contains("can't be reached"), "{said}");
}

#[test]
fn a_reader_that_leaves_early_stops_the_printing_and_not_the_records() {
    let served = Served::start();
    served.prints(&["topic", "create", "t"]);
    let lines: String = (0..30_000).map(|number| format!("record {number}\n")).collect();
    for (topic, flags) in [("t", &["-T"][..]), ("t2", &["--report", "%t[%p]@%o\n"])] {
        served.run(&["topic", "create", topic, "--if-not-exists"]);
        let mut weir = served.weir(&[&["produce", topic][..], flags].concat());
        let mut process =
            weir.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(process.stdout.take());
        process.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        let done = process.wait_with_output().unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!((done.status.code(), said.as_str()), (Some(0), ""), "{flags:?}");
        let stored = served.prints(&["consume", topic, "-o", "start", "-e", "-q"]);
        assert_eq!(stored.lines().count(), 30_000, "{flags:?}");
    }
}

//! `weir consume`: which records, how they are printed, when it ends.

use std::io::Read;
use std::process::Stdio;

use crate::served::Served;

fn served(lines: &str) -> Served {
    let served = Served::start();
    served.prints(&["topic", "create", "t"]);
    assert_eq!(served.pipe(&["produce", "t", "-J"], lines.as_bytes()).code, 0);
    served
}

const LINES: &str = r#"
{"key":"u1","value":"apple","headers":[{"key":"src","value":"cli"}]}
{"key":"u2","value":"pear","headers":[]}
{"key":null,"value":"apple pie","headers":[{"key":"src","value":"web"}]}
{"key":"u2","value":null,"headers":[]}
{"key":"","value":"","headers":[]}
"#;

#[test]
fn grep_lets_through_what_fulfils_all_conditions() {
    let served = served(LINES);
    for (conditions, expected) in [
        (&["v:apple"][..], "0 2 "),
        (&["v:^apple$"], "0 "),
        (&["!v:apple"], "1 3 4 "),
        (&["k:^u2$"], "1 3 "),
        (&["k:"], "0 1 3 4 "),
        (&["!k:"], "2 "),
        (&["h:src=cli"], "0 "),
        (&["!h:src="], "1 3 4 "),
        (&["t:^t$"], "0 1 2 3 4 "),
        (&["t:other"], ""),
        (&["k:u", "!v:pear"], "0 3 "),
    ] {
        let mut arguments = vec!["consume", "t", "-e", "-f", "%o "];
        conditions.iter().for_each(|condition| arguments.extend(["--grep", condition]));
        let ran = served.run(&arguments);
        assert_eq!((ran.code, ran.out.as_str()), (0, expected), "{conditions:?}: {}", ran.err);
    }
    let ran = served.run(&["consume", "t", "-e", "--grep", "v:apple"]);
    assert!(ran.err.contains("reached end of 1 partition: 2 of 5 records, 14 B"), "{}", ran.err);
    let first = served.prints(&["consume", "t", "-e", "--grep", "k:u2", "-n", "1", "-f", "%o"]);
    assert_eq!(first, "1", "-n counts what is printed");
    for wrong in ["apple", "x:y", "v:(", "h:=a"] {
        assert_eq!(served.run(&["consume", "t", "--grep", wrong]).code, 2, "{wrong}");
    }
}

#[test]
fn separators_and_null() {
    let served = served(LINES);
    let keyed = served.prints(&["consume", "t", "-e", "-K", ": "]);
    assert_eq!(keyed, "u1: apple\nu2: pear\n: apple pie\nu2: \n: \n");
    let ended = served.prints(&["consume", "t", "-e", "-D", "\\x00"]);
    assert_eq!(ended, "apple\0pear\0apple pie\0\0\0");
    let joined = served.prints(&["consume", "t", "-e", "-K", "=", "-D", "", "-Z"]);
    assert_eq!(joined, "u1=appleu2=pearNULL=apple pieu2=NULL=");
    let formatted = served.prints(&["consume", "t", "-e", "-Z", "-f", "%k=%s,%S,%h{%k:%v}\\n"]);
    assert_eq!(formatted, "u1=apple,5,src:cli\nu2=pear,4,\nNULL=apple pie,9,src:web\nu2=NULL,-1,\n=,0,\n");
    assert_eq!(served.run(&["consume", "t", "-e", "-K", "\\q"]).code, 2);
    assert_eq!(served.run(&["consume", "t", "-K:", "-f", "%v"]).code, 2);
}

#[test]
fn counts_are_counts() {
    let served = served(LINES);
    assert_eq!(served.prints(&["consume", "t", "-e", "-c", "1"]), "apple\n");
    assert_eq!(served.prints(&["consume", "t", "-e", "-n", "0"]), "");
    for wrong in ["-1", "x"] {
        let ran = served.run(&["consume", "t", "-n", wrong]);
        assert_eq!(ran.code, 2);
        assert!(ran.err.contains("a number of records, 0 or more"), "{}", ran.err);
    }
}

#[test]
fn silence_ends_it_when_asked_to_and_a_broker_that_is_gone_is_no_silence() {
    let mut served = served(LINES);
    let ran = served.run(&["consume", "t", "-o", "start", "--idle-timeout", "200ms", "-f", "%o"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "01234"), "{}", ran.err);
    assert!(ran.err.contains("no record came for 200ms: 5 records, 18 B"), "{}", ran.err);
    let mut waiting = served.weir(&["consume", "t", "-o", "start", "-n", "6", "--idle-timeout", "2s"]);
    let mut waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The first bytes show that it reads.
    waiting.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
    served.kill();
    let ended = waiting.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(3), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn unbuffered_prints_each_record_by_itself() {
    let served = served(LINES);
    let plain = served.prints(&["consume", "t", "-e"]);
    assert_eq!(served.prints(&["consume", "t", "-e", "-u"]), plain);
}

#[test]
fn a_reader_that_leaves_ends_the_waiting_too() {
    let served = served(LINES);
    let mut weir = served.weir(&["consume", "t", "-o", "start", "-q"]);
    let mut process = weir.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    process.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
    drop(process.stdout.take());
    let ended = process.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.len()), (Some(0), 0), "{ended:?}");
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let served = served(LINES);
    for (arguments, input) in [
        (&["consume", "t", "-o", "start", "-u"][..], ""),
        (&["produce", "t", "-T"], "a\nb\n"),
        (&["topic", "list"], ""),
        (&["topic", "describe", "t"], ""),
        (&["topic", "list", "-J"], ""),
    ] {
        let mut weir = served.weir(arguments);
        let mut process =
            weir.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(process.stdout.take());
        std::io::Write::write_all(&mut process.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let ended = process.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{arguments:?}: {ended:?}");
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "", "{arguments:?}");
    }
}

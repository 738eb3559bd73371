//! Flags in their spellings, and output, addresses and folders that can't be: each told with what to do.

use crate::served::{Ran, Served};

#[test]
fn help_and_version_that_can_not_be_written_are_failures() {
    let served = Served::start();
    for flag in ["--help", "--version"] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ran = Ran::from(served.weir(&[flag]).stdout(full).output().unwrap());
        assert_eq!(ran.code, 1, "{flag}: {ran:?}");
        assert!(ran.err.starts_with("error: can't write to stdout: "), "{flag}: {ran:?}");
    }
    for arguments in [["--version", "-J"], ["--version", "--output=json"], ["-J", "-V"]] {
        assert_eq!(served.prints(&arguments), served.prints(&["version", "-J"]), "{arguments:?}");
    }
}

#[test]
fn json_is_asked_for_in_two_spellings_that_exclude_the_same() {
    let served = Served::start();
    served.prints(&["topic", "create", "orders"]);
    for json in [&["-J"][..], &["--output", "json"], &["--output=json"]] {
        let line = b"{\"key\":\"k\",\"value\":\"v\"}\n";
        let ran = served.pipe(&[&["produce", "orders", "--report", "%k=%v\\n"], json].concat(), line);
        assert_eq!((ran.code, ran.out.as_str()), (0, "k=v\n"), "{ran:?}");
        let ran = served.run(&[&["consume", "orders", "-e", "-f", "%v"], json].concat());
        assert!(ran.code == 2 && ran.out.contains("cannot be used with"), "{ran:?}");
        let ran = served.run(&[&["produce", "orders", "-k", "x"], json].concat());
        assert!(ran.code == 2 && ran.out.contains("cannot be used with"), "{ran:?}");
    }
    assert_eq!(served.pipe(&["produce", "orders", "--output", "yaml"], b"x\n").code, 2);
}

#[test]
fn an_address_without_a_host_is_a_usage_error() {
    let served = Served::start();
    for address in [":24000", "weir://:7070"] {
        let ran = served.run(&["topic", "list", "-b", address]);
        assert!(ran.code == 2 && ran.err.contains("is not a broker address; give host:port"), "{ran:?}");
    }
}

#[test]
fn a_data_directory_where_none_can_be_is_told_what_to_do() {
    let served = Served::start();
    for (path, words) in [
        ("/proc/x", "choose another place: no folder can be made there"),
        ("/dev/null/x", "/dev/null/x is not a folder; a data directory is one: choose another"),
    ] {
        let ran = served.run(&["serve", "--data-dir", path, "--listen", "127.0.0.1:0"]);
        assert!(ran.code == 78 && ran.err.contains(words), "{ran:?}");
    }
}

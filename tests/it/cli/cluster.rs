//! Checks of a broker's health, and tables for scripts.

use crate::served::{Ran, Served, command};

#[test]
fn a_check_that_can_not_ask_is_unknown_and_never_critical() {
    let served = Served::start();
    assert_eq!(served.run(&["cluster", "health"]).code, 0);
    for line in [
        "cluster health -b 127.0.0.1:1 --timeout 1s",
        "cluster health -b h:0",
        "cluster health -b  ",
        "cluster health -C nowhere",
        "cluster health -X nope=1",
        "cluster health --nope",
        "cluster health --delay soon",
        "cluster health --within 1s",
    ] {
        let ran = served.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(ran.code, 3, "{line}: {ran:?}");
        assert!(ran.out.starts_with("UNKNOWN: ") && ran.out.lines().count() > 0, "{line}: {ran:?}");
    }
    assert_eq!(served.run(&["cluster", "status", "--nope"]).code, 2, "no check");
    assert_eq!(served.run(&["cluster", "health", "--help"]).code, 0);
}

#[test]
fn watching_ends_with_its_time_and_with_its_reader() {
    let served = Served::start();
    let gone = ["-b", "127.0.0.1:1", "--timeout", "1s", "--within", "50ms", "-d", "10ms"];
    let waited = served.run(&[&["cluster", "health", "--exit-when-healthy"][..], &gone].concat());
    assert_eq!((waited.code, waited.out.lines().count()), (3, 1), "{waited:?}");
    let watched = served.run(&["cluster", "health", "--watch", "--within", "50ms", "-d", "10ms"]);
    assert_eq!((watched.code, watched.out.lines().count()), (0, 1), "{watched:?}");
    // Without an end of its own: `head` has what it wants and goes.
    let weir = crate::served::WEIR;
    let mut shell = command("sh", served.folder.path());
    shell
        .args(["-c", &format!("{weir} cluster health --watch | head -n 1")])
        .env("WEIR_BOOTSTRAP", &served.address);
    let ran = Ran::from(shell.output().unwrap());
    assert!(ran.code == 0 && ran.out.starts_with("OK: "), "{ran:?}");
}

#[test]
fn tables_for_scripts_have_plain_numbers_and_no_other_line() {
    let served = Served::start();
    served.prints(&["topic", "create", "orders", "-p", "2"]);
    assert_eq!(served.pipe(&["produce", "orders", "-K:"], b"u1:one\nu2:two\n").code, 0);
    let rows = |line: &str, columns: usize| {
        let text =
            served.prints(&[&line.split(' ').collect::<Vec<_>>()[..], &["--output", "plain"]].concat());
        for row in text.lines() {
            let cells: Vec<&str> = row.split('\t').collect();
            assert_eq!(cells.len(), columns, "{line}: {row}");
            let has_unit = |cell: &&str| cell.ends_with(" B") || cell.contains("iB") || cell.contains(" (");
            // What a key may hold is told in words, as is a default that depends on the disk.
            let numbers = if line.starts_with("topic config-keys") { &cells[..3] } else { &cells[..] };
            let is_rule = cells[0] == "disk.reserve.bytes";
            assert!(is_rule || !numbers.iter().any(has_unit), "{line}: {row}");
            assert!(!cells.contains(&"PARTITION") && !cells.contains(&"KEY"), "a header: {row}");
        }
        text.lines().count()
    };
    assert_eq!(rows("topic list", 12), 1);
    assert_eq!(rows("topic describe orders --section summary", 8), 1);
    assert_eq!(rows("topic describe orders --section partitions", 11), 2);
    assert_eq!(rows("topic describe orders --section segments", 8), 2);
    assert!(rows("topic describe orders --section config", 5) > 5);
    assert!(rows("topic config-keys", 4) > 5);
    assert_eq!(rows("topic config-keys flush", 4), 1);
    assert_eq!(rows("topic trim orders --to start --dry-run", 4), 2);
    assert_eq!(rows("log segments orders", 10), 2);
    assert!(rows("log inspect weir-data/orders-0", 9) <= 2);
    assert_eq!(rows("log verify weir-data", 7), 0, "no finding, no row");
    assert_eq!(rows("cluster status", 9), 1);
    assert_eq!(rows("top --once -d 10ms", 8), 1);
    assert!(rows("serve --print-config", 3) > 5);
    let all = served.prints(&["topic", "describe", "orders", "--output", "plain"]);
    assert!(all.contains("orders\tconfig\tretention.ms\t604800000\tdefault\n"), "{all}");
}

#[test]
fn a_server_that_is_no_broker_is_called_so() {
    use std::io::{Read, Write};
    let served = Served::start();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    // It ends with the process of the tests. A connection that is closed at once may be lost before its answer is read.
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for connection in other.incoming() {
            let mut connection = connection.unwrap();
            let _ = connection.read(&mut [0; 1_024]);
            let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            held.push(connection);
        }
    });
    let ran = served.run(&["topic", "list", "-b", &address]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.err.contains(&format!("the server at {address} does not answer in HTTP/2")), "{ran:?}");
}

//! `weir topic`: plans, several topics at a time, exit codes.

use crate::served::Served;

#[test]
fn config_keys_are_listed_and_filtered() {
    let served = Served::start();
    let all = served.prints(&["topic", "config-keys"]);
    assert!(all.starts_with("KEY") && all.contains("\nretention.ms "), "{all}");
    let some = served.prints(&["topic", "config-keys", "retention.*"]);
    assert_eq!(some.lines().count(), 3, "{some}");
    let one = served.prints(&["topic", "config-keys", "retention.ms"]);
    assert!(one.contains("default: 604800000 (7d)") && one.lines().count() == 4, "{one}");
    let none = served.run(&["topic", "config-keys", "zzz*"]);
    assert_eq!((none.code, none.out.as_str()), (1, ""));
    let created = served.run(&["topic", "create", "t", "-c", "retention_ms=1"]);
    assert_eq!(created.code, 1);
    for words in ["Did you mean 'retention.ms'?", "weir topic config-keys", "[INVALID_CONFIG]"] {
        assert!(created.err.contains(words), "{}", created.err);
    }
}

#[test]
fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let served = Served::start();
    let plan = served.run(&["topic", "create", "a", "b", "-p", "3", "-c", "retention.ms=1d", "--dry-run"]);
    let line = |name| format!("would create {name}: 3 partitions, 1 replica, retention.ms=86400000 (1d)\n");
    assert_eq!((plan.code, plan.out), (0, line("a") + &line("b")));
    assert!(plan.err.contains("Run again without --dry-run"), "{}", plan.err);
    assert_eq!(served.prints(&["topic", "ls"]), "");
    served.prints(&["topic", "create", "a", "-r", "1"]);
    let plan = served.prints(&["topic", "alter", "a", "-c", "retention.ms=1d", "-p", "2", "--dry-run"]);
    assert_eq!(plan, "would change a:  retention.ms 604800000 (7d) -> 86400000 (1d)   partitions 1 -> 2\n");
    let same = served.prints(&["topic", "describe", "a", "--section", "partitions"]);
    assert_eq!(same.lines().count(), 2, "{same}");
    assert_eq!(served.prints(&["topic", "rm", "a", "--dry-run"]), "would delete a: 0 records, 0 B\n");
    let again = |line: &str| {
        let ran = served.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        ran.err.contains("Run again without --dry-run to apply.")
    };
    for line in [
        "topic alter a -p 2 --dry-run",
        "topic alter a -c retention.ms=1d --dry-run",
        "topic rm a --dry-run",
        "topic trim a --to end --dry-run",
    ] {
        assert!(again(line), "{line}");
    }
    for line in ["topic alter a -p 1 --dry-run", "topic alter a -c retention.ms=7d --dry-run"] {
        assert!(!again(line), "{line}: it would change nothing");
    }
    assert_eq!(served.run(&["topic", "create", "c", "-r", "3"]).code, 2);
}

#[test]
fn one_failed_item_fails_the_command_and_spares_the_others() {
    let served = Served::start();
    let created = served.run(&["topic", "create", "a", "bad name", "b"]);
    assert_eq!(created.code, 1, "{created:?}");
    assert_eq!(served.prints(&["topic", "list", "--output", "name"]), "a\nb\n");
    let described = served.run(&["topic", "describe", "a", "c", "b", "--section", "segments"]);
    assert_eq!(described.code, 1);
    assert!(described.out.contains("a\n\nPARTITION") && described.out.contains("b\n\n"), "{}", described.out);
    assert!(described.err.contains("topic 'c' does not exist"), "{}", described.err);
    let again = served.run(&["topic", "create", "a", "c", "--if-not-exists"]);
    assert_eq!(again.code, 0, "{again:?}");
    let removed = served.run(&["topic", "delete", "a", "nowhere"]);
    assert_eq!(removed.code, 1);
    assert_eq!(served.prints(&["topic", "list", "--output", "name"]), "b\nc\n");
    let missing = served.run(&["topic", "list", "zzz*"]);
    assert_eq!((missing.code, missing.out.as_str()), (0, ""));
    assert!(missing.err.contains("no topic matches 'zzz*'"), "{}", missing.err);
}

#[test]
fn a_name_that_no_topic_can_have_gets_one_answer_from_every_command() {
    let served = Served::start();
    for (name, why) in [
        ("__x", "names that begin with '__' are the broker's own"),
        ("", "it is empty"),
        ("a b", "it has the illegal character ' ' at 1"),
    ] {
        let told = format!(
            "error: topic '{name}' does not exist, and none can have that name: {why}; correct it   [TOPIC_NOT_FOUND]\n"
        );
        for before in [
            &["topic", "describe"][..],
            &["topic", "delete"],
            &["topic", "alter", "-c", "retention.ms=1d"],
            &["topic", "trim", "--to", "end"],
            &["consume", "-e"],
            &["consume", "-e", "-g", "g"],
            &["produce"],
            &["log", "segments"],
        ] {
            let ran = served.run(&[before, &[name]].concat());
            assert_eq!((ran.code, &ran.err), (1, &told), "{before:?}");
        }
    }
    let ran = served.run(&["produce", "nope"]);
    assert!(ran.err.contains("or correct the name (`weir topic create nope` creates it)"), "{ran:?}");
    assert_eq!(served.run(&["consume", "nope", "-e", "-g", "g"]).code, 1);
    served.prints(&["topic", "create", "orders"]);
    assert_eq!(served.run(&["consume", "orders", "-e", "-g", "g"]).code, 0);
    for before in
        [&["topic", "delete"][..], &["topic", "trim", "--to", "end"], &["topic", "alter", "-d", "flush"]]
    {
        let ran = served.run(&[before, &["__consumer_offsets"]].concat());
        assert!(ran.err.contains("only the broker writes to it"), "{ran:?}");
    }
}

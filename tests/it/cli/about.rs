//! Contexts, completions, manual pages, cheat sheet, help and version.

use std::process::Stdio;

use std::os::unix::fs::PermissionsExt;

use crate::served::{Ran, Served};

/// Runs `weir` without the variable that names the broker.
fn plain(served: &Served, arguments: &[&str]) -> Ran {
    served.weir(arguments).env_remove("WEIR_BOOTSTRAP").output().unwrap().into()
}

#[test]
fn contexts_name_brokers() {
    let served = Served::start();
    served.prints(&["topic", "create", "here"]);
    let run = |arguments: &[&str]| plain(&served, arguments);
    let prints = |arguments: &[&str]| {
        let ran = run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        ran.out
    };
    let added = prints(&["context", "add", "local", "-b", &served.address]);
    assert_eq!(added, format!("added local: {}, in use\n", served.address));
    assert_eq!(prints(&["context", "add", "gone", "-b", "127.0.0.1:1"]), "added gone: 127.0.0.1:1\n");
    let file = served.folder.path().join("config/weir/contexts.json");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(prints(&["topic", "list", "--output", "name"]), "here\n", "the first one is in use");
    assert_eq!(run(&["topic", "list", "-C", "gone"]).code, 3);
    assert_eq!(prints(&["context", "use", "gone"]), "in use: gone, 127.0.0.1:1\n");
    assert_eq!(run(&["topic", "list"]).code, 3);
    assert_eq!(prints(&["topic", "list", "-C", "local", "--output", "name"]), "here\n");
    assert_eq!(prints(&["topic", "list", "-b", &served.address, "--output", "name"]), "here\n");
    assert_eq!(prints(&["context", "-"]), format!("in use: local, {}\n", served.address));
    assert_eq!(prints(&["context", "show", "gone"]), "gone  127.0.0.1:1\n");
    assert_eq!(
        prints(&["context", "list", "--output", "plain"]),
        format!("gone\t127.0.0.1:1\t\nlocal\t{}\tyes\n", served.address)
    );
    let removed = run(&["context", "rm", "gone"]);
    assert_eq!((removed.out.as_str(), removed.err.as_str()), ("removed gone\n", ""));
    let missing = run(&["topic", "list", "-C", "loca"]);
    assert_eq!(missing.code, 2);
    assert!(missing.err.contains("Did you mean 'local'? `weir context list` lists them"), "{}", missing.err);
    assert_eq!(run(&["topic", "list", "-C", "local", "-b", "x:1"]).code, 2);
    assert_eq!(run(&["context", "rm", "gone"]).code, 1);
    prints(&["context", "add", "other", "-b", "127.0.0.1:2"]);
    prints(&["context", "use", "other"]);
    let removed = run(&["context", "rm", "other"]);
    let told = "other was in use: from now on commands talk to 127.0.0.1:7070; `weir context use NAME` chooses another\n";
    assert_eq!((removed.code, removed.err.as_str()), (0, told));
    prints(&["context", "use", "local"]);
    std::fs::write(&file, "{").unwrap();
    let damaged = run(&["topic", "list"]);
    assert_eq!(damaged.code, 2);
    assert!(damaged.err.contains("contexts.json is not a file of contexts"), "{}", damaged.err);
    assert_eq!(run(&["version"]).code, 0, "what needs no broker needs no context");
}

#[test]
fn contexts_that_are_added_at_the_same_time_are_all_kept() {
    let served = Served::start();
    let names: Vec<String> = (0..24).map(|number| format!("c{number:02}")).collect();
    let adding: Vec<_> = names
        .iter()
        .map(|name| served.weir(&["context", "add", name, "-q"]).stdout(Stdio::null()).spawn().unwrap())
        .collect();
    for mut process in adding {
        assert!(process.wait().unwrap().success());
    }
    let listed = served.prints(&["context", "list", "--output", "plain"]);
    let listed: Vec<&str> = listed.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(listed, names);
}

#[test]
fn what_a_context_can_not_be_is_told() {
    let served = Served::start();
    let run = |arguments: &[&str]| plain(&served, arguments);
    for (arguments, says) in [
        (&["context", "add", "x", "-b", "h:0"][..], "-b: 'h:0' is not a broker address"),
        (&["context", "add", "x", "-b", "a,,b"], "-b: '' is not a broker address"),
        (&["context", "add", "\u{202e}x"], "'\\u{202e}x' is no name for a context"),
        (&["context", "add", "a b"], "use 1 to 64 of the characters"),
        (&["topic", "list", "-b", ""], "-b is empty"),
    ] {
        let ran = run(arguments);
        assert!(ran.code == 2 && ran.err.contains(says), "{arguments:?}: {ran:?}");
    }
    assert_eq!(run(&["context", "add", "x", "-b", "h1, weir://h2:9"]).out, "added x: h1:7070,h2:9, in use\n");
    let warned = served.run(&["context", "use", "x"]);
    assert!(
        warned.err.contains("WEIR_BOOTSTRAP=") && warned.err.contains("wins over the context"),
        "{warned:?}"
    );
    assert_eq!(run(&["context", "use", "x"]).err, "");
    let both = format!("127.0.0.1:1,{}", served.address);
    assert_eq!(run(&["topic", "list", "-b", &both]).code, 0, "the second one answers");
}

#[test]
fn a_variable_yields_to_the_command_line() {
    let served = Served::start();
    served.prints(&["context", "add", "gone", "-b", "127.0.0.1:1"]);
    assert_eq!(served.run(&["topic", "list"]).code, 0, "WEIR_BOOTSTRAP beats the context in use");
    assert_eq!(served.run(&["topic", "list", "-C", "gone"]).code, 3, "-C beats WEIR_BOOTSTRAP");
}

#[test]
fn a_shell_gets_commands_flags_and_topics() {
    let served = Served::start();
    served.prints(&["topic", "create", "orders", "prices"]);
    let complete = |words: &[&str]| {
        let mut weir = served.weir(&[&["--", "weir"], words].concat());
        let index = words.len().to_string();
        weir.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index).env("_CLAP_IFS", "\n");
        // WHY: a busy machine may need longer than a person at a shell should wait.
        weir.env("WEIR_COMPLETION_TIMEOUT", "60s");
        String::from_utf8(weir.output().unwrap().stdout).unwrap()
    };
    assert_eq!(complete(&["prod"]), "produce");
    assert_eq!((complete(&["p"]), complete(&["g"])), ("produce".to_owned(), "group".to_owned()));
    assert!(complete(&["c"]).lines().any(|word| word == "consume") && complete(&["topic", "l"]) == "list");
    assert_eq!(complete(&["c", "o"]), "orders", "an alias is known all the same");
    assert_eq!(complete(&["consume", "o"]), "orders");
    assert_eq!(
        complete(&["topic", "describe", ""]).lines().take(2).collect::<Vec<_>>(),
        ["orders", "prices"]
    );
    served.prints(&["consume", "orders", "-g", "billing", "-e"]);
    assert_eq!(complete(&["group", "describe", "b"]), "billing");
    assert_eq!(complete(&["consume", "orders", "-g", ""]), "billing");
    served.prints(&["topic", "create", "wide", "-p", "3"]);
    served.prints(&["context", "add", "local"]);
    for (words, offered) in [
        (&["context", "use", ""][..], &["local"][..]),
        (&["topic", "list", "-C", "l"], &["local"]),
        (&["cheat", "off"], &["offsets"]),
        (&["topic", "create", "x", "-c", "cleanup.policy=d"], &["cleanup.policy=delete"]),
        (&["topic", "alter", "orders", "-c", "retention."], &["retention.ms=", "retention.bytes="]),
        (&["topic", "alter", "orders", "-d", "retention.m"], &["retention.ms"]),
        (&["topic", "list", "-X", "lin"], &["linger.ms="]),
        (&["serve", "-X", "log.format="], &["log.format=text", "log.format=json"]),
        (&["consume", "orders", "-o", "s"], &["start"]),
        (&["topic", "trim", "orders", "--to", "@"], &["@-1h", "@-1d"]),
        (&["consume", "wide", "-p", ""], &["0", "1", "2"]),
        (&["produce", "wide", "-p", ""], &["0", "1", "2"]),
        (&["log", "segments", "orders", "-p", ""], &["0"]),
        (&["group", "reset-offsets", "billing", "-t", "w"], &["wide"]),
        (&["produce", "orders", "-z", "z"], &["zstd"]),
    ] {
        let told = complete(words);
        let values: Vec<&str> = told.lines().filter(|line| !line.starts_with('-')).collect();
        assert_eq!(values, offered, "{words:?}");
    }
    assert!(complete(&["produce", "--par"]).contains("--partition"));
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(served.prints(&["completions", shell]).contains("weir"), "{shell}");
    }
    assert_eq!(served.run(&["completions", "tcsh"]).code, 2);
}

#[test]
fn a_shell_is_offered_names_only_and_commands_behind_help() {
    let served = Served::start();
    for (words, offered) in [
        (&["topic", "r"][..], ""),
        (&["help", "top"], "topic\ntop"),
        (&["help", "topic", "d"], "describe\ndelete"),
        (&["help", "g", "la"], "lag"),
        (&["help", "nothing", ""], ""),
    ] {
        let mut weir = served.weir(&[&["--", "weir"], words].concat());
        weir.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", words.len().to_string());
        let told = String::from_utf8(weir.output().unwrap().stdout).unwrap();
        assert_eq!(
            told.lines().filter(|line| !line.starts_with('-')).collect::<Vec<_>>().join("\n"),
            offered,
            "{words:?}"
        );
    }
}

/// What bash itself offers at the end of a line, with the words cut as bash cuts them.
fn offered_by_bash(served: &Served, line: &str, pieces: &[&str], begun: &str) -> String {
    let script = "source <(weir completions bash); COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDS=(\"${@:3}\")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _weir weir \"$2\"; echo \"${COMPREPLY[*]}\"";
    let mut bash = crate::served::command("bash", served.folder.path());
    let program = std::path::Path::new(crate::served::WEIR).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    bash.args(["-c", script, "bash", line, begun]).args(pieces).env("PATH", path);
    // WHY: a busy machine may need longer than a person at a shell should wait.
    bash.env("WEIR_BOOTSTRAP", "127.0.0.1:1").env("WEIR_COMPLETION_TIMEOUT", "60s");
    String::from_utf8(bash.output().unwrap().stdout).unwrap().trim_end().to_owned()
}

#[test]
fn names_come_from_the_broker_that_the_line_names() {
    let served = Served::start();
    served.prints(&["topic", "create", "orders", "prices"]);
    served.prints(&["context", "add", "here", "-b", &served.address]);
    let (host, port) = served.address.split_once(':').unwrap();
    let bash = |line: &str, pieces: &[&str], begun| offered_by_bash(&served, line, pieces, begun);
    let line = format!("weir produce -b {host}:{port} or");
    assert_eq!(bash(&line, &["weir", "produce", "-b", host, ":", port, "or"], "or"), "orders");
    let line = format!("weir --bootstrap={host}:{port} topic trim ");
    let pieces = ["weir", "--bootstrap", "=", host, ":", port, "topic", "trim", ""];
    assert!(bash(&line, &pieces, "").starts_with("orders prices "));
    assert_eq!(bash("weir consume -C here pr", &["weir", "consume", "-C", "here", "pr"], "pr"), "prices");
    assert_eq!(
        bash("weir consume or", &["weir", "consume", "or"], "or"),
        "",
        "the variable's broker is gone"
    );
    let line = "weir topic create x -c cleanup.policy=d";
    let pieces = ["weir", "topic", "create", "x", "-c", "cleanup.policy", "=", "d"];
    assert_eq!(bash(line, &pieces, "d"), "delete", "bash puts it in the place of d alone");
    let line = &line[..line.len() - 1];
    assert_eq!(bash(line, &pieces[..7], ""), "delete compact compact,delete");
}

#[test]
fn manual_pages_are_printed_and_written() {
    let served = Served::start();
    assert!(served.prints(&["man"]).contains(".TH WEIR 1 \"\" \"weir "));
    served.prints(&["man", "--dir", "man1"]);
    let page = std::fs::read_to_string(served.folder.path().join("man1/weir-topic-create.1")).unwrap();
    assert!(page.contains("weir topic create orders \\-p 6"), "{page}");
    assert!(served.folder.path().join("man1/weir-version.1").exists(), "hidden from a list, not from man");
}

#[test]
fn the_cheat_sheet_has_subjects() {
    let served = Served::start();
    let all = served.prints(&["cheat"]);
    let one = served.prints(&["cheat", "offsets"]);
    assert!(all.contains(&one) && one.starts_with("offsets\n  -o start"), "{one}");
    let none = served.run(&["cheat", "ofsets"]);
    assert_eq!(none.code, 2);
    assert!(none.err.contains("Did you mean 'offsets'? Known: start, topics"), "{}", none.err);
}

#[test]
fn help_shows_what_the_flag_shows() {
    let served = Served::start();
    assert_eq!(served.prints(&["help"]), served.prints(&["--help"]));
    assert_eq!(served.prints(&["help", "topic", "create"]), served.prints(&["topic", "create", "--help"]));
    assert!(served.prints(&["help", "topic", "trim", "-J"]).contains("\"long\":\"--to\""));
    assert_eq!(served.run(&["help", "nothing"]).code, 2);
    assert!(served.prints(&["version"]).starts_with("weir "));
}

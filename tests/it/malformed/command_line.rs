//! Command lines that make no sense, and input that is none.

use std::path::Path;
use std::process::{Command, Stdio};

use super::Target;

/// How a command ended.
pub(super) struct Run {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

/// Runs `weir` with nothing on its stdin.
pub(super) fn weir(folder: &Path, args: &[&str]) -> Run {
    weir_with(folder, args, "")
}

/// The same with input.
pub(super) fn weir_with(folder: &Path, args: &[&str], input: &str) -> Run {
    use std::io::Write;
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WEIR_")) {
        command.env_remove(name);
    }
    command.args(args).current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // WHY no unwrap: a command that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
}

/// Arguments, input, exit code, and what stderr must say.
type Row = (&'static [&'static str], &'static str, i32, &'static [&'static str]);

const ROWS: &[Row] = &[
    (&["consum", "good"], "", 2, &["'consum'", "consume"]),
    (&["consume"], "", 2, &["TOPIC"]),
    (&["consume", "good", "--nope"], "", 2, &["--nope"]),
    (&["consume", "good", "-o", "yesterday"], "", 2, &["'yesterday'", "-o"]),
    (&["consume", "good", "-o", "@yesterday"], "", 2, &["yesterday"]),
    (&["consume", "good", "-o", "5:3", "-e"], "", 2, &["-o", "'5:3' ends before it begins"]),
    (&["consume", "good", "-o", "1.5"], "", 2, &["'1.5'"]),
    (&["consume", "good", "-o", ""], "", 2, &["-o"]),
    (&["consume", "good", "-p", "x"], "", 2, &["'x'"]),
    (&["consume", "good", "-p", "-1", "-e"], "", 2, &["-1"]),
    (&["consume", "good", "-p", "7", "-e"], "", 1, &["7", "0 to 1", "PARTITION_NOT_FOUND"]),
    (&["consume", "good", "-n", "-1"], "", 2, &["-1"]),
    (&["consume", "good", "--tail", "-1"], "", 2, &["--tail", "-1"]),
    (
        &["consume", "good", "--idle-timeout", "5"],
        "",
        2,
        &["--idle-timeout", "'5' has no unit: write 5s or 5ms"],
    ),
    (&["consume", "good", "--timeout", "0s"], "", 2, &["--timeout", "above zero"]),
    (&["produce", "good", "x", "-X", "batch.bytes=1"], "", 2, &["batch.bytes is 1 B; give"]),
    (&["consume", "good", "-f", "%v{unpack[z]}"], "", 2, &["-f", "'z'", "known"]),
    (&["produce", "good", "-f", "%v{unpack[i]}"], "x\n", 2, &["-f", "unpack[] is printed, not read"]),
    (&["consume", "good", "-n", "many"], "", 2, &["'many'"]),
    (&["consume", "good", "-f", "%q"], "", 2, &["%q"]),
    (&["consume", "good", "-f", "%d{strftime[%"], "", 2, &["%d"]),
    (&["consume", "goof", "-e"], "", 1, &["'goof'", "Did you mean 'good'", "TOPIC_NOT_FOUND"]),
    (&["produce"], "", 2, &["TOPIC"]),
    (&["produce", "goof", "x"], "", 1, &["'goof'", "Did you mean 'good'", "TOPIC_NOT_FOUND"]),
    (&["produce", "good", "x", "-p", "9"], "", 1, &["9", "0 to 1", "PARTITION_NOT_FOUND"]),
    (&["produce", "good", "x", "-p", "x"], "", 2, &["'x'"]),
    (&["produce", "good", "x", "-a", "2"], "", 2, &["'2'", "all"]),
    (&["produce", "good", "x", "-z", "rar"], "", 2, &["'rar'", "zstd"]),
    (&["produce", "good", "x", "-H", "nokey"], "", 2, &["nokey"]),
    (&["produce", "good", "x", "-r", "0"], "", 2, &["0"]),
    (&["produce", "good", "-F", "none.ndjson"], "", 1, &["none.ndjson"]),
    (&["produce", "good", "-J"], "not json\n", 1, &["line 1"]),
    (&["produce", "good", "-J"], "{\"value\":\"x\"\n", 1, &["line 1"]),
    (&["produce", "good", "-J"], "[1]\n", 1, &["line 1"]),
    (&["produce", "good", "-J"], "{\"value\":{\"a\":1}}\n", 1, &["line 1", "'value'", "column 9"]),
    (
        &["produce", "good", "-J"],
        "{\"value\":\"%%%\",\"value_encoding\":\"base64\"}\n",
        1,
        &["line 1", "base64"],
    ),
    (&["produce", "good", "-J"], "{\"value\":\"x\",\"value_encoding\":\"rot13\"}\n", 1, &["line 1", "rot13"]),
    (&["produce", "good", "-J"], "{\"value\":\"x\",\"timestamp\":\"now\"}\n", 1, &["line 1", "column 30"]),
    (&["produce", "good", "-J"], "{\"value\":\"x\",\"partition\":7}\n", 1, &["line 1", "7", "--repartition"]),
    (&["produce", "good", "-J"], "{\"value\":\"x\",\"headers\":{}}\n", 1, &["line 1", "column 23"]),
    (&["topic"], "", 2, &["topic"]),
    (&["topic", "create"], "", 2, &["NAME"]),
    (&["topic", "create", "bad/name"], "", 1, &["'bad/name'", "INVALID_TOPIC"]),
    (&["topic", "create", "new", "-p", "0"], "", 2, &["0"]),
    (
        &["topic", "create", "new", "-c", "retention.mz=1d"],
        "",
        1,
        &["retention.mz", "retention.ms", "INVALID_CONFIG"],
    ),
    (&["topic", "create", "new", "-c", "retention.ms"], "", 2, &["KEY=VALUE"]),
    (&["topic", "create", "good"], "", 1, &["'good'", "TOPIC_EXISTS"]),
    (&["topic", "delete", "goof"], "", 1, &["'goof'", "Did you mean 'good'", "TOPIC_NOT_FOUND"]),
    (&["topic", "describe", "goof"], "", 1, &["'goof'", "TOPIC_NOT_FOUND"]),
    (&["topic", "trim", "good", "--to", "never"], "", 2, &["--to", "never"]),
    (&["topic", "trim", "good", "--to", "1", "-p", "8"], "", 1, &["8", "PARTITION_NOT_FOUND"]),
    (&["log", "segments", "goof"], "", 1, &["'goof'", "Did you mean 'good'", "TOPIC_NOT_FOUND"]),
    (&["log", "segments", "good:9"], "", 1, &["9", "0 to 1", "PARTITION_NOT_FOUND"]),
    (&["log", "segments", "good:x"], "", 2, &["good:x", "'x' is no partition"]),
    (&["log", "segments", "good", "-p", "-1"], "", 2, &["-1"]),
    (&["topic", "alter", "good", "-p", "1"], "", 1, &["'good'", "INVALID_PARTITIONS"]),
    (&["topic", "alter", "good"], "", 2, &["-c"]),
    (&["topic", "list", "-X", "nope=1"], "", 2, &["nope"]),
    (&["topic", "list", "-X", "nope=1", "-X", "linger.ms=x"], "", 2, &["'nope'", "-X linger.ms: 'x'"]),
    (&["topic", "list", "-X", "linger.ms=1", "-X", "linger.ms=2"], "", 2, &["-X linger.ms is given twice"]),
    (&["topic", "create", "new", "-c", "flush=os", "-c", "flush=ack"], "", 2, &["flush is given twice"]),
    (&["topic", "alter", "good", "-c", "flush=os", "-d", "flush"], "", 2, &["flush is given twice"]),
    (&["topic", "alter", "good", "-c", "a=1", "-d", "b"], "", 1, &["a: there is no", "b: there is no"]),
    (&["topic", "create", "new", "-c", "min.insync.replicas=2"], "", 1, &["1 copy of each partition"]),
    (
        &["topic", "create", "new", "-c", "file.delete.delay.ms=2"],
        "",
        1,
        &["files of deleted records go at once"],
    ),
    (&["topic", "create", "new", "-c", "retention.ms=5y"], "", 1, &["'5y'", "7d, or -1 for no limit"]),
    (&["topic", "create", "new", "-c", "flush.ms=5y"], "", 1, &["'5y'", "12h, 7d   ["]),
    (&["topic", "create", "new", "-c", "a\x1bb=1"], "", 1, &["a\\u{1b}b: there is no"]),
    (&["topic", "create", "new", "-p", "many"], "", 2, &["'many'", "a number of partitions, 1 to 10000"]),
    (&["topic", "trim", "good", "--to", "99999999"], "", 1, &["holds offsets 0 to", "give one of these   ["]),
    (&["consume", "good", "-p", "0-3"], "", 2, &["'0-3'", "several as 0,1,2"]),
    (&["consume", "nothing*", "-e"], "", 1, &["no topic matches 'nothing*'", "TOPIC_NOT_FOUND"]),
    (&["consume", "good", "--tail", "many"], "", 2, &["'many'", "a number of records"]),
    (&["produce", "good", "x", "-r", "fast"], "", 2, &["'fast'", "records a second"]),
    (&["log", "inspect", ".", "--from", "zz"], "", 2, &["'zz'", "an offset, 0 or more"]),
    (&["log", "inspect", "/dev/null"], "", 1, &["'/dev/null' is neither a file nor a folder"]),
    (&["serve", "--data-dir", "/etc/hosts", "--check"], "", 2, &["/etc/hosts is not a folder"]),
    (
        &["serve", "--data-dir", "/etc/hosts", "--listen", "127.0.0.1:0"],
        "",
        78,
        &["/etc/hosts is not a folder"],
    ),
    (&["context", "add", "a b"], "", 2, &["'a b' is no name", "a-z A-Z"]),
    (&["topic", "produce", "good", "x"], "", 2, &["weir produce TOPIC"]),
    (&["cluster", "info"], "", 2, &["weir cluster status"]),
    (&["\x1b[2J"], "", 2, &["'\\u{1b}[2J'"]),
    (&["topic", "list", "no\x1b[2J*"], "", 0, &["no topic matches 'no\\u{1b}[2J*'"]),
    (&["topic", "list", "--timeout", "soon"], "", 2, &["'soon'"]),
    (&["topic", "list", "-b", "host:port:x"], "", 2, &["host:port:x"]),
    (&["topic", "list", "-b", "127.0.0.1:1", "--timeout", "1s"], "", 3, &["127.0.0.1:1"]),
    (&["log", "verify"], "", 2, &["PATH"]),
    (&["log", "verify", "none"], "", 1, &["'none'"]),
    (&["log", "inspect", "."], "", 1, &["'.'"]),
    (&["serve", "extra"], "", 2, &["extra"]),
];

#[tokio::test]
async fn command_lines_are_refused_with_the_reason() {
    let target = Target::start().await;
    let (address, folder) = (target.broker.address(), target.folder.path().to_owned());
    let mut complaints = Vec::new();
    for (args, input, code, says) in ROWS {
        let with_address: Vec<&str> =
            if args.contains(&"-b") { args.to_vec() } else { [&["-b", &address], *args].concat() };
        let run = weir_with(&folder, &with_address, input);
        let missing = says.iter().find(|word| !run.err.contains(**word));
        let has_next_step = run.err.lines().count() > 0 && run.err.len() < 2_000;
        if run.code != *code || missing.is_some() || run.err.contains("panicked") || !has_next_step {
            complaints.push(format!(
                "weir {}: exit code {}, lacks {missing:?}: {}",
                args.join(" "),
                run.code,
                run.err
            ));
        }
    }
    assert!(complaints.is_empty(), "{} of {}:\n{}", complaints.len(), ROWS.len(), complaints.join("\n"));
    println!("malformed input, command line: {} inputs, each refused with the reason", ROWS.len());
    target.assert_unharmed().await;
}

//! Configuration of a broker: config file, environment, command line.

use super::command_line::{Run, weir};

/// What a config file holds.
const FILES: &[(&str, &str, &[&str])] = &[
    ("an unknown key", "memory.byts = \"1GiB\"\n", &["memory.byts", "Did you mean 'memory.bytes'"]),
    ("no TOML", "listen = \n", &["weir.toml", "line 1"]),
    ("a broken line behind a good one", "listen = \"127.0.0.1:0\"\n[memory\n", &["weir.toml", "line 2"]),
    ("a number for an address", "listen = 7070\n", &["listen"]),
    ("an address that is none", "listen = \"nowhere\"\n", &["listen", "'nowhere'"]),
    ("a size that is none", "memory.bytes = \"lots\"\n", &["memory.bytes", "'lots'"]),
    ("a size out of range", "memory.bytes = \"1\"\n", &["memory.bytes"]),
    ("a negative size", "memory.bytes = \"-5GiB\"\n", &["memory.bytes"]),
    ("a table for a value", "[listen]\nport = 1\n", &["listen.port"]),
    ("a list for a value", "memory.bytes = [1, 2]\n", &["memory.bytes"]),
    ("a key twice", "shards = 1\nshards = 2\n", &["weir.toml", "line 2"]),
    ("a topic's key", "retention.ms = \"7d\"\n", &["retention.ms"]),
];

/// What the command line says beside `serve`.
const FLAGS: &[(&str, &[&str], &[&str])] = &[
    ("an unknown key", &["-X", "memory.byts=1"], &["memory.byts", "memory.bytes"]),
    ("a setting without value", &["-X", "memory.bytes"], &["KEY=VALUE"]),
    ("a file that is not there", &["-c", "none.toml"], &["none.toml"]),
    ("a port that is none", &["--listen", "127.0.0.1:99999"], &["127.0.0.1:99999"]),
    ("an open address", &["--listen", "0.0.0.0:0"], &["--insecure-no-auth"]),
    ("an empty data directory", &["--data-dir", ""], &["data"]),
];

#[test]
fn settings_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut runs = Vec::new();
    for (name, text, says) in FILES {
        std::fs::write(folder.path().join("weir.toml"), text).unwrap();
        let run = weir(folder.path(), &["serve", "-c", "weir.toml", "--data-dir", "new"]);
        runs.push((*name, run, *says));
    }
    for (name, flags, says) in FLAGS {
        let data_dir: &[&str] = if flags.contains(&"--data-dir") { &[] } else { &["--data-dir", "new"] };
        runs.push((*name, weir(folder.path(), &[&["serve"], *flags, data_dir].concat()), *says));
    }
    let complaints: Vec<String> =
        runs.iter().filter_map(|(name, run, says)| refused(name, run, says)).collect();
    assert!(complaints.is_empty(), "{} of {}:\n{}", complaints.len(), runs.len(), complaints.join("\n"));
    assert!(!folder.path().join("new").exists(), "nothing was made");
    println!("malformed input, settings: {} inputs, each refused with the reason", runs.len());
}

#[test]
fn all_mistakes_of_a_config_file_are_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let text = "memory.byts = \"1GiB\"\nshards = \"many\"\nlisten = \"nowhere\"\n";
    std::fs::write(folder.path().join("weir.toml"), text).unwrap();
    let run = weir(folder.path(), &["serve", "-c", "weir.toml", "--data-dir", "new"]);
    assert_eq!(
        refused("three mistakes", &run, &["memory.byts", "shards", "'many'", "listen", "'nowhere'"]),
        None
    );
}

fn refused(name: &str, run: &Run, says: &[&str]) -> Option<String> {
    let Run { code, out, err } = run;
    let missing = says.iter().find(|word| !err.contains(**word));
    let is_wrong =
        !matches!(code, 2 | 78) || !out.is_empty() || err.contains("panicked") || missing.is_some();
    is_wrong.then(|| format!("{name}: exit code {code}, stdout '{out}', lacks {missing:?}: {err}"))
}

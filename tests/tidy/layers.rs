//! Who may import whom: the layer table, and the few files that may name certain outside crates.

use crate::source::Source;
use crate::{all_sources, assert_none};

/// Module and the modules that it may import; imports of itself are always right. Tests count like all other code.
pub(crate) const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("env", &["base"]),
    ("config", &["base"]),
    ("metrics", &["base"]),
    ("proto", &["base"]),
    ("record", &["base"]),
    ("log", &["base", "env", "config", "metrics", "record"]),
    ("replica", &["base", "env", "config", "metrics", "proto", "record", "log"]),
    ("cluster", &["base", "env", "config", "proto", "record", "log"]),
    ("coordinator", &["base", "record"]),
    (
        "broker",
        &["base", "env", "config", "metrics", "proto", "record", "log", "replica", "cluster", "coordinator"],
    ),
    ("api", &["base", "env", "config", "metrics", "proto", "record", "broker"]),
    ("client", &["base", "env", "proto", "record"]),
    ("bench", &["base", "env", "client"]),
    ("cli", &["base", "config", "client", "bench"]),
    ("main", &["cli"]),
    // The root re-exports what users of the library need.
    ("lib", &["base", "client", "config"]),
];

/// What single files of a module, and the folders of the same name, may import beyond its row.
pub(crate) const EXTRA: &[(&str, &[&str])] = &[
    // The machines themselves are pure.
    ("src/coordinator/runtime.rs", &["env", "config", "metrics", "proto", "replica"]),
    ("src/cli/bench.rs", &["env"]),
    ("src/cli/context.rs", &["env"]),
    ("src/cli/serve.rs", &["env", "broker", "api"]),
    ("src/cli/signals.rs", &["env"]),
    ("src/cli/stderr.rs", &["env"]),
    ("src/cli/demo.rs", &["env", "broker", "api"]),
    ("src/cli/log.rs", &["env", "log", "record", "broker"]),
];

/// A word of code, alone or before a `_`, and the files or folders that may hold it.
const FENCED: &[(&str, &[&str])] = &[
    ("tonic", &["src/proto/grpc.rs", "src/api/", "src/client/connection.rs", "src/bench/bare/"]),
    ("openraft", &[]),
    ("unsafe", &["src/env/mmap.rs", "src/env/socket.rs"]),
];

/// The module of `src` that a file belongs to.
fn module_of(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let first = inside.split('/').next().unwrap_or(inside);
    first.strip_suffix(".rs").unwrap_or(first)
}

fn layer_findings(source: &Source) -> Vec<String> {
    let module = module_of(&source.path);
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{}: module '{module}' has no row in the layer table", source.path)];
    };
    let inside = |file: &str| source.path == file || source.path.starts_with(&file.replace(".rs", "/"));
    let extra = EXTRA.iter().filter(|(file, _)| inside(file));
    let allowed: Vec<&str> = allowed.iter().chain(extra.flat_map(|(_, modules)| *modules)).copied().collect();
    let mut findings = Vec::new();
    for (line, target) in imports(source) {
        if target != module && is_module(&target) && !allowed.contains(&target.as_str()) {
            findings.push(format!("{}:{line}: {module} may not import {target}", source.path));
        }
    }
    findings
}

/// Names that are no modules are items of the crate root; the root may only re-export what its row allows.
fn is_module(name: &str) -> bool {
    LAYERS.iter().any(|(module, _)| *module == name)
}

/// Line and first name of each path that begins at the root: `crate::x`, `weir::x`, `super::…::x`, grouped or not.
fn imports(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let root = if source.path == "src/main.rs" { "weir" } else { "crate" };
    let root_file = source.path == "src/lib.rs";
    for (at, _) in source.code.match_indices("::") {
        let before = &source.code[..at];
        if !is_root(before, root, supers_to_root(&source.path)) {
            continue;
        }
        let line = 1 + before.matches('\n').count();
        found.extend(first_names(&source.code[at + 2..]).into_iter().map(|name| (line, name)));
    }
    if root_file {
        let uses = source.code.lines().enumerate().filter_map(|(index, line)| {
            let path = line.trim().strip_prefix("pub use ")?;
            Some((index + 1, first_word(path)))
        });
        found.extend(uses);
    }
    found
}

/// How many `super` lead from the top of a file to the crate root.
fn supers_to_root(path: &str) -> usize {
    let inside = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    let names = inside.split('/').filter(|name| *name != "mod").count();
    if matches!(inside, "lib" | "main") { 0 } else { names }
}

/// Whether the text ends with the path of the root: `crate`, or as many `super` as it takes, one more in an inner module.
fn is_root(before: &str, root: &str, supers: usize) -> bool {
    let path_letters = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    let path = before.rsplit(|letter: char| !path_letters(letter)).next().unwrap_or_default();
    let names: Vec<&str> = path.split("::").collect();
    let all_supers = supers > 0 && names.iter().all(|name| *name == "super");
    path.trim_start_matches("::") == root || (all_supers && names.len() >= supers)
}

/// The name that follows, or each first name of the group `{a::b, c}` that follows.
fn first_names(rest: &str) -> Vec<String> {
    let Some(group) = rest.strip_prefix('{') else { return vec![first_word(rest)] };
    let mut names = vec![first_word(group)];
    let mut depth = 0;
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(first_word(&group[at + 1..])),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn first_word(text: &str) -> String {
    let text = text.trim_start();
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

fn fence_findings(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    for (word, files) in
        FENCED.iter().filter(|(_, files)| !files.iter().any(|file| source.path.starts_with(file)))
    {
        for (index, line) in source.code.lines().enumerate() {
            if words(line).any(|found| found == *word || is_crate_of(found, word)) {
                findings.push(format!("{}:{}: only {files:?} may say {word}", source.path, index + 1));
            }
        }
    }
    findings
}

/// `tonic_health` belongs to `tonic`; `unsafe_code` is a lint and no word of its own kind.
fn is_crate_of(found: &str, word: &str) -> bool {
    word != "unsafe" && found.strip_prefix(word).is_some_and(|rest| rest.starts_with('_'))
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
}

#[test]
fn imports_go_downward_only() {
    assert_none(&all_sources().iter().flat_map(layer_findings).collect::<Vec<_>>());
}

#[test]
fn fenced_words_stay_in_their_files() {
    assert_none(&all_sources().iter().flat_map(fence_findings).collect::<Vec<_>>());
}

#[test]
fn the_table_has_no_cycle() {
    for (index, (module, allowed)) in LAYERS.iter().enumerate() {
        for target in *allowed {
            let row = LAYERS.iter().position(|(name, _)| name == target);
            assert!(
                row.is_some_and(|row| row < index),
                "{module} imports {target}, which is not above it in the table"
            );
        }
    }
}

#[test]
fn an_upward_import_is_found_in_every_spelling() {
    let bad = [
        ("src/base/x.rs", "use crate::log::Log;"),
        ("src/base/x.rs", "fn f() { crate::log::open() }"),
        ("src/base/x.rs", "use crate::{\n    base::ids,\n    log::{a, b},\n};"),
        ("src/log/x.rs", "use crate::{env::{Disk, File}, broker::X};"),
        ("src/base/x.rs", "use super::super::log;"),
        ("src/base/mod.rs", "use super::log;"),
        ("src/log/flush/x.rs", "use super::super::super::broker;"),
        ("src/base/x.rs", "mod tests { use super::super::super::log; }"),
        ("src/client/x.rs", "use crate::config::TopicConfig;"),
        ("src/coordinator/group/x.rs", "use crate::env::Clock;"),
        ("src/cli/topic.rs", "use crate::env::Env;"),
        ("src/cli/server.rs", "use crate::broker::Broker;"),
        ("src/main.rs", "use weir::broker::Broker;"),
        ("src/lib.rs", "pub use log::Log;"),
        ("src/shiny/x.rs", ""),
    ];
    for (path, text) in bad {
        assert_eq!(layer_findings(&Source::new(path, text)).len(), 1, "{path}: {text}");
    }
}

#[test]
fn a_downward_import_is_right() {
    let good = [
        ("src/log/x.rs", "use crate::base::Offset;\nuse crate::{env, config::TopicConfig};"),
        ("src/log/x.rs", "use super::marks; use super::super::base::ids; // crate::broker"),
        ("src/log/flush/x.rs", "use super::super::read; use crate::log::broker;"),
        ("src/cli/serve.rs", "use crate::broker::Broker;"),
        ("src/cli/demo/check.rs", "use crate::api::Listener;"),
        ("src/cli/mod.rs", "use super::client;"),
        ("src/coordinator/runtime.rs", "use crate::replica::Partition;"),
        ("src/main.rs", "use weir::cli;"),
        ("src/base/x.rs", "let text = \"crate::log\";"),
    ];
    for (path, text) in good {
        assert_none(&layer_findings(&Source::new(path, text)));
    }
}

#[test]
fn a_fenced_word_is_found_outside_its_files() {
    for (path, text) in [
        ("src/broker/x.rs", "use tonic::Status;"),
        ("src/env/clock.rs", "unsafe { x() }"),
        ("src/cluster/x.rs", "use openraft::Raft;"),
        ("src/cli/x.rs", "use tonic_types::ErrorDetails;"),
    ] {
        assert_eq!(fence_findings(&Source::new(path, text)).len(), 1, "{text}");
    }
    assert_none(&fence_findings(&Source::new("src/api/grpc/x.rs", "use tonic::Status; // unsafe")));
    assert_none(&fence_findings(&Source::new(
        "src/broker/x.rs",
        "#![allow(unsafe_code)] fn tonics() {} // tonic",
    )));
}

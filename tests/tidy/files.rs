//! Every source file begins with what it is about and is part of the build; no text names the machine it was written on.

use std::collections::BTreeSet;
use std::path::Path;

use crate::source::{Source, read_all, relative, root, walk};
use crate::{all_sources, assert_none};

/// Larger files are samples and golden bytes, not prose or code.
const TEXT_BYTES_MAX: u64 = 2 << 20;

/// The only registry that Cargo.lock may name.
const CRATES: &str = concat!("registry+https://github.com/rust-lang/", "crates.io-index");

fn doc_findings(source: &Source) -> Vec<String> {
    let begins = source.text.starts_with("//! ") && !source.text.starts_with("//! \n");
    if begins { Vec::new() } else { vec![format!("{}: does not begin with a line of //!", source.path)] }
}

/// Paths that `mod` lines of a file lead to; each may be `name.rs` or `name/mod.rs`.
fn children(source: &Source) -> Vec<[String; 2]> {
    let stem = source.path.trim_end_matches(".rs");
    let (folder, name) = stem.rsplit_once('/').unwrap_or(("", stem));
    let is_root = matches!(name, "mod" | "lib" | "main");
    let folder = if is_root { folder.to_owned() } else { stem.to_owned() };
    let named = source.code.lines().filter_map(|line| {
        let (before, after) = line.split_once("mod ")?;
        let is_item = before.trim().is_empty() || before.trim().starts_with("pub");
        let name = after.trim().strip_suffix(';')?;
        is_item.then(|| name.to_owned())
    });
    named.map(|name| [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")]).collect()
}

/// Files that no `mod` line of a root reaches. Roots are given by path.
fn dead_findings(sources: &[Source], roots: &[&str]) -> Vec<String> {
    let mut waiting: Vec<String> = roots.iter().map(|root| (*root).to_owned()).collect();
    let mut reached = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        let Some(source) = sources.iter().find(|source| source.path == path) else { continue };
        if reached.insert(path) {
            waiting.extend(children(source).into_iter().flatten());
        }
    }
    let dead = sources.iter().filter(|source| !reached.contains(&source.path));
    dead.map(|source| format!("{}: no mod line leads here", source.path)).collect()
}

/// What betrays the machine of an author. WHY in pieces: this file is read as well.
fn betrayals() -> [String; 7] {
    [
        concat!("/wo", "rk/").to_owned(),
        concat!("/ro", "ot/").to_owned(),
        concat!("/ho", "me/").to_owned(),
        concat!("sparse", "+http").to_owned(),
        concat!("replace", "-with =").to_owned(),
        concat!("proxy.go", "lang").to_owned(),
        concat!("pypi.org/", "simple").to_owned(),
    ]
}

fn betrayal_findings(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for word in betrayals().iter().filter(|word| line.contains(word.as_str())) {
            findings.push(format!("{path}:{}: says {word}", index + 1));
        }
        let other_registry = path == "Cargo.lock" && line.starts_with("source = ") && !line.contains(CRATES);
        if other_registry {
            findings.push(format!("{path}:{}: {line}", index + 1));
        }
    }
    findings
}

/// Folders at the top that are not part of the repository: git's own, and those that .gitignore names as `/name`.
fn left_out(ignore: &str) -> Vec<&str> {
    let ignored = ignore.lines().filter_map(|line| line.trim().strip_prefix('/'));
    ignored.map(|name| name.trim_end_matches('/')).chain([".git"]).collect()
}

#[test]
fn every_file_begins_with_what_it_is_about() {
    let tests = read_all("tests");
    assert_none(&all_sources().iter().chain(&tests).flat_map(doc_findings).collect::<Vec<_>>());
    assert_eq!(doc_findings(&Source::new("src/x.rs", "use a;\n")).len(), 1);
    assert_eq!(doc_findings(&Source::new("src/x.rs", "// A.\n")).len(), 1);
}

#[test]
fn no_file_is_dead() {
    assert_none(&dead_findings(&all_sources(), &["src/lib.rs", "src/main.rs"]));
    let tests = read_all("tests");
    let roots: Vec<&str> =
        tests.iter().map(|source| source.path.as_str()).filter(|path| path.ends_with("/main.rs")).collect();
    assert!(roots.len() >= 2, "{roots:?}");
    assert_none(&dead_findings(&tests, &roots));
}

#[test]
fn a_dead_file_is_found() {
    let sources = [
        Source::new("src/lib.rs", "pub mod a;\n// mod b;\n"),
        Source::new("src/a/mod.rs", "mod c;\n#[cfg(test)]\nmod tests;\n"),
        Source::new("src/a/c.rs", "pub(crate) mod d;\n"),
        Source::new("src/a/c/d.rs", ""),
        Source::new("src/a/tests.rs", ""),
        Source::new("src/b.rs", "mod e;"),
        Source::new("src/a/e.rs", ""),
    ];
    let dead = dead_findings(&sources, &["src/lib.rs"]);
    assert_eq!(dead.len(), 2, "{dead:?}");
    assert!(dead[0].starts_with("src/b.rs") && dead[1].starts_with("src/a/e.rs"), "{dead:?}");
}

#[test]
fn no_text_names_a_machine_or_a_registry() {
    let ignore = std::fs::read_to_string(root().join(".gitignore")).expect(".gitignore exists");
    let enter =
        |path: &Path| path.parent() != Some(&root()) || !left_out(&ignore).contains(&relative(path).as_str());
    let mut paths = Vec::new();
    walk(&root(), &enter, &mut paths);
    let mut findings = Vec::new();
    let mut texts = 0;
    for path in paths.iter().filter(|path| path.metadata().is_ok_and(|file| file.len() <= TEXT_BYTES_MAX)) {
        if let Ok(text) = std::fs::read_to_string(path) {
            texts += 1;
            findings.extend(betrayal_findings(&relative(path), &text));
        }
    }
    assert!(texts > 20, "the files are found");
    assert_none(&findings);
}

#[test]
fn a_machine_or_a_registry_is_found() {
    for word in betrayals() {
        assert_eq!(betrayal_findings("docs/x.md", &format!("see\n{word}x\n")).len(), 1, "{word}");
    }
    assert_none(&betrayal_findings("Cargo.lock", &format!("source = \"{CRATES}\"")));
    assert_eq!(
        betrayal_findings("Cargo.lock", "source = \"registry+https://mirror.example/index\"").len(),
        1
    );
    assert_eq!(left_out("/target\n/weir-dev/\n*.log\n"), ["target", "weir-dev", ".git"]);
}

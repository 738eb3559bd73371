//! Words that say nothing, as names or endings of types, functions and modules.

use crate::functions::declared_name;
use crate::source::Source;
use crate::{all_sources, assert_none};

const BANNED: &[&str] = &["data", "info", "manager", "helper", "helpers", "util", "utils", "impl"];

/// Names that others gave.
const FOREIGN: &[(&str, &str)] = &[
    ("sync_data", "the standard library's name for this very operation"),
    ("ConnectInfo", "tonic's name in its trait Connected"),
    ("connect_info", "tonic's name in its trait Connected"),
    ("type Data = Bytes;", "the name in the trait Body of http-body"),
];

/// The name that a line of code declares.
fn declared(line: &str) -> Option<String> {
    if let Some(name) = declared_name(line) {
        return Some(name);
    }
    let mut words =
        line.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')).filter(|w| !w.is_empty());
    loop {
        match words.next()? {
            "pub" | "crate" | "super" | "in" | "self" => {}
            "struct" | "enum" | "trait" | "type" | "mod" | "union" => return words.next().map(str::to_owned),
            _ => return None,
        }
    }
}

/// Whether the last word of a `CamelCase` or `snake_case` name is banned, or a 2 that tells one name from another; `u32`
/// and `v2` are words.
fn is_banned(name: &str) -> bool {
    let start = name.rfind(|letter: char| letter == '_' || letter.is_uppercase()).unwrap_or(0);
    let last = name[start..].trim_start_matches('_').to_lowercase();
    let second =
        last.strip_suffix('2').is_some_and(|word| word.len() > 1 && !word.ends_with(char::is_numeric));
    BANNED.contains(&last.as_str()) || (second && last != "murmur2")
}

fn name_findings(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    for (index, line) in source.code.lines().enumerate() {
        let Some(name) = declared(line) else { continue };
        let is_foreign = |foreign: &str| foreign == name || foreign == line.trim();
        if is_banned(&name) && !FOREIGN.iter().any(|(foreign, _)| is_foreign(foreign)) {
            findings.push(format!(
                "{}:{}: '{name}' ends with a word that says nothing",
                source.path,
                index + 1
            ));
        }
    }
    findings
}

#[test]
fn names_say_something() {
    assert_none(&all_sources().iter().flat_map(name_findings).collect::<Vec<_>>());
}

#[test]
fn an_empty_name_is_found() {
    for bad in [
        "pub struct TopicInfo {",
        "enum Data {",
        "    pub(crate) fn load_data(&self) {",
        "pub mod util;",
        "pub(super) trait LogManager: Send {",
        "struct DiskImpl;",
        "type ReadHelper = u8;",
        "type Data = Vec<u8>;",
        "fn append2() {",
    ] {
        assert_eq!(name_findings(&Source::new("src/x.rs", bad)).len(), 1, "{bad}");
    }
    for good in [
        "struct Metadata {",
        "fn sync_data(&self);",
        "impl X {",
        "let data = 1;",
        "pub fn murmur2(key: &[u8]) {",
        "mod v2;",
        "fn take_u32() {",
    ] {
        assert_none(&name_findings(&Source::new("src/x.rs", good)));
    }
}

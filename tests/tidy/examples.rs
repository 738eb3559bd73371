//! Every type that users of the client library name has an example, which the doc tests compile.

use crate::source::Source;
use crate::{all_sources, assert_none};

/// Files whose `pub use` lines say what users name.
const EXPORTS: &[&str] = &["src/lib.rs", "src/client/mod.rs"];
/// Where such a type may be declared.
const HOMES: &[&str] = &["src/client/", "src/base/", "src/record/"];

/// The types in the `pub use` lines of a file.
fn exported(source: &Source) -> Vec<String> {
    let uses = source.code.split(';').filter_map(|item| item.trim_start().strip_prefix("pub use "));
    let words = uses.flat_map(|names| names.split(|letter: char| !letter.is_alphanumeric()));
    words.filter(|word| word.starts_with(char::is_uppercase)).map(str::to_owned).collect()
}

/// Whether the doc comment of a type holds code; `None` where the file does not declare it.
fn has_example(source: &Source, name: &str) -> Option<bool> {
    let lines: Vec<&str> = source.text.lines().map(str::trim_start).collect();
    let declares = |line: &&str| {
        let rest = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "));
        let rest = rest.and_then(|rest| rest.strip_prefix(name));
        rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    };
    let at = lines.iter().position(declares)?;
    let above = lines[..at].iter().rev().take_while(|line| line.starts_with("///") || line.starts_with("#["));
    Some(above.into_iter().any(|line| line.starts_with("/// ```")))
}

fn findings(sources: &[Source]) -> Vec<String> {
    let homes: Vec<&Source> =
        sources.iter().filter(|source| HOMES.iter().any(|home| source.path.starts_with(home))).collect();
    let mut findings = Vec::new();
    for exporter in sources.iter().filter(|source| EXPORTS.contains(&source.path.as_str())) {
        for name in exported(exporter) {
            let seen: Vec<bool> = homes.iter().filter_map(|home| has_example(home, &name)).collect();
            match seen.contains(&true) {
                true => {}
                false if seen.is_empty() => findings.push(format!("{name}: no type of that name is found")),
                false => findings.push(format!("{name}: its doc comment has no example")),
            }
        }
    }
    findings
}

#[test]
fn every_type_of_the_client_has_an_example() {
    assert_none(&findings(&all_sources()));
    let sources = all_sources();
    let exporters = sources.iter().filter(|source| EXPORTS.contains(&source.path.as_str()));
    assert!(exporters.flat_map(exported).count() > 30, "the types are found");
}

#[test]
fn a_type_without_example_is_found() {
    let exports = Source::new("src/client/mod.rs", "pub use crate::a::{One, Two};\nuse b::Three;\n");
    let one = "/// One.\n///\n/// ```\n/// let x = 1;\n/// ```\n#[derive(Debug)]\npub struct One {\n";
    let two = "/// Two.\npub enum Two {\n/// ```\npub struct Twofold;\n";
    let sources = [exports, Source::new("src/client/a.rs", &format!("{one}}}\n{two}"))];
    assert_eq!(findings(&sources), ["Two: its doc comment has no example"]);
    assert_eq!(findings(&sources[..1]).len(), 2, "types that are nowhere");
}

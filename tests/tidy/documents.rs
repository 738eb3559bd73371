//! The documents follow the code: the import table, the code map, and every constant of a stored format.

use std::fmt::Write;

use crate::layers::{EXTRA, LAYERS};
use crate::source::{Source, root};
use crate::{all_sources, assert_none};

const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";
const FORMAT: &str = "docs/FORMAT.md";
/// The README stays below this.
const README_LINES_MAX: usize = 250;

/// Files and folders that write what is stored.
const FORMATS: &[&str] = &[
    "src/log/",
    "src/record/header.rs",
    "src/record/snappy.rs",
    "src/record/lz4.rs",
    "src/cluster/snapshot.rs",
    "src/cluster/metadata_log.rs",
    "src/cluster/command.rs",
    "src/broker/data_dir.rs",
    "src/coordinator/group/records/",
];

/// Constants of these files that no stored byte depends on: sizes of buffers, guards, steps, times.
const NOT_STORED: &[&str] = &[
    "SEALS_PER_ROUND",
    "VALUE_BYTES_MAX",
    "FOLLOWERS_MIN",
    "BODY_BYTES_MAX",
    "BUFFER_BYTES",
    "CANDIDATES_MAX",
    "COPY_BYTES",
    "EXPANSION_MAX",
    "IDLE_LOOK_MS",
    "INTERVALS_KEPT",
    "KEY_SLOT_BYTES",
    "LAZY",
    "LAZY_LOOK_MS",
    "LEAP_MS",
    "NAMES_BEFORE",
    "NAMES_SHOWN_MAX",
    "NOWHERE",
    "OPEN_FILES",
    "PAGE_BYTES",
    "PIECE_BYTES",
    "PUT_OFF_TOLD_MS",
    "READ_BYTES",
    "REPLAY_BYTES",
    "REST_MS",
    "ROOM_KEPT",
    "SCAN_BYTES",
    "SPACE_LOOK_MS",
    "URGENT",
    "WRITE_BYTES",
];

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Name and value of each constant, test modules left out.
fn constants(source: &Source) -> Vec<(String, String)> {
    let code = source.product_code();
    let text: Vec<&str> = source.text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let declared =
            line.trim_start_matches("pub").trim_start_matches("(super)").trim_start_matches("(crate)");
        let Some(rest) = declared.trim_start().strip_prefix("const ") else { continue };
        let Some((name, _)) = rest.split_once(':').filter(|(name, _)| !name.starts_with('_')) else {
            continue;
        };
        let lines = text[index..].iter().map(|line| line.trim());
        let last = lines.clone().position(|line| line.ends_with(';')).unwrap_or(0);
        let whole: Vec<&str> = lines.take(last + 1).collect();
        let whole = whole.join(" ");
        let value = whole.split_once(" = ").map_or("", |(_, value)| value);
        let value = value.trim_end_matches(';');
        found.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    found
}

/// The row of a constant in the table of docs/FORMAT.md.
fn row(path: &str, name: &str, value: &str) -> String {
    format!("| `{path}` | `{name}` | `{value}` |")
}

fn format_findings(sources: &[Source], document: &str) -> Vec<String> {
    let is_format = |path: &str| FORMATS.iter().any(|format| path.starts_with(format));
    let written = sources.iter().filter(|source| is_format(&source.path) && !source.is_test());
    let mut rows: Vec<String> = Vec::new();
    for source in written {
        let stored = constants(source).into_iter().filter(|(name, _)| !NOT_STORED.contains(&name.as_str()));
        rows.extend(stored.map(|(name, value)| row(&source.path, &name, &value)));
    }
    let shown: Vec<&str> = document.lines().filter(|line| line.starts_with("| `src/")).collect();
    let missing =
        rows.iter().filter(|row| !shown.contains(&row.as_str())).map(|row| format!("{FORMAT} lacks {row}"));
    let stale = shown.iter().filter(|line| !rows.iter().any(|row| row == *line));
    missing.chain(stale.map(|line| format!("{FORMAT} has, and the code has not: {line}"))).collect()
}

/// The import table as the document shows it.
fn import_table() -> String {
    let mut table = "| module | may import |\n|---|---|\n".to_owned();
    for (name, allowed) in LAYERS {
        let allowed = if allowed.is_empty() { "–".to_owned() } else { allowed.join(", ") };
        writeln!(table, "| {name} | {allowed} |").expect("text takes every write");
    }
    for (file, more) in EXTRA {
        writeln!(table, "| `{file}` | also {} |", more.join(", ")).expect("text takes every write");
    }
    table
}

/// The first sentence of a file, without links.
fn first_sentence(source: &Source) -> String {
    let lines = source.text.lines().map_while(|line| line.strip_prefix("//!"));
    let lines: Vec<&str> = lines.map(str::trim).take_while(|line| !line.is_empty()).collect();
    let text = lines.join(" ").replace("[`", "`").replace("`]", "`").replace("super::", "");
    let end = text.find(". ").unwrap_or(text.len());
    text[..end].trim_end_matches(['.', ':']).to_owned()
}

/// One line for each file that is no test, by module.
fn code_map(sources: &[Source]) -> String {
    let mut map = String::new();
    let mut module = "";
    for source in sources.iter().filter(|source| !source.is_test()) {
        let path = source.path.trim_start_matches("src/");
        let here = path.split_once('/').map_or("", |(module, _)| module);
        if here != module && !here.is_empty() {
            writeln!(map, "\n### {here}\n").expect("text takes every write");
        }
        module = here;
        writeln!(map, "- `{path}` – {}", first_sentence(source)).expect("text takes every write");
    }
    map.trim().to_owned() + "\n"
}

/// The document with the part between two marks replaced.
fn with_part(document: &str, name: &str, part: &str) -> String {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let start = document.find(&begin).unwrap_or_else(|| panic!("{ARCHITECTURE} lacks {begin}")) + begin.len();
    let stop = document.find(&end).unwrap_or_else(|| panic!("{ARCHITECTURE} lacks {end}"));
    format!("{}\n{part}\n{}", &document[..start], &document[stop..])
}

#[test]
#[allow(clippy::disallowed_methods)]
fn the_architecture_page_has_the_import_table_and_the_code_map() {
    let found = read(ARCHITECTURE);
    let page = with_part(&found, "import table", &import_table());
    let page = with_part(&page, "code map", &code_map(&all_sources()));
    if std::env::var_os("WEIR_BLESS").is_some() {
        std::fs::write(root().join(ARCHITECTURE), &page).expect("the document can be written");
        return;
    }
    assert!(
        found == page,
        "{ARCHITECTURE} differs from the code; run with WEIR_BLESS=1 to write these parts anew"
    );
}

#[test]
fn the_readme_can_be_read_at_a_sitting() {
    assert!(read("README.md").lines().count() < README_LINES_MAX);
}

#[test]
fn the_format_page_names_every_stored_constant() {
    assert_none(&format_findings(&all_sources(), &read(FORMAT)));
    let sources = all_sources();
    for name in NOT_STORED {
        let is_there = |source: &Source| constants(source).iter().any(|(constant, _)| constant == name);
        assert!(sources.iter().any(is_there), "{name} is on the list and does not exist");
    }
}

#[test]
fn a_constant_that_the_format_page_lacks_is_found() {
    let text =
        "const MAGIC: [u8; 4] = *b\"WEIR\";\npub const SLOT_BYTES: usize = 64;\nconst LONG: u8 =\n    7;\n";
    let source = Source::new("src/log/x.rs", text);
    let value = |name: &str| constants(&source).into_iter().find(|(n, _)| n == name).map(|(_, value)| value);
    assert_eq!(value("MAGIC").as_deref(), Some("*b\"WEIR\""));
    assert_eq!((value("SLOT_BYTES").as_deref(), value("LONG").as_deref()), (Some("64"), Some("7")));
    let sources = [source];
    let all = "| `src/log/x.rs` | `MAGIC` | `*b\"WEIR\"` |\n| `src/log/x.rs` | `SLOT_BYTES` | `64` |\n| `src/log/x.rs` | `LONG` | `7` |\n";
    assert_none(&format_findings(&sources, all));
    assert_eq!(format_findings(&sources, &all.replace("`64`", "`63`")).len(), 2);
}

#[test]
fn a_sentence_has_no_links_and_ends() {
    let source = Source::new("src/x.rs", "//! What [`super::Disk`] is:\n//! a disk. More.\n//!\n//! Else.\n");
    assert_eq!(first_sentence(&source), "What `Disk` is: a disk");
}

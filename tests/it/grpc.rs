//! `docs/reference/grpc.md` says what the proto files say. `WEIR_BLESS=1` writes it anew.

use std::fmt::Write;
use std::path::Path;

use crate::pages;
use crate::served::ROOT;

const HEAD: &str = "\
# gRPC

Made from the files in `proto/weir/v1` by `WEIR_BLESS=1 cargo test --test it grpc`; a test compares them. Change the files, not this page.
How errors travel, and what deviates from usual guidelines: [proto/README.md](../../proto/README.md). What each
reason means: [Errors](errors.md). What the words mean: [Glossary](../GLOSSARY.md).

Numbers of 64 bits are strings in JSON and JavaScript. `optional` tells absent from zero. A broker serves reflection, so `grpcurl` needs no
files: `grpcurl -plaintext 127.0.0.1:7070 list`.

";

/// The files, with the headings of those that have no service.
const FILES: &[(&str, &str)] = &[
    ("producer", ""),
    ("consumer", ""),
    ("group", ""),
    ("topic", ""),
    ("cluster", ""),
    ("storage", ""),
    ("record", "Records"),
    ("errors", "Errors"),
];

/// A service, message or enum.
#[derive(Debug, PartialEq)]
struct Item {
    kind: String,
    name: String,
    about: String,
    rows: Vec<Row>,
}

/// A call, field or value.
#[derive(Debug, PartialEq)]
struct Row {
    name: String,
    /// What a call takes, or the type of a field.
    takes: String,
    /// What a call gives, or the number of a field or value.
    gives: String,
    about: String,
}

/// A line such as `rpc Tail(TailRequest) returns (stream TailResponse);`.
fn call(line: &str, about: String) -> Option<Row> {
    let (name, rest) = line.strip_prefix("rpc ")?.split_once('(')?;
    let (takes, gives) = rest.strip_suffix(");")?.split_once(") returns (")?;
    Some(Row { name: name.into(), takes: takes.into(), gives: gives.into(), about })
}

/// A line such as `optional int64 offset = 4 [jstype = JS_STRING];` or `ACKS_ALL = 3;`.
fn field(line: &str, about: String) -> Option<Row> {
    let (left, right) = line.strip_suffix(';')?.split_once(" = ")?;
    let number = right.split(' ').next()?;
    let (takes, name) = left.rsplit_once(' ').unwrap_or(("", left));
    number.parse::<u32>().ok()?;
    Some(Row { name: name.into(), takes: takes.into(), gives: number.into(), about })
}

fn items(text: &str) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let (mut said, mut choice) = (Vec::new(), None);
    for line in text.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("//") {
            said.push(words.trim());
            continue;
        }
        let about = std::mem::take(&mut said).join(" ");
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            [""] | ["syntax" | "package" | "import", ..] => {}
            ["oneof", name, "{"] => choice = Some(name),
            ["}"] => choice = None,
            [kind @ ("service" | "message" | "enum"), name, "{" | "{}"] => {
                items.push(Item { kind: kind.into(), name: name.into(), about, rows: Vec::new() });
            }
            _ => {
                let about = choice.map_or_else(String::new, |name| format!("One of `{name}`. ")) + &about;
                let about = about.trim_end().to_owned();
                let row = call(line, about.clone()).or_else(|| field(line, about));
                let row = row.unwrap_or_else(|| panic!("this line is not understood: {line}"));
                items.last_mut().expect("an item is open").rows.push(row);
            }
        }
    }
    items
}

/// A type with a link where the page describes it.
fn linked(type_name: &str) -> String {
    if type_name.starts_with("map<") {
        return format!("`{type_name}`");
    }
    let (before, name) = type_name.rsplit_once(' ').unwrap_or(("", type_name));
    let before = before.replace("stream", "stream of");
    let name = if name.starts_with(char::is_uppercase) {
        format!("[{name}](#{})", name.to_lowercase())
    } else {
        format!("`{name}`")
    };
    format!("{before} {name}").trim().to_owned()
}

fn table(item: &Item, page: &mut String) {
    let (heading, marks) = match item.kind.as_str() {
        "service" => ("| call | takes | gives | |", "|---|---|---|---|"),
        "message" => ("| field | type | number | |", "|---|---|---:|---|"),
        _ => ("| value | number | |", "|---|---:|---|"),
    };
    if item.rows.is_empty() {
        page.push_str("It has no fields.\n\n");
        return;
    }
    writeln!(page, "{heading}\n{marks}").unwrap();
    for Row { name, takes, gives, about } in &item.rows {
        let cells = match item.kind.as_str() {
            "service" => format!("{} | {}", linked(takes), linked(gives)),
            "message" => format!("{} | {gives}", linked(takes)),
            _ => gives.clone(),
        };
        writeln!(page, "| `{name}` | {cells} | {about} |").unwrap();
    }
    page.push('\n');
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (name, heading) in FILES {
        let file = Path::new(ROOT).join(format!("proto/weir/v1/{name}.proto"));
        if !heading.is_empty() {
            writeln!(page, "## {heading}\n").unwrap();
        }
        for item in items(&std::fs::read_to_string(file).unwrap()) {
            let marks = if item.kind == "service" { "##" } else { "###" };
            writeln!(page, "{marks} {}\n", item.name).unwrap();
            if !item.about.is_empty() {
                writeln!(page, "{}\n", item.about).unwrap();
            }
            table(&item, &mut page);
        }
    }
    page.trim_end().to_owned() + "\n"
}

#[test]
fn the_page_of_the_grpc_interface_is_true() {
    pages::assert_is("docs/reference/grpc.md", &page(), "the proto files");
    let files = std::fs::read_dir(Path::new(ROOT).join("proto/weir/v1")).unwrap();
    assert_eq!(files.count(), FILES.len(), "every file is on the page");
}

#[test]
fn a_proto_file_is_read() {
    let text = "// File.\npackage weir.v1;\n\n// Does.\nservice S {\n  // Calls,\n  // long.\n  rpc A(B) returns (stream C);\n}\n\
                message B {}\nmessage C {\n  oneof d {\n    // E.\n    optional int64 e = 4 [jstype = JS_STRING];\n  }\n  map<string, string> f = 5;\n}\n";
    let row = |name: &str, takes: &str, gives: &str, about: &str| Row {
        name: name.into(),
        takes: takes.into(),
        gives: gives.into(),
        about: about.into(),
    };
    let read = items(text);
    assert_eq!(read.iter().map(|item| item.name.as_str()).collect::<Vec<_>>(), ["S", "B", "C"]);
    assert_eq!(
        (read[0].about.as_str(), &read[0].rows[..]),
        ("Does.", &[row("A", "B", "stream C", "Calls, long.")][..])
    );
    assert_eq!(read[2].rows[0], row("e", "optional int64", "4", "One of `d`. E."));
    assert_eq!(read[2].rows[1], row("f", "map<string, string>", "5", ""));
    assert_eq!(linked("map<string, string>"), "`map<string, string>`");
    assert_eq!(linked("stream C"), "stream of [C](#c)");
}

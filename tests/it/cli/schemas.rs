//! Every JSON document that a test of the command line sees is held against its schema in `docs/reference/json-schemas`.
//!
//! The check knows the part of JSON Schema 2020-12 that those files use, and refuses a file that uses more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::served::{ROOT, Served};

fn folder() -> PathBuf {
    Path::new(ROOT).join("docs/reference/json-schemas")
}

/// Checks what a command with `-J` printed: documents of commands, and records. Panics with what differs.
pub(crate) fn check_output(out: &str) {
    for line in out.lines().filter(|line| line.starts_with('{')) {
        let document: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let of_line = if document.get("base_offset").is_some() { "batch" } else { "record" };
        let command = document.get("command").and_then(Value::as_str).unwrap_or(of_line);
        let command = if document.get("error").is_some() { "failure" } else { command }.to_owned();
        let path = folder().join(format!("{}.json", file_of(&command)));
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let schema: Value = serde_json::from_str(&text).unwrap();
        let findings = findings(&schema, &schema, &document, "");
        assert!(findings.is_empty(), "weir {command}: {}\n{line}", findings.join("\n"));
    }
}

fn file_of(command: &str) -> String {
    command.replace(" --", "-").replace(' ', "-")
}

/// What of `value` does not fit `schema`, each with its place.
fn findings(root: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    let rules = schema.as_object().unwrap_or_else(|| panic!("{place}: a schema is an object"));
    let mut found = Vec::new();
    for (keyword, rule) in rules {
        let fits = match keyword.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" | "required" | "additionalProperties" => {
                true
            }
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/$defs/").expect("a local reference");
                found.extend(findings(root, &root["$defs"][name], value, place));
                true
            }
            "type" => has_type(value, rule.as_str().unwrap()),
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_i64().is_none_or(|number| number >= rule.as_i64().unwrap()),
            "pattern" => {
                assert_eq!(rule, "^[A-Z_]+$", "the only pattern that is known here");
                value.as_str().is_none_or(|text| {
                    !text.is_empty()
                        && text.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_')
                })
            }
            "anyOf" => {
                rule.as_array().unwrap().iter().any(|one| findings(root, one, value, place).is_empty())
            }
            "items" => {
                for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(findings(root, rule, item, &format!("{place}/{at}")));
                }
                true
            }
            "properties" => {
                if let Some(fields) = value.as_object() {
                    found.extend(field_findings(root, rules, fields, place));
                }
                true
            }
            other => panic!("the keyword {other} is not known here"),
        };
        if !fits {
            found.push(format!("{place}: {value} does not fit {keyword} {rule}"));
        }
    }
    found
}

fn field_findings(
    root: &Value,
    rules: &Map<String, Value>,
    fields: &Map<String, Value>,
    place: &str,
) -> Vec<String> {
    let properties = rules["properties"].as_object().unwrap();
    assert_eq!(rules["additionalProperties"], json!(false), "{place}: every field is named");
    let mut found = Vec::new();
    for name in rules["required"].as_array().unwrap() {
        if !fields.contains_key(name.as_str().unwrap()) {
            found.push(format!("{place}: {name} is missing"));
        }
    }
    for (name, value) in fields {
        match properties.get(name) {
            Some(schema) => found.extend(findings(root, schema, value, &format!("{place}/{name}"))),
            None => found.push(format!("{place}: {name} is not in the schema")),
        }
    }
    found
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the type {other} is not known here"),
    }
}

/// Command lines that print every document there is; `run` checks each against its schema.
const LINES: &[&str] = &[
    "topic create a b -p 2 -c retention.ms=1d -J",
    "topic create a 'bad' -J",
    "topic list -J",
    "topic list --internal -J",
    "topic describe a b -J",
    "topic describe a --section segments --section config -J",
    "topic alter a -c retention.ms=2d -p 3 -J",
    "topic config-keys -J",
    "topic trim a --to end --dry-run -J",
    "topic delete b nowhere -J",
    "consume a -o start -e -J",
    "consume a -g readers -e -J",
    "group list -J",
    "group describe readers -J",
    "group lag readers -J",
    "group reset-offsets readers --to start -J",
    "group delete-offsets readers -t a:0 -J",
    "group delete readers nobody -J",
    "serve --check --data-dir elsewhere -J",
    "serve --print-config -J",
    "context add local -J",
    "context add other -J",
    "context use other -J",
    "context list -J",
    "context show -J",
    "context use local -J",
    "context - -J",
    "context remove nowhere -J",
    "cheat -J",
    "man -J",
    "man --dir man1 -J",
    "completions bash -J",
    "demo --once --speed 100 -J",
    "help -J",
    "version -J",
    "nothing -J",
    "log verify weir-data -J",
    "log inspect weir-data/a-0 -J",
    "log segments a -p 0,9 -J",
    "cluster status -J",
    "cluster health -J",
    "top --once -J",
    "bench ceilings --duration 20ms -J",
    "bench produce --duration 50ms --warmup 50ms -J",
    "bench consume --duration 50ms --warmup 50ms --fill 1MiB -J",
    "bench latency --duration 50ms --warmup 50ms --rate lone -J",
    "bench e2e --duration 50ms --warmup 50ms -J",
];

#[test]
fn every_document_fits_its_schema_and_every_schema_has_a_document() {
    let served = Served::start();
    let mut seen = BTreeSet::from(["serve", "record", "batch"].map(str::to_owned));
    for line in LINES {
        let ran = served.run(&line.split(' ').collect::<Vec<_>>());
        assert!(
            ran.out.starts_with('{') || !line.ends_with("-J") || line.starts_with("consume"),
            "{line}: {ran:?}"
        );
        if line.starts_with("topic create a b") {
            let record = br#"{"key":"k","value":"/w==","value_encoding":"base64","headers":[{"key":"h","value":null}]}"#;
            assert_eq!(served.pipe(&["produce", "a", "-J"], record).code, 0);
        }
        for document in ran
            .out
            .lines()
            .filter(|line| line.starts_with('{'))
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
        {
            let is_failure = document.get("error").is_some();
            let command = document["command"].as_str();
            seen.extend(if is_failure { Some("failure".to_owned()) } else { command.map(file_of) });
        }
    }
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(seen, files, "documents seen, and schemas");
}

/// Every command with a line that works, a line that fails, and the exit code of that one. A broker has the topic `a`.
const EACH: &[(&str, &str, &str, i32)] = &[
    ("serve", "serve --check --data-dir elsewhere", "serve --listen nowhere", 2),
    ("demo", "demo --once --speed 100", "demo --speed 0", 2),
    ("topic create", "topic create b", "topic create a", 1),
    ("topic list", "topic list", "topic list -b 127.0.0.1:1 --timeout 1s", 3),
    ("topic describe", "topic describe a", "topic describe nowhere", 1),
    ("topic alter", "topic alter a -c flush=os", "topic alter a -c foo=1", 1),
    ("topic delete", "topic delete b", "topic delete nowhere", 1),
    ("topic trim", "topic trim a --to start", "topic trim nowhere --to 1", 1),
    ("topic config-keys", "topic config-keys", "topic config-keys foo", 1),
    ("produce", "produce a", "produce nowhere", 1),
    ("consume", "consume a -g h -e", "consume nowhere -e", 1),
    ("group list", "group list", "group list -b 127.0.0.1:1 --timeout 1s", 3),
    (
        "group reset-offsets",
        "group reset-offsets g --to start -t a --execute",
        "group reset-offsets g --to x",
        2,
    ),
    ("group describe", "group describe g", "group describe nobody", 1),
    ("group lag", "group lag g", "group lag nobody", 1),
    ("group delete-offsets", "group delete-offsets g -t a:0", "group delete-offsets nobody -t a", 1),
    ("group delete", "group delete h", "group delete nobody", 1),
    ("log inspect", "log inspect weir-data/a-0", "log inspect nowhere", 1),
    ("log verify", "log verify weir-data", "log verify nowhere", 1),
    ("log segments", "log segments a", "log segments nowhere", 1),
    ("cluster status", "cluster status", "cluster status -b 127.0.0.1:1 --timeout 1s", 3),
    ("cluster health", "cluster health", "cluster health --nope", 3),
    ("top", "top --once -d 10ms", "top --once -b 127.0.0.1:1 --timeout 1s", 3),
    ("bench ceilings", "bench ceilings --duration 20ms", "bench ceilings --duration 20ms --dir nowhere", 1),
    ("bench produce", "bench produce --duration 50ms --warmup 50ms", "bench produce -t nowhere", 1),
    ("bench consume", "bench consume --duration 50ms --warmup 50ms --fill 1MiB", "bench consume --fill 1", 2),
    ("bench latency", "bench latency --duration 50ms --warmup 50ms", "bench latency --rate max", 2),
    ("bench e2e", "bench e2e --duration 50ms --warmup 50ms", "bench e2e -b 127.0.0.1:1 --timeout 1s", 3),
    ("context add", "context add one", "context add \x1b[2J", 2),
    ("context use", "context use one", "context use nowhere", 1),
    ("context list", "context list", "context list extra", 2),
    ("context show", "context show one", "context show nowhere", 1),
    ("context remove", "context remove one", "context remove nowhere", 1),
    ("context -", "context -", "context - extra", 2),
    ("completions", "completions zsh", "completions tcsh", 2),
    ("man", "man", "man --dir /proc/nowhere", 1),
    ("cheat", "cheat", "cheat nowhere", 2),
    ("help", "help topic", "help nowhere", 2),
    ("version", "version", "version extra", 2),
];

/// The commands of the tree that have none below them.
fn commands(tree: &Value, path: &str, found: &mut BTreeSet<String>) {
    let below = tree["commands"].as_array().unwrap();
    if below.is_empty() {
        found.insert(path.to_owned());
    }
    for command in below {
        let name = command["name"].as_str().unwrap();
        commands(command, format!("{path} {name}").trim_start(), found);
    }
}

/// Whether an error with reason and message stands anywhere in a document.
fn tells_error(document: &Value) -> bool {
    match document {
        Value::Object(fields) => {
            let told = fields.get("error").is_some_and(|error| error["reason"].is_string());
            told || fields.values().any(tells_error)
        }
        Value::Array(items) => items.iter().any(tells_error),
        _ => false,
    }
}

#[test]
fn every_command_tells_success_and_failure_as_a_document() {
    let served = Served::start();
    served.prints(&["topic", "create", "a"]);
    let tree = served.prints(&["help", "-J"]);
    let mut all = BTreeSet::new();
    commands(&serde_json::from_str::<Value>(&tree).unwrap()["tree"], "", &mut all);
    let named: BTreeSet<String> = EACH.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(named, all, "commands of this table, and of the tree");
    // There has to be one before the one in use.
    served.prints(&["context", "add", "first"]);
    let run = |line: &str| served.run(&[&line.split(' ').collect::<Vec<_>>()[..], &["-J"]].concat());
    for (name, works, fails, code) in EACH {
        let good = run(works);
        assert_eq!(good.code, 0, "{works}: {good:?}");
        let is_stream = ["produce", "consume", "log inspect"].contains(name);
        assert!(
            is_stream || good.out.starts_with("{\"command\":") || good.out.contains("\"command\":"),
            "{works}: {good:?}"
        );
        let bad = run(fails);
        assert_eq!(bad.code, *code, "{fails}: {bad:?}");
        let last = bad.out.lines().last().unwrap_or_default();
        let document: Value =
            serde_json::from_str(last).unwrap_or_else(|error| panic!("{fails}: {error}: {bad:?}"));
        assert!(tells_error(&document) && document["command"] == *name, "{fails}: {bad:?}");
        assert!(bad.err.contains("error:") && !bad.err.contains('\x1b'), "{fails}: {bad:?}");
    }
    let yaml = served.run(&["topic", "lst", "--output", "yaml"]);
    assert!(yaml.out.starts_with("command: topic\nerror:\n  message: ") && yaml.code == 2, "{yaml:?}");
}

#[test]
fn a_copy_ends_with_the_failure_of_what_it_reads() {
    let served = Served::start();
    served.prints(&["topic", "create", "a"]);
    let failed = served.run(&["consume", "nowhere", "-J", "-e"]);
    let copy = served.pipe(&["produce", "a", "-J"], failed.out.as_bytes());
    assert_eq!(copy.code, 1, "{copy:?}");
    assert!(
        copy.err.contains("line 1: weir consume, which writes these lines, failed: topic 'nowhere'"),
        "{copy:?}"
    );
}

#[test]
fn what_does_not_fit_is_found() {
    let schema = json!({
        "type": "object",
        "properties": { "a": { "type": "integer", "minimum": 0 }, "b": { "anyOf": [{ "type": "null" }] } },
        "required": ["a"],
        "additionalProperties": false,
    });
    let count = |value: Value| findings(&schema, &schema, &value, "").len();
    assert_eq!(count(json!({ "a": 1, "b": null })), 0);
    for wrong in [
        json!({}),
        json!([]),
        json!({ "a": -1 }),
        json!({ "a": 1.5 }),
        json!({ "a": 1, "b": 2 }),
        json!({ "a": 1, "c": 2 }),
    ] {
        assert_eq!(count(wrong.clone()), 1, "{wrong}");
    }
}

#[test]
fn one_table_in_every_form() {
    let served = Served::start();
    served.prints(&["topic", "create", "orders", "-p", "2"]);
    let list = |form| served.prints(&["topic", "list", "--output", form]);
    assert_eq!(list("name"), "orders\n");
    assert!(
        list("plain").starts_with("orders\t2\t1\t0\t0\t0.0\tdelete\tok\t0.0\t604800000\tack\t"),
        "{}",
        list("plain")
    );
    assert!(list("wide").starts_with("NAME    PARTITIONS"), "{}", list("wide"));
    assert!(list("wide").contains("FLUSH") && !list("table").contains("FLUSH"));
    assert!(list("json").starts_with("{\"command\":\"topic list\","), "{}", list("json"));
    let keys = ["topic", "config-keys"];
    assert_eq!(
        served.prints(&[&keys[..], &["--output", "json"]].concat()),
        served.prints(&[&keys[..], &["-J"]].concat())
    );
    let yaml = list("yaml");
    assert!(yaml.starts_with("command: \"topic list\"\ntopics:\n  -\n"), "{yaml}");
    assert!(yaml.contains("\n    name: orders\n    partition_count: 2\n"), "{yaml}");
    assert_eq!(served.run(&["topic", "list", "--output", "xml"]).code, 2);
    assert_eq!(served.run(&["topic", "list", "--output", "name", "-J"]).code, 2);
    assert_eq!(served.run(&["consume", "orders", "--output", "yaml"]).code, 2);
    assert_eq!(served.run(&["produce", "orders", "--output", "yaml", "x"]).code, 2);
}

#[test]
fn colours_are_for_terminals_and_never_where_no_color_is_set() {
    let served = Served::start();
    let coloured = |arguments: &[&str]| served.run(arguments).err.contains('\x1b');
    assert!(!coloured(&["topic", "describe", "nowhere"]));
    assert!(coloured(&["topic", "describe", "nowhere", "--color", "always"]));
    assert!(!coloured(&["topic", "describe", "nowhere", "--color", "never"]));
    let output = served.weir(&["topic", "describe", "nowhere"]).env("NO_COLOR", "1").output().unwrap();
    assert!(!output.stderr.contains(&0x1b));
}

//! A JSON value as YAML: block style, strings quoted wherever a reader might take them for something else. Pure.

use serde_json::Value;

/// The value as a document.
pub fn write(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out.trim_start_matches('\n').to_owned()
}

/// Writes what stands behind a `:` or `-`: on the same line, or as lines of their own further in.
fn block(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            out.push('\n');
            for (name, value) in fields {
                indent(depth, out);
                out.push_str(&scalar(name));
                out.push(':');
                block(value, depth + 1, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            for item in items {
                indent(depth, out);
                out.push('-');
                block(item, depth + 1, out);
            }
        }
        Value::String(text) => line(&scalar(text), depth, out),
        other => line(&other.to_string(), depth, out),
    }
}

fn line(text: &str, depth: usize, out: &mut String) {
    if depth > 0 {
        out.push(' ');
    }
    out.push_str(text);
    out.push('\n');
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", depth));
}

/// A string as it is where no YAML reader could misread it, else as JSON writes it, which YAML reads too.
fn scalar(text: &str) -> String {
    let harmless = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '/' | '-');
    let is_word = text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.chars().all(harmless);
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"];
    if is_word && !reserved.contains(&text.to_ascii_lowercase().as_str()) {
        text.to_owned()
    } else {
        Value::String(text.to_owned()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_blocks() {
        let value = json!({
            "command": "topic list",
            "none": [],
            "topics": [{ "name": "orders", "records": 5, "configs": [{ "key": "a" }, 7] }, {}],
            "yes": "no",
            "version": 1,
        });
        assert_eq!(
            write(&value),
            "\
command: \"topic list\"
none: []
topics:
  -
    configs:
      -
        key: a
      - 7
    name: orders
    records: 5
  - {}
version: 1
\"yes\": \"no\"
"
        );
    }

    #[test]
    fn strings_that_could_be_misread_are_quoted() {
        for (text, written) in [
            ("orders", "orders"),
            ("retention.ms", "retention.ms"),
            ("604800000", "\"604800000\""),
            ("1.5", "\"1.5\""),
            ("-", "\"-\""),
            ("null", "\"null\""),
            ("Off", "\"Off\""),
            ("a: b", "\"a: b\""),
            ("", "\"\""),
            ("a\nb\u{7}", "\"a\\nb\\u0007\""),
        ] {
            assert_eq!(scalar(text), written);
        }
        assert_eq!(write(&json!("x")), "x\n");
    }
}

//! A record as one line of JSON and back, without loss. Pure.
//!
//! ```text
//! {"topic":"orders","partition":4,"offset":0,"timestamp":1767268801000,"timestamp_type":"create",
//!  "key":"u1","value":"{\"n\":1}","headers":[{"key":"src","value":"cli"}]}
//! ```
//! Bytes that are not UTF-8 are base64 (standard alphabet, padded) and say so in the field after them: `key_encoding`,
//! `value_encoding`, and a `value_encoding` in each header that needs one. `null` and `""` differ everywhere. Headers
//! keep their order and their duplicates; a record without timestamp has `null` there. Integers are exact up to 2^63 - 1; readers that keep numbers as doubles lose
//! digits above 2^53.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::output::{is_all_shown, shown_json};
use crate::client::{ConsumerRecord, TimestampType};

/// The word for base64 in `key_encoding` and `value_encoding`.
const BASE64_WORD: &str = "base64";

type Header = (String, Option<Bytes>);

/// A record in an input line: what is absent is chosen by the topic.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct InputRecord {
    /// The partition, when the line names one.
    pub partition: Option<i32>,
    /// Timestamp in ms, when the line has one.
    pub timestamp: Option<i64>,
    /// The key; `None` is null.
    pub key: Option<Bytes>,
    /// The value; `None` is null.
    pub value: Option<Bytes>,
    /// Headers in their order.
    pub headers: Vec<Header>,
}

#[derive(Serialize)]
struct LineOut<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
    timestamp_type: &'a str,
    key: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_encoding: Option<&'static str>,
    value: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_encoding: Option<&'static str>,
    headers: Vec<HeaderOut<'a>>,
}

#[derive(Serialize)]
struct HeaderOut<'a> {
    key: &'a str,
    value: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_encoding: Option<&'static str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineIn {
    #[serde(default, rename = "topic")]
    _topic: Option<String>,
    #[serde(default)]
    partition: Option<i32>,
    #[serde(default, rename = "offset")]
    _offset: Option<i64>,
    #[serde(default)]
    timestamp: Option<i64>,
    #[serde(default, rename = "timestamp_type")]
    _timestamp_type: Option<String>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    key_encoding: Option<String>,
    // WHY: `deserialize_with` makes the field required while null stays allowed: a line without a value is more likely a
    // mistake than a tombstone.
    #[serde(deserialize_with = "nullable")]
    value: Option<String>,
    #[serde(default)]
    value_encoding: Option<String>,
    #[serde(default)]
    headers: Option<Vec<HeaderIn>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderIn {
    key: String,
    #[serde(deserialize_with = "nullable")]
    value: Option<String>,
    #[serde(default)]
    value_encoding: Option<String>,
}

fn nullable<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

/// Appends `record` to `out` as one line with its newline.
pub fn write_line(record: &ConsumerRecord, out: &mut Vec<u8>) {
    let (key, key_encoding) = encode(record.key.as_deref());
    let (value, value_encoding) = encode(record.value.as_deref());
    let line = LineOut {
        topic: &record.topic,
        partition: record.partition,
        offset: record.offset,
        timestamp: Some(record.timestamp).filter(|timestamp| *timestamp >= 0),
        timestamp_type: if record.timestamp_type == TimestampType::Append { "append" } else { "create" },
        key,
        key_encoding,
        value,
        value_encoding,
        headers: record.headers.iter().map(header_out).collect(),
    };
    let from = out.len();
    serde_json::to_writer(&mut *out, &line)
        .expect("strings and numbers always serialise, and a vector takes all bytes");
    if !is_all_shown(&out[from..]) {
        let written = String::from_utf8(out.split_off(from)).expect("JSON is UTF-8");
        out.extend_from_slice(shown_json(&written).as_bytes());
    }
    out.push(b'\n');
}

fn header_out((key, value): &Header) -> HeaderOut<'_> {
    let (value, value_encoding) = encode(value.as_deref());
    HeaderOut { key, value, value_encoding }
}

fn encode(bytes: Option<&[u8]>) -> (Option<Cow<'_, str>>, Option<&'static str>) {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => (None, None),
        Some((_, Ok(text))) => (Some(Cow::Borrowed(text)), None),
        Some((bytes, Err(_))) => (Some(Cow::Owned(BASE64.encode(bytes))), Some(BASE64_WORD)),
    }
}

/// Reads one line. Topic, offset and timestamp type are accepted and ignored.
///
/// Errors: what is wrong with the line, without the line's number.
pub fn read_line(line: &[u8]) -> Result<InputRecord, String> {
    // WHY: serde would take an array as the fields in their order.
    if line.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err("not a JSON object: a line begins with {".to_owned());
    }
    let line: LineIn = serde_json::from_slice(line)
        .map_err(|error| failure_before(line).unwrap_or_else(|| in_words(line, &error)))?;
    if let Some(partition) = line.partition.filter(|partition| *partition < 0) {
        return Err(format!(
            "the field 'partition' is {partition}: give a partition of the topic, from 0, or leave it out"
        ));
    }
    if let Some(timestamp) = line.timestamp.filter(|timestamp| *timestamp < 0) {
        return Err(format!(
            "the field 'timestamp' is {timestamp}: give ms since 1970, null for none, or leave it out"
        ));
    }
    Ok(InputRecord {
        partition: line.partition,
        timestamp: line.timestamp,
        key: decode("key", line.key, line.key_encoding.as_deref())?,
        value: decode("value", line.value, line.value_encoding.as_deref())?,
        headers: (0..).zip(line.headers.unwrap_or_default()).map(header_in).collect::<Result<_, _>>()?,
    })
}

fn header_in((index, header): (usize, HeaderIn)) -> Result<Header, String> {
    let field = format!("headers[{index}].value");
    let value = decode(&field, header.value, header.value_encoding.as_deref())?;
    Ok((header.key, value))
}

fn decode(field: &str, text: Option<String>, encoding: Option<&str>) -> Result<Option<Bytes>, String> {
    match (text, encoding) {
        (None, None | Some(BASE64_WORD)) => Ok(None),
        (Some(text), None) => Ok(Some(Bytes::from(text))),
        (Some(text), Some(BASE64_WORD)) => match BASE64.decode(&text) {
            Ok(bytes) => Ok(Some(Bytes::from(bytes))),
            Err(error) => Err(format!("the field '{field}' is not base64: {error}")),
        },
        (_, Some(other)) => {
            Err(format!("the field '{field}' has the unknown encoding '{other}'; only base64 is known"))
        }
    }
}

/// The parser's words and the field that they are about. Its line number is always 1 and would contradict the line that the
/// caller names. Cost: reads the line again.
fn in_words(line: &[u8], error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or(&text);
    let column = error.column();
    if !error.is_data() {
        return format!("not a JSON object: {text} (column {column})");
    }
    // Words about a field of the line itself that is missing, unknown or there twice name it already.
    let field = field_of(line).filter(|field| field != "." && !text.contains(&format!("`{field}`")));
    let field = field.map_or_else(String::new, |field| format!("the field '{field}': "));
    format!("{field}{text} (column {column}); weir consume -J prints lines of the form that is read")
}

/// What the command says that writes these lines, where its last one tells why it failed.
fn failure_before(line: &[u8]) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(line).ok()?;
    let of = |field: &str| document.get("error")?.get(field)?.as_str();
    let (command, reason, message) = (document.get("command")?.as_str()?, of("reason")?, of("message")?);
    Some(format!("weir {command}, which writes these lines, failed: {message}   [{reason}]"))
}

/// Which field can't be read, such as `headers[0].value`; `.` for the line itself.
fn field_of(line: &[u8]) -> Option<String> {
    let mut reader = serde_json::Deserializer::from_slice(line);
    serde_path_to_error::deserialize::<_, LineIn>(&mut reader).err().map(|error| error.path().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> ConsumerRecord {
        ConsumerRecord {
            topic: "orders".into(),
            partition: 4,
            offset: 0,
            leader_epoch: 3,
            timestamp: 1_767_268_801_000,
            timestamp_type: TimestampType::Create,
            key: Some(Bytes::from_static(b"u1")),
            value: Some(Bytes::from_static(b"{\"n\":1}")),
            headers: vec![("src".to_owned(), Some(Bytes::from_static(b"cli")))],
        }
    }

    fn line(record: &ConsumerRecord) -> String {
        let mut out = Vec::new();
        write_line(record, &mut out);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn the_line_of_the_documentation() {
        assert_eq!(
            line(&record()),
            r#"{"topic":"orders","partition":4,"offset":0,"timestamp":1767268801000,"timestamp_type":"create","key":"u1","value":"{\"n\":1}","headers":[{"key":"src","value":"cli"}]}"#
                .to_owned()
                + "\n"
        );
    }

    #[test]
    fn what_is_not_utf8_carries_its_encoding_and_null_differs_from_empty() {
        let mut record = record();
        record.key = Some(Bytes::from_static(&[0xff, 0]));
        record.value = None;
        record.headers = vec![
            ("a".to_owned(), Some(Bytes::from_static(&[0x80]))),
            ("a".to_owned(), None),
            (String::new(), Some(Bytes::new())),
        ];
        let text = line(&record);
        assert!(text.contains(r#""key":"/wA=","key_encoding":"base64","value":null,"headers""#), "{text}");
        let headers = r#"[{"key":"a","value":"gA==","value_encoding":"base64"},{"key":"a","value":null},{"key":"","value":""}]"#;
        assert!(text.contains(headers), "{text}");
    }

    #[test]
    fn a_short_line_is_enough() {
        let read = read_line(br#"{"value":"x"}"#).expect("reads");
        let expected = InputRecord {
            partition: None,
            timestamp: None,
            key: None,
            value: Some(Bytes::from_static(b"x")),
            headers: vec![],
        };
        assert_eq!(read, expected);
        assert_eq!(read_line(br#"{"value":null,"key":""}"#).expect("reads").key, Some(Bytes::new()));
    }

    #[test]
    fn wrong_lines_say_what_is_wrong() {
        for (line, words) in [
            ("", "not a JSON object"),
            ("hello", "not a JSON object"),
            ("[1]", "not a JSON object"),
            ("{\"value\":\"x\"", "not a JSON object: EOF"),
            ("{\"value\":\"x\"} {}", "trailing characters"),
            ("{}", "missing field `value`"),
            ("{\"vlaue\":\"x\"}", "unknown field `vlaue`"),
            ("{\"value\":{\"n\":1}}", "the field 'value': invalid type: map, expected a string"),
            ("{\"value\":1}", "the field 'value': invalid type: integer `1`, expected a string (column 10)"),
            ("{\"value\":\"\",\"key\":[]}", "the field 'key': invalid type: sequence"),
            ("{\"value\":\"x\",\"offset\":\"1\"}", "the field 'offset': invalid type: string"),
            ("{\"value\":\"a\",\"value\":\"b\"}", "duplicate field `value`"),
            ("{\"value\":\"x\",\"partition\":-1}", "the field 'partition' is -1: give"),
            (
                "{\"value\":\"x\",\"partition\":3000000000}",
                "the field 'partition': invalid value: integer `3000000000`, expected i32",
            ),
            ("{\"value\":\"x\",\"timestamp\":-5}", "the field 'timestamp' is -5: give"),
            (
                "{\"value\":\"x\",\"value_encoding\":\"hex\"}",
                "the field 'value' has the unknown encoding 'hex'",
            ),
            ("{\"value\":\"?\",\"value_encoding\":\"base64\"}", "the field 'value' is not base64"),
            (
                "{\"value\":\"x\",\"headers\":[{\"key\":\"a\"}]}",
                "the field 'headers[0]': missing field `value`",
            ),
            (
                "{\"value\":\"x\",\"headers\":[{\"key\":\"a\",\"value\":\"\"},{\"key\":1,\"value\":\"\"}]}",
                "the field 'headers[1].key': invalid type: integer `1`",
            ),
            (
                "{\"value\":\"x\",\"headers\":[{\"key\":\"a\",\"value\":\"?\",\"value_encoding\":\"base64\"}]}",
                "the field 'headers[0].value' is not base64",
            ),
            (
                "{\"value\":\"x\",\"headers\":{\"a\":\"b\"}}",
                "the field 'headers': invalid type: map, expected a sequence",
            ),
        ] {
            let error = read_line(line.as_bytes()).expect_err(line);
            assert!(error.contains(words), "{line}: {error}");
            assert!(!error.contains("line 1"), "{line}: {error}");
        }
        assert!(read_line(b"{\"value\":\"\xff\"}").is_err());
        let failed =
            br#"{"command":"consume","error":{"message":"gone","reason":"UNAVAILABLE"},"version":1}"#;
        assert!(read_line(failed).expect_err("no record").ends_with("failed: gone   [UNAVAILABLE]"));
    }

    fn some_bytes() -> impl Strategy<Value = Option<Bytes>> {
        let raw = proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
        let text = any::<String>().prop_map(Bytes::from);
        proptest::option::of(prop_oneof![raw, text, Just(Bytes::new())])
    }

    proptest! {
        #[test]
        fn any_record_goes_through_a_line_unchanged(
            (partition, offset, timestamp) in (0..i32::MAX, 0..i64::MAX, 0..i64::MAX),
            (key, value) in (some_bytes(), some_bytes()),
            headers in proptest::collection::vec(("[ab]?|.*", some_bytes()), 0..6),
        ) {
            let headers: Vec<_> = headers.into_iter().collect();
            let record = ConsumerRecord {
                topic: "t".into(), partition, offset, leader_epoch: 0, timestamp, timestamp_type: TimestampType::Append, key, value, headers,
            };
            let text = line(&record);
            prop_assert_eq!(text.matches('\n').count(), 1);
            let read = read_line(text.trim_end_matches('\n').as_bytes()).expect("own lines are read");
            prop_assert_eq!(read.partition, Some(record.partition));
            prop_assert_eq!(read.timestamp, Some(record.timestamp));
            prop_assert_eq!(read.key, record.key);
            prop_assert_eq!(read.value, record.value);
            prop_assert_eq!(read.headers, record.headers);
        }

        #[test]
        fn no_line_makes_it_panic(line in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = read_line(&line);
        }
    }
}

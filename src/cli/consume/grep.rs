//! Which records `--grep` lets through. Pure.
//!
//! ```text
//! k:RE   the key     v:RE   the value     t:RE   the topic     h:NAME=RE   a header of that name     !…   not
//! ```
//! A regular expression is looked for anywhere in the bytes; `^` and `$` tie it to their ends. A null matches nothing.

use regex::bytes::Regex;

use crate::client::ConsumerRecord;

/// One condition.
#[derive(Clone, Debug)]
pub struct Pattern {
    part: Part,
    regex: Regex,
    /// Whether the part must match.
    wanted: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Key,
    Value,
    Topic,
    Header(String),
}

impl Pattern {
    /// Reads a condition. Errors: what it should look like, or what is wrong with the expression.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (wanted, rest) = match text.strip_prefix('!') {
            Some(rest) => (false, rest),
            None => (true, text),
        };
        let forms = "it takes k:RE, v:RE, h:NAME=RE or t:RE, with ! before it for records that do not match";
        let (part, expression) = match rest.split_once(':') {
            Some(("k", expression)) => (Part::Key, expression),
            Some(("v", expression)) => (Part::Value, expression),
            Some(("t", expression)) => (Part::Topic, expression),
            Some(("h", rest)) => match rest.split_once('=') {
                Some((name, expression)) if !name.is_empty() => (Part::Header(name.to_owned()), expression),
                _ => return Err("h: needs a name: h:NAME=RE".to_owned()),
            },
            _ => return Err(forms.to_owned()),
        };
        let regex = Regex::new(expression).map_err(|error| reason(&error))?;
        Ok(Self { part, regex, wanted })
    }

    /// Whether a record fulfils the condition.
    pub(super) fn lets(&self, record: &ConsumerRecord) -> bool {
        let matches = |bytes: &[u8]| self.regex.is_match(bytes);
        let found = match &self.part {
            Part::Key => record.key.as_deref().is_some_and(matches),
            Part::Value => record.value.as_deref().is_some_and(matches),
            Part::Topic => matches(record.topic.as_bytes()),
            Part::Header(name) => {
                let mut named = record.headers.iter().filter(|(key, _)| key == name);
                named.any(|(_, value)| value.as_deref().is_some_and(matches))
            }
        };
        found == self.wanted
    }
}

/// The last line of the message: the ones before it draw the expression.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    format!("not a regular expression: {}", last.trim_start_matches("error: "))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::client::TimestampType;

    fn record() -> ConsumerRecord {
        ConsumerRecord {
            topic: "orders".into(),
            partition: 0,
            offset: 0,
            leader_epoch: 0,
            timestamp: 0,
            timestamp_type: TimestampType::Create,
            key: None,
            value: Some(Bytes::from_static(b"a=b \xff paid")),
            headers: vec![
                ("src".to_owned(), Some(Bytes::from_static(b"cli"))),
                ("src".to_owned(), Some(Bytes::from_static(b"x=y"))),
                ("none".to_owned(), None),
            ],
        }
    }

    #[test]
    fn each_part_is_looked_at() {
        for (text, expected) in [
            ("v:paid", true),
            ("v:^paid", false),
            ("!v:^paid", true),
            ("v:(?-u)\\xff", true),
            ("k:", false),
            ("!k:", true),
            ("t:^ord", true),
            ("!t:^ord", false),
            ("h:src=^cli$", true),
            ("h:src=x=y", true),
            ("h:src=nothing", false),
            ("h:none=", false),
            ("h:absent=", false),
            ("!h:absent=", true),
        ] {
            assert_eq!(Pattern::parse(text).expect(text).lets(&record()), expected, "{text}");
        }
    }

    #[test]
    fn wrong_conditions_say_what_would_do() {
        for (text, words) in [
            ("paid", "it takes k:RE"),
            ("x:paid", "it takes k:RE"),
            ("h:paid", "h:NAME=RE"),
            ("h:=paid", "h:NAME=RE"),
            ("v:(", "not a regular expression: unclosed group"),
            ("", "it takes k:RE"),
        ] {
            let error = Pattern::parse(text).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}

//! A line into a record. Pure.

use std::sync::Arc;

use bytes::Bytes;

use super::args::ProduceArgs;
use super::input::{Line, Unit};
use crate::base::Error;
use crate::cli::exit::{Failure, no_partition};
use crate::cli::format::{InputFormat, unescape};
use crate::cli::json::{InputRecord, read_line};
use crate::client::Record;

/// How lines become records.
#[derive(Debug)]
pub(super) struct Parser {
    topic: Arc<str>,
    partition_count: i32,
    partition: Option<i32>,
    headers: Vec<(String, Option<Bytes>)>,
    /// Key of records whose line has none.
    key: Option<Bytes>,
    /// Whether an empty key or value is null.
    empty_is_null: bool,
    form: Form,
    unit: Unit,
}

#[derive(Debug)]
enum Form {
    /// The line is the value.
    Value,
    /// Key, separator, value.
    Keyed { separator: Vec<u8> },
    /// As the format says.
    Formatted(InputFormat),
    /// A JSON object.
    Json { repartition: bool },
}

impl Parser {
    /// As the arguments say, for a topic of so many partitions.
    ///
    /// Errors: an argument that makes no sense, named.
    pub(super) fn new(args: &ProduceArgs, json: bool, partition_count: i32) -> Result<Self, String> {
        let form = match (&args.key_separator, &args.format) {
            _ if json => Form::Json { repartition: args.repartition },
            (Some(separator), _) => Form::Keyed { separator: separator_bytes("-K", separator)? },
            (None, Some(format)) => Form::Formatted(
                InputFormat::parse(format, &delimiter(args)?).map_err(|error| format!("-f: {error}"))?,
            ),
            (None, None) => Form::Value,
        };
        Ok(Self {
            topic: args.topic.as_str().into(),
            partition_count,
            partition: args.partition,
            headers: args
                .headers
                .iter()
                .map(|(key, value)| (key.clone(), Some(value.clone().into())))
                .collect(),
            key: args.key.clone().map(Bytes::from),
            empty_is_null: args.null,
            form,
            unit: Unit::of(args),
        })
    }

    /// Errors: `-p` names a partition that the topic does not have.
    pub(super) fn check_chosen(&self) -> Result<(), Error> {
        self.partition.map_or(Ok(()), |partition| self.check(partition))
    }

    /// The record of a line; none for a blank line among JSON lines. Errors: the line's number and what is wrong; PARTITION_NOT_FOUND.
    pub(super) fn record(&self, line: &Line) -> Result<Option<Record>, Failure> {
        if matches!(self.form, Form::Json { .. }) && line.text.trim_ascii().is_empty() {
            return Ok(None);
        }
        let mut record = Record::to(self.topic.clone());
        record.partition = self.partition;
        match &self.form {
            Form::Value => record.value = Some(line.text.clone()),
            Form::Keyed { separator } => {
                let at = find(&line.text, separator)
                    .ok_or_else(|| Failure::failed(self.no_separator(line, separator)))?;
                record.key = Some(line.text.slice(..at));
                record.value = Some(line.text.slice(at + separator.len()..));
            }
            Form::Formatted(format) => {
                let read = format.read(&line.text).map_err(|error| self.unreadable(line, error))?;
                self.fill(&mut record, read).map_err(|error| self.at(line, error, ""))?;
            }
            Form::Json { repartition } => {
                let mut read = read_line(&line.text).map_err(|error| self.unreadable(line, error))?;
                read.partition = read.partition.filter(|_| !repartition);
                let advice = "; --repartition lets the key choose";
                self.fill(&mut record, read).map_err(|error| self.at(line, error, advice))?;
            }
        }
        if self.empty_is_null {
            record.key = record.key.filter(|key| !key.is_empty());
            record.value = record.value.filter(|value| !value.is_empty());
        }
        record.key = record.key.or_else(|| self.key.clone());
        record.headers.extend(self.headers.iter().cloned());
        Ok(Some(record))
    }

    fn fill(&self, record: &mut Record, read: InputRecord) -> Result<(), Error> {
        if let Some(partition) = read.partition {
            self.check(partition)?;
            record.partition = Some(partition);
        }
        record.timestamp = read.timestamp;
        record.key = read.key;
        record.value = read.value;
        record.headers = read.headers;
        Ok(())
    }

    /// A line that can't be read.
    fn unreadable(&self, line: &Line, error: String) -> Failure {
        Failure::failed(format!("{}: {error}", self.unit.place(line.number)))
    }

    /// A line that is readable and asks for what can't be.
    fn at(&self, line: &Line, mut error: Error, advice: &str) -> Failure {
        error.message = format!("{}: {}{advice}", self.unit.place(line.number), error.message);
        error.into()
    }

    fn check(&self, partition: i32) -> Result<(), Error> {
        match partition < self.partition_count {
            true => Ok(()),
            false => Err(no_partition(&self.topic, partition, self.partition_count.unsigned_abs() as usize)),
        }
    }

    fn no_separator(&self, line: &Line, separator: &[u8]) -> String {
        let separator = String::from_utf8_lossy(separator);
        format!(
            "{}: no key separator {separator:?} (-K); without -K all of it is a value without key",
            self.unit.place(line.number)
        )
    }
}

/// What ends a record in the input; nothing where the whole input is one. Errors: usage.
pub(super) fn delimiter(args: &ProduceArgs) -> Result<Vec<u8>, String> {
    match &args.delimiter {
        _ if args.whole => Ok(Vec::new()),
        Some(delimiter) => separator_bytes("-D", delimiter),
        None => Ok(vec![b'\n']),
    }
}

fn separator_bytes(flag: &str, text: &str) -> Result<Vec<u8>, String> {
    match unescape(text) {
        Ok(bytes) if bytes.is_empty() => Err(format!("{flag}: the separator is empty")),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(format!("{flag}: {error}")),
    }
}

fn find(text: &[u8], separator: &[u8]) -> Option<usize> {
    text.windows(separator.len()).position(|window| window == separator)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::base::ErrorKind;
    use crate::cli::args::{Cli, Command};

    fn parser(arguments: &[&str]) -> Result<Parser, String> {
        let words = ["weir", "produce", "t"].iter().chain(arguments);
        let cli = Cli::try_parse_from(words).expect("arguments parse");
        let Command::Produce(args) = cli.command else { panic!("not produce") };
        Parser::new(&args, cli.global.json, 3)
    }

    fn record(arguments: &[&str], text: &'static str) -> Result<Record, String> {
        let line = Line { number: 7, text: Bytes::from_static(text.as_bytes()) };
        let read = parser(arguments)?.record(&line).map_err(|failure| failure.in_words())?;
        Ok(read.expect("no blank line"))
    }

    #[test]
    fn a_line_is_a_value() {
        let read = record(&["-k", "u1", "-H", "a=1", "-H", "a=", "-p", "2"], "x:y").expect("reads");
        let expected = Record::to("t").key("u1").value("x:y").header("a", "1").header("a", "").partition(2);
        assert_eq!(read, expected);
        assert_eq!(record(&[], "").expect("reads"), Record::to("t").value(""));
    }

    #[test]
    fn the_first_separator_ends_the_key() {
        assert_eq!(
            record(&["-K:"], "u1:{\"n\":1}").expect("reads"),
            Record::to("t").key("u1").value("{\"n\":1}")
        );
        assert_eq!(record(&["-K", "\\t"], "a\tb\tc").expect("reads"), Record::to("t").key("a").value("b\tc"));
        assert_eq!(record(&["-K", "=>"], "=>").expect("reads"), Record::to("t").key("").value(""));
        let error = record(&["-K:"], "plain").expect_err("no separator");
        assert!(error.starts_with("line 7: no key separator \":\""), "{error}");
        assert!(record(&["-K", ""], "x").expect_err("empty").contains("-K"));
    }

    #[test]
    fn with_z_what_is_empty_is_null() {
        assert_eq!(record(&["-Z"], "").expect("reads"), Record::to("t"));
        assert_eq!(record(&["-Z", "-K:"], ":v").expect("reads"), Record::to("t").value("v"));
        assert_eq!(record(&["-Z", "-K:"], "k:").expect("reads"), Record::to("t").key("k"));
        assert_eq!(record(&["-K:"], ":").expect("reads"), Record::to("t").key("").value(""));
        assert_eq!(record(&["-Z", "-f", "%k=%v"], "=v").expect("reads"), Record::to("t").value("v"));
        let keyed = record(&["-Z", "-f", "%k=%v", "-k", "always"], "=v").expect("reads");
        assert_eq!(keyed, Record::to("t").key("always").value("v"));
    }

    #[test]
    fn a_format_takes_lines_apart() {
        let read = record(&["-f", "%p %d %k=%v\\n"], "2 77 a=b").expect("reads");
        assert_eq!(read, Record::to("t").partition(2).timestamp(77).key("a").value("b"));
        let error = record(&["-f", "%p %v"], "9 x").expect_err("no such partition");
        assert!(error.starts_with("line 7: topic 't' has no partition 9"), "{error}");
        assert!(error.ends_with("[PARTITION_NOT_FOUND]"), "{error}");
        let error = record(&["-f", "%k=%v"], "plain").expect_err("no separator");
        assert!(error.starts_with("line 7: byte 1: \"=\" expected"), "{error}");
        assert!(parser(&["-f", "%k%v"]).expect_err("not readable").starts_with("-f: two verbs"));
    }

    #[test]
    fn json_lines_keep_their_partition_unless_told() {
        let line = r#"{"topic":"other","partition":2,"offset":99,"timestamp":5,"key":"k","value":null,"headers":[{"key":"h","value":null}]}"#;
        let read = record(&["-J"], line).expect("reads");
        assert_eq!((read.topic.as_ref(), read.partition, read.timestamp), ("t", Some(2), Some(5)));
        assert_eq!((read.value, read.headers), (None, vec![("h".to_owned(), None)]));
        assert_eq!(record(&["-J", "--repartition"], line).expect("reads").partition, None);
        let blank = Line { number: 1, text: Bytes::from_static(b" \r") };
        assert!(matches!(parser(&["-J"]).expect("parses").record(&blank), Ok(None)));
        let added = record(&["-J", "-H", "x=y"], line).expect("reads");
        assert_eq!(added.headers.len(), 2);
    }

    #[test]
    fn errors_name_the_line() {
        let error = record(&["-J"], r#"{"partition":3,"value":"x"}"#).expect_err("out of range");
        assert!(
            error.starts_with("line 7: topic 't' has no partition 3; its partitions are 0 to 2"),
            "{error}"
        );
        assert!(error.ends_with("; --repartition lets the key choose   [PARTITION_NOT_FOUND]"), "{error}");
        assert!(record(&["-J", "--repartition"], r#"{"partition":3,"value":"x"}"#).is_ok());
        assert!(record(&["-J"], "nonsense").expect_err("no JSON").starts_with("line 7: not a JSON object"));
        let error = parser(&["-p", "3"]).expect("parses").check_chosen().expect_err("out of range");
        assert_eq!(error.kind, ErrorKind::PartitionNotFound);
        assert!(parser(&["-p", "2"]).expect("parses").check_chosen().is_ok());
    }
}

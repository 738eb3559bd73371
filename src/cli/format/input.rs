//! The same formats read backwards: `produce -f` takes lines apart by them. Pure.
//!
//! What stands between two verbs separates them, so there must be something; the last verb takes the rest of the line.
//! `%t`, `%o` and `%e` are read and ignored, as in JSON lines: where a record goes is chosen anew. Headers need their
//! number first: `%H %h{%k=%v,}`.

use bytes::Bytes;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use super::{BASE64, Form, Format, Piece};
use crate::cli::json::InputRecord;
use base64::Engine;

/// A format that lines are read by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InputFormat {
    pieces: Vec<Piece>,
}

impl InputFormat {
    /// Compiles `text`, for lines from which `end` was taken off: a format that ends with it reads the same lines.
    ///
    /// Errors: what can't be read back, and what would do.
    pub fn parse(text: &str, end: &[u8]) -> Result<Self, String> {
        let mut pieces = Format::parse(text)?.pieces;
        if let Some(Piece::Literal(last)) = pieces.last_mut()
            && last.ends_with(end)
        {
            last.truncate(last.len() - end.len());
            if last.is_empty() {
                pieces.pop();
            }
        }
        check(&pieces)?;
        Ok(Self { pieces })
    }

    /// The record of a line. Errors: what was expected and where, without the line's number.
    pub fn read(&self, line: &Bytes) -> Result<InputRecord, String> {
        let mut reading = Reading { line, at: 0, header_count: 0, record: InputRecord::default() };
        for (index, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Headers(pieces) => reading.headers(pieces)?,
                piece => reading.piece(piece, self.pieces.get(index + 1))?,
            }
        }
        if reading.at < line.len() {
            return Err(reading.wrong("the format ends here and the line goes on"));
        }
        Ok(reading.record)
    }
}

fn check(pieces: &[Piece]) -> Result<(), String> {
    let mut counted = false;
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::KeyLength | Piece::ValueLength => return Err(
                "%K and %V are not read; for keys and values that hold any bytes take %k{base64} %v{base64}, or -J"
                    .to_owned(),
            ),
            Piece::Key(Form::Unpack(_)) | Piece::Value(Form::Unpack(_)) => {
                return Err("unpack[] is printed, not read; take %k{base64} %v{base64}, or -J".to_owned());
            }
            Piece::HeaderCount => counted = true,
            Piece::Headers(_) if !counted => {
                return Err("%h is read with the number of headers before it, such as %H %h{%k=%v,}".to_owned());
            }
            Piece::Headers(inner) => check_header(inner)?,
            _ => {}
        }
        let is_field = |piece: &Piece| !matches!(piece, Piece::Literal(_) | Piece::Headers(_));
        if is_field(piece) && pieces.get(index + 1).is_some_and(|next| !matches!(next, Piece::Literal(_))) {
            return Err(
                "two verbs without anything between them; put a separator there, such as \\t".to_owned()
            );
        }
    }
    Ok(())
}

/// A header ends where its separator stands, so it must have one.
fn check_header(pieces: &[Piece]) -> Result<(), String> {
    if !matches!(pieces.last(), Some(Piece::Literal(_))) {
        return Err("%h{} must end with a separator, such as %h{%k=%v,}".to_owned());
    }
    check(pieces)
}

/// A line on its way through a format.
struct Reading<'a> {
    line: &'a Bytes,
    at: usize,
    header_count: usize,
    record: InputRecord,
}

impl Reading<'_> {
    fn piece(&mut self, piece: &Piece, next: Option<&Piece>) -> Result<(), String> {
        if let Piece::Literal(literal) = piece {
            return self.literal(literal);
        }
        let text = self.field(next)?;
        match piece {
            Piece::Key(form) => self.record.key = Some(self.bytes(text, form)?),
            Piece::Value(form) => self.record.value = Some(self.bytes(text, form)?),
            Piece::Partition => {
                let partition: Option<i32> =
                    self.number(&text)?.try_into().ok().filter(|number| *number >= 0);
                self.record.partition = Some(partition.ok_or_else(|| self.not("a partition", &text))?);
            }
            Piece::HeaderCount => {
                let count = self.number(&text)?;
                self.header_count =
                    usize::try_from(count).map_err(|_| self.not("a number of headers", &text))?;
            }
            Piece::Millis => self.record.timestamp = Some(self.number(&text)?).filter(|ms| *ms >= 0),
            Piece::Rfc3339 | Piece::Strftime(_) if &text[..] == b"-" => {}
            Piece::Rfc3339 => {
                let time = words(&text).parse::<jiff::Timestamp>();
                self.record.timestamp = Some(time.map_err(|_| self.not("a time", &text))?.as_millisecond());
            }
            Piece::Strftime(format) => {
                let time = time_of(format, &words(&text));
                self.record.timestamp = Some(time.ok_or_else(|| self.not("a date and time", &text))?);
            }
            _ => {}
        }
        Ok(())
    }

    fn headers(&mut self, pieces: &[Piece]) -> Result<(), String> {
        for _ in 0..self.header_count {
            let (mut key, mut value) = (String::new(), None);
            for (index, piece) in pieces.iter().enumerate() {
                match piece {
                    Piece::Literal(literal) => self.literal(literal)?,
                    Piece::Key(form) => {
                        let text = self.field(pieces.get(index + 1))?;
                        let bytes = self.bytes(text, form)?;
                        key = String::from_utf8(bytes.to_vec())
                            .map_err(|_| self.wrong("a header key that is not UTF-8"))?;
                    }
                    _ => {
                        let form = if let Piece::Value(form) = piece { form } else { &Form::Raw };
                        let text = self.field(pieces.get(index + 1))?;
                        value = Some(self.bytes(text, form)?);
                    }
                }
            }
            self.record.headers.push((key, value));
        }
        Ok(())
    }

    fn literal(&mut self, literal: &[u8]) -> Result<(), String> {
        if !self.line[self.at..].starts_with(literal) {
            return Err(self.wrong(&format!("{:?} expected", words(literal))));
        }
        self.at += literal.len();
        Ok(())
    }

    /// The bytes up to the separator that follows; without one, the rest.
    fn field(&mut self, next: Option<&Piece>) -> Result<Bytes, String> {
        let length = match next {
            Some(Piece::Literal(literal)) => find(&self.line[self.at..], literal)
                .ok_or_else(|| self.wrong(&format!("{:?} expected somewhere behind", words(literal))))?,
            _ => self.line.len() - self.at,
        };
        let field = self.line.slice(self.at..self.at + length);
        self.at += length;
        Ok(field)
    }

    fn bytes(&self, text: Bytes, form: &Form) -> Result<Bytes, String> {
        match form {
            Form::Raw => Ok(text),
            Form::Base64 => BASE64.decode(&text).map(Bytes::from).map_err(|_| self.not("base64", &text)),
            Form::Unpack(_) => Err(self.wrong("unpack[] is not read")),
            Form::Hex => hex(&text).map(Bytes::from).ok_or_else(|| self.not("hexadecimal", &text)),
        }
    }

    fn number(&self, text: &[u8]) -> Result<i64, String> {
        words(text).parse().map_err(|_| self.not("a number", text))
    }

    fn not(&self, what: &str, text: &[u8]) -> String {
        let shown: String = words(text).chars().take(40).collect();
        self.wrong(&format!("{shown:?} is not {what}"))
    }

    fn wrong(&self, what: &str) -> String {
        format!("byte {}: {what}", self.at + 1)
    }
}

fn words(text: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(text)
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some((digit(*high)? * 16 + digit(*low)?) as u8),
        _ => None,
    };
    text.chunks(2).map(pair).collect()
}

/// Times without a zone are UTC.
fn time_of(format: &str, text: &str) -> Option<i64> {
    let parsed = strtime::parse(format, text).ok()?;
    let time = match parsed.to_timestamp() {
        Ok(time) => time,
        Err(_) => parsed.to_datetime().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp(),
    };
    Some(time.as_millisecond())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Target;
    use super::*;
    use crate::client::{ConsumerRecord, TimestampType};

    fn read(format: &str, line: &str) -> Result<InputRecord, String> {
        InputFormat::parse(format, b"\n").expect(format).read(&Bytes::from(line.to_owned()))
    }

    fn bytes(text: &str) -> Option<Bytes> {
        Some(Bytes::from(text.to_owned()))
    }

    #[test]
    fn separators_take_a_line_apart() {
        let record = read("%k=%v\\n", "u1=a=b").expect("reads");
        assert_eq!((record.key, record.value), (bytes("u1"), bytes("a=b")));
        let record = read("%t[%p]@%o %d %k{hex}|%v{base64}", "x[3]@9 77 7531|aGk=").expect("reads");
        assert_eq!((record.partition, record.timestamp), (Some(3), Some(77)));
        assert_eq!((record.key, record.value), (bytes("u1"), bytes("hi")));
        let record = read("%H %h{%k:%v;}%s", "2 a:1;b:;rest;").expect("reads");
        assert_eq!(record.headers, [("a".to_owned(), bytes("1")), ("b".to_owned(), bytes(""))]);
        assert_eq!(record.value, bytes("rest;"));
    }

    #[test]
    fn times_are_read_in_each_form() {
        let time = 1_767_268_801_000;
        for (format, line) in [
            ("%T", "1767268801000"),
            ("%D", "2026-01-01T12:00:01.000Z"),
            ("%d{strftime[%F %T]}", "2026-01-01 12:00:01"),
            ("%d{strftime[%F %T %z]}", "2026-01-01 13:00:01 +0100"),
        ] {
            assert_eq!(read(format, line).expect(line).timestamp, Some(time), "{format}");
        }
        assert_eq!(read("%D %v", "- x").expect("no time").timestamp, None);
        assert_eq!(read("%d %v", "-1 x").expect("no time").timestamp, None);
    }

    #[test]
    fn lines_that_do_not_fit_say_where() {
        for (format, line, words) in [
            ("%k=%v", "plain", "byte 1: \"=\" expected somewhere behind"),
            ("a%v", "bx", "byte 1: \"a\" expected"),
            ("%p %v", "x y", "\"x\" is not a number"),
            ("%p %v", "-1 y", "\"-1\" is not a partition"),
            ("%p %v", "4294967296 y", "is not a partition"),
            ("%v{hex}", "abc", "is not hexadecimal"),
            ("%v{base64}", "?", "is not base64"),
            ("%D", "noon", "is not a time"),
            ("%d{strftime[%T]}", "12:00:00", "is not a date and time"),
            ("%H %h{%k,}", "3 a,b,", "\",\" expected"),
            ("%H %h{%k,}", "-3 a,b,", "is not a number of headers"),
            ("%k.", "a.b", "the format ends here"),
        ] {
            let error = read(format, line).expect_err(format);
            assert!(error.contains(words), "{format}: {error}");
        }
    }

    #[test]
    fn formats_that_can_not_be_read_back_are_refused() {
        for (format, words) in [
            ("%k%v", "two verbs without anything between"),
            ("%v %h{%k,}", "the number of headers before it"),
            ("%H %h{%k=%v}", "must end with a separator"),
            ("%H %h{%k%v,}", "two verbs"),
            ("%K %V", "%K and %V are not read"),
            ("%q", "unknown verb"),
        ] {
            let error = InputFormat::parse(format, b"\n").expect_err(format);
            assert!(error.contains(words), "{format}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_a_format_wrote_it_reads_back(
            key in proptest::collection::vec(any::<u8>(), 0..20),
            value in proptest::collection::vec(any::<u8>(), 0..20),
            headers in proptest::collection::vec(("[a-z]{1,4}", proptest::collection::vec(any::<u8>(), 0..5)), 0..4),
            timestamp in -1i64..4_000_000_000_000,
        ) {
            let text = "%p %d %H %h{%k=%v{hex};}%k{hex},%v{base64}";
            let headers: Vec<_> =
                headers.into_iter().map(|(key, value)| (key, Some(Bytes::from(value)))).collect();
            let record = ConsumerRecord {
                topic: "t".into(),
                partition: 4,
                offset: 9,
                leader_epoch: 1,
                timestamp,
                timestamp_type: TimestampType::Create,
                key: Some(key.into()),
                value: Some(value.into()),
                headers,
            };
            let mut line = Vec::new();
            Format::parse(text).expect("parses").write(&record, Target::Pipe, &mut line);
            let read = InputFormat::parse(text, b"\n").expect("parses").read(&line.into());
            let read = read.expect("reads");
            prop_assert_eq!(read.partition, Some(4));
            prop_assert_eq!(read.timestamp, Some(timestamp).filter(|time| *time >= 0));
            prop_assert_eq!((read.key, read.value, read.headers), (record.key, record.value, record.headers));
        }

        #[test]
        fn no_line_makes_it_panic(format in "[%a-zA-Z{} =]{0,12}", line in "[ -~]{0,16}") {
            if let Ok(format) = InputFormat::parse(&format, b"\n") {
                let _ = format.read(&Bytes::from(line));
            }
        }
    }
}

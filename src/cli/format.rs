//! The format of `consume -f` and `produce --report`: text with verbs, compiled once, written per record. Pure.
//!
//! ```text
//! %t topic   %p partition   %o offset    %e leader epoch   %k key     %K its length    %v %s value   %V %S its length
//! %d %T timestamp in ms     %d{strftime[%F %T]} in UTC     %D RFC 3339                 %h{%k=%v } each header  %H how many
//! %v{unpack[>iq$]}           binary numbers, by the letters of unpack.rs
//! %k{hex} %v{base64}        bytes in that form             %% \\ %{ %} themselves      \n \r \t \0 \xNN bytes
//! ```
//! A null key or value prints nothing and has length -1. [`InputFormat`] reads lines by the same verbs.

use std::io::{self, IsTerminal, Write as _};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use super::output::{count, is_shown};
use crate::client::ConsumerRecord;

mod input;
mod unpack;

pub use input::InputFormat;
use unpack::Unpack;

/// Bytes of a value shown on a terminal when it isn't text.
const SHOWN_BYTES_MAX: usize = 32;

/// A compiled format.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Format {
    pieces: Vec<Piece>,
    /// What a null key or value prints.
    null: &'static str,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Literal(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Epoch,
    Key(Form),
    KeyLength,
    Value(Form),
    ValueLength,
    Millis,
    Rfc3339,
    Strftime(String),
    Headers(Vec<Piece>),
    HeaderCount,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Form {
    Raw,
    Hex,
    Base64,
    Unpack(Unpack),
}

/// What a format is written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// A file or pipe: bytes as they are.
    Pipe,
    /// A terminal: bytes that are not text become `0x…`.
    Terminal,
}

impl Target {
    /// What stdout is.
    pub fn stdout() -> Self {
        if io::stdout().is_terminal() { Self::Terminal } else { Self::Pipe }
    }
}

impl Format {
    /// Compiles `text`. Errors: the place and the reason.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { text, at: 0 };
        Ok(Self { pieces: reader.pieces(Within::Record)?, null: "" })
    }

    /// The value and `end` after it, before them the key and its separator where there is one: what `consume` prints
    /// without `-f`.
    pub fn plain(key_separator: Option<Vec<u8>>, end: Vec<u8>) -> Self {
        let key = key_separator.map(|separator| [Piece::Key(Form::Raw), Piece::Literal(separator)]);
        let value = [Piece::Value(Form::Raw), Piece::Literal(end)];
        Self { pieces: key.into_iter().flatten().chain(value).collect(), null: "" }
    }

    /// The same with a word for null keys and values.
    #[must_use]
    pub fn with_null(mut self, word: &'static str) -> Self {
        self.null = word;
        self
    }

    /// Appends `record` in this format to `out`.
    pub fn write(&self, record: &ConsumerRecord, target: Target, out: &mut Vec<u8>) {
        let manner = Manner { target, null: self.null };
        for piece in &self.pieces {
            piece.write(record, manner, out);
        }
    }
}

/// Where to, and what null looks like there.
#[derive(Clone, Copy)]
struct Manner {
    target: Target,
    null: &'static str,
}

/// Appends bytes as `target` can show them.
pub fn write_bytes(bytes: &[u8], target: Target, out: &mut Vec<u8>) {
    content(out, Some(bytes), &Form::Raw, Manner { target, null: "" });
}

/// Turns `\n \r \t \0 \xNN \\` into bytes, as in a format. Errors: the place and the reason.
pub fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut reader = Reader { text, at: 0 };
    let mut out = Vec::new();
    while let Some(letter) = reader.next() {
        if letter == '\\' { out.push(reader.escape()?) } else { push(&mut out, letter) }
    }
    Ok(out)
}

impl Piece {
    fn write(&self, record: &ConsumerRecord, manner: Manner, out: &mut Vec<u8>) {
        match self {
            Piece::Literal(bytes) => out.extend_from_slice(bytes),
            Piece::Topic => out.extend_from_slice(record.topic.as_bytes()),
            Piece::Partition => number(out, record.partition.into()),
            Piece::Offset => number(out, record.offset),
            Piece::Epoch => number(out, record.leader_epoch.into()),
            Piece::Key(form) => content(out, record.key.as_deref(), form, manner),
            Piece::KeyLength => number(out, length(record.key.as_deref())),
            Piece::Value(form) => content(out, record.value.as_deref(), form, manner),
            Piece::ValueLength => number(out, length(record.value.as_deref())),
            Piece::Millis => number(out, record.timestamp),
            Piece::Rfc3339 => strftime(out, "%Y-%m-%dT%H:%M:%S.%3fZ", record.timestamp),
            Piece::Strftime(format) => strftime(out, format, record.timestamp),
            Piece::HeaderCount => number(out, record.headers.len() as i64),
            Piece::Headers(pieces) => {
                for (key, value) in &record.headers {
                    for piece in pieces {
                        piece.write_header(key, value.as_deref(), manner, out);
                    }
                }
            }
        }
    }

    fn write_header(&self, key: &str, value: Option<&[u8]>, manner: Manner, out: &mut Vec<u8>) {
        match self {
            Piece::Literal(bytes) => out.extend_from_slice(bytes),
            Piece::Key(form) => content(out, Some(key.as_bytes()), form, manner),
            Piece::KeyLength => number(out, key.len() as i64),
            Piece::Value(form) => content(out, value, form, manner),
            Piece::ValueLength => number(out, length(value)),
            _ => unreachable!("the reader lets only these into a header format"),
        }
    }
}

fn number(out: &mut Vec<u8>, number: i64) {
    write!(out, "{number}").expect("a vector takes all bytes");
}

fn length(bytes: Option<&[u8]>) -> i64 {
    bytes.map_or(-1, |bytes| bytes.len() as i64)
}

fn content(out: &mut Vec<u8>, bytes: Option<&[u8]>, form: &Form, manner: Manner) {
    let Some(bytes) = bytes else {
        out.extend_from_slice(manner.null.as_bytes());
        return;
    };
    match form {
        Form::Hex => hex(out, bytes),
        Form::Base64 => out.extend_from_slice(BASE64.encode(bytes).as_bytes()),
        Form::Unpack(unpack) => unpack.write(bytes, manner.target, out),
        Form::Raw if manner.target == Target::Terminal && !is_text(bytes) => {
            out.extend_from_slice(b"0x");
            hex(out, &bytes[..bytes.len().min(SHOWN_BYTES_MAX)]);
            let more = if bytes.len() > SHOWN_BYTES_MAX { "…" } else { "" };
            write!(out, "{more} ({})", count(bytes.len() as i64, "byte")).expect("a vector takes all bytes");
        }
        Form::Raw => out.extend_from_slice(bytes),
    }
}

/// Whether a terminal shows these bytes and nothing else: control characters could rewrite the screen.
fn is_text(bytes: &[u8]) -> bool {
    let harmless = |letter: char| is_shown(letter) || matches!(letter, '\n' | '\t');
    // WHY: what stands behind a return covers what stands before it; at the end of a line it does nothing.
    let lines = std::str::from_utf8(bytes).map(|text| text.split('\n'));
    lines.is_ok_and(|mut lines| {
        lines.all(|line| line.strip_suffix('\r').unwrap_or(line).chars().all(harmless))
    })
}

fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        write!(out, "{byte:02x}").expect("a vector takes all bytes");
    }
}

fn strftime(out: &mut Vec<u8>, format: &str, timestamp: i64) {
    let time = jiff::Timestamp::from_millisecond(timestamp).ok().filter(|_| timestamp >= 0);
    match time.map(|time| strtime::format(format, &time.to_zoned(TimeZone::UTC))) {
        Some(Ok(text)) => out.extend_from_slice(text.as_bytes()),
        _ => out.push(b'-'),
    }
}

fn push(out: &mut Vec<u8>, letter: char) {
    out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Record,
    Header,
}

/// Walks the format text.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += letter.len_utf8();
        Some(letter)
    }

    fn wrong(&self, what: impl std::fmt::Display) -> String {
        format!("format '{}', character {}: {what}", self.text, self.text[..self.at].chars().count())
    }

    /// Pieces up to the end of the text, or up to the closing brace of a header format.
    fn pieces(&mut self, within: Within) -> Result<Vec<Piece>, String> {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        loop {
            match self.next() {
                None if within == Within::Header => return Err(self.wrong("%h{ without its }")),
                None => break,
                Some('}') if within == Within::Header => break,
                Some('\\') => literal.push(self.escape()?),
                Some('%') => match self.verb(within)? {
                    Piece::Literal(bytes) => literal.extend(bytes),
                    piece => {
                        flush(&mut pieces, &mut literal);
                        pieces.push(piece);
                    }
                },
                Some(letter) => push(&mut literal, letter),
            }
        }
        flush(&mut pieces, &mut literal);
        Ok(pieces)
    }

    fn verb(&mut self, within: Within) -> Result<Piece, String> {
        let Some(verb) = self.next() else {
            return Err(self.wrong("% at the end; %% prints a percent sign"));
        };
        let piece = match verb {
            '%' | '{' | '}' => return Ok(Piece::Literal(vec![verb as u8])),
            'k' => Piece::Key(self.form()?),
            'K' => Piece::KeyLength,
            'v' | 's' => Piece::Value(self.form()?),
            'V' | 'S' => Piece::ValueLength,
            _ if within == Within::Header => {
                return Err(self.wrong(format_args!("%{verb} inside %h{{}}; only %k %K %v %V go there")));
            }
            't' => Piece::Topic,
            'p' => Piece::Partition,
            'o' => Piece::Offset,
            'e' => Piece::Epoch,
            'T' => Piece::Millis,
            'D' => Piece::Rfc3339,
            'd' => self.time()?,
            'H' => Piece::HeaderCount,
            'h' if self.peek() == Some('{') => {
                self.at += 1;
                Piece::Headers(self.pieces(Within::Header)?)
            }
            'h' => return Err(self.wrong("%h needs its own format, such as %h{%k=%v }")),
            _ => {
                let known = "%t %p %o %e %k %K %v %V %s %S %d %D %T %h %H %%";
                return Err(self.wrong(format_args!("unknown verb %{verb}; known: {known}")));
            }
        };
        Ok(piece)
    }

    fn form(&mut self) -> Result<Form, String> {
        match self.braces()? {
            None => Ok(Form::Raw),
            Some("hex") => Ok(Form::Hex),
            Some("base64") => Ok(Form::Base64),
            Some(other) => match other.strip_prefix("unpack[").and_then(|rest| rest.strip_suffix(']')) {
                Some(letters) => Unpack::parse(letters).map(Form::Unpack).map_err(|why| self.wrong(why)),
                None => {
                    let known = "known: {hex}, {base64}, {unpack[>iq$]}";
                    Err(self.wrong(format_args!("unknown form {{{other}}}; {known}")))
                }
            },
        }
    }

    fn time(&mut self) -> Result<Piece, String> {
        let Some(inner) = self.braces()? else { return Ok(Piece::Millis) };
        let format = inner.strip_prefix("strftime[").and_then(|rest| rest.strip_suffix(']'));
        let Some(format) = format else {
            return Err(self.wrong(format_args!("unknown form {{{inner}}}; known: {{strftime[%F %T]}}")));
        };
        let probe = jiff::Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
        match strtime::format(format, &probe) {
            Ok(_) => Ok(Piece::Strftime(format.to_owned())),
            Err(error) => Err(self.wrong(error)),
        }
    }

    /// The text between braces, when braces follow.
    fn braces(&mut self) -> Result<Option<&'a str>, String> {
        if self.peek() != Some('{') {
            return Ok(None);
        }
        let from = self.at + 1;
        let Some(length) = self.text[from..].find('}') else { return Err(self.wrong("{ without its }")) };
        self.at = from + length + 1;
        Ok(Some(&self.text[from..from + length]))
    }

    /// The byte of an escape whose backslash was read.
    fn escape(&mut self) -> Result<u8, String> {
        match self.next() {
            Some('n') => Ok(b'\n'),
            Some('r') => Ok(b'\r'),
            Some('t') => Ok(b'\t'),
            Some('0') => Ok(0),
            Some('\\') => Ok(b'\\'),
            Some('x') => {
                let digits = self
                    .text
                    .get(self.at..self.at + 2)
                    .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                let Some(byte) = byte else { return Err(self.wrong("\\x needs two hexadecimal digits")) };
                self.at += 2;
                Ok(byte)
            }
            Some(other) => {
                Err(self.wrong(format_args!("unknown escape \\{other}; known: \\n \\r \\t \\0 \\xNN \\\\")))
            }
            None => Err(self.wrong("\\ at the end; \\\\ prints a backslash")),
        }
    }
}

fn flush(pieces: &mut Vec<Piece>, literal: &mut Vec<u8>) {
    if !literal.is_empty() {
        pieces.push(Piece::Literal(std::mem::take(literal)));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::client::TimestampType;

    fn record() -> ConsumerRecord {
        let header =
            |key: &str, value: &'static str| (key.to_owned(), Some(Bytes::from_static(value.as_bytes())));
        ConsumerRecord {
            topic: "orders".into(),
            partition: 1,
            offset: 42,
            leader_epoch: 3,
            timestamp: 1_767_268_801_004,
            timestamp_type: TimestampType::Create,
            key: Some(Bytes::from_static(b"u2")),
            value: Some(Bytes::from_static(b"{\"n\":2}")),
            headers: vec![header("src", "cli"), header("src", ""), ("x".to_owned(), None)],
        }
    }

    fn show(format: &str, record: &ConsumerRecord, target: Target) -> String {
        let mut out = Vec::new();
        Format::parse(format).expect(format).write(record, target, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn every_verb() {
        for (format, text) in [
            ("%t[%p]@%o", "orders[1]@42"),
            ("%t[%p]@%o %d{strftime[%T]} %k=%v\\n", "orders[1]@42 12:00:01 u2={\"n\":2}\n"),
            ("%k %K %v %V", "u2 2 {\"n\":2} 7"),
            ("%s %S", "{\"n\":2} 7"),
            ("%e", "3"),
            ("%d %T", "1767268801004 1767268801004"),
            ("%D", "2026-01-01T12:00:01.004Z"),
            ("%d{strftime[%F]}", "2026-01-01"),
            ("%H %h{%k=%v;}", "3 src=cli;src=;x=;"),
            ("%h{%K/%V,}", "3/3,3/0,1/-1,"),
            ("%h{%k\\t%v{hex}%%}", "src\t636c69%src\t%x\t%"),
            ("%k{hex} %v{base64}", "7532 eyJuIjoyfQ=="),
            ("%k{unpack[cB$]} %v{unpack[>H]}", "u 50 31522"),
            ("100%% %{%} {} \\\\ \\x41", "100% {} {} \\ A"),
            ("żółw %k", "żółw u2"),
            ("", ""),
        ] {
            assert_eq!(show(format, &record(), Target::Pipe), text, "{format}");
        }
    }

    #[test]
    fn escapes_are_bytes() {
        let mut out = Vec::new();
        Format::parse("\\0\\xff\\r\\t").expect("parses").write(&record(), Target::Pipe, &mut out);
        assert_eq!(out, [0, 0xff, b'\r', b'\t']);
        assert_eq!(unescape("a\\tb\\x00"), Ok(b"a\tb\0".to_vec()));
        assert!(unescape("\\q").is_err());
    }

    #[test]
    fn null_differs_from_empty_by_its_length() {
        let mut record = record();
        record.key = None;
        record.value = Some(Bytes::new());
        assert_eq!(show("%k %K %v %V", &record, Target::Pipe), " -1  0");
    }

    #[test]
    fn null_may_have_a_word() {
        let mut record = record();
        record.key = None;
        record.value = Some(Bytes::new());
        let mut out = Vec::new();
        let format = Format::parse("%k=%v %h{%v,}").expect("parses").with_null("NULL");
        format.write(&record, Target::Pipe, &mut out);
        assert_eq!(out, b"NULL= cli,,NULL,");
    }

    #[test]
    fn a_record_without_timestamp_prints_a_dash() {
        let mut record = record();
        record.timestamp = -1;
        assert_eq!(show("%d %D", &record, Target::Pipe), "-1 -");
        record.timestamp = i64::MAX;
        assert_eq!(show("%D", &record, Target::Pipe), "-");
    }

    #[test]
    fn a_terminal_gets_no_binary() {
        let mut record = record();
        record.value = Some(Bytes::from(vec![0xfe; 1_000]));
        let shown = show("%v", &record, Target::Terminal);
        assert_eq!(shown, format!("0x{}… (1,000 bytes)", "fe".repeat(32)));
        record.value = Some(Bytes::from_static(b"\x1b[2J"));
        assert_eq!(show("%v", &record, Target::Terminal), "0x1b5b324a (4 bytes)");
        assert_eq!(show("%v", &record, Target::Pipe), "\u{1b}[2J");
        record.value = Some(Bytes::from_static("ż\tół\n".as_bytes()));
        assert_eq!(show("%v", &record, Target::Terminal), "ż\tół\n");
    }

    #[test]
    fn wrong_formats_name_the_place() {
        for (format, words) in [
            ("%", "% at the end"),
            ("ab%q", "character 4: unknown verb %q"),
            ("%h", "%h needs its own format"),
            ("%h{%k", "without its }"),
            ("%h{%t}", "%t inside %h{}"),
            ("%k{hax}", "unknown form {hax}"),
            ("%k{hex", "{ without its }"),
            ("%d{go[2006]}", "unknown form"),
            ("%d{strftime[%!]}", "format"),
            ("\\", "\\ at the end"),
            ("\\q", "unknown escape \\q"),
            ("\\x4", "two hexadecimal digits"),
            ("\\x+4", "two hexadecimal digits"),
            ("\\xż", "two hexadecimal digits"),
        ] {
            let error = Format::parse(format).expect_err(format);
            assert!(error.contains(words), "{format}: {error}");
        }
    }

    #[test]
    fn the_plain_format_is_value_and_newline() {
        let parsed = |text| Format::parse(text).expect("parses");
        assert_eq!(Format::plain(None, b"\n".to_vec()), parsed("%v\\n"));
        assert_eq!(Format::plain(Some(b": ".to_vec()), b"\0".to_vec()), parsed("%k: %v\\0"));
    }

    proptest! {
        #[test]
        fn no_format_makes_it_panic(format in "[%\\\\a-zA-Z{}\\[\\]ż]{0,16}") {
            if let Ok(format) = Format::parse(&format) {
                format.write(&record(), Target::Terminal, &mut Vec::new());
            }
        }
    }
}

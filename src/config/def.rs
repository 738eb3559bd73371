//! What a config key is: its name, type, default, range and one sentence of explanation.
//!
//! The tables themselves stand beside the structs that they fill ([`super::topic`], [`super::broker`]). Everything that
//! shows or reads a key goes through here, so that the command line, the API and the docs cannot differ.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use crate::base::closest::did_you_mean;
use crate::base::size::{parse_bytes, print_bytes};
use crate::base::time::{parse_ms, print_ms};

/// Longest duration that a key takes: 100 years of 365 days. Sums with it and a clock stay far from overflow.
pub const DURATION_MS_MAX: i64 = 36_500 * 86_400_000;

/// Largest size that a key takes: 1 EiB. Sums with it stay far from overflow.
pub const SIZE_BYTES_MAX: i64 = 1 << 60;

/// Most letters of a wrong value that an error repeats.
const SHOWN_LETTERS_MAX: usize = 64;

const MILLION: f64 = 1_000_000.0;

/// One config key.
#[derive(Debug)]
pub struct Key {
    /// Name with dots, Kafka's where Kafka has the key.
    pub name: &'static str,
    /// What values it takes.
    pub kind: KeyKind,
    /// The default.
    pub default: Fallback,
    /// One sentence for people.
    pub doc: &'static str,
}

/// What values a key takes.
#[derive(Clone, Copy, Debug)]
pub enum KeyKind {
    /// A size; canonical form is a number of bytes.
    Bytes(Range),
    /// A duration; canonical form is a number of milliseconds.
    Duration(Range),
    /// A whole number.
    Integer(Range),
    /// A share, from 0 to 1 with six digits at most.
    Ratio,
    /// One of a few words, upper and lower case being the same.
    Word(&'static Words),
    /// `true` or `false`.
    Bool,
    /// An IP address with a port; `localhost` stands for 127.0.0.1.
    Address,
    /// Any text that is not empty.
    Text,
}

/// Bounds of a number, both included.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// Smallest value.
    pub min: i64,
    /// Largest value.
    pub max: i64,
    /// Whether -1 is taken as well and means "no limit".
    pub or_none: bool,
}

/// The words of a key.
#[derive(Debug)]
pub struct Words {
    /// The words as they are printed.
    pub choices: &'static [&'static str],
    /// Other spellings and the choice that they stand for.
    pub aliases: &'static [(&'static str, &'static str)],
    /// Words that Kafka knows and Weir does not take, with the reason.
    pub refused: &'static [(&'static str, &'static str)],
}

/// What a key is when nobody sets it.
#[derive(Clone, Copy, Debug)]
pub enum Fallback {
    /// This value, in canonical form.
    Value(&'static str),
    /// Worked out from the machine, as these words say.
    Computed(&'static str),
}

/// A checked value of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// Bytes, milliseconds or a whole number.
    Number(i64),
    /// A share, in millionths.
    Ratio(u32),
    /// One of the words of the key.
    Word(&'static str),
    /// A switch.
    Bool(bool),
    /// An address with a port.
    Address(SocketAddr),
    /// Text as given, without blanks around it.
    Text(String),
}

/// A config mistake: which key, and what is wrong with it in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The key as it was given.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

impl std::error::Error for ConfigError {}

impl Range {
    /// From `min` to `max`.
    pub const fn of(min: i64, max: i64) -> Self {
        Self { min, max, or_none: false }
    }

    /// From `min` to `max`, or -1 for no limit.
    pub const fn or_none(min: i64, max: i64) -> Self {
        Self { min, max, or_none: true }
    }

    fn holds(self, number: i64) -> bool {
        (self.min..=self.max).contains(&number) || (self.or_none && number == -1)
    }
}

impl Words {
    /// Words without other spellings.
    pub const fn of(choices: &'static [&'static str]) -> Self {
        Self { choices, aliases: &[], refused: &[] }
    }
}

impl Key {
    /// Reads and checks a value: sizes and durations in words or as plain numbers.
    ///
    /// Errors: the value in escaped and shortened form, and what would be right.
    pub fn parse(&self, text: &str) -> Result<Value, ConfigError> {
        if let KeyKind::Text = self.kind {
            return checked_text(text).map(Value::Text).map_err(|message| self.error(message));
        }
        self.parse_short(&shown(text)).map_err(|message| self.error(message))
    }

    /// Reads a value of any kind but text; `text` went through [`shown`], so that an error may repeat it.
    fn parse_short(&self, text: &str) -> Result<Value, String> {
        match self.kind {
            KeyKind::Bytes(range) => {
                let number = parse_bytes(text).map_err(|error| or_none(error, range));
                number.and_then(|number| self.in_range(number, range))
            }
            KeyKind::Duration(range) => {
                let number = parse_ms(text).map_err(|error| or_none(error, range));
                number.and_then(|number| self.in_range(number, range))
            }
            KeyKind::Integer(range) => text
                .parse()
                .map_err(|_| format!("'{text}' is not a whole number"))
                .and_then(|number| self.in_range(number, range)),
            KeyKind::Ratio => parse_ratio(text).map(Value::Ratio),
            KeyKind::Word(words) => words.find(text).map(Value::Word),
            KeyKind::Bool => parse_bool(text).map(Value::Bool),
            KeyKind::Address => parse_address(text).map(Value::Address),
            KeyKind::Text => checked_text(text).map(Value::Text),
        }
    }

    /// A mistake in this key.
    pub fn error(&self, message: impl Into<String>) -> ConfigError {
        ConfigError { key: self.name.to_owned(), message: message.into() }
    }

    /// The type in one word, as `ListConfigKeys` tells it.
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            KeyKind::Bytes(_) => "bytes",
            KeyKind::Duration(_) => "duration",
            KeyKind::Integer(_) => "integer",
            KeyKind::Ratio => "ratio",
            KeyKind::Word(_) => "word",
            KeyKind::Bool => "bool",
            KeyKind::Address => "address",
            KeyKind::Text => "text",
        }
    }

    /// The unit of the canonical form, empty where there is none.
    pub fn unit(&self) -> &'static str {
        match self.kind {
            KeyKind::Bytes(_) => "bytes",
            KeyKind::Duration(_) => "ms",
            _ => "",
        }
    }

    /// The default for people: canonical form, or the words that say how it is worked out.
    pub fn default_text(&self) -> &'static str {
        match self.default {
            Fallback::Value(text) | Fallback::Computed(text) => text,
        }
    }

    /// The allowed values for people: `0 to 60000, or -1 for no limit`.
    pub fn range_text(&self) -> String {
        match self.kind {
            KeyKind::Bytes(range) | KeyKind::Duration(range) | KeyKind::Integer(range) => {
                let none = if range.or_none { ", or -1 for no limit" } else { "" };
                format!("{} to {}{none}", self.with_words(range.min), self.with_words(range.max))
            }
            KeyKind::Ratio => "0 to 1".to_owned(),
            KeyKind::Word(words) => words.choices.join(", "),
            KeyKind::Bool => "true, false".to_owned(),
            KeyKind::Address => "an IP address and a port".to_owned(),
            KeyKind::Text => "any text".to_owned(),
        }
    }

    /// A canonical value in words where that reads better: `604800000` of a duration is `7d`, `-1` is `no limit`.
    pub fn in_words(&self, canonical: &str) -> Option<String> {
        let number: i64 = canonical.parse().ok()?;
        let words = match self.kind {
            KeyKind::Bytes(_) | KeyKind::Duration(_) if number < 0 => "no limit".to_owned(),
            KeyKind::Bytes(_) if number >= 1024 => print_bytes(number.unsigned_abs()),
            KeyKind::Duration(_) if number >= 1_000 => print_ms(number),
            _ => return None,
        };
        Some(words)
    }

    fn with_words(&self, number: i64) -> String {
        let canonical = number.to_string();
        match self.in_words(&canonical) {
            Some(words) => format!("{canonical} ({words})"),
            None => canonical,
        }
    }

    fn in_range(&self, number: i64, range: Range) -> Result<Value, String> {
        if range.holds(number) {
            return Ok(Value::Number(number));
        }
        Err(format!("{number} is out of range: {}", self.range_text()))
    }
}

impl Words {
    fn find(&self, text: &str) -> Result<&'static str, String> {
        let same = |word: &str| word.eq_ignore_ascii_case(text);
        if let Some((_, reason)) = self.refused.iter().find(|(word, _)| same(word)) {
            return Err(format!("'{text}' is not possible: {reason}"));
        }
        let alias = self.aliases.iter().find(|(word, _)| same(word)).map(|(_, choice)| choice);
        let choice = alias.or_else(|| self.choices.iter().find(|word| same(word)));
        choice.copied().ok_or_else(|| {
            let hint = did_you_mean(text, self.choices.iter().copied());
            format!("'{text}' is not one of {}.{hint}", self.choices.join(", "))
        })
    }
}

impl fmt::Display for Value {
    /// The canonical form, which [`Key::parse`] reads back as the same value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Ratio(millionths) => write!(f, "{}", f64::from(*millionths) / MILLION),
            Self::Word(word) => f.write_str(word),
            Self::Bool(yes) => write!(f, "{yes}"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Value {
    /// The number of a size, duration or integer.
    ///
    /// Panics: when the key is of another kind; a table row that mixes them up fails its tests.
    pub fn number(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            other => panic!("a number key holds {other:?}"),
        }
    }

    /// The share of a ratio key, in millionths. Panics: as [`Value::number`].
    pub fn millionths(&self) -> u32 {
        match self {
            Self::Ratio(millionths) => *millionths,
            other => panic!("a ratio key holds {other:?}"),
        }
    }

    /// The word of a word key. Panics: as [`Value::number`].
    pub fn word(&self) -> &'static str {
        match self {
            Self::Word(word) => word,
            other => panic!("a word key holds {other:?}"),
        }
    }

    /// The state of a switch. Panics: as [`Value::number`].
    pub fn is_true(&self) -> bool {
        match self {
            Self::Bool(yes) => *yes,
            other => panic!("a bool key holds {other:?}"),
        }
    }

    /// The address of an address key. Panics: as [`Value::number`].
    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Address(address) => *address,
            other => panic!("an address key holds {other:?}"),
        }
    }

    /// The text of a text key. Panics: as [`Value::number`].
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            other => panic!("a text key holds {other:?}"),
        }
    }
}

/// The error for a key that does not exist, with the nearest one that does, and `list`: what shows them all.
pub fn unknown_key<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, list: &str) -> ConfigError {
    let hint = did_you_mean(name, known);
    ConfigError {
        key: shown(name),
        message: format!("there is no such config key.{hint} `{list}` lists them"),
    }
}

/// What a size or duration may be, with the word for none where there is one.
fn or_none(error: String, range: Range) -> String {
    if range.or_none { format!("{error}, or -1 for no limit") } else { error }
}

fn parse_ratio(text: &str) -> Result<u32, String> {
    let wrong = || format!("'{text}' is not a share such as 0.5, from 0 to 1");
    let share: f64 = text.parse().map_err(|_| wrong())?;
    if (0.0..=1.0).contains(&share) { Ok((share * MILLION).round() as u32) } else { Err(wrong()) }
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let wrong = || format!("'{text}' is not an IP address and port such as 127.0.0.1:7070 or [::1]:7070");
    match text.strip_prefix("localhost:") {
        Some(port) => Ok((Ipv4Addr::LOCALHOST, port.parse().map_err(|_| wrong())?).into()),
        None => text.parse().map_err(|_| wrong()),
    }
}

fn checked_text(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if text.contains(char::is_control) {
        return Err(format!("'{}' has a control character in it", shown(text)));
    }
    Ok(text.to_owned())
}

fn parse_bool(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(format!("'{text}' is not true or false")),
    }
}

/// Text without blanks around it, control characters escaped, cut to what an error may repeat. No number, duration or
/// word is longer than that, so cut text is wrong text.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    let mut letters = text.trim().chars();
    for letter in letters.by_ref().take(SHOWN_LETTERS_MAX) {
        if letter.is_control() {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    if letters.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Words = Words {
        choices: &["red", "green"],
        aliases: &[("rouge", "red")],
        refused: &[("blue", "it is sold out")],
    };

    fn key(kind: KeyKind) -> Key {
        Key { name: "a.key", kind, default: Fallback::Value("1"), doc: "A key." }
    }

    fn message(kind: KeyKind, text: &str) -> String {
        key(kind).parse(text).expect_err(text).to_string()
    }

    #[test]
    fn values_are_read_in_words_and_printed_in_canonical_form() {
        let any = Range::or_none(0, SIZE_BYTES_MAX);
        let cases = [
            (KeyKind::Bytes(any), "1GiB", "1073741824"),
            (KeyKind::Bytes(any), "-1", "-1"),
            (KeyKind::Duration(any), " 7d ", "604800000"),
            (KeyKind::Integer(any), "12", "12"),
            (KeyKind::Word(&WORDS), "GREEN", "green"),
            (KeyKind::Word(&WORDS), "rouge", "red"),
            (KeyKind::Bool, "Yes", "true"),
            (KeyKind::Address, "localhost:7070", "127.0.0.1:7070"),
            (KeyKind::Address, "[::1]:0", "[::1]:0"),
            (KeyKind::Text, " ./weir data ", "./weir data"),
        ];
        for (kind, text, canonical) in cases {
            let value = key(kind).parse(text).expect(text);
            assert_eq!(value.to_string(), canonical);
            assert_eq!(key(kind).parse(canonical), Ok(value));
        }
        let long = "x".repeat(500);
        assert_eq!(key(KeyKind::Text).parse(&long), Ok(Value::Text(long)));
    }

    #[test]
    fn mistakes_say_what_would_be_right() {
        let range = Range::of(1, 60_000);
        assert_eq!(
            message(KeyKind::Duration(range), "2m"),
            "a.key: 120000 is out of range: 1 to 60000 (1m)",
            "no -1 where there is always a limit"
        );
        assert!(message(KeyKind::Duration(range), "-1").contains("out of range"));
        assert!(message(KeyKind::Bytes(Range::or_none(0, 9)), "10").ends_with("0 to 9, or -1 for no limit"));
        assert!(message(KeyKind::Duration(range), "-5").contains("'-5' is not a duration such as"));
        assert!(message(KeyKind::Integer(range), "1.5").contains("'1.5' is not a whole number"));
        assert_eq!(
            message(KeyKind::Word(&WORDS), "grene"),
            "a.key: 'grene' is not one of red, green. Did you mean 'green'?"
        );
        assert_eq!(message(KeyKind::Word(&WORDS), "Blue"), "a.key: 'Blue' is not possible: it is sold out");
        assert!(message(KeyKind::Bool, "maybe").contains("true or false"));
        assert!(message(KeyKind::Address, "7070").contains("'7070' is not an IP address and port"));
        assert!(message(KeyKind::Text, "  ").contains("must not be empty"));
        assert!(message(KeyKind::Text, "a\u{7}b").contains("'a\\u{7}b' has a control character"));
    }

    #[test]
    fn hostile_values_are_escaped_and_shortened() {
        let message = message(KeyKind::Bool, &format!("\u{1b}[31m{}", "z".repeat(100_000)));
        assert!(message.len() < 200, "{message}");
        assert!(!message.contains('\u{1b}') && message.contains("\\u{1b}[31mzz"), "{message}");
    }

    #[test]
    fn canonical_values_are_told_in_words_where_that_helps() {
        let any = Range::or_none(0, 100);
        assert_eq!(key(KeyKind::Duration(any)).in_words("604800000").as_deref(), Some("7d"));
        assert_eq!(key(KeyKind::Bytes(any)).in_words("-1").as_deref(), Some("no limit"));
        assert_eq!(key(KeyKind::Bytes(any)).in_words("1048576").as_deref(), Some("1.0 MiB"));
        assert_eq!(key(KeyKind::Duration(any)).in_words("20"), None);
        assert_eq!(key(KeyKind::Integer(any)).in_words("5000"), None);
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = unknown_key("retention_ms", ["retention.bytes", "retention.ms"], "weir list");
        assert_eq!(
            error.to_string(),
            "retention_ms: there is no such config key. Did you mean 'retention.ms'? `weir list` lists them"
        );
    }
}

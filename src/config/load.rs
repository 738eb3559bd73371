//! From a config file, the environment and flags to broker settings: which one wins, and all mistakes at once.
//!
//! Flags win over the environment, the environment over the file, the file over defaults. A mistake counts even where a
//! stronger source sets the same key, so that a file is right or wrong by itself.

use std::collections::BTreeMap;
use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub use super::broker::Source;
use super::broker::{BROKER_KEYS, BrokerKey, BrokerSettings, Machine};
use super::def::{ConfigError, Value, unknown_key};
use super::properties::{self, Meaning};
use crate::base::closest::did_you_mean;

/// The command that lists the keys of a broker.
const BROKER_LIST: &str = "weir serve --print-config";

/// How environment variables of Weir begin.
const PREFIX: &str = "WEIR_";

/// Environment variables that are not settings of the broker: those of the client commands and of the tests.
const OTHER_VARIABLES: &[&str] = &[
    "WEIR_BATCH_BYTES",
    "WEIR_BLESS",
    "WEIR_BOOTSTRAP",
    "WEIR_BUFFER_BYTES",
    "WEIR_COMPLETION_TIMEOUT",
    "WEIR_CONFIG",
    "WEIR_CONTEXT",
    "WEIR_FETCH_MAX_BYTES",
    "WEIR_LINGER_MS",
    "WEIR_TIMEOUT",
];

/// A config file that the caller has read.
#[derive(Clone, Copy, Debug)]
pub struct ConfigFile<'a> {
    /// What errors call it.
    pub name: &'a str,
    /// Its text: TOML with dotted keys or nested tables; of a `.properties` file the lines of Kafka's brokers.
    pub text: &'a str,
}

/// Everything that settings can come from. Values are taken as they are; blanks around them do not matter.
#[derive(Clone, Default, Debug)]
pub struct Inputs<'a> {
    /// The config file, if there is one.
    pub file: Option<ConfigFile<'a>>,
    /// All environment variables; only those that begin with `WEIR_` count.
    pub environment: Vec<(String, String)>,
    /// Keys and values of the command line.
    pub flags: Vec<(String, String)>,
}

/// Where a mistake is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A line of the config file, counted from 1.
    Line(String, usize),
    /// An environment variable.
    Variable(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(file, line) => write!(f, "{file} line {line}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag => f.write_str("command line"),
        }
    }
}

/// A mistake and its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadError {
    /// Where.
    pub place: Place,
    /// What.
    pub error: ConfigError,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.error)
    }
}

impl std::error::Error for LoadError {}

/// One setting as some source gives it.
struct Given {
    key: String,
    text: String,
    place: Place,
}

/// The settings of a broker, each with its source.
///
/// Errors: every mistake of every source, the file first; there is at least one.
pub fn load(inputs: &Inputs<'_>, machine: &Machine) -> Result<BrokerSettings, Vec<LoadError>> {
    let mut loading =
        Loading { settings: BrokerSettings::defaults(machine), places: BTreeMap::new(), errors: Vec::new() };
    if let Some(file) = inputs.file {
        let is_properties = properties::is_properties(file.name);
        let (given, errors) = if is_properties { read_properties(file) } else { read_file(file) };
        loading.errors.extend(errors);
        loading.take(Source::File, given);
    }
    let (given, errors) = read_environment(&inputs.environment);
    loading.errors.extend(errors);
    loading.take(Source::Environment, given);
    let flag =
        |(key, text): &(String, String)| Given { key: key.clone(), text: text.clone(), place: Place::Flag };
    loading.take(Source::Flag, inputs.flags.iter().map(flag).collect());
    loading.finish()
}

struct Loading {
    settings: BrokerSettings,
    places: BTreeMap<&'static str, (Source, Place)>,
    errors: Vec<LoadError>,
}

impl Loading {
    fn take(&mut self, source: Source, all: Vec<Given>) {
        for Given { key, text, place } in all {
            match read_one(&key, &text) {
                Err(error) => self.errors.push(LoadError { place, error }),
                Ok((row, value)) => {
                    self.settings.set(row, &value, source);
                    match self.places.insert(row.key.name, (source, place.clone())) {
                        Some((earlier, other)) if earlier == source => {
                            self.errors.push(LoadError { place, error: row.key.error(twice(&other)) });
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    fn finish(mut self) -> Result<BrokerSettings, Vec<LoadError>> {
        if let Err(error) = self.settings.check() {
            // WHY: the default is loopback, so an address that fails the check has a place.
            let place = self.places.remove(error.key.as_str()).map_or(Place::Flag, |(_, place)| place);
            self.errors.push(LoadError { place, error });
        }
        // In the order in which a reader of the file meets them, then the others as they came.
        self.errors.sort_by_key(|error| match &error.place {
            Place::Line(_, line) => *line,
            Place::Variable(_) | Place::Flag => usize::MAX,
        });
        if self.errors.is_empty() { Ok(self.settings) } else { Err(self.errors) }
    }
}

/// That a key was given before, at `other`.
fn twice(other: &Place) -> String {
    match other {
        Place::Line(_, line) => format!("is given twice: line {line} has it as well; keep one of them"),
        Place::Variable(_) | Place::Flag => "is given twice".to_owned(),
    }
}

fn read_one(key: &str, text: &str) -> Result<(&'static BrokerKey, Value), ConfigError> {
    let row = BROKER_KEYS.iter().find(|row| row.key.name == key);
    let row = row.ok_or_else(|| unknown_key(key, key_names(), BROKER_LIST))?;
    Ok((row, row.key.parse(text)?))
}

fn key_names() -> impl Iterator<Item = &'static str> {
    BROKER_KEYS.iter().map(|row| row.key.name)
}

/// `node.id` is `WEIR_NODE_ID`.
pub fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "_"))
}

fn read_environment(variables: &[(String, String)]) -> (Vec<Given>, Vec<LoadError>) {
    let names: BTreeMap<String, &str> = key_names().map(|key| (variable_of(key), key)).collect();
    let (mut given, mut errors) = (Vec::new(), Vec::new());
    for (name, text) in variables.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        let place = Place::Variable(name.clone());
        if let Some(key) = names.get(name) {
            given.push(Given { key: (*key).to_owned(), text: text.clone(), place });
        } else if !is_for_others(name) {
            let key = name[PREFIX.len()..].to_ascii_lowercase().replace('_', ".");
            let hint = did_you_mean(name, names.keys().map(String::as_str));
            let error = ConfigError {
                key,
                message: format!("there is no such config key.{hint} `{BROKER_LIST}` lists them"),
            };
            errors.push(LoadError { place, error });
        }
    }
    (given, errors)
}

/// Variables that the broker leaves alone. Kubernetes gives every container of a namespace with a service called `weir`
/// variables such as `WEIR_SERVICE_HOST` and `WEIR_PORT_7070_TCP`; refusing them would stop every broker there.
fn is_for_others(name: &str) -> bool {
    OTHER_VARIABLES.contains(&name)
        || name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.contains("_PORT_")
        || name.ends_with("_PORT")
}

fn read_file(file: ConfigFile<'_>) -> (Vec<Given>, Vec<LoadError>) {
    let (table, errors) = DeTable::parse_recoverable(file.text);
    let place = |position| Place::Line(file.name.to_owned(), line_of(file.text, position));
    let not_toml = |error: &toml::de::Error| LoadError {
        place: place(error.span().map_or(0, |span| span.start)),
        error: ConfigError { key: "not TOML".to_owned(), message: error.message().to_owned() },
    };
    let mut errors: Vec<LoadError> = errors.iter().map(not_toml).collect();
    let not_read: Vec<Place> = errors.iter().map(|error| error.place.clone()).collect();
    let mut given = Vec::new();
    for Entry { key, position, text } in entries("", table.get_ref()) {
        let place = place(position);
        // What the parser makes of a line that it could not read is nobody's value.
        if not_read.contains(&place) {
            continue;
        }
        match text {
            Ok(text) => given.push((position, Given { key, text, place })),
            Err(message) => errors.push(LoadError { place, error: ConfigError { key, message } }),
        }
    }
    // WHY: tables come sorted by key; people read a file from its top.
    given.sort_by_key(|(position, _)| *position);
    (given.into_iter().map(|(_, given)| given).collect(), errors)
}

/// What a `.properties` file sets; lines that are left out are told by [`left_out`].
fn read_properties(file: ConfigFile<'_>) -> (Vec<Given>, Vec<LoadError>) {
    let (mut given, mut errors) = (Vec::new(), Vec::new());
    for (line, _, meaning) in properties::read(file.text) {
        let place = Place::Line(file.name.to_owned(), line);
        match meaning {
            Meaning::Setting(key, text) => given.push(Given { key: key.to_owned(), text, place }),
            Meaning::Wrong(key, message) => {
                let error = ConfigError { key: key.to_owned(), message };
                errors.push(LoadError { place, error });
            }
            Meaning::LeftOut(_) => {}
        }
    }
    (given, errors)
}

/// The lines of a `.properties` file that set nothing, each with the reason; none for other files.
pub fn left_out(file: ConfigFile<'_>) -> Vec<String> {
    if !properties::is_properties(file.name) {
        return Vec::new();
    }
    let told = |(line, key, meaning)| match meaning {
        Meaning::LeftOut(why) => Some(format!("{} line {line}: {key} is left out: {why}", file.name)),
        Meaning::Setting(..) | Meaning::Wrong(..) => None,
    };
    properties::read(file.text).into_iter().filter_map(told).collect()
}

/// One value of a TOML file under its dotted key.
struct Entry {
    key: String,
    position: usize,
    text: Result<String, String>,
}

/// All values of a table and of the tables in it.
///
/// Recursion is bounded: the parser refuses deeply nested tables.
fn entries(prefix: &str, table: &DeTable<'_>) -> Vec<Entry> {
    let one = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let key_text: &std::borrow::Cow<'_, str> = key.get_ref();
        let name = if prefix.is_empty() { key_text.to_string() } else { format!("{prefix}.{key_text}") };
        match value.get_ref() {
            DeValue::Table(inner) => entries(&name, inner),
            value => vec![Entry { key: name, position: key.span().start, text: plain(value) }],
        }
    };
    table.iter().flat_map(one).collect()
}

/// A TOML value as the text that a flag would have.
fn plain(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Boolean(yes) => Ok(yes.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| format!("{} is too large", number.as_str())),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            Err("takes text in quotes, a whole number, true or false".to_owned())
        }
    }
}

fn line_of(text: &str, position: usize) -> usize {
    let before = text.as_bytes().get(..position).unwrap_or_default();
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests;

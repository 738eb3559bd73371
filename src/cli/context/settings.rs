//! Settings of the client: `-X` over the environment over the default, all mistakes at once. Pure.

use std::collections::BTreeMap;

use crate::base::closest::did_you_mean;
use crate::base::size::parse_bytes;
use crate::base::time::parse_ms;
use crate::config::load::variable_of;

/// What `-X` sets on the commands that talk to a broker.
const KEYS: &[ClientKey] = &[
    ClientKey { name: "batch.bytes", read: parse_bytes },
    ClientKey { name: "buffer.bytes", read: parse_bytes },
    ClientKey { name: "fetch.max.bytes", read: parse_bytes },
    ClientKey { name: "linger.ms", read: parse_ms },
];

/// What clients of Kafka set by a key, and where it is said here.
const OTHERS: &[(&[&str], &str)] = &[
    (&["acks", "request.required.acks"], "produce takes -a all|1|0"),
    (&["auto.offset.reset"], "consume takes -o start or -o end"),
    (&["bootstrap.servers", "metadata.broker.list"], "-b HOST:PORT names the broker"),
    (&["client.id"], "the client says it by itself"),
    (&["compression.codec", "compression.type"], "produce takes -z CODEC"),
    (&["enable.auto.commit"], "consume takes --commit auto|none"),
    (&["enable.idempotence"], "produce is idempotent by itself"),
    (&["group.id"], "consume takes -g GROUP"),
    (&["isolation.level", "transactional.id"], "this version has no transactions"),
    (&["delivery.timeout.ms", "message.timeout.ms", "request.timeout.ms"], "--timeout sets it"),
    (&["batch.size"], "batch.bytes sets it"),
    (&["buffer.memory"], "buffer.bytes sets it"),
];

/// How keys of Kafka begin for which nobody is asked here.
const OF_SECURITY: [&str; 3] = ["sasl.", "security.", "ssl."];

/// A setting: its key, and what reads its value.
struct ClientKey {
    name: &'static str,
    read: fn(&str) -> Result<i64, String>,
}

/// The settings that were given.
#[derive(Default, Debug)]
pub struct ClientSettings(BTreeMap<&'static str, u64>);

impl ClientSettings {
    /// What can be set.
    pub fn keys() -> impl Iterator<Item = &'static str> {
        KEYS.iter().map(|key| key.name)
    }

    /// Reads pairs of the command line, and the variables that `variable` knows.
    ///
    /// Errors: every mistake, each with its place.
    pub(super) fn read(
        given: &[(String, String)],
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<String>> {
        let (mut settings, mut errors) = (Self::default(), Vec::new());
        for key in KEYS {
            let name = variable_of(key.name);
            let Some(text) = variable(&name).filter(|text| !text.is_empty()) else { continue };
            settings.set(key, &text, &format!("environment variable {name}"), &mut errors);
        }
        for (at, (name, text)) in given.iter().enumerate() {
            let place = format!("-X {name}");
            match KEYS.iter().find(|key| key.name == name) {
                None => errors.push(unknown(name)),
                Some(_) if given[..at].iter().any(|(before, _)| before == name) => {
                    errors.push(format!("{place} is given twice: keep one of them"));
                }
                Some(key) => settings.set(key, text, &place, &mut errors),
            }
        }
        if errors.is_empty() { Ok(settings) } else { Err(errors) }
    }

    fn set(&mut self, key: &ClientKey, text: &str, place: &str, errors: &mut Vec<String>) {
        match (key.read)(text).map(u64::try_from) {
            Ok(Ok(number)) => {
                self.0.insert(key.name, number);
            }
            Ok(Err(_)) => {
                errors.push(format!("{place}: '{text}' is below zero: leave it out for the default"))
            }
            Err(error) => errors.push(format!("{place}: {error}")),
        }
    }

    /// The value of a key, where it was given: bytes, or milliseconds.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }

    /// The same as a size of something in memory.
    pub fn size(&self, name: &str) -> Option<usize> {
        // More than the machine can address is more than it has.
        self.get(name).map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
    }
}

fn unknown(name: &str) -> String {
    let names = || KEYS.iter().map(|key| key.name);
    let elsewhere = OTHERS.iter().find(|(keys, _)| keys.contains(&name)).map(|(_, said)| *said);
    let hint = match elsewhere {
        Some(said) => format!(" Here {said}."),
        None if OF_SECURITY.iter().any(|begun| name.starts_with(begun)) => {
            " Nobody is asked who they are in this version.".to_owned()
        }
        None => did_you_mean(name, names()),
    };
    let known = names().collect::<Vec<_>>().join(", ");
    format!("-X: there is no client setting '{name}'.{hint} Known: {known}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Machine;
    use crate::config::load::{Inputs, load};

    fn read(given: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<ClientSettings, Vec<String>> {
        let given: Vec<_> = given.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        let of = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
        };
        ClientSettings::read(&given, of)
    }

    #[test]
    fn a_flag_wins_over_its_variable() {
        let settings = read(&[("linger.ms", "1s")], &[("WEIR_LINGER_MS", "5"), ("WEIR_BATCH_BYTES", "1KiB")]);
        let settings = settings.expect("right");
        assert_eq!(
            ["linger.ms", "batch.bytes", "buffer.bytes"].map(|key| settings.get(key)),
            [Some(1_000), Some(1_024), None]
        );
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let given = [
            ("linger.mss", "1"),
            ("batch.bytes", "lots"),
            ("linger.ms", "1"),
            ("linger.ms", "2"),
            ("buffer.bytes", "-1"),
        ];
        let errors = read(&given, &[("WEIR_FETCH_MAX_BYTES", "many")]).expect_err("five mistakes");
        let starts = [
            "environment variable WEIR_FETCH_MAX_BYTES: 'many' is not a size",
            "-X: there is no client setting 'linger.mss'. Did you mean 'linger.ms'? Known: batch.bytes",
            "-X batch.bytes: 'lots' is not a size",
            "-X linger.ms is given twice",
            "-X buffer.bytes: '-1' is below zero",
        ];
        assert_eq!(errors.len(), starts.len(), "{errors:?}");
        for (error, start) in errors.iter().zip(starts) {
            assert!(error.starts_with(start), "{error}");
        }
    }

    #[test]
    fn keys_of_other_clients_are_told_where_they_are_said_here() {
        for (key, words) in [
            ("auto.offset.reset", "Here consume takes -o start or -o end. Known: batch.bytes"),
            ("batch.size", "Here batch.bytes sets it."),
            ("sasl.mechanism", "Nobody is asked who they are"),
        ] {
            let errors = read(&[(key, "x")], &[]).expect_err(key);
            assert!(errors[0].contains(words), "{errors:?}");
        }
        assert!(OTHERS.iter().all(|(keys, _)| KEYS.iter().all(|key| !keys.contains(&key.name))));
    }

    #[test]
    fn a_broker_leaves_the_variables_of_clients_alone() {
        let environment = KEYS.iter().map(|key| (variable_of(key.name), "1".to_owned())).collect();
        let machine = Machine { memory_bytes: 1 << 30, cores: 1, descriptors_max: 1_024 };
        load(&Inputs { environment, ..Inputs::default() }, &machine).expect("not its own");
    }
}

//! Checks of what a request may set on a topic: configs and the partition count.

use std::collections::BTreeSet;

use crate::base::limits::TOPIC_PARTITIONS_MAX;
use crate::base::{Error, ErrorKind};
use crate::broker::lookup::shown;
use crate::cluster::{Configs, Topic};
use crate::config::topic::topic_key;
use crate::config::{ConfigError, TopicConfig};

/// Wrong configs that one error names.
const CONFIGS_NAMED_MAX: usize = 8;

/// Whether these configs can be set. Errors: INVALID_CONFIG with the first mistakes.
pub fn check_configs(topic: &str, configs: &Configs) -> Result<(), Error> {
    let errors = mistakes(configs);
    if errors.is_empty() { Ok(()) } else { Err(invalid_configs(topic, &errors)) }
}

fn mistakes(configs: &Configs) -> Vec<ConfigError> {
    let pairs = configs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    TopicConfig::from_pairs(pairs).err().unwrap_or_default()
}

/// The configs of a topic after a change.
///
/// Errors: INVALID_REQUEST when a key is both set and deleted; INVALID_CONFIG for unknown keys and bad values.
pub fn changed_configs(topic: &Topic, set: &Configs, delete: &BTreeSet<String>) -> Result<Configs, Error> {
    if let Some(key) = delete.iter().find(|key| set.contains_key(*key)) {
        let message = format!("config '{}' is both set and deleted; do one of the two", shown(key));
        return Err(Error::new(ErrorKind::InvalidRequest, message).with("key", shown(key)));
    }
    let mut errors: Vec<_> = delete.iter().filter_map(|key| topic_key(key).err()).collect();
    let mut configs = topic.configs.clone();
    configs.retain(|key, _| !delete.contains(key));
    configs.extend(set.clone());
    errors.extend(mistakes(&configs));
    if errors.is_empty() { Ok(configs) } else { Err(invalid_configs(&topic.name, &errors)) }
}

/// Whether a topic may have this many partitions. Errors: INVALID_PARTITIONS with the range.
pub fn check_partition_count(topic: &str, count: i32) -> Result<(), Error> {
    if (1..=TOPIC_PARTITIONS_MAX).contains(&count) {
        return Ok(());
    }
    let message = format!(
        "topic '{topic}' can't have {count} partitions; give a count from 1 to {TOPIC_PARTITIONS_MAX}"
    );
    Err(Error::new(ErrorKind::InvalidPartitions, message)
        .with("topic", topic)
        .with("min", 1)
        .with("max", TOPIC_PARTITIONS_MAX))
}

fn invalid_configs(topic: &str, errors: &[ConfigError]) -> Error {
    let named = &errors[..errors.len().min(CONFIGS_NAMED_MAX)];
    let reasons: Vec<String> = named.iter().map(ToString::to_string).collect();
    let keys: Vec<String> = named.iter().map(|error| error.key.clone()).collect();
    let more = match errors.len() - named.len() {
        0 => String::new(),
        left => format!("; and {left} more"),
    };
    let message = format!("configs of topic '{topic}' can't be used: {}{more}", reasons.join("; "));
    Error::new(ErrorKind::InvalidConfig, message).with("topic", topic).with("keys", keys.join(","))
}

//! A `server.properties` of Kafka as a config file: what Weir has of it is taken, all else is told and left out. Pure.
//!
//! Lines are `key=value`, `key: value` or `key value`; `#` and `!` begin comments; a `\` at the end joins the next line. Weir's own
//! keys may stand there too.

use super::broker::BROKER_KEYS;
use super::def::Value;
use super::topic::topic_key;
use crate::base::closest::did_you_mean;
use crate::base::limits::TOPIC_PARTITIONS_MAX;

/// Keys of Kafka's brokers that are one of Weir's.
const SAME: &[(&str, &str)] = &[("broker.id", "node.id"), ("log.dir", "data.dir"), ("log.dirs", "data.dir")];

/// Defaults of topics that Kafka's brokers hold: key there, key of a Weir topic, unit of the value.
pub const OF_TOPICS: &[(&str, &str, &str)] = &[
    ("compression.type", "compression.type", ""),
    ("log.cleaner.delete.retention.ms", "delete.retention.ms", "ms"),
    ("log.cleaner.max.compaction.lag.ms", "max.compaction.lag.ms", "ms"),
    ("log.cleaner.min.cleanable.ratio", "min.cleanable.dirty.ratio", ""),
    ("log.cleaner.min.compaction.lag.ms", "min.compaction.lag.ms", "ms"),
    ("log.cleanup.policy", "cleanup.policy", ""),
    ("log.flush.interval.ms", "flush.ms", "ms"),
    ("log.message.timestamp.after.max.ms", "message.timestamp.after.max.ms", "ms"),
    ("log.message.timestamp.type", "message.timestamp.type", ""),
    ("log.retention.bytes", "retention.bytes", ""),
    ("log.retention.hours", "retention.ms", "h"),
    ("log.retention.minutes", "retention.ms", "m"),
    ("log.retention.ms", "retention.ms", "ms"),
    ("log.roll.hours", "segment.ms", "h"),
    ("log.roll.ms", "segment.ms", "ms"),
    ("log.segment.bytes", "segment.bytes", ""),
    ("message.max.bytes", "max.message.bytes", ""),
];

/// What a key of a topic needs beside it.
const WITH: &[(&str, &str)] = &[("flush.ms", "-c flush=interval ")];

/// Keys of Kafka that say the same in other units: each with those that win over it.
const STRONGER: &[(&str, &[&str])] = &[
    ("log.retention.hours", &["log.retention.ms", "log.retention.minutes"]),
    ("log.retention.minutes", &["log.retention.ms"]),
    ("log.roll.hours", &["log.roll.ms"]),
];

/// How other keys of Kafka begin, and why they have no place here.
const WITHOUT: &[(&str, &str)] = &[
    ("advertised.listeners", "clients keep the address that they dialled"),
    ("authorizer", NO_SECURITY),
    ("controller", "one broker is its own controller"),
    ("default.replication.factor", "this version keeps 1 copy of each partition"),
    (
        "group.",
        "members of a group say themselves how long they may be silent; `weir group --help` shows the commands of groups",
    ),
    ("inter.broker", "there is one broker"),
    ("listener", "clients of Kafka are not served yet; listen=HOST:PORT says where gRPC is"),
    ("min.insync.replicas", "this version keeps 1 copy of each partition"),
    ("num.io.threads", "shards=N says how many threads serve connections"),
    ("num.network.threads", "shards=N says how many threads serve connections"),
    (
        "log.cleaner.",
        "compaction runs by itself where cleanup.policy=compact asks for it; compaction.memory.bytes bounds its memory",
    ),
    ("log.flush.", "flush, flush.ms and flush.bytes of each topic say when records are synced"),
    ("offsets.", "where groups keep their offsets is made by itself, with the first group"),
    ("process.roles", "one broker is all of them"),
    ("sasl.", NO_SECURITY),
    ("security.", NO_SECURITY),
    ("ssl.", NO_SECURITY),
    ("transaction.", "this version has no transactions"),
    ("zookeeper.", "Weir needs no ZooKeeper"),
];

const NO_SECURITY: &str = "nobody is asked who they are yet; keep to the loopback address";

/// What a line of the file means here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Meaning {
    /// This broker setting with this value.
    Setting(&'static str, String),
    /// Nothing, and why.
    LeftOut(String),
    /// It can't be used, and why.
    Wrong(&'static str, String),
}

/// Whether a config file is one of Kafka's, by its name.
pub fn is_properties(name: &str) -> bool {
    name.ends_with(".properties")
}

/// Every key of the file with its line, counted from 1, and what it means.
pub fn read(text: &str) -> Vec<(usize, String, Meaning)> {
    let lines = lines(text);
    let keys: Vec<&str> = lines.iter().map(|(_, key, _)| key.as_str()).collect();
    let meaning = |(line, key, value): &(usize, String, String)| {
        let meaning = match winner(key, &keys) {
            Some(winner) => Meaning::LeftOut(format!("{winner} stands here as well and wins over it")),
            None => meaning(key, value),
        };
        (*line, key.clone(), meaning)
    };
    lines.iter().map(meaning).collect()
}

/// The key among those of a file that makes another one idle.
fn winner(key: &str, keys: &[&str]) -> Option<&'static str> {
    let (_, stronger) = STRONGER.iter().find(|(weaker, _)| *weaker == key)?;
    stronger.iter().find(|stronger| keys.contains(stronger)).copied()
}

/// Keys and values with the line that each begins on.
fn lines(text: &str) -> Vec<(usize, String, String)> {
    let mut found = Vec::new();
    let mut lines = text.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        let mut whole = line.trim().to_owned();
        if whole.is_empty() || whole.starts_with(['#', '!']) {
            continue;
        }
        while let Some(begun) = whole.strip_suffix('\\') {
            let next = lines.next().map_or("", |(line, _)| line.trim());
            whole = format!("{begun}{next}");
        }
        let end = whole.find(|letter: char| matches!(letter, '=' | ':') || letter.is_whitespace());
        let (key, rest) = whole.split_at(end.unwrap_or(whole.len()));
        let rest = rest.trim_start();
        let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim();
        found.push((number, key.to_owned(), value.to_owned()));
    }
    found
}

fn meaning(key: &str, value: &str) -> Meaning {
    let same = SAME.iter().find(|(theirs, _)| *theirs == key).map_or(key, |(_, ours)| *ours);
    if let Some(row) = BROKER_KEYS.iter().find(|row| row.key.name == same) {
        if row.key.name == "data.dir" && value.contains(',') {
            let what =
                format!("{key} names several folders, and Weir keeps everything in one: name that one");
            return Meaning::Wrong(row.key.name, what);
        }
        return Meaning::Setting(row.key.name, value.to_owned());
    }
    if key == "num.partitions" {
        return Meaning::LeftOut(advice_on_partitions(value));
    }
    if let Some((_, ours, unit)) = OF_TOPICS.iter().find(|(theirs, ..)| *theirs == key) {
        return Meaning::LeftOut(advice_on_topics(ours, value, unit));
    }
    let why = WITHOUT.iter().find(|(begun, _)| key.starts_with(begun)).map(|(_, why)| *why);
    Meaning::LeftOut(why.map_or_else(|| unknown(key), str::to_owned))
}

fn unknown(key: &str) -> String {
    let ours = BROKER_KEYS.iter().map(|row| row.key.name);
    let theirs = SAME.iter().map(|(theirs, _)| *theirs).chain(OF_TOPICS.iter().map(|(theirs, ..)| *theirs));
    let end = match did_you_mean(key, ours.chain(theirs)) {
        hint if hint.is_empty() => ";".to_owned(),
        hint => format!(".{hint}"),
    };
    format!("Weir has no such key{end} `weir serve --print-config` lists them")
}

/// The command that gives a topic this setting; where it can't have it, why.
fn advice_on_topics(ours: &str, value: &str, unit: &str) -> String {
    let unit = if value.parse::<u64>().is_ok() { unit } else { "" };
    match topic_key(ours).and_then(|row| row.key.parse(&format!("{value}{unit}"))) {
        Ok(parsed) => {
            let with = WITH.iter().find(|(key, _)| *key == ours).map_or("", |(_, with)| with);
            // WHY without blanks: "1 GiB" is one value in a file, and two words of a command line.
            let value = match parsed {
                Value::Word(word) => word.to_owned(),
                _ => format!("{}{unit}", value.split_whitespace().collect::<String>()),
            };
            format!("each topic has its own: weir topic create NAME {with}-c {ours}={value}")
        }
        Err(error) => format!("each topic has its own, and can't have this one: {error}"),
    }
}

fn advice_on_partitions(value: &str) -> String {
    match value.parse().is_ok_and(|count: i32| (1..=TOPIC_PARTITIONS_MAX).contains(&count)) {
        true => format!("each topic has its own: weir topic create NAME -p {value}"),
        false => format!("each topic has its own, from 1 to {TOPIC_PARTITIONS_MAX}: -p N when it is made"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::topic::topic_key;

    #[test]
    fn lines_are_those_of_java() {
        let text = "# c\n! c\n\n a = 1 \nb:2\r\nc 3\nd=x\\\n   y\ne\nf = g=h\ni=\\";
        let found = lines(text);
        let found: Vec<(usize, &str, &str)> =
            found.iter().map(|(line, key, value)| (*line, key.as_str(), value.as_str())).collect();
        let expected = [
            (4, "a", "1"),
            (5, "b", "2"),
            (6, "c", "3"),
            (7, "d", "xy"),
            (9, "e", ""),
            (10, "f", "g=h"),
            (11, "i", ""),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn every_key_has_a_meaning() {
        let setting = |key, value: &str| Meaning::Setting(key, value.to_owned());
        assert_eq!(meaning("broker.id", "3"), setting("node.id", "3"));
        assert_eq!(meaning("log.dirs", "/var/kafka"), setting("data.dir", "/var/kafka"));
        assert_eq!(meaning("shards", "2"), setting("shards", "2"));
        assert!(matches!(meaning("log.dirs", "/a,/b"), Meaning::Wrong("data.dir", _)));
        for (key, value, words) in [
            ("log.retention.hours", "168", "-c retention.ms=168h"),
            ("log.retention.hours", "-1", "-c retention.ms=-1"),
            ("num.partitions", "6", "create NAME -p 6"),
            ("listeners", "PLAINTEXT://:9092", "listen=HOST:PORT"),
            ("ssl.keystore.location", "x", "nobody is asked"),
            ("zookeeper.connect", "x", "no ZooKeeper"),
            ("foo.bar", "x", "Weir has no such key; `weir serve"),
            ("log.levle", "debug", "Weir has no such key. Did you mean 'log.level'? `weir serve"),
            ("log.retention.hour", "1", "Did you mean 'log.retention.hours'?"),
            ("log.retention.ms", "", "can't have this one: retention.ms: "),
            ("log.segment.bytes", "14", "can't have this one: segment.bytes: 14 is out of range"),
            ("log.cleanup.policy", "compact, delete", "-c cleanup.policy=compact,delete"),
            ("log.flush.interval.ms", "1000", "create NAME -c flush=interval -c flush.ms=1000ms"),
            ("num.partitions", "0", "from 1 to 10000: -p N when it is made"),
            ("offsets.topic.num.partitions", "50", "with the first group"),
            ("log.cleaner.enable", "true", "compaction runs by itself"),
        ] {
            let Meaning::LeftOut(why) = meaning(key, value) else { panic!("{key} is taken") };
            assert!(why.contains(words), "{key}: {why}");
        }
    }

    #[test]
    fn of_two_units_only_the_one_that_wins_is_advised() {
        let text = "log.retention.hours=168\nlog.retention.minutes=5\nlog.roll.ms=9\nlog.roll.hours=1";
        let told: Vec<String> =
            read(text).into_iter().map(|(_, _, meaning)| format!("{meaning:?}")).collect();
        assert!(told[0].contains("log.retention.minutes stands here as well and wins over it"), "{told:?}");
        assert!(told[1].contains("-c retention.ms=5m") && told[2].contains("-c segment.ms=9ms"), "{told:?}");
        assert!(told[3].contains("log.roll.ms stands here as well"), "{told:?}");
    }

    #[test]
    fn what_the_tables_advise_is_there() {
        assert!(OF_TOPICS.iter().all(|(_, ours, _)| topic_key(ours).is_ok()));
        assert!(SAME.iter().all(|(_, ours)| BROKER_KEYS.iter().any(|row| row.key.name == *ours)));
    }
}

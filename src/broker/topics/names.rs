//! Which names topics may have: Kafka's rules, and none that begin with `__`.

use crate::base::limits::TOPIC_NAME_BYTES_MAX;
use crate::base::{Error, ErrorKind};
use crate::broker::errors::internal_topic;
use crate::broker::lookup::shown;
use crate::cluster::Image;

/// How names of the broker's own topics begin.
const INTERNAL_PREFIX: &str = "__";

/// Whether a topic of this name is the broker's own.
pub fn is_internal(name: &str) -> bool {
    name.starts_with(INTERNAL_PREFIX)
}

/// Refuses to change a topic of the broker's own. Errors: POLICY_VIOLATION.
pub fn refuse_internal(name: &str) -> Result<(), Error> {
    if is_internal(name) { Err(internal_topic(&shown(name))) } else { Ok(()) }
}

/// Whether a new topic may have this name.
///
/// Errors: INVALID_TOPIC with what is wrong and where; TOPIC_EXISTS.
pub fn check_new(image: &Image, name: &str) -> Result<(), Error> {
    if let Some(what) = fault(name) {
        return Err(invalid(name, &what));
    }
    if image.topic(name).is_some() {
        let message = format!("topic '{name}' exists already; {}", ErrorKind::TopicExists.row().advice);
        return Err(Error::new(ErrorKind::TopicExists, message).with("topic", name));
    }
    match image.topics().find(|topic| collide(&topic.name, name)) {
        Some(topic) => Err(invalid(
            name,
            &format!(
                "it differs from topic '{}' only in '.' and '_', and would share its metrics",
                topic.name
            ),
        )),
        None => Ok(()),
    }
}

fn invalid(name: &str, what: &str) -> Error {
    let (kind, name) = (ErrorKind::InvalidTopic, shown(name));
    Error::new(kind, format!("topic name '{name}' can't be used: {what}; {}", kind.row().advice))
        .with("topic", name)
}

/// What is wrong with a name by itself.
fn fault(name: &str) -> Option<String> {
    let is_legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    if name.is_empty() {
        return Some("it is empty".to_owned());
    }
    if name.len() > TOPIC_NAME_BYTES_MAX {
        return Some(format!("it has {} bytes, at most {TOPIC_NAME_BYTES_MAX} are allowed", name.len()));
    }
    if let Some((at, letter)) = name.chars().enumerate().find(|(_, letter)| !is_legal(*letter)) {
        return Some(format!("it has the illegal character '{}' at {at}", letter.escape_debug()));
    }
    if name == "." || name == ".." {
        return Some("it would be a path".to_owned());
    }
    is_internal(name).then(|| format!("names that begin with '{INTERNAL_PREFIX}' are the broker's own"))
}

/// Metrics turn '.' into '_', so that two such topics could not be told apart there (Kafka's rule).
fn collide(one: &str, other: &str) -> bool {
    let plain = |byte: u8| if byte == b'.' { b'_' } else { byte };
    one.len() == other.len() && one.bytes().zip(other.bytes()).all(|(a, b)| plain(a) == plain(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::TopicId;
    use crate::cluster::{Command, Configs};

    fn check(name: &str) -> Result<(), String> {
        let create = Command::CreateTopic {
            topic_id: TopicId([1; 16]),
            name: "a_b".to_owned(),
            partition_count: 1,
            configs: Configs::new(),
        };
        let image = Image::default().apply(&create, 0).expect("new");
        check_new(&image, name).map_err(|error| error.to_string())
    }

    #[test]
    fn good_names_pass() {
        for name in ["a", "A", "x-0", "a.b.c", "_x", "a__b", "...", &"n".repeat(249)] {
            check(name).expect(name);
        }
    }

    #[test]
    fn bad_names_are_told_what_is_wrong() {
        let long = "n".repeat(250);
        let cases = [
            ("", "it is empty"),
            (".", "it would be a path"),
            ("..", "it would be a path"),
            ("../../etc/x", "illegal character '/' at 2"),
            ("a\0", "illegal character '\\0' at 1"),
            ("a\nb", "illegal character '\\n' at 1"),
            ("\x1b[31m", "illegal character '\\u{1b}' at 0"),
            ("é", "illegal character 'é' at 0"),
            ("a\u{202e}b", "illegal character '\\u{202e}' at 1"),
            (long.as_str(), "it has 250 bytes, at most 249"),
            ("__cluster_metadata", "are the broker's own"),
            ("a.b", "differs from topic 'a_b' only in '.' and '_'"),
        ];
        for (name, what) in cases {
            let error = check(name).expect_err(name);
            assert!(error.contains(what) && error.ends_with("[INVALID_TOPIC]"), "{name:?}: {error}");
            assert!(error.len() < 400 && !error.contains(['\0', '\n', '\x1b']), "{error}");
        }
        assert!(check("a_b").expect_err("there").ends_with("[TOPIC_EXISTS]"));
    }

    #[test]
    fn topics_of_the_broker_are_left_alone() {
        let error = refuse_internal("__consumer_offsets").expect_err("internal");
        assert_eq!(error.kind, ErrorKind::PolicyViolation);
        refuse_internal("orders").expect("a user's");
    }
}

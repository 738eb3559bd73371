//! Which names topics may have: Kafka's rules, and none that begin with `__`.

pub use crate::base::topic_name::is_internal;
use crate::base::topic_name::{fault, shown};
use crate::base::{Error, ErrorKind};
use crate::broker::errors::internal_topic;
use crate::broker::lookup::find_topic;
use crate::cluster::Image;

/// Refuses to change a topic of the broker's own. Errors: POLICY_VIOLATION; TOPIC_NOT_FOUND where there is none of such a name.
pub fn refuse_internal(image: &Image, name: &str) -> Result<(), Error> {
    match is_internal(name) {
        true => Err(internal_topic(&find_topic(image, name)?.name)),
        false => Ok(()),
    }
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
    let advice = match is_internal(&name) {
        true => "choose a name without leading __",
        false => kind.row().advice,
    };
    Error::new(kind, format!("topic name '{name}' can't be used: {what}; {advice}")).with("topic", name)
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

    /// Metadata of one topic.
    fn image_of(name: &str) -> Image {
        let create = Command::CreateTopic {
            topic_id: TopicId([1; 16]),
            name: name.to_owned(),
            partition_count: 1,
            configs: Configs::new(),
        };
        Image::default().apply(&create, 0).expect("new")
    }

    fn check(name: &str) -> Result<(), String> {
        check_new(&image_of("a_b"), name).map_err(|error| error.to_string())
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
            ("__cluster_metadata", "are the broker's own; choose a name without leading __"),
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
        let image = image_of("__consumer_offsets");
        let refused = |name| refuse_internal(&image, name).err().map(|error| error.kind);
        assert_eq!(refused("__consumer_offsets"), Some(ErrorKind::PolicyViolation));
        assert_eq!(refused("__x"), Some(ErrorKind::TopicNotFound), "as every other command says");
        assert_eq!(refused("orders"), None, "a user's");
    }
}

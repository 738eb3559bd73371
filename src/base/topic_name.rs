//! Names of topics: which ones a topic may have, and what is said of one that no topic has.

use super::error::{Error, ErrorKind};
use super::limits::TOPIC_NAME_BYTES_MAX;

/// How names of the broker's own topics begin.
const INTERNAL_PREFIX: &str = "__";

/// Most letters of a name that an error repeats.
const SHOWN_LETTERS_MAX: usize = 64;

/// Whether a topic of this name is the broker's own.
pub fn is_internal(name: &str) -> bool {
    name.starts_with(INTERNAL_PREFIX)
}

/// Why no new topic may have a name, whatever other topics there are; nothing when one may. Kafka's rules, and none that begins with `__`.
pub fn fault(name: &str) -> Option<String> {
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

/// The error for a name that no topic has, with the name that is most like it. Nobody is sent to make a topic that can't be made.
pub fn not_found(name: &str, closest: Option<&str>) -> Error {
    let shown = shown(name);
    let kind = ErrorKind::TopicNotFound;
    let error =
        |end: String| Error::new(kind, format!("topic '{shown}' does not exist{end}")).with("topic", &shown);
    match (closest, fault(name)) {
        (Some(found), _) => error(format!(". Did you mean '{found}'?")).with("closest", found),
        (None, Some(fault)) => error(format!(", and none can have that name: {fault}; correct it")),
        (None, None) => error(format!("; {}", kind.row().advice)),
    }
}

/// What a person sees of a name that somebody sent: control characters escaped, long ones cut.
pub fn shown(name: &str) -> String {
    let mut letters = name.chars();
    let mut text: String = letters.by_ref().take(SHOWN_LETTERS_MAX).flat_map(char::escape_debug).collect();
    if letters.next().is_some() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_made_is_to_be_made() {
        let told = |name, closest| not_found(name, closest).message;
        assert_eq!(
            told("orders", None),
            "topic 'orders' does not exist; create the topic, or correct the name"
        );
        assert_eq!(told("ordres", Some("orders")), "topic 'ordres' does not exist. Did you mean 'orders'?");
        for (name, why) in [
            ("", "topic '' does not exist, and none can have that name: it is empty; correct it"),
            ("__x", "names that begin with '__' are the broker's own; correct it"),
            ("a b", "it has the illegal character ' ' at 1; correct it"),
        ] {
            let told = told(name, None);
            assert!(told.contains(why) && !told.contains("create"), "{told}");
        }
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(shown(&"x".repeat(65)), format!("{}…", "x".repeat(64)));
        assert_eq!(shown(&"x".repeat(64)), "x".repeat(64));
    }
}

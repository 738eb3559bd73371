//! The topics that a command names, and the end of a command on several of them.

use serde_json::{Value, json};

use crate::base::{Error, ErrorKind};
use crate::cli::exit::{Exit, Failure, in_words};
use crate::cli::global::is_glob;
use crate::cli::output::{error_json, print_error};
use crate::client::{Admin, Topic};

/// Topics that were named, and those that were not found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) topics: Vec<Topic>,
    pub(super) missing: Vec<Error>,
}

impl Found {
    /// The names that were not found, and why.
    pub(super) fn errors_json(&self) -> Value {
        let show = |error: &Error| json!({ "topic": name_of(error), "error": error_json(error) });
        self.missing.iter().map(show).collect()
    }
}

/// The topic, or the glob, that an error is about.
pub(super) fn name_of(error: &Error) -> String {
    error.metadata.get("topic").cloned().unwrap_or_default()
}

/// Looks up topics by name or glob.
///
/// Errors: the broker can't be asked; a name without a topic is in [`Found::missing`].
pub(super) async fn find(admin: &Admin, names: &[String]) -> Result<Found, Failure> {
    let mut found = Found::default();
    for name in names {
        if is_glob(name) {
            let topics = admin.list_topics().matching(name).await?;
            if topics.is_empty() {
                let message = format!("no topic matches '{name}'; `weir topic list` shows all");
                found.missing.push(Error::new(ErrorKind::TopicNotFound, message).with("topic", name));
            }
            found.topics.extend(topics);
            continue;
        }
        match admin.describe_topic(name).await {
            Ok(topic) => found.topics.push(topic),
            Err(error) if error.kind == ErrorKind::TopicNotFound => found.missing.push(error),
            Err(error) => return Err(error.into()),
        }
    }
    let mut seen = std::collections::HashSet::new();
    found.topics.retain(|topic| seen.insert(topic.name.clone()));
    Ok(found)
}

/// Prints the errors of single items and tells how the command ends with them.
pub(super) fn report<'a>(errors: impl IntoIterator<Item = &'a Error>) -> Exit {
    let one = |end: Exit, error: &Error| {
        print_error(&in_words(error));
        end.and(Exit::of(error.kind))
    };
    errors.into_iter().fold(Exit::Done, one)
}

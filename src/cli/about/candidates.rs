//! What a shell is offered: names of topics, groups and contexts as they are now, partitions, keys of settings, places, subjects.

use std::ffi::OsStr;
use std::time::Duration;

use clap_complete::CompletionCandidate;

use super::cheat;
use super::tree::tree;
use crate::cli::context::ClientSettings;
use crate::cli::contexts;
use crate::cli::global::{Global, duration};
use crate::cli::run::runtime;
use crate::client::{Admin, Client};
use crate::config::broker::BROKER_KEYS;
use crate::config::def::{Key, KeyKind};
use crate::config::topic::TOPIC_KEYS;

/// How long a shell waits for names.
const PATIENCE: Duration = Duration::from_millis(150);
/// The variable that says how long instead.
const PATIENCE_VARIABLE: &str = "WEIR_COMPLETION_TIMEOUT";
/// Most partitions that are offered: more fill a screen.
const PARTITIONS_MAX: i32 = 100;

/// Places in a log, as people mean them most of the time.
const PLACES: &[(&str, &str)] = &[
    ("start", "the first record that there is"),
    ("end", "what comes from now on"),
    ("-10", "the last 10 of each partition"),
    ("@-1h", "what is not older than an hour"),
    ("@-1d", "what is not older than a day"),
];

/// Topics, from the broker that the line, the variables or the context name; none when it does not answer.
pub fn topic_names(begun: &OsStr) -> Vec<CompletionCandidate> {
    let names = ask(async |admin| {
        let topics = admin.list_topics().await.ok()?;
        Some(topics.into_iter().map(|topic| topic.name).collect())
    });
    fitting(begun, names)
}

/// Groups, likewise.
pub fn group_names(begun: &OsStr) -> Vec<CompletionCandidate> {
    let names = ask(async |admin| {
        let groups = admin.list_groups().await.ok()?.groups;
        Some(groups.into_iter().map(|group| group.name).collect())
    });
    fitting(begun, names)
}

/// Partitions of the topics that stand on the line, likewise.
pub fn partitions(begun: &OsStr) -> Vec<CompletionCandidate> {
    let words: Vec<String> = std::env::args().collect();
    let numbers = ask(async |admin| {
        let topics = admin.list_topics().await.ok()?;
        let on_line = topics.into_iter().filter(|topic| words.contains(&topic.name));
        let count = on_line.map(|topic| topic.partitions.len() as i32).max()?;
        Some((0..count.min(PARTITIONS_MAX)).map(|number| number.to_string()).collect())
    });
    fitting(begun, numbers)
}

/// Contexts that were added.
pub fn context_names(begun: &OsStr) -> Vec<CompletionCandidate> {
    fitting(begun, contexts::names())
}

/// Subjects of the cheat sheet.
pub fn subjects(begun: &OsStr) -> Vec<CompletionCandidate> {
    fitting(begun, cheat::titles().map(str::to_owned).collect())
}

/// Commands below the path that stands behind `help`.
pub(super) fn command_names(begun: &OsStr) -> Vec<CompletionCandidate> {
    let words: Vec<String> = std::env::args().collect();
    // The last word is the one that was begun.
    let path = words[..words.len().saturating_sub(1)].iter().skip_while(|word| *word != "help").skip(1);
    let mut here = tree();
    for word in path {
        match here.commands.into_iter().find(|command| command.is_called(word)) {
            Some(next) => here = next,
            None => return Vec::new(),
        }
    }
    fitting(begun, here.commands.into_iter().map(|command| command.name).collect())
}

/// Places where a reader may begin.
pub fn places(begun: &OsStr) -> Vec<CompletionCandidate> {
    let begun = begun.to_string_lossy();
    let fits = PLACES.iter().filter(|(place, _)| place.starts_with(&*begun));
    fits.map(|(place, meaning)| CompletionCandidate::new(place).help(Some((*meaning).into()))).collect()
}

/// Keys of topics.
pub fn topic_keys(begun: &OsStr) -> Vec<CompletionCandidate> {
    fitting(begun, TOPIC_KEYS.iter().map(|row| row.key.name.to_owned()).collect())
}

/// Settings of topics: keys, and behind `=` the words that one takes.
pub fn topic_settings(begun: &OsStr) -> Vec<CompletionCandidate> {
    fitting(begun, TOPIC_KEYS.iter().flat_map(|row| settings(&row.key)).collect())
}

/// What `-X` takes: settings of the client and, for `serve`, of the broker.
pub fn all_settings(begun: &OsStr) -> Vec<CompletionCandidate> {
    let of_client = ClientSettings::keys().map(|key| format!("{key}="));
    fitting(begun, of_client.chain(BROKER_KEYS.iter().flat_map(|row| settings(&row.key))).collect())
}

fn settings(key: &Key) -> Vec<String> {
    match key.kind {
        KeyKind::Word(words) => words.choices.iter().map(|word| format!("{}={word}", key.name)).collect(),
        KeyKind::Bool => ["true", "false"].map(|word| format!("{}={word}", key.name)).into(),
        _ => vec![format!("{}=", key.name)],
    }
}

fn fitting(begun: &OsStr, names: Vec<String>) -> Vec<CompletionCandidate> {
    let begun = begun.to_string_lossy();
    let names = names.into_iter().filter(|name| name.starts_with(&*begun));
    names.map(CompletionCandidate::new).collect()
}

fn ask(question: impl AsyncFn(Admin) -> Option<Vec<String>>) -> Vec<String> {
    let asked = async { question(admin().await?).await };
    runtime().ok().and_then(|runtime| runtime.block_on(asked)).unwrap_or_default()
}

async fn admin() -> Option<Admin> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let words: Vec<String> = std::env::args().collect();
    let mut global = match (on_line(&words, "-b", "--bootstrap"), on_line(&words, "-C", "--context")) {
        (Some(broker), _) => Global::of_broker(broker, String::new()),
        (None, Some(context)) => Global::of_broker(String::new(), context),
        (None, None) => Global::of_broker(variable("WEIR_BOOTSTRAP"), variable("WEIR_CONTEXT")),
    };
    contexts::resolve(&mut global).ok()?;
    let patience = duration(&variable(PATIENCE_VARIABLE)).unwrap_or(PATIENCE);
    let builder = Client::builder(&global.bootstrap).connect_timeout(patience).request_timeout(patience);
    Some(builder.connect().await.ok()?.admin())
}

/// The value that a flag has on a line that is not finished, in any of its spellings.
fn on_line(words: &[String], short: &str, long: &str) -> Option<String> {
    let value = |(at, word): (usize, &String)| match word.strip_prefix(long) {
        Some("") => words.get(at + 1).cloned(),
        Some(value) => value.strip_prefix('=').map(str::to_owned),
        None => match word.strip_prefix(short)? {
            "" => words.get(at + 1).cloned(),
            value => Some(value.strip_prefix('=').unwrap_or(value).to_owned()),
        },
    };
    words.iter().enumerate().find_map(value).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_found_in_every_spelling() {
        for line in [
            "weir -b h:1 topic",
            "weir topic -bh:1",
            "weir -b=h:1",
            "weir --bootstrap h:1",
            "weir --bootstrap=h:1",
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(on_line(&words, "-b", "--bootstrap").as_deref(), Some("h:1"), "{line}");
            assert_eq!(on_line(&words, "-C", "--context"), None, "{line}");
        }
        let cut_off = ["weir", "topic", "-b"].map(str::to_owned);
        assert_eq!(on_line(&cut_off, "-b", "--bootstrap"), None);
    }
}

//! Which topic command, on which topics.

use super::args::{TopicArgs, TopicCommand};
use super::{change, keys, show, trim};
use crate::base::{Error, ErrorKind};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, in_words};
use crate::cli::output::print_error;
use crate::cli::progress::with_progress;
use crate::client::{Admin, Topic};

/// Runs a topic command.
pub async fn run(context: &Context, args: &TopicArgs) -> Result<Exit, Failure> {
    with_progress(context, run_command(context, &args.command)).await
}

async fn run_command(context: &Context, command: &TopicCommand) -> Result<Exit, Failure> {
    let admin = context.client().await?.admin();
    match command {
        TopicCommand::Create(args) => change::create(context, &admin, args).await,
        TopicCommand::List(args) => show::list(context, &admin, args).await,
        TopicCommand::Describe(args) => show::describe(context, &admin, args).await,
        TopicCommand::Alter(args) => change::alter(context, &admin, args).await,
        TopicCommand::Delete(args) => change::delete(context, &admin, args).await,
        TopicCommand::Trim(args) => trim::run(context, &admin, args).await,
        TopicCommand::ConfigKeys(args) => keys::run(context, &admin, args).await,
    }
}

/// Topics that were named, and those that were not found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) topics: Vec<Topic>,
    pub(super) missing: Vec<Error>,
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
                found.missing.push(Error::new(ErrorKind::TopicNotFound, message));
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

fn is_glob(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// Prints the errors of single items and tells how the command ends with them.
pub(super) fn report<'a>(errors: impl IntoIterator<Item = &'a Error>) -> Exit {
    let one = |end: Exit, error: &Error| {
        print_error(&in_words(error));
        end.and(Exit::of(error.kind))
    };
    errors.into_iter().fold(Exit::Done, one)
}

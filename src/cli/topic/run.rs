//! Which topic command, on which topics.

use super::args::{TopicArgs, TopicCommand};
use super::{change, keys, show, trim};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::progress::with_progress;

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

//! Which group command.

use super::args::{GroupArgs, GroupCommand};
use super::{delete, describe, lag, list, reset};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::progress::with_progress;

/// Runs a group command.
pub async fn run(context: &Context, args: &GroupArgs) -> Result<Exit, Failure> {
    with_progress(context, run_command(context, &args.command)).await
}

async fn run_command(context: &Context, command: &GroupCommand) -> Result<Exit, Failure> {
    let client = context.client().await?;
    let admin = client.admin();
    match command {
        GroupCommand::List(args) => list::run(context, &admin, args).await,
        GroupCommand::Describe(args) => describe::run(context, &client, args).await,
        GroupCommand::Lag(args) => lag::run(context, &client, args).await,
        GroupCommand::ResetOffsets(args) => reset::run(context, &admin, args).await,
        GroupCommand::Delete(args) => delete::groups(context, &admin, args).await,
        GroupCommand::DeleteOffsets(args) => delete::offsets(context, &admin, args).await,
    }
}

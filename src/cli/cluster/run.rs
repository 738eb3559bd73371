//! Which cluster command.

use super::args::{ClusterArgs, ClusterCommand};
use super::{health, status};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};

/// Runs a cluster command.
pub async fn run(context: &Context, args: &ClusterArgs) -> Result<Exit, Failure> {
    let admin = context.client().await?.admin();
    match &args.command {
        ClusterCommand::Status(_) => status::run(context, &admin).await,
        ClusterCommand::Health(args) => health::run(context, &admin, args).await,
    }
}

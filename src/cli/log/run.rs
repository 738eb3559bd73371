//! Which command of `weir log`.

use std::sync::Arc;

use super::args::{LogArgs, LogCommand};
use super::{inspect, segments, verify};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::env::{Disk, RealDisk};

/// Whether the command asks a broker, and is run by [`run_remote`].
pub fn is_remote(args: &LogArgs) -> bool {
    matches!(args.command, LogCommand::Segments(_))
}

/// Runs a command on the logs of a broker.
pub async fn run_remote(context: &Context, args: &LogArgs) -> Result<Exit, Failure> {
    match &args.command {
        LogCommand::Segments(args) => segments::run(context, args).await,
        LogCommand::Inspect(_) | LogCommand::Verify(_) => unreachable!("these are run on files"),
    }
}

/// Runs a command on stored files.
pub fn run(context: &Context, args: &LogArgs) -> Result<Exit, Failure> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    match &args.command {
        LogCommand::Inspect(args) => inspect::run(context, &disk, args),
        LogCommand::Verify(args) => verify::run(context, &disk, args),
        LogCommand::Segments(_) => unreachable!("this one asks a broker"),
    }
}

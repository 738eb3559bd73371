//! Which command of `weir log`.

use std::sync::Arc;

use super::args::{LogArgs, LogCommand};
use super::{inspect, verify};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::env::{Disk, RealDisk};

/// Runs a command on stored logs.
pub fn run(context: &Context, args: &LogArgs) -> Result<Exit, Failure> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    match &args.command {
        LogCommand::Inspect(args) => inspect::run(context, &disk, args),
        LogCommand::Verify(args) => verify::run(context, &disk, args),
    }
}

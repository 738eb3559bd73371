//! Arguments of `weir log`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::base::Offset;

const EXAMPLES: &str = "\
Examples:
  weir log verify weir-dev                                       every record of a data directory
  weir log inspect weir-dev/orders-0                             the batches of a partition
  weir log inspect weir-dev/orders-0/00000000000000000000.log --records --from 100";

/// `weir log`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct LogArgs {
    /// What to do with stored logs.
    #[command(subcommand)]
    pub command: LogCommand,
}

/// What to do with stored logs.
#[derive(Subcommand, Debug)]
pub enum LogCommand {
    /// Show the batches of log files, or their records
    Inspect(InspectArgs),
    /// Check every byte: checksums, records, offsets, indexes
    Verify(VerifyArgs),
}

const INSPECT_EXAMPLES: &str = "\
Examples:
  weir log inspect weir-dev/orders-0/00000000000000000000.log
  weir log inspect weir-dev/orders-0 --records --from 100
  weir log inspect weir-dev/orders-0 -J                          a line of JSON for each batch";

/// `weir log inspect`.
#[derive(Args, Debug)]
#[command(before_help = INSPECT_EXAMPLES)]
pub struct InspectArgs {
    /// Log files, or folders of partitions
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The records instead of the batches
    #[arg(long)]
    pub records: bool,
    /// Begin at this offset
    #[arg(long, value_name = "OFFSET", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    pub from: Offset,
}

const VERIFY_EXAMPLES: &str = "\
Examples:
  weir log verify weir-dev                                       exit code 1 when a record is damaged
  weir log verify weir-dev/orders-0 weir-dev/orders-1
  weir log verify weir-dev -J";

/// `weir log verify`. Changes nothing; what a killed broker was writing is set aside by its next start.
#[derive(Args, Debug)]
#[command(before_help = VERIFY_EXAMPLES)]
pub struct VerifyArgs {
    /// Data directories, folders of partitions, or log files
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

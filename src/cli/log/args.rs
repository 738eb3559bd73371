//! Arguments of `weir log`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;

use crate::base::Offset;
use crate::cli::about::{partitions, topic_names};
use crate::cli::global::{offset, partition};

const EXAMPLES: &str = "\
Examples:
  weir log verify weir-dev                                       every record of a data directory
  weir log inspect weir-dev/orders-0                             the batches of a partition
  weir log inspect weir-dev/orders-0/00000000000000000000.log --records --from 100
  weir log segments orders                                       what a running broker holds";

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
    /// Show the segments of a topic, as its broker tells
    Segments(SegmentsArgs),
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
    #[arg(long, value_name = "OFFSET", default_value_t = 0, value_parser = offset)]
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

const SEGMENTS_EXAMPLES: &str = "\
Examples:
  weir log segments orders
  weir log segments orders:3                                     one partition
  weir log segments orders -p 0,3 --output wide                  with all times and the file names";

/// `weir log segments`.
#[derive(Args, Debug)]
#[command(before_help = SEGMENTS_EXAMPLES)]
pub struct SegmentsArgs {
    /// Name of the topic, and maybe a colon and a partition
    #[arg(value_name = "TOPIC[:PARTITION]", value_parser = topic_and_partition, add = ArgValueCompleter::new(topic_names))]
    pub topic: TopicAndPartition,
    /// Only these partitions
    #[arg(short, long, value_name = "N,..", value_delimiter = ',', value_parser = partition)]
    #[arg(add = ArgValueCompleter::new(partitions))]
    pub partitions: Vec<i32>,
}

/// A topic, or one partition of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicAndPartition {
    /// Its name.
    pub name: String,
    /// The partition, where one is named.
    pub partition: Option<i32>,
}

/// Reads `orders` or `orders:3`: no name of a topic has a colon. Errors: what stands behind it is no partition.
fn topic_and_partition(text: &str) -> Result<TopicAndPartition, String> {
    let Some((name, number)) = text.split_once(':') else {
        return Ok(TopicAndPartition { name: text.to_owned(), partition: None });
    };
    let partition = number.parse().ok().filter(|partition: &i32| *partition >= 0);
    let partition =
        partition.ok_or_else(|| format!("'{number}' is no partition: give a number, 0 or more"))?;
    Ok(TopicAndPartition { name: name.to_owned(), partition: Some(partition) })
}

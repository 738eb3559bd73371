//! Arguments of `weir group`.

use clap::{ArgGroup, Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;

use super::selection::Selection;
use crate::cli::about::{group_names, places, topic_names};
use crate::cli::global::last_records;

const EXAMPLES: &str = "\
Examples:
  weir group list
  weir group describe billing
  weir group lag billing --warn 1000 --crit 100000
  weir group reset-offsets billing --to @-1h           the plan; --execute carries it out";

/// `weir group`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct GroupArgs {
    /// What to do with groups.
    #[command(subcommand)]
    pub command: GroupCommand,
}

/// What to do with groups.
#[derive(Subcommand, Debug)]
pub enum GroupCommand {
    /// List groups
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show how far groups got in each partition, and who reads it
    Describe(DescribeArgs),
    /// Show how far groups are behind, or check it
    Lag(LagArgs),
    /// Set where a group goes on
    ResetOffsets(ResetArgs),
    /// Delete groups with their offsets
    #[command(visible_alias = "rm")]
    Delete(DeleteArgs),
    /// Forget how far a group got in some partitions
    DeleteOffsets(DeleteOffsetsArgs),
}

const LIST_EXAMPLES: &str = "\
Examples:
  weir group list
  weir group list --state empty --output name";

const LIST_COLUMNS: &str = "\
Columns:
  OFFSETS-PARTITION  partition of __consumer_offsets that holds the group";

/// `weir group list`.
#[derive(Args, Debug)]
#[command(before_help = LIST_EXAMPLES, after_help = LIST_COLUMNS)]
pub struct ListArgs {
    /// Only groups in this state: empty, assigning, reconciling or stable; may be repeated
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',', ignore_case = true, value_parser = ["empty", "assigning", "reconciling", "stable"])]
    #[arg(hide_possible_values = true)]
    pub states: Vec<String>,
}

const DESCRIBE_EXAMPLES: &str = "\
Examples:
  weir group describe billing
  weir group describe billing --members";

const DESCRIBE_COLUMNS: &str = "\
Columns:
  COMMITTED  offset at which the group goes on; - where nothing is committed
  LAG        records from there to the end
  BEHIND     age of the oldest record that is not read
Above them, offsets-partition is the partition of __consumer_offsets that holds the group.";

/// `weir group describe`.
#[derive(Args, Debug)]
#[command(before_help = DESCRIBE_EXAMPLES, after_help = DESCRIBE_COLUMNS)]
pub struct DescribeArgs {
    /// Names of the groups
    #[arg(required = true, value_name = "GROUP", add = ArgValueCompleter::new(group_names))]
    pub groups: Vec<String>,
    /// The members instead of the partitions
    #[arg(long)]
    pub members: bool,
}

const LAG_EXAMPLES: &str = "\
Examples:
  weir group lag billing
  weir group lag billing audit --warn 1000 --crit 100000    for checks: exit 0, 1, 2 or 3";

/// `weir group lag`.
#[derive(Args, Debug)]
#[command(before_help = LAG_EXAMPLES)]
pub struct LagArgs {
    /// Names of the groups
    #[arg(required = true, value_name = "GROUP", add = ArgValueCompleter::new(group_names))]
    pub groups: Vec<String>,
    /// Warn from a lag of N records on: exit 1
    #[arg(long, value_name = "N", value_parser = last_records)]
    pub warn: Option<i64>,
    /// Critical from a lag of N records on: exit 2
    #[arg(long, value_name = "N", value_parser = last_records)]
    pub crit: Option<i64>,
}

const RESET_EXAMPLES: &str = "\
Examples:
  weir group reset-offsets billing --to @-1h -t orders
  weir group reset-offsets billing --to start -t orders:0,3 --execute
  weir group reset-offsets copy --to-group billing --execute
  weir group reset-offsets billing --to-file places.csv      lines of topic,partition,offset";

/// `weir group reset-offsets`.
#[derive(Args, Debug)]
#[command(before_help = RESET_EXAMPLES)]
#[command(group = ArgGroup::new("source").required(true).args(["to", "to_group", "to_file"]))]
pub struct ResetArgs {
    /// Name of the group; one that does not exist comes to be
    #[arg(add = ArgValueCompleter::new(group_names))]
    pub group: String,
    /// This place: start, end, N, -N, +N, @TIME
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true, add = ArgValueCompleter::new(places))]
    pub to: Option<String>,
    /// Where another group stands
    #[arg(long, value_name = "GROUP", add = ArgValueCompleter::new(group_names))]
    pub to_group: Option<String>,
    /// The places in a file, a line each: topic,partition,offset; - is stdin
    #[arg(long, value_name = "FILE")]
    pub to_file: Option<String>,
    /// Only this topic, or these partitions of it; may be repeated [default: all that the source has]
    #[arg(short, long = "topic", value_name = "TOPIC[:N,..]", value_parser = Selection::parse, add = ArgValueCompleter::new(topic_names))]
    pub topics: Vec<Selection>,
    /// Carry the plan out
    #[arg(long)]
    pub execute: bool,
}

const DELETE_EXAMPLES: &str = "\
Examples:
  weir group delete billing";

/// `weir group delete`.
#[derive(Args, Debug)]
#[command(before_help = DELETE_EXAMPLES)]
pub struct DeleteArgs {
    /// Names of the groups
    #[arg(required = true, value_name = "GROUP", add = ArgValueCompleter::new(group_names))]
    pub groups: Vec<String>,
}

const DELETE_OFFSETS_EXAMPLES: &str = "\
Examples:
  weir group delete-offsets billing -t orders:0,3
  weir group delete-offsets billing -t orders";

/// `weir group delete-offsets`.
#[derive(Args, Debug)]
#[command(before_help = DELETE_OFFSETS_EXAMPLES)]
pub struct DeleteOffsetsArgs {
    /// Name of the group
    #[arg(add = ArgValueCompleter::new(group_names))]
    pub group: String,
    /// This topic, or these partitions of it; may be repeated
    #[arg(short, long = "topic", value_name = "TOPIC[:N,..]", required = true, value_parser = Selection::parse, add = ArgValueCompleter::new(topic_names))]
    pub topics: Vec<Selection>,
}

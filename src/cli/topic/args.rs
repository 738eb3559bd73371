//! Arguments of `weir topic`.

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use crate::cli::about::{partitions, places, topic_keys, topic_names, topic_settings};
use crate::cli::global::{key_value, partition, partition_count};

const EXAMPLES: &str = "\
Examples:
  weir topic create orders -p 6 -c retention.ms=7d
  weir topic list 'or*'
  weir topic describe orders --section partitions
  weir topic alter orders -c retention.ms=1d --dry-run";

/// `weir topic`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct TopicArgs {
    /// What to do with topics.
    #[command(subcommand)]
    pub command: TopicCommand,
}

/// What to do with topics.
#[derive(Subcommand, Debug)]
pub enum TopicCommand {
    /// Create topics
    Create(CreateArgs),
    /// List topics
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show settings and partitions of topics
    Describe(DescribeArgs),
    /// Change settings, or add partitions
    Alter(AlterArgs),
    /// Delete topics with all their records
    #[command(visible_alias = "rm")]
    Delete(DeleteArgs),
    /// Remove the records below an offset
    Trim(TrimArgs),
    /// List the settings that a topic may have
    ConfigKeys(ConfigKeysArgs),
}

const CREATE_EXAMPLES: &str = "\
Examples:
  weir topic create orders -p 6
  weir topic create clicks -p 12 -c retention.ms=7d -c flush=interval
  weir topic create a b c --if-not-exists";

/// `weir topic create`.
#[derive(Args, Debug)]
#[command(before_help = CREATE_EXAMPLES)]
pub struct CreateArgs {
    /// Names of the topics
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    /// Partitions of each topic [default: the broker's, 1]
    #[arg(short, long, value_name = "N", value_parser = partition_count)]
    pub partitions: Option<i32>,
    /// Copies of each partition: this version keeps 1
    #[arg(short, long, value_name = "N", value_parser = replicas, alias = "replication-factor")]
    pub replicas: Option<u32>,
    /// A setting, such as retention.ms=7d or segment.bytes=64MiB
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = key_value)]
    #[arg(add = ArgValueCompleter::new(topic_settings))]
    pub configs: Vec<(String, String)>,
    /// A topic that exists already is no error
    #[arg(long)]
    pub if_not_exists: bool,
    /// Check everything, change nothing
    #[arg(long)]
    pub dry_run: bool,
}

const LIST_COLUMNS: &str = "\
Columns:
  RECORDS  offsets between the start and the end
  IN/s     records written a second, over the last 5 to 10 s, as the broker counts them;
           - for topics beyond the first thousand, which it counts together
  wide     adds OUT/s (records read a second), retention, flush and id";

const LIST_EXAMPLES: &str = "\
Examples:
  weir topic list
  weir topic list 'shop.*' -J
  weir topic list --output wide";

/// `weir topic list`.
#[derive(Args, Debug)]
#[command(before_help = LIST_EXAMPLES, after_help = LIST_COLUMNS)]
pub struct ListArgs {
    /// Names to list; * and ? stand for anything [default: all]
    pub glob: Option<String>,
    /// The broker's own topics as well
    #[arg(long)]
    pub internal: bool,
}

const DESCRIBE_EXAMPLES: &str = "\
Examples:
  weir topic describe orders
  weir topic describe 'shop.*' --section config";

/// `weir topic describe`.
#[derive(Args, Debug)]
#[command(before_help = DESCRIBE_EXAMPLES)]
pub struct DescribeArgs {
    /// Names of the topics; * and ? stand for anything
    #[arg(required = true, value_name = "NAME", add = ArgValueCompleter::new(topic_names))]
    pub names: Vec<String>,
    /// Only this: summary, config, partitions or segments; may be repeated
    #[arg(long = "section", value_name = "SECTION", value_enum, hide_possible_values = true)]
    pub sections: Vec<Section>,
}

/// A part of what describe shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Section {
    /// Id, counts and health.
    Summary,
    /// Every setting.
    Config,
    /// Every partition.
    Partitions,
    /// How many segments each partition has, and how large they are.
    Segments,
}

const ALTER_EXAMPLES: &str = "\
Examples:
  weir topic alter orders -c retention.ms=1d
  weir topic alter orders -d retention.ms -p 12 --dry-run";

/// `weir topic alter`.
#[derive(Args, Debug)]
#[command(before_help = ALTER_EXAMPLES)]
pub struct AlterArgs {
    /// Name of the topic
    #[arg(add = ArgValueCompleter::new(topic_names))]
    pub name: String,
    /// A setting to set
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = key_value)]
    #[arg(add = ArgValueCompleter::new(topic_settings))]
    pub configs: Vec<(String, String)>,
    /// A setting that goes back to its default
    #[arg(short, long = "delete-config", value_name = "KEY", add = ArgValueCompleter::new(topic_keys))]
    pub deleted: Vec<String>,
    /// Raise the number of partitions to N
    #[arg(short, long, value_name = "N", value_parser = partition_count)]
    pub partitions: Option<i32>,
    /// Show what would change, change nothing
    #[arg(long)]
    pub dry_run: bool,
}

const DELETE_EXAMPLES: &str = "\
Examples:
  weir topic delete orders
  weir topic delete 'test.*' --dry-run";

/// `weir topic delete`.
#[derive(Args, Debug)]
#[command(before_help = DELETE_EXAMPLES)]
pub struct DeleteArgs {
    /// Names of the topics; * and ? stand for anything
    #[arg(required = true, value_name = "NAME", add = ArgValueCompleter::new(topic_names))]
    pub names: Vec<String>,
    /// A topic that does not exist is no error
    #[arg(long)]
    pub if_exists: bool,
    /// Show what would go, delete nothing
    #[arg(long)]
    pub dry_run: bool,
}

const TRIM_EXAMPLES: &str = "\
Examples:
  weir topic trim orders --to @-7d           records older than a week
  weir topic trim orders --to -1000          all but the last 1,000 of each partition
  weir topic trim orders --to end -p 0,3     all of two partitions";

/// `weir topic trim`.
#[derive(Args, Debug)]
#[command(before_help = TRIM_EXAMPLES)]
pub struct TrimArgs {
    /// Name of the topic
    #[arg(add = ArgValueCompleter::new(topic_names))]
    pub name: String,
    /// Records below this place go: start, end, N, -N, +N, @TIME
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true, add = ArgValueCompleter::new(places))]
    pub to: String,
    /// Only these partitions
    #[arg(short, long, value_name = "N,..", value_delimiter = ',', value_parser = partition)]
    #[arg(add = ArgValueCompleter::new(partitions))]
    pub partitions: Vec<i32>,
    /// Show what would go, remove nothing
    #[arg(long)]
    pub dry_run: bool,
}

const CONFIG_KEYS_EXAMPLES: &str = "\
Examples:
  weir topic config-keys
  weir topic config-keys 'retention.*'
  weir topic config-keys flush               one key with what it does";

/// `weir topic config-keys`.
#[derive(Args, Debug)]
#[command(before_help = CONFIG_KEYS_EXAMPLES)]
pub struct ConfigKeysArgs {
    /// Keys to list; * and ? stand for anything [default: all]
    pub glob: Option<String>,
}

/// Reads a number of copies. Errors: anything but 1.
fn replicas(text: &str) -> Result<u32, String> {
    if text == "1" {
        Ok(1)
    } else {
        Err("a broker of this version keeps 1 copy of each partition".to_owned())
    }
}

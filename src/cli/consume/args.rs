//! Arguments of `weir consume`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use super::grep::Pattern;
use crate::cli::about::{group_names, partitions, places, topic_names};
use crate::cli::global::{duration, last_records, partition, record_count};

const EXAMPLES: &str = "\
Examples:
  weir consume orders -o start -e              everything there is, then exit
  weir consume orders --tail 10                the last 10 of each partition, then what comes
  weir consume orders -o @-1h:@now -f '%t[%p]@%o %d{strftime[%T]} %k=%v\\n'
  weir consume orders -e --grep 'k:^u1$' --grep '!v:test'
  weir consume orders -J -o start -e > orders.ndjson
  weir consume orders -g billing               as a member of a group";

/// When a member commits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Commit {
    /// What was printed, every second and at the end.
    Auto,
    /// Never.
    None,
}

/// `weir consume`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct ConsumeArgs {
    /// Topics to read; * and ? stand for anything, among the topics that there are now
    #[arg(required = true, value_name = "TOPIC", add = ArgValueCompleter::new(topic_names))]
    pub topics: Vec<String>,
    /// Read as a member of this group: its members share the partitions, and it goes on where it committed
    #[arg(short, long, value_name = "GROUP", short_alias = 'G', add = ArgValueCompleter::new(group_names))]
    pub group: Option<String>,
    /// Whether what was printed is committed: auto, every second and at the end, or none
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value = "auto",
        hide_possible_values = true,
        hide_default_value = true
    )]
    #[arg(requires = "group")]
    pub commit: Commit,
    /// Where to begin: start, end, N, -N (end minus N), +N, A:B (from A up to B), @TIME, @TIME:TIME
    /// [default: end, or start with -e]
    #[arg(short, long, value_name = "OFFSET", allow_hyphen_values = true, verbatim_doc_comment)]
    #[arg(add = ArgValueCompleter::new(places))]
    pub offset: Vec<String>,
    /// Only these partitions
    #[arg(short, long, value_name = "N,..", value_delimiter = ',', value_parser = partition)]
    #[arg(conflicts_with = "group", add = ArgValueCompleter::new(partitions))]
    pub partitions: Vec<i32>,
    /// Exit at the ends as they are now
    #[arg(short, long)]
    pub exit: bool,
    /// Stop after N records
    #[arg(short = 'n', long, value_name = "N", short_alias = 'c', alias = "max-messages")]
    #[arg(allow_negative_numbers = true, value_parser = record_count)]
    pub count: Option<u64>,
    /// The last N records of each partition, then what comes (with -e: then exit)
    #[arg(long, value_name = "N", allow_negative_numbers = true, conflicts_with_all = ["offset", "group"], value_parser = last_records)]
    pub tail: Option<i64>,
    /// Print records like this, such as '%p/%o %k=%v\n' [default: value and newline]
    #[arg(short, long, value_name = "FORMAT", conflicts_with = "json")]
    pub format: Option<String>,
    /// Print the key and SEP before each value; \t and the like work
    #[arg(short = 'K', long, value_name = "SEP", allow_hyphen_values = true, conflicts_with_all = ["format", "json"])]
    pub key_separator: Option<String>,
    /// Print DELIM behind each value [default: \n]
    #[arg(short = 'D', long, value_name = "DELIM", allow_hyphen_values = true, conflicts_with_all = ["format", "json"])]
    pub delimiter: Option<String>,
    /// Print NULL for a null key or value
    #[arg(short = 'Z', long, conflicts_with = "json")]
    pub null: bool,
    /// Only records that match: k:RE (key), v:RE (value), h:NAME=RE (header), t:RE (topic); ! before it: only
    /// those that do not. All of several must hold
    #[arg(long, value_name = "[!]WHAT:RE", value_parser = Pattern::parse)]
    pub grep: Vec<Pattern>,
    /// Exit when no record came for so long
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub idle_timeout: Option<Duration>,
    /// Print each record at once, also into a pipe
    #[arg(short, long)]
    pub unbuffered: bool,
    /// What Kafka's tool calls -o start
    #[arg(long, hide = true, conflicts_with_all = ["offset", "tail"])]
    pub from_beginning: bool,
}

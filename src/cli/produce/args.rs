//! Arguments of `weir produce`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use crate::cli::about::{partitions, topic_names};
use crate::cli::global::{key_value, partition, record_count, record_rate};

const EXAMPLES: &str = "\
Examples:
  weir produce orders 'first' 'second' -k u1
  printf 'u1:a\\nu2:b\\n' | weir produce orders -K: --report '%t[%p]@%o\\n'
  weir produce orders -F big.txt -z zstd -r 20000
  weir produce photos -F cat.jpg --whole -k cat
  weir consume orders -J -e -o start | weir produce copy -J";

/// `weir produce`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct ProduceArgs {
    /// Topic to write to
    #[arg(add = ArgValueCompleter::new(topic_names))]
    pub topic: String,
    /// A record for each value [default: a record for each line of stdin; an empty line is an empty value]
    #[arg(value_name = "VALUE")]
    pub values: Vec<String>,
    /// Read lines from a file; - is stdin
    #[arg(short = 'F', long, value_name = "FILE", conflicts_with = "values")]
    pub file: Option<PathBuf>,
    /// The whole input is one record
    #[arg(long, conflicts_with_all = ["values", "delimiter"])]
    pub whole: bool,
    /// What ends a record in the input [default: \n]
    #[arg(short = 'D', long, value_name = "DELIM", allow_hyphen_values = true, conflicts_with = "values")]
    pub delimiter: Option<String>,
    /// Each line is KEY SEP VALUE; \t and the like work
    #[arg(short = 'K', long, value_name = "SEP", allow_hyphen_values = true, conflicts_with_all = ["key", "json"])]
    pub key_separator: Option<String>,
    /// Each line looks like this, such as '%k=%v'; the verbs of consume -f
    #[arg(short, long, value_name = "FORMAT", conflicts_with_all = ["key_separator", "json"])]
    pub format: Option<String>,
    /// Key of every record
    #[arg(short, long, conflicts_with = "json")]
    pub key: Option<String>,
    /// An empty key or value is null
    #[arg(short = 'Z', long, conflicts_with = "json")]
    pub null: bool,
    /// Header of every record
    #[arg(short = 'H', long = "header", value_name = "KEY=VALUE", value_parser = key_value)]
    pub headers: Vec<(String, String)>,
    /// Partition of every record [default: by key, else in turns]
    #[arg(short, long, value_name = "N", conflicts_with = "json", value_parser = partition)]
    #[arg(add = ArgValueCompleter::new(partitions))]
    pub partition: Option<i32>,
    /// When a record counts as written: all, 1 (leader), 0 (never asked)
    #[arg(short, long, default_value = "all", hide_possible_values = true)]
    pub acks: Acks,
    /// Compression: none, gzip, snappy, lz4, zstd
    #[arg(short = 'z', long, value_name = "CODEC", default_value = "none", hide_possible_values = true)]
    pub compression: Codec,
    /// Records per second at most
    #[arg(short, long, value_name = "RATE", value_parser = record_rate)]
    pub rate: Option<u64>,
    /// Stop after N records
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true, value_parser = record_count)]
    pub count: Option<u64>,
    /// With -J: let the key choose, whatever partition a line names
    #[arg(long, requires = "json")]
    pub repartition: bool,
    /// Print this for each record written, such as '%t[%p]@%o\n'
    #[arg(long, value_name = "FORMAT")]
    pub report: Option<String>,
    /// Print each line whose record was written, as tee does
    #[arg(short = 'T', long, conflicts_with = "report")]
    pub tee: bool,
}

/// When a record counts as written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Acks {
    /// When every in-sync replica has it.
    All,
    /// When the leader has it.
    #[value(name = "1")]
    Leader,
    /// When it was sent.
    #[value(name = "0")]
    None,
}

/// How batches are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Codec {
    /// Not.
    None,
    /// gzip.
    Gzip,
    /// snappy.
    Snappy,
    /// lz4.
    Lz4,
    /// zstd.
    Zstd,
}

impl From<Acks> for crate::client::Acks {
    fn from(acks: Acks) -> Self {
        match acks {
            Acks::All => Self::All,
            Acks::Leader => Self::Leader,
            Acks::None => Self::None,
        }
    }
}

impl From<Codec> for crate::client::Codec {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::None => Self::None,
            Codec::Gzip => Self::Gzip,
            Codec::Snappy => Self::Snappy,
            Codec::Lz4 => Self::Lz4,
            Codec::Zstd => Self::Zstd,
        }
    }
}

//! Arguments of `weir consume`.

use clap::Args;

const EXAMPLES: &str = "\
Examples:
  weir consume orders -o start -e              everything there is, then exit
  weir consume orders --tail 10                the last 10 of each partition, then what comes
  weir consume orders -o @-1h:@now -f '%t[%p]@%o %d{strftime[%T]} %k=%v\\n'
  weir consume orders -J -o start -e > orders.ndjson";

/// `weir consume`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct ConsumeArgs {
    /// Topics to read
    #[arg(required = true, value_name = "TOPIC")]
    pub topics: Vec<String>,
    /// Where to begin: start, end, N, -N (end minus N), +N, A:B (from A up to B), @TIME, @TIME:TIME
    /// [default: end, or start with -e]
    #[arg(short, long, value_name = "OFFSET", allow_hyphen_values = true, verbatim_doc_comment)]
    pub offset: Vec<String>,
    /// Only these partitions
    #[arg(short, long, value_name = "N,..", value_delimiter = ',', value_parser = clap::value_parser!(i32).range(0..))]
    pub partitions: Vec<i32>,
    /// Exit at the ends as they are now
    #[arg(short, long)]
    pub exit: bool,
    /// Stop after N records
    #[arg(short = 'n', long, value_name = "N")]
    pub count: Option<u64>,
    /// The last N records of each partition, then what comes (with -e: then exit)
    #[arg(long, value_name = "N", conflicts_with = "offset", value_parser = clap::value_parser!(i64).range(0..))]
    pub tail: Option<i64>,
    /// Print records like this, such as '%p/%o %k=%v\n' [default: value and newline]
    #[arg(short, long, value_name = "FORMAT", conflicts_with = "json")]
    pub format: Option<String>,
}

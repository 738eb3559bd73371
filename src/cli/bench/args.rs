//! Arguments of `weir bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use crate::base::limits::BATCH_BYTES_MAX;
use crate::base::size::{parse_bytes, print_bytes};
use crate::bench::Rate;
use crate::bench::driver::{Flush, WriteOptions};
use crate::bench::workload::{LANES_MAX, STAMP_BYTES};
use crate::cli::about::topic_names;
use crate::cli::global::{duration, partition_count};
use crate::cli::produce::{Acks, Codec};

const EXAMPLES: &str = "\
Examples:
  weir bench produce                          how much it takes
  weir bench consume --fill 1GiB              how much it gives
  weir bench latency --rate 5000              how long an acknowledgement takes at that rate
  weir bench e2e --rate 5000 --flush os       from the producer to a consumer";

/// `weir bench`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct BenchArgs {
    /// What is measured.
    #[command(subcommand)]
    pub command: BenchCommand,
}

/// What is measured.
#[derive(Subcommand, Debug)]
pub enum BenchCommand {
    /// Write as fast as the broker takes it, or at a rate
    Produce(ProduceBenchArgs),
    /// Read as fast as the broker gives it
    Consume(ConsumeBenchArgs),
    /// Time acknowledgements at a steady rate, or one record at a time
    Latency(LatencyBenchArgs),
    /// Time the way from a producer to a consumer
    #[command(name = "e2e")]
    EndToEnd(EndToEndBenchArgs),
    /// Measure what this machine can do at most: bare transport, disk, threads
    Ceilings(CeilingsArgs),
}

const CEILINGS_EXAMPLES: &str = "\
Examples:
  weir bench ceilings --duration 1s
  weir bench ceilings --dir /tmp -J";

/// `weir bench ceilings`.
#[derive(Args, Debug)]
#[command(before_help = CEILINGS_EXAMPLES)]
pub struct CeilingsArgs {
    /// Folder on the disk that is measured [default: this one]
    #[arg(long, value_name = "DIR", default_value = ".", hide_default_value = true)]
    pub dir: PathBuf,
    /// How long each of them is measured
    #[arg(short, long, value_name = "TIME", default_value = "2s", overrides_with = "duration", value_parser = duration)]
    pub duration: Duration,
    /// Be the other end: take and give bytes, and keep nothing
    #[arg(long, hide = true)]
    pub sink: bool,
}

const PRODUCE_EXAMPLES: &str = "\
Examples:
  weir bench produce --duration 5s
  weir bench produce --size 100B --batch 1MiB --flush os
  weir bench produce --writers 16 -p 16 --rate 100000..400000";

/// `weir bench produce`.
#[derive(Args, Debug)]
#[command(before_help = PRODUCE_EXAMPLES)]
pub struct ProduceBenchArgs {
    /// Topic, size and time.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Batches and acknowledgements.
    #[command(flatten)]
    pub batches: BatchArgs,
    /// Connections that write
    #[arg(long, value_name = "N", default_value = "1", value_parser = writers)]
    pub writers: usize,
    /// Records a second: max, N, or N..M for an even rise or fall
    #[arg(short, long, value_name = "RATE", default_value = "max", value_parser = any_rate)]
    pub rate: Rate,
}

const CONSUME_EXAMPLES: &str = "\
Examples:
  weir bench consume --duration 5s
  weir bench consume --size 100B --fill 256MiB";

/// `weir bench consume`.
#[derive(Args, Debug)]
#[command(before_help = CONSUME_EXAMPLES)]
pub struct ConsumeBenchArgs {
    /// Topic, size and time.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Write this much first; it is read again and again
    #[arg(long, value_name = "SIZE", default_value = "1GiB", overrides_with = "fill", value_parser = fill_bytes)]
    pub fill: u64,
}

const LATENCY_EXAMPLES: &str = "\
Examples:
  weir bench latency --rate 5000
  weir bench latency --rate lone --flush os";

/// `weir bench latency`.
#[derive(Args, Debug)]
#[command(before_help = LATENCY_EXAMPLES)]
pub struct LatencyBenchArgs {
    /// Topic, size and time.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Batches and acknowledgements.
    #[command(flatten)]
    pub batches: BatchArgs,
    /// Records a second: N, N..M for an even rise or fall, or lone for one at a time
    #[arg(short, long, value_name = "RATE", default_value = "5000", value_parser = timed_rate)]
    pub rate: Rate,
    /// Sleep until something happens, as a service would; the wake-up is measured then
    #[arg(long)]
    pub sleep: bool,
}

const END_TO_END_EXAMPLES: &str = "\
Examples:
  weir bench e2e --rate 5000 --duration 5s
  weir bench e2e --rate 20000 -p 6 --flush os";

/// `weir bench e2e`.
#[derive(Args, Debug)]
#[command(before_help = END_TO_END_EXAMPLES)]
pub struct EndToEndBenchArgs {
    /// Topic, size and time.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Batches and acknowledgements.
    #[command(flatten)]
    pub batches: BatchArgs,
    /// Records a second: N, or N..M for an even rise or fall
    #[arg(short, long, value_name = "RATE", default_value = "5000", value_parser = open_rate)]
    pub rate: Rate,
    /// Sleep until something happens, as a service would; the wake-up is measured then
    #[arg(long)]
    pub sleep: bool,
}

/// What every run needs.
#[derive(Args, Debug)]
pub struct CommonArgs {
    /// This topic, which is kept [default: a new one, removed at the end]
    #[arg(short, long, value_name = "TOPIC", add = ArgValueCompleter::new(topic_names))]
    pub topic: Option<String>,
    /// Partitions of the new topic
    #[arg(short, long, value_name = "N", default_value = "1", conflicts_with = "topic", value_parser = partition_count)]
    pub partitions: i32,
    /// What an acknowledgement of the new topic means: ack (on the disk), os (in its memory)
    #[arg(
        long,
        value_name = "MODE",
        default_value = "ack",
        conflicts_with = "topic",
        hide_possible_values = true
    )]
    pub flush: FlushMode,
    /// Size of a record's value
    #[arg(short, long, value_name = "SIZE", default_value = "1KiB", value_parser = value_bytes)]
    pub size: usize,
    /// How long is measured
    #[arg(short, long, value_name = "TIME", default_value = "10s", overrides_with = "duration", value_parser = duration)]
    pub duration: Duration,
    /// Time before that, which does not count
    #[arg(long, value_name = "TIME", default_value = "2s", overrides_with = "warmup", value_parser = duration)]
    pub warmup: Duration,
    /// Other values
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,
    /// Write result.json into this folder as well
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// How records are written.
#[derive(Args, Debug)]
pub struct BatchArgs {
    /// Largest batch
    #[arg(long, value_name = "SIZE", default_value = "256KiB", value_parser = batch_bytes)]
    pub batch: usize,
    /// How long a batch waits for more records
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = linger)]
    pub linger: Duration,
    /// When a record counts as written: all, 1 (leader), 0 (never asked)
    #[arg(short, long, default_value = "all", hide_possible_values = true)]
    pub acks: Acks,
    /// Compression: none, gzip, snappy, lz4, zstd
    #[arg(short = 'z', long, value_name = "CODEC", default_value = "none", hide_possible_values = true)]
    pub compression: Codec,
}

/// What an acknowledgement means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum FlushMode {
    /// On the disk.
    Ack,
    /// In the memory of the operating system.
    Os,
}

impl BatchArgs {
    /// Those of a run that only reads: what is read is in large batches.
    pub(super) const FILL: Self =
        Self { batch: 1 << 20, linger: Duration::ZERO, acks: Acks::All, compression: Codec::None };

    /// As a driver takes them.
    pub(super) fn options(&self) -> WriteOptions {
        WriteOptions {
            acks: self.acks.into(),
            batch_bytes: self.batch,
            linger: self.linger,
            codec: self.compression.into(),
        }
    }
}

impl From<FlushMode> for Flush {
    fn from(mode: FlushMode) -> Self {
        match mode {
            FlushMode::Ack => Self::Ack,
            FlushMode::Os => Self::Os,
        }
    }
}

fn bytes_between(text: &str, min: u64, max: u64) -> Result<u64, String> {
    let bytes = parse_bytes(text)?;
    match u64::try_from(bytes) {
        Ok(bytes) if (min..=max).contains(&bytes) => Ok(bytes),
        _ => Err(format!("give {} to {}", print_bytes(min), print_bytes(max))),
    }
}

fn value_bytes(text: &str) -> Result<usize, String> {
    // A batch holds its header and at least one record.
    bytes_between(text, STAMP_BYTES as u64, 1 << 20).map(|bytes| bytes as usize)
}

fn fill_bytes(text: &str) -> Result<u64, String> {
    bytes_between(text, 1 << 10, 1 << 40)
}

fn batch_bytes(text: &str) -> Result<usize, String> {
    bytes_between(text, 1 << 10, BATCH_BYTES_MAX as u64).map(|bytes| bytes as usize)
}

fn linger(text: &str) -> Result<Duration, String> {
    if text == "0s" { Ok(Duration::ZERO) } else { duration(text) }
}

fn writers(text: &str) -> Result<usize, String> {
    let number: Option<usize> = text.parse().ok();
    let number = number.filter(|number| (1..=LANES_MAX.min(100_000)).contains(number));
    number.ok_or_else(|| "it takes a number of connections, 1 to 100000".to_owned())
}

fn any_rate(text: &str) -> Result<Rate, String> {
    if text == "max" { Ok(Rate::Max) } else { numbers(text, "max, ") }
}

fn timed_rate(text: &str) -> Result<Rate, String> {
    if text == "lone" { Ok(Rate::Lone) } else { numbers(text, "lone, ") }
}

fn open_rate(text: &str) -> Result<Rate, String> {
    numbers(text, "")
}

fn numbers(text: &str, others: &str) -> Result<Rate, String> {
    let number = |text: &str| text.parse().ok().filter(|rate| (1.0..=1e9).contains(rate));
    let read = match text.split_once("..") {
        Some((from, to)) => number(from).zip(number(to)).map(|(from, to)| Rate::Ramp(from, to)),
        None => number(text).map(Rate::Steady),
    };
    read.ok_or_else(|| {
        format!("it takes {others}records a second such as 5000, or a rise or fall such as 1000..5000")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_numbers_rises_or_words() {
        assert_eq!(any_rate("max"), Ok(Rate::Max));
        assert_eq!(timed_rate("lone"), Ok(Rate::Lone));
        assert_eq!(open_rate("5000"), Ok(Rate::Steady(5_000.0)));
        assert_eq!(open_rate("100..2000.5"), Ok(Rate::Ramp(100.0, 2_000.5)));
        for wrong in ["max", "lone", "0", "-1", "1..", "..", "NaN", "inf", "2e9", ""] {
            assert!(open_rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_have_limits() {
        assert_eq!((value_bytes("16"), batch_bytes("1MiB")), (Ok(16), Ok(1 << 20)));
        assert!(value_bytes("15").is_err() && value_bytes("2MiB").is_err() && batch_bytes("1B").is_err());
        assert_eq!((linger("0s"), linger("5ms")), (Ok(Duration::ZERO), Ok(Duration::from_millis(5))));
        assert!(writers("0").is_err() && writers("x").is_err());
    }
}

//! Arguments of `weir top`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::global::duration;

const EXAMPLES: &str = "\
Examples:
  weir top                     redrawn each second on a terminal, until q or Ctrl-C
  weir top --sort size -d 5s
  weir top --once -J           for scripts: one document, after two samples";

/// `weir top`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct TopArgs {
    /// Time between two samples: what the rates are worked out from
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub delay: Duration,
    /// What comes first: rate or size
    #[arg(long, value_name = "BY", default_value = "rate", hide_possible_values = true)]
    pub sort: Sort,
    /// Print once and exit
    #[arg(long)]
    pub once: bool,
}

/// The order of topics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Sort {
    /// Bytes in and out, the most first.
    Rate,
    /// Bytes of log files, the most first.
    Size,
}

//! The flags that every command takes, and how their values are read.

use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};

use crate::base::time::parse_ms;

/// Flags of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Broker to talk to
    #[arg(
        short,
        long,
        global = true,
        env = "WEIR_BOOTSTRAP",
        hide_env = true,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:7070"
    )]
    pub bootstrap: String,
    /// JSON: a document on stdout, or a line for each record
    #[arg(short = 'J', long, global = true)]
    pub json: bool,
    /// Nothing on stderr but errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// More on stderr; twice for even more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Time for a connection, a request or a delivery
    #[arg(
        long,
        global = true,
        env = "WEIR_TIMEOUT",
        hide_env = true,
        value_name = "TIME",
        default_value = "10s",
        value_parser = duration
    )]
    pub timeout: Duration,
    /// Colours on stderr
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub color: Color,
    /// A setting: of the broker (serve), or of the client
    #[arg(short = 'X', global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    pub setting: Vec<(String, String)>,
}

/// When to use colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Reads `key=value`. The value may be empty and may hold further `=`.
pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("'{text}' is not KEY=VALUE")),
    }
}

/// Reads a number of records.
pub(super) fn record_count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "it takes a number of records, 0 or more".to_owned())
}

/// Reads a time above zero, such as `10s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match parse_ms(text)? {
        ms if ms > 0 => Ok(Duration::from_millis(ms.unsigned_abs())),
        _ => Err("the time must be above zero".to_owned()),
    }
}

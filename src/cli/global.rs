//! The flags that every command takes, and how their values are read.

use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use super::about::{all_settings, context_names};
use super::exit::Failure;
use super::output::{Form, set_form};
use crate::base::limits::TOPIC_PARTITIONS_MAX;
use crate::base::time::parse_ms;

/// Flags of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Broker [$WEIR_BOOTSTRAP, context, 127.0.0.1:7070]
    #[arg(
        short,
        long,
        global = true,
        env = "WEIR_BOOTSTRAP",
        hide_env = true,
        value_name = "HOST:PORT",
        default_value = "",
        hide_default_value = true
    )]
    pub bootstrap: String,
    /// Take the broker of this context
    #[arg(short = 'C', long, global = true, env = "WEIR_CONTEXT", hide_env = true, value_name = "NAME")]
    #[arg(add = ArgValueCompleter::new(context_names))]
    pub context: Option<String>,
    /// JSON: a document, or a line for each record
    #[arg(short = 'J', long, global = true)]
    pub json: bool,
    /// table, wide, json, yaml, plain or name
    #[arg(long, global = true, value_name = "FORM", conflicts_with = "json", hide_possible_values = true)]
    pub output: Option<Form>,
    /// Nothing on stderr but errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// More on stderr; twice for even more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// For each request or delivery
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
    /// Taken so that scripts for other tools need no change: nothing here ever asks
    #[arg(short = 'y', long, global = true, hide = true)]
    pub yes: bool,
    /// The same
    #[arg(long, global = true, hide = true)]
    pub no_input: bool,
    /// A setting of the broker (serve) or the client
    #[arg(short = 'X', global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    #[arg(add = ArgValueCompleter::new(all_settings))]
    pub setting: Vec<(String, String)>,
}

impl Global {
    /// The flags as they are when none is given, for this broker or this context; empty: none.
    pub(super) fn of_broker(bootstrap: String, context: String) -> Self {
        Self {
            bootstrap,
            context: Some(context).filter(|name| !name.is_empty()),
            json: false,
            output: None,
            quiet: true,
            verbose: 0,
            timeout: Duration::from_secs(10),
            color: Color::Auto,
            yes: true,
            no_input: true,
            setting: Vec::new(),
        }
    }

    /// Settles which of `--bootstrap` and `--context` counts: what stands on the command line beats a variable.
    ///
    /// Errors: usage, when both stand there.
    pub(super) fn settle_broker(&mut self, matches: &ArgMatches) -> Result<(), Failure> {
        let is_flag = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
        if is_flag("bootstrap") && self.bootstrap.trim().is_empty() {
            return Err(Failure::usage("-b is empty: give HOST:PORT, or leave it out"));
        }
        match (is_flag("bootstrap"), is_flag("context")) {
            (true, true) => {
                return Err(Failure::usage("-b and -C both name a broker: give one of them"));
            }
            (false, true) => self.bootstrap.clear(),
            _ => {}
        }
        Ok(())
    }

    /// Settles in which form this process prints.
    pub(super) fn settle_form(&mut self) {
        let form = self.output.unwrap_or(if self.json { Form::Json } else { Form::Table });
        self.json = matches!(form, Form::Json | Form::Yaml);
        set_form(form);
    }
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

/// Reads how many of the last records are meant.
pub(super) fn last_records(text: &str) -> Result<i64, String> {
    let number = record_count(text)?;
    i64::try_from(number).map_err(|_| "no partition has that many records".to_owned())
}

/// Reads the number of a partition; several stand with commas between them.
pub(super) fn partition(text: &str) -> Result<i32, String> {
    let number: Option<i32> = text.parse().ok();
    let number = number.filter(|number| *number >= 0);
    number.ok_or_else(|| "it takes the number of a partition, 0 or more; several as 0,1,2".to_owned())
}

/// Reads how many partitions a topic has.
pub(super) fn partition_count(text: &str) -> Result<i32, String> {
    let number: Option<i32> = text.parse().ok();
    let number = number.filter(|number| *number >= 1);
    number.ok_or_else(|| format!("it takes a number of partitions, 1 to {TOPIC_PARTITIONS_MAX}"))
}

/// Reads an offset.
pub(super) fn offset(text: &str) -> Result<i64, String> {
    let number: Option<i64> = text.parse().ok();
    number.filter(|number| *number >= 0).ok_or_else(|| "it takes an offset, 0 or more".to_owned())
}

/// Reads how many records a second.
pub(super) fn record_rate(text: &str) -> Result<u64, String> {
    let number: Option<u64> = text.parse().ok();
    let number = number.filter(|number| (1..=1_000_000_000).contains(number));
    number.ok_or_else(|| "it takes records a second, 1 to 1000000000".to_owned())
}

/// Whether a name stands for all that look like it.
pub(super) fn is_glob(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// Reads a time above zero with its unit, such as `10s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    // WHY: some tools count seconds there, others ms.
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("'{text}' has no unit: write {text}s or {text}ms"));
    }
    match parse_ms(text)? {
        ms if ms > 0 => Ok(Duration::from_millis(ms.unsigned_abs())),
        _ => Err("the time must be above zero".to_owned()),
    }
}

//! Arguments of `weir demo`.

use clap::Args;

use crate::cli::sample::SEED;

const EXAMPLES: &str = "\
Examples:
  weir demo                      until Ctrl-C
  weir demo --once --speed 10    exits with the result of the checks: 0 passed, 1 failed";

/// `weir demo`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct DemoArgs {
    /// Exit after the checks
    #[arg(long)]
    pub once: bool,
    /// Other sample records
    #[arg(long, value_name = "N", default_value_t = SEED, value_parser = seed)]
    pub seed: u64,
    /// How fast records are made: 1 is about 1,000 a second
    #[arg(long, value_name = "X", default_value = "1", value_parser = speed)]
    pub speed: f64,
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "it takes a whole number, 0 or more".to_owned())
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if (0.01..=1_000.0).contains(&speed) => Ok(speed),
        _ => Err("give a number from 0.01 to 1000".to_owned()),
    }
}

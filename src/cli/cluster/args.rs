//! Arguments of `weir cluster`.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli::global::duration;

const EXAMPLES: &str = "\
Examples:
  weir cluster status
  weir cluster health                        a check for Nagios, systemd and scripts
  weir cluster health --exit-when-healthy    waits until all is well";

/// `weir cluster`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct ClusterArgs {
    /// What to ask.
    #[command(subcommand)]
    pub command: ClusterCommand,
}

/// What to ask of a cluster.
#[derive(Subcommand, Debug)]
pub enum ClusterCommand {
    /// Show the brokers with their connections, memory and disk
    Status(StatusArgs),
    /// Check the health: exit code 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN
    Health(HealthArgs),
}

const STATUS_EXAMPLES: &str = "\
Examples:
  weir cluster status
  weir cluster status -J";

/// `weir cluster status`.
#[derive(Args, Debug)]
#[command(before_help = STATUS_EXAMPLES)]
pub struct StatusArgs {}

const HEALTH_EXAMPLES: &str = "\
Examples:
  weir cluster health
  weir cluster health --watch                              a line for each change
  weir cluster health --exit-when-healthy --within 30s     for scripts that wait for a broker";

const HEALTH_NOTE: &str = "\
CRITICAL: requests fail. WARNING: they may soon. UNKNOWN: the broker can't be asked,
or the command line is wrong.";

/// `weir cluster health`.
#[derive(Args, Debug)]
#[command(before_help = HEALTH_EXAMPLES, after_help = HEALTH_NOTE)]
pub struct HealthArgs {
    /// Go on looking, and print each change, until Ctrl-C
    #[arg(long)]
    pub watch: bool,
    /// Go on looking until the health is OK, then exit with 0
    #[arg(long)]
    pub exit_when_healthy: bool,
    /// With --watch or --exit-when-healthy: for so long at most, then exit with what the health is
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub within: Option<Duration>,
    /// Time between two looks
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub delay: Duration,
}

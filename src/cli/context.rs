//! What every command needs: the global flags, the clock, and a client.

use std::sync::Arc;
use std::time::Duration;

use super::exit::Failure;
use super::global::Global;
use super::output::{is_stdout_gone, shown};
use super::stderr;
use crate::base::Timestamp;
use crate::client::Client;
use crate::env::{Clock, RealClock};

mod settings;

pub use settings::ClientSettings;

/// Between two looks whether stdout still has a reader.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The flags and the clock. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// Flags of every command.
    pub global: Arc<Global>,
    clock: Arc<dyn Clock>,
}

impl Context {
    /// On the machine's clock.
    pub fn new(global: Global) -> Self {
        Self { global: Arc::new(global), clock: Arc::new(RealClock::new()) }
    }

    /// The same with other flags.
    #[must_use]
    pub fn with(&self, change: impl FnOnce(&mut Global)) -> Self {
        let mut global = Global::clone(&self.global);
        change(&mut global);
        Self { global: Arc::new(global), clock: self.clock.clone() }
    }

    /// Wall-clock time in ms since 1970.
    pub fn now_ms(&self) -> Timestamp {
        self.clock.now_ms()
    }

    /// Time since some fixed point.
    pub fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Ends after `duration`.
    pub async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }

    /// Ends when nobody reads stdout any more: whoever waits for news would find out at the next line only.
    pub async fn reader_gone(&self) {
        while !is_stdout_gone() {
            self.sleep(LOOK_EVERY).await;
        }
    }

    /// Prints a line to stderr unless `--quiet`.
    pub fn hint(&self, line: &str) {
        if !self.global.quiet {
            stderr::say(&shown(line));
        }
    }

    /// A client of the broker at `--bootstrap`, with `--timeout` for connections and requests.
    ///
    /// Errors: usage, when the address can't be read.
    pub async fn client(&self) -> Result<Client, Failure> {
        self.settings()?;
        let timeout = self.global.timeout;
        let builder =
            Client::builder(&self.global.bootstrap).connect_timeout(timeout).request_timeout(timeout);
        builder.connect().await.map_err(|error| Failure::usage(format!("--bootstrap: {}", error.message)))
    }

    /// The settings of the client: those of `-X` over those of the environment.
    ///
    /// Errors: usage, with every mistake.
    pub fn settings(&self) -> Result<ClientSettings, Failure> {
        let variable = |name: &str| std::env::var(name).ok();
        ClientSettings::read(&self.global.setting, variable)
            .map_err(|errors| Failure::usage(errors.join("\n  ")))
    }
}

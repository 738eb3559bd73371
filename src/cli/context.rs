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
        self.check_settings()?;
        let timeout = self.global.timeout;
        let builder =
            Client::builder(&self.global.bootstrap).connect_timeout(timeout).request_timeout(timeout);
        builder.connect().await.map_err(|error| Failure::usage(format!("--bootstrap: {}", error.message)))
    }

    /// A client setting of `-X`, read by `read`.
    ///
    /// Errors: usage, naming the key.
    pub fn setting<T>(
        &self,
        key: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        let found = self.global.setting.iter().rev().find(|(name, _)| name == key);
        let value = found.map(|(_, value)| read(value)).transpose();
        value.map_err(|error| Failure::usage(format!("-X {key}: {error}")))
    }

    fn check_settings(&self) -> Result<(), Failure> {
        for (key, _) in &self.global.setting {
            if !CLIENT_SETTINGS.contains(&key.as_str()) {
                let hint = crate::base::closest::did_you_mean(key, CLIENT_SETTINGS.iter().copied());
                let known = CLIENT_SETTINGS.join(", ");
                return Err(Failure::usage(format!(
                    "-X: there is no client setting '{key}'.{hint} Known: {known}"
                )));
            }
        }
        Ok(())
    }
}

/// What `-X` sets on the commands that talk to a broker.
pub const CLIENT_SETTINGS: &[&str] = &["batch.bytes", "buffer.bytes", "fetch.max.bytes", "linger.ms"];

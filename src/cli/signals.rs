//! Signals that ask a process to stop.

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::Exit;
use crate::env::process;

/// The signals that ask for a stop: SIGINT, SIGTERM, and SIGHUP unless the process began with that one ignored, as under `nohup`.
pub struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hang_up: Option<Signal>,
}

impl Signals {
    /// Catches them from now on. Needs a tokio runtime.
    pub fn caught() -> Self {
        Self {
            interrupt: catch(SignalKind::interrupt()),
            terminate: catch(SignalKind::terminate()),
            hang_up: if process::ignores_hang_up() { None } else { catch(SignalKind::hangup()) },
        }
    }

    /// Resolves at the next one, with the exit code of a command that it cuts short.
    pub async fn next(&mut self) -> Exit {
        tokio::select! {
            () = next_of(&mut self.interrupt) => Exit::Interrupted,
            () = next_of(&mut self.terminate) => Exit::Terminated,
            () = next_of(&mut self.hang_up) => Exit::HungUp,
        }
    }
}

/// Makes a write beyond the limit of file sizes an error like any other; it would end the process. Needs a tokio runtime.
pub fn survive_file_size_limit() {
    // Who has listened for a signal once has taken its default action away for good.
    drop(catch(SignalKind::from_raw(Number::XFSZ.as_raw())));
}

fn catch(kind: SignalKind) -> Option<Signal> {
    let caught = signal(kind);
    caught.inspect_err(|error| tracing::error!(?kind, %error, "a signal can't be caught")).ok()
}

async fn next_of(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

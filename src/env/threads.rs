//! Threads, started in one place.

use std::io;
use std::thread::JoinHandle;

/// Starts a thread named `name` that runs `work`.
///
/// Errors: the operating system refuses another thread.
#[allow(clippy::disallowed_methods)]
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

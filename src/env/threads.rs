//! Threads, started in one place, and work that may wait for the disk.

use std::io;
use std::thread::JoinHandle;

/// Starts a thread named `name` that runs `work`.
///
/// Errors: the operating system refuses another thread.
#[allow(clippy::disallowed_methods)]
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// Runs what may wait for the disk where it holds up no shard: on a blocking thread of the runtime, and at once where there is no
/// runtime because a simulation polls by hand. It runs to its end even if nobody waits for it. Cost: a change of threads.
pub async fn off_shard<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return work() };
    match runtime.spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only the end of the runtime cancels such work, and then nobody is left to be answered.
            Err(_) => std::future::pending().await,
        },
    }
}

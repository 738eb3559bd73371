//! Where work that may wait for the disk is run.

/// Runs what may wait for the disk where it holds up no shard. It runs to its end even if nobody waits for it.
pub(super) async fn off_shard<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only the end of the runtime cancels such work, and then nobody is left to be answered.
            Err(_) => std::future::pending().await,
        },
    }
}

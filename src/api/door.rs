//! What everything behind the listener serves with.

use std::sync::Arc;

use tokio::sync::watch;

use crate::broker::Broker;

/// What a shard serves with.
#[derive(Clone)]
pub struct Door {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Becomes true when serving ends: parked requests are answered and streams end then.
    pub stopping: watch::Receiver<bool>,
}

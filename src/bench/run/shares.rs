//! Who takes what of the machine while a run is measured.

use std::time::Duration;

use crate::env::Clock;
use crate::env::other_process::{Usage, busy, usage};

/// Who took what; `None` where the system does not tell.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Shares {
    /// The broker.
    pub broker: Option<Spent>,
    /// This process.
    pub client: Option<Spent>,
    /// Processors that others kept busy: a run beside much of that says little.
    pub other_cores: Option<f64>,
}

/// What a process took while it was measured.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spent {
    /// Processors that it kept busy.
    pub cores: f64,
    /// Its own memory at the end, in bytes.
    pub anon_bytes: u64,
}

/// A look at one moment.
pub(super) struct Look {
    at: Duration,
    broker: Option<Usage>,
    client: Option<Usage>,
    busy: Option<Duration>,
}

impl Look {
    /// Now, with the broker's process if that is known.
    pub(super) fn take(broker: Option<u32>, clock: &dyn Clock) -> Self {
        let client = usage(std::process::id());
        Self { at: clock.monotonic(), broker: broker.and_then(usage), client, busy: busy() }
    }

    /// What was taken from this look to a later one.
    pub(super) fn shares(&self, later: &Self) -> Shares {
        let length = (later.at - self.at).as_secs_f64();
        let cores = |before: Duration, after: Duration| after.saturating_sub(before).as_secs_f64() / length;
        let spent = |before: Option<Usage>, after: Option<Usage>| {
            let (before, after) = before.zip(after)?;
            Some(Spent { cores: cores(before.cpu, after.cpu), anon_bytes: after.anon_bytes })
        };
        let (broker, client) = (spent(self.broker, later.broker), spent(self.client, later.client));
        let all = self.busy.zip(later.busy).map(|(before, after)| cores(before, after));
        let ours = broker.zip(client).map(|(broker, client)| broker.cores + client.cores);
        let other_cores = all.zip(ours).map(|(all, ours)| (all - ours).max(0.0));
        Shares { broker, client, other_cores }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_broker_or_client_is_of_others() {
        let seconds = Duration::from_secs;
        let usage = |cpu| Usage { cpu: seconds(cpu), anon_bytes: 7, peak_bytes: 9 };
        let look = |at, broker, client, busy| Look {
            at: seconds(at),
            broker: Some(usage(broker)),
            client: Some(usage(client)),
            busy: Some(seconds(busy)),
        };
        let shares = look(1, 0, 3, 10).shares(&look(11, 5, 13, 30));
        assert_eq!(shares.broker, Some(Spent { cores: 0.5, anon_bytes: 7 }));
        assert_eq!(shares.client.map(|client| client.cores), Some(1.0));
        assert_eq!(shares.other_cores, Some(0.5));
        let unknown = Look { broker: None, ..look(1, 0, 3, 10) };
        assert_eq!(unknown.shares(&look(11, 5, 13, 30)).other_cores, None, "it may be the broker's");
    }
}

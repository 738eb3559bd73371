//! One run: a broker, the load, a member that stays, and guests that join one after the other and leave in the same order.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use weir::client::Client;
use weir::env::{Clock, RealClock};

use super::figures::Figures;
use super::load::Load;
use super::members::{Member, Seen};
use crate::broker::Broker;

pub(crate) const TOPIC: &str = "activity";
pub(crate) const GROUP: &str = "readers";
pub(crate) const PARTITIONS: i32 = 12;
/// How long the member that stays may take to read the rest.
const REST_MAX: Duration = Duration::from_secs(30);

/// How much is measured.
pub(crate) struct Plan {
    pub(crate) pairs: usize,
    pub(crate) guests: usize,
    /// Before anything is measured.
    settle: Duration,
    /// Between a join and the next, and a leave and the next.
    pace: Duration,
}

impl Plan {
    pub(crate) const FULL: Self =
        Self { pairs: 5, guests: 10, settle: Duration::from_secs(3), pace: Duration::from_secs(1) };
    pub(crate) const SHORT: Self =
        Self { pairs: 1, guests: 3, settle: Duration::from_millis(500), pace: Duration::from_millis(300) };
}

/// A run that is about to begin.
pub(crate) struct Run<'a> {
    plan: &'a Plan,
    guests: usize,
    clock: Arc<RealClock>,
}

impl<'a> Run<'a> {
    /// With so many that come and go; without any it takes as long as with the plan's.
    pub(crate) fn new(plan: &'a Plan, guests: usize) -> Self {
        Self { plan, guests, clock: Arc::new(RealClock::new()) }
    }

    /// Carries it out. Panics where a record that was acknowledged was not delivered.
    pub(crate) fn figures(self) -> Figures {
        let broker = Broker::start();
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (stored, seen) = runtime.block_on(self.carry_out(broker.address()));
        Figures::of(&stored, seen)
    }

    async fn carry_out(self, address: &str) -> (Vec<i64>, Vec<Seen>) {
        let client = Client::connect(address).await.expect("the broker is there");
        client.admin().create_topic(TOPIC).partitions(PARTITIONS).await.expect("a new topic");
        let since = self.clock.monotonic() + self.plan.settle;
        let load = Load::start(address, self.clock.clone());
        let stays = self.join(address, since).await;
        self.clock.sleep(self.plan.settle).await;
        let mut seen = self.come_and_go(address, since).await;
        let stored = tokio::task::spawn_blocking(|| load.stop()).await.expect("it ends");
        self.all_read(&client, stored.iter().sum()).await;
        seen.push(stays.leave().await);
        (stored, seen)
    }

    async fn join(&self, address: &str, since: Duration) -> Member {
        let client = Client::connect(address).await.expect("the broker is there");
        Member::join(client, self.clock.clone(), since)
    }

    async fn come_and_go(&self, address: &str, since: Duration) -> Vec<Seen> {
        let (mut guests, mut seen) = (Vec::new(), Vec::new());
        for number in 0..self.plan.guests {
            if number < self.guests {
                guests.push(self.join(address, since).await);
            }
            self.clock.sleep(self.plan.pace).await;
        }
        let mut guests = guests.into_iter();
        for _ in 0..self.plan.guests {
            if let Some(guest) = guests.next() {
                seen.push(guest.leave().await);
            }
            self.clock.sleep(self.plan.pace).await;
        }
        seen
    }

    /// Waits until the group has committed so many records.
    async fn all_read(&self, client: &Client, stored: i64) {
        let until = self.clock.monotonic() + REST_MAX;
        loop {
            let offsets = client.admin().group_offsets(GROUP).await.expect("the group is there");
            let committed: i64 = offsets.iter().map(|each| each.offset).sum();
            if committed == stored {
                return;
            }
            assert!(
                self.clock.monotonic() < until,
                "{committed} of {stored} records are committed after {REST_MAX:?}"
            );
            self.clock.sleep(Duration::from_millis(20)).await;
        }
    }
}

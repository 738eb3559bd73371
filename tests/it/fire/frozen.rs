//! A broker that stands still for a while and goes on (`SIGSTOP`, `SIGCONT`), as under a debugger, or in a machine that is moved.
//!
//! It takes up where it was: nothing is lost, there twice or out of order, and every partition goes on.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::load::{Kind, Load, PARTITIONS};
use super::{assert_none, number};
use crate::process::{BrokerProcess, free_port};

/// How often it stands still where `$WEIR_FREEZES` does not say.
const FREEZES_DEFAULT: usize = 3;
/// How long at most, in ms, where `$WEIR_FROZEN_MS` does not say.
const FROZEN_MS_DEFAULT: usize = 1_000;
/// How long it runs in between, in ms.
const RUN_MS: std::ops::RangeInclusive<u64> = 50..=500;
/// A partition that acknowledges nothing for so long stands still.
const PROGRESS_WAIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

async fn all_go_on(load: &Load) {
    let (mark, begun) = (load.mark(), Instant::now());
    while (0..PARTITIONS).any(|partition| load.acknowledged_since(&mark, partition) == 0) {
        assert!(begun.elapsed() < PROGRESS_WAIT, "not every partition goes on after the broker stood still");
        sleep(PAUSE).await;
    }
}

#[tokio::test]
async fn a_broker_that_stood_still_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = BrokerProcess::start(folder.path(), free_port());
    broker.answers(None).await;
    let kind = Kind::all("ack");
    let mut load = Load::start(&broker.address(), &kind).await;
    load.flows().await;
    let mut rng = fastrand::Rng::with_seed(number("WEIR_SEED", 7) as u64);
    let freezes = number("WEIR_FREEZES", FREEZES_DEFAULT);
    let longest_ms = number("WEIR_FROZEN_MS", FROZEN_MS_DEFAULT) as u64;
    for _ in 0..freezes {
        sleep(Duration::from_millis(rng.u64(RUN_MS))).await;
        broker.signal(Signal::STOP);
        sleep(Duration::from_millis(rng.u64(longest_ms / 2..=longest_ms))).await;
        broker.signal(Signal::CONT);
        all_go_on(&load).await;
    }
    load.stop().await;
    let checked = load.check(false).await;
    println!("frozen: {freezes} times for up to {longest_ms} ms; {}", checked.told());
    assert_none(checked.findings);
    broker.kill();
}

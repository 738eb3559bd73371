//! Idempotent producers: what was acknowledged is known after every crash, and no retry stores anything twice.

use weir::config::FlushMode;
use weir::env::SimDisk;

use super::harness::run;
use super::life::{Keeper, Life, start_disk};
use super::log::alone;
use super::told::Told;

/// Two producers over several rolls, with retries of what was acknowledged and of what was not.
pub(super) fn two_producers(disk: &SimDisk, keeper: &Keeper, told: &mut Told) {
    let Some(mut life) = Life::begin(disk, keeper, 0, told) else { return };
    for n in 0..4 {
        life.send(1, n != 2);
        life.send(2, n % 2 == 1);
    }
    life.send_again(0, true);
    life.send_again(1, true);
}

/// The same over an unclean restart, a clean one, and retries after each; the producers are more than five batches ahead of the first.
pub(super) fn producers_over_restarts(disk: &SimDisk, keeper: &Keeper, told: &mut Told) {
    for epoch in 0..3 {
        let Some(mut life) = Life::begin(disk, keeper, epoch, told) else { return };
        let known = life.told.sent.len();
        (0..known).for_each(|at| life.send_again(at, true));
        life.send(1, true);
        life.send(2, true);
        life.send(1, epoch == 1);
        if epoch == 1 {
            life.store.stop();
        }
    }
}

#[test]
fn two_producers_survive_every_crash() {
    run("two producers", &start_disk(), &alone(FlushMode::Ack, two_producers)).assert_holds();
}

#[test]
fn producers_over_restarts_survive_every_crash() {
    run("producers over restarts", &start_disk(), &alone(FlushMode::Ack, producers_over_restarts))
        .assert_holds();
}

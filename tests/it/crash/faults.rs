//! Writes, syncs and all other calls fail, and then the power is cut: what was answered `not written` never appears, and what was
//! acknowledged stays.

use weir::config::FlushMode;
use weir::env::SimDisk;
use weir::env::sim_disk::{Effect, Fault, OpKind, ends_with};

use super::harness::{run, run_with_faults};
use super::life::{Keeper, Life, start_disk};
use super::log::{alone, appends_and_rolls, appends_together, restarts};
use super::producers::two_producers;
use super::removal::{by_metadata, by_time};
use super::told::Told;

/// A write of the log is cut short, and what is left of it finds no room. The first fault keeps its call from the second.
#[test]
fn failed_writes_survive_every_crash() {
    for skip in 0..4 {
        let disk = start_disk();
        disk.fail(Fault::on(OpKind::Write, ends_with(".log"), Effect::ShortWrite(20)).skipping(skip));
        disk.fail(Fault::on(OpKind::Write, ends_with(".log"), Effect::Full).skipping(skip));
        run("failed writes", &disk, &alone(FlushMode::Ack, appends_and_rolls)).assert_holds();
    }
}

/// The first of several batches is on the disk whole when the write of the others fails: none of them was written.
#[test]
fn failed_writes_of_several_batches_survive_every_crash() {
    for (skip, bytes) in [(1, 80), (1, 160), (3, 100)] {
        let disk = start_disk();
        disk.fail(Fault::on(OpKind::Write, ends_with(".log"), Effect::ShortWrite(bytes)).skipping(skip));
        disk.fail(Fault::on(OpKind::Write, ends_with(".log"), Effect::Full).skipping(skip));
        run("failed writes of several batches", &disk, &alone(FlushMode::Ack, appends_together))
            .assert_holds();
    }
}

#[test]
fn failed_syncs_survive_every_crash() {
    for skip in 0..3 {
        let disk = start_disk();
        disk.fail(Fault::on(OpKind::SyncData, ends_with(".log"), Effect::LoseSync).skipping(skip));
        run("failed syncs", &disk, &alone(FlushMode::Ack, appends_and_rolls)).assert_holds();
    }
}

/// A fault, then a start without a power cut, on which the faulty pages may still look clean; then goes on.
fn appends_and_a_restart(disk: &SimDisk, keeper: &Keeper, told: &mut Told) {
    appends_and_rolls(disk, keeper, told);
    let Some(mut life) = Life::begin(disk, keeper, 1, told) else { return };
    life.append("b0", true);
}

#[test]
fn faults_in_appends_survive_every_crash() {
    let scenario = alone(FlushMode::Ack, appends_and_a_restart);
    run_with_faults("appends and a restart", &start_disk(), &scenario).assert_holds();
}

#[test]
fn faults_in_appends_together_survive_every_crash() {
    let scenario = alone(FlushMode::Ack, appends_together);
    run_with_faults("appends together", &start_disk(), &scenario).assert_holds();
}

#[test]
fn faults_in_restarts_survive_every_crash() {
    run_with_faults("restarts", &start_disk(), &alone(FlushMode::Ack, restarts)).assert_holds();
}

#[test]
fn faults_under_producers_survive_every_crash() {
    run_with_faults("two producers", &start_disk(), &alone(FlushMode::Ack, two_producers)).assert_holds();
}

#[test]
fn faults_in_removals_survive_every_crash() {
    run_with_faults("retention by time", &start_disk(), &by_time()).assert_holds();
    let (disk, scenario) = by_metadata();
    run_with_faults("durable trims", &disk, &scenario).assert_holds();
}

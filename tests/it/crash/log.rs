//! Scenarios over one log.

use weir::config::{FlushMode, TopicConfig};
use weir::env::SimDisk;

use super::check::{check, read_all};
use super::harness::{Scenario, run};
use super::life::{Keeper, Life, SEGMENT_BYTES, start_disk, start_disk_with_metadata};
use super::told::Told;

/// Epoch of the life that recovers before a second crash, where nobody else gives them out.
const RECOVERY_EPOCH: i32 = 80;

/// A script over one log.
pub(super) struct LogScenario {
    pub(super) keeper: Keeper,
    /// What is done. It ends by itself when nothing opens any more.
    pub(super) play: fn(&SimDisk, &Keeper, &mut Told),
}

impl Scenario for LogScenario {
    type Told = Told;

    fn play(&self, disk: &SimDisk) -> Told {
        let mut told = Told::default();
        (self.play)(disk, &self.keeper, &mut told);
        told
    }

    fn recover(&self, disk: &SimDisk, told: &Told) -> Told {
        let mut told = told.clone();
        let Some(mut life) = Life::begin(disk, &self.keeper, RECOVERY_EPOCH, &mut told) else { return told };
        if life.log.config().flush == FlushMode::Ack {
            let seen = read_all(&life.log).unwrap_or_default();
            life.told.acked.extend(seen.into_iter().map(|(offset, _, value)| (offset, value)));
            life.told.shown = life.told.shown.max(life.log.offsets().high_watermark);
            life.append("recovered", true);
        }
        told
    }

    fn check(&self, disk: &SimDisk, told: &Told) -> Result<(), String> {
        check(disk, &self.keeper, told)
    }
}

/// Small segments: three batches or so.
pub(super) fn config(flush: FlushMode) -> TopicConfig {
    TopicConfig { segment_bytes: SEGMENT_BYTES, flush, ..TopicConfig::default() }
}

pub(super) fn alone(flush: FlushMode, play: fn(&SimDisk, &Keeper, &mut Told)) -> LogScenario {
    LogScenario { keeper: Keeper::Scenario(config(flush)), play }
}

/// Appends with and without flush over several segments.
pub(super) fn appends_and_rolls(disk: &SimDisk, keeper: &Keeper, told: &mut Told) {
    let Some(mut life) = Life::begin(disk, keeper, 0, told) else { return };
    let is_ack = life.log.config().flush == FlushMode::Ack;
    for n in 0..7 {
        life.append(&format!("a{n}"), n % 3 != 1 && is_ack);
    }
}

/// Appends of which several are written with one call.
pub(super) fn appends_together(disk: &SimDisk, keeper: &Keeper, told: &mut Told) {
    let Some(mut life) = Life::begin(disk, keeper, 0, told) else { return };
    life.append_together(&["g0", "g1", "g2"], true);
    life.append_together(&["h0", "h1", "h2", "h3"], true);
    life.append("after", true);
}

/// Stops uncleanly, recovers, goes on under the next epoch; twice.
pub(super) fn restarts(disk: &SimDisk, keeper: &Keeper, told: &mut Told) {
    for epoch in 0..3 {
        let Some(mut life) = Life::begin(disk, keeper, epoch, told) else { return };
        let is_ack = life.log.config().flush == FlushMode::Ack;
        life.append(&format!("r{epoch}-flushed"), is_ack);
        life.append(&format!("r{epoch}-written"), false);
    }
}

/// Stops cleanly and starts again.
pub(super) fn clean_stops(disk: &SimDisk, keeper: &Keeper, told: &mut Told) {
    for epoch in 0..2 {
        let Some(mut life) = Life::begin(disk, keeper, epoch, told) else { return };
        for n in 0..3 {
            life.append(&format!("c{epoch}-{n}"), true);
        }
        life.store.stop();
    }
}

#[test]
fn appends_and_rolls_survive_every_crash() {
    for flush in [FlushMode::Ack, FlushMode::Os] {
        run("appends and rolls", &start_disk(), &alone(flush, appends_and_rolls)).assert_holds();
    }
}

#[test]
fn appends_together_survive_every_crash() {
    run("appends together", &start_disk(), &alone(FlushMode::Ack, appends_together)).assert_holds();
}

#[test]
fn restarts_survive_every_crash() {
    for flush in [FlushMode::Ack, FlushMode::Os] {
        run("restarts", &start_disk(), &alone(flush, restarts)).assert_holds();
    }
}

/// Under the epochs that the metadata log gives out, which a power cut must not repeat.
#[test]
fn restarts_under_stored_epochs_survive_every_crash() {
    let disk = start_disk_with_metadata(&[("flush", "os")]);
    run("restarts under stored epochs", &disk, &LogScenario { keeper: Keeper::Metadata, play: restarts })
        .assert_holds();
}

#[test]
fn clean_stops_survive_every_crash() {
    run("clean stops", &start_disk(), &alone(FlushMode::Ack, clean_stops)).assert_holds();
}

//! Records go, by retention or by a trim: what is gone stays gone, nothing else goes, and the log's end is never lost.

use weir::base::Offset;
use weir::config::{FlushMode, TopicConfig};
use weir::env::SimDisk;

use super::harness::run;
use super::life::{Keeper, Life, start_disk, start_disk_with_metadata};
use super::log::{LogScenario, alone, config};
use super::told::Told;

/// Records expire after so many ms.
const RETENTION_MS: u64 = 1_000;

pub(super) fn by_size() -> LogScenario {
    let config = TopicConfig { retention_bytes: 300, ..config(FlushMode::Ack) };
    LogScenario { keeper: Keeper::Scenario(config), play: retention_by_size }
}

pub(super) fn by_time() -> LogScenario {
    let config = TopicConfig { retention_ms: RETENTION_MS as i64, ..config(FlushMode::Ack) };
    LogScenario { keeper: Keeper::Scenario(config), play: retention_by_time }
}

/// Segments go by size while appends go on, over an unclean restart.
fn retention_by_size(disk: &SimDisk, keeper: &Keeper, told: &mut Told) {
    for epoch in 0..2 {
        let Some(mut life) = Life::begin(disk, keeper, epoch, told) else { return };
        for n in 0..6 {
            life.append(&format!("s{epoch}-{n}"), n % 3 != 1);
            life.housekeep();
        }
    }
}

/// Segments go by time, several at once, the last one too, with an append in flight and with none, over an unclean restart.
fn retention_by_time(disk: &SimDisk, keeper: &Keeper, told: &mut Told) {
    told.expires = true;
    for epoch in 0..2 {
        let Some(mut life) = Life::begin(disk, keeper, epoch, told) else { return };
        for n in 0..5 {
            life.append(&format!("e{epoch}-{n}"), n != 1);
        }
        life.pass(RETENTION_MS + 1);
        life.append(&format!("e{epoch}-young"), epoch == 0);
        life.housekeep();
        life.pass(RETENTION_MS + 1);
        life.housekeep();
        life.append(&format!("e{epoch}-after"), true);
    }
}

/// A trim in the middle and one of everything; nothing but the log itself says where they ended.
pub(super) fn trims(disk: &SimDisk, keeper: &Keeper, told: &mut Told) {
    let Some(mut life) = Life::begin(disk, keeper, 0, told) else { return };
    for n in 0..6 {
        life.append(&format!("t{n}"), true);
        match n {
            3 => life.trim(3),
            5 => life.trim(Offset::MAX),
            _ => {}
        }
    }
    life.append("after", true);
}

/// Trims that are durable before they are answered, in the middle of a segment and of everything, over an unclean restart.
pub(super) fn durable_trims(disk: &SimDisk, keeper: &Keeper, told: &mut Told) {
    for epoch in 0..2 {
        let Some(mut life) = Life::begin(disk, keeper, epoch, told) else { return };
        for n in 0..3 {
            life.append(&format!("t{epoch}-{n}"), n != 1);
        }
        let start = life.log.offsets().log_start;
        life.trim(start + 2);
        life.append(&format!("t{epoch}-3"), true);
        if epoch == 0 {
            life.trim(Offset::MAX);
            life.append("t0-after", true);
        }
    }
}

pub(super) fn by_metadata() -> (SimDisk, LogScenario) {
    let disk = start_disk_with_metadata(&[]);
    (disk, LogScenario { keeper: Keeper::Metadata, play: durable_trims })
}

#[test]
fn retention_by_size_survives_every_crash() {
    run("retention by size", &start_disk(), &by_size()).assert_holds();
}

#[test]
fn retention_by_time_survives_every_crash() {
    run("retention by time", &start_disk(), &by_time()).assert_holds();
}

#[test]
fn trims_survive_every_crash() {
    run("trims", &start_disk(), &alone(FlushMode::Ack, trims)).assert_holds();
}

#[test]
fn durable_trims_survive_every_crash() {
    let (disk, scenario) = by_metadata();
    run("durable trims", &disk, &scenario).assert_holds();
}

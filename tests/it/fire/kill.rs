//! `kill -9` under load, again and again: nothing acknowledged is lost, order is kept, and nothing of a producer with id is there twice.

use std::time::Duration;

use tokio::time::sleep;

use super::history::{Fate, duplicates};
use super::load::{Checked, Kind, Load, TOPIC};
use super::{assert_none, number};
use crate::process::{BrokerProcess, free_port};

/// Kills where `$WEIR_KILLS` does not say.
const KILLS_DEFAULT: usize = 3;
/// How long a broker lives, in ms.
const LIFE_MS: std::ops::RangeInclusive<u64> = 50..=1500;
/// Now and then one is killed this soon after its start, in ms.
const YOUNG_MS: std::ops::RangeInclusive<u64> = 1..=40;
/// One restart of so many is killed young.
const YOUNG_EVERY: u64 = 8;

/// What the kills were like.
#[derive(Default)]
struct Kills {
    under_load: usize,
    while_starting: usize,
    restarts: Vec<Duration>,
    /// Lives in which nothing was acknowledged.
    idle: usize,
}

async fn kill_many(
    mut broker: BrokerProcess,
    folder: &std::path::Path,
    load: &mut Load,
) -> (BrokerProcess, Kills) {
    let mut rng = fastrand::Rng::with_seed(number("WEIR_SEED", 7) as u64);
    let port = broker.port();
    let mut kills = Kills::default();
    for _ in 0..number("WEIR_KILLS", KILLS_DEFAULT) {
        let (before, passing) = (load.acknowledged(), load.pass_by());
        sleep(Duration::from_millis(rng.u64(LIFE_MS))).await;
        broker.kill();
        passing.abort();
        kills.under_load += 1;
        kills.idle += usize::from(load.acknowledged() == before);
        if rng.u64(..YOUNG_EVERY) == 0 {
            let young = BrokerProcess::start(folder, port);
            sleep(Duration::from_millis(rng.u64(YOUNG_MS))).await;
            young.kill();
            kills.while_starting += 1;
        }
        broker = BrokerProcess::start(folder, port);
        kills.restarts.push(broker.answers(Some(TOPIC)).await);
    }
    (broker, kills)
}

/// The whole proof for one `flush` mode.
async fn prove(flush: &'static str) {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = BrokerProcess::start(folder.path(), free_port());
    broker.answers(None).await;
    let address = broker.address();
    let mut load = Load::start(&address, &Kind::all(flush)).await;
    let (broker, kills) = kill_many(broker, folder.path(), &mut load).await;
    load.stop().await;
    // WHY once more: what is checked has been recovered, too.
    let port = broker.port();
    broker.kill();
    let mut broker = BrokerProcess::start(folder.path(), port);
    broker.answers(Some(TOPIC)).await;
    let checked = load.check(false).await;
    report(flush, &kills, &checked);
    let refused = checked.sent.count(|fate| fate == Fate::NotWritten);
    assert_eq!(refused, 0, "deliveries failed although every broker came back");
    assert_none(checked.findings);
    assert!(kills.idle < kills.under_load, "no broker acknowledged anything: this shows nothing");
}

fn report(flush: &str, kills: &Kills, checked: &Checked) {
    let stored: usize = checked.log.iter().map(Vec::len).sum();
    let mut restarts = kills.restarts.clone();
    restarts.sort();
    let ms = |at: usize| restarts.get(at).map_or(0, Duration::as_millis);
    println!(
        "kill -9, flush={flush}: {} kills under load ({} lives without an acknowledgement) and {} while starting; \
         {} records acknowledged ({} without offset), {} with open outcome; {stored} stored, {} of them duplicates of producers without id, each read \
         twice; \
         restart median {} ms, largest {} ms",
        kills.under_load,
        kills.idle,
        kills.while_starting,
        checked.sent.acknowledged(),
        checked.sent.count(|fate| matches!(fate, Fate::Stored(-1, _))),
        checked.sent.count(|fate| fate == Fate::Open),
        duplicates(&checked.log),
        ms(restarts.len() / 2),
        ms(restarts.len().saturating_sub(1)),
    );
}

#[tokio::test]
async fn acknowledged_records_survive_at_flush_ack() {
    prove("ack").await;
}

#[tokio::test]
async fn acknowledged_records_survive_at_flush_os() {
    prove("os").await;
}

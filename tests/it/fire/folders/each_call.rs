//! `kill -9` at each system call of making, deleting and making again, and one failing call in the start that comes next.
//!
//! What the killed broker left half done is finished by that start, or by the one after when a call of it failed: no folder is left
//! over, in `quarantine/` neither, and what was acknowledged holds.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use weir::base::Error;
use weir::client::Client;

use super::{Shared, Told, check, create, delete, names, produce};
use crate::fire::number;
use crate::fire::outcomes::skip;
use crate::fire::strace::{Fault, hits, missing, notes_in};
use crate::process::{BrokerProcess, free_port};

/// With `$WEIR_EVERY_CALL` set to 1 there is a kill at every call; else at one of so many.
const STRIDE_SHORT: usize = 9;
/// Calls of each kind that a life makes at most, by far.
const CALLS_MAX: usize = 1_000;
/// Calls that the broker is killed at, each kind in lives of its own: `strace` counts the calls of a thread.
const KILLS_AT: [&str; 3] = [FOLDER_CALLS, "fdatasync,syncfs", "pwritev"];
const FOLDER_CALLS: &str = "mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir,fsync";
/// What fails in the next start, and at one of how many calls of a thread.
const FAULTS: [(&str, &str, u64); 5] = [
    (FOLDER_CALLS, "error=EIO", 12),
    ("rename,renameat,renameat2", "error=EIO", 4),
    ("openat", "error=EMFILE", 60),
    ("pwritev", "error=ENOSPC", 12),
    ("fdatasync", "error=EIO", 12),
];
/// A broker that was not killed this long after a call failed will not be.
const AFTER: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(2);

/// What the lives came to.
#[derive(Default)]
struct Tally {
    kills: usize,
    hit_starts: usize,
    refused_starts: usize,
    creates: usize,
    deletes: usize,
}

/// A broker with one topic; the other name is free.
async fn begin(folder: &Path, told: &[Shared; 2]) -> BrokerProcess {
    let mut broker = BrokerProcess::start(folder, free_port());
    broker.answers(None).await;
    let client = Client::connect(&broker.address()).await.unwrap();
    create(&client, &told[0]).await.unwrap();
    let on_their_way = produce(&client, &told[0], &mut fastrand::Rng::with_seed(7)).await.unwrap();
    on_their_way.await.unwrap();
    broker
}

/// One topic is deleted and made again, another is made and deleted.
async fn work(address: String, data: std::path::PathBuf, told: [Shared; 2]) -> Result<(), Error> {
    let client = Client::connect(&address).await?;
    create(&client, &told[1]).await?;
    delete(&client, &data, &told[0]).await?;
    create(&client, &told[0]).await?;
    let on_their_way = produce(&client, &told[0], &mut fastrand::Rng::with_seed(8)).await?;
    on_their_way.await.unwrap();
    delete(&client, &data, &told[1]).await?;
    // The folders are unlinked behind the answer.
    while !names(&data.join("deleted")).is_empty() {
        sleep(PAUSE).await;
    }
    Ok(())
}

/// Lets the broker work until the kill. False when it was never killed.
async fn killed_at(broker: &mut BrokerProcess, folder: &Path, told: &[Shared; 2], kill: &Fault) -> bool {
    let mut attached = kill.attach(broker.pid(), &notes_in(folder, 0)).await;
    let work = tokio::spawn(work(broker.address(), folder.join("data"), told.clone()));
    while !work.is_finished() && !attached.give_up_dead(broker.pid()) {
        sleep(PAUSE).await;
    }
    // A killed broker may leave it waiting for an answer.
    work.abort();
    let is_done = work.await.is_ok_and(|done| done.is_ok());
    let begun = Instant::now();
    while !is_done && !attached.give_up_dead(broker.pid()) {
        assert!(begun.elapsed() < AFTER, "{kill}: a call failed and the broker lives");
        sleep(PAUSE).await;
    }
    drop(attached);
    !is_done
}

/// The next start, with a call that fails; it may be refused, in words.
async fn start_with_fault(folder: &Path, port: u16, fault: &Fault, tally: &mut Tally) {
    let notes = notes_in(folder, 1);
    let mut broker = BrokerProcess::start_as(&folder.join("data"), folder, port, &fault.manner(&notes));
    let has_ended = fault.comes_up_or_says_why(&mut broker).await;
    tally.refused_starts += usize::from(has_ended);
    tally.hit_starts += usize::from(!hits(&notes).is_empty());
    broker.kill();
}

/// One life; false when there was no such call to be killed at.
async fn live(calls: &str, at: usize, fault: &Fault, tally: &mut Tally) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let told = [0, 1].map(|number| Arc::new(Mutex::new(Told::new(number))));
    let mut broker = begin(folder.path(), &told).await;
    let port = broker.port();
    let effect = "signal=KILL".to_owned();
    let kill = Fault { calls: calls.to_owned(), effect, when: at.to_string(), with: Vec::new() };
    let is_killed = killed_at(&mut broker, folder.path(), &told, &kill).await;
    broker.kill();
    start_with_fault(folder.path(), port, fault, tally).await;
    let mut broker = BrokerProcess::start(folder.path(), port);
    broker.answers(None).await;
    check(&broker, &folder.path().join("data"), &told).await;
    broker.kill();
    tally.kills += usize::from(is_killed);
    tally.creates += told.iter().map(|told| told.lock().creates).sum::<usize>();
    tally.deletes += told.iter().map(|told| told.lock().deletes).sum::<usize>();
    is_killed
}

#[tokio::test]
async fn a_kill_at_each_call_of_create_and_delete() {
    if let Some(reason) = missing() {
        return skip("kills at each call of making and deleting", &reason);
    }
    let stride = if number("WEIR_EVERY_CALL", 0) == 1 { 1 } else { STRIDE_SHORT };
    let mut rng = fastrand::Rng::with_seed(number("WEIR_SEED", 7) as u64);
    let mut turn = 0;
    for calls in KILLS_AT {
        let mut tally = Tally::default();
        for at in (1..=CALLS_MAX).step_by(stride) {
            let (failing, effect, among) = FAULTS[turn % FAULTS.len()];
            turn += 1;
            let (failing, effect) = (failing.to_owned(), effect.to_owned());
            let when = rng.u64(1..=among).to_string();
            let fault = Fault { calls: failing, effect, when, with: Vec::new() };
            if !live(calls, at, &fault, &mut tally).await {
                break;
            }
        }
        println!(
            "kills at each call, {calls}: {} kills, {} of the starts after them hit by a failing call, {} of these refused; {} topics \
             made, {} deleted; nothing left over, no old record read, nothing acknowledged lost",
            tally.kills, tally.hit_starts, tally.refused_starts, tally.creates, tally.deletes
        );
        assert!(tally.kills > 0, "{calls}: there is no such call: this shows nothing");
    }
}

#[tokio::test]
async fn a_deleted_folder_that_can_not_be_moved_is_left_for_the_next_start() {
    if let Some(reason) = missing() {
        return skip("a deleted folder that can't be moved", &reason);
    }
    let folder = tempfile::tempdir().unwrap();
    let told = [0, 1].map(|number| Arc::new(Mutex::new(Told::new(number))));
    let mut broker = begin(folder.path(), &told).await;
    let (port, data) = (broker.port(), folder.path().join("data"));
    let stuck = data.join(format!("{}-0", told[0].lock().name));
    let calls = "rename,renameat,renameat2".to_owned();
    let effect = "signal=KILL".to_owned();
    let kill = Fault { calls: calls.clone(), effect, when: "1".to_owned(), with: Vec::new() };
    let mut attached = kill.attach_on(broker.pid(), &notes_in(folder.path(), 0), &stuck).await;
    let deleting = {
        let (client, data) = (Client::connect(&broker.address()).await.unwrap(), data.clone());
        let told = told[0].clone();
        tokio::spawn(async move { delete(&client, &data, &told).await })
    };
    let begun = Instant::now();
    while !attached.give_up_dead(broker.pid()) {
        // WHY not as soon as the delete has ended: it may hear of the broker's end before the broker is seen to be dead.
        assert!(begun.elapsed() < AFTER, "the delete did not move {}", stuck.display());
        sleep(PAUSE).await;
    }
    deleting.abort();
    drop(attached);
    broker.kill();

    let fault = Fault { calls, effect: "error=EIO".to_owned(), when: "1+".to_owned(), with: Vec::new() };
    let mut manner = fault.manner(&notes_in(folder.path(), 1));
    manner.under.extend(["-P".to_owned(), stuck.display().to_string()]);
    broker = BrokerProcess::start_as(&data, folder.path(), port, &manner);
    broker.answers(None).await;
    assert!(broker.said_itself().contains("deleted topic is still on disk"), "{}", broker.said());
    broker.kill();

    let mut broker = BrokerProcess::start(folder.path(), port);
    broker.answers(None).await;
    check(&broker, &data, &told).await;
    broker.kill();
}

//! The first start of a broker with one failing system call, at every place in turn: it either comes up, or says why it can't and
//! leaves nothing that keeps the next start from coming up.

use std::path::Path;

use weir::client::{Client, Record};

use super::number;
use super::outcomes::skip;
use super::strace::{Fault, hits, missing, notes_in};
use crate::process::{BrokerProcess, free_port};

/// With `$WEIR_EVERY_CALL` set to 1 every call fails once; else one of so many.
const STRIDE_SHORT: usize = 9;
/// Calls of each kind that a first start makes at most, by far.
const CALLS_MAX: usize = 1_000;

const FAULTS: [(&str, &str); 8] = [
    ("openat", "error=EMFILE"),
    ("pwritev", "error=EIO"),
    ("pwritev", "error=ENOSPC"),
    ("fdatasync", "error=EIO"),
    ("fsync", "error=EIO"),
    ("rename,renameat,renameat2", "error=EIO"),
    ("mkdir,mkdirat", "error=ENOSPC"),
    ("unlink,unlinkat", "error=EIO"),
];

/// One first start with the fault, and the next one without. Says whether the fault hit, and whether the broker came up with it.
async fn start_twice(folder: &Path, fault: &Fault) -> (bool, bool) {
    let (notes, port) = (notes_in(folder, 0), free_port());
    let data = folder.join("data");
    let mut broker = BrokerProcess::start_as(&data, folder, port, &fault.manner(&notes));
    let has_ended = fault.comes_up_or_says_why(&mut broker).await;
    broker.kill();
    let mut broker = BrokerProcess::start(folder, port);
    broker.answers(None).await;
    let client = Client::connect(&broker.address()).await.unwrap();
    client.admin().create_topic("first").await.unwrap();
    let producer = client.producer().build().await.unwrap();
    producer.send(Record::to("first").value("first")).await.unwrap().await.unwrap();
    broker.kill();
    (!hits(&notes).is_empty(), !has_ended)
}

#[tokio::test]
async fn a_failing_call_in_the_first_start_keeps_no_later_start_from_coming_up() {
    if let Some(reason) = missing() {
        return skip("first starts with failing calls", &reason);
    }
    let stride = if number("WEIR_EVERY_CALL", 0) == 1 { 1 } else { STRIDE_SHORT };
    for (calls, effect) in FAULTS {
        let (mut hit, mut came_up) = (0, 0);
        for at in (1..=CALLS_MAX).step_by(stride) {
            let folder = tempfile::tempdir().unwrap();
            let (calls, effect) = (calls.to_owned(), effect.to_owned());
            let fault = Fault { calls, effect, when: at.to_string(), with: Vec::new() };
            let (is_hit, is_up) = start_twice(folder.path(), &fault).await;
            if !is_hit {
                break;
            }
            hit += 1;
            came_up += usize::from(is_up);
        }
        println!(
            "first start, {calls}:{effect}: {hit} starts hit, {came_up} came up all the same, each came up the next time"
        );
        assert!(hit > 0, "{calls}: the first start makes no such call: this shows nothing");
    }
}

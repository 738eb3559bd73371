//! `weir bench` leaves nothing behind, and who stops it, or a member of a group, does not wait for a broker that hangs.

use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::served::{Ran, Served};

const PAUSE: Duration = Duration::from_millis(20);
/// Longer than any test: what ends before has not waited for it.
const FOR_EVER: &str = "600s";

fn start(served: &Served, line: &str) -> Child {
    let mut weir = served.weir(&line.split(' ').collect::<Vec<_>>());
    weir.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ended(child: Child) -> Ran {
    child.wait_with_output().unwrap().into()
}

/// Signals it again and again: one that comes before the one before was taken is not counted.
fn interrupt_until_it_ends(mut child: Child) -> Ran {
    while child.try_wait().unwrap().is_none() {
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        std::thread::sleep(PAUSE);
    }
    ended(child)
}

/// The topics of runs under way; waits for one.
fn bench_topics(served: &Served) -> String {
    loop {
        let names = served.prints(&["topic", "list", "bench-*", "--output", "name"]);
        if !names.is_empty() {
            return names;
        }
        std::thread::sleep(PAUSE);
    }
}

#[test]
fn a_run_that_is_stopped_removes_its_topic_without_a_word() {
    let served = Served::start();
    for kind in ["produce", "consume --fill 1TiB", "latency", "e2e"] {
        let run = start(&served, &format!("bench {kind} --duration {FOR_EVER}"));
        bench_topics(&served);
        kill_process(Pid::from_child(&run), Signal::TERM).unwrap();
        let ran = ended(run);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (143, "", ""), "{kind}");
        assert_eq!(served.prints(&["topic", "list", "--output", "name"]), "", "{kind}");
    }
}

#[test]
fn a_topic_of_the_user_is_kept_as_it_is() {
    let served = Served::start();
    served.prints(&["topic", "create", "mine", "-p", "2", "-c", "flush=os"]);
    let ran = served.run(&["bench", "produce", "-t", "mine", "--duration", "50ms", "--warmup", "50ms"]);
    assert!(ran.code == 0 && ran.out.contains("p=2 flush=os"), "{ran:?}");
    let described = served.prints(&["topic", "describe", "mine", "-J"]);
    assert!(described.contains("\"flush\""), "{described}");
    assert_eq!(served.prints(&["topic", "list", "--output", "name"]), "mine\n");
}

#[test]
fn a_folder_that_cannot_be_written_is_told_before_the_run() {
    let served = Served::start();
    let line = ["bench", "produce", "--duration", FOR_EVER, "--out", "/proc/nowhere"];
    let ran = served.run(&line);
    assert!(ran.code == 1 && ran.err.contains("--out: can't write /proc/nowhere"), "{ran:?}");
}

#[test]
fn whoever_stops_twice_does_not_wait_for_a_broker_that_hangs() {
    let served = Served::start();
    served.prints(&["topic", "create", "orders"]);
    served.prints(&["produce", "orders", "one"]);
    let run = start(&served, &format!("--timeout {FOR_EVER} bench latency --duration {FOR_EVER}"));
    let topic = bench_topics(&served);
    let member = start(&served, &format!("--timeout {FOR_EVER} consume orders -g readers"));
    while !served.run(&["group", "describe", "readers", "--members"]).out.contains("orders") {
        std::thread::sleep(PAUSE);
    }
    served.signal(Signal::STOP);
    let late = start(&served, &format!("--timeout {FOR_EVER} bench latency"));
    for (what, child) in [("bench", run), ("member", member), ("late", late)] {
        let ran = interrupt_until_it_ends(child);
        assert_eq!(ran.code, 130, "{what}: {ran:?}");
        let advice = format!("remove it by: weir topic delete {}", topic.trim());
        assert!(what != "bench" || ran.err.contains(&advice), "{ran:?}");
    }
    served.signal(Signal::CONT);
}

#[test]
fn whoever_stops_once_waits_no_longer_than_the_timeout() {
    let served = Served::start();
    served.prints(&["topic", "create", "orders"]);
    let member = start(&served, "--timeout 300ms consume orders -g readers");
    while !served.run(&["group", "describe", "readers", "--members"]).out.contains("orders") {
        std::thread::sleep(PAUSE);
    }
    served.signal(Signal::STOP);
    kill_process(Pid::from_child(&member), Signal::INT).unwrap();
    let ran = ended(member);
    assert!(ran.code == 130 && ran.err.contains("leaves group 'readers'"), "{ran:?}");
    served.signal(Signal::CONT);
}

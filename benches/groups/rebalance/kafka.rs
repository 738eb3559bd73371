//! The same load on Apache Kafka, by a script outside of the package.

use std::process::Command;

/// Runs Kafka's side where `$KAFKA_PEER` names the script, and prints what it says; says that it was skipped otherwise.
pub(crate) fn print() {
    let Some(peer) = std::env::var_os("KAFKA_PEER") else {
        return println!("skipped: Kafka's side; KAFKA_PEER names no script that starts it");
    };
    let run = |words: &[&str]| {
        let output = Command::new(&peer).args(words).output().expect("the script runs");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    run(&["start"]);
    for protocol in ["consumer", "classic"] {
        for load in ["quiet", "churn"] {
            let said = run(&["rebalance", protocol, load]);
            println!("Kafka {}", said.lines().last().unwrap_or("said nothing"));
        }
    }
    run(&["stop"]);
}
